#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A recording of our own and one imported from another tracer of the same doorbells.
#
#   import.sh native|lab-6.12 perf|trace-cmd MODE...
set -u

here=$(cd "$(dirname "$0")" && pwd)
rig=$1 tracer=$2
shift 2
out=$IVM_OUT/vm/import-$rig

if ! command -v "$tracer" > /dev/null; then
	echo "# $tracer is not installed"
	exit 77
fi
rm -rf "$out"
mkdir -p "$out"
case $rig in
native)
	if ! [ -w /dev/kvm ]; then
		echo "# /dev/kvm cannot be used here"
		exit 77
	fi
	"$here/run-import.sh" "$IVMTRACE" "$tracer" "$out" 200 300 "$@" < /dev/null
	;;
lab-*)
	# shellcheck disable=SC2016 # LAB_OUT is the lab's
	"$here/../lab/run.sh" --kernel "${rig#lab-}" --timeout 400 --env "IVM_OUT=$IVM_OUT" \
		--tool "$tracer" --share "$IVM_OUT" --share "$here" --out "$out" \
		--log "$out/console.log" -- \
		bash -c '"$0/run-import.sh" "$1" "$2" "$LAB_OUT" 20 60 "${@:3}" < /dev/null' \
		"$here" "$IVMTRACE" "$tracer" "$@"
	;;
esac
for mode; do
	"$IVMTRACE" import -t "$out/$mode.events" -o "$out/$mode-import.ivm" "$out/$mode.trace" \
		2> "$out/$mode.import.log" || echo 1 > "$out/$mode.code"
done
exec "$here/check-import.py" "$out" "$@"
