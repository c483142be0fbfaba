// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * PL011, and the reset of the machine.
 */
#include "console.h"
#include "cpu.h"
#include "layout.h"
#include "psci.h"
#include "serial.h"

#define UART_DATA	(VIRT_UART + 0x00)
#define UART_FLAGS	(VIRT_UART + 0x18)
#define   RX_EMPTY	(1u << 4)
#define   TX_FULL	(1u << 5)
#define UART_LINE	(VIRT_UART + 0x2c)
#define   LINE_8N1_FIFO	0x70u
#define UART_CONTROL	(VIRT_UART + 0x30)
#define   TX_RX_ENABLE	0x301u

#define TX_SPINS	1000000	/* a host that does not read must not hang the guest */

void serial_init(void)
{
	mmio_write32(UART_CONTROL, 0);
	mmio_write32(UART_LINE, LINE_8N1_FIFO);
	mmio_write32(UART_CONTROL, TX_RX_ENABLE);
}

void serial_put(char c)
{
	uint32_t spins;

	for (spins = 0; spins < TX_SPINS && mmio_read32(UART_FLAGS) & TX_FULL; spins++)
		cpu_relax();
	mmio_write32(UART_DATA, (uint8_t)c);
}

bool serial_has_input(void)
{
	if (mmio_read32(UART_FLAGS) & RX_EMPTY)
		return false;
	mmio_read32(UART_DATA);
	return true;
}

void machine_reset(void)
{
	irq_disable();
	psci(PSCI_SYSTEM_RESET, 0, 0, 0);
	for (;;)
		;
}
