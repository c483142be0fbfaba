#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Holds doorbells up, at one place of their way after the other, here or inside the
# lab.  Leaves for each case a recording, the injector's log or the guest's lanes, and
# NAME.code.  check-delays.py judges.
#
#   run-delays.sh IVMTRACE CASES OUT [RECORD-OPTION...]
#
# Of each line of CASES: name, mode, place, delay in ms, pace in Hz, times.  0 ms: the same
# doorbells and the same injector, which holds nothing up.
set -u

here=$(cd "$(dirname "$0")" && pwd)
IVMTRACE=$1 cases=$2 out=$3
shift 3
record_options=("$@")
mkdir -p "$out"
dir=$(mktemp -d)
# shellcheck source=tests/vm/guests.sh
. "$here/guests.sh"
# What else this host does should delay nothing
# shellcheck disable=SC2034 # for guests.sh
vm_prefix=(nice -n -19)
trap 'vm_cleanup; rm -rf "$dir"' EXIT

# thread NAME COMM: its number
thread() {
	local task

	for task in /proc/"${vm_pid[$1]}"/task/*; do
		if [ "$(< "$task/comm")" = "$2" ]; then
			basename "$task"
		fi
	done
}

# injector LOG ARGUMENT...: in the background
injector() {
	local log=$1

	shift
	nice -n -20 timeout 300 "$IVM_OUT/vm/delay" "$@" > "$log" 2> "$log.err" &
	injector_pid=$!
}

# with_relay LINK MODE LOG MS TIMES PATTERN HELD: a pair whose socket has somebody in between
with_relay() {
	vm "$1-pong" "$(mailbox l "$1" server "mode=$2,link=$1")" "role=pong $6"
	wait_for "$1's socket" test -S "$dir/$1.sock"
	injector "$3" "${vm_pid[$1-pong]}" "$7" "$4" relay "$dir/$1-relay.sock" "$dir/$1.sock"
	wait_for "the relay" test -S "$dir/$1-relay.sock"
	vm "$1-ping" "$(mailbox l "$1-relay" client "mode=$2,link=$1")" \
		"role=ping $6 count=$((3 * $5 + 20))"
}

run_case() {
	local name=$1 mode=$2 place=$3 ms=$4 hz=$5 times=$6 link=delay-$1 log=$out/$1.log
	local pattern="pattern=rate=$5" held=$6 code

	injector_pid=
	[ "$ms" -gt 0 ] || held=0
	case $place in
	guest:*)
		pattern="pattern=step count=$((2 * times))"
		pair "$link" "mode=$mode" "$pattern delay=${place#guest:},$((ms > 0 ? ms * 1000 : 1))" \
			"$pattern" ;;
	relay)
		with_relay "$link" "$mode" "$log" "$ms" "$times" "$pattern" "$held" ;;
	*)
		pair "$link" "mode=$mode" "$pattern" "$pattern count=$((3 * times + 20))" ;;
	esac
	wait_said ready "$link-pong" "$link-ping" || return 1
	case $place in
	main)
		injector "$log" "${vm_pid[$link-pong]}" "$held" "$ms" stop "${vm_pid[$link-pong]}" ;;
	vcpu)
		injector "$log" "${vm_pid[$link-pong]}" "$held" "$ms" stop \
			"$(thread "$link-pong" 'CPU 0/KVM')" ;;
	compete)
		injector "$log" "${vm_pid[$link-pong]}" "$held" "$ms" compete \
			"$(thread "$link-pong" 'CPU 0/KVM')" 1 ;;
	esac
	if [ -n "$injector_pid" ]; then
		wait_for "the injector" grep -q ready "$log"
	fi
	record "$out/$name.ivm" "${record_options[@]}" --link "$link" || return 1
	sleep 0.5
	go "$link-pong" "$link-ping"
	wait_said 'done' "$link-pong" "$link-ping" || return 1
	sleep 0.3
	stop_record
	code=$?
	lanes "$link-pong" "$out/$name.lanes"
	release "$link-pong" "$link-ping"
	if [ -n "$injector_pid" ]; then
		wait "$injector_pid" || code=$?
	fi
	return "$code"
}

while read -r name mode place ms hz times _; do
	case $name in ''|'#'*) continue ;; esac
	start=$SECONDS
	run_case "$name" "$mode" "$place" "$ms" "$hz" "$times"
	code=$?
	echo $code > "$out/$name.code"
	echo "# $name: exit $code after $((SECONDS - start)) s"
	vm_cleanup
done < "$cases"
