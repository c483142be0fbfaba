#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# All traffic of a table in all modes on one rig, counts equal to the guests'.
#
#   rig.sh native|lab-6.1|lab-6.12 [CASES [SECONDS [JUDGE]]]   SECONDS for each case
set -u

here=$(cd "$(dirname "$0")" && pwd)
rig=$1
cases=${2:-$here/cases.txt}
limit=${3:-300}
judge=${4:-check-cases.py}
out=$IVM_OUT/vm/$(basename "$cases" .txt)-$rig

rm -rf "$out"
mkdir -p "$out"
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
	"$here/../lab/run.sh" --kernel "${rig#lab-}" --timeout $((8 * limit)) \
		--share "$IVM_OUT" --share "$here" --out "$out" --log "$out/console.log" -- \
		bash -c 'exec "$0/run-cases.sh" "$1" "$0/$2" "$LAB_OUT" "$3"' \
		"$here" "$IVMTRACE" "$(basename "$cases")" "$limit"
	;;
esac
exec "$here/$judge" "$cases" "$out" "${rig%%-*}"
