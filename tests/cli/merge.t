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
# Not every journey is there: neither to be pooled nor to be put in buckets
sqlite3 "$tmp/two.ivm" "INSERT INTO meta VALUES ('keep', 'tail'), ('kept', 1), ('not_kept', 5)"
fails "a run without all of its journeys" 1 "two.ivm does not have every journey" merge -o \
	"$tmp/other.ivm" "$tmp/native.ivm" "$tmp/two.ivm"
fails "... has no exact histogram" 1 "two.ivm does not have every journey" hist "$tmp/two.ivm"
printf 'x' > "$tmp/bad.ivm"
fails "a damaged one" 1 "cannot read .*bad.ivm" merge -o "$tmp/other.ivm" "$tmp/native.ivm" "$tmp/bad.ivm"

done_testing
