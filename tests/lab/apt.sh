# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# apt with private state, for scripts that download and unpack packages without
# touching the machine: usable by any user, and on a machine whose own package
# lists were never fetched or are out of date.  Source it, then apt_open DIR [ARCH...].

apt_dir=
apt_options=()

# apt_open DIR [ARCH...]: packages of these architectures, of the first if none is named
apt_open()
{
	local arch

	apt_dir=$1
	shift
	[ $# -eq 0 ] || apt_options=(-o "APT::Architecture=$1")
	for arch; do
		apt_options+=(-o "APT::Architectures::=$arch")
	done
	mkdir -p "$apt_dir/state/lists/partial" "$apt_dir/cache/archives/partial"
	: >"$apt_dir/status"
}

# apt_run TOOL ARGS...: with the machine's sources, or those given to apt_sources.
apt_run()
{
	local tool=$1 sources=()
	shift

	[ ! -f "$apt_dir/sources.list" ] ||
		sources=(-o Dir::Etc::sourcelist="$apt_dir/sources.list" -o Dir::Etc::sourceparts=-)
	"$tool" -q -o Dir::State="$apt_dir/state" -o Dir::State::status="$apt_dir/status" \
		-o Dir::Cache="$apt_dir/cache" -o APT::Sandbox::User= -o Acquire::Languages=none \
		${apt_options[@]+"${apt_options[@]}"} "${sources[@]}" "$@"
}

apt_update()
{
	apt_run apt-get update >"$apt_dir/log" 2>&1
}

# From now on use the lines on stdin instead of the machine's sources.
apt_sources()
{
	cat >"$apt_dir/sources.list"
}

# Why the last apt_update, or a command logged to DIR/log, failed: its last line.
apt_complaint()
{
	tail -n1 "$apt_dir/log"
}
