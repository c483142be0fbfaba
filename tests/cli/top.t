#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ivmtrace top: what it refuses.  What it shows: tests/unit/test_series.c, tests/vm/runs-native.t.
. tests/tap.sh
. tests/cli/fixture.sh

fails "too often" 1 "--delay: 1ms is out of range" top -d 1ms
fails "no tables" 1 "--iterations: 0 is out of range" top -n 0
fails "a column there is not" 1 "--sort: 'x' is none of rate, p50, p99, lost, link" top -s x
fails "a process there is not" 1 "there is no process 2147483647" top -p 2147483647
fails "operands" 1 "" top x

done_testing
