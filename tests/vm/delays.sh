#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Delays of known length, each of which belongs to one row of the report.
#
#   delays.sh native|lab-6.1|lab-6.12 CASES [BOUND]
set -u

here=$(cd "$(dirname "$0")" && pwd)
rig=$1 cases=$2
out=$IVM_OUT/vm/$(basename "$cases" .txt)-$rig

rm -rf "$out"
mkdir -p "$out"
case $rig in
native)
	if ! [ -w /dev/kvm ]; then
		echo "# /dev/kvm cannot be used here; the lab makes the same delays"
		exit 77
	fi
	"$here/run-delays.sh" "$IVMTRACE" "$cases" "$out" < /dev/null
	;;
lab-*)
	# shellcheck disable=SC2016 # LAB_OUT is the lab's
	"$here/../lab/run.sh" --kernel "${rig#lab-}" --timeout 600 --env "IVM_OUT=$IVM_OUT" \
		--tool nice --share "$IVM_OUT" --share "$here" --out "$out" --log "$out/console.log" -- \
		bash -c 'exec "$0/run-delays.sh" "$1" "$0/$2" "$LAB_OUT" < /dev/null' \
		"$here" "$IVMTRACE" "$(basename "$cases")"
	;;
esac
exec "$here/check-delays.py" "$cases" "$out" "${3:-0.05}"
