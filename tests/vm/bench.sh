#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# make bench: the three modes and the baseline on one rig, kept under out/.
#
#   bench.sh OUTPUT-DIR RIG KERNEL [OPTIONS of ivmtrace bench]
set -eu

build=$(realpath "$1") rig=$2 kernel=$3
shift 3
here=$(cd "$(dirname "$0")" && pwd)
keep=out
ivmtrace=$build/ivmtrace
mkdir -p "$keep"

case $rig in
native)
	name=bench-native
	"$ivmtrace" bench -o "$keep/$name.ivm" "$@" > "$keep/$name.txt"
	;;
lab)
	name=bench-lab-$kernel
	make --no-print-directory lab-image KERNEL="$kernel"
	# shellcheck disable=SC2016 # LAB_OUT is the lab's
	"$here/../lab/run.sh" --kernel "$kernel" --timeout 900 --share "$build" --out "$keep" -- \
		bash -c 'exec "$0" bench -o "$LAB_OUT/$1.ivm" "${@:2}" > "$LAB_OUT/$1.txt"' \
		"$ivmtrace" "$name" "$@"
	;;
*)
	echo "bench: no rig '$rig': native or lab" >&2
	exit 1
	;;
esac
"$ivmtrace" report --format json "$keep/$name.ivm" > "$keep/$name.json"
cat "$keep/$name.txt"
echo "  KEPT     $keep/$name.{txt,json,ivm}"
