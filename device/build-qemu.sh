#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Build QEMU with the ivm-mailbox device, once for each content of device/.
#
#   device/build-qemu.sh               build what is missing, print the result's directory
#   device/build-qemu.sh --print-path  print that directory, build nothing (exit 1 if it is not there)
#   device/build-qemu.sh --link DIR    build, then make DIR a symlink to the result
#   device/build-qemu.sh --print-base  build, print the directory of the source and build trees
#
# The result holds qemu-system-x86_64, its firmware in share/ (found without
# -L), the emulators of other targets, and the qtest programs.  It lives in the cache, keyed by QEMU version,
# configure flags and the content of device/.  QEMU itself is compiled once for
# each version and set of flags; a change in device/ rebuilds only the device.
#
# Without QEMU_SRC the source is the distribution's own QEMU package, fetched
# with a source list of our own that is derived from the machine's.
#
# Environment: IVM_CACHE, QEMU_SRC (a QEMU tree of your own, 7.2 or later; the
# device's files, two lists of boards and five hook lines are added to it), JOBS, QEMU_PYTHON.
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
cache=${IVM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ivmtrace}/qemu
jobs=${JOBS:-$(nproc)}
# ppc64 is big-endian.  Of these two nothing but the board that the tests use is built
targets=(x86_64 aarch64 ppc64)
boards=(aarch64:ARM_VIRT ppc64:E500PLAT)

configure_flags=(
	"--target-list=x86_64-softmmu,aarch64-softmmu,ppc64-softmmu" --without-default-features
	--with-devices-aarch64=ivm --with-devices-ppc64=ivm
	--enable-kvm --enable-tcg "--enable-trace-backends=dtrace,log"
	--disable-docs --disable-tools --disable-install-blobs
	# All in one directory, so that the binary finds share/ beside itself
	--prefix=/usr/local/ivmtrace --bindir=/usr/local/ivmtrace
	--datadir=/usr/local/ivmtrace/share --with-suffix=
)

firmware=(efi-e1000.rom efi-virtio.rom bios-256k.bin bios.bin kvmvapic.bin linuxboot.bin linuxboot_dma.bin
	multiboot.bin multiboot_dma.bin pvh.bin qboot.rom vgabios-stdvga.bin)

# What of device/ is compiled into QEMU, and what into its qtests
device_files=(ivm-mailbox.c ivm-mailbox.h ivm-doorbell.c ivm-irq.c ivm-link.c ivm-link-proto.h
	ivm-linkpage.c ivm-linkpage.h ivm-compat.h ivm-regs.h trace.h trace-events Kconfig meson.build)
qtest_files=(qtest/ivm-mailbox-test.c qtest/ivm-link-test.c qtest/ivm-arch-test.c
	qtest/ivm-test.c qtest/ivm-test.h qtest/ivm-machine.c qtest/ivm-machine.h)
qtest_programs=(ivm-mailbox-test ivm-link-test ivm-arch-test)

die() {
	echo "build-qemu: $*" >&2
	exit 1
}

say() {
	echo "$*" >&2
}

hash_of() {
	sha256sum | cut -c1-16
}

# The machine's own distribution repositories as deb-src lines; other
# repositories that happen to be configured are of no use here.
write_source_list() {
	local codename
	# shellcheck disable=SC1091 # a file of the machine
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	[ -n "$codename" ] || die "/etc/os-release names no VERSION_CODENAME; set QEMU_SRC= to a QEMU tree"
	# shellcheck disable=SC2016 # the $() are apt's
	apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
		awk -v c="$codename" '$2 ~ "^" c "(-updates|-security)?$" { print "deb-src", $1, $2, $3 }' |
		sort -u >"$1"
	[ -s "$1" ] || die "apt has no $codename repository configured; run apt-get update, or set QEMU_SRC="
}

fetch_source() {
	local apt="$cache/apt" opts
	rm -rf "$apt"
	mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$apt/src" "$apt/list"
	write_source_list "$apt/list/ivmtrace.list"
	opts=(-qq -o "Dir::State=$apt/state" -o Dir::State::status=/var/lib/dpkg/status
		-o "Dir::Cache=$apt/cache" -o Dir::Etc::sourcelist=/dev/null
		-o "Dir::Etc::sourceparts=$apt/list" -o APT::Sandbox::User=)
	say "QEMU: fetching the distribution's source package"
	apt-get "${opts[@]}" update >&2 || die "apt-get update failed for the source list of our own"
	(cd "$apt/src" && apt-get "${opts[@]}" --download-only source qemu >&2) ||
		die "apt-get source qemu failed"
	(cd "$apt/src" && dpkg-source --no-check -x ./*.dsc tree >"$apt/unpack.log" 2>&1) ||
		die "cannot unpack the source package: $(tail -n1 "$apt/unpack.log")"
}

# Sets $src and $version.  Once unpacked a source tree is kept: no network then.
find_source() {
	if [ -n "${QEMU_SRC:-}" ]; then
		src=$(cd "$QEMU_SRC" 2>/dev/null && pwd) || die "QEMU_SRC=$QEMU_SRC is no directory"
		[ -f "$src/VERSION" ] || die "QEMU_SRC=$QEMU_SRC holds no QEMU source (no VERSION file)"
		version=$(cat "$src/VERSION")
		base=$cache/base-own-$(printf '%s\n' "$src" "${configure_flags[@]}" | hash_of)
		return
	fi
	base=$cache/base-$(printf '%s\n' "${configure_flags[@]}" | hash_of)
	src=$base/src
	if [ ! -f "$src/VERSION" ]; then
		[ "${1:-}" != only-look ] || return 1
		fetch_source
		mkdir -p "$base"
		mv "$cache/apt/src/tree" "$src"
		rm -rf "$cache/apt"
	fi
	version=$(cat "$src/VERSION")
}

# A tree of the user's own may change at any time: there the binary counts too
result_dir() {
	local key
	key=$( (echo "$version"; printf '%s\n' "$base" "${configure_flags[@]}" "${firmware[@]}"
		[ -z "${QEMU_SRC:-}" ] || cat "${targets[@]/#/$base/build/qemu-system-}" 2>/dev/null
		cd "$here" && cat build-qemu.sh "${device_files[@]}" "${qtest_files[@]}") | hash_of)
	echo "$cache/$version-$key"
}

# An unchanged file keeps its time stamp, so that ninja has nothing to do
lay() {
	cmp -s "$1" "$2" || cp "$1" "$2"
}

# hook FILE LINE [REGEX]: add LINE once, before the line that matches or at the end
hook() {
	grep -qF "$2" "$1" && return
	if [ $# -eq 3 ]; then
		grep -q "$3" "$1" || die "cannot hook the device into $1: QEMU $version is laid out differently"
		sed -i "/$3/i\\$2" "$1"
	else
		echo "$2" >>"$1"
	fi
}

# For --with-devices-*=ivm
list_board() {
	[ -f "$1" ] || printf '# %s\nCONFIG_%s=y\nCONFIG_IVM_MAILBOX=y\n' \
		'SPDX-License-Identifier: GPL-2.0-or-later' "$2" >"$1"
}

lay_device() {
	local f
	mkdir -p "$src/hw/misc/ivm"
	for f in "${device_files[@]}"; do
		lay "$here/$f" "$src/hw/misc/ivm/$f"
	done
	for f in "${boards[@]}"; do
		list_board "$src/configs/devices/${f%:*}-softmmu/ivm.mak" "${f#*:}"
	done
	for f in "${qtest_files[@]}" ivm-regs.h ivm-linkpage.h ivm-link-proto.h; do
		lay "$here/$f" "$src/tests/qtest/${f##*/}"
	done
	hook "$src/hw/misc/Kconfig" "source ivm/Kconfig"
	hook "$src/hw/misc/meson.build" "subdir('ivm')"
	hook "$src/meson.build" "    'hw/misc/ivm'," "^    'hw\\/misc',\$"
	hook "$src/tests/qtest/meson.build" "ivm_qtest = files('ivm-test.c', 'ivm-machine.c')" \
		'^qtest_executables = '
	for f in "${qtest_programs[@]}"; do
		hook "$src/tests/qtest/meson.build" "qtests_generic += ['$f']" '^qtest_executables = '
		hook "$src/tests/qtest/meson.build" "qtests += {'$f': ivm_qtest}" '^qtest_executables = '
	done
}

check_tools() {
	local missing=() t
	for t in ninja meson flex bison dtrace pkg-config python3; do
		command -v "$t" >/dev/null || missing+=("$t")
	done
	for t in glib-2.0 pixman-1 libfdt; do
		[ "$t" = libfdt ] || pkg-config --exists "$t" || missing+=("$t headers")
	done
	[ ${#missing[@]} -eq 0 ] || die "missing: ${missing[*]}; 'make deps' installs what the build needs"
}

configure_base() {
	[ -f "$base/build/build.ninja" ] && return
	check_tools
	say "QEMU $version: configuring"
	rm -rf "$base/build"
	mkdir -p "$base/build"
	(cd "$base/build" && "$src/configure" ${QEMU_PYTHON:+--python="$QEMU_PYTHON"} \
		"${configure_flags[@]}" >"$base/configure.log" 2>&1) || {
		rm -rf "$base/build"
		tail -n 5 "$base/configure.log" >&2
		die "QEMU's configure failed; all of its output is in $base/configure.log"
	}
}

# On a terminal one line that counts up, otherwise a line for every tenth
show_progress() {
	local tty=0
	[ -t 2 ] && tty=1
	awk -v what="QEMU $version: compiling" -v tty="$tty" '
	match($0, /^\[[0-9]+\/[0-9]+\]/) {
		split(substr($0, 2, RLENGTH - 2), n, "/")
		tenth = int(10 * n[1] / n[2])
		if (tty)
			printf "\r%s %d/%d", what, n[1], n[2] > "/dev/stderr"
		else if (n[2] > 50 && tenth != last)
			printf "%s %d/%d\n", what, n[1], n[2] > "/dev/stderr"
		last = tenth; seen = 1
	}
	END { if (seen && tty) print "" > "/dev/stderr" }'
}

compile() {
	local programs=("${targets[@]/#/qemu-system-}" "${qtest_programs[@]/#/tests/qtest/}") start=$SECONDS
	NINJA_STATUS='[%f/%t] ' ninja -C "$base/build" -j "$jobs" "${programs[@]}" 2>&1 | tee "$base/ninja.log" | show_progress || {
		grep -A20 -E '^FAILED|error:' "$base/ninja.log" | head -n 40 >&2
		die "QEMU $version did not compile; all output is in $base/ninja.log"
	}
	say "QEMU $version: compiled in $((SECONDS - start)) s"
}

copy_firmware() {
	local f dir
	mkdir -p "$1/share"
	for f in "${firmware[@]}"; do
		for dir in "$src/pc-bios" /usr/share/seabios /usr/share/qemu /usr/share/qemu-efi /usr/lib/ipxe/qemu; do
			[ -s "$dir/$f" ] && cp -L "$dir/$f" "$1/share/" && continue 2
		done
		die "no firmware $f; 'make deps' installs it (packages seabios, qemu-system-data)"
	done
}

# Readers see either no result or a whole one
publish() {
	local tmp p
	tmp=$(mktemp -d "$cache/tmp.XXXXXX")
	for p in "${targets[@]}"; do
		strip --strip-debug -o "$tmp/qemu-system-$p" "$base/build/qemu-system-$p"
		"$tmp/qemu-system-$p" -device ivm-mailbox,help | grep -q chardev= ||
			die "the new qemu-system-$p does not know the device; see $base"
	done
	for p in "${qtest_programs[@]}"; do
		strip --strip-debug -o "$tmp/$p" "$base/build/tests/qtest/$p"
	done
	copy_firmware "$tmp"
	chmod 755 "$tmp"
	mv -T "$tmp" "$1"
}

# Results are small, but every edit of device/ makes one
prune_results() {
	local old
	find "$cache" -maxdepth 1 -name 'tmp.*' -mmin +60 -exec rm -rf {} +
	find "$cache" -maxdepth 1 -name "[0-9]*-*" -printf '%T@ %p\n' | sort -rn | tail -n +17 |
		while read -r _ old; do rm -rf "$old"; done
}

link_result() {
	mkdir -p "$(dirname "$2")"
	[ "$(readlink "$2" 2>/dev/null)" = "$1" ] && return
	ln -sfnT "$1" "$2"
}

build() {
	find_source
	out=$(result_dir)
	[ -z "${QEMU_SRC:-}" ] && [ -d "$out" ] && return
	lay_device
	configure_base
	compile
	out=$(result_dir)
	[ -d "$out" ] || publish "$out"
	prune_results
}

main() {
	local link='' print_base=
	case ${1:-} in
	--print-path)
		find_source only-look || exit 1
		out=$(result_dir)
		[ -d "$out" ] || exit 1
		echo "$out"
		return ;;
	--link) link=${2:?--link needs a directory} ;;
	--print-base) print_base=1 ;;
	'') ;;
	*) die "unknown option '$1'" ;;
	esac
	mkdir -p "$cache"
	# Whoever finds all there need not wait for one who builds
	if [ -z "$print_base" ] && [ -z "${QEMU_SRC:-}" ] && find_source only-look &&
		out=$(result_dir) && [ -d "$out" ]; then
		[ -z "$link" ] || link_result "$out" "$link"
		[ -n "$link" ] || echo "$out"
		return
	fi
	exec 9>"$cache/lock"
	flock -n 9 || { say "QEMU: waiting for another build to finish"; flock 9; }
	build
	[ -z "$print_base" ] || { echo "$base"; return; }
	[ -z "$link" ] || link_result "$out" "$link"
	[ -n "$link" ] || echo "$out"
}

main "$@"
