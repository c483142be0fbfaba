/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From QEMU's boot stub, or from PSCI, into C code with the MMU on; and the
 * exception vectors.
 */
#include "layout.h"

#define TEXT_OFFSET	0x80000		/* link.ld */

#define BLOCK		(1 << 0)
#define TABLE		(3 << 0)
#define NORMAL		(1 << 2)	/* index into MAIR */
#define INNER_SHAREABLE	(3 << 8)
#define ACCESSED	(1 << 10)
#define BLOCK_DEVICE	(BLOCK | ACCESSED)
#define BLOCK_NORMAL	(BLOCK | NORMAL | INNER_SHAREABLE | ACCESSED)

#define MAIR		0xff04		/* 0 device nGnRE, 1 normal write-back */
/* 48 bits of address, 4 KiB pages, tables in normal memory, no upper half */
#define TCR		(16 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23)
#define SCTLR_MMU	(1 << 0)
#define SCTLR_DCACHE	(1 << 2)
#define SCTLR_ICACHE	(1 << 12)

	.section .head, "ax"
	.globl _start
_start:
	b primary
	.long 0
	.quad TEXT_OFFSET
	.quad image_end - _start
	.quad 0xa			/* little-endian, 4 KiB pages */
	.quad 0, 0, 0
	.ascii "ARM\x64"
	.long 0

	.text
primary:
	msr daifset, #0xf
	adrp x1, bss_start
	add x1, x1, :lo12:bss_start
	adrp x2, image_end
	add x2, x2, :lo12:image_end
1:	stp xzr, xzr, [x1], #16
	cmp x1, x2
	b.lo 1b
	adrp x1, boot_fdt
	str x0, [x1, :lo12:boot_fdt]

	/* address = address: 1 GiB of devices, RAM, ECAM, the upper PCI window */
	adrp x1, table_0
	adrp x2, table_low
	adrp x3, table_high
	orr x4, x2, #TABLE
	orr x5, x3, #TABLE
	stp x4, x5, [x1]
	mov x4, #BLOCK_DEVICE
	str x4, [x2]
	mov x5, #BLOCK_NORMAL
	mov x6, #1
1:	orr x7, x5, x6, lsl #30		/* RAM, up to 255 GiB of it */
	str x7, [x2, x6, lsl #3]
	add x6, x6, #1
	cmp x6, #VIRT_ECAM >> 30
	b.lo 1b
	orr x7, x4, x6, lsl #30
	str x7, [x2, x6, lsl #3]
	mov x6, #0
	mov x8, #PCI_WINDOW_HIGH
	orr x8, x8, x5
1:	add x7, x8, x6, lsl #30
	str x7, [x3, x6, lsl #3]
	add x6, x6, #1
	cmp x6, #512
	b.lo 1b
	dsb sy
	mov x19, #0			/* CPU 0 */
	b mmu_on

	.globl secondary
secondary:				/* x0 = CPU number */
	msr daifset, #0xf
	mov x19, x0
mmu_on:
	ldr x0, =MAIR
	msr mair_el1, x0
	mrs x1, id_aa64mmfr0_el1
	ubfx x1, x1, #0, #3
	ldr x0, =TCR
	bfi x0, x1, #32, #3
	msr tcr_el1, x0
	adrp x0, table_0
	msr ttbr0_el1, x0
	adrp x0, vectors
	add x0, x0, :lo12:vectors
	msr vbar_el1, x0
	tlbi vmalle1
	dsb sy
	isb
	mrs x0, sctlr_el1
	ldr x1, =SCTLR_MMU | SCTLR_DCACHE | SCTLR_ICACHE
	orr x0, x0, x1
	msr sctlr_el1, x0
	isb
	adrp x0, cpu_stacks
	add x0, x0, :lo12:cpu_stacks
	add x1, x19, #1
	mov x2, #BARE_STACK_BYTES
	madd x0, x1, x2, x0
	mov sp, x0
	mov w0, w19
	cbnz w0, 1f
	bl bare_main
1:	bl secondary_main
2:	wfi
	b 2b

	.macro unexpected number
	.balign 0x80
	mov x0, #\number
	mrs x1, esr_el1
	mrs x2, elr_el1
	b exception
	.endm

	.balign 0x800
vectors:
	.irp number, 0, 1, 2, 3, 4
	unexpected \number
	.endr
	.balign 0x80
	sub sp, sp, #176
	stp x0, x1, [sp]
	mrs x0, cntvct_el0		/* arrived */
	stp x2, x3, [sp, #16]
	stp x4, x5, [sp, #32]
	stp x6, x7, [sp, #48]
	stp x8, x9, [sp, #64]
	stp x10, x11, [sp, #80]
	stp x12, x13, [sp, #96]
	stp x14, x15, [sp, #112]
	stp x16, x17, [sp, #128]
	stp x18, x29, [sp, #144]
	str x30, [sp, #160]
	bl irq
	b irq_return
	.irp number, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	unexpected \number
	.endr

irq_return:
	ldr x30, [sp, #160]
	ldp x18, x29, [sp, #144]
	ldp x16, x17, [sp, #128]
	ldp x14, x15, [sp, #112]
	ldp x12, x13, [sp, #96]
	ldp x10, x11, [sp, #80]
	ldp x8, x9, [sp, #64]
	ldp x6, x7, [sp, #48]
	ldp x4, x5, [sp, #32]
	ldp x2, x3, [sp, #16]
	ldp x0, x1, [sp]
	add sp, sp, #176
	eret

	.bss
	.balign 4096
table_0:	.skip 4096
table_low:	.skip 4096
table_high:	.skip 4096
cpu_stacks:	.skip BARE_MAX_CPUS * BARE_STACK_BYTES
	.globl boot_fdt
boot_fdt:	.skip 8

	.section .note.GNU-stack, "", @progbits
