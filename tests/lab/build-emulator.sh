#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The QEMU that plays the lab's host machine: the one device/ builds, with one
# bug of its SVM emulation mended (svm-inject-once.patch says which).  Only that
# object is compiled again and linked with the rest; the QEMU under test stays
# as it is.  Prints the program's path.  docs/lab.md tells why it runs with one
# thread for all CPUs.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$here/../..
cache=${IVM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ivmtrace}
patch=$here/svm-inject-once.patch
program=qemu-system-x86_64

die() {
	echo "lab: emulator: $*" >&2
	exit 1
}

# The commands ninja would run, to run them on another source and output
command_for() {
	ninja -C "$base/build" -t commands "$program" | grep -F -- "$1" | tail -n 1
}

build() {
	local file object cc link

	file=$(sed -n 's,^+++ b/,,p' "$patch")
	cp "$base/src/$file" "$tmp/patched.c"
	patch -s "$tmp/patched.c" "$patch" || die "$patch does not apply to $base/src/$file"
	cc=$(command_for "-c ../src/$file")
	object=$(grep -oE -- '-o [^ ]+' <<< "$cc" | cut -d' ' -f2)
	link=$(command_for "-o $program ")
	if [ -z "$object" ] || [[ "$link" != *" $object "* ]]; then
		die "$base/build has no rule that compiles and links $file"
	fi
	# What follows -MD names dependency file, output and source
	cc="${cc%% -MD *} -iquote ../src/$(dirname "$file") -o $tmp/patched.o -c $tmp/patched.c"
	link=${link/"-o $program "/"-o $tmp/$program "}
	link=${link/" $object "/" $tmp/patched.o "}
	(cd "$base/build" && eval "$cc" && eval "$link") > "$tmp/log" 2>&1 || {
		tail -n 20 "$tmp/log" >&2
		die "cannot build $file"
	}
	strip --strip-debug "$tmp/$program"
}

base=$("$top/device/build-qemu.sh" --print-base)
key=$( (cat "$patch" "$0" "$base/src/VERSION"; echo "$base") | sha256sum | cut -c1-16)
out=$cache/lab/emulator-$key
if [ ! -x "$out/$program" ]; then
	mkdir -p "$cache/lab"
	exec 9> "$cache/qemu/lock"
	flock 9
	start=$SECONDS
	tmp=$(mktemp -d "$cache/lab/tmp.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	build
	mkdir -p "$tmp/out"
	mv "$tmp/$program" "$tmp/out"
	cp -rL "$("$top/device/build-qemu.sh" --print-path)/share" "$tmp/out"
	[ -x "$out/$program" ] || mv -T "$tmp/out" "$out"
	echo "lab: emulator built in $((SECONDS - start)) s" >&2
fi
echo "$out/$program"
