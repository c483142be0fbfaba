#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# All traffic of a table in all modes on one rig, counts equal to the guests'.
#
#   rig.sh native|lab-6.1|lab-6.12 CASES [SECONDS [JUDGE]]   SECONDS for each case
#
# In the table @COUNT@ stands for the variable COUNT, @HALF@ for half of it.
set -u

here=$(cd "$(dirname "$0")" && pwd)
rig=$1
limit=${3:-300}
judge=${4:-check-cases.py}
out=$IVM_OUT/vm/$2-$rig
cases=$out/table/cases.txt

rm -rf "$out"
mkdir -p "$out/table"
sed "s/@COUNT@/${COUNT:=0}/g; s/@HALF@/$((COUNT / 2))/g" "$here/$2.txt" > "$cases"
case $rig in
native)
	if ! [ -w /dev/kvm ]; then
		echo "# /dev/kvm cannot be used here; the lab runs the same cases"
		exit 77
	fi
	"$here/run-cases.sh" "$IVMTRACE" "$cases" "$out" "$limit"
	;;
lab-*)
	# shellcheck disable=SC2016 # LAB_OUT is the lab's
	"$here/in-lab.sh" "${rig#lab-}" $((4 * limit)) "$out" --share "$out/table" -- \
		bash -c 'exec "$0/run-cases.sh" "$1" "$2" "$LAB_OUT" "$3"' \
		"$here" "$IVMTRACE" "$cases" "$limit"
	;;
esac
exec "$here/$judge" "$cases" "$out" "${rig%%-*}"
