#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
exec "$(dirname "$0")/linux.sh" lab-6.1 50 qemu:messages irqfd:messages direct:messages \
	qemu:flap irqfd:flap direct:flap direct:fuzz qemu:life direct:life direct:stress
