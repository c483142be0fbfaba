# SPDX-License-Identifier: GPL-2.0-or-later
#
# QEMU with the ivm-mailbox device: $(O)/qemu/qemu-system-x86_64, firmware in
# $(O)/qemu/share.  The script decides what is out of date: its key is content,
# not time, and the result is shared by all checkouts of this user.

QEMU_SRC ?=
export QEMU_SRC

QEMU     = $(O)/qemu/qemu-system-x86_64

device:
	$(Q)device/build-qemu.sh --link $(O)/qemu

check-device: device
	$(Q)device/qtest/run.sh $(O)/qemu

VM_CHECKS += device/qtest/run.sh

.PHONY: device check-device
