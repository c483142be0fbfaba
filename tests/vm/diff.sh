#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What `ivmtrace diff` says of runs with and without a delay at a known place.
#
#   diff.sh ROUNDS RUNS [NAME...]   of diff.txt; all unless told
#
# Each round has RUNS runs a side, one of either in turn, each with VMs of its own.
set -u

here=$(cd "$(dirname "$0")" && pwd)
rounds=$1 runs=$2
out=$IVM_OUT/vm/diff-${3:-all}

shift 2
if ! [ -w /dev/kvm ]; then
	echo "# /dev/kvm cannot be used here"
	exit 77
fi
rm -rf "$out"
mkdir -p "$out"
awk -v names="$*" 'BEGIN { n = split(names, name); for (i in name) wanted[name[i]] = 1 }
	!/^#/ && (!n || $1 in wanted)' "$here/diff.txt" > "$out/table.txt"
awk -v rounds="$rounds" -v runs="$runs" '{
	for (i = 1; i <= rounds; i++)
		for (k = 1; k <= runs; k++) {
			print $1 "-" i "-a" k, $2, $3, $4, $6, $7
			print $1 "-" i "-b" k, $2, $3, $5, $6, $7
		}
	}' "$out/table.txt" > "$out/cases.txt"
"$here/run-delays.sh" "$IVMTRACE" "$out/cases.txt" "$out" < /dev/null
exec "$here/check-diff.py" "$IVMTRACE" "$out/table.txt" "$out" "$rounds" "$runs"
