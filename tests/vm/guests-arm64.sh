# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Bare arm64 guests beside those of guests.sh, which is sourced first: vm_arm64
# has the same arguments as vm, and everything else there works on both.

: "${dir:?}"
declare -A vm_pid vm_in
arm64_accel=${arm64_accel:-tcg}
arm64_cpu=${arm64_cpu:-cortex-a57}
arm64_gic=${arm64_gic:-3}

# vm_arm64 NAME "DEVICE-ARGUMENTS..." "GUEST OPTIONS" [QEMU ARGUMENT...]
vm_arm64() {
	local name=$1 devices=$2 options=$3 fd

	shift 3
	mkfifo "$dir/$name.in"
	# shellcheck disable=SC2086,SC2154 # devices are words; of guests.sh
	"${vm_prefix[@]}" "$IVM_OUT/qemu/qemu-system-aarch64" -name "$name,debug-threads=on" \
		-M "virt,gic-version=$arm64_gic" -accel "$arm64_accel" -cpu "$arm64_cpu" -m 64 \
		-nodefaults -no-user-config -display none -no-reboot \
		-chardev stdio,id=com,signal=off -serial chardev:com $devices "$@" \
		-kernel "$IVM_OUT/guest/ivm-bare-arm64.img" \
		-append " -- timeout=$guest_timeout_s gate hold $options" \
		< "$dir/$name.in" > "$dir/$name.out" 2> "$dir/$name.err" &
	# shellcheck disable=SC2034 # guests.sh reads both
	vm_pid[$name]=$!
	exec {fd}> "$dir/$name.in"
	# shellcheck disable=SC2034
	vm_in[$name]=$fd
}
