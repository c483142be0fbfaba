/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses and numbers that the assembly and the C code share.
 */
#ifndef IVM_BARE_LAYOUT_H
#define IVM_BARE_LAYOUT_H

#define BARE_MAX_CPUS		8
#define BARE_STACK_BYTES	4096	/* per CPU, interrupts included */

#define AP_TRAMPOLINE		0x8000	/* below 1 MiB, page aligned: SIPI wants that */

/* IDT vectors.  0..31 are exceptions; the rest of the space is for the link */
#define IDT_LINK_FIRST		0x21	/* noise is taken just below the link's vectors */
#define IDT_LINK_BASE		0x28	/* unless the command line says otherwise */
#define IDT_LINK_COUNT		200	/* per CPU, up to 0xef */
#define IDT_TIMER		0xf0
#define IDT_WAKE		0xf1	/* the CPU that took a doorbell wakes CPU 0 */
#define IDT_SPURIOUS		0xff

/* For BARs. Free on every PC that has less than 2 GiB of RAM, as this one does */
#define PCI_WINDOW_LOW		0x80000000u
#define PCI_WINDOW_HIGH		0x100000000u

#define SEL_CODE32		0x08
#define SEL_DATA		0x10
#define SEL_CODE64		0x18

#endif /* IVM_BARE_LAYOUT_H */
