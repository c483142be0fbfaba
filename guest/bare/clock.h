/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How fast the TSC runs.
 */
#ifndef IVM_BARE_CLOCK_H
#define IVM_BARE_CLOCK_H

#include <stdint.h>

/**
 * clock_init() - find the pace of the TSC
 *
 * From KVM's own clock if there is one, which is exact; else against the PIT.
 */
void clock_init(void);

/**
 * clock_khz() - TSC ticks per millisecond
 */
uint32_t clock_khz(void);

#endif /* IVM_BARE_CLOCK_H */
