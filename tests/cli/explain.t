#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# explain: the hop that is out of line, what happened in it, and nothing twice.
. tests/tap.sh
. tests/cli/fixture.sh

# main_cause ID: of a journey in $tmp/json
main_cause() {
	jq -r ".groups[].journeys[] | select(.id == $1) | .main_cause" "$tmp/json"
}

# cause_text ID: of its first cause
cause_text() {
	jq -r ".groups[].journeys[] | select(.id == $1) | .causes[0].text" "$tmp/json"
}

recording explain
run explain -n 12 "$tmp/explain.ivm"
is "exit code" "$code" 0
cp "$tmp/out" "$tmp/text"
is "as text" "$out" "$(< "$data/explain.txt")"
is "no line is longer than 100 columns" "$(LC_ALL=C.UTF-8 grep -E '^.{101}' "$tmp/out")" ''
run explain -n 12 --format json "$tmp/explain.ivm"
cp "$tmp/out" "$tmp/json"
is "as JSON" "$out" "$(< "$data/explain.json")"

while read -r id cause; do
	is "journey $id: $cause" "$(main_cause "$id")" "$cause"
done <<- END
	11 preempted
	22 stopped
	33 softirq
	44 page-fault
	55 masked
	66 irqs-off
	77 migrated
	78 run-queue
	88 in-qemu
	89 null
	98 irqs-off
	99 behind
	1010 loop-busy
	1020 not-sent
	1030 blocked
END
is "who preempts" "$(cause_text 11)" "receiving vCPU 0 (201) preempted by hog (4242) on CPU 1"
like "which descriptor, without what a terminal obeys" "$(cause_text 1010)" \
	'descriptor 11 /var/disk\?\.img$'
is "every nanosecond has one cause" "$(jq '[.groups[].journeys[] |
	select((.causes | map(.ns) | add) != .total_ns) | .id] | length' "$tmp/json")" 0
is "the printed shares of each journey add up to 100 %" "$(awk '
	/, journey / { if (sum) print sum; sum = 0 }
	/^  together/ { if (sum) print sum; sum = 0; skip = 1 }
	/, link / { skip = 0 }
	!skip && $2 ~ /^[0-9.]+%$/ { sum += int($2 * 10 + 0.5) }
	sum == 1000 { sum = 0 }' "$tmp/text")" ''
run explain --mode qemu -n 1 "$tmp/explain.ivm"
is "one mode" "$(grep -c ', link ' "$tmp/out")" 1
is "... and one journey" "$(grep -c ', journey 1010,' "$tmp/out")" 1
run explain --over 800us "$tmp/explain.ivm"
is "above a threshold" "$(grep -c ', journey ' "$tmp/out")" 6
run explain --over 1s "$tmp/explain.ivm"
is "none is that slow" "$(grep -c 'none of .* delivered is that slow' "$tmp/out")" 2

recording native
run explain -n 1 "$tmp/native.ivm"
is "without context: exit code" "$code" 0
like "without context it says how to get it" "$out" "ivmtrace record"
sqlite3 "$tmp/native.ivm" 'DROP TABLE slow; DROP TABLE intervals'
run explain -n 1 "$tmp/native.ivm"
is "a recording of before these tables" "$code" 0
recording empty
run explain "$tmp/empty.ivm"
is "empty: exit code" "$code" 0
like "empty" "$out" "^no delivered interrupt"

recording explain
sqlite3 "$tmp/explain.ivm" "UPDATE intervals SET end_ns = begin_ns - 1 WHERE journey = 11"
fails "an interval that ends before it begins" 1 "damaged" explain "$tmp/explain.ivm"
recording explain
sqlite3 "$tmp/explain.ivm" "UPDATE intervals SET begin_ns = -5 WHERE journey = 11"
fails "a negative time" 1 "damaged" explain "$tmp/explain.ivm"
recording explain
sqlite3 "$tmp/explain.ivm" "UPDATE intervals SET kind = 'x' WHERE journey = 11"
fails "an unknown kind" 1 "damaged" explain "$tmp/explain.ivm"
recording explain
sqlite3 "$tmp/explain.ivm" "UPDATE intervals SET last = char(27) || '[2J', next = last"
run explain "$tmp/explain.ivm"
is "control characters of task names are not printed" "$(grep -c $'\e' "$tmp/out")" 0

fails "no such mode" 1 "'x'.*qemu" explain --mode x "$tmp/explain.ivm"
fails "a count of 0" 1 "--count" explain -n 0 "$tmp/explain.ivm"
fails "no recording" 1 "cannot open|No such" explain "$tmp/none.ivm"
fails "record: --on-threshold alone" 1 "needs --stop-over" record --on-threshold true
fails "record: no time" 1 "--stop-over" record --stop-over fast

done_testing
