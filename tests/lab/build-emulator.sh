#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The QEMU that plays the lab's host machine: the one device/ builds, with what
# the patches beside this script mend.  Only the objects that they change are compiled
# again and linked with the rest; the QEMU under test stays as it is.  Prints the
# program's path.  docs/lab.md tells why it runs with one thread for all CPUs.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$here/../..
cache=${IVM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ivmtrace}
patches=("$here"/*.patch)
program=qemu-system-x86_64

die() {
	echo "lab: emulator: $*" >&2
	exit 1
}

# The commands ninja would run, to run them on another source and output
command_for() {
	ninja -C "$base/build" -t commands "$program" | grep -F -- "$1" | tail -n 1
}

# compile PATCH: the object of its file, and that one's place in the command $link
compile() {
	local file object cc name

	name=$(basename "$1" .patch)
	file=$(sed -n 's,^+++ b/,,p' "$1")
	cp "$base/src/$file" "$tmp/$name.c"
	patch -s "$tmp/$name.c" "$1" || die "$1 does not apply to $base/src/$file"
	cc=$(command_for "-c ../src/$file")
	object=$(grep -oE -- '-o [^ ]+' <<< "$cc" | cut -d' ' -f2)
	if [ -z "$object" ] || [[ "$link" != *" $object "* ]]; then
		die "$base/build has no rule that compiles and links $file"
	fi
	# What follows -MD names dependency file, output and source
	cc="${cc%% -MD *} -iquote ../src/$(dirname "$file") -o $tmp/$name.o -c $tmp/$name.c"
	run "$cc" "compile $file"
	link=${link/" $object "/" $tmp/$name.o "}
}

# run COMMAND WHAT
run() {
	(cd "$base/build" && eval "$1") > "$tmp/log" 2>&1 || {
		tail -n 20 "$tmp/log" >&2
		die "cannot $2"
	}
}

build() {
	local link patch

	link=$(command_for "-o $program ")
	link=${link/"-o $program "/"-o $tmp/$program "}
	for patch in "${patches[@]}"; do
		compile "$patch"
	done
	run "$link" "link $program"
	strip --strip-debug "$tmp/$program"
}

base=$("$top/device/build-qemu.sh" --print-base)
key=$( (cat "${patches[@]}" "$0" "$base/src/VERSION"; echo "$base") | sha256sum | cut -c1-16)
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
