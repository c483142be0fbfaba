#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A distribution kernel for the Linux guests, and the headers to build the driver
# against it: Debian's cloud kernel of one series, downloaded and unpacked in a
# private directory.  Nothing is installed on this machine.
#
# usage: fetch-kernel.sh SERIES       (6.1, 6.12, ...)
# Prints a directory on stdout: vmlinuz, release, busybox, and headers, which is
# what KDIR wants.  It is keyed by the packages and shared by all checkouts.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${IVM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ivmtrace}/linux

# shellcheck source=../../tests/lab/apt.sh source-path=SCRIPTDIR disable=SC1091
. "$here/../../tests/lab/apt.sh"

die()
{
	echo "guest-linux: $*" >&2
	exit 1
}

# What apt would have to say is asked again only when its lists have changed
lists_state()
{
	stat -c '%n %Y %s' /var/lib/apt/lists/* /etc/apt/sources.list* 2>/dev/null |
		cat - "$here/fetch-kernel.sh" | sha256sum | cut -c1-16
}

depends_of()
{
	"${apt_cache[@]}" show --no-all-versions "$1" | sed -n 's/^Depends: //p' |
		tr ',|' '\n\n' | sed 's/ *(.*//; s/^ *//'
}

newest_headers()
{
	"${apt_cache[@]}" pkgnames "linux-headers-$1." |
		grep -E '^linux-headers-[0-9.]+[0-9+a-z-]*-cloud-amd64$' | sort -rV | head -n 1
}

# Headers, what they are made of, the kernel itself, and a shell for its guest
find_packages()
{
	local headers

	headers=$(newest_headers "$series") && [ -n "$headers" ] || return 1
	echo "$headers"
	depends_of "$headers" | grep -E '^linux-(headers|kbuild)-'
	echo "${headers/headers/image}"
	echo busybox-static
}

lookup()
{
	local known=$cache/packages-$series state

	apt_cache=(apt-cache)
	apt_get=(apt-get -q -o APT::Sandbox::User=)
	state=$(lists_state)
	if [ "$(sed -n 1p "$known" 2>/dev/null)" = "$state" ]; then
		packages=$(sed 1d "$known")
		return
	fi
	if ! packages=$(find_packages); then
		fetch_lists
		packages=$(find_packages) ||
			die "apt's sources have no linux-headers-$series.*-cloud-amd64"
	fi
	printf '%s\n%s\n' "$state" "$packages" >"$known.new"
	mv "$known.new" "$known"
}

fetch_lists()
{
	apt_open "$work/apt"
	apt_update || die "apt-get update failed: $(apt_complaint)"
	apt_cache=(apt_run apt-cache)
	apt_get=(apt_run apt-get)
}

download()
{
	mkdir -p "$work/deb"
	# shellcheck disable=SC2086 # a list of words
	(cd "$work/deb" && "${apt_get[@]}" download $packages) >"$work/log" 2>&1 && return
	[ "${apt_get[0]}" != apt_run ] || return 1

	# The lists may be older than the archive, which drops replaced versions
	fetch_lists
	# shellcheck disable=SC2086 # a list of words
	(cd "$work/deb" && apt_run apt-get download $packages) >"$work/log" 2>&1
}

# The headers name their other half by its place on an installed system.  Without
# vmlinux no BTF is made for modules, which takes a tool that few have.
take_headers()
{
	local headers=$1

	mv "$work/root/usr" "$work/image/usr"
	rm -f "$work/image/usr/src/$headers/vmlinux"
	# shellcheck disable=SC2016 # make's
	sed -i 's|^include /usr/src/|include $(dir $(lastword $(MAKEFILE_LIST)))../|' \
		"$work/image/usr/src/$headers/Makefile"
	ln -s "usr/src/$headers" "$work/image/headers"
}

build()
{
	local deb vmlinuz

	echo "guest-linux: fetching kernel $series and its headers" >&2
	download || die "cannot download ${packages//$'\n'/ }: $(tail -n1 "$work/log")"
	mkdir -p "$work/image"
	for deb in "$work"/deb/*.deb; do
		dpkg -x "$deb" "$work/root" || die "cannot unpack ${deb##*/}"
	done
	vmlinuz=$(find "$work/root/boot" -name 'vmlinuz-*' -print -quit)
	[ -n "$vmlinuz" ] || die "the kernel package holds no vmlinuz"
	cp "$vmlinuz" "$work/image/vmlinuz"
	echo "${vmlinuz##*/vmlinuz-}" >"$work/image/release"
	cp "$work/root/bin/busybox" "$work/image/busybox"
	take_headers "$(sed -n 1p <<<"$packages")"
	mv -T "$work/image" "$dir"
}

[[ ${1:-} =~ ^[0-9]+\.[0-9]+$ ]] || die "usage: fetch-kernel.sh SERIES, such as 6.1 or 6.12"
series=$1
mkdir -p "$cache"
exec 9>"$cache/lock-$series"
flock -w 900 9 || die "another fetch of the $series kernel has held the lock for 15 minutes"
work=$(mktemp -d "$cache/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
lookup
dir=$cache/$series-$({ echo "$packages"; cat "$here/fetch-kernel.sh"; } | sha256sum | cut -c1-16)
[ -d "$dir" ] || build
echo "$dir"
