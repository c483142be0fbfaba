// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * PCI configuration mechanism 1.
 */
#include "cpu.h"
#include "pci.h"

#define CONFIG_ADDRESS		0xcf8
#define CONFIG_DATA		0xcfc
#define CONFIG_ENABLE		0x80000000u

uint32_t pci_read32(const struct pci_device *device, uint32_t offset)
{
	outl(CONFIG_ADDRESS, CONFIG_ENABLE | device->address | offset);
	return inl(CONFIG_DATA);
}

void pci_write32(const struct pci_device *device, uint32_t offset, uint32_t value)
{
	outl(CONFIG_ADDRESS, CONFIG_ENABLE | device->address | offset);
	outl(CONFIG_DATA, value);
}
