#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Build the driver for one kernel series and pack it, with the tool, into an
# initrd: OUT/ivm_mailbox.ko, OUT/vmlinuz, OUT/initrd.
#
# usage: build-guest.sh SERIES OUT TOOL [ARGUMENT-OF-MAKE...]
set -euo pipefail

series=$1 out=$2 tool=$3
shift 3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kernel=$("$here/fetch-kernel.sh" "$series")

# Kbuild writes beside the sources, and they are of this checkout: so a copy
stage()
{
	mkdir -p "$out/src/linux"
	cp -u "$here/../ivm-shmem.h" "$out/src"
	cp -u "$here"/*.[ch] "$here/Kbuild" "$here/../../device/ivm-regs.h" "$out/src/linux"
	cp -ru "$here/example" "$out/src/linux"
}

build_modules()
{
	# O= and the like are of our make, not of theirs
	env -u MAKEFLAGS -u MFLAGS make -s -C "$kernel/headers" M="$out/src/linux" W=1 "$@" modules >"$out/make.log" 2>&1 ||
		{ cat "$out/make.log" >&2; exit 1; }
	grep -v '^Skipping BTF' "$out/make.log" || true
}

pack()
{
	local root=$out/root

	rm -rf "$root"
	mkdir -p "$root"/{bin,dev,proc,sys,tmp,etc}
	cp "$kernel/busybox" "$tool" "$root/bin"
	cp "$here/init" "$root"
	strip -g -o "$root/ivm_mailbox.ko" "$out/src/linux/ivm_mailbox.ko"
	strip -g -o "$root/ivm_echo.ko" "$out/src/linux/example/ivm_echo.ko"
	chmod 755 "$root/init"
	(cd "$root" && find . | "$kernel/busybox" cpio -o -H newc -R 0:0 2>/dev/null) >"$out/initrd.new"
	mv "$out/initrd.new" "$out/initrd"
	rm -rf "$root"
	cp "$out/src/linux/ivm_mailbox.ko" "$kernel/busybox" "$out"
	ln -sf "$kernel/vmlinuz" "$out/vmlinuz"
	cp "$kernel/release" "$out/release"
}

mkdir -p "$out"
out=$(realpath "$out")
stage
build_modules "$@"
pack
