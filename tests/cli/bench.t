#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ivmtrace bench: what it refuses before it starts anything.
. tests/tap.sh
. tests/cli/fixture.sh

fails "an unknown mode" 1 "--modes: 'fast' is none of qemu, irqfd, direct" bench --modes fast
fails "no mode" 1 "--modes" bench --modes ''
fails "a mode twice" 1 "--modes: irqfd twice" bench --modes irqfd,qemu,irqfd
fails "0 vectors" 1 "--vectors: 0 is out of range, give 1 to 256" bench --vectors 0
fails "257 vectors" 1 "--vectors: 257 is out of range, give 1 to 256" bench --vectors 257
fails "an unknown pattern" 1 "--pattern: 'zigzag' is not pingpong" bench --pattern zigzag
fails "a burst of none" 1 "--pattern burst: 0 is out of range" bench --pattern burst=0
fails "a burst without a size" 1 "--pattern: 'burst' is not" bench --pattern burst
fails "a rate that is no number" 1 "--pattern rate" bench --pattern rate=fast
fails "no doorbells" 1 "--count: 0 is out of range" bench --count 0
fails "an unknown backend" 1 "--backend: 'etw' is none of auto, bpf, tracefs" bench --backend etw
fails "an unknown format" 1 "--format: 'xml' is none of" bench --format xml
fails "direct under TCG" 1 "--modes: direct needs KVM" bench --accel tcg --modes direct
fails "a QEMU that is not there" 1 "no QEMU with ivm-mailbox at /nowhere/qemu" \
	bench --qemu /nowhere/qemu
fails "a guest that is not there" 1 "no guest payload at /nowhere/guest" \
	bench --qemu /bin/true --guest /nowhere/guest
fails "own cost under TCG" 1 "--own-cost needs KVM" \
	bench --qemu /bin/true --guest /bin/true --accel tcg --own-cost
fails "no links" 1 "--links: 0 is out of range, give 1 to 64" bench --links 0
fails "fewer links than modes" 1 "--links: 2 is less than the 3 modes" bench --links 2
fails "noise too slow" 1 "--noise: 99 is out of range" bench --noise 99
fails "noise beside many vectors" 1 "--noise: not with more than 64 vectors" \
	bench --noise 100 --vectors 65
fails "lanes kept nowhere" 1 "--keep-lanes: no directory /nowhere" bench --keep-lanes /nowhere
fails "own cost without BPF" 1 "--own-cost measures BPF programs" \
	bench --qemu /bin/true --guest /bin/true --backend tracefs --own-cost
fails "a Linux guest that is not built" 1 "no linux-5.99 guest: 'make guest-linux' builds it" \
	bench --accel tcg --qemu /bin/true --guest linux-5.99
fails "messages without a Linux guest" 1 "--pattern: messages are of Linux guests" \
	bench --pattern messages
fails "a rate of Linux guests" 1 "--pattern: Linux guests have pingpong, flood and messages" \
	bench --accel tcg --guest linux --pattern rate=5
fails "an operand" 1 "" bench operand
done_testing
