#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Delays of known length, each of which belongs to one row of the report.
#
#   delays.sh native|lab-6.1|lab-6.12 MS [NAME...]   all of delays.txt unless told
#
# COUNT times each (50).  A busy host delays what it likes, too: a disturbance that fails is
# tried again, twice at the most, and what failed is printed.  So a tracer that is wrong now and
# then is not found here, but by the counts and cookies of the other tests.
set -u

here=$(cd "$(dirname "$0")" && pwd)
rig=$1 ms=$2
shift 2
out=$IVM_OUT/vm/delays-$rig
cases=$out/table/cases.txt

if [ "$rig" = native ] && ! [ -w /dev/kvm ]; then
	echo "# /dev/kvm cannot be used here; the lab makes the same delays"
	exit 77
fi

# table FILE NAME...: these disturbances, or all
table() {
	local to=$1

	shift
	sed "s/@MS@/$ms/; s/@HZ@/$((300 / ms))/; s/@COUNT@/${COUNT:-50}/" "$here/delays.txt" |
		awk -v names="$*" 'BEGIN { n = split(names, name); for (i in name) wanted[name[i]] = 1 }
			!/^#/ && (!n || $1 in wanted)' > "$to"
}

# disturb NAME...
disturb() {
	table "$out/table/now.txt" "$@"
	case $rig in
	native)
		"$here/run-delays.sh" "$IVMTRACE" "$out/table/now.txt" "$out" < /dev/null ;;
	lab-*)
		# shellcheck disable=SC2016 # LAB_OUT is the lab's
		"$here/in-lab.sh" "${rig#lab-}" $((600 + 20 * ${COUNT:-50})) "$out" \
			--share "$out/table" -- bash -c 'exec "$0/run-delays.sh" "$1" "$2" "$LAB_OUT" < /dev/null' \
			"$here" "$IVMTRACE" "$out/table/now.txt" ;;
	esac
}

rm -rf "$out"
mkdir -p "$out/table"
table "$cases" "$@"
for attempt in 1 2 3; do
	disturb "$@"
	"$here/check-delays.py" "$cases" "$out" > "$out/tap"
	code=$?
	# shellcheck disable=SC2046 # names
	set -- $(sed -nE 's/^not ok [0-9]+ - ([^:]+):.*/\1/p' "$out/tap" | sort -u)
	[ $# -gt 0 ] && [ $attempt -lt 3 ] || break
	echo "# once more: $*"
	sed -n '/^not ok/,/^ok/{ /^ok/!s/^/# /p }' "$out/tap"
done
cat "$out/tap"
exit $code
