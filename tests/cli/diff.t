#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# diff: false alarms and found regressions on recordings with known differences.
. tests/tap.sh
. tests/cli/fixture.sh

trials=20
new_recording "$tmp/empty.ivm"
python3 tests/cli/diff.py generate "$tmp/empty.ivm" "$tmp"

# compare KIND: each a-N.ivm with KIND-N.ivm
compare() {
	local n

	for ((n = 0; n < trials; n++)); do
		"$ivmtrace" diff --format json "$tmp/a-$n.ivm" "$tmp/$1-$n.ivm" > "$tmp/$1-$n.json" || break
	done
	python3 tests/cli/diff.py judge "$tmp" "$1"
}

read -r named alarmed < <(compare same)
is "two runs of one build: $alarmed alarms in $trials" $((alarmed <= 1)) 1
read -r named alarmed < <(compare slow)
is "one hop slower by a third: named in $named of $trials, and nothing else" $((named >= 19)) 1

if /usr/bin/python3 -c 'import scipy' 2> /dev/null; then
	for n in 0 1; do
		is "every interval is that of numpy and scipy ($n)" "$(/usr/bin/python3 tests/cli/diff.py \
			reference "$tmp/a-$n.ivm" "$tmp/slow-$n.ivm" "$tmp/slow-$n.json" 2>&1)" ''
	done
else
	skip "every interval is that of numpy and scipy" "python3-scipy is not installed"
fi

# Runs of one build that differ by more than their blocks tell
run diff --format json --baseline "$tmp/run-1.ivm" --baseline "$tmp/run-2.ivm" --baseline "$tmp/run-3.ivm" \
	--baseline "$tmp/run-4.ivm" "$tmp/run-0.ivm" "$tmp/run-5.ivm" "$tmp/run-6.ivm" "$tmp/run-7.ivm" \
	"$tmp/run-8.ivm" "$tmp/run-9.ivm"
is "five runs a side: what runs differ by is no change" "$(grep -c '"changed": true' <<< "$out")" 0
is "five runs a side: all are in" "$(python3 -c 'import json, sys
g = json.load(sys.stdin)["groups"][0]; print(g["runs_a"], g["runs_b"], g["total"]["count_b"])' <<< "$out")" '5 5 20000'

# conforms NAME FILE...: to the schema, which is known to refuse something
conforms() {
	local name=$1

	shift
	if ! /usr/bin/python3 -c 'import jsonschema' 2> /dev/null; then
		skip "$name: JSON conforms to the schema" "python3-jsonschema is not installed"
		return
	fi
	is "$name: JSON conforms to the schema" "$(/usr/bin/python3 - docs/diff.schema.json "$@" << 'END'
import json, sys
import jsonschema
schema, *files = [json.load(open(f)) for f in sys.argv[1:]]
check = jsonschema.Draft202012Validator(schema)
for name, found in zip(sys.argv[2:], files):
    for error in list(check.iter_errors(found))[:5]:
        print(name, error.json_path, error.message)
    found["groups"] = [{}]
    if check.is_valid(found):
        print("a group without anything is taken")
END
)" ''
}
conforms "20 comparisons" "$tmp"/s{ame,low}-*.json

# One and the same
run diff "$tmp/a-0.ivm" "$tmp/a-0.ivm"
is "a recording and itself: no change" "$code $(grep -cE '\*|slower|faster' <<< "$out")" '0 0'
run diff "$tmp/a-2.ivm" "$tmp/slow-2.ivm"
like "text: what has changed in words" "$out" '^  slower    accept..inject: p50 \+[0-9.]+ %, mean \+'
is "text: no line is longer than 100 columns" "$(LC_ALL=C.UTF-8 grep -cE '^.{101,}$' <<< "$out")" 0
like "text: one run says little of the next" "$out" 'One run on a side'

# Hops that one side only takes
cp "$tmp/same-0.ivm" "$tmp/kicked.ivm"
sqlite3 "$tmp/kicked.ivm" 'UPDATE journeys SET kick = "accept" + 10 WHERE id % 2'
cp "$tmp/same-0.ivm" "$tmp/rarely.ivm"
sqlite3 "$tmp/rarely.ivm" 'UPDATE journeys SET kick = "accept" + 10 WHERE id IN (700, 2000, 3100)'
# one_sided KEY FILE: hops of which that is said
one_sided() {
	"$ivmtrace" diff --format json "$2" "$3" | python3 -c "
import json, sys
print([h['name'] for h in json.load(sys.stdin)['groups'][0]['hops'] if h['$1']])"
}
is "half of them take another way: two hops are new" "$(one_sided new "$tmp/a-0.ivm" "$tmp/kicked.ivm")" \
	"['accept..kick', 'kick..inject']"
is "... or gone" "$(one_sided gone "$tmp/kicked.ivm" "$tmp/a-0.ivm") $(one_sided new "$tmp/kicked.ivm" \
	"$tmp/a-0.ivm")" "['accept..kick', 'kick..inject'] []"
is "three of 4000 do: it may be chance" "$(one_sided new "$tmp/a-0.ivm" "$tmp/rarely.ivm")" '[]'
run diff "$tmp/a-0.ivm" "$tmp/kicked.ivm"
like "text: what is new" "$out" '  new       kick..inject: 2000 of 4000 journeys of B, none of A'
"$ivmtrace" diff --format json "$tmp/a-0.ivm" "$tmp/kicked.ivm" > "$tmp/kicked.json"
conforms "new hops" "$tmp/kicked.json"

# --fail-over
run diff --fail-over hop=5% "$tmp/a-0.ivm" "$tmp/slow-0.ivm"
is "hop=5%: exit code 2" "$code" 2
like "hop=5%: names it" "$err" 'direct, dispatch..route: (p50|p99|mean) .* at least \+[0-9.]+ %, limit \+5.0 %'
run diff --fail-over hop=5% "$tmp/a-0.ivm" "$tmp/same-0.ivm"
is "hop=5%: no difference, exit code 0" "$code$err" 0
run diff --fail-over total:p50=50% --fail-over dispatch..route=10us "$tmp/a-0.ivm" "$tmp/slow-0.ivm"
is "limits that hold" "$code$err" 0
run diff --fail-over dispatch..route:mean=20ns "$tmp/a-0.ivm" "$tmp/slow-0.ivm"
is "a limit in ns: exit code 2" "$code" 2
run diff --fail-over hop=5% "$tmp/slow-0.ivm" "$tmp/a-0.ivm"
is "what got faster is no breach" "$code" 0
fails_judged() {
	run diff --fail-over "$2" "$tmp/a-0.ivm" "$3"
	is "$1" "$code $(grep -c 'cannot be judged' "$tmp/err")" '1 1'
}
fails_judged "a hop that nobody took" 'ring..exit=5%' "$tmp/slow-0.ivm"
cp "$tmp/a-0.ivm" "$tmp/short.ivm"
sqlite3 "$tmp/short.ivm" 'DELETE FROM journeys WHERE id > 200'
fails_judged "a recording that is too short" 'hop=5%' "$tmp/short.ivm"
for limit in hop 'hop=' '=5%' 'hop=5' 'hop=x%' 'hop:p12=5%' 'hop=-1%' 'hop=1e999%'; do
	fails "no limit: $limit" 1 'is no limit' diff --fail-over "$limit" "$tmp/a-0.ivm" "$tmp/a-0.ivm"
done

# What there is nothing to say of
cp "$tmp/empty.ivm" "$tmp/none.ivm"
run diff "$tmp/empty.ivm" "$tmp/none.ivm"
like "two empty recordings" "$code$out" '^0.*|nothing to compare'
for name in native lab posted stamps; do
	recording "$name"
	run diff --format json "$tmp/$name.ivm" "$tmp/$name.ivm"
	is "$name and itself: no change" "$code $(grep -c '"changed": true' <<< "$out")" '0 0'
	is "$name: JSON has neither NaN nor infinity" "$(grep -ciE 'nan|inf[^o]' <<< "$out")" 0
	conforms "$name" "$tmp/out"
done
sqlite3 "$tmp/native.ivm" "UPDATE environment SET value = 'else' WHERE key = 'kernel'"
run diff --format json "$tmp/lab.ivm" "$tmp/native.ivm"
conforms "two hosts" "$tmp/out"
run diff --by vector,phase "$tmp/lab.ivm" "$tmp/lab.ivm"
is "--by vector: a block for each" "$(grep -c ', vector ' <<< "$out")" 4
run diff "$tmp/lab.ivm" "$tmp/native.ivm"
like "modes of one side only" "$out" 'only in B qemu'
fails "one recording" 1 'two recordings are needed' diff "$tmp/lab.ivm"
fails "no recording" 1 'cannot (open|read) /no/such' diff "$tmp/lab.ivm" /no/such
fails "unknown format" 1 "is none of text, json" diff --format xml "$tmp/lab.ivm" "$tmp/lab.ivm"
fails "confidence" 1 "out of range" diff --confidence 100 "$tmp/lab.ivm" "$tmp/lab.ivm"

done_testing
