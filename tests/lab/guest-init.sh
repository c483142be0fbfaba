#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=dash
#
# The lab host's init: mount what a tracer and QEMU expect, run the one command
# this boot is for, hand its output, status and files over, power off.
# /lab/command and /lab/timeout come from run.sh.

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin
export HOME=/root LANG=C.UTF-8 TERM=linux
export LAB_OUT=/lab/out

fail()
{
	echo "lab-init: $*" >/dev/console
	echo "result $*" >>/run/status
	poweroff -f
}

mount_all()
{
	mkdir -p /dev/pts /dev/shm
	mount -t devpts devpts /dev/pts
	mount -t tmpfs tmpfs /dev/shm
	mount -t debugfs debugfs /sys/kernel/debug
	mount -t tracefs tracefs /sys/kernel/tracing
	mount -t bpf bpf /sys/fs/bpf
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	ln -s /proc/self/fd /dev/fd
	ln -s /proc/self/fd/0 /dev/stdin
	ln -s /proc/self/fd/1 /dev/stdout
	ln -s /proc/self/fd/2 /dev/stderr
}

# Give the ports of run.sh their names under /run.
name_ports()
{
	local dir tries=0

	while [ ! -e /run/port.status ]; do
		for dir in /sys/class/virtio-ports/*; do
			[ -s "$dir/name" ] || continue
			ln -sf "/dev/${dir##*/}" "/run/port.$(sed 's/^lab\.//' "$dir/name")"
		done
		tries=$((tries + 1))
		[ $tries -lt 100 ] || return 1
		[ -e /run/port.status ] || usleep 100000
	done
}

status()
{
	echo "$*" >/run/port.status
}

# A port can be opened once at a time, but /dev/stdout must open as often as a
# program likes: so a pipe and a cat for each stream.
open_streams()
{
	mkfifo /run/stdout /run/stderr
	cat /run/stdout >/run/port.stdout &
	out_pid=$!
	cat /run/stderr >/run/port.stderr &
	err_pid=$!
}

# Processes the command left behind may keep the pipes open: do not wait for them.
close_streams()
{
	local tries=0

	while kill -0 $out_pid 2>/dev/null || kill -0 $err_pid 2>/dev/null; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] || break
		usleep 20000
	done
}

watch_command()
{
	sleep "$(cat /lab/timeout)"
	touch /run/timed-out
	kill -TERM "-$1"
	sleep 5
	kill -KILL "-$1"
}

run_command()
{
	local pid watch_pid code

	setsid /lab/command </dev/null >/run/stdout 2>/run/stderr &
	pid=$!
	watch_command $pid &
	watch_pid=$!
	wait $pid
	code=$?
	kill $watch_pid
	kill -KILL "-$pid" 2>/dev/null
	if [ -e /run/timed-out ]; then
		result="timeout"
	else
		result="exit $code"
	fi
}

bring_out()
{
	[ -b /dev/vdb ] || return 0
	tar -C "$LAB_OUT" -cf /dev/vdb . || result="the files in LAB_OUT do not fit the disk"
	sync
}

mount_all
mkdir -p "$LAB_OUT"
hostname lab
ip link set lo up
ulimit -n 65536
name_ports || fail "no virtio ports after 10 s"

if grep -qw lab.shell /proc/cmdline; then
	setsid cttyhack sh -l
	poweroff -f
fi

status "booted"
open_streams
run_command
close_streams
bring_out
status "result $result"
poweroff -f
