#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# All traffic in all modes on this machine's own KVM, counts equal to the guests'.
set -u

here=$(cd "$(dirname "$0")" && pwd)
out=$IVM_OUT/vm/native

if ! [ -w /dev/kvm ]; then
	echo "# /dev/kvm cannot be used here; the lab runs the same cases"
	exit 77
fi
rm -rf "$out"
"$here/run-cases.sh" "$IVMTRACE" "$here/cases.txt" "$out"
exec "$here/check-cases.py" "$here/cases.txt" "$out" native
