#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=dash
#
# What linux-pair.sh has its guests do: pong or ping, the case, the scale.
# "test: NAME STATUS" for each step, "want: WORD" for what linux-pair.sh is to do;
# everything else is for whoever reads the log.

side=$1 case=$2 scale=$3
wait_s=100	# for anything
driver=/sys/bus/pci/drivers/ivm_mailbox
tracing=/sys/kernel/tracing

# step NAME COMMAND...: nothing comes behind one that fails
step() {
	name=$1
	shift
	"$@"
	status=$?
	echo "test: $name $status"
	[ $status = 0 ] || exit
}

end() {
	ivm -j stat | head -c 600
	echo
	dmesg | sed -n '/ivm_mailbox: loading/,$s/^/dmesg: /p' |
		grep -E 'ivm|BUG|WARNING|Oops|Call Trace'
	echo "test: end $status"
}

# within COMMAND...: wait until it succeeds
within() {
	i=0
	until "$@"; do
		[ $i -lt $((10 * wait_s)) ] || return 1
		usleep 100000
		i=$((i + 1))
	done
}

there() { [ -e /dev/ivm0 ]; }
gone() { [ ! -e /dev/ivm0 ]; }
peer_ready() { [ "$(cat /sys/class/ivm/ivm0/peer_ready 2> /dev/null)" = 1 ]; }
# A program in the background has got to its open(), to IVM_IOC_WAIT
has_opened() {
	for fd in "/proc/$1/fd/"*; do
		[ "$(readlink "$fd")" != /dev/ivm0 ] || return 0
	done
	return 1
}
waits() { grep -q '^16 0x[0-9a-f]* 0x[0-9a-f]*76c4 ' "/proc/$1/syscall" 2> /dev/null; }

# counter CHANNEL COLUMN, as ivm stat prints them: 2 rung, 3 interrupts, 4 sent
counter() {
	ivm stat | awk -v channel="$1" -v column="$2" '$1 == channel { print $column }'
}

at_least() { [ "$(counter "$1" "$2")" -ge "$3" ]; }

# The two ends wait for each other: one tells, the other hears
tell() { ivm -C 2 -t 1000 send go; }
hear() { ivm -C 2 -t 1000 -c 1 recv > /dev/null; }

# As somebody who may use the node and nothing else
as_user() {
	chmod 666 /dev/ivm0
	su guest -c "$*"
}

stress() {
	ivm -t $wait_s "$@" stress
}

# A line from linux-pair.sh
listen() { read -r _ < /dev/console; }

# Until linux-pair.sh has done what this is about
stress_until_told() {
	ivm -t $wait_s -T 80000 "$@" stress &
	stresser=$!
	listen
	kill -INT $stresser
	wait $stresser
}

# ---- readers, a poller and traffic while the device goes ----

start_users() {
	ivm -C 1 recv 2> /tmp/reader &
	reader=$!
	ivm -C 2 -t 1000 -c 1 recv 2> /tmp/poller &
	poller=$!
	sent=$(counter 0 4)
	ivm -C 0 -t 1000 -c 2000000 ping 2> /tmp/pinger &
	pinger=$!
	within has_opened "$reader" && within has_opened "$poller" &&
		within at_least 0 4 $((sent + 50))
}

users_lost_it() {
	wait "$reader" "$poller" "$pinger"
	for user in reader poller pinger; do
		grep -q 'No such device' /tmp/$user || { cat /tmp/$user; return 1; }
	done
}

unplug() {
	start_users || return 1
	echo "want: unplug"
	within gone && users_lost_it || return 1
	i=0
	until there || [ $i = $wait_s ]; do
		echo "want: plug"
		sleep 1
		i=$((i + 1))
	done
	there && within peer_ready
}

rebind() {
	dev=$(basename "$(readlink -f /sys/class/ivm/ivm0/device)")
	echo "$dev" > $driver/unbind
	gone && echo "$dev" > $driver/bind && within there && within peer_ready
}

unbind() {
	start_users && rebind && users_lost_it
}

# A module that somebody uses stays, also one whose device is gone
reload() {
	dev=$(basename "$(readlink -f /sys/class/ivm/ivm0/device)")
	(exec 9< /dev/ivm0; exec sleep 10000) &
	opener=$!
	within has_opened $opener
	rmmod ivm_mailbox 2> /dev/null && return 1
	echo "$dev" > $driver/unbind
	rmmod ivm_mailbox 2> /dev/null && return 1
	kill $opener
	wait $opener
	within rmmod ivm_mailbox 2> /dev/null
	insmod /ivm_mailbox.ko && within there && within peer_ready
}

# ---- holding interrupts ----

# Nothing comes while they are held, one when they are let go; by whatever end
hold() {
	before=$(counter 1 3)
	ivm -C 1 hold > /tmp/hold &
	holder=$!
	within grep -q holding /tmp/hold || return 1
	ivm -C 1 -T 1 hold 2>&1 | grep -q busy || return 1
	tell
	hear
	[ "$(counter 1 3)" = "$before" ] || return 1
	kill -KILL $holder
	wait $holder
	within at_least 1 3 $((before + 1)) && [ "$(counter 1 3)" = $((before + 1)) ]
}

ring_held() {
	hear
	ivm -C 1 -r -c 3 send
	tell
}

# ---- trace events ----

trace_on() {
	echo 1 > $tracing/events/ivm_mailbox/enable
}

# What linux.sh compares: the doorbells are those that the device saw
show_trace() {
	sed -n 's/.*: ivm_doorbell_ring: .* doorbell \([0-9]*\) cookie \(0x[0-9a-f]*\) .*/ring: \1 \2/p' \
		$tracing/trace
	sed -n 's/.*: \(ivm_[a-z_]*\): .*/\1/p' $tracing/trace | sort -u | sed 's/^/traced: /'
}

# ---- devices that are not for this driver ----

misfits() {
	echo 1af4 1110 > $driver/new_id
	dmesg | grep -q 'BAR 0 has 0x100 bytes' &&
		dmesg | grep -q 'version 0x00020000 is not known' && [ "$(echo /dev/ivm?)" = /dev/ivm0 ]
}

# ---- cases ----

run_ping() {
	case $case in
	messages) step messages stress -c $((1000 * scale)) -S 7 ;;
	flap)	step flap stress_until_told -S 8 ;;
	stress)	step stress stress -P 8 -n 64 -T $((12 * scale)) -S 9 ;;
	fuzz)	step rough stress_until_told --rough -S 10
		listen
		step clean stress -c 500 -S 11 ;;
	life)	hear
		step raw ivm -t $wait_s -r -c 50 ping
		hear
		step echo ivm -t $wait_s -C 1 -c 100 -s 300 ping
		step user as_user ivm -t $wait_s -j -c 100 ping
		step ring ring_held
		for how in unplug unbind; do
			ivm -t $wait_s pong &
			hear
			kill -KILL $!
		done
		hear
		step after stress -c 200 -C 1 ;;
	esac
}

run_pong() {
	case $case in
	life)	trace_on
		step misfits misfits
		ivm -t $wait_s -r -c 50 pong &
		within waits $!
		tell
		wait $!
		step load insmod /ivm_echo.ko channel=1
		step busy test "$(ivm -C 1 -t 1 -c 1 recv 2>&1 | grep -c busy)" = 1
		tell
		ivm -t $wait_s -c 100 pong
		step unload rmmod ivm_echo
		step hold hold
		show_trace
		for how in unplug unbind; do
			step $how $how
			tell
		done
		step reload reload
		tell
		step after stress -c 200 -C 1 ;;
	fuzz)	step rough stress_until_told --rough -S 10
		step rebind rebind
		echo "want: peer"
		step clean stress -c 500 -S 11 ;;
	*)	run_ping ;;
	esac
}

trap end EXIT
# A kernel that complains must not do so in the middle of a line of ours
dmesg -n 1
within peer_ready
echo "test: begin"
if [ "$side" = pong ]; then run_pong; else run_ping; fi
