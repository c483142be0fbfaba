/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses and numbers that the assembly and the C code share: QEMU's machine
 * "virt" with gic-version=3, whose memory map never changes.
 */
#ifndef IVM_BARE_LAYOUT_H
#define IVM_BARE_LAYOUT_H

#define BARE_MAX_CPUS		8
#define BARE_STACK_BYTES	16384	/* per CPU, interrupts included */

#define VIRT_GICD		0x08000000
#define VIRT_GITS		0x08080000
#define VIRT_GICR		0x080a0000
#define VIRT_UART		0x09000000
#define VIRT_ECAM		0x4010000000

/* For BARs.  Only prefetchable ones, which are memory, come to the upper one */
#define PCI_WINDOW_LOW		0x10000000u
#define PCI_WINDOW_HIGH		0x8000000000

/*
 * Link vectors are LPIs, any number of them for each CPU, so irq= has nothing
 * to choose here; it must stay what it is.
 */
#define IDT_LINK_BASE		0
#define IDT_LINK_FIRST		0
#define IDT_LINK_COUNT		256
#define IDT_TIMER		1

#endif /* IVM_BARE_LAYOUT_H */
