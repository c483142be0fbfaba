/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPUs and how they take interrupts: local APICs and IDTs on a PC, where this
 * has its names from; GICv3 and ITS on arm64, which refuses what it lacks.
 *
 * QEMU numbers APIC ids from 0 without gaps on machines of one thread a core,
 * so CPU n has APIC id n here, and likewise affinity n.
 */
#ifndef IVM_BARE_APIC_H
#define IVM_BARE_APIC_H

#include <stdbool.h>
#include <stdint.h>

#define TICK_MS		10	/* every waiting CPU looks around this often */

/* Who takes the link vectors, and how often that changes */
enum route {
	ROUTE_OWN,		/* each has a pair of (CPU, IDT vector) for itself */
	ROUTE_OTHER,		/* the same, on the next CPU and other IDT vectors */
	ROUTE_MOVING,		/* from the one to the other and back, while traffic runs */
	ROUTE_LOGICAL,		/* all CPUs take each of them, by a logical destination */
	ROUTE_BROADCAST,	/* the same, by the physical destination 0xff */
};

/* How the link's vectors are laid out; the same for all of them */
struct layout {
	uint32_t base;		/* IDT vector of link vector 0 */
	uint32_t cpus;		/* that share them */
	uint32_t span;		/* IDT vectors in use from base on, on each CPU */
};

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
 * apic_restart_cpu() - INIT and start a CPU that is running; what it had not taken yet is gone
 */
void apic_restart_cpu(uint32_t cpu);

/**
 * apic_hold_cpu() - keep a CPU other than 0 from taking interrupts, or let it go
 *
 * Returns when it holds.
 */
void apic_hold_cpu(uint32_t cpu, bool hold);

/**
 * apic_check_layout() - die unless the IDT has room for @layout, other routes and noise
 */
void apic_check_layout(const struct layout *layout);

/**
 * apic_route_link() - make IDT entries for a link vector
 * @route: anything but ROUTE_MOVING
 * @requester: the device, as its messages name it: PCI bus, device and function
 * @vector: link vector
 * @address: MSI address to send to
 * @data: MSI data to send
 */
void apic_route_link(const struct layout *layout, enum route route, uint32_t requester,
		     uint32_t vector, uint32_t *address, uint32_t *data);

/**
 * apic_start_noise() - timer interrupts and IPIs right beside the link's on every CPU
 * @hz: timer interrupts a second on each CPU, which each send an IPI to all CPUs
 *
 * They are taken on the IDT vectors just below and just above those of @layout.
 */
void apic_start_noise(const struct layout *layout, uint32_t hz);

/**
 * apic_noise() - what came of it so far, on all CPUs together
 */
void apic_noise(uint64_t *timers, uint64_t *ipis);

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
