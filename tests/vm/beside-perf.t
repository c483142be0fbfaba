#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Whoever else traces the system calls that a recording looks at still sees them all.
set -u

here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
count=200
# shellcheck source=tests/tap.sh
. "$here/../tap.sh"
# shellcheck source=tests/vm/guests.sh
. "$here/guests.sh"
trap 'touch "$dir/off"; vm_cleanup; rm -rf "$dir"' EXIT

if ! [ -w /dev/kvm ]; then
	echo "# /dev/kvm cannot be used here"
	exit 77
fi
if ! command -v perf > /dev/null; then
	echo "# perf is not installed"
	exit 77
fi

# counted NAME: the sends of NAME's QEMU while both guests play, as perf counts them
counted() {
	rm -f "$dir/on" "$dir/off"
	perf stat -x , -e syscalls:sys_enter_sendmsg -p "${vm_pid[$1]}" -o "$dir/stat" -- sh -c \
		"touch $dir/on; until [ -e $dir/off ]; do sleep 0.05; done" &
	wait_for "perf" test -e "$dir/on" >&2
	go beside-pong beside-ping
	wait_said 'done' beside-pong beside-ping >&2
	touch "$dir/off"
	wait $!
	sed -n 's/,.*sys_enter_sendmsg.*//p' "$dir/stat"
}

pair beside mode=qemu pattern=pingpong "pattern=pingpong count=$count"
wait_said ready beside-pong beside-ping && record "$dir/beside.ivm" --link beside -d 300 || exit 1
wait_for "the link to be followed" grep -qs "following link beside " "$dir/beside.ivm.log"
seen=$(counted beside-ping)
stop_record
is "the recording has each doorbell" \
	"$(sqlite3 "$dir/beside.ivm" 'SELECT min(rung) FROM counts')" "$count"
if [ "${seen:-0}" -ge $count ]; then
	ok "perf has each send"
else
	not_ok "perf has each send" "$seen of $count"
fi
done_testing
