# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Recordings from SQL, with the schema that docs/recording.md prints.

export LC_ALL=C
ivmtrace=${IVMTRACE:-.output/ivmtrace}
data=${IVM_TEST_DATA:-tests/data}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# new_recording FILE: an empty one
new_recording() {
	rm -f "$1"
	{
		echo 'PRAGMA application_id = 0x69766d74; PRAGMA user_version = 2;'
		sed -n '/^```sql$/,/^```$/p' docs/recording.md | sed '/^```/d'
	} | sqlite3 -bail "$1"
}

# recording NAME: tests/data/NAME.sql, as $tmp/NAME.ivm
recording() {
	new_recording "$tmp/$1.ivm"
	{ echo 'BEGIN;'; cat "$data/$1.sql"; echo 'COMMIT;'; } | sqlite3 -bail "$tmp/$1.ivm"
}

# run ARGUMENT...: sets $out, $err and $code
run() {
	"$ivmtrace" "$@" > "$tmp/out" 2> "$tmp/err" < /dev/null
	code=$?
	out=$(< "$tmp/out")
	err=$(< "$tmp/err")
}

# fails NAME CODE ERROR-REGEX ARGUMENT...: one line on stderr, nothing on stdout
fails() {
	local name=$1 wanted=$2 regex=$3

	shift 3
	run "$@"
	if [ "$code" -ne "$wanted" ]; then
		not_ok "$name" "exit code $code, wanted $wanted" "$err"
	elif [ -n "$out" ] && [ "$wanted" -ne 2 ]; then
		not_ok "$name" "stdout is not empty:" "$out"
	elif [ "$(wc -l < "$tmp/err")" -ne 1 ]; then
		not_ok "$name" "not one line:" "$err"
	elif ! grep -Eq -- "$regex" <<< "$err"; then
		not_ok "$name" "stderr: $err" "lacks: $regex"
	else
		ok "$name"
	fi
}
