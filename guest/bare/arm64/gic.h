/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What of the GICv3 the interrupt handler uses.
 */
#ifndef IVM_BARE_GIC_H
#define IVM_BARE_GIC_H

#include "cpu.h"

#define SGI_WAKE	0	/* the CPU that took a doorbell wakes CPU 0 */
#define PPI_TIMER	27	/* virtual timer */
#define INTID_SPECIAL	1020	/* 1020..1023 are no interrupts */
#define LPI_FIRST	8192	/* 256 for each device, in order of their vectors */

#define ICC_IAR1	"s3_0_c12_c12_0"
#define ICC_EOIR1	"s3_0_c12_c12_1"
#define ICC_SGI1R	"s3_0_c12_c11_5"

static inline uint32_t gic_begin(void)
{
	uint32_t intid = read_sysreg(ICC_IAR1);

	dsb();
	return intid;
}

static inline void gic_end(uint32_t intid)
{
	write_sysreg(ICC_EOIR1, intid);
	isb();
}

static inline void gic_wake(uint32_t cpu)
{
	dsb();
	write_sysreg(ICC_SGI1R, SGI_WAKE << 24 | 1u << cpu);
	isb();
}

/**
 * timer_tick() - count, and set the timer to the next tick
 */
void timer_tick(void);

#endif /* IVM_BARE_GIC_H */
