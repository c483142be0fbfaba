/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two devices this guest can ring doorbells with: ivm-mailbox, and QEMU's
 * ivshmem-doorbell to compare it with.
 */
#ifndef IVM_BARE_MAILBOX_H
#define IVM_BARE_MAILBOX_H

#include "apic.h"
#include "options.h"
#include "pci.h"

struct mailbox {
	struct pci_device pci;
	uint32_t kind;		/* enum device_kind */
	struct pci_bar regs;
	struct pci_bar shmem;
	uint32_t side;		/* 0 or 1: which lane is ours */
	uint32_t vectors;	/* of this end */
	uint32_t peer_vectors;	/* of the other end; known once the link is up */
	uintptr_t msix;		/* its table */
	struct layout layout;	/* what its vectors were routed to */
	bool other;		/* route=moving: where they are now */
	bool unshared;		/* the link shares no memory: TCP, say */
};

/**
 * mailbox_find() - find the device and enable it on the bus
 * @nth: of those of that kind, from 0
 *
 * Dies if it is missing or is not what it should be.
 */
void mailbox_find(struct mailbox *mailbox, uint32_t kind, uint32_t nth);

/**
 * mailbox_setup_interrupts() - route every vector of this end and turn MSI-X on
 *
 * By options->route, ->irq_base, ->cpus and ->masked.
 */
void mailbox_setup_interrupts(struct mailbox *mailbox, const struct options *options);

/**
 * mailbox_move() - give all vectors their other CPU and IDT vector, or those before
 *
 * Each is masked while it moves, as PCI wants it.
 */
void mailbox_move(struct mailbox *mailbox);

/**
 * mailbox_hold() - hold a vector, or let it through
 * @how: IVM_DELAY_MASK or IVM_DELAY_MSIX_MASK
 */
void mailbox_hold(const struct mailbox *mailbox, uint32_t vector, uint32_t how, bool hold);

/**
 * mailbox_wait_link() - wait until the other end is there
 * @timeout_s: dies after this long
 *
 * ivshmem cannot tell; there the lanes alone say so.
 */
void mailbox_wait_link(struct mailbox *mailbox, uint32_t timeout_s);

/**
 * mailbox_set_ready() - tell the peer that our lane is valid, or is not any more
 */
void mailbox_set_ready(const struct mailbox *mailbox, bool ready);

/**
 * mailbox_peer_ready() - did the peer say so?
 */
bool mailbox_peer_ready(const struct mailbox *mailbox);

/**
 * mailbox_announce() - tell the peer that our lane is valid, wait for its answer
 * @timeout_s: dies after this long
 */
void mailbox_announce(const struct mailbox *mailbox, uint32_t timeout_s);

/**
 * mailbox_mode() - the MODE register, 0 for a device without one
 */
uint32_t mailbox_mode(const struct mailbox *mailbox);

/**
 * mailbox_clear_status() - acknowledge whatever was rung here
 *
 * What is not acknowledged when the link goes down is raised once more.
 */
void mailbox_clear_status(const struct mailbox *mailbox);

/**
 * mailbox_read() - read a register of BAR0
 */
uint32_t mailbox_read(const struct mailbox *mailbox, uint32_t reg);

/**
 * mailbox_write() - write a register of BAR0
 */
void mailbox_write(const struct mailbox *mailbox, uint32_t reg, uint32_t value);

#endif /* IVM_BARE_MAILBOX_H */
