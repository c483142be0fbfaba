#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Files of events: one for each situation, with the journeys that must come out of it.
. tests/tap.sh
. tests/cli/fixture.sh

events=$data/replay

# outcome FILE: all that was made of it, short enough to be read by whoever changes a rule
outcome() {
	"$ivmtrace" replay --strict -o "$tmp/rec.ivm" "$1" 2> "$tmp/strict"
	echo "exit code $?"
	sed "s/^ivmtrace: //; s|$1|FILE|" "$tmp/strict"
	if [ -f "$tmp/rec.ivm" ]; then
		"$ivmtrace" script "$tmp/rec.ivm"
		sqlite3 -separator ' ' "$tmp/rec.ivm" "
			SELECT 'counts', from_end || '->' || ifnull(to_end, '-'), 'vector ' || vector,
				'rung ' || rung, 'accepted ' || accepted, 'posted ' || posted,
				'delivered ' || delivered, 'coalesced ' || coalesced,
				'masked ' || masked, 'dropped ' || dropped,
				'unfinished ' || unfinished FROM counts ORDER BY 2, 3;
			SELECT 'lost', source, count FROM lost WHERE count > 0 ORDER BY source"
		rm -f "$tmp/rec.ivm" "$tmp/rec.ivm.old"
	fi
}

for file in "$events"/*.events; do
	name=$(basename "$file" .events)
	outcome "$file" > "$tmp/got"
	if [ -n "${IVM_UPDATE_GOLDEN:-}" ]; then
		cp "$tmp/got" "$events/$name.txt"
	fi
	if diff -u "$events/$name.txt" "$tmp/got" > "$tmp/diff"; then
		ok "$name"
	else
		not_ok "$name" "$(< "$tmp/diff")"
	fi
	# The plainest form says the same, and is its own plainest form
	run replay --format events "$file"
	cp "$tmp/out" "$tmp/plain"
	outcome "$tmp/plain" > "$tmp/again"
	is "$name: nothing is lost in the plainest form" "$(< "$tmp/again")" "$(< "$tmp/got")"
	run replay --format events "$tmp/plain"
	is "$name: which stays as it is" "$(cmp "$tmp/plain" "$tmp/out" 2>&1)" ''
done

# The report is the one that its recording gives
for format in text json; do
	run replay -f $format "$events/qemu-pingpong.events"
	cp "$tmp/out" "$tmp/direct"
	is "report as $format: exit code" "$code" 0
	run replay -o "$tmp/rec.ivm" "$events/qemu-pingpong.events"
	is "-o: silent" "$code$out$err" 0
	run report -f $format "$tmp/rec.ivm"
	is "report as $format: the recording's own" "$(cmp "$tmp/out" "$tmp/direct" 2>&1)" ''
done
run replay --by mode "$events/clones.events"
is "--by mode: one block" "$(grep -c '  total ' <<< "$out")" 1
mkdir "$tmp/empty"
TMPDIR=$tmp/empty run replay "$events/clones.events"
is "nothing is left behind" "$(ls -A "$tmp/empty")" ''

# Exit codes
run replay "$events/unmatched.events"
is "what is wrong is no error" "$code" 0
fails "--strict: exit code" 2 'strict: 1 unmatched' replay --strict "$events/unmatched.events"
fails "-o --strict: exit code" 2 'strict: 1 unmatched' replay --strict -o "$tmp/rec.ivm" "$events/unmatched.events"
fails "no file" 1 'which file of events' replay
fails "a file that is not there" 1 'cannot read /no/such: No such file' replay /no/such
fails "a directory" 1 "cannot replay $tmp: Is a directory" replay "$tmp"
fails "-o where nothing can be written" 1 'cannot create /no/such/file' replay -o /no/such/file "$events/clones.events"
fails "-o and --format" 1 '-o writes a recording' replay -o "$tmp/rec.ivm" -f json "$events/clones.events"
fails "--by and json" 1 'only the text report' replay --by link -f json "$events/clones.events"
fails "events and --strict" 1 'assembles nothing' replay --strict -f events "$events/clones.events"

# refuses NAME LINE REGEX TEXT: a file that ends with TEXT is refused for that line
refuses() {
	printf '%b' "$4" > "$tmp/bad.events"
	fails "refused: $1" 1 "^ivmtrace: $tmp/bad.events:$2: .*$3" replay "$tmp/bad.events"
}

head='ivmtrace-events 1\n'
one="${head}vm 1 tgid=100\nvcpu 1/0 tid=101\nend 1/1 vectors=1\n"
refuses "an empty file" 1 'this is no event file' ''
refuses "no magic" 2 'this is no event file' '# hello\nvm 1 tgid=100\n'
refuses "a newer version" 1 "version 2 is not known" 'ivmtrace-events 2\n'
refuses "a NUL byte" 2 'there is a NUL byte' "${head}vm 1 \0tgid=1\n"
refuses "a long line" 2 'longer than 4095 bytes' "$head$(printf '1%.0s' {1..4096})"
refuses "a time alone" 2 'nothing behind the time' "${head}100\n"
refuses "no time" 2 "'100/101' is no time" "${head}100/101 0 kvm_entry\n"
refuses "an unknown word" 2 "unknown word 'vms'" "${head}vms 1 tgid=100\n"
refuses "a time that is none" 2 "'12x' is no time" "${head}12x 100/101 0 kvm_entry\n"
refuses "a time beyond all" 2 "time '9223372036854775808' is out of range" "${head}9223372036854775808 1/1 0 kvm_entry\n"
refuses "times that add up beyond all" 3 'the time is out of range' "${head}9223372036854775807 1/1 0 kvm_entry\n+1 1/1 0 kvm_entry\n"
refuses "an event at 0" 2 'needs a time after 0' "${head}0 1/1 0 kvm_entry\n"
refuses "an unknown event" 2 "unknown event 'kvm_entri'" "${head}1 1/1 0 kvm_entri\n"
refuses "half an event" 2 'should read: TIME' "${head}1 1/1 0\n"
refuses "an unknown key" 2 "'kvm_entry' has no 'moon=1'" "${head}1 1/1 0 kvm_entry moon=1\n"
refuses "a missing key" 2 "'write' needs fd=" "${head}1 1/1 0 write\n"
refuses "a key given twice" 2 'fd= is given twice' "${head}1 1/1 0 write fd=1 fd=2\n"
refuses "a key in two words" 2 "'write' has no 'c=2'" "${head}1 1/1 0 write fd=1 c=2\n"
refuses "a number that does not fit" 2 "fd '4294967296' is out of range" "${head}1 1/1 0 write fd=4294967296\n"
refuses "a negative address" 2 "'-1' is no address" "${head}1 1/1 0 kvm_fast_mmio address=-1\n"
refuses "control characters" 2 "unknown word 'a.033b'" "${head}a\033b\n"
refuses "a VM number left out" 2 'the next VM is number 1' "${head}vm 2 tgid=100\n"
refuses "two VMs of one process" 3 'process 100 has a VM already' "${head}vm 1 tgid=100\nvm 2 tgid=100\n"
refuses "a vCPU of no VM" 2 'there is no VM 1 yet' "${head}vcpu 1/0 tid=1\n"
refuses "a vCPU of a VM that is gone" 4 'VM 1 is gone' "${head}vm 1 tgid=1\nvm 1 gone\nvcpu 1/0 tid=1\n"
refuses "an end in two VMs" 6 'end 1 is in VM 1' "${one}vm 2 tgid=200\nend 2/1 up=1\n"
refuses "an end of another kind" 5 'no link end can be like that' "${one}end 1/1 vectors=257\n"
refuses "an end that went" 6 'end 1 is gone' "${one}end 1/1 gone\nend 1/1 up=1\n"
refuses "a vector beyond all" 5 "END/VECTOR '1/256' is out of range" "${one}vector 1/256 mask=1\n"
refuses "an unknown flag" 5 "'often' is no flags" "${one}vector 1/0 flags=often\n"
refuses "an unknown mode" 5 "'fast' is no tx" "${one}end 1/1 tx=fast\n"
refuses "a name too long" 5 'is out of range' "${one}end 1/1 name=$(printf 'x%.0s' {1..64})\n"
refuses "a name with a NUL" 5 'is no name' "${one}end 1/1 name=a%00b\n"
refuses "a wired end of a link" 3 "'end' makes it" "${head}vm 1 tgid=1\nwired 1/1 kind=link bell=none\n"
refuses "a pair of links" 6 'paired by link_id' "${one}end 1/2 vectors=1\npair 1/2\n"
refuses "a pair of nobody" 5 'there is no such end' "${one}pair 1/2\n"
refuses "armed twice" 3 'armed twice' "${head}1 arm\n2 arm\n"
refuses "an arm without a time" 2 "'arm' needs a time" "${head}arm\n"
refuses "a duration of its own" 2 'follows from arm and stop' "${head}meta duration_ns=1\n"
refuses "a negative loss" 2 "'-1' is no count" "${head}lost ringbuf -1\n"

# What a recording says of its host and its losses comes through
printf '%b' "${one}meta kernel=9.9 rig=native start=2026-01-01T00:00:00Z\n1000 arm\n2000 stop\n"\
'hook kvm_exit state=tp_btf fired=7 missed=1 run_ns=9\nlost ringbuf 3\n' > "$tmp/facts.events"
fails "a loss of the session" 2 'strict: 3 lost: ringbuf' replay --strict -o "$tmp/rec.ivm" "$tmp/facts.events"
is "facts of the session" "$(sqlite3 "$tmp/rec.ivm" "SELECT value FROM meta WHERE key IN ('kernel', 'start_ns',
	'duration_ns') ORDER BY key; SELECT * FROM hooks" | tr '\n' ' ')" '1000 9.9 1000 kvm_exit|tp_btf|7|1|9 '

done_testing
