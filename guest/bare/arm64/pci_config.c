// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * PCI Express configuration space, mapped into memory: 4 KiB for each function.
 */
#include "cpu.h"
#include "layout.h"
#include "pci.h"

static uintptr_t address(const struct pci_device *device, uint32_t offset)
{
	return VIRT_ECAM + ((uintptr_t)device->address << 4) + offset;
}

uint32_t pci_read32(const struct pci_device *device, uint32_t offset)
{
	return mmio_read32(address(device, offset));
}

void pci_write32(const struct pci_device *device, uint32_t offset, uint32_t value)
{
	mmio_write32(address(device, offset), value);
}
