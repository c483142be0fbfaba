# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# TAP for shell tests: source it, call ok/not_ok/is/like/skip, end with `done_testing`.

tap_count=0
tap_failed=0

diag() {
	printf '%s\n' "$*" | sed 's/^/# /'
}

ok() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1"
}

# not_ok NAME [EXPLANATION...]
not_ok() {
	tap_count=$((tap_count + 1))
	tap_failed=$((tap_failed + 1))
	echo "not ok $tap_count - $1"
	shift
	if [ $# -gt 0 ]; then
		diag "$@"
	fi
}

skip() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count # SKIP $1: $2"
}

# is NAME GOT WANTED
is() {
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		not_ok "$1" "got:    $2" "wanted: $3"
	fi
}

# like NAME TEXT EXTENDED-REGEX
like() {
	if grep -Eq -- "$3" <<< "$2"; then
		ok "$1"
	else
		not_ok "$1" "text:    $2" "lacks:   $3"
	fi
}

done_testing() {
	echo "1..$tap_count"
	exit $((tap_failed != 0))
}
