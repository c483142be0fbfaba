#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ivmtrace record: what it refuses before it traces anything.
. tests/tap.sh
. tests/cli/fixture.sh

fails "keep what?" 1 "--keep: 'some' is not all, tail or N/s" record --keep some
fails "keep nothing a second" 1 "--keep: '' is not a whole number" record --keep /s
fails "keep a negative rate" 1 "--keep: '-1' is not a whole number" record --keep=-1/s
fails "keep far too many" 1 "--keep: 1000000001 is out of range" record --keep 1000000001/s
fails "a size that is none" 1 "--max-size: 'big' is not a size" record --max-size big
fails "a file without room for anything" 1 "--max-size: 4096 is out of range" record --max-size 4096

done_testing
