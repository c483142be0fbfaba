#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Files that are no recordings, or no longer: one clear line, exit 1.
. tests/tap.sh
. tests/cli/fixture.sh

recording native
good=$tmp/native.ivm
bad=$tmp/bad.ivm

# refused NAME REGEX: by every command that reads recordings
refused() {
	for command in report script; do
		fails "$command: $1" 1 "^ivmtrace: cannot read .*: .*$2" "$command" "$bad"
	done
}

# altered SQL
altered() {
	cp "$good" "$bad"
	sqlite3 -bail "$bad" "$1"
}

rm -f "$bad"
refused "missing" 'No such file'
: > "$bad"
refused "empty" 'empty'
head -c 50 "$good" > "$bad"
refused "half a header" 'truncated'
head -c 20000 "$good" > "$bad"
refused "truncated" 'truncated'
head -c -1 "$good" > "$bad"
refused "one byte missing" 'truncated'
echo 'PERFILE2 or something' > "$bad"
refused "another kind of file" 'not an ivmtrace recording'
rm -f "$bad"
sqlite3 "$bad" 'CREATE TABLE t (x)'
refused "another database" 'not an ivmtrace recording'
altered 'PRAGMA user_version = 99'
refused "a newer version" 'newer ivmtrace'
altered 'DROP TABLE ends'
refused "without a table" 'damaged'
altered "UPDATE journeys SET mode = 'teleport' WHERE id = 20500"
refused "with an unknown mode" 'damaged'
altered 'UPDATE journeys SET accept = -5 WHERE id = 1'
refused "with a negative time" 'damaged'
rm -f "$bad"
mkdir "$bad"
refused "a directory" 'directory'
rmdir "$bad"
mkfifo "$bad"
refused "a pipe nobody writes to" 'not a regular file'
rm -f "$bad"
if [ "$(id -u)" -ne 0 ]; then
	cp "$good" "$bad"
	chmod 0 "$bad"
	refused "not readable" 'Permission denied'
else
	skip "not readable" "root may read anything"
fi

case $ivmtrace in
/*) ;;
*) ivmtrace=$PWD/$ivmtrace ;;
esac
mkdir "$tmp/empty"
cd "$tmp/empty" || exit 1
fails "nothing recorded yet" 1 "cannot read ivmtrace.ivm: .*try 'ivmtrace record' first" report

done_testing
