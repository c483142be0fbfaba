#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What it takes to build for an arm64 host and to run there: the distribution's arm64
# packages, downloaded and unpacked in one directory, nothing installed.  Keyed by the
# list below and by this script, built once, and shared by every checkout of this user.
#
# usage: sysroot.sh
# Prints the directory: a root file system, and in cross/ the commands
# aarch64-linux-gnu-gcc and -pkg-config that look into it.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${IVM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ivmtrace}/lab
arch=arm64
triplet=aarch64-linux-gnu

# shellcheck source=apt.sh source-path=SCRIPTDIR disable=SC1091
. "$here/apt.sh"

# To link with; what these need follows
libraries="libc6-dev libglib2.0-dev libsqlite3-dev libjson-c-dev libbpf-dev libelf-dev
	   libtracefs-dev libtraceevent-dev libtracecmd-dev libmicrohttpd-dev libncurses-dev
	   zlib1g-dev libgsl-dev libdw-dev libpixman-1-dev libfdt-dev"
# To run tests with; busybox has the rest
programs="bash coreutils util-linux"
# Come along with the libraries and are of no use here
unwanted="python3.* perl.* cpp.* gcc.* g\+\+.* libpython3.* manpages.* .*-doc tzdata"

die()
{
	echo "sysroot: $*" >&2
	exit 1
}

download()
{
	apt_open "$work/apt" $arch
	apt_update || die "apt-get update failed: $(apt_complaint)"
	# shellcheck disable=SC2086 # lists of words
	apt_run apt-get install -y -d --no-install-recommends \
		$libraries $programs > "$work/log" 2>&1 ||
		die "cannot download the $arch packages: $(tail -n1 "$work/log")"
}

unpack()
{
	local dir deb path to

	mkdir -p "$work/root/usr/"{bin,sbin,lib}
	for dir in bin sbin lib; do
		ln -s "usr/$dir" "$work/root/$dir"
	done
	for deb in "$work"/apt/cache/archives/*.deb; do
		grep -qxE "(${unwanted//[[:space:]]/|})" <<< "$(basename "${deb%%_*}")" && continue
		dpkg-deb --fsys-tarfile "$deb" | tar -C "$work/root" --keep-directory-symlink -xf - ||
			die "cannot unpack ${deb##*/}"
	done
	rm -rf "$work/root/usr/share/"{doc,man,locale,info}
	# Libraries' own links lead to this machine's
	find "$work/root" -type l -lname '/*' -printf '%P %l\n' | while read -r path to; do
		ln -snfr "$work/root$to" "$work/root/$path"
	done
}

# Compiler and pkg-config of this machine that look into the directory they lie in
write_commands()
{
	local cross=$work/root/cross

	mkdir -p "$cross"
	cat > "$cross/$triplet-gcc" <<-END
		#!/bin/sh
		root=\$(dirname "\$(dirname "\$(realpath "\$0")")")
		exec \$(command -v ccache) /usr/bin/$triplet-gcc --sysroot="\$root" "\$@"
	END
	cat > "$cross/$triplet-pkg-config" <<-END
		#!/bin/sh
		root=\$(dirname "\$(dirname "\$(realpath "\$0")")")
		export PKG_CONFIG_LIBDIR="\$root/usr/lib/$triplet/pkgconfig:\$root/usr/share/pkgconfig"
		export PKG_CONFIG_SYSROOT_DIR="\$root"
		exec pkg-config "\$@"
	END
	chmod 755 "$cross"/*
}

build()
{
	local begin=$SECONDS

	echo "sysroot: fetching $arch packages" >&2
	download
	unpack
	write_commands
	mv -T "$work/root" "$1"
	echo "sysroot: ready after $((SECONDS - begin)) s" >&2
}

main()
{
	local dir

	[ $# -eq 0 ] || die "usage: sysroot.sh"
	dir=$cache/sysroot-$arch-$(sha256sum < "$here/sysroot.sh" | cut -c1-16)
	mkdir -p "$cache"
	if [ ! -d "$dir" ]; then
		exec 9> "$cache/lock-sysroot"
		flock -w 900 9 || die "another build has held the lock for 15 minutes"
		work=$(mktemp -d "$cache/build.XXXXXX")
		trap 'rm -rf "$work"' EXIT
		[ -d "$dir" ] || build "$dir"
	fi
	echo "$dir"
}

main "$@"
