#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Build the lab's host image for one kernel series: a stock distribution kernel,
# the modules a KVM host needs, and a static busybox.  Packages are downloaded
# and unpacked in private directories; nothing is installed on this machine.
#
# The image depends on two packages, image-init.sh and this script only: what
# runs in the lab comes in from outside at run time.  So it is keyed by their
# content, built once, and shared by every checkout of this user.
#
# usage: build-image.sh [--print-path] KERNEL [amd64|arm64]      (KERNEL: 6.1, 6.12, ...)
# Prints the image's directory on stdout: vmlinuz, initrd, rootfs/, release.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${IVM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ivmtrace}/lab

# shellcheck source=apt.sh source-path=SCRIPTDIR disable=SC1091
. "$here/apt.sh"

# In load order; one that the kernel has built in is skipped.
virtio="virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci
	virtio_blk virtio_console"
declare -A modules=(
	[amd64]="$virtio irqbypass kvm kvm-amd"
	[arm64]="$virtio crc16 mbcache jbd2 ext4"
)

say()
{
	echo "lab-image: $*" >&2
}

die()
{
	say "$*"
	exit 1
}

private_apt_update()
{
	say "fetching package lists"
	if [ "$arch" = amd64 ]; then
		apt_open "$work/apt"
	else
		apt_open "$work/apt" "$arch" amd64
	fi
	apt_update || die "apt-get update failed: $(apt_complaint)"
}

# "name=version" of a package that can be downloaded; a name may end in ":amd64".
# Reads all of apt's answer: a reader that stops early makes apt-cache, and with
# it the pipeline, fail.
available()
{
	"${apt_cache[@]}" show --no-all-versions "$1" 2>/dev/null |
		awk -v n="$1" '$1 == "Version:" { version = $2 } $1 == "Filename:" { found = 1 }
			       END { if (found) print n "=" version; exit !found }'
}

# The newest cloud kernel package of a series, by version of its name.
find_kernel()
{
	local name names

	names=$("${apt_cache[@]}" pkgnames "linux-image-$1." |
		sed 's/:.*//' | grep -E "^linux-image-[0-9.]+[0-9+a-z-]*-cloud-$arch\$" |
		sort -rVu) || return 1
	for name in $names; do
		available "$name" && return
	done
	return 1
}

find_packages()
{
	find_kernel "$1" && available busybox-static || return 1
	# That one runs there, and this one here
	[ "$arch" = amd64 ] || available busybox-static:amd64
}

content_key()
{
	{ echo "$1 $arch"; sha256sum <"$here/build-image.sh"; sha256sum <"$here/image-init.sh"; } |
		sha256sum | cut -c1-16
}

download()
{
	mkdir -p "$work/deb"
	say "downloading $*"
	(cd "$work/deb" && "${apt_get[@]}" download "$@") >"$work/log" 2>&1 && return
	[ "${apt_get[0]}" != apt_run ] || return 1

	# The lists may be older than the archive, which drops replaced versions.
	private_apt_update
	(cd "$work/deb" && apt_run apt-get download "$@") >"$work/log" 2>&1
}

unpack()
{
	local deb root

	for deb in "$work"/deb/*.deb; do
		root=$work/root
		case $deb in
		*/busybox*_amd64.deb)	root=$work/here ;;
		esac
		dpkg -x "$deb" "$root" || die "cannot unpack ${deb##*/}"
	done
}

# Copy module $1 of the unpacked kernel to $2, uncompressed, if it is a module.
copy_module()
{
	local name=$1 to=$2 file pattern

	pattern=${name//[-_]/[-_]}
	file=$(find "$work/root/lib/modules" -name "$pattern.ko*" -print -quit)
	case $file in
	*.ko)		cp "$file" "$to" ;;
	*.ko.xz)	"$busybox" xzcat "$file" >"$to" ;;
	*.ko.gz)	"$busybox" zcat "$file" >"$to" ;;
	*.ko.zst)	zstd -dcq "$file" >"$to" ;;
	"")		grep -rqE "/$pattern\.ko" "$work"/root/lib/modules/*/modules.builtin ||
				die "the kernel package has no module $name"
			return ;;
	*)		die "${file##*/}: compressed in a way not known here" ;;
	esac
	basename "$to" >>"$work/initrd/modules/order"
}

make_initrd()
{
	local module root=$work/initrd

	mkdir -p "$root"/{bin,dev,proc,sys,modules,root}
	cp "$work/root/bin/busybox" "$root/bin/busybox"
	cp "$here/image-init.sh" "$root/init"
	chmod 755 "$root/init"
	: >"$root/modules/order"
	for module in ${modules[$arch]}; do
		copy_module "$module" "$root/modules/$module.ko"
	done
	(cd "$root" && find . | "$busybox" cpio -o -H newc -R 0:0) >"$work/image/initrd" \
		2>/dev/null || die "cannot pack the initrd"
}

# What every lab root starts from; run.sh adds the programs under test.
make_rootfs()
{
	local dir applet root=$work/image/rootfs

	mkdir -p "$root"/{dev,proc,sys,run,tmp,root,etc,var,lab,usr/{bin,sbin,lib,lib64}}
	for dir in bin sbin lib lib64; do
		ln -s "usr/$dir" "$root/$dir"
	done
	cp "$work/root/bin/busybox" "$root/bin/busybox"
	for applet in $("$busybox" --list); do
		[ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
	done
	echo "root:x:0:0:root:/root:/bin/sh" >"$root/etc/passwd"
	echo "root:x:0:" >"$root/etc/group"
	ln -s /proc/self/mounts "$root/etc/mtab"
}

make_image()
{
	local vmlinuz

	busybox=$work/here/bin/busybox
	[ "$arch" != amd64 ] || cp -a "$work/here/bin" "$work/root"
	[ -x "$busybox" ] || die "the busybox package holds no bin/busybox"
	vmlinuz=$(find "$work/root/boot" -name 'vmlinuz-*' -print -quit)
	[ -n "$vmlinuz" ] || die "the kernel package holds no vmlinuz"

	mkdir -p "$work/image"
	cp "$vmlinuz" "$work/image/vmlinuz"
	basename "$vmlinuz" | sed 's/^vmlinuz-//' >"$work/image/release"
	make_initrd
	make_rootfs
}

# Everything below runs under the lock; the image appears in one rename.
build()
{
	local series=$1 packages=$2 dir=$3 begin=$SECONDS

	# shellcheck disable=SC2086 # a list of words
	download $packages || die "cannot download $packages: $(tail -n1 "$work/log")"
	unpack
	make_image
	mv -T "$work/image" "$dir"
	say "kernel $series: $(cat "$dir/release") ready after $((SECONDS - begin)) s"
}

# Asking apt takes seconds, so the answer is kept until its lists change.
lists_state()
{
	stat -c '%n %Y %s' /var/lib/apt/lists/* /etc/apt/sources.list* 2>/dev/null |
		cat - "$here/build-image.sh" | sha256sum | cut -c1-16
}

lookup()
{
	local series=$1 known=$cache/packages-$1-$arch state

	apt_cache=(apt-cache)
	apt_get=(apt-get -q -o APT::Sandbox::User=)
	state=$(lists_state)
	if [ "$(sed -n 1p "$known" 2>/dev/null)" = "$state" ]; then
		packages=$(sed -n 2p "$known")
		return
	fi

	if [ "$arch" != amd64 ] || ! packages=$(find_packages "$series"); then
		apt_cache=(apt_run apt-cache)
		apt_get=(apt_run apt-get)
		private_apt_update
		packages=$(find_packages "$series") ||
			die "apt's sources have no busybox-static or no linux-image-$series.*-cloud-$arch"
	fi
	packages=${packages//$'\n'/ }
	printf '%s\n%s\n' "$state" "$packages" >"$known.new"
	mv "$known.new" "$known"
}

main()
{
	local print_only=0 series key dir

	if [ "${1:-}" = --print-path ]; then
		print_only=1
		shift
	fi
	[ $# -eq 1 ] || [ $# -eq 2 ] || die "usage: build-image.sh [--print-path] KERNEL [ARCH]"
	series=$1
	arch=${2:-amd64}
	[ -n "${modules[$arch]:-}" ] || die "no image for '$arch': expected amd64 or arm64"
	[[ $series =~ ^[0-9]+\.[0-9]+$ ]] ||
		die "kernel '$series': expected a series such as 6.1 or 6.12"

	mkdir -p "$cache"
	exec 9>"$cache/lock-$series-$arch"
	flock -w 900 9 || die "another build of the $series image has held the lock for 15 minutes"

	work=$(mktemp -d "$cache/build.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	lookup "$series"
	key=$(content_key "$packages")
	dir=$cache/$series-$arch-$key
	[ -d "$dir" ] || [ $print_only = 1 ] || build "$series" "$packages" "$dir"
	echo "$dir"
}

main "$@"
