#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The QEMU that carries the lab, with all its libraries and firmware, unpacked
# from distribution packages into the cache; prints the program's path.
#
# Not just any QEMU.  Before 8.1 TCG could keep a translation of code that was
# being changed by another CPU; a kernel that patches its text, as attaching a
# tracer makes it do, then dies of a breakpoint that is no longer there ("Oops:
# int3", within a minute of toggling tracepoints).  One thread for all CPUs
# (thread=single) avoids that, but meets another bug: VMRUN leaves the vector it
# injected in exception_index, and a CPU asked out of its loop for nothing, as
# that mode does all the time, enters the guest's handler a second time (1000
# rung, 1003 handled).  With a thread for each CPU an interrupt comes with such a
# request and clears the vector: 180000 of 180000 were handled once.  So where
# the release has an older QEMU its backports are used, with thread=multi.
#
# usage: fetch-emulator.sh

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${IVM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ivmtrace}/lab
oldest=8.1

# shellcheck source=apt.sh source-path=SCRIPTDIR disable=SC1091
. "$here/apt.sh"

say()
{
	echo "lab-emulator: $*" >&2
}

die()
{
	say "$*"
	exit 1
}

# The machine's own repositories of its release, and the backports beside them.
list_sources()
{
	# shellcheck disable=SC2016 # the $() are apt's
	apt_run apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
		'Created-By: Packages' |
	awk -v c="$codename" '$3 != "main" { next }
		$2 ~ "^" c "(-updates|-security)?$" { print "deb", $1, $2, $3 }
		$2 == c { print "deb", $1, c "-backports", $3 }' | sort -u
}

download()
{
	local sources

	apt_open "$work/apt"
	say "fetching package lists"
	apt_update || die "apt-get update failed: $(apt_complaint)"
	sources=$(list_sources)
	[ -n "$sources" ] || die "apt has no $codename repository configured"
	apt_sources <<<"$sources"
	apt_update || die "apt-get update failed: $(apt_complaint)"
	say "downloading QEMU and its libraries"
	apt_run apt-get -y -d -t "$codename-backports" --no-install-recommends \
		install qemu-system-x86 >"$work/apt/log" 2>&1 ||
		die "cannot download qemu-system-x86: $(apt_complaint)"
}

unpack()
{
	local deb

	mkdir "$work/emulator"
	for deb in "$work"/apt/cache/archives/*.deb; do
		dpkg -x "$deb" "$work/emulator" || die "cannot unpack ${deb##*/}"
	done
	rm -rf "$work/emulator"/{etc,var,usr/share/{doc,man,locale}}
}

# Libraries and their loader come from the same packages as the program.
write_wrapper()
{
	cat >"$work/emulator/qemu-system-x86_64" <<'END'
#!/bin/sh
root=${0%/*}
lib=$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu
exec "$root/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" --library-path "$lib" \
	"$root/usr/bin/qemu-system-x86_64" \
	-L "$root/usr/share/qemu" -L "$root/usr/share/seabios" "$@"
END
	chmod 755 "$work/emulator/qemu-system-x86_64"
}

check_version()
{
	local version

	version=$("$work/emulator/qemu-system-x86_64" --version |
		sed -nE '1s/.*version ([0-9.]+).*/\1/p')
	[ -n "$version" ] || die "the QEMU that was unpacked does not start"
	[ "$(printf '%s\n' "$oldest" "$version" | sort -V | head -n1)" = "$oldest" ] ||
		die "$codename and its backports have QEMU $version; the lab needs $oldest or newer"
	say "QEMU $version ready after $SECONDS s"
}

main()
{
	local dir

	# shellcheck disable=SC1091 # a file of the machine
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	[ -n "$codename" ] || die "/etc/os-release names no VERSION_CODENAME"
	dir=$cache/emulator-$codename-$(cat "$here/fetch-emulator.sh" "$here/apt.sh" |
		sha256sum | cut -c1-16)
	mkdir -p "$cache"
	exec 9>"$cache/lock-emulator"
	flock -w 900 9 || die "another download has held the lock for 15 minutes"
	if [ ! -d "$dir" ]; then
		work=$(mktemp -d "$cache/build.XXXXXX")
		trap 'rm -rf "$work"' EXIT
		download
		unpack
		write_wrapper
		check_version
		mv -T "$work/emulator" "$dir"
	fi
	echo "$dir/qemu-system-x86_64"
}

main "$@"
