# SPDX-License-Identifier: GPL-2.0-or-later
#
# make check-vm: real QEMU and KVM, here and in the lab; make soak: the same with
# large counts, an hour and more.

VM_TESTS = $(VM_CHECKS) $(sort $(wildcard tests/vm/*.t))
VM_ENV   = IVM_OUT=$(abspath $(O)) IVMTRACE=$(abspath $(O))/ivmtrace IVM_TEST_BASE=tests/ \
	   IVM_TEST_LOGS=$(O)/vm/logs

check-vm: device guest tracer
	$(Q)$(MAKE) --no-print-directory lab-image KERNEL=6.1
	$(Q)$(MAKE) --no-print-directory lab-image KERNEL=6.12
	$(Q)$(VM_ENV) tests/run.sh -t 1200 $(VM_TESTS)

soak: device guest tracer
	$(Q)$(MAKE) --no-print-directory lab-image KERNEL=6.1
	$(Q)$(MAKE) --no-print-directory lab-image KERNEL=6.12
	$(Q)$(VM_ENV) tests/run.sh -t 20000 tests/vm/soak-native.sh tests/vm/soak-lab-6.1.sh \
		tests/vm/soak-lab-6.12.sh

.PHONY: check-vm soak
