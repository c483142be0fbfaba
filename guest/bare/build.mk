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

# ---- arm64 ----
#
# clang and lld are cross compilers as they are

GUEST_ARM64_CC ?= clang --target=aarch64-none-elf
GUEST_ARM64_LD ?= ld.lld

guest_arm64_src := $(wildcard guest/bare/*.c guest/bare/arm64/*.c) guest/bare/arm64/boot.S
guest_arm64_obj := $(patsubst guest/bare/%,$(O)/guest/arm64/%.o,$(basename $(guest_arm64_src)))

GUEST_ARM64_CFLAGS := -march=armv8-a -std=gnu11 -O2 -g -Wall -Wextra -Werror -ffreestanding \
	-mgeneral-regs-only -mno-outline-atomics -fno-pic -fno-stack-protector \
	-fno-asynchronous-unwind-tables -fno-strict-aliasing -MMD -MP

$(O)/guest/arm64/%.o: guest/bare/%.c guest/bare/build.mk
	@mkdir -p $(@D)
	$(call msg,GUESTCC,$<)
	$(Q)$(GUEST_ARM64_CC) $(GUEST_ARM64_CFLAGS) -Iguest/bare -Iguest/bare/arm64 -Idevice -c $< -o $@

$(O)/guest/arm64/%.o: guest/bare/%.S guest/bare/build.mk
	@mkdir -p $(@D)
	$(call msg,GUESTAS,$<)
	$(Q)$(GUEST_ARM64_CC) -march=armv8-a -MMD -MP -c $< -o $@

# In the format of a kernel: then QEMU hands over the command line
$(O)/guest/ivm-bare-arm64.img: $(guest_arm64_obj) guest/bare/arm64/link.ld
	$(call msg,GUESTLD,$@)
	$(Q)$(GUEST_ARM64_LD) -static --no-pie --build-id=none -T guest/bare/arm64/link.ld \
		-o $(O)/guest/arm64/ivm-bare.elf $(guest_arm64_obj)
	$(Q)$(GUEST_ARM64_LD) -static --no-pie --build-id=none --oformat=binary \
		-T guest/bare/arm64/link.ld -o $@ $(guest_arm64_obj)

VM_CHECKS += guest/bare/selftest.t

.PHONY: guest
guest: $(O)/guest/ivm-bare.elf $(O)/guest/ivm-bare-arm64.img

-include $(wildcard $(O)/guest/bare/*.d $(O)/guest/bare/*/*.d \
	$(O)/guest/arm64/*.d $(O)/guest/arm64/*/*.d)
