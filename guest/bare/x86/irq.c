// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The handler of link interrupts.
 *
 * Compiled with register rules of its own (see build.mk): it may clobber rax,
 * rdx, r10 and r11 and nothing else, because that is all its caller in boot.S
 * saves.
 */
#include "hot.h"
#include "lapic.h"
#include "layout.h"

register uint64_t irq_vector asm("r12");
register uint64_t irq_tsc asm("r13");

struct hot hot;

void irq_link(void);

void irq_link(void)
{
	uint64_t count;

	hot.irq_tsc = irq_tsc;
	count = __atomic_add_fetch(&hot.handled[irq_vector], 1, __ATOMIC_RELEASE);
	mmio_write32(LAPIC_BASE + LAPIC_EOI, 0);
	if (hot.stamp)
		stamp_write(IVM_STAMP_HANDLER, count, irq_vector, irq_tsc);
	if (hot.reply)
		ring_locked(irq_vector);
	if (hot.wake_cpu0) {
		mmio_write32(LAPIC_BASE + LAPIC_ICR_HIGH, 0);
		mmio_write32(LAPIC_BASE + LAPIC_ICR_LOW, 0x4000 | IDT_WAKE);
	}
}
