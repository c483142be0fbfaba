# SPDX-License-Identifier: GPL-2.0-or-later
#
# make check-vm: real QEMU and KVM, here and in the lab.

VM_TESTS = $(sort $(wildcard tests/vm/*.t)) $(VM_CHECKS)

check-vm: device guest tracer lab-image
	$(Q)IVM_OUT=$(abspath $(O)) IVMTRACE=$(abspath $(O))/ivmtrace IVM_TEST_BASE=tests/ \
		IVM_TEST_LOGS=$(O)/vm/logs tests/run.sh -t 1200 $(VM_TESTS)

.PHONY: check-vm
