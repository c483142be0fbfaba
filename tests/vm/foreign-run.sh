#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Traffic over ivshmem-doorbell beside `ivmtrace record`, here or inside the lab, and
# what is needed to judge it: list.json, fdinfo, pair, record.code, report.json.
#
#   foreign-run.sh BUILD on|off|writer COUNT VECTORS OUT [RECORD-OPTION...]
#
# on and off are the device's ioeventfd.  writer: the guests wait, and another process
# writes COUNT times to an eventfd of the first one.
set -u

build=$1 kind=$2 count=$3 vectors=$4 out=$5
shift 5
mkdir -p "$out"
export IVM_QEMU=$build/qemu/qemu-system-x86_64 IVM_GUEST=$build/guest/ivm-bare.elf

# wait_for PATTERN FILE
wait_for() {
	local end=$((SECONDS + 100))

	until grep -q "$1" "$2" 2> /dev/null; do
		if [ $SECONDS -ge $end ]; then
			echo "# timeout waiting for '$1' in $2"
			exit 1
		fi
		sleep 0.1
	done
}

ioeventfd=$kind
[ "$kind" = writer ] && ioeventfd=on
fifo=$(mktemp -u)
mkfifo "$fifo"
"$build/vm/foreign-pair" "$ioeventfd" "$count" "$vectors" < "$fifo" > "$out/pair" 2> "$out/pair.err" &
server=$!
exec 5> "$fifo"
wait_for ^ready "$out/pair"

timeout 60 "$build/ivmtrace" list --irqfd --format json > "$out/list.json" 2> "$out/list.err"
read -r _ pong ping < "$out/pair"
for pid in "$pong" "$ping" $server; do
	for fd in "/proc/$pid/fdinfo/"*; do
		sed -n "s/^eventfd-id:[[:space:]]*/$pid ${fd##*/} /p" "$fd"
	done
done > "$out/fdinfo"

# An eventfd that raises an interrupt of the first VM, in that VM's process
eventfd_of_pong() {
	tr -d ' \n' < "$out/list.json" | grep -o "\"target\":{\"vm\":[0-9]*,\"pid\":$pong,.*" |
		grep -o "{\"pid\":$pong,\"name\":\"[^\"]*\",\"fd\":[0-9]*" | head -n 1 |
		sed 's/.*://'
}

# Whose end is waited for, and where a line lets it begin
actor=$out/pair
options=(--link 'ivshmem:*')
exec 6>&5
if [ "$kind" = writer ]; then
	actor=$out/writer
	options=(--link 'foreign:*writer*' --irqfd)
	mkfifo "$fifo.writer"
	"$build/vm/foreign-writer" "$pong" "$(eventfd_of_pong)" "$count" < "$fifo.writer" \
		> "$actor" 2> "$actor.err" 5>&- 6>&- &
	exec 6> "$fifo.writer"
	wait_for ^ready "$actor"
fi
rm -f "$fifo" "$fifo.writer"

timeout 150 "$build/ivmtrace" record --strict "${options[@]}" -o "$out/recording.ivm" "$@" \
	2> "$out/record.err" 5>&- 6>&- &
recorder=$!
wait_for recording "$out/record.err"
echo >&6
wait_for ^done "$actor"
# The last interrupts may still be on their way into the recording
sleep 1
kill -INT $recorder
wait $recorder
echo $? > "$out/record.code"
exec 5>&- 6>&-
wait $server
timeout 60 "$build/ivmtrace" report --format json "$out/recording.ivm" > "$out/report.json"
