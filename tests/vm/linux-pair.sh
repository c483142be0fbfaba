#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Linux guests at both ends of a link, here or inside the lab: runs cases and
# leaves for each NAME.pong and NAME.ping, what their consoles said.  Judging is
# linux.sh's business.
#
#   linux-pair.sh BUILD HERE OUT ACCEL SERIES SCALE MODE:CASE...
#
# SCALE multiplies counts and times: 1 for check-vm, more for make soak.
set -u

build=$1 here=$2 out=$3 accel=$4 series=$5 scale=$6
shift 6
guest=$build/guest/linux-$series
dir=$(mktemp -d)
limit=$((250 + 30 * scale))
pids=()
relay_pid=
trap 'stop; rm -rf "$dir"' EXIT

# shellcheck disable=SC2317 # called by a trap
stop() {
	local pid

	for pid in "${pids[@]}" $relay_pid; do
		kill -KILL "$pid" 2> /dev/null
		wait "$pid" 2> /dev/null
	done
	pids=() relay_pid=
}

# The initrd with the test in it: a second archive behind the first
make_initrd() {
	mkdir -p "$dir/test"
	cp "$here/linux-guest.sh" "$dir/test/test"
	chmod 755 "$dir/test/test"
	(cd "$dir/test" && echo test | "$build/guest/busybox" cpio -o -H newc 2> /dev/null) |
		cat "$guest/initrd" - > "$dir/initrd"
}

# vm NAME CASE MODE CHARDEV
vm() {
	local cpu=host

	[ "$accel" = kvm ] || cpu=qemu64
	timeout -k 5 "$limit" "$build/qemu/qemu-system-x86_64" -name "$1" -M pc -accel "$accel" \
		-cpu "$cpu" -m 256 -smp 1 -nodefaults -no-user-config -display none -vga none \
		-no-reboot -L "$build/qemu/share" -bios "$build/qemu/share/qboot.rom" \
		-chardev stdio,id=com,signal=off -serial chardev:com -kernel "$guest/vmlinuz" \
		-initrd "$dir/initrd" \
		-append "console=ttyS0 loglevel=5 panic=-1 oops=panic no_timer_check -- $1 $2 $scale" \
		-chardev "socket,id=l,path=$4" \
		-device "ivm-mailbox,chardev=l,link=$2,mode=$3,vectors=$vectors,shmem=16M" \
		< /dev/null > "$out/$name.$1" 2> "$out/$name.$1.err" &
	pids+=($!)
}

wait_until() {
	local end=$((SECONDS + limit))

	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}

connected() {
	grep -qs '^test: begin' "$out/$name.pong" && grep -qs '^test: begin' "$out/$name.ping"
}

run() {
	local mode=$1 case=$2 socket=$dir/$1-$2.sock to
	name=$mode-$case vectors=3 to=$socket

	[ "$case" != stress ] || vectors=65
	vm pong "$case" "$mode" "$socket,server=on,wait=off"
	wait_until test -S "$socket"
	if [ "$case" = flap ]; then
		to=$socket.relay
		"$build/vm/linux-relay" "$to" "$socket" 50 300 > "$out/$name.relay" &
		relay_pid=$!
		wait_until test -S "$to"
	fi
	vm ping "$case" "$mode" "$to,reconnect=1"
	if [ "$case" = fuzz ] && wait_until connected; then
		"$build/vm/linux-fuzz" "$(pgrep -n -P "${pids[1]}")" 0 $((10 * scale)) 42 \
			> "$out/$name.fuzz" 2>&1
	fi
	wait "${pids[@]}"
	pids=()
	stop
}

mkdir -p "$out"
make_initrd
for what; do
	start=$SECONDS
	run "${what%%:*}" "${what##*:}"
	echo "# $what: $((SECONDS - start)) s"
done
