#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The same traffic by our own hooks and out of a perf.data: the same journeys.
set -u

here=$(cd "$(dirname "$0")" && pwd)
out=$IVM_OUT/vm/import
dir=$(mktemp -d)
# shellcheck source=tests/vm/guests.sh
. "$here/guests.sh"
perf_pid=
# shellcheck disable=SC2317 # called by the trap
clean_up() {
	[ -z "$perf_pid" ] || kill -KILL "$perf_pid" 2> /dev/null
	vm_cleanup
	rm -rf "$dir"
}
trap clean_up EXIT

if ! [ -w /dev/kvm ]; then
	echo "# /dev/kvm cannot be used here"
	exit 77
fi
if ! command -v perf > /dev/null; then
	echo "# perf is not installed"
	exit 77
fi
rm -rf "$out"
mkdir -p "$out"

# one_mode MODE: leaves MODE.ivm, our own, and MODE-perf.ivm
one_mode() {
	local mode=$1 link=import-$1

	pair "$link" "mode=$mode" "pattern=rate=200" "pattern=rate=200 count=300"
	wait_said ready "$link-pong" "$link-ping" || return 1
	# A BPF program on a system call's tracepoint hides it from perf
	record "$out/$mode.ivm" --backend tracefs --raw "$out/$mode.events" --link "$link" || return 1
	# shellcheck disable=SC2046 # arguments
	perf record -q -a -m 8M -o "$out/$mode.data" $("$IVMTRACE" events --perf) \
		-- sleep 60 > "$out/$mode.perf.log" 2>&1 &
	perf_pid=$!
	wait_for "perf" test -s "$out/$mode.data"
	sleep 2
	go "$link-pong" "$link-ping"
	wait_said 'done' "$link-pong" "$link-ping" || return 1
	sleep 0.5
	kill -INT "$perf_pid"
	wait "$perf_pid"
	perf_pid=
	stop_record || return 1
	release "$link-pong" "$link-ping"
	"$IVMTRACE" import -t "$out/$mode.events" -o "$out/$mode-perf.ivm" "$out/$mode.data" \
		2> "$out/$mode.import.log"
}

for mode in direct irqfd qemu; do
	one_mode "$mode"
	echo $? > "$out/$mode.code"
	vm_cleanup
done
exec "$here/check-import.py" "$out" direct irqfd qemu
