#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ivmtrace merge: counts and sums add up, percentiles are those of all.
. tests/tap.sh
. tests/cli/fixture.sh

fails "one is not several" 1 "name two or more" merge "$tmp/a.ivm"
fails "no such run" 1 "cannot read .*a.ivm" merge -o "$tmp/x.ivm" "$tmp/a.ivm" "$tmp/b.ivm"
is "... leaves nothing behind" "$(find "$tmp" -name 'x.ivm*')" ''

for name in native lab posted stamps empty; do
	recording "$name"
done
cp "$tmp/native.ivm" "$tmp/again.ivm"

run merge -o "$tmp/two.ivm" "$tmp/native.ivm" "$tmp/again.ivm"
is "a run twice: silent" "$code$out$err" 0
run report -f json "$tmp/native.ivm"
cp "$tmp/out" "$tmp/one.json"
run report -f json --strict "$tmp/two.ivm"
cp "$tmp/out" "$tmp/two.json"
is "counts and sums are twice those of one, percentiles the same" "$(python3 - "$tmp/one.json" \
	"$tmp/two.json" << 'END'
import json, sys
one, two = (json.load(open(f)) for f in sys.argv[1:])
keys = "rung", "delivered", "coalesced", "masked", "dropped", "unfinished", "accepted"
print(len(one["groups"]) == len(two["groups"]), two["lost"]["not_closed"])
for a, b in zip(one["groups"], two["groups"]):
    off = [k for k in keys if a[k] is not None and 2 * a[k] != b[k]]
    if a["total"]:
        off += [k for k in ("count", "sum_ns") if 2 * a["total"][k] != b["total"][k]]
        off += [k for k in ("p50_ns", "max_ns")
                if abs(a["total"][k] - b["total"][k]) > a["total"][k] / 128]
        off += [x["name"] for x, y in zip(a["hops"], b["hops"])
                if x["name"] != y["name"] or 2 * x["sum_ns"] != y["sum_ns"]]
    if off:
        print(a["mode"], off)
print([(2 * a["handled"], a["rtt"] and 2 * a["rtt"]["count"]) for a in one["guest"]] ==
      [(b["handled"], b["rtt"] and b["rtt"]["count"]) for b in two["guest"]])
END
)" $'True []\nTrue'
is "each run is a phase" "$(sqlite3 "$tmp/two.ivm" "SELECT group_concat(name) FROM
	(SELECT name FROM phases WHERE id IN (SELECT phase FROM blocks) ORDER BY id)")" \
	"native.ivm,again.ivm"
is "ids and what they point to go on" "$(sqlite3 "$tmp/two.ivm" "SELECT count(*) = count(DISTINCT id) FROM journeys;
	SELECT count(*) FROM journeys AS j WHERE coalesced_into IS NOT NULL AND NOT EXISTS
	(SELECT 1 FROM journeys WHERE id = j.coalesced_into)" | tr '\n' ' ')" "1 $(sqlite3 "$tmp/native.ivm" "
	SELECT 2 * count(*) FROM journeys AS j WHERE coalesced_into IS NOT NULL AND NOT EXISTS
	(SELECT 1 FROM journeys WHERE id = j.coalesced_into)") "

run merge -o "$tmp/all.ivm" "$tmp/native.ivm" "$tmp/lab.ivm" "$tmp/posted.ivm" "$tmp/stamps.ivm" "$tmp/empty.ivm"
is "unlike runs: done" "$code" 0
is "... and every journey is there" "$(sqlite3 "$tmp/all.ivm" "SELECT count(*) FROM journeys")" \
	"$(for name in native lab posted stamps; do
		sqlite3 "$tmp/$name.ivm" 'SELECT count(*) FROM journeys'
	done | awk '{ n += $1 } END { print n }')"
sqlite3 "$tmp/again.ivm" "UPDATE environment SET value = 'powersave' WHERE key = 'cpufreq.governor'"
run merge -o "$tmp/other.ivm" "$tmp/native.ivm" "$tmp/again.ivm"
like "another environment is said" "$code: $err" 'host cpufreq.governor: performance → powersave'
# ---- runs that did not keep every journey ----

# selective NAME KEEP SQL: a recording whose summary has journeys that its table has not
selective() {
	"$ivmtrace" merge -o "$tmp/$1.ivm" "$tmp/native.ivm" "$tmp/empty.ivm"
	sqlite3 "$tmp/$1.ivm" "DELETE FROM meta WHERE key = 'merged'; DELETE FROM journeys WHERE $3;
		INSERT INTO meta VALUES ('keep', '$2'),
			('kept', (SELECT count(*) FROM journeys)),
			('not_kept', (SELECT sum(count) FROM shapes) - (SELECT count(*) FROM journeys))"
}
selective tail tail 'id % 2'
selective none 0/s true
fails "a run without all of its journeys has no exact histogram" 1 \
	"tail.ivm does not have every journey" hist "$tmp/tail.ivm"
# figures FILE: what a report says that does not depend on how many runs there were
figures() {
	"$ivmtrace" report -f json "$1" | python3 -c "
import json, sys
r = json.load(sys.stdin)
print(r['lost']['not_closed'], [[[g[k] for k in ('mode', 'rung', 'delivered', 'coalesced', 'masked', 'dropped')],
       [[h['from'], h['to'], h['count'], h['sum_ns'], h['p50_ns'], h['p99_ns'], h['max_ns']] for h in
        g['hops'] + [g['total']] if h]] for g in r['groups']])"
}
"$ivmtrace" merge -o "$tmp/all.ivm" "$tmp/native.ivm" "$tmp/native.ivm" "$tmp/native.ivm"
run merge -o "$tmp/pooled.ivm" "$tmp/tail.ivm" "$tmp/none.ivm" "$tmp/native.ivm"
is "selective runs: silent" "$code$out$err" 0
is "... counts, sums and histograms are those of all journeys" "$(figures "$tmp/pooled.ivm")" \
	"$(figures "$tmp/all.ivm")"
is "... rows are those that were kept" "$(sqlite3 "$tmp/pooled.ivm" 'SELECT count(*) FROM journeys')" \
	"$(for f in tail none native; do sqlite3 "$tmp/$f.ivm" 'SELECT count(*) FROM journeys'; done |
		awk '{ n += $1 } END { print n }')"
is "... it says what is missing" "$(sqlite3 "$tmp/pooled.ivm" "SELECT
	(SELECT value FROM meta WHERE key = 'keep'), (SELECT value FROM meta WHERE key = 'kept') =
	(SELECT count(*) FROM journeys), (SELECT value FROM meta WHERE key = 'not_kept') =
	(SELECT sum(count) FROM shapes) - (SELECT count(*) FROM journeys)")" 'mixed|1|1'
run merge -o "$tmp/again.ivm" "$tmp/pooled.ivm" "$tmp/none.ivm"
is "a merged one can be merged" "$code$err $(sqlite3 "$tmp/again.ivm" "SELECT sum(count) FROM cells")" \
	"0 $(sqlite3 "$tmp/pooled.ivm" "SELECT sum(count) * 4 / 3 FROM cells")"

# ---- halves of two hosts ----

cp "$tmp/native.ivm" "$tmp/half.ivm"
sqlite3 "$tmp/half.ivm" "CREATE TABLE IF NOT EXISTS connections (end_id INTEGER PRIMARY KEY, link_id TEXT NOT NULL);
	INSERT INTO connections VALUES (1, '00000000000000aa');
	INSERT INTO arrivals VALUES (90001, 1, 0, 7, 'delivered', 2000, 2100, 2200), (90002, 1, 0, NULL,
		'coalesced', NULL, 2300, NULL)"
run merge -o "$tmp/halves.ivm" "$tmp/half.ivm" "$tmp/half.ivm" "$tmp/native.ivm"
is "arrivals: silent" "$code$out$err" 0
is "... all are there, numbered on, moved as the journeys are" "$(sqlite3 "$tmp/halves.ivm" "
	WITH shift AS (SELECT (SELECT min(dispatch) FROM journeys WHERE id > 90002) -
		(SELECT min(dispatch) FROM journeys) AS ns)
	SELECT id - later * 90002, to_end, seq, outcome, recv - later * ns, \"accept\" - later * ns,
		end - later * ns FROM (SELECT *, id > 90002 AS later FROM arrivals), shift ORDER BY id")" \
	"$(printf '%s\n' '90001|1|7|delivered|2000|2100|2200' '90002|1||coalesced||2300|' \
		'90001|1|7|delivered|2000|2100|2200' '90002|1||coalesced||2300|')"
is "... no number twice" "$(sqlite3 "$tmp/halves.ivm" "SELECT count(*) FROM arrivals JOIN journeys USING (id)")" 0
is "... and which link they were of" "$(sqlite3 "$tmp/halves.ivm" 'SELECT * FROM connections')" '1|00000000000000aa'
fails "merged halves have no common clock" 1 "halves.ivm: it is several runs merged" report \
	"$tmp/halves.ivm" "$tmp/half.ivm"

printf 'x' > "$tmp/bad.ivm"
fails "a damaged one" 1 "cannot read .*bad.ivm" merge -o "$tmp/other.ivm" "$tmp/native.ivm" "$tmp/bad.ivm"

done_testing
