#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# ivshmem-doorbell next to `ivmtrace list --irqfd` and `record`: who rings whom as
# /proc and the device's contract say, every interrupt counted as the guests do.
set -u

here=$(cd "$(dirname "$0")" && pwd)
count=2000
vectors=2

# judge RIG IOEVENTFD DIRECTORY
judge() {
	"$here/foreign-check.py" "$3" "$2" "$1, ioeventfd=$2"
}

native() {
	local out=$IVM_OUT/vm/foreign-native-$1

	rm -rf "$out"
	"$here/foreign-run.sh" "$IVM_OUT" "$1" $count $vectors "$out"
	judge native "$1" "$out"
}

lab() {
	local out=$IVM_OUT/vm/foreign-lab-$1-$2

	rm -rf "$out"
	mkdir -p "$out"
	# shellcheck disable=SC2016 # LAB_OUT is the lab's
	"$here/../lab/run.sh" --kernel "$1" --timeout 240 --tool mktemp --tool mkfifo \
		--share "$IVM_OUT" --share "$here" --out "$out" --log "$out/console.log" -- \
		bash -c 'exec "$0/foreign-run.sh" "$1" "$2" "$3" "$4" "$LAB_OUT"' \
		"$here" "$IVM_OUT" "$2" $count $vectors
	judge "lab-$1" "$2" "$out"
}

number() {
	awk '/^(not )?ok/ { sub(/ok/, "ok " ++n) } { print } END { print "1.." n }'
}

{
	if [ -w /dev/kvm ]; then
		native on
	fi
	lab 6.1 on
	lab 6.12 on
} | number
