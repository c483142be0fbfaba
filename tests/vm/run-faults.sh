#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Situations in which journeys end otherwise than in a handler, or their parts change
# hands on the way; here or inside the lab.  Leaves for each NAME.ivm, NAME.code and
# copies of the shared memory, NAME*.lanes.  check-faults.py judges.
#
#   run-faults.sh IVMTRACE OUT [NAME...]
set -u

here=$(cd "$(dirname "$0")" && pwd)
IVMTRACE=$1 out=$2
shift 2
dir=$(mktemp -d)
# shellcheck source=tests/vm/guests.sh
. "$here/guests.sh"
trap 'vm_cleanup; rm -rf "$dir"' EXIT

# recorded NAME [OPTION...]: from now on, until finish
recorded() {
	record "$out/$1.ivm" --link "$@" || return 1
	sleep 0.5
}

# finish NAME VM-WITH-THE-LANES
finish() {
	sleep 0.3
	lanes "$2" "$out/$1.lanes"
	stop_record
}

# plain NAME PROPERTIES PONG PING [VCPUS]: a pair that ends by itself
plain() {
	pair "$1" "$2" "$3" "$4" -smp "${5:-1}"
	wait_said ready "$1-pong" "$1-ping" && recorded "$1" || return 1
	go "$1-pong" "$1-ping"
	wait_said 'done' "$1-pong" "$1-ping" && finish "$1" "$1-pong"
}

moving() {
	local pattern=pattern=rate=200

	plain moving mode=direct,vectors=2 "$pattern cpus=2 route=moving" "$pattern count=400" 2
}

moving_flood() {
	local pattern=pattern=flood

	plain moving_flood mode=irqfd,vectors=2 "$pattern cpus=2 route=moving" \
		"$pattern count=2000" 2
}

fanout() {
	local pattern=pattern=rate=50

	plain fanout mode=direct,vectors=2 "$pattern cpus=2 route=logical" "$pattern count=100" 2
}

deferred() {
	local pattern=pattern=rate=50

	plain deferred mode=direct,vectors=1 "$pattern route=broadcast" "$pattern count=100"
}

held_msix() {
	plain held_msix mode=direct,vectors=2 "pattern=rate=50 masked=msix" "pattern=rate=50 count=20"
}

held_mask() {
	plain held_mask mode=irqfd,vectors=2 "pattern=rate=50 masked=mask" "pattern=rate=50 count=20"
}

raised_msix() {
	plain raised_msix mode=direct "pattern=step count=20 delay=msix,3000" "pattern=step count=20"
}

raised_mask() {
	plain raised_mask mode=irqfd "pattern=step count=20 delay=mask,3000" "pattern=step count=20"
}

raised_qemu() {
	plain raised_qemu mode=qemu "pattern=step count=20 delay=mask,3000" "pattern=step count=20"
}

init() {
	plain init mode=direct "pattern=step count=20 delay=init cpus=2 route=other" \
		"pattern=step count=20" 2
}

# Recording begins before there is anything to record
late() {
	record "$out/late.ivm" --link late -d 120 || return 1
	pair late mode=direct,vectors=2 pattern=pingpong "pattern=pingpong count=500"
	wait_said ready late-pong late-ping || return 1
	sleep 1
	go late-pong late-ping
	wait_said 'done' late-pong late-ping && finish late late-pong
}

# The receiver's QEMU dies in a flood; its peer rings on
killed() {
	pair killed mode=direct "pattern=flood" "pattern=flood count=20000000"
	wait_said ready killed-pong killed-ping && recorded killed || return 1
	go killed-pong killed-ping
	sleep 0.5
	lanes killed-pong "$out/killed.before.lanes"
	forget killed-pong
	sleep 0.5
	kill -STOP "${vm_pid[killed-ping]}"
	finish killed killed-ping
}

# The link goes down and comes up again, with the same descriptors in the server
relinked() {
	pair relinked mode=direct pattern=rate=200 "pattern=rate=200 count=100000"
	wait_said ready relinked-pong relinked-ping && recorded relinked || return 1
	go relinked-pong relinked-ping
	sleep 0.5
	kill -STOP "${vm_pid[relinked-ping]}"
	lanes relinked-ping "$out/relinked.first.lanes"
	forget relinked-ping
	sleep 1
	vm relinked-second "$(mailbox l relinked client mode=direct)" \
		"role=ping pattern=rate=200 count=100 cookie=1000000"
	wait_said ready relinked-second || return 1
	sleep 1
	go relinked-second
	wait_said 'done' relinked-pong relinked-second && finish relinked relinked-pong
}

# Both vCPU threads change CPUs all the time
wandering() {
	local task cpu=0 i

	pair wandering mode=direct,vectors=2 pattern=pingpong "pattern=pingpong count=1000"
	wait_said ready wandering-pong wandering-ping && recorded wandering || return 1
	go wandering-pong wandering-ping
	for ((i = 0; i < 2000; i++)); do
		said wandering-ping 'done' && break
		cpu=$((1 - cpu))
		for task in /proc/"${vm_pid[wandering-pong]}"/task/* \
			/proc/"${vm_pid[wandering-ping]}"/task/*; do
			taskset -p $((1 << cpu)) "${task##*/}" > /dev/null
		done
	done
	wait_said 'done' wandering-pong wandering-ping && finish wandering wandering-pong
}

# Both ends in one QEMU
both() {
	vm both "$(mailbox l both server mode=direct,vectors=2) $(mailbox m both client \
		mode=direct,vectors=2)" "role=both pattern=rate=200 count=200"
	wait_said ready both && recorded both || return 1
	go both
	wait_said 'done' both && finish both both
}

# refusing NAME WHAT ping|pong: a link set to direct, on one side of which KVM refuses WHAT
refusing() {
	local name=$1 pattern=pattern=rate=50
	local refuse=(env LD_PRELOAD="$IVM_OUT/vm/refuse.so" IVM_REFUSE="$2")

	[ "$3" = ping ] || vm_prefix=("${refuse[@]}")
	vm "$name-pong" "$(mailbox l "$name" server mode=direct)" "role=pong $pattern"
	vm_prefix=()
	wait_for "$name's socket" test -S "$dir/$name.sock"
	[ "$3" = pong ] || vm_prefix=("${refuse[@]}")
	vm "$name-ping" "$(mailbox l "$name" client mode=direct)" "role=ping $pattern count=50"
	vm_prefix=()
	wait_said ready "$name-pong" "$name-ping" || return 1
	record "$out/$name.ivm" --link "$name" --strict || return 1
	sleep 0.5
	go "$name-pong" "$name-ping"
	wait_said 'done' "$name-pong" "$name-ping" && finish "$name" "$name-pong"
}

# No ioeventfd: each doorbell goes through QEMU
fallback() {
	refusing fallback ioeventfd ping
}

# No irqfd: the receiving QEMU reads its eventfds, and raises once for all that it finds there
no_irqfd() {
	refusing no_irqfd irqfd pong
}

# The reader stands still while its small buffer overflows
overload() {
	pair overload mode=direct,vectors=2 pattern=flood "pattern=flood count=5000"
	wait_said ready overload-pong overload-ping && recorded overload -m 64K || return 1
	kill -STOP "$record_pid"
	go overload-pong overload-ping
	wait_said 'done' overload-pong overload-ping
	kill -CONT "$record_pid"
	finish overload overload-pong
}

# More VMs than there is room for, one pair after the other
churn() {
	local round

	export IVM_LIMITS=7,8
	record "$out/churn.ivm" --link churn -d 300 || return 1
	unset IVM_LIMITS
	for round in 1 2 3 4 5; do
		pair churn mode=direct,vectors=1 pattern=pingpong "pattern=pingpong count=100"
		wait_said ready churn-pong churn-ping &&
			wait_for "round $round" followed churn $round || return 1
		go churn-pong churn-ping
		wait_said 'done' churn-pong churn-ping || return 1
		[ $round -lt 5 ] || break
		sleep 1
		vm_stop churn-pong churn-ping
		sleep 1
	done
	finish churn churn-pong
}

# followed NAME TIMES: so often has the recording of NAME said that it follows the link
followed() {
	[ "$(grep -c "following link $1 " "$out/$1.ivm.log")" -ge "$2" ]
}

# vm_stop NAME...: their QEMUs end, and there may be others of that name
vm_stop() {
	local name

	for name; do
		forget "$name"
		rm -f "$dir/$name".*
	done
	rm -f "$dir"/*.sock
}

mkdir -p "$out"
[ $# -gt 0 ] || set -- late moving moving_flood fanout deferred held_msix held_mask raised_msix \
	raised_mask raised_qemu init killed relinked wandering both fallback no_irqfd \
	overload churn
for name; do
	start=$SECONDS
	$name
	code=$?
	echo $code > "$out/$name.code"
	echo "# $name: exit $code after $((SECONDS - start)) s"
	vm_cleanup
	rm -rf "${dir:?}"/*
done
