#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs the traffic of cases.txt, here or inside the lab, and leaves for each case
# NAME.json, NAME.err and NAME.code in a directory, for many links the directory
# NAME.lanes, and doctor.json beside them.  Judging them is
# check-cases.py's business: this one needs nothing but a shell.
#
#   run-cases.sh IVMTRACE CASES OUT SECONDS   SECONDS for each case at the most
set -u

ivmtrace=$1 cases=$2 out=$3 limit=$4
mkdir -p "$out"
timeout -k 10 120 "$ivmtrace" doctor --format json > "$out/doctor.json" < /dev/null

while read -r name args; do
	case $name in ''|'#'*) continue ;; esac
	# shellcheck disable=SC2086 # options are words
	set -- $args
	case " $args " in *" --links "*)
		mkdir -p "$out/$name.lanes"
		set -- "$@" --keep-lanes "$out/$name.lanes" ;;
	esac
	start=$SECONDS
	timeout -k 10 "$limit" "$ivmtrace" bench --no-baseline --format json --strict \
		-o "$out/$name.ivm" "$@" > "$out/$name.json" 2> "$out/$name.err" < /dev/null
	code=$?
	echo $code > "$out/$name.code"
	echo "# $name: bench $* -> exit $code after $((SECONDS - start)) s"
done < "$cases"
