#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The device's registers as a guest sees them: alone, and with a peer in each mode.
# shellcheck source=tests/tap.sh
. tests/tap.sh

qemu=$IVM_OUT/qemu/qemu-system-x86_64
payload=$IVM_OUT/guest/ivm-bare.elf
dir=$(mktemp -d)
pong=
trap '[ -z "$pong" ] || kill "$pong" 2> /dev/null; rm -rf "$dir"' EXIT

# run ACCEL CHARDEV-OPTIONS DEVICE-OPTIONS GUEST-OPTIONS: the guest's console
run() {
	local cpus=1

	[[ $3 != *vectors=256* ]] || cpus=2
	timeout 60 "$qemu" -M pc -accel "$1" -cpu qemu64,-sse3 -smp "$cpus" -m 32 -nodefaults \
		-display none -vga none -no-reboot -bios "$IVM_OUT/qemu/share/qboot.rom" \
		-serial stdio -chardev "socket,id=link,path=$dir/link.sock,$2" \
		-device "ivm-mailbox,chardev=link,$3" -kernel "$payload" \
		-append " -- timeout=30 $4" < /dev/null 2>&1
}

# with_peer ACCEL MODE DEVICE-OPTIONS
with_peer() {
	local name="registers with a peer, $1, mode $2, $3"

	rm -f "$dir/link.sock"
	run "$1" server=on,wait=off "mode=$2,$3" role=pong > "$dir/pong" &
	pong=$!
	for _ in {1..50}; do
		[ -S "$dir/link.sock" ] && break
		sleep 0.1
	done
	like "$name" "$(run "$1" reconnect=1 "mode=$2,$3" "role=selftest peer")" \
		'^ivm-bare: done checks=10[0-9][0-9]'
	wait "$pong"
	pong=
	like "$name: the peer" "$(< "$dir/pong")" '^ivm-bare: done sent=[34] handled=[34]'
}

accels=tcg
[ ! -w /dev/kvm ] || accels="kvm tcg"
for accel in $accels; do
	for vectors in 1 33 256; do
		rm -f "$dir/link.sock"
		like "registers alone, $accel, $vectors vectors" \
			"$(run "$accel" server=on,wait=off "vectors=$vectors" role=selftest)" \
			'^ivm-bare: done checks=10[0-9][0-9]'
	done
	with_peer "$accel" qemu vectors=4
done
if [[ $accels == *kvm* ]]; then
	with_peer kvm irqfd vectors=4
	with_peer kvm direct vectors=4
	with_peer kvm auto irq-ctrl=on,vectors=256
fi
like "an unknown option ends the guest" "$(run tcg server=on,wait=off vectors=1 bogus)" \
	'^ivm-bare: failed: command line: cannot understand "bogus"'
like "no link within the time allowed" \
	"$(run tcg server=on,wait=off vectors=1 'role=ping timeout=1')" \
	'^ivm-bare: failed: the link is down, reason 0'
done_testing
