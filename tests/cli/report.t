#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Reports: the same text and JSON for the same recording, and true to it.
. tests/tap.sh
. tests/cli/fixture.sh

# golden NAME FILE ARGUMENT...: IVM_UPDATE_GOLDEN=1 takes the output as it is
golden() {
	local name=$1 file=$data/$2

	shift 2
	run "$@"
	if [ -n "${IVM_UPDATE_GOLDEN:-}" ]; then
		cp "$tmp/out" "$file"
	fi
	if [ "$code" -ne 0 ]; then
		not_ok "$name" "exit code $code" "$err"
	elif ! diff -u "$file" "$tmp/out" > "$tmp/diff"; then
		not_ok "$name" "$(< "$tmp/diff")"
	else
		ok "$name"
	fi
}

# by_json FILTER: a Python expression over the report r
by_json() {
	python3 -c "
import json, sys
r = json.load(open(sys.argv[1]))
print($1)" "$tmp/json"
}

by_sql() {
	sqlite3 "$tmp/$1.ivm" "$2"
}

for name in native lab posted stamps empty; do
	recording "$name"
	golden "$name: text" "$name.txt" report "$tmp/$name.ivm"
	golden "$name: CSV" "$name.csv" report --format csv "$tmp/$name.ivm"
	golden "$name: JSON" "$name.json" report --format json "$tmp/$name.ivm"
	cp "$tmp/out" "$tmp/json"
	run report "$tmp/$name.ivm"
	is "$name: text fits 100 columns" "$(LC_ALL=C.UTF-8 awk 'length($0) > 100' "$tmp/out" |
		LC_ALL=C.UTF-8 grep -cE '^.{101,}$')" 0
	if /usr/bin/python3 -c 'import jsonschema' 2> /dev/null; then
		if /usr/bin/python3 -m jsonschema -i "$tmp/json" docs/report.schema.json 2> "$tmp/why"; then
			ok "$name: JSON conforms to the schema"
		else
			not_ok "$name: JSON conforms to the schema" "$(head -n 20 "$tmp/why")"
		fi
	else
		skip "$name: JSON conforms to the schema" "python3-jsonschema is not installed"
	fi
	is "$name: hops add up in every group" "$(by_json "[g['mode'] for g in r['groups'] if g['total']
		and sum(h['sum_ns'] for h in g['hops']) != g['total']['sum_ns']]")" '[]'
	is "$name: hops of every path add up" "$(by_json "[p['state'] for g in r['groups']
		for p in g['paths'] if sum(h['sum_ns'] for h in p['hops']) != p['sum_ns']]")" '[]'
	is "$name: states add up in every group" "$(by_json "[g['mode'] for g in r['groups'] if g['total']
		and sum(p['sum_ns'] for p in g['paths']) != g['total']['sum_ns']]")" '[]'
	is "$name: counts close in every group" "$(by_json "[g['mode'] for g in r['groups']
		if g['delivered'] is not None and g['rung'] != g['delivered'] + g['coalesced'] +
		g['masked'] + g['dropped'] + g['unfinished']]")" '[]'
	is "$name: no journey is in two groups" "$(by_json "sum(g['rung'] for g in r['groups'])")" \
		"$(by_sql "$name" 'SELECT count(*) FROM journeys')"
done

# The same numbers once more, by SQL
run report -f json "$tmp/native.ivm"
cp "$tmp/out" "$tmp/json"
direct="[g for g in r['groups'] if g['mode'] == 'direct'][0]"
good="mode = 'direct' AND outcome = 'delivered' AND NOT disordered"
is "total of direct" "$(by_json "${direct}['total']['sum_ns']")" \
	"$(by_sql native "SELECT sum(eoi_standin - dispatch) FROM journeys WHERE $good")"
is "one hop of direct" "$(by_json "[h['sum_ns'] for h in ${direct}['hops'] if h['name'] == 'dispatch..route'][0]")" \
	"$(by_sql native "SELECT sum(route - dispatch) FROM journeys WHERE $good")"
for q in 50 90 99; do
	is "p$q of direct" "$(by_json "${direct}['total']['p${q}_ns']")" "$(by_sql native "
		SELECT eoi_standin - dispatch FROM journeys WHERE $good ORDER BY 1 LIMIT 1 OFFSET
		(SELECT (count(*) * $q + 99) / 100 - 1 FROM journeys WHERE $good)")"
done
is "p99.9 of fewer than 1000 is unknown" "$(by_json "${direct}['total']['p999_ns']")" None
is "silent hooks give no number" "$(by_json "[h['name'] for g in r['groups'] for h in g['hops']
	if 'entry' in h['name'] or 'inject' in h['name']]")" '[]'

# Guest stamps: the bound stands beside what it belongs to, and nothing below it is a number
run report -f json "$tmp/stamps.ivm"
cp "$tmp/out" "$tmp/json"
is "totals run from ring to isr" "$(by_json "[(g['total']['from'], g['total']['to'], g['total']['err_ns'])
	for g in r['groups']]")" "[('ring', 'isr', 960), ('ring', 'isr', 960)]"
is "bounds are those of the end that stamped" "$(by_json "[(h['name'], h['err_ns']) for g in r['groups']
	for h in g['hops'] if h['err_ns']]")" \
	"[('ring..exit', 60), ('entry..isr', 900), ('ring..exit', 900), ('entry..isr', 60)]"
is "no number below its bound" "$(by_json "[v for g in r['groups'] for h in g['hops'] + [g['total']]
	for k, v in h.items() if k[-3:] == '_ns' and k not in ('err_ns', 'sum_ns', 'probe_ns')
	and v is not None and v < h['err_ns']]")" '[]'
is "a bound above all of a hop leaves its sum" "$(by_json "[(h['p50_ns'], h['sum_ns'] > 0)
	for h in r['groups'][1]['hops'] if h['name'] == 'ring..exit']")" '[(None, True)]'
sqlite3 "$tmp/stamps.ivm" 'DROP TABLE stamp_bounds; DROP TABLE stamps'
run report -f json "$tmp/stamps.ivm"
cp "$tmp/out" "$tmp/json"
is "without the bounds they are unknown" "$(by_json "{h['err_ns'] for g in r['groups']
	for h in g['hops'] if h['name'] in ('ring..exit', 'entry..isr')}")" '{None}'

# Ways to ask for it
cp "$tmp/native.ivm" "$tmp/ivmtrace.ivm"
case $ivmtrace in
/*) ;;
*) ivmtrace=$PWD/$ivmtrace ;;
esac
out=$(cd "$tmp" && "$ivmtrace" report)
run report "$tmp/native.ivm"
is "the default file is ivmtrace.ivm" "$(cd "$tmp" && "$ivmtrace" report)" "$out"
run report -o "$tmp/report.txt" "$tmp/native.ivm"
is "-o: nothing on stdout" "$out" ''
is "-o: the report" "$(< "$tmp/report.txt")" "$("$ivmtrace" report "$tmp/native.ivm")"
run report --by mode "$tmp/native.ivm"
is "--by mode: one block a mode" "$(grep -c '  total ' <<< "$out")" 3
run report --by vector "$tmp/lab.ivm"
is "--by vector: one block a vector" "$(grep -c ', vector ' <<< "$out")" 4

run report --by link "$tmp/native.ivm"
is "--by link: both directions in one block" "$(grep -c '^qemu, link a-b, a ↔ b' <<< "$out")" 1
like "--by link: round trips of both ends" "$out" 'guest +round trip p50 95.002'
run report --by direction,path "$tmp/native.ivm"
like "--by path says what the receiver did" "$out" \
	'^irqfd, link a-b, a → b, vector 0 .IDT 65., receiver asleep$'
run report --by to-vcpu "$tmp/lab.ivm"
like "--by to-vcpu says which" "$out" ', to vCPU [0-9]+$'
run report --by vector,from-vcpu "$tmp/lab.ivm"
like "--by vector,from-vcpu: both" "$out" ', vector 0 .*, from vCPU [0-9]+$'
fails "--by nothing" 1 "'' is none of" report --by '' "$tmp/native.ivm"
fails "--by mode and nothing" 1 "'mode,' is none of" report --by mode, "$tmp/native.ivm"
fails "--by and JSON" 1 'only text and csv' report --by mode -f json "$tmp/native.ivm"

# Names are whatever somebody chose
recording posted
cp "$tmp/posted.ivm" "$tmp/names.ivm"
sqlite3 "$tmp/names.ivm" "UPDATE ends SET link = '=1+1,\"<script>' || char(10) || 'x' || char(27);
	UPDATE vms SET name = '@a\"'"
run report "$tmp/names.ivm"
like "names in text" "$out" ', link =1\+1,"<script>\?x\?, @a" →'
run report -f csv "$tmp/names.ivm"
like "names in CSV: no formulas" "$out" '^direct,auto,"'\''=1\+1,""<script>\?x\?","'\''@a""",'
is "names in CSV: no control character but CRLF" \
	"$(tr -cd '\000-\011\013\014\016-\037' <<< "$out" | wc -c)" 0
run report -f json "$tmp/names.ivm"
cp "$tmp/out" "$tmp/json"
is "names in JSON" "$(by_json "r['groups'][0]['link']")" '=1+1,"<script>?x?'

# Phases, as a summary has them
"$ivmtrace" replay -o "$tmp/phases.ivm" "$data/replay/direct-pingpong.events"
sqlite3 "$tmp/phases.ivm" "INSERT INTO phases VALUES (1, 'load, \"2\"', 1000000);
	UPDATE blocks SET phase = 1"
run report --by direction,phase "$tmp/phases.ivm"
like "--by phase names it" "$out" '^direct, link a-b, a → b, vector 0 .*, phase load, "2"$'
run report -f csv --by phase "$tmp/phases.ivm"
like "--by phase: CSV quotes it" "$out" ',"load, ""2""",,2,2,0,0,0,0,'
sqlite3 "$tmp/phases.ivm" "UPDATE phases SET name = char(27) || '[31m' WHERE id = 1"
run report --by phase "$tmp/phases.ivm"
like "--by phase: no control character" "$out" ', phase \?\[31m$'

# Version 1 had other tables for journeys that were not kept
cp "$tmp/native.ivm" "$tmp/old.ivm"
sqlite3 "$tmp/old.ivm" "PRAGMA user_version = 1; DROP TABLE cells; DROP TABLE spans;
	DROP TABLE blocks; DROP TABLE phases; CREATE TABLE buckets (span, low_ns, count)"
run report "$tmp/old.ivm"
is "version 1: the same report" "$(diff <(echo "$out") "$data/native.txt")" ''
sqlite3 "$tmp/old.ivm" "INSERT INTO buckets VALUES (1, 5, 1)"
fails "version 1 with --keep" 1 'not every journey was kept, by an older ivmtrace' \
	report "$tmp/old.ivm"

# What is no regular file must never be renamed over
mkfifo "$tmp/pipe"
timeout 10 cat "$tmp/pipe" > "$tmp/from-pipe" &
reader=$!
run report -o "$tmp/pipe" "$tmp/native.ivm"
wait $reader
is "-o to a pipe writes into it" "$(< "$tmp/from-pipe")" "$(< "$tmp/report.txt")"
is "-o leaves a pipe a pipe" "$(stat -c %F "$tmp/pipe")" fifo
ln -s report.txt "$tmp/link"
run report -o "$tmp/link" --by mode "$tmp/native.ivm"
is "-o leaves a symbolic link alone" "$(readlink "$tmp/link")" report.txt
is "-o writes to where it points" "$(< "$tmp/report.txt")" \
	"$("$ivmtrace" report --by mode "$tmp/native.ivm")"
fails "-o to a directory" 1 'cannot write .*: Is a directory' report -o "$tmp" "$tmp/native.ivm"

fails "-o to a directory that is not there" 1 'cannot write /no/such' \
	report -o /no/such/file "$tmp/native.ivm"
fails "unknown format" 1 "'xml' is none of text, json" report --format xml "$tmp/native.ivm"
fails "unknown grouping" 1 "'moon' is none of" report --by moon "$tmp/native.ivm"
fails "three files" 1 "unexpected operand 'c'" report a b c

# What `bench --own-cost` leaves: 700 ns within a hop of 800 dominate, 390 do not
cp "$tmp/native.ivm" "$tmp/cost.ivm"
sqlite3 "$tmp/cost.ivm" "INSERT INTO own_cost VALUES ('qemu', 12, 50000.4, 1.03, 1.02, 1.0415, 100);
	INSERT INTO probe_cost VALUES ('qemu', 'kvm_msi_set_irq', 200, 140000),
		('qemu', 'kvm_apic_accept_irq', 100, 30000),
		('irqfd', 'kvm_msi_set_irq', 100, 10000);"
run report "$tmp/cost.ivm"
like "own cost: the ratio and its interval" "$out" \
	'^  qemu +50\.000 +1\.0300 x  1\.0200 \.\. 1\.0415 +1\.700$'
is "own cost: hops that are mostly probe are marked" \
	"$(grep -o '^  [a-z_.]* \*' <<< "$out" | sort | uniq -c | xargs)" '2 route..accept *'
run report --format json "$tmp/cost.ivm"
cp "$tmp/out" "$tmp/json"
is "own cost: JSON" "$(by_json "[r['host']['own_cost'][0][k] for k in
	('mode', 'rtt_ns', 'effect_high', 'probes_ns_per_journey')]")" "['qemu', 50000, 1.0415, 1700]"
is "own cost: ns of one run in all modes" \
	"$(by_json "r['host']['hook_stats']['kvm_msi_set_irq']['ns_per_run']")" 500
is "own cost: ns within a hop in its own mode" "$(by_json "sorted({(g['mode'], h['probe_ns'],
	h['probe_dominates']) for g in r['groups'] for h in g['hops']
	if h['name'] == 'route..accept' and g['mode'] != 'direct'})")" \
	"[('irqfd', 100, False), ('qemu', 700, True)]"
sqlite3 "$tmp/cost.ivm" "DROP TABLE own_cost; DROP TABLE probe_cost"
run report "$tmp/cost.ivm"
is "own cost: recordings without the tables" "$(diff <(echo "$out") "$data/native.txt")" ''

done_testing
