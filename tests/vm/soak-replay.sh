#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What `record --raw` writes replays to the very recording that it was written beside: a
# minute.  COUNT=N for other lengths.
. tests/tap.sh

ivmtrace=${IVMTRACE:-.output/ivmtrace}
if [ ! -w /dev/kvm ]; then
	echo "# /dev/kvm is not there or not ours"
	exit 77
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

count=${COUNT:-800}
timeout $((200 + count / 10)) "$ivmtrace" record --strict --raw "$tmp/run.events" \
	-o "$tmp/run.ivm" -- \
	"$ivmtrace" bench --no-baseline --pattern burst=8 --vectors 4 --count "$count" \
	-o "$tmp/bench.ivm" > "$tmp/out" 2>&1
is "record --strict --raw" "$?$(grep strict: "$tmp/out")" 0
"$ivmtrace" replay --strict -o "$tmp/again.ivm" "$tmp/run.events" 2> "$tmp/err"
is "replay --strict" "$?$(< "$tmp/err")" 0
like "something was rung" "$(sqlite3 "$tmp/run.ivm" 'SELECT sum(rung) FROM counts')" '^[1-9]...'

# Guest stamps come from the guests' memory, not from events
columns=$(sqlite3 "$tmp/again.ivm" "SELECT group_concat('\"' || name || '\"')
	FROM pragma_table_info('journeys') WHERE name NOT LIKE '%err%' AND name NOT IN ('ring', 'isr')")
differences() {
	sqlite3 "$tmp/run.ivm" "ATTACH '$tmp/again.ivm' AS again;
		SELECT count(*) FROM (SELECT $2 FROM main.$1 EXCEPT SELECT $2 FROM again.$1);
		SELECT count(*) FROM (SELECT $2 FROM again.$1 EXCEPT SELECT $2 FROM main.$1)" | xargs
}
is "the same journeys" "$(differences journeys "$columns")" "0 0"
for table in counts vms vcpus ends hooks meta; do
	is "the same $table" "$(differences $table '*')" "0 0"
done

"$ivmtrace" replay --format events "$tmp/run.events" > "$tmp/plain"
is "raw events are in their plainest form" "$(cmp "$tmp/run.events" "$tmp/plain" 2>&1)" ''

done_testing
