#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The same doorbells by our own hooks and by another tracer, here or inside the lab.
# Leaves MODE.ivm, our own, MODE.trace, and MODE.code.
#
#   run-import.sh IVMTRACE perf|trace-cmd OUT RATE COUNT MODE...
set -u

here=$(cd "$(dirname "$0")" && pwd)
IVMTRACE=$1 tracer=$2 out=$3 rate=$4 count=$5
shift 5
mkdir -p "$out"
dir=$(mktemp -d)
# shellcheck source=tests/vm/guests.sh
. "$here/guests.sh"
tracer_pid=
# shellcheck disable=SC2317 # called by the trap
clean_up() {
	[ -z "$tracer_pid" ] || kill -KILL "$tracer_pid" 2> /dev/null
	vm_cleanup
	rm -rf "$dir"
}
trap clean_up EXIT

# start_tracer FILE: both run their command once they trace
start_tracer() {
	local events command="touch $dir/tracing; exec sleep 600"

	rm -f "$dir/tracing"
	events=$("$IVMTRACE" events "--$tracer")
	# shellcheck disable=SC2086 # arguments
	case $tracer in
	perf)
		perf record -q -a -m 8M -o "$1" $events -- sh -c "$command" > "$1.log" 2>&1 &
		;;
	trace-cmd)
		trace-cmd record -b 16384 -o "$1" $events sh -c "$command" > "$1.log" 2>&1 &
		;;
	esac
	tracer_pid=$!
}

one_mode() {
	local mode=$1 link=import-$1

	pair "$link" "mode=$mode" "pattern=rate=$rate" "pattern=rate=$rate count=$count"
	wait_said ready "$link-pong" "$link-ping" || return 1
	record "$out/$mode.ivm" --raw "$out/$mode.events" --link "$link" ||
		return 1
	start_tracer "$out/$mode.trace"
	wait_for "$tracer" test -e "$dir/tracing" || return 1
	go "$link-pong" "$link-ping"
	wait_said 'done' "$link-pong" "$link-ping" || return 1
	sleep 0.5
	kill -INT "$tracer_pid"
	wait "$tracer_pid"
	tracer_pid=
	stop_record || return 1
	release "$link-pong" "$link-ping"
}

for mode; do
	one_mode "$mode"
	echo $? > "$out/$mode.code"
	vm_cleanup
done
