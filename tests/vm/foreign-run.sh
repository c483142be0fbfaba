#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Traffic over ivshmem-doorbell beside `ivmtrace record`, here or inside the lab, and
# what is needed to judge it: list.json, fdinfo, pair, record.code, report.json.
#
#   foreign-run.sh BUILD on|off COUNT VECTORS OUT [RECORD-OPTION...]
set -u

build=$1 ioeventfd=$2 count=$3 vectors=$4 out=$5
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

fifo=$(mktemp -u)
mkfifo "$fifo"
"$build/vm/foreign-pair" "$ioeventfd" "$count" "$vectors" < "$fifo" > "$out/pair" 2> "$out/pair.err" &
server=$!
exec 5> "$fifo"
rm -f "$fifo"
wait_for ^ready "$out/pair"

timeout 60 "$build/ivmtrace" list --irqfd --format json > "$out/list.json" 2> "$out/list.err"
read -r _ pong ping < "$out/pair"
for pid in "$pong" "$ping" $server; do
	for fd in "/proc/$pid/fdinfo/"*; do
		sed -n "s/^eventfd-id:[[:space:]]*/$pid ${fd##*/} /p" "$fd"
	done
done > "$out/fdinfo"

timeout 150 "$build/ivmtrace" record --strict --link 'ivshmem:*' -o "$out/recording.ivm" "$@" \
	2> "$out/record.err" &
recorder=$!
wait_for recording "$out/record.err"
echo >&5
wait_for ^done "$out/pair"
# The last interrupts may still be on their way into the recording
sleep 1
kill -INT $recorder
wait $recorder
echo $? > "$out/record.code"
exec 5>&-
timeout 60 "$build/ivmtrace" report --format json "$out/recording.ivm" > "$out/report.json"
