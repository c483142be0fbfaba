/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI devices; BARs as the firmware assigned them, if it did.
 */
#ifndef IVM_BARE_PCI_H
#define IVM_BARE_PCI_H

#include <stdbool.h>
#include <stdint.h>

struct pci_device {
	uint32_t address;	/* bus << 16 | device << 11 | function << 8 */
	uint8_t msix;		/* offset of the MSI-X capability, 0 none */
};

struct pci_bar {
	uintptr_t address;
	uint64_t bytes;		/* 0: the device lacks it */
};

/**
 * pci_find() - the @nth function of a vendor and device id on the first 256 buses
 *
 * Return: true if there is one; @device is filled in then.
 */
bool pci_find(uint16_t vendor, uint16_t device_id, uint32_t nth, struct pci_device *device);

/**
 * pci_read32() - read a configuration register
 * @offset: a multiple of 4
 */
uint32_t pci_read32(const struct pci_device *device, uint32_t offset);

/**
 * pci_write32() - write a configuration register
 */
void pci_write32(const struct pci_device *device, uint32_t offset, uint32_t value);

/**
 * pci_bar() - where a memory BAR is, and how large
 * @index: 0..5
 *
 * Sizes it by writing all ones, with decoding off, so not while it is in use.
 */
struct pci_bar pci_bar(const struct pci_device *device, uint32_t index);

/**
 * pci_assign_bars() - give the device addresses if the firmware did not
 *
 * SeaBIOS does, qboot does not, and an arm64 machine may have none.  For devices
 * that nobody else gives any.
 */
void pci_assign_bars(const struct pci_device *device);

/**
 * pci_enable() - turn on memory decoding and bus mastering
 */
void pci_enable(const struct pci_device *device);

/**
 * pci_msix_vectors() - size of the MSI-X table, 0 if the device has no MSI-X
 */
uint32_t pci_msix_vectors(const struct pci_device *device);

/**
 * pci_msix_table() - address of the MSI-X table
 */
uintptr_t pci_msix_table(const struct pci_device *device);

/**
 * pci_msix_enable() - turn MSI-X on or off as a whole
 */
void pci_msix_enable(const struct pci_device *device, bool on);

#endif /* IVM_BARE_PCI_H */
