/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPUs, their local APICs and IDTs.
 *
 * QEMU numbers APIC ids from 0 without gaps on machines of one thread a core,
 * so CPU n has APIC id n here.
 */
#ifndef IVM_BARE_APIC_H
#define IVM_BARE_APIC_H

#include <stdint.h>

#define TICK_MS		10	/* every waiting CPU looks around this often */

/**
 * apic_init() - IDT, local APIC and periodic tick of CPU 0
 *
 * After clock_init().
 */
void apic_init(void);

/**
 * apic_start_cpus() - start CPUs 1..@count - 1; they sleep, taking interrupts
 *
 * Dies if one does not answer.
 */
void apic_start_cpus(uint32_t count);

/**
 * apic_route_link() - let a link vector be taken by a CPU of its own choosing
 * @vector: link vector
 * @cpus: CPUs that share the link's vectors
 * @address: MSI address to send to
 * @data: MSI data to send
 *
 * Each link vector gets a pair of (CPU, IDT vector) for itself.
 */
void apic_route_link(uint32_t vector, uint32_t cpus, uint32_t *address, uint32_t *data);

/**
 * ticks() - how often CPU 0's timer has fired
 */
uint32_t ticks(void);

/**
 * map_identity() - make physical memory accessible at the same address
 * @address: start
 * @bytes: length; the first 4 GiB are always mapped
 */
void map_identity(uint64_t address, uint64_t bytes);

#endif /* IVM_BARE_APIC_H */
