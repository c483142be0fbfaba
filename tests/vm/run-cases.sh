#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs the traffic of cases.txt, here or inside the lab, and leaves for each case
# NAME.json, NAME.err and NAME.code in a directory.  Judging them is
# check-cases.py's business: this one needs nothing but a shell.
#
#   run-cases.sh IVMTRACE CASES OUT [PERCENT]   PERCENT of each count, for slow rigs
set -u

ivmtrace=$1 cases=$2 out=$3 percent=${4:-100}
mkdir -p "$out"

scaled() {
	local args=() previous=

	for arg; do
		[ "$previous" = --count ] && arg=$((arg * percent / 100))
		args+=("$arg")
		previous=$arg
	done
	echo "${args[@]}"
}

while read -r name args; do
	case $name in ''|'#'*) continue ;; esac
	# shellcheck disable=SC2046,SC2086 # options are words
	set -- $(scaled $args)
	start=$SECONDS
	timeout -k 10 300 "$ivmtrace" bench --no-baseline --format json --strict \
		-o "$out/$name.ivm" "$@" > "$out/$name.json" 2> "$out/$name.err" < /dev/null
	code=$?
	echo $code > "$out/$name.code"
	echo "# $name: bench $* -> exit $code after $((SECONDS - start)) s"
done < "$cases"
