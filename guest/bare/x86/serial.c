// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * COM1, and a PC's ways to reset itself.
 */
#include "console.h"
#include "cpu.h"
#include "serial.h"

#define COM1		0x3f8
#define COM1_IER	(COM1 + 1)
#define COM1_FCR	(COM1 + 2)
#define COM1_LCR	(COM1 + 3)
#define COM1_MCR	(COM1 + 4)
#define COM1_LSR	(COM1 + 5)
#define LSR_RX_READY	0x01
#define LSR_TX_EMPTY	0x20

#define TX_SPINS	1000000	/* a host that does not read must not hang the guest */

void serial_init(void)
{
	outb(COM1_IER, 0);
	outb(COM1_LCR, 0x80);
	outb(COM1, 1);
	outb(COM1_IER, 0);
	outb(COM1_LCR, 0x03);
	outb(COM1_FCR, 0x07);
	outb(COM1_MCR, 0x03);
}

void serial_put(char c)
{
	uint32_t spins;

	for (spins = 0; spins < TX_SPINS && !(inb(COM1_LSR) & LSR_TX_EMPTY); spins++)
		cpu_relax();
	outb(COM1, c);
}

bool serial_has_input(void)
{
	if (!(inb(COM1_LSR) & LSR_RX_READY))
		return false;
	inb(COM1);
	return true;
}

void machine_reset(void)
{
	static const struct { uint16_t limit; uint64_t base; } __attribute__((packed)) no_idt;
	uint32_t spins;

	irq_disable();
	outb(0x64, 0xfe);		/* the keyboard controller's reset line */
	for (spins = 0; spins < 10000; spins++)
		cpu_relax();
	outb(0xcf9, 0x06);		/* the chipset's */
	for (spins = 0; spins < 10000; spins++)
		cpu_relax();
	asm volatile("lidt %0; ud2" : : "m"(no_idt));	/* a triple fault */
	for (;;)
		;
}
