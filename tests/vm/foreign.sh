#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# ivshmem-doorbell, with ioeventfd=on and off, and a process that writes to its eventfds,
# next to `ivmtrace list --irqfd` and `record`: who rings whom as /proc and the device's
# contract say, every interrupt counted as the guests do.
#
#   foreign.sh RIG=KIND,KIND... ...   RIG native, 6.1 or 6.12; KIND on, off or writer
set -u

here=$(cd "$(dirname "$0")" && pwd)
count=2000
vectors=2

native() {
	local out=$IVM_OUT/vm/foreign-native-$1

	rm -rf "$out"
	"$here/foreign-run.sh" "$IVM_OUT" "$1" $count $vectors "$out"
	"$here/foreign-check.py" "$out" "$1" "native, $1" $count
}

# lab KERNEL KIND...: all in one lab
lab() {
	local kernel=$1 out=$IVM_OUT/vm/foreign-lab-$1 kind

	shift
	rm -rf "$out"
	mkdir -p "$out"
	# shellcheck disable=SC2016 # LAB_OUT is the lab's
	"$here/../lab/run.sh" --kernel "$kernel" --timeout 400 --tool mktemp --tool mkfifo \
		--share "$IVM_OUT" --share "$here" --out "$out" --log "$out/console.log" -- \
		bash -c 'here=$0 build=$1 count=$2 vectors=$3
			shift 3
			for kind; do
				"$here/foreign-run.sh" "$build" "$kind" "$count" "$vectors" \
					"$LAB_OUT/$kind"
			done' "$here" "$IVM_OUT" $count $vectors "$@"
	for kind; do
		"$here/foreign-check.py" "$out/$kind" "$kind" "lab-$kernel, $kind" $count
	done
}

number() {
	awk '/^(not )?ok/ { sub(/ok/, "ok " ++n) } { print } END { print "1.." n }'
}

for part; do
	IFS=, read -ra kinds <<< "${part#*=}"
	case $part in
	native=*)
		[ -w /dev/kvm ] || continue
		for kind in "${kinds[@]}"; do
			native "$kind"
		done
		;;
	*)
		lab "${part%%=*}" "${kinds[@]}"
		;;
	esac
done | number
