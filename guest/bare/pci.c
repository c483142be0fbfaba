// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * PCI devices: capabilities, BARs, MSI-X.
 */
#include "layout.h"
#include "pci.h"

#define PCI_COMMAND		0x04
#define   COMMAND_MEMORY	(1u << 1)
#define   COMMAND_MASTER	(1u << 2)
#define   STATUS_CAPABILITIES	(1u << 20)
#define PCI_HEADER		0x0c
#define   HEADER_MULTI		(1u << 23)
#define PCI_BAR0		0x10
#define   BAR_IO		(1u << 0)
#define   BAR_TYPE_64		(2u << 1)
#define   BAR_TYPE_MASK		(3u << 1)
#define   BAR_FLAGS		0xfu
#define PCI_CAPABILITIES	0x34
#define   CAP_MSIX		0x11
#define MSIX_CONTROL		0x00		/* upper half of the capability's first word */
#define   MSIX_ENABLE		(1u << 31)
#define   MSIX_MASKALL		(1u << 30)
#define MSIX_TABLE		0x04

#define MAX_CAPABILITIES	48

static uint8_t find_capability(const struct pci_device *device, uint8_t id)
{
	uint32_t offset, word, seen;

	if (!(pci_read32(device, PCI_COMMAND) & STATUS_CAPABILITIES))
		return 0;
	offset = pci_read32(device, PCI_CAPABILITIES) & 0xfc;
	for (seen = 0; offset && seen < MAX_CAPABILITIES; seen++) {
		word = pci_read32(device, offset);
		if ((word & 0xff) == id)
			return offset;
		offset = word >> 8 & 0xfc;
	}
	return 0;
}

bool pci_find(uint16_t vendor, uint16_t device_id, uint32_t nth, struct pci_device *device)
{
	uint32_t wanted = (uint32_t)device_id << 16 | vendor;
	uint32_t slot, function, functions, id;

	for (slot = 0; slot < 256 * 32; slot++) {
		functions = 1;
		for (function = 0; function < functions; function++) {
			device->address = slot << 11 | function << 8;
			id = pci_read32(device, 0);
			if (id == 0xffffffff)
				continue;
			if (!function && pci_read32(device, PCI_HEADER) & HEADER_MULTI)
				functions = 8;
			if (id != wanted || nth--)
				continue;
			device->msix = find_capability(device, CAP_MSIX);
			return true;
		}
	}
	return false;
}

/* All ones in, size out: what the device leaves at 0 is its size minus 1 */
static uint32_t probe_mask(const struct pci_device *device, uint32_t offset, uint32_t value)
{
	uint32_t mask;

	pci_write32(device, offset, 0xffffffff);
	mask = pci_read32(device, offset);
	pci_write32(device, offset, value);
	return mask;
}

struct pci_bar pci_bar(const struct pci_device *device, uint32_t index)
{
	uint32_t offset = PCI_BAR0 + 4 * index;
	uint32_t command = pci_read32(device, PCI_COMMAND) & 0xffff;
	uint32_t low = pci_read32(device, offset), high, low_mask;
	struct pci_bar bar = { low & ~BAR_FLAGS, 0 };

	if (low & BAR_IO)
		return (struct pci_bar){ 0 };
	pci_write32(device, PCI_COMMAND, command & ~(COMMAND_MEMORY | COMMAND_MASTER));
	low_mask = probe_mask(device, offset, low) & ~BAR_FLAGS;
	if (low_mask)
		bar.bytes = -(0xffffffff00000000 | low_mask);
	if ((low & BAR_TYPE_MASK) == BAR_TYPE_64) {
		high = pci_read32(device, offset + 4);
		bar.address |= (uint64_t)high << 32;
		bar.bytes = -((uint64_t)probe_mask(device, offset + 4, high) << 32 | low_mask);
	}
	pci_write32(device, PCI_COMMAND, command);
	return bar;
}

static void assign_bar(const struct pci_device *device, uint32_t index, uint64_t *next_low,
		       uint64_t *next_high)
{
	uint32_t offset = PCI_BAR0 + 4 * index;
	bool is_64 = (pci_read32(device, offset) & BAR_TYPE_MASK) == BAR_TYPE_64;
	uint64_t *next = is_64 ? next_high : next_low;
	uint64_t bytes = pci_bar(device, index).bytes;

	if (!bytes)
		return;
	*next = (*next + bytes - 1) & -bytes;
	pci_write32(device, offset, *next);
	if (is_64)
		pci_write32(device, offset + 4, *next >> 32);
	*next += bytes;
}

void pci_assign_bars(const struct pci_device *device)
{
	static uint64_t next_low = PCI_WINDOW_LOW, next_high = PCI_WINDOW_HIGH;
	uint32_t index, low;

	if (pci_bar(device, 0).address)
		return;
	for (index = 0; index < 6; index++) {
		low = pci_read32(device, PCI_BAR0 + 4 * index);
		if (low & BAR_IO)
			continue;
		assign_bar(device, index, &next_low, &next_high);
		if ((low & BAR_TYPE_MASK) == BAR_TYPE_64)
			index++;
	}
}

void pci_enable(const struct pci_device *device)
{
	uint32_t command = pci_read32(device, PCI_COMMAND) & 0xffff;

	pci_write32(device, PCI_COMMAND, command | COMMAND_MEMORY | COMMAND_MASTER);
}

uint32_t pci_msix_vectors(const struct pci_device *device)
{
	if (!device->msix)
		return 0;
	return (pci_read32(device, device->msix + MSIX_CONTROL) >> 16 & 0x7ff) + 1;
}

uintptr_t pci_msix_table(const struct pci_device *device)
{
	uint32_t table = pci_read32(device, device->msix + MSIX_TABLE);

	return pci_bar(device, table & 7).address + (table & ~7u);
}

void pci_msix_enable(const struct pci_device *device, bool on)
{
	uint32_t control = pci_read32(device, device->msix + MSIX_CONTROL);

	control &= ~(MSIX_ENABLE | MSIX_MASKALL);
	pci_write32(device, device->msix + MSIX_CONTROL, control | (on ? MSIX_ENABLE : 0));
}
