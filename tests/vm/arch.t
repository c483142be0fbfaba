#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A PC and an arm64 machine on one link in mode qemu: what either guest rang the
# other one took, by both guests' own counts and by both devices'.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/tap.sh
. "$here/../tap.sh"

dir=$(mktemp -d)
vm_accel=tcg
[ ! -w /dev/kvm ] || vm_accel=kvm
# shellcheck source=tests/vm/guests.sh
. "$here/guests.sh"
# shellcheck source=tests/vm/guests-arm64.sh
. "$here/guests-arm64.sh"
trap 'vm_cleanup; rm -rf "$dir"' EXIT

# on ARCH NAME DEVICES OPTIONS
on() {
	local arch=$1

	shift
	if [ "$arch" = arm64 ]; then
		vm_arm64 "$@"
	else
		vm "$@"
	fi
}

# run_link PINGS-ARCH PONGS-ARCH LINK PROPERTIES TRAFFIC
run_link() {
	local link=$3 properties="mode=qemu,$4"

	on "$2" pong "$(mailbox l "$link" server "$properties")" "role=pong $5" || return
	wait_for "the socket" test -S "$dir/$link.sock" || return
	on "$1" ping "$(mailbox l "$link" client "$properties")" "role=ping $5" || return
	wait_said ready ping pong && go ping pong && wait_said "done" ping pong &&
		lanes ping "$dir/$link.shmem"
}

# counts PINGS-ARCH PONGS-ARCH PATTERN COUNT VECTORS pingpong|oneway
counts() {
	local link=${1}-${2}-${3%%=*} name="$1 to $2, $3, $4 doorbells, $5 vectors"

	if run_link "$1" "$2" "$link" "vectors=$5" "pattern=$3 count=$4"; then
		is "$name" "$("$here/check-lanes.py" "$dir/$link.shmem" "$6" "$4")" ""
		is "$name: ended well" "$(release ping pong; tail -n 1 "$dir/ping.err" "$dir/pong.err" |
			grep -v '^==>\|^$')" ""
	else
		not_ok "$name" "$(cat "$dir"/p[io]ng.{out,err})"
	fi
	vm_cleanup
	rm -f "$dir"/p[io]ng.*
}

# What the tracer says of a PC under KVM whose peer is emulated
recording() {
	local properties=mode=qemu,vectors=4

	vm_arm64 pong "$(mailbox l traced server "$properties")" "role=pong" || return
	wait_for "the socket" test -S "$dir/traced.sock" || return
	vm ping "$(mailbox l traced client "$properties")" "role=ping count=2000" || return
	wait_said ready ping pong && record "$dir/traced.ivm" --strict --link traced &&
		go ping pong && wait_said "done" ping pong && stop_record
}

if [ "$vm_accel" = kvm ]; then
	recording
	is "a recording, --strict" "$?: $(grep strict "$dir/traced.ivm.log")" "0: "
	is "it has what the PC rang, up to where QEMU read it, and no more" \
		"$(sqlite3 "$dir/traced.ivm" "SELECT outcome, count(*), count(send), count(recv),
			count(accept) FROM journeys GROUP BY 1")" "unseen|2000|2000|2000|0"
	is "it lost nothing" "$(sqlite3 "$dir/traced.ivm" "SELECT sum(count) FROM lost")" 0
	release ping pong
	rm -f "$dir"/p[io]ng.*
else
	skip "a recording" "/dev/kvm cannot be used here"
fi

counts x86 arm64 pingpong 2000 4 pingpong
counts arm64 x86 pingpong 2000 4 pingpong
counts arm64 arm64 pingpong 2000 256 pingpong
counts x86 arm64 flood 3000 2 oneway
counts arm64 x86 flood 3000 2 oneway
counts arm64 x86 burst=16 2000 8 oneway
done_testing
