# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Bare guests for shell tests, here and inside the lab: source it, start VMs with
# vm, let them begin with go, end with release.  Needs bash, IVM_OUT, IVMTRACE and
# a directory in $dir, set before.  Every wait has a bound; vm_cleanup belongs in an EXIT trap.

: "${dir:?}"
declare -A vm_pid vm_in
vm_accel=${vm_accel:-kvm}
vm_prefix=()		# what runs QEMU
guest_timeout_s=${guest_timeout_s:-60}

# vm NAME "DEVICE-ARGUMENTS..." "GUEST OPTIONS" [QEMU ARGUMENT...]
vm() {
	local name=$1 devices=$2 options=$3 fd

	shift 3
	mkfifo "$dir/$name.in"
	# shellcheck disable=SC2086 # devices are words
	"${vm_prefix[@]}" "$IVM_OUT/qemu/qemu-system-x86_64" -name "$name,debug-threads=on" -M pc \
		-accel "$vm_accel" -cpu qemu64,-sse3 -m 32 -nodefaults -no-user-config \
		-display none -vga none -no-reboot -L "$IVM_OUT/qemu/share" \
		-bios "$IVM_OUT/qemu/share/qboot.rom" -chardev stdio,id=com,signal=off \
		-serial chardev:com $devices "$@" -kernel "$IVM_OUT/guest/ivm-bare.elf" \
		-append " -- timeout=$guest_timeout_s gate hold $options" \
		< "$dir/$name.in" > "$dir/$name.out" 2> "$dir/$name.err" &
	vm_pid[$name]=$!
	exec {fd}> "$dir/$name.in"
	vm_in[$name]=$fd
}

# mailbox ID SOCKET server|client PROPERTIES: the arguments of one device
mailbox() {
	local how=reconnect=1

	[ "$3" = client ] || how=server=on,wait=off
	echo "-chardev socket,id=$1,path=$dir/$2.sock,$how" \
		"-device ivm-mailbox,chardev=$1,link=$2,$4"
}

# pair LINK PROPERTIES "PONG'S OPTIONS" "PING'S OPTIONS" [QEMU ARGUMENT...]
pair() {
	local link=$1 properties=$2 pong=$3 ping=$4

	shift 4
	vm "$link-pong" "$(mailbox l "$link" server "$properties")" "role=pong $pong" "$@"
	wait_for "$link's socket" test -S "$dir/$link.sock"
	vm "$link-ping" "$(mailbox l "$link" client "$properties")" "role=ping $ping" "$@"
}

# wait_for WHAT COMMAND...: until it succeeds
wait_for() {
	local what=$1 end=$((SECONDS + guest_timeout_s))

	shift
	until "$@"; do
		if [ $SECONDS -ge $end ]; then
			echo "# timeout waiting for $what"
			return 1
		fi
		sleep 0.05
	done
}

said() {
	grep -qs "^ivm-bare: $2" "$dir/$1.out"
}

# said_or_gone NAME WORD: it said so, or never will
said_or_gone() {
	said "$1" "$2" || said "$1" failed || ! kill -0 "${vm_pid[$1]}" 2> /dev/null
}

# wait_said WORD NAME...
wait_said() {
	local word=$1 name

	shift
	for name; do
		wait_for "$word of $name" said_or_gone "$name" "$word"
		if ! said "$name" "$word"; then
			echo "# $name: $(cat "$dir/$name.out" "$dir/$name.err" | tr '\n' ' ')"
			return 1
		fi
	done
}

# go NAME...: past the gate, or past the hold
go() {
	local name

	for name; do
		echo >&"${vm_in[$name]}"
	done
}

# release NAME...: let them end, and wait for it
release() {
	local name

	go "$@"
	for name; do
		wait_for "the end of $name" gone "$name"
		forget "$name"
	done
}

gone() {
	! kill -0 "${vm_pid[$1]}" 2> /dev/null
}

forget() {
	local fd=${vm_in[$1]}

	kill -KILL "${vm_pid[$1]}" 2> /dev/null
	wait "${vm_pid[$1]}" 2> /dev/null
	exec {fd}>&-
	unset "vm_pid[$1]" "vm_in[$1]"
}

# lanes NAME FILE: a copy of the shared memory of a QEMU's first link
lanes() {
	local fd

	for fd in /proc/"${vm_pid[$1]}"/fd/*; do
		case $(readlink "$fd") in
		"/memfd:ivm-shmem (deleted)")
			cat "$fd" > "$2"
			return ;;
		esac
	done
	return 1
}

record_pid=
# record FILE [OPTION...]: start ivmtrace record, wait until all hooks are armed
record() {
	local file=$1

	shift
	"$IVMTRACE" record -o "$file" "$@" 2> "$file.log" &
	record_pid=$!
	wait_for "ivmtrace record" grep -qsE "^ivmtrace: (recording|.* waiting for one)" "$file.log"
}

# stop_record: what it exits with
stop_record() {
	local code

	kill -INT "$record_pid"
	wait "$record_pid"
	code=$?
	record_pid=
	return $code
}

# shellcheck disable=SC2317 # called by traps
vm_cleanup() {
	local name

	[ -z "$record_pid" ] || kill -KILL "$record_pid" 2> /dev/null
	record_pid=
	for name in "${!vm_pid[@]}"; do
		forget "$name"
	done
}
