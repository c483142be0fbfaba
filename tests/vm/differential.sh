#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Both backends over the same traffic at the same time, here or inside the lab:
# leaves NAME.bpf.ivm and NAME.tracefs.ivm, and their NAME.*.code, for each kind of
# traffic in a directory.  Judging them is check-differential.py's business.
#
#   differential.sh OUT      uses IVMTRACE and IVM_OUT
set -u

out=$1
dir=$(mktemp -d)
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/vm/guests.sh
. "$here/guests.sh"
declare -A recorder
# shellcheck disable=SC2317 # called by the trap
end() {
	kill -KILL "${recorder[@]}" 2> /dev/null
	vm_cleanup
	rm -rf "$dir"
}
trap end EXIT

# both_follow TRAFFIC LINK: until both recorders know the link
both_follow() {
	local backend

	for backend in bpf tracefs; do
		wait_for "$backend to find $2" grep -qs "following link $2 " \
			"$out/$1.$backend.ivm.log"
	done
}

# run MODE TRAFFIC "GUEST OPTIONS": one link of that mode from start to end
run() {
	local link=$2-$1

	pair "$link" "mode=$1,vectors=2" "$3" "$3"
	wait_said ready "$link-ping" "$link-pong" || return 1
	both_follow "$2" "$link"
	go "$link-pong" "$link-ping"
	wait_said 'done' "$link-ping" "$link-pong" || return 1
	release "$link-ping" "$link-pong"
}

# compare TRAFFIC "GUEST OPTIONS"
compare() {
	local traffic=$1 options=$2 backend mode

	for backend in bpf tracefs; do
		record "$out/$traffic.$backend.ivm" --backend $backend --link "$traffic-*" \
			-d 600 -m 256M --strict ||
			return 1
		recorder[$backend]=$record_pid
	done
	for mode in qemu irqfd direct; do
		run $mode "$traffic" "$options" || return 1
	done
	for backend in bpf tracefs; do
		record_pid=${recorder[$backend]}
		stop_record
		echo $? > "$out/$traffic.$backend.code"
		unset "recorder[$backend]"
	done
}

mkdir -p "$out"
compare paced "pattern=rate=100 count=${COUNT:-200} vectors=2"
compare flood "pattern=flood count=${FLOOD:-2000} vectors=2"
