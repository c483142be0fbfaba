#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Does the lab keep its promises?  Results, streams and status come out as the
# command left them, limits hold, and inside is a KVM host that can be traced.
# Prints TAP.  usage: selftest.sh [KERNEL]

# shellcheck disable=SC2016 # expansions are for the lab's shell
# shellcheck disable=SC2317 # the predicates are called by check

set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kernel=${1:-6.1}
dir=$(mktemp -d "${TMPDIR:-/tmp}/ivm-lab-test.XXXXXX")
trap 'rm -rf "$dir"' EXIT
failed=0
count=0

lab()
{
	"$here/run.sh" --kernel "$kernel" --log "$dir/console" "$@" >"$dir/stdout" 2>"$dir/stderr"
}

check()
{
	local name=$1
	shift

	count=$((count + 1))
	if "$@"; then
		echo "ok $count - $name"
	else
		echo "not ok $count - $name"
		sed 's/^/#   /' "$dir/stderr" | tail -n 20
		failed=1
	fi
}

is()
{
	[ "$1" = "$2" ] || { echo "#   got '$1', expected '$2'"; return 1; }
}

# The last line on stderr and nothing after it: one clear message.
says()
{
	grep -q "^lab: $1" "$dir/stderr" || { echo "#   no message '$1'"; return 1; }
}

# This test's lab is the one whose disks are in this test's directory.
qemu_runs()
{
	pgrep -f "$dir/ivm-lab\\.[A-Za-z0-9]*/root\\.img" >/dev/null
}

# Within 10 s: a killed QEMU takes a moment to go.
no_qemu_left()
{
	local tries=0

	while qemu_runs; do
		tries=$((tries + 1))
		[ "$tries" -lt 100 ] || return 1
		sleep 0.1
	done
}

# Start a lab and send it a signal once its QEMU runs; sets status.
kill_run()
{
	local pid tries=0

	TMPDIR=$dir "$here/run.sh" --kernel "$kernel" --log "$dir/console" -- sleep 100 \
		>"$dir/stdout" 2>"$dir/stderr" &
	pid=$!
	until qemu_runs || [ $tries -ge 300 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
	[ $tries -lt 300 ] || echo "# QEMU did not start in 30 s"
	kill "-$1" $pid
	wait $pid 2>/dev/null
	status=$?
}

echo "TAP version 13"
echo "# kernel $kernel"
if ! "$here/build-image.sh" "$kernel" >/dev/null || ! "$here/build-emulator.sh" >/dev/null; then
	echo "Bail out! the lab cannot be built"
	exit 1
fi

# Everything a result can be, in one boot: the streams (with bytes that are no
# text, and no newline at the end), files of all kinds, arguments, environment.
mkdir -p "$dir/share/sub"
head -c 3000000 /dev/urandom >"$dir/share/sub/data"
ln -s sub/data "$dir/share/link"
ln -s /nonexistent "$dir/share/dangling"
cat >"$dir/share/job" <<'END'
#!/bin/bash
cat link
printf 'no newline' >&2
mkdir -p "$LAB_OUT/deep"
sha256sum <sub/data >"$LAB_OUT/deep/sum"
printf '%s\n' "$@" "$WORD" >"$LAB_OUT/words"
echo changed >sub/data
exit 23
END
chmod +x "$dir/share/job"
(cd "$dir/share" && lab --share "$dir/share" --out "$dir/out" --env "WORD=it's \$HOME" -- \
	./job "two words" "it's" '$(x) "y"' '')
check "exit status" is $? 23
check "stdout, byte for byte" cmp "$dir/share/sub/data" "$dir/stdout"
check "stderr, byte for byte" is "$(cat "$dir/stderr"; echo .)" "no newline."
check "a file in LAB_OUT" is "$(cat "$dir/out/deep/sum")" "$(sha256sum <"$dir/share/sub/data")"
check "arguments and environment" is "$(cat "$dir/out/words")" \
	$'two words\nit\'s\n$(x) "y"\n\nit\'s $HOME'
check "a share is a copy" is "$(stat -c %s "$dir/share/sub/data")" 3000000

# A KVM host with what the tracer looks for.
cat >"$dir/share/facts" <<'END'
#!/bin/sh
uname -r
test -c /dev/kvm && echo kvm
for f in kvm/kvm_exit kvm/kvm_inj_virq sched/sched_waking; do
	test -e /sys/kernel/tracing/events/$f/id && echo $f
done
for f in /sys/kernel/btf/vmlinux /sys/kernel/btf/kvm /sys/kernel/debug/kvm; do
	test -e $f && echo $f
done
grep -q ' /sys/fs/bpf bpf ' /proc/mounts && echo bpffs
cat /sys/devices/system/clocksource/clocksource0/current_clocksource
END
(cd "$dir/share" && lab --share "$dir/share" -- sh facts)
check "status of a command that succeeds" is $? 0
check "the kernel asked for" grep -q "^${kernel//./\\.}\\." "$dir/stdout"
check "KVM, tracepoints, BTF, debugfs, bpffs, TSC" is "$(tail -n +2 "$dir/stdout" | tr '\n' ' ')" \
	"kvm kvm/kvm_exit kvm/kvm_inj_virq sched/sched_waking /sys/kernel/btf/vmlinux $(
	)/sys/kernel/btf/kvm /sys/kernel/debug/kvm bpffs tsc "

lab --out "$dir/late" --timeout 2 -- sh -c 'echo begun; echo kept >$LAB_OUT/f; sleep 60'
check "a command over its limit: status" is $? 124
check "... its message" says "the command was killed after 2 s"
check "... its output" is "$(cat "$dir/stdout")" "begun"
check "... its files" is "$(cat "$dir/late/f")" "kept"

lab -- sh -c 'kill -TERM $$'
check "a command killed by a signal" is $? 143

lab -- /no/such/program
check "a command that is not there" is $? 127

# shellcheck disable=SC2016
lab -- sh -c 'sleep 1000 & echo here'
check "a process left behind does not hold the lab up" is "$?$(cat "$dir/stdout")" "0here"

lab -- sh -c 'echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger; sleep 30'
check "a kernel panic: status" is $? 1
check "... its message" says "the lab's kernel stopped: Kernel panic"
check "... its console is kept" grep -q "Kernel panic" "$dir/console"

lab -- sh -c 'poweroff -f'
check "a lab that ends early: status" is $? 1
check "... its message" says "ended without a result"

printf '#!/bin/sh\necho "bad option" >&2\nexit 1\n' >"$dir/qemu"
chmod +x "$dir/qemu"
IVM_LAB_QEMU=$dir/qemu lab -- true
check "a QEMU that fails: status" is $? 1
check "... its message" says "QEMU: bad option"
IVM_LAB_QEMU=/no/such/qemu lab -- true
check "a QEMU that is not there: message" says "IVM_LAB_QEMU='/no/such/qemu': no such program"
lab --share "$dir/nothing" -- true
check "a share that is not there: message" says "--share '.*nothing' is not a directory"
lab
check "no command: message" says "no command given"
kernel=old lab -- true
check "a kernel that is not there: message" says "no image for kernel old"

kill_run TERM
check "a run that is told to stop: status" is $status 143
check "no QEMU is left behind" no_qemu_left
kill_run KILL
check "nor by a run that is killed" no_qemu_left

echo "1..$count"
exit $failed
