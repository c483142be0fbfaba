#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Recordings that begin and end in the middle of traffic: the stamps of every
# journey are found, and none is missed that was rung before or after.
. tests/tap.sh

if ! [ -w /dev/kvm ]; then
	echo "# /dev/kvm cannot be used here"
	exit 77
fi
out=$IVM_OUT/vm/stamps
rm -rf "$out"
mkdir -p "$out"

# told NAME SQL: one number out of the recording
told() {
	sqlite3 "$out/$1.ivm" "$2"
}

# check_recording NAME: all that a recording says of stamps
check_recording() {
	is "$1: journeys lack no stamp" "$(told "$1" "SELECT count(*) FROM journeys
		WHERE ring IS NULL OR (isr IS NULL) != (outcome != 'delivered')")" 0
	is "$1: no stamp is lost or alone" "$(told "$1" "SELECT sum(count) FROM lost
		WHERE source LIKE 'stamp%'")" 0
	is "$1: totals run from ring to isr" "$("$IVMTRACE" report --format json "$out/$1.ivm" |
		python3 -c "import json, sys
print({(g['total']['from'], g['total']['to']) for g in json.load(sys.stdin)['groups']})")" \
		"{('ring', 'isr')}"
}

for mode in qemu irqfd direct; do
	timeout 100 "$IVMTRACE" bench --no-baseline --modes "$mode" --vectors 2 --count 1000000 \
		-o "$out/bench.ivm" > "$out/bench-$mode.txt" 2>&1 < /dev/null &
	bench=$!
	# Guests boot for a second or so; before that there is nothing to record
	for ((i = 0; i < 100; i++)); do
		"$IVMTRACE" list 2> /dev/null | grep -q "bench-$mode" && break
		sleep 0.1
	done
	sleep 2
	for n in 1 2 3; do
		timeout 30 "$IVMTRACE" record --link "bench-$mode" -d 300ms --strict \
			-o "$out/$mode-$n.ivm" 2> "$out/$mode-$n.err" < /dev/null
		is "$mode-$n: record --strict" "$?: $(grep strict "$out/$mode-$n.err")" "0: "
		is "$mode-$n: there was traffic" "$(told "$mode-$n" \
			"SELECT count(*) > 0 FROM journeys WHERE outcome = 'delivered'")" 1
		check_recording "$mode-$n"
	done
	kill -INT "$bench"
	wait "$bench"
done
done_testing
