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
#
# A guest asks for what it cannot do itself: "want: WORD" on its console.
set -u

build=$1 here=$2 out=$3 accel=$4 series=$5 scale=$6
shift 6
guest=$build/guest/linux-$series
dir=$(mktemp -d)
limit=$((250 + 30 * scale))
declare -A pids=()
relay_pid=
trap 'stop; rm -rf "$dir"' EXIT

# shellcheck disable=SC2317 # called by a trap
stop() {
	local pid

	# TERM is what timeout hands on
	for pid in "${pids[@]}" $relay_pid; do
		kill "$pid" 2> /dev/null
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

# The link's device, as -device and device_add take it
device() {
	echo "ivm-mailbox,id=link,chardev=l,link=$case,mode=$mode,vectors=$vectors,shmem=16M"
}

# Devices that the driver must leave alone: a smaller BAR, another version
misfits() {
	[ "$case" = life ] && [ "$1" = pong ] || return
	echo -object memory-backend-ram,id=ram,size=1M,share=on
	echo -device ivshmem-plain,memdev=ram
	echo -chardev "socket,id=other,path=$dir/other.sock,server=on,wait=off"
	echo -device ivm-mailbox,chardev=other,x-version=0x20000
}

# vm NAME CHARDEV
vm() {
	local cpu=host

	[ "$accel" = kvm ] || cpu=qemu64
	rm -f "$dir"/*."$1" "$dir/mon-$1".*
	mkfifo "$dir/in.$1" "$dir/mon-$1.in" "$dir/mon-$1.out"
	: > "$out/$name.$1"
	# shellcheck disable=SC2046 # words
	timeout -k 5 "$limit" "$build/qemu/qemu-system-x86_64" -name "$1" -M pc -accel "$accel" \
		-cpu "$cpu" -m 256 -smp 1 -nodefaults -no-user-config -display none -vga none \
		-no-reboot -L "$build/qemu/share" -bios "$build/qemu/share/qboot.rom" \
		-chardev stdio,id=com,signal=off -serial chardev:com -kernel "$guest/vmlinuz" \
		-chardev "pipe,id=mon,path=$dir/mon-$1" -mon chardev=mon,mode=readline \
		-trace ivm_doorbell_ring -D "$out/$name.$1.rings" -initrd "$dir/initrd" \
		-append "console=ttyS0 loglevel=5 panic=-1 oops=panic no_timer_check -- $1 $case $scale" \
		-chardev "socket,id=l,path=$2" -device "$(device)" $(misfits "$1") \
		<> "$dir/in.$1" > "$out/$name.$1" 2> "$out/$name.$1.err" &
	pids[$1]=$!
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

wanted() {
	tr -d '\r' < "$out/$name.$1" | sed -n 's/^want: //p' | sed -n "$2p"
}

# serve SIDE OTHER: do what its guest has asked for since; the guest asks again if it has to
serve() {
	case $(wanted "$1" $((served[$1] + 1))) in
	'')	return ;;
	unplug)	echo "device_del link" >> "$dir/mon-$1.in" ;;
	plug)	echo "device_add $(device)" >> "$dir/mon-$1.in" ;;
	peer)	echo >> "$dir/in.$2" ;;
	esac
	served[$1]=$((served[$1] + 1))
}

runs() {
	kill -0 "${pids[$1]}" 2> /dev/null
}

# With one that has failed there is nothing for the other to do
has_failed() {
	! runs "$1" && ! grep -qs '^test: end 0' "$out/$name.$1"
}

ended() {
	! runs pong || serve pong ping
	! runs ping || serve ping pong
	has_failed pong || has_failed ping || { ! runs pong && ! runs ping; }
}

relay() {
	"$build/vm/linux-relay" "$1.relay" "$1" $((scale > 1 ? 50 : 5)) 300 "$1.gate" \
		> "$out/$name.relay" &
	relay_pid=$!
	wait_until test -S "$1.relay"
}

cut_off() {
	[ "$(grep -c '^cut' "$out/$name.relay")" -ge $((scale > 1 ? 50 : 5)) ]
}

tell_both() {
	echo >> "$dir/in.pong"
	echo >> "$dir/in.ping"
}

# What happens to the link while the guests talk
disturb() {
	case $case in
	flap)
		wait_until connected
		touch "$socket.gate"
		wait_until cut_off
		tell_both ;;
	fuzz)
		wait_until connected
		"$build/vm/linux-fuzz" "$(pgrep -n -P "${pids[ping]}")" 0 $((10 * scale)) 42 \
			> "$out/$name.fuzz" 2>&1
		tell_both ;;
	esac
}

# run MODE CASE
run() {
	local mode=$1 case=$2 name=$1-$2 socket=$dir/$1-$2.sock vectors=3 to
	declare -A served=([pong]=0 [ping]=0)

	to=$socket
	[ "$case" != stress ] || vectors=65
	vm pong "$socket,server=on,wait=off"
	wait_until test -S "$socket"
	if [ "$case" = flap ]; then
		relay "$socket"
		to=$socket.relay
	fi
	vm ping "$to,reconnect=1"
	disturb
	wait_until ended
	stop
}

mkdir -p "$out"
make_initrd
for what; do
	start=$SECONDS
	run "${what%%:*}" "${what##*:}"
	echo "# $what: $((SECONDS - start)) s"
done
