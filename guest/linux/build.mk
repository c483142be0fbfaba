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

# What DKMS wants: dkms add $(O)/guest/dkms && dkms install ivm_mailbox/1.0
$(O)/guest/dkms/dkms.conf: $(linux_guest_src) guest/linux/dkms.conf
	$(call msg,DKMS,$@)
	$(Q)mkdir -p $(@D)/linux/example
	$(Q)cp guest/ivm-shmem.h $(@D)
	$(Q)cp guest/linux/*.[ch] guest/linux/Kbuild device/ivm-regs.h $(@D)/linux
	$(Q)cp guest/linux/example/* $(@D)/linux/example
	$(Q)cp guest/linux/dkms.conf $@

dkms: $(O)/guest/dkms/dkms.conf

# In a guest: the tool, its page, and the driver's source for DKMS
dkms_name = $(shell sed -n 's/^PACKAGE_NAME="\(.*\)"/\1/p' guest/linux/dkms.conf)
dkms_version = $(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' guest/linux/dkms.conf)

install-guest: $(O)/guest/ivm dkms
	$(call msg,INSTALL,$(DESTDIR)$(prefix)/bin/ivm)
	$(Q)install -d $(DESTDIR)$(bindir) $(DESTDIR)$(mandir) \
		$(DESTDIR)$(srcdir)/$(dkms_name)-$(dkms_version)
	$(Q)install -m 755 $(O)/guest/ivm $(DESTDIR)$(bindir)
	$(Q)install -m 644 docs/man/ivm.1 $(DESTDIR)$(mandir)
	$(Q)cp -r $(O)/guest/dkms/. $(DESTDIR)$(srcdir)/$(dkms_name)-$(dkms_version)

.PHONY: dkms install-guest
