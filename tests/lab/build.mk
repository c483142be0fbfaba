# SPDX-License-Identifier: GPL-2.0-or-later
#
# The lab: a nested KVM host in TCG (docs/lab.md).  KERNEL= chooses its kernel.

LAB_KERNEL = $(or $(KERNEL),6.1)
LAB_RUN    = O=$(abspath $(O)) tests/lab/run.sh --kernel $(LAB_KERNEL)

lab-image:
	$(call msg,LAB,$(LAB_KERNEL))
	$(Q)tests/lab/build-emulator.sh >/dev/null
	$(Q)tests/lab/build-image.sh $(LAB_KERNEL) >/dev/null

lab-shell: lab-image
	$(Q)mkdir -p $(O)
	$(Q)$(LAB_RUN) --share $(abspath $(O)) --shell

check-lab-selftest: lab-image
	$(Q)O=$(abspath $(O)) tests/lab/selftest.sh $(LAB_KERNEL)

.PHONY: lab-image lab-shell check-lab-selftest
