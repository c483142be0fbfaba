#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The two backends against each other on one rig.
#
#   differential-rig.sh native|lab-6.1|lab-6.12
set -u

here=$(cd "$(dirname "$0")" && pwd)
rig=$1
out=$IVM_OUT/vm/differential-$rig

rm -rf "$out"
mkdir -p "$out"
case $rig in
native)
	if ! [ -w /dev/kvm ]; then
		echo "# /dev/kvm cannot be used here; the lab does the same"
		exit 77
	fi
	"$here/differential.sh" "$out"
	;;
lab-*)
	# shellcheck disable=SC2016 # LAB_OUT is the lab's
	"$here/in-lab.sh" "${rig#lab-}" 900 "$out" --env COUNT=100 --env FLOOD=1000 -- \
		bash -c 'exec "$0/differential.sh" "$LAB_OUT"' "$here"
	;;
esac
exec "$here/check-differential.py" "$out" "${rig%%-*}"
