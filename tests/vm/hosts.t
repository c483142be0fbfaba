#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A link over TCP between two QEMUs in two network namespaces, as between two
# hosts: no descriptor passes and no memory is shared, so mode qemu is all there
# is, and the serial ports say what either guest counted.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/tap.sh
. "$here/../tap.sh"

dir=$(mktemp -d)
vm_accel=tcg
[ ! -w /dev/kvm ] || vm_accel=kvm
# shellcheck source=tests/vm/guests.sh
. "$here/guests.sh"
# shellcheck source=tests/vm/guests-arm64.sh
. "$here/guests-arm64.sh"
net=ivm-$$
port=7070

# shellcheck disable=SC2317 # called by a trap
clean_up() {
	for pid in "${tracers[@]}"; do
		kill -KILL "$pid"
	done
	vm_cleanup
	ip netns del "$net-a" 2> /dev/null
	ip netns del "$net-b" 2> /dev/null
	rm -rf "$dir"
}
trap clean_up EXIT

# Two hosts with a cable between them
make_hosts() {
	ip netns add "$net-a" && ip netns add "$net-b" &&
		ip link add cable netns "$net-a" type veth peer name cable netns "$net-b" &&
		ip -n "$net-a" address add 192.0.2.1/30 dev cable &&
		ip -n "$net-b" address add 192.0.2.2/30 dev cable &&
		ip -n "$net-a" link set cable up && ip -n "$net-b" link set cable up
}

# tcp_mailbox server=on,wait=off|reconnect=1 PROPERTIES: both name the server's address
tcp_mailbox() {
	echo "-chardev socket,id=l,host=192.0.2.1,port=$port,nodelay=on,$1" \
		"-device ivm-mailbox,chardev=l,link=hosts,$2"
}

# on HOST VM-FUNCTION NAME DEVICES OPTIONS
on() {
	local vm_prefix=(ip netns exec "$net-$1")

	shift
	"$@"
}

# record_on HOST FILE [NAME]: what a tracer records there that sees no process of
# NAME; of both hosts if there is none to hide
tracers=()
record_on() {
	local hide=${3:+/proc/${vm_pid[$3]}}

	# shellcheck disable=SC2016 # sh's
	ip netns exec "$net-$1" unshare -m sh -c \
		'[ -z "$1" ] || mount --bind "$2" "$1" && shift 2 && exec "$@"' sh \
		"$hide" "$dir/nothing" "$IVMTRACE" record --strict --link hosts -o "$2" 2> "$2.log" &
	tracers+=($!)
	wait_for "ivmtrace record" grep -qsE "^ivmtrace: (recording|.* waiting for one)" "$2.log"
}

# Of all tracers that run: what they exit with
stop_recordings() {
	local pid code=0

	for pid in "${tracers[@]}"; do
		kill -INT "$pid"
		wait "$pid" || code=$?
	done
	tracers=()
	return $code
}

# told FILE SQL
told() {
	sqlite3 "$dir/$1.ivm" "$2"
}

# run_link VM-OF-PONG VM-OF-PING PROPERTIES TRAFFIC
run_link() {
	on a "$1" pong "$(tcp_mailbox server=on,wait=off "$3")" "role=pong $4" &&
		on b "$2" ping "$(tcp_mailbox reconnect=1 "$3")" "role=ping $4" &&
		wait_said ready ping pong && go ping pong && wait_said "done" ping pong
}

# count NAME sent|handled
count() {
	sed -n "s/^ivm-bare: done .*$2=\([0-9]*\).*/\1/p" "$dir/$1.out"
}

# counts VM-OF-PONG VM-OF-PING PATTERN COUNT VECTORS
counts() {
	local name="$2 to $1, $3, $4 doorbells, $5 vectors" taken

	port=$((port + 1))
	if run_link "$1" "$2" "vectors=$5" "pattern=$3 count=$4"; then
		taken=$(count pong handled)
		is "$name: rung" "$(count ping sent)" "$4"
		if [ "$3" = pingpong ]; then
			is "$name: taken, answered, taken" \
				"$taken $(count pong sent) $(count ping handled)" "$4 $4 $4"
		else
			is "$name: taken, more than none and none twice" \
				"$((taken > 0 && taken <= $4)) $(count ping handled)" "1 0"
		fi
		release ping pong
	else
		not_ok "$name" "$(cat "$dir"/p[io]ng.{out,err})"
	fi
	vm_cleanup
	rm -f "$dir"/p[io]ng.*
}

if ! make_hosts 2> "$dir/net.err"; then
	echo "# no network namespaces here: $(tail -n 1 "$dir/net.err")"
	exit 77
fi
counts vm vm pingpong 2000 4
counts vm vm flood 5000 4
counts vm_arm64 vm pingpong 1000 4
counts vm vm_arm64 rate=2000 1000 2

refusal() {
	on a vm pong "$(tcp_mailbox server=on,wait=off "mode=$1")" "role=pong"
	wait_for "the end of pong" gone pong
	tail -n 1 "$dir/pong.err"
	vm_cleanup
	rm -f "$dir"/pong.*
}
# Traffic that three tracers follow: one sees both ends, the others one each
recorded() {
	on a vm pong "$(tcp_mailbox server=on,wait=off vectors=4)" "role=pong count=2000"
	on b vm ping "$(tcp_mailbox reconnect=1 vectors=4)" "role=ping count=2000"
	wait_said ready ping pong || return
	mkdir -p "$dir/nothing"
	record_on a "$dir/whole.ivm" && record_on b "$dir/ping.ivm" pong &&
		record_on a "$dir/pong.ivm" ping || return
	go ping pong && wait_said "done" ping pong || return
	stop_recordings
}

port=$((port + 1))
if [ "$vm_accel" = tcg ]; then
	skip "recordings of both ends and of one" "/dev/kvm cannot be used here"
else
	recorded
	is "three tracers, --strict" "$?: $(cat "$dir"/*.ivm.log | grep strict)" "0: "
	is "who sees both ends follows each journey" "$(told whole "SELECT outcome, count(*),
		count(send), count(recv) FROM journeys GROUP BY 1")" "delivered|4000|4000|4000"
	for half in ping pong; do
		is "who sees $half alone knows what it rang, and that it does not see the end" \
			"$(told "$half" "SELECT outcome, to_end, count(*) FROM journeys
			GROUP BY 1, 2")" "unseen||2000"
		is "who sees $half alone loses nothing" \
			"$(told "$half" "SELECT sum(count) FROM lost")" 0
	done
	is "the halves are joined, --strict" "$("$IVMTRACE" report --strict --format json \
		"$dir/ping.ivm" "$dir/pong.ivm" > "$dir/join.json" 2> "$dir/join.err"
		echo "$?: $(cat "$dir/join.err")")" "0: "
	is "each journey has both, and the clocks, which are one, agree within the bound" \
		"$(python3 -c "import json, sys
o = json.load(sys.stdin)
print([(g['from'], g['to'], g['rung'], g['arrived'], g['joined'], g['total']['count'])
       for g in o['groups']], abs(o['clock']['offset_ns']) <= o['clock']['err_ns'])" \
			< "$dir/join.json")" \
		"[('ping', 'pong', 2000, 2000, 2000, 2000), ('pong', 'ping', 2000, 2000, 2000, 2000)] True"
	release ping pong
fi
vm_cleanup
rm -f "$dir"/p[io]ng.*

like "mode irqfd over TCP is refused" "$(refusal irqfd)" "mode=irqfd needs a UNIX socket"
done_testing
