#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The tracefs backend where BPF is refused, where its buffers are full, and what a
# killed run leaves.  What it records is differential-*.t's business.
. tests/tap.sh
ivmtrace=${IVMTRACE:?}

if ! [ -w /dev/kvm ] || [ "$(id -u)" != 0 ]; then
	echo "# needs root and /dev/kvm"
	exit 77
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# run COMMAND...: its exit code, output and messages
run() {
	timeout -k 5 100 "$@" > "$tmp/out" 2> "$tmp/err" < /dev/null
	code=$?
	out=$(< "$tmp/out")
	err=$(< "$tmp/err")
}

bench() {
	run "$@" bench --no-baseline --count 500 --format json -o "$tmp/bench.ivm"
}

# What is in tracefs, mounted where nobody else sees it
instances() {
	mkdir -p "$tmp/tracefs"
	unshare -m sh -c "mount -t tracefs none '$tmp/tracefs' && ls '$tmp/tracefs/instances'"
}

for errno in EPERM ENOSYS; do
	run tests/vm/without-bpf.py $errno "$ivmtrace" doctor
	is "$errno: doctor finds the host usable" "$code" 0
	like "$errno: ... with tracefs" "$out" '^backend +tracefs'
	like "$errno: ... and says why" "$out" '^tracefs, not bpf: '

	run tests/vm/without-bpf.py $errno "$ivmtrace" doctor --backend bpf
	is "$errno: not if BPF is asked for" "$([ "$code" = 0 ] && echo usable)" ''

	bench tests/vm/without-bpf.py $errno "$ivmtrace"
	is "$errno: bench counts as the guests do" "$code" 0
	is "$errno: ... with one line about it" \
		"$(grep -c 'taking events from tracefs instead' <<< "$err")" 1
	is "$errno: ... and the report names the backend" \
		"$(python3 -c 'import json, sys; print(json.load(sys.stdin)["host"]["backend"])' \
			<<< "$out")" tracefs
	modes=$(python3 -c 'import json, sys
print(*sorted({(g["mode"], g["configured"]) for g in json.load(sys.stdin)["groups"]}))' <<< "$out")
	is "$errno: ... and the modes are the ones observed" "$modes" \
		"('direct', 'direct') ('irqfd', 'irqfd') ('qemu', 'qemu')"
done

# A recorder that stands still while guests ring: its buffers must fill up
dir=$tmp
# shellcheck source=tests/vm/guests.sh
. tests/vm/guests.sh
trap 'vm_cleanup; rm -rf "$tmp"' EXIT
record "$tmp/full.ivm" --backend tracefs --link full -d 100 -m 64K --strict
pair full mode=direct,vectors=1 'pattern=flood count=20000' 'pattern=flood count=20000'
wait_said ready full-ping full-pong
sleep 1
kill -STOP "$record_pid"
go full-pong full-ping
wait_said 'done' full-ping full-pong
kill -CONT "$record_pid"
release full-ping full-pong
stop_record
is "full buffers: --strict refuses" $? 2
like "full buffers: ... and says so" "$(< "$tmp/full.ivm.log")" \
	"events lost: a CPU's tracefs buffer was full"
is "full buffers: counted in the recording" \
	"$(sqlite3 "$tmp/full.ivm" "SELECT count > 0 FROM lost WHERE source = 'overrun'")" 1

# In qemu mode messages are told by their place: also with traffic under way
pair busy mode=qemu,vectors=1 'pattern=pingpong count=100000' 'pattern=pingpong count=100000'
wait_said ready busy-ping busy-pong
go busy-pong busy-ping
sleep 0.3
run "$ivmtrace" record --backend tracefs --link busy -d 1 -o "$tmp/busy.ivm"
is "traffic under way: recorded" "$code" 0
is "traffic under way: each message has its place, or is counted as unplaced" \
	"$(sqlite3 "$tmp/busy.ivm" "SELECT count(*) > 0,
		count(send) = count(recv) AND count(*) - count(send) =
			(SELECT count FROM lost WHERE source = 'unplaced'),
		min(mode), max(mode) FROM journeys")" '1|1|qemu|qemu'
forget busy-ping
forget busy-pong

"$ivmtrace" record --backend tracefs -d 60 -o "$tmp/killed.ivm" 2> "$tmp/err" &
killed=$!
for _ in {1..100}; do
	grep -qs '^ivmtrace: recording' "$tmp/err" && break
	sleep 0.1
done
like "a run has an instance of its own" "$(instances)" "^ivmtrace-${killed}_"
kill -KILL $killed
wait $killed 2> /dev/null
run "$ivmtrace" doctor --backend tracefs
is "once it was killed the next one removes it" "$(instances | grep -c "^ivmtrace-${killed}_")" 0
done_testing
