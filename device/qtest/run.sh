#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# run.sh DIR: run the device's qtests with the QEMU in DIR, print what failed
# and one line of numbers.  Exit 0 if all passed.
set -uo pipefail

dir=$(cd "${1:?usage: run.sh DIR}" && pwd -P)
export QTEST_QEMU_BINARY=$dir/qemu-system-x86_64
TMPDIR=$(mktemp -d)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
passed=0 failed=0 skipped=0

for test in ivm-mailbox-test ivm-link-test; do
	timeout 300 "$dir/$test" --tap -k >"$TMPDIR/$test.tap" 2>"$TMPDIR/$test.err"
	rc=$?
	ok=$(grep -c '^ok ' "$TMPDIR/$test.tap")
	skip=$(grep -ci '^ok .*# skip' "$TMPDIR/$test.tap")
	bad=$(grep -c '^not ok ' "$TMPDIR/$test.tap")
	planned=$(sed -n 's/^1\.\.//p' "$TMPDIR/$test.tap")
	if [ "$bad" -ne 0 ] || [ $rc -ne 0 ] || [ "$ok" != "${planned:-none}" ]; then
		echo "$test: exit $rc, $ok ok and $bad not ok of ${planned:-?}"
		grep -Ev '^(ok |# )' "$TMPDIR/$test.tap" | tail -n 20
		tail -n 20 "$TMPDIR/$test.err"
		[ "$bad" -ne 0 ] || bad=1
	fi
	passed=$((passed + ok - skip)) failed=$((failed + bad)) skipped=$((skipped + skip))
done

echo "device: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
