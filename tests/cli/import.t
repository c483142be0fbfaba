#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# import, events: traces of perf and trace-cmd, from whomever.
. tests/tap.sh
. tests/cli/fixture.sh

topology=$data/replay/direct-pingpong.events
import() {
	run import -t "$topology" -o "$tmp/out.ivm" "$@"
}

import "$data/import-perf.txt"
is "perf script: exit code" "$code" 0
run script "$tmp/out.ivm"
is "both doorbells are there" "$(wc -l < "$tmp/out")" 2
is "the first one" "$(sed -n 1p "$tmp/out")" "1.000001500 a/0 -> b/0 a-b direct vec=0 idt=65\
 cookie=1 delivered exit dispatch+1000 route+500 accept+100 kick+400 vcpu_exit+700 inject+900\
 entry+300"
run import -t "$topology" -o "$tmp/out.ivm" - < /dev/null
is "an empty one" "$code" 1
"$ivmtrace" import -t "$topology" -o "$tmp/out.ivm" - < "$data/import-perf.txt" 2> "$tmp/err"
is "from standard input" "$?" 0

sed 's/ val 0x2$//' "$data/import-perf.txt" > "$tmp/text"
import "$tmp/text"
like "a line that lacks a field is counted" "$err" "1 records? could not be read"
is "... in the recording, too" "$(sqlite3 "$tmp/out.ivm" \
	"SELECT count FROM lost WHERE source = 'import_unread'")" 1
head -c 900 "$data/import-perf.txt" > "$tmp/text"
import "$tmp/text"
is "cut off: exit code" "$code" 0
tr ' ' '\377' < "$data/import-perf.txt" > "$tmp/text"
fails "not text" 1 "no event" import -t "$topology" -o "$tmp/none.ivm" "$tmp/text"
head -c 100000 /dev/urandom > "$tmp/noise"
fails "noise" 1 "no event" import -t "$topology" -o "$tmp/none.ivm" "$tmp/noise"
{ printf '\x17\x08\x44tracing'; cat "$tmp/noise"; } > "$tmp/dat"
run import -t "$topology" -o "$tmp/none.ivm" "$tmp/dat"
is "noise that calls itself trace.dat" "$code" 1
{ printf 'PERFILE2'; cat "$tmp/noise"; } > "$tmp/perf"
run import -t "$topology" -o "$tmp/none.ivm" "$tmp/perf"
is "noise that calls itself perf.data" "$code" 1
is "no recording is left of those" "$(find "$tmp" -name 'none*')" ''
grep -v kvm_mmio "$data/import-perf.txt" > "$tmp/text"
fails "without doorbells" 1 "no kvm:kvm_mmio" import -t "$topology" -o "$tmp/none.ivm" "$tmp/text"

fails "no topology" 1 "topology is missing" import "$data/import-perf.txt"
fails "a topology that is none" 1 "import-perf.txt:2" import -t "$data/import-perf.txt" x
fails "no file" 1 "which file" import -t "$topology"
fails "a file that is not there" 1 "cannot read" import -t "$topology" -o "$tmp/none.ivm" "$tmp/gone"
fails "events: both" 1 "either" events --perf --trace-cmd
run events --all --perf
like "events for perf" "$out" \
	'^-k CLOCK_MONOTONIC -e kvm:kvm_exit .*-e syscalls:sys_enter_write --filter count==8 '
run events --all --trace-cmd
like "events for trace-cmd" "$out" \
	'^-C mono -e kvm:kvm_exit .*-e syscalls:sys_enter_write -f count==8 '

done_testing
