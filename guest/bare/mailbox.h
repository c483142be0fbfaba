/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two devices this guest can ring doorbells with: ivm-mailbox, and QEMU's
 * ivshmem-doorbell to compare it with.
 */
#ifndef IVM_BARE_MAILBOX_H
#define IVM_BARE_MAILBOX_H

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
};

/**
 * mailbox_find() - find the device and enable it on the bus
 *
 * Dies if it is missing or is not what it should be.
 */
void mailbox_find(struct mailbox *mailbox, uint32_t kind);

/**
 * mailbox_setup_interrupts() - route every vector of this end and turn MSI-X on
 * @cpus: CPUs that share the vectors
 */
void mailbox_setup_interrupts(struct mailbox *mailbox, uint32_t cpus);

/**
 * mailbox_wait_link() - wait until the other end is there
 * @timeout_s: dies after this long
 *
 * ivshmem cannot tell; there the lanes alone say so.
 */
void mailbox_wait_link(struct mailbox *mailbox, uint32_t timeout_s);

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
