#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What was held up on purpose is explained by what held it up.
set -u

here=$(cd "$(dirname "$0")" && pwd)
out=$IVM_OUT/vm/explain

if ! [ -w /dev/kvm ]; then
	echo "# /dev/kvm cannot be used here"
	exit 77
fi
rm -rf "$out"
mkdir -p "$out"
"$here/run-delays.sh" "$IVMTRACE" "$here/explain.txt" "$out" --context < /dev/null
exec "$here/check-explain.py" "$IVMTRACE" "$here/explain.txt" "$out"
