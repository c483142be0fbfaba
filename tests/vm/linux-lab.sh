#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Linux guests under real KVM in all modes, followed by the tracer: the guests check
# each message, and count their doorbells and interrupts as the tracer does.
#
#   linux-lab.sh KERNEL MESSAGES   of the lab and of its guests; each way, in each mode
set -u
. tests/tap.sh

here=$(cd "$(dirname "$0")" && pwd)
series=$1 messages=$2
out=$IVM_OUT/vm/linux-lab-$series

make -s guest-linux O="$IVM_OUT" > "$IVM_OUT/linux-build.log" 2>&1 ||
	{ echo "# no Linux guest: $(tail -n 1 "$IVM_OUT/linux-build.log")"; exit 77; }
rm -rf "$out"
mkdir -p "$out"

# shellcheck disable=SC2016 # the lab's variables
"$here/in-lab.sh" "$series" $((3000 + messages / 2)) "$out" -- bash -c '
	bench() {
		"$IVMTRACE" bench --guest "linux-$series" --timeout "$limit" -o "$LAB_OUT/$1.ivm" \
			"${@:2}" > "$LAB_OUT/$1.txt" 2> "$LAB_OUT/$1.err"
		echo $? > "$LAB_OUT/$1.status"
	}
	series=$0 limit=$((600 + $1 / 8))s
	bench messages --pattern messages --warmup 0 -c "$1"
	bench pingpong --modes direct --warmup 5 -c 50' "$series" "$messages"

# ask RUN FILTER: of its report
ask() {
	"$IVMTRACE" report --format json "$out/$1.ivm" | jq -rc "$2"
}

for run in messages pingpong; do
	is "$run: done, and the counts are the guests' own" "$(cat "$out/$run.status")" 0
	[ "$(cat "$out/$run.status")" = 0 ] || diag "$(tail -n 5 "$out/$run.err")"
done
is "both ways in each mode" "$(ask messages "[.guest[] | select(.sent > $messages) | .mode] | sort")" \
	'["direct","direct","irqfd","irqfd","qemu","qemu"]'
is "what each guest's kernel adds is told by itself" \
	"$(ask pingpong '[.guest_kernel[] | select(.count > 0) | .hop] | sort')" \
	'["isr..read","isr..read","write..ring","write..ring"]'
done_testing
