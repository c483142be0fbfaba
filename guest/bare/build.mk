# SPDX-License-Identifier: GPL-2.0-or-later
# The freestanding guest: $(O)/guest/ivm-bare.elf, for -kernel of any x86 QEMU.

GUEST_CC ?= gcc
GUEST_OBJCOPY ?= objcopy

guest_bare_src := $(wildcard guest/bare/*.c guest/bare/x86/*.c) guest/bare/x86/boot.S
guest_bare_obj := $(patsubst guest/bare/%,$(O)/guest/bare/%.o,$(basename $(guest_bare_src)))

# No SSE, no red zone, no TLS: there is no operating system, and KVMs that
# emulate the guest do not know vector instructions.
GUEST_BARE_CFLAGS := -m64 -std=gnu11 -O2 -g -Wall -Wextra -Werror -ffreestanding -nostdlib \
	-mgeneral-regs-only -mno-red-zone -mcmodel=small -fno-pic -fno-pie -fno-stack-protector \
	-fcf-protection=none -fno-asynchronous-unwind-tables -fno-strict-aliasing -MMD -MP

# r10..r15 belong to interrupts (x86/boot.S); x86/irq.c is the one file that runs there
# and leaves all other registers alone.
guest_regs_main := -ffixed-r10 -ffixed-r11 -ffixed-r12 -ffixed-r13 -ffixed-r14 -ffixed-r15
guest_regs_irq := -ffixed-r14 -ffixed-r15 -ffixed-cx -ffixed-si -ffixed-di -ffixed-r8 -ffixed-r9

$(O)/guest/bare/x86/irq.o: guest_regs_main := $(guest_regs_irq)

$(O)/guest/bare/%.o: guest/bare/%.c guest/bare/build.mk
	@mkdir -p $(@D)
	$(call msg,GUESTCC,$<)
	$(Q)$(GUEST_CC) $(GUEST_BARE_CFLAGS) $(guest_regs_main) -Iguest/bare -Iguest/bare/x86 -Idevice -c $< -o $@

$(O)/guest/bare/%.o: guest/bare/%.S guest/bare/build.mk
	@mkdir -p $(@D)
	$(call msg,GUESTAS,$<)
	$(Q)$(GUEST_CC) -m64 -MMD -MP -c $< -o $@

$(O)/guest/bare/ivm-bare.elf64: $(guest_bare_obj) guest/bare/x86/link.ld
	$(call msg,GUESTLD,$@)
	$(Q)$(GUEST_CC) -m64 -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,max-page-size=4096 \
		-Wl,--no-warn-rwx-segments -T guest/bare/x86/link.ld -o $@ $(guest_bare_obj)

# QEMU's multiboot loader takes 32-bit ELF only, whatever is inside
$(O)/guest/ivm-bare.elf: $(O)/guest/bare/ivm-bare.elf64
	$(call msg,OBJCOPY,$@)
	$(Q)$(GUEST_OBJCOPY) -S -O elf32-i386 $< $@

VM_CHECKS += guest/bare/selftest.t

.PHONY: guest
guest: $(O)/guest/ivm-bare.elf

-include $(wildcard $(O)/guest/bare/*.d $(O)/guest/bare/*/*.d)
