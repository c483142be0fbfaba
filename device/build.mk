# SPDX-License-Identifier: GPL-2.0-or-later
#
# QEMU with the ivm-mailbox device: $(O)/qemu/qemu-system-*, firmware in
# $(O)/qemu/share.  The script decides what is out of date: its key is content,
# not time, and the result is shared by all checkouts of this user.

QEMU_SRC ?=
export QEMU_SRC

device:
	$(Q)device/build-qemu.sh --link $(O)/qemu

DEVICE_TESTS = device/qtest/mailbox.t device/qtest/link.t device/qtest/arch.t
VM_CHECKS   += $(DEVICE_TESTS)

check-device: device
	$(Q)$(VM_ENV) tests/run.sh -t 300 $(DEVICE_TESTS)

.PHONY: device check-device
