// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The handler of all interrupts.
 */
#include "gic.h"
#include "hot.h"

struct hot hot;

void irq(uint64_t tsc);

static void irq_link(uint32_t intid, uint64_t tsc)
{
	uint32_t vector = (intid - LPI_FIRST) % 256;
	uint64_t count;

	hot.irq_tsc = tsc;
	count = __atomic_add_fetch(&hot.handled[vector], 1, __ATOMIC_RELEASE);
	gic_end(intid);
	if (hot.stamp)
		stamp_write(IVM_STAMP_HANDLER, count, vector, tsc);
	if (hot.reply)
		ring_locked(vector);
	if (hot.wake_cpu0)
		gic_wake(0);
}

/* Called by boot.S with the counter's value at the second instruction */
void irq(uint64_t tsc)
{
	uint32_t intid = gic_begin();

	if (intid >= LPI_FIRST) {
		irq_link(intid, tsc);
		return;
	}
	if (intid == PPI_TIMER)
		timer_tick();
	if (intid < INTID_SPECIAL)
		gic_end(intid);
}
