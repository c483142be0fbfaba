// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Waiting, always with a bound.
 */
#include "clock.h"
#include "cpu.h"
#include "wait.h"

uint64_t deadline_in(uint32_t seconds)
{
	return rdtsc() + (uint64_t)seconds * 1000 * clock_khz();
}

bool wait_until(bool (*is_true)(void *opaque), void *opaque, uint32_t seconds)
{
	uint64_t deadline = deadline_in(seconds);

	while (!is_true(opaque)) {
		if (rdtsc() > deadline)
			return false;
		irq_disable();
		irq_enable_and_halt();
	}
	return true;
}
