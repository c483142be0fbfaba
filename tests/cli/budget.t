#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ivmtrace report --budget: limits that are kept, broken, unknown or no limits at all.
. tests/tap.sh
. tests/cli/fixture.sh

recording native

# budget TEXT: into $tmp/budget
budget() {
	printf '%s\n' "$1" > "$tmp/budget"
}

# kept TEXT / broken TEXT ERROR-REGEX: held against native, a line or several
kept() {
	budget "$1"
	run report --budget "$tmp/budget" "$tmp/native.ivm"
	is "kept: $1" "$code: $err" "0: "
}
broken() {
	budget "$1"
	fails "broken: $1" 2 "$2" report --budget "$tmp/budget" "$tmp/native.ivm"
}
refused() {
	budget "$1"
	fails "refused: $1" 1 "budget:1: $2" report --budget "$tmp/budget" "$tmp/native.ivm"
}

kept "direct dispatch..route p99 <= 2.899us"
kept "direct dispatch..route p99 <= 3us # as it should be"
kept $'# nothing but\n\n  \ndirect dispatch..route max <= 1ms'
kept "dispatch..user p50 <= 901ns"
kept "direct total mean <= 0.0131ms"
kept "qemu link=a-b total p50 <= 47us"
kept "qemu unfinished <= 0"
kept "lost <= 0"
broken "direct dispatch..route p99 <= 2us" \
	"budget: direct dispatch..route p99 is 2\.[89][0-9]* us, the limit is 2us"
broken "qemu link=a-b wake..run p50 <= 1us" "budget: qemu link=a-b wake..run p50 is 15\..* us"
broken "direct dropped <= 0" "budget: direct dropped is 1, the limit is 0"
broken "direct masked <= 1" "budget: direct masked is 2, the limit is 1"
# What was not measured is within no budget
broken "direct exit..dispatch p99 <= 1s" "exit..dispatch p99 was not measured, the limit is 1s"
broken "ivshmem total p99 <= 1s" "budget: ivshmem total p99 was not measured"
broken "qemu link=none total p99 <= 1s" "budget: qemu link=none total p99 was not measured"
broken "irqfd accept..kick p99 <= 1s" "budget: irqfd accept..kick p99 was not measured"

refused "fast total p99 <= 1us" "neither a hop, nor 'total', nor a count: 'fast'"
refused "direct dispatch..nowhere p99 <= 1us" "neither a hop"
refused "direct total p98 <= 1us" "not one of min"
refused "direct total p99 < 1us" "'<=' and a limit are missing"
refused "direct total p99 <=" "the limit is missing"
refused "direct total p99 <= 5" "not a time such as"
refused "direct total p99 <= -5us" "not a time such as"
refused "direct total p99 <= nan" "not a time such as"
refused "direct total p99 <= 1e99s" "not a time such as"
refused "direct total p99 <= 5us 6us" "too much: '6us'"
refused "direct dropped <= 1us" "not a count: '1us'"
refused "direct lost <= 1" "what was lost is of no mode"
refused "direct" "a hop, 'total' or a count is missing"
refused "direct 'total" "Text ended before matching quote"
budget '# empty'
fails "a budget without limits" 1 "there is no limit in it" report --budget "$tmp/budget" "$tmp/native.ivm"
fails "no such budget" 1 "cannot read the budget" report --budget "$tmp/none" "$tmp/native.ivm"

# All that is broken is said
budget $'direct total p99 <= 1us\nqemu total p99 <= 1us\nirqfd total p99 <= 1s'
run report --budget "$tmp/budget" "$tmp/native.ivm"
is "two of three" "$code $(grep -c '^ivmtrace: budget:' "$tmp/err")" "2 2"
run report "$tmp/native.ivm"
report=$out
run report --budget "$tmp/budget" "$tmp/native.ivm"
is "the report is the same" "$out" "$report"

done_testing
