/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the multiboot loader, or from SIPI, into 64-bit C code; and the
 * interrupt entry points.
 *
 * Interrupt entries own r10..r15: no other code of the image uses them (see
 * build.mk), so an interrupt saves nothing to memory.  That matters where KVM
 * emulates every instruction of the guest, at about 1 us each, and it lets the
 * time stamp be taken by the third instruction of the handler.
 */
#include "layout.h"

#define MULTIBOOT_MAGIC	0x1badb002
#define MULTIBOOT_FLAGS	0x00000003	/* page-aligned modules, memory map */

#define CR0_PE		(1 << 0)
#define CR0_PG		(1 << 31)
#define CR4_PAE		(1 << 5)
#define MSR_EFER	0xc0000080
#define EFER_LME	(1 << 8)

	.section .multiboot, "a"
	.balign 4
	.long MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

	.text
	.code32
	.globl _start
_start:
	cli
	movl %ebx, multiboot_info
	movl %eax, multiboot_magic

	/* Identity map of the first 4 GiB: one PML4, one PDPT, four PDs of 2 MiB pages */
	movl $boot_pdpt + 3, boot_pml4
	movl $boot_pd + 3, %eax
	movl $boot_pdpt, %edi
	movl $4, %ecx
1:	movl %eax, (%edi)
	addl $0x1000, %eax
	addl $8, %edi
	loop 1b

	movl $0x83, %eax
	movl $boot_pd, %edi
	movl $2048, %ecx
1:	movl %eax, (%edi)
	addl $0x200000, %eax
	addl $8, %edi
	loop 1b

	lgdt gdt_pointer
	xorl %esi, %esi			/* CPU 0 */
	jmp enter_long_mode

/* In: esi = CPU number, GDT loaded, protected mode, paging off */
enter_long_mode:
	movl $SEL_DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl %cr4, %eax
	orl $CR4_PAE, %eax
	movl %eax, %cr4
	movl $boot_pml4, %eax
	movl %eax, %cr3
	movl $MSR_EFER, %ecx
	rdmsr
	orl $EFER_LME, %eax
	wrmsr
	movl %cr0, %eax
	orl $CR0_PG, %eax
	movl %eax, %cr0
	ljmp $SEL_CODE64, $long_mode

	.code64
long_mode:
	leal 1(%rsi), %eax
	imull $BARE_STACK_BYTES, %eax, %eax
	leaq cpu_stacks(%rax), %rsp
	movl %esi, %edi
	testl %esi, %esi
	jnz 1f
	call bare_main
1:	call ap_main
2:	hlt
	jmp 2b

/* Copied to AP_TRAMPOLINE; the address of everything else is absolute */
	.code16
	.globl ap_trampoline, ap_trampoline_end
ap_trampoline:
	cli
	xorw %ax, %ax
	movw %ax, %ds
	lgdtl AP_TRAMPOLINE + (ap_gdt_pointer - ap_trampoline)
	movl %cr0, %eax
	orl $CR0_PE, %eax
	movl %eax, %cr0
	ljmpl $SEL_CODE32, $ap_protected
ap_gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt
ap_trampoline_end:

	.code32
ap_protected:
	movl $SEL_DATA, %eax
	movl %eax, %ds
	movl ap_starting, %esi		/* CPUs start one at a time */
	jmp enter_long_mode

	.code64

/*
 * One entry per link vector: r12 = vector, r13 = TSC at entry, rax and rdx
 * parked in r14 and r15.  irq_link() is compiled to clobber only rax, rdx,
 * r10 and r11.
 */
	.set link_number, 0
	.balign 32
	.globl link_entries
link_entries:
	.rept 256
	.balign 32
	movq %rax, %r14
	movq %rdx, %r15
	rdtsc
	movl $link_number, %r12d
	jmp link_common
	.set link_number, link_number + 1
	.endr

link_common:
	movl %eax, %r13d
	shlq $32, %rdx
	orq %rdx, %r13
	call irq_link
	movq %r14, %rax
	movq %r15, %rdx
	iretq

	.globl timer_entry, noise_timer_entry, noise_tick_entry, noise_ipi_entry
	.globl wake_entry, spurious_entry
noise_tick_entry:			/* CPU 0's noise keeps its tick going */
	decl noise_until_tick
	jnz noise_timer_entry
	movl noise_per_tick, %r14d
	movl %r14d, noise_until_tick
	incl timer_ticks
noise_timer_entry:
	lock incq noise_timers
	movl noise_icr, %r14d
	movl $0xfee00300, %r15d		/* LAPIC ICR */
	movl %r14d, (%r15)
	jmp wake_entry
noise_ipi_entry:
	lock incq noise_ipis
	jmp wake_entry
timer_entry:
	incl timer_ticks
wake_entry:
	movl $0xfee000b0, %r14d		/* LAPIC EOI */
	movl $0, (%r14)
spurious_entry:
	iretq

	.set exception_number, 0
	.balign 16
	.globl exception_entries
exception_entries:
	.rept 32
	.balign 16
	movl $exception_number, %edi
	movq %rsp, %rsi
	jmp exception_common
	.set exception_number, exception_number + 1
	.endr
exception_common:
	andq $-16, %rsp
	call exception			/* does not return */

	.data
	.balign 8
gdt:	.quad 0
	.quad 0x00cf9a000000ffff	/* SEL_CODE32 */
	.quad 0x00cf92000000ffff	/* SEL_DATA */
	.quad 0x00af9a000000ffff	/* SEL_CODE64 */
gdt_end:
gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt

	.bss
	.balign 4096
	.globl boot_pml4, boot_pdpt
boot_pml4:	.skip 4096
boot_pdpt:	.skip 4096
boot_pd:	.skip 4 * 4096
cpu_stacks:	.skip BARE_MAX_CPUS * BARE_STACK_BYTES
	.globl multiboot_info, multiboot_magic, ap_starting, timer_ticks
	.globl noise_timers, noise_ipis, noise_icr, noise_per_tick, noise_until_tick
	.balign 8
noise_timers:	.skip 8
noise_ipis:	.skip 8
noise_icr:	.skip 4
noise_per_tick:	.skip 4
noise_until_tick: .skip 4
multiboot_info:	.skip 4
multiboot_magic: .skip 4
ap_starting:	.skip 4
timer_ticks:	.skip 4

	.section .note.GNU-stack, "", @progbits
