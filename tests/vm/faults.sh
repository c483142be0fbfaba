#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Faults and changes in the middle of journeys, and what becomes of them.
#
#   faults.sh native|lab-6.1|lab-6.12 [NAME...]   all of them unless told
set -u

here=$(cd "$(dirname "$0")" && pwd)
rig=$1
shift
out=$IVM_OUT/vm/faults-$rig

rm -rf "$out"
mkdir -p "$out"
case $rig in
native)
	if ! [ -w /dev/kvm ]; then
		echo "# /dev/kvm cannot be used here; the lab has the same faults"
		exit 77
	fi
	"$here/run-faults.sh" "$IVMTRACE" "$out" "$@" < /dev/null
	;;
lab-*)
	# shellcheck disable=SC2016 # LAB_OUT is the lab's
	"$here/in-lab.sh" "${rig#lab-}" 1800 "$out" -- \
		bash -c 'exec "$0/run-faults.sh" "$1" "$LAB_OUT" "${@:2}" < /dev/null' \
		"$here" "$IVMTRACE" "$@"
	;;
esac
exec "$here/check-faults.py" "$out" "$@"
