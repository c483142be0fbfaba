#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs test programs that speak TAP and adds up what they say.
#
#   tests/run.sh [-t SECONDS] PROGRAM...   run each, print a line for each
#   tests/run.sh --sum FILE                add up what earlier runs left in FILE
#
# The last line is always "N passed, N failed, N skipped"; the exit code is 1 if
# anything failed.  A program that dies, times out or runs fewer tests than it
# announced counts as one failure more.  Exit code 77 skips a program; its last
# line says why.  If IVM_TALLY names a file, the three numbers are appended to
# it, so that `make test` can end with one line for all of its parts.  What a
# program printed is kept in IVM_TEST_LOGS, if that names a directory.
set -u

passed=0 failed=0 skipped=0
limit=120

close() {
	if [ -n "${IVM_TALLY:-}" ]; then
		echo "$passed $failed $skipped" >> "$IVM_TALLY"
	fi
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ] && [ $((passed + skipped)) -gt 0 ]
	exit
}

# Counts the results in TAP on stdin: "passed failed skipped planned"
count_tap() {
	awk '
		/^1\.\.[0-9]+/ { split($1, range, "[.]+"); planned += range[2]; next }
		/^(not )?ok / && /# *[Ss][Kk][Ii][Pp]/ { skipped++; next }
		/^ok / { passed++ }
		/^not ok / { failed++ }
		END { print passed + 0, failed + 0, skipped + 0, planned + 0 }'
}

report_failure() {
	local name=$1 log=$2

	echo "  FAIL     $name"
	sed -n '/^ok /!p' "$log" | tail -n 60 | sed 's/^/           /'
}

run_one() {
	local program=$1 name log code p f s planned

	name=${program#"${IVM_TEST_BASE:-}"}
	log=$logs/${name//\//_}.log
	timeout -k 5 "$limit" "$program" > "$log" 2>&1 < /dev/null
	code=$?
	if [ $code -eq 77 ]; then
		skipped=$((skipped + 1))
		echo "  SKIP     $name: $(tail -n 1 "$log" | sed 's/^# *//')"
		return
	fi
	read -r p f s planned < <(count_tap < "$log")
	if [ $code -eq 124 ]; then
		echo "# no end within $limit s" >> "$log"
	fi
	# Nothing but the results shows that the program got to its end
	if [ $((p + f + s)) -ne "$planned" ] || [ "$planned" -eq 0 ] ||
	   { [ $code -ne 0 ] && [ "$f" -eq 0 ]; }; then
		echo "# exit code $code, $((p + f + s)) results of $planned planned" >> "$log"
		f=$((f + 1))
	fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	if [ "$f" -ne 0 ]; then
		report_failure "$name" "$log"
		return
	fi
	if [ "$s" -eq 0 ]; then
		echo "  ok       $name: $p passed"
	else
		echo "  ok       $name: $p passed, $s skipped"
		grep -iE '^(not )?ok .*# *skip' "$log" | sed 's/^[^#]*# */           /'
	fi
}

if [ "${1:-}" = --sum ]; then
	while read -r p f s; do
		passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	done < "$2"
	unset IVM_TALLY
	close
fi
if [ "${1:-}" = -t ]; then
	limit=$2
	shift 2
fi
if [ -n "${IVM_TEST_LOGS:-}" ]; then
	logs=$IVM_TEST_LOGS
	mkdir -p "$logs"
else
	logs=$(mktemp -d)
	trap 'rm -rf "$logs"' EXIT
fi
for program; do
	run_one "$program"
done
close
