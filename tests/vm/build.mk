# SPDX-License-Identifier: GPL-2.0-or-later
#
# make check-vm: real QEMU and KVM, here and in the lab; make soak: the same with
# large counts, two hours.  Each tests/vm/soak-*.sh says how long it takes, and runs by itself
# with IVM_OUT=$PWD/.output IVMTRACE=$PWD/.output/ivmtrace.

VM_TESTS = $(VM_CHECKS) $(sort $(wildcard tests/vm/*.t tests/page/*.t))
VM_ENV   = IVM_OUT=$(abspath $(O)) IVMTRACE=$(abspath $(O))/ivmtrace IVM_TEST_BASE=tests/ \
	   IVM_TEST_LOGS=$(O)/vm/logs

check-vm: device guest tracer vm-programs
	$(Q)$(MAKE) --no-print-directory lab-image KERNEL=6.1
	$(Q)$(MAKE) --no-print-directory lab-image KERNEL=6.12
	$(Q)$(VM_ENV) tests/run.sh -t 1200 $(VM_TESTS)

soak: device guest tracer vm-programs
	$(Q)$(MAKE) --no-print-directory lab-image KERNEL=6.1
	$(Q)$(MAKE) --no-print-directory lab-image KERNEL=6.12
	$(Q)$(VM_ENV) tests/run.sh -t 40000 $(sort $(wildcard tests/vm/soak-*.sh))

.PHONY: check-vm soak

$(O)/vm/obj/%.o: tests/vm/%.c
	@mkdir -p $(@D)
	$(call msg,CC,$@)
	$(Q)$(CC) $(CFLAGS) $(TRACER_CFLAGS) -I. -MMD -MP -c $< -o $@

$(O)/vm/foreign-pair: $(O)/vm/obj/foreign-pair.o $(patsubst %,$(O)/tracer/obj/tracer/%.o,\
		rig lane ivshmem_server error)
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(IVM_CFLAGS) $^ -o $@ $(TRACER_LIBS)

$(O)/vm/foreign-writer: $(O)/vm/obj/foreign-writer.o
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(IVM_CFLAGS) $^ -o $@

# Holds doorbells up, for run-delays.sh
$(O)/vm/delay: $(O)/vm/obj/delay.o
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(IVM_CFLAGS) -pthread $^ -o $@

# A KVM that refuses, for run-faults.sh
$(O)/vm/refuse.so: tests/vm/refuse.c
	@mkdir -p $(@D)
	$(call msg,CC,$@)
	$(Q)$(CC) $(CFLAGS) $(IVM_CFLAGS) -shared -fPIC $< -o $@

# Burns CPU at known places, for profile.t
$(O)/vm/burn.so: tests/vm/burn.c
	@mkdir -p $(@D)
	$(call msg,CC,$@)
	$(Q)$(CC) $(CFLAGS) $(IVM_CFLAGS) -shared -fPIC $< -o $@

# For linux-pair.sh
$(O)/vm/linux-%: $(O)/vm/obj/linux-%.o
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(IVM_CFLAGS) $^ -o $@

vm-programs: $(O)/vm/foreign-pair $(O)/vm/foreign-writer $(O)/vm/delay $(O)/vm/refuse.so $(O)/vm/burn.so \
	$(O)/vm/linux-relay $(O)/vm/linux-fuzz
.PHONY: vm-programs
.SECONDARY: $(O)/vm/obj/foreign-pair.o $(O)/vm/obj/foreign-writer.o $(O)/vm/obj/delay.o
-include $(O)/vm/obj/foreign-pair.d $(O)/vm/obj/foreign-writer.d $(O)/vm/obj/delay.d
