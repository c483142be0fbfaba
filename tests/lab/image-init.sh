#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=dash
#
# /init of the lab image: load the modules, mount the disk that run.sh made for
# this run, and go on with the program on it.  Nothing here knows what will run.

busybox=/bin/busybox

fail()
{
	echo "lab-init: $*" >/dev/console
	$busybox poweroff -f
}

$busybox mount -t proc proc /proc
$busybox mount -t sysfs sysfs /sys
$busybox mount -t devtmpfs dev /dev

while read -r module; do
	$busybox insmod "/modules/$module" || fail "cannot load $module"
done </modules/order

# Probing is asynchronous: the disk may appear a little after its driver.
tries=0
while [ ! -b /dev/vda ]; do
	tries=$((tries + 1))
	[ $tries -lt 100 ] || fail "no disk after 10 s"
	$busybox usleep 100000
done

$busybox mount -t ext4 -o noatime /dev/vda /root || fail "cannot mount the disk"
for dir in proc sys dev; do
	$busybox mount -o move "/$dir" "/root/$dir"
done
[ -x /root/lab/init ] || fail "the disk has no /lab/init"
exec $busybox switch_root /root /lab/init
