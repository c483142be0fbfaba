# SPDX-License-Identifier: GPL-2.0-or-later
#
# Linux guests: the tool $(O)/guest/ivm, and for each kernel series the driver and
# an initrd with both in $(O)/guest/linux-SERIES.  Kernels and headers come from
# the distribution and are kept in $(IVM_CACHE)/linux.

LINUX_SERIES = 6.1 6.12

ivm_tool_src := $(wildcard guest/linux/tool/*.c)
ivm_tool_obj := $(ivm_tool_src:guest/linux/tool/%.c=$(O)/guest/tool/%.o)

$(O)/guest/tool/%.o: guest/linux/tool/%.c
	@mkdir -p $(@D)
	$(call msg,CC,$@)
	$(Q)$(CC) $(CFLAGS) $(IVM_CFLAGS) -Idevice -MMD -MP -c $< -o $@

$(O)/guest/ivm: $(ivm_tool_obj)
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -static $^ -o $@

guest: $(O)/guest/ivm

linux_guest_src := $(wildcard guest/linux/*.[ch] guest/linux/*.sh guest/linux/init \
	guest/linux/Kbuild guest/linux/example/*) guest/ivm-shmem.h device/ivm-regs.h

$(O)/guest/linux-%/initrd: $(linux_guest_src) $(O)/guest/ivm
	$(call msg,KBUILD,$@)
	$(Q)guest/linux/build-guest.sh $* $(@D) $(O)/guest/ivm

guest-linux: $(LINUX_SERIES:%=$(O)/guest/linux-%/initrd)

.PHONY: guest-linux
-include $(ivm_tool_obj:.o=.d)
