/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registers of the local APIC that interrupt handlers use.
 */
#ifndef IVM_BARE_LAPIC_H
#define IVM_BARE_LAPIC_H

#define LAPIC_BASE	0xfee00000u
#define LAPIC_EOI	0x0b0
#define LAPIC_ICR_LOW	0x300
#define LAPIC_ICR_HIGH	0x310

#endif /* IVM_BARE_LAPIC_H */
