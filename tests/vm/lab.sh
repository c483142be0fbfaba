#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# All traffic in all modes on a lab host with the given kernel series.
set -u

here=$(cd "$(dirname "$0")" && pwd)
kernel=$1
out=$IVM_OUT/vm/lab-$kernel

rm -rf "$out"
mkdir -p "$out"
# shellcheck disable=SC2016 # LAB_OUT is the lab's
"$here/../lab/run.sh" --kernel "$kernel" --timeout 900 --share "$IVM_OUT" --share "$here" \
	--out "$out" --log "$out/console.log" -- \
	bash -c 'exec "$0/run-cases.sh" "$1" "$0/cases.txt" "$LAB_OUT"' "$here" "$IVMTRACE"
exec "$here/check-cases.py" "$here/cases.txt" "$out" lab
