/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The interrupt translation service: from a device's message to a CPU's LPI.
 */
#ifndef IVM_BARE_ITS_H
#define IVM_BARE_ITS_H

#include <stdint.h>

#include "layout.h"

#define ITS_MESSAGE_ADDRESS	(VIRT_GITS + 0x10040)

/**
 * its_init() - tables, command queue, all LPIs enabled
 */
void its_init(void);

/**
 * its_add_cpu() - let a CPU take LPIs
 *
 * Its redistributor is awake.
 */
void its_add_cpu(uint32_t cpu);

/**
 * its_map() - where a device's message goes
 * @requester: PCI bus, device and function
 * @event: data of the message, 0..255
 * @cpu: who takes it, as LPI_FIRST + 256 * (number of the device) + @event
 */
void its_map(uint32_t requester, uint32_t event, uint32_t cpu);

/**
 * gic_redistributor() - address of a CPU's
 */
uintptr_t gic_redistributor(uint32_t cpu);

#endif /* IVM_BARE_ITS_H */
