#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Perfetto traces: read back by a decoder of the tests' own, and compared with the recording.
. tests/tap.sh
. tests/cli/fixture.sh

check() {
	is "$1" "$(python3 tests/cli/perfetto.py "$2" "$3" 2>&1)" ''
}

for name in native lab posted stamps empty; do
	recording "$name"
	run report --format perfetto -o "$tmp/$name.pftrace" "$tmp/$name.ivm"
	is "$name: written" "$code$out$err" 0
	check "$name: all of the recording is in the trace" "$tmp/$name.ivm" "$tmp/$name.pftrace"
done
"$ivmtrace" report --format perfetto "$tmp/native.ivm" | cmp -s - "$tmp/native.pftrace"
is "the same on stdout" $? 0

# Whatever overlaps on a thread or a link gets a lane of its own
cp "$tmp/lab.ivm" "$tmp/overlap.ivm"
sqlite3 "$tmp/overlap.ivm" 'UPDATE journeys SET eoi = NULL; UPDATE journeys SET
	entry = entry + 500000 * (id % 7), isr = isr + 500000 * (id % 7), inject = inject + 500000 * (id % 7)'
run report --format perfetto -o "$tmp/overlap.pftrace" "$tmp/overlap.ivm"
check "overlapping journeys" "$tmp/overlap.ivm" "$tmp/overlap.pftrace"

# What a recording must not be able to do to a trace
cp "$tmp/native.ivm" "$tmp/odd.ivm"
sqlite3 "$tmp/odd.ivm" "UPDATE ends SET link = '<script>' || char(10) || '\"' || CAST(x'ff' AS TEXT);
	DELETE FROM vcpus WHERE vcpu_id = 0; DELETE FROM vms WHERE id = 2;
	UPDATE journeys SET route = dispatch - 5 WHERE id % 10 = 0;
	UPDATE journeys SET accept = 9223372036854775807 WHERE id % 10 = 1"
run report --format perfetto -o "$tmp/odd.pftrace" "$tmp/odd.ivm"
is "odd names, missing threads, times out of order: written" "$code" 0
check "odd names, missing threads, times out of order: as recorded" "$tmp/odd.ivm" "$tmp/odd.pftrace"
sqlite3 "$tmp/odd.ivm" "UPDATE journeys SET accept = -1 WHERE id = 7"
fails "a time that none can be" 1 damaged report --format perfetto -o "$tmp/no.pftrace" "$tmp/odd.ivm"
is "nothing is left of a trace that failed" "$(find "$tmp" -name 'no.pftrace*')" ''
fails "grouping is for text" 1 'have groups of any kind' report --format perfetto --by mode "$tmp/lab.ivm"

done_testing
