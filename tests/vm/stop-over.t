#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# record --stop-over: an interrupt that takes too long ends the recording, which has it.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/tap.sh
. "$here/../tap.sh"

if ! [ -w /dev/kvm ]; then
	echo "# /dev/kvm cannot be used here"
	exit 77
fi
dir=$(mktemp -d)
# shellcheck source=tests/vm/guests.sh
. "$here/guests.sh"
trap 'vm_cleanup; rm -rf "$dir"' EXIT

# The receiver keeps interrupts off for 50 ms at every second doorbell
pair over "mode=direct" "pattern=step count=1000000 delay=irqoff,50000" "pattern=step count=1000000"
if ! wait_said ready over-pong over-ping; then
	not_ok "two guests" "$(cat "$dir"/*.err)"
	exit 1
fi
go over-pong over-ping

# shellcheck disable=SC2016 # for the shell that record starts
timeout 100 "$IVMTRACE" record -p "${vm_pid[over-ping]}" -d 60 -o "$dir/stop.ivm" --stop-over 40ms \
	--on-threshold 'echo "$IVMTRACE_LATENCY_NS" > '"$dir/took" 2> "$dir/stop.log" < /dev/null
is "an interrupt takes too long: exit code" "$?" 2
like "... it says how long" "$(< "$dir/stop.log")" 'stopped: an interrupt took [0-9]+\.[0-9]{3} us'
took=$(cat "$dir/took" 2>&1)
is "... the command was run, and told the same" "$(grep -c "took $((took / 1000))\.$(printf %03d \
	$((took % 1000))) us" "$dir/stop.log") $((took > 40000000))" '1 1'
is "... the recording has it, and reports can be made of it" "$("$IVMTRACE" script "$dir/stop.ivm" 2>&1 |
	grep -c .) $(sqlite3 "$dir/stop.ivm" "SELECT sum(max(coalesced_into IS NULL, 0) AND outcome = 'delivered'
	AND max(ifnull(\"entry\", 0), ifnull(eoi_standin, 0), ifnull(inject, 0), ifnull(isr, 0)) -
	ifnull(\"exit\", dispatch) >= $took) > 0 FROM journeys")" \
	"$(sqlite3 "$dir/stop.ivm" 'SELECT count(*) FROM journeys') 1"
is "... long before its time was over" "$(sqlite3 "$dir/stop.ivm" "SELECT value < 60e9 FROM meta
	WHERE key = 'duration_ns'")" 1

timeout 100 "$IVMTRACE" record -p "${vm_pid[over-ping]}" -d 1 -o "$dir/go.ivm" --stop-over 1h \
	--on-threshold "touch $dir/ran" 2> "$dir/go.log" < /dev/null
is "none takes an hour: exit code, and nothing is run" "$?, $(ls "$dir/ran" 2> /dev/null)" '0, '
is "... traffic there was" "$(sqlite3 "$dir/go.ivm" 'SELECT count(*) > 0 FROM journeys')" 1
done_testing
