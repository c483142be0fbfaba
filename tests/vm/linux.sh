#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Linux guests with the driver and the tool, judged by what they say and what
# their kernels log.
#
#   linux.sh native|lab-6.1|lab-6.12 SCALE MODE:CASE...
#
# The guests' kernel is of the lab's series, 6.12 natively.  Natively they run
# under TCG, in mode qemu only.
set -u
. tests/tap.sh

here=$(cd "$(dirname "$0")" && pwd)
rig=$1 scale=$2
shift 2
out=$IVM_OUT/vm/linux-$rig
series=6.12
[ "$rig" = native ] || series=${rig#lab-}

make -s guest-linux vm-programs O="$IVM_OUT" > "$IVM_OUT/linux-build.log" 2>&1 ||
	{ echo "# no Linux guest: $(tail -n 1 "$IVM_OUT/linux-build.log")"; exit 77; }
rm -rf "$out" "$IVM_OUT/vm/linux-share-$rig"
mkdir -p "$out"

# Only what the guests need goes into the lab
share=$IVM_OUT/vm/linux-share-$rig
mkdir -p "$share/guest/linux-$series" "$share/vm"
cp -L "$IVM_OUT/guest/linux-$series/initrd" "$IVM_OUT/guest/linux-$series/vmlinuz" \
	"$share/guest/linux-$series"
cp "$IVM_OUT/guest/linux-$series/busybox" "$share/guest"
cp "$IVM_OUT/vm/linux-relay" "$IVM_OUT/vm/linux-fuzz" "$here/linux-pair.sh" \
	"$here/linux-guest.sh" "$share/vm"
cp -rL "$IVM_OUT/qemu" "$share/qemu"

case $rig in
native)
	"$here/linux-pair.sh" "$share" "$here" "$out" tcg "$series" "$scale" "$@"
	;;
lab-*)
	# shellcheck disable=SC2016 # LAB_OUT is the lab's
	"$here/../lab/run.sh" --kernel "$series" --timeout $((1100 * scale)) --share "$share" \
		--out "$out" --log "$out/console.log" -- bash -c \
		'exec "$0/vm/linux-pair.sh" "$0" "$0/vm" "$LAB_OUT" kvm "${@}"' \
		"$share" "$series" "$scale" "$@"
	;;
esac
rm -rf "$share"

# steps FILE: "NAME STATUS" of each
steps() {
	tr -d '\r' < "$1" 2> /dev/null | sed -n 's/^test: \([a-z_]* [0-9]*\)$/\1/p'
}

declare -A wanted_ping=(
	[messages]="messages 0" [flap]="flap 0" [stress]="stress 0"
	[fuzz]="rough 0 clean 0" [life]="raw 0 echo 0 user 0 ring 0 after 0" )
declare -A wanted_pong=(
	[messages]="messages 0" [flap]="flap 0" [stress]="stress 0"
	[fuzz]="rough 0 rebind 0 clean 0"
	[life]="misfits 0 load 0 busy 0 unload 0 hold 0 unplug 0 unbind 0 reload 0 after 0" )

# The doorbells that QEMU has seen begin with those that its guest has traced
check_trace() {
	local traced seen

	is "$what: the driver's events" "$(tr -d '\r' < "$out/$name.pong" |
		sed -n 's/^traced: //p' | tr '\n' ' ')" \
		"ivm_doorbell_ring ivm_irq_handle ivm_irq_mask ivm_message_receive ivm_message_send "
	[ "${what%%:*}" != direct ] || return
	traced=$(tr -d '\r' < "$out/$name.pong" | sed -n 's/^ring: //p')
	seen=$(sed -n 's/.*ivm_doorbell_ring .*doorbell \([0-9]*\) cookie \(0x[0-9a-f]*\) .*/\1 \2/p' \
		"$out/$name.pong.rings" | head -n "$(wc -l <<< "$traced")")
	is "$what: doorbells and cookies as QEMU saw them" "$traced" "$seen"
	like "$what: and there are some" "$(wc -l <<< "$traced")" '^[0-9]{3,}$'
}

# Since the driver is there: before, the lab's CPU is what kernels complain about
complaints() {
	sed -n '/ivm_mailbox: loading/,$p' "$out/$name.$1" |
		grep -aE 'BUG|WARNING|Oops|Call Trace|panic'
}

for what; do
	name=${what/:/-} case=${what##*:}
	is "$what: ping" "$(steps "$out/$name.ping" | tr '\n' ' ')" "${wanted_ping[$case]} end 0 "
	is "$what: pong" "$(steps "$out/$name.pong" | tr '\n' ' ')" "${wanted_pong[$case]} end 0 "
	is "$what: no kernel complains" "$(complaints ping)$(complaints pong)" ''
	[ "$case" != life ] || check_trace
	[ "$case" != flap ] || is "$what: the link was cut" \
		"$(grep -c '^cut' "$out/$name.relay")" $((scale > 1 ? 50 : 5))
	[ "$case" != fuzz ] || like "$what: there was garbage" "$(cat "$out/$name.fuzz")" \
		'^[0-9]{3,} writes'
	[ "$case" = fuzz ] || is "$what: no ring was found corrupt" \
		"$(grep -a 'corrupt\|malformed' "$out/$name.ping" "$out/$name.pong")" ''
done
done_testing
