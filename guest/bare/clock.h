/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How fast the TSC runs, and who says so.  On arm64 the virtual counter stands for it.
 */
#ifndef IVM_BARE_CLOCK_H
#define IVM_BARE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/**
 * clock_init() - find the pace of the TSC
 *
 * A PC: from KVM's own clock if there is one, which is exact; else against the PIT.
 */
void clock_init(void);

/**
 * runs_on_kvm() - is KVM the hypervisor, in its own words?
 */
bool runs_on_kvm(void);

/**
 * clock_khz() - TSC ticks per millisecond
 */
uint32_t clock_khz(void);

#endif /* IVM_BARE_CLOCK_H */
