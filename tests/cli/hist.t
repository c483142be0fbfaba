#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ivmtrace hist: every journey in one bucket of each of its hops.
. tests/tap.sh
. tests/cli/fixture.sh

fails "no width" 1 "--bucket-size: 0us is out of range" hist -b 0
fails "a width that is none" 1 "--bucket-size: 'x' is not a time" hist -b x
fails "too many buckets" 1 "--entries: 100001 is out of range" hist -E 100001
fails "a mode there is not" 1 "--mode: 'fast' is none of" hist --mode fast
fails "a recording or now" 1 "either FILE, or --live" hist --live "$tmp/x.ivm"
fails "no such recording" 1 "cannot read .*x.ivm" hist "$tmp/x.ivm"

recording native
run hist -b 5 -E 5 "$tmp/native.ivm"
cp "$tmp/out" "$tmp/got"
if [ -n "${IVM_UPDATE_GOLDEN:-}" ]; then
	cp "$tmp/got" "$data/hist.txt"
fi
is "text" "$code: $(diff -u "$data/hist.txt" "$tmp/got")" "0: "

# The same once more, by SQL: one hop, and what lies beyond
good="mode = 'direct' AND outcome = 'delivered' AND NOT disordered"
run hist -b 500ns -E 6 --mode direct -f json "$tmp/native.ivm"
is "JSON: buckets of a hop" "$(python3 -c "
import json
h = [h for h in json.load(open('$tmp/out'))['hops'] if (h['from'], h['to']) == ('dispatch', 'route')][0]
print([n for low, n in h['buckets']], [low for low, n in h['buckets']], h['over'], h['count'], h['sum_ns'])")" \
	"$(sqlite3 "$tmp/native.ivm" "
	WITH d AS (SELECT route - dispatch AS ns FROM journeys WHERE $good),
	b AS (SELECT ns / 500 AS i, count(*) AS n FROM d WHERE ns < 3000 GROUP BY 1)
	SELECT '[' || (SELECT group_concat(n, ', ') FROM b) || '] [' ||
		(SELECT group_concat(i * 500, ', ') FROM b) || '] ' ||
		(SELECT count(*) FROM d WHERE ns >= 3000) || ' ' || count(*) || ' ' || sum(ns) FROM d")"

run hist -E 3 --mode direct --no-header --no-summary --no-index --with-zeros "$tmp/native.ivm"
is "only the buckets" "$(wc -l < "$tmp/out") $(grep -c '[^0-9 ]' "$tmp/out")" "3 0"
run hist --mode foreign "$tmp/native.ivm"
like "nothing of that mode" "$code $out" '^0 .*'
like "... is said" "$out" 'no interrupt was delivered'
recording empty
run hist "$tmp/empty.ivm"
like "an empty recording" "$out" 'no interrupt was delivered'
sqlite3 "$tmp/native.ivm" "UPDATE journeys SET mode = 'x'"
fails "damaged" 1 "damaged" hist "$tmp/native.ivm"

done_testing
