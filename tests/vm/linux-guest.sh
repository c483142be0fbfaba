#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=dash
#
# What linux-pair.sh has its guests do: pong or ping, the case, the scale.
# "test: NAME STATUS" for each step; everything else is for whoever reads the log.

side=$1 case=$2 scale=$3

# step NAME COMMAND...
step() {
	name=$1
	shift
	"$@"
	echo "test: $name $?"
}

wait_peer() {
	i=0
	while [ "$(cat /sys/class/ivm/ivm0/peer_ready)" != 1 ] && [ $i -lt 600 ]; do
		usleep 100000
		i=$((i + 1))
	done
	echo "test: begin"
}

# As somebody who may use the node and nothing else
as_user() {
	chmod 666 /dev/ivm0
	su guest -c "$*"
}

# Readers and a poller are there while the driver loses its device, and gets it back
unbind() {
	dev=$(basename "$(readlink -f /sys/class/ivm/ivm0/device)")
	ivm -C 1 recv 2> /tmp/recv.err &
	reader=$!
	ivm -C 0 -t 60 -T 60 stress > /dev/null 2>&1 &
	stresser=$!
	sleep 1
	echo "$dev" > /sys/bus/pci/drivers/ivm_mailbox/unbind
	wait $reader
	grep -q 'No such device' /tmp/recv.err || return 1
	wait $stresser
	[ ! -e /dev/ivm0 ] || return 1
	echo "$dev" > /sys/bus/pci/drivers/ivm_mailbox/bind
	i=0
	while [ ! -e /dev/ivm0 ] && [ $i -lt 50 ]; do
		usleep 100000
		i=$((i + 1))
	done
	[ -e /dev/ivm0 ]
}

reload() {
	rmmod ivm_mailbox && insmod /ivm_mailbox.ko && sleep 1 && [ -e /dev/ivm0 ]
}

# The two ends wait for each other: pong tells, ping hears
tell() {
	ivm -C 2 -t 100 send go
}

hear() {
	ivm -C 2 -t 100 -c 1 recv > /dev/null
}

stress() {
	ivm -t 100 "$@" stress
}

run_ping() {
	case $case in
	messages) step messages stress -c $((2000 * scale)) -S 7 ;;
	flap)	step flap stress -T $((25 * scale)) -S 8 ;;
	stress)	step stress stress -P 8 -n 64 -T $((20 * scale)) -S 9 ;;
	fuzz)	step rough stress --rough -t 20 -T $((12 * scale)) -S 10
		step flush stress --rough -t 20 -c 10
		step clean stress -c 500 -S 11 ;;
	life)	hear
		step raw ivm -r -c 50 ping
		hear
		step echo ivm -C 1 -c 100 -s 300 ping
		step user as_user ivm -j -c 100 ping
		hear
		step after stress -c 200 -C 1 ;;
	esac
}

run_pong() {
	case $case in
	life)	ivm -r -c 50 pong &
		usleep 500000
		tell
		wait $!
		step load insmod /ivm_echo.ko channel=1
		step busy test "$(ivm -C 1 -t 1 -c 1 recv 2>&1 | grep -c busy)" = 1
		tell
		ivm -t 100 -c 100 pong
		step unload rmmod ivm_echo
		step unbind unbind
		step reload reload
		tell
		step after stress -c 200 -C 1 ;;
	*)	run_ping ;;
	esac
}

wait_peer
[ "$case" = life ] || [ "$side" = pong ] || usleep 200000
if [ "$side" = pong ]; then run_pong; else run_ping; fi
ivm -j stat | head -c 600
echo
dmesg | grep -E 'ivm|BUG|WARNING|Oops|Call Trace' | sed 's/^/dmesg: /'
echo "test: end 0"
sleep 3
