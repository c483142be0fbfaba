#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ivmtrace mark: what it refuses.  That marks are taken: tests/vm/runs-native.t.
. tests/tap.sh
. tests/cli/fixture.sh

fails "no name" 1 "which name" mark
fails "an empty name" 1 "a name has 1 to 63 bytes" mark ''
fails "a name of two lines" 1 "a name has 1 to 63 bytes" mark $'a\nb'
fails "a long name" 1 "a name has 1 to 63 bytes" mark "$(printf 'x%.0s' {1..64})"
fails "two names" 1 "Too many|too many|unexpected" mark a b
fails "a PID that is none" 1 "--pid: 'x' is not" mark -p x a
fails "a process that records nothing" 1 "process $$ is not recording" mark -p $$ a

done_testing
