/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The link page: what the host can see of one end of a link without asking
 * its QEMU.
 *
 * Each end creates a memfd named IVM_LINKPAGE_NAME, maps it, seals it and is
 * its only writer.  The peer maps it read-only and closes the descriptor, so
 * an "ivm-link" memfd in /proc/PID/fd always is PID's own page.  The tracer
 * maps it read-only from there.  A reader trusts nothing in it: every index
 * and size is checked before use.
 *
 * Little-endian; naturally aligned; no padding.  @seq is a sequence lock over
 * all fields that are not marked atomic: odd while the owner writes.  Readers
 * retry IVM_LINKPAGE_RETRIES times at the most.
 *
 * Host-only: unlike ivm-regs.h it needs <stdint.h> types from its includer.
 */
#ifndef IVM_LINKPAGE_H
#define IVM_LINKPAGE_H

#define IVM_LINKPAGE_NAME	"ivm-link"	/* memfd name of a link page */
#define IVM_SHMEM_NAME		"ivm-shmem"	/* memfd name of BAR2's memory */
#define IVM_LINKPAGE_MAGIC	0x504c5649	/* the bytes "IVLP" */
#define IVM_LINKPAGE_VERSION	0x00010001	/* major << 16 | minor */
#define IVM_LINKPAGE_VECTORS	256
#define IVM_LINKPAGE_NAME_BYTES	64
#define IVM_LINKPAGE_RETRIES	1000
#define IVM_LINKPAGE_NO_ADDR	UINT64_MAX	/* BAR0 is not mapped */

#define IVM_ACCEL_OTHER		0		/* TCG and the rest */
#define IVM_ACCEL_KVM		1

/* struct ivm_linkpage_vector.flags */
#define IVM_LP_VEC_DELIVERABLE	(1u << 0)	/* MSI-X on, unmasked, bus master */
#define IVM_LP_VEC_IRQFD	(1u << 1)	/* an irqfd is attached now */
#define IVM_LP_VEC_QEMU_FALLBACK (1u << 2)	/* KVM refused: QEMU delivers */

/* One doorbell this end accepts: where its interrupt goes */
struct ivm_linkpage_vector {
	uint64_t msi_address;
	uint32_t msi_data;
	uint32_t flags;
	int32_t eventfd;	/* in the owner's process, -1 none */
	uint32_t reserved;
};

struct ivm_linkpage {
	uint32_t magic;
	uint32_t version;
	uint32_t bytes;			/* sizeof(struct ivm_linkpage) */
	uint32_t seq;			/* atomic; sequence lock */

	uint64_t link_id;		/* random; equal at both ends while up, 0 down */
	uint64_t bar0_address;		/* guest physical, or IVM_LINKPAGE_NO_ADDR */
	uint64_t shmem_bytes;		/* 0: no BAR2 */
	uint32_t generation;		/* link-ups since the device was created */
	uint32_t up;			/* 1 while the link is up */
	uint32_t reason;		/* IVM_REASON_*, while down */
	uint32_t side;			/* IVM_SIDE_* */
	uint32_t accel;			/* IVM_ACCEL_* of this end */
	uint32_t mode_configured;	/* IVM_MODE_*, may be AUTO */
	uint32_t mode_tx;		/* IVM_MODE_* in effect for this end's doorbells */
	uint32_t mode_rx;		/* IVM_MODE_* in effect for what it receives */
	uint32_t features;		/* IVM_FEATURE_* as the register shows them */
	uint32_t vectors;		/* doorbells this end accepts */
	uint32_t peer_vectors;		/* doorbells it may ring, 0 while down */
	int32_t socket_fd;		/* of the chardev in the owner's process, -1 none */
	char name[IVM_LINKPAGE_NAME_BYTES];	/* NUL-terminated UTF-8 */

	struct ivm_linkpage_vector vector[IVM_LINKPAGE_VECTORS];
	int32_t peer_eventfd[IVM_LINKPAGE_VECTORS];	/* doorbells out, owner's fds */

	/*
	 * Counters, all atomic and free running mod 2^32.  Receiving: mask,
	 * raised, held of this end's own vectors.  Sending: rung, dropped of
	 * the peer's vectors (or of none: dropped_other).
	 */
	uint32_t mask[IVM_LINKPAGE_VECTORS];	/* 1 = held by MASK now */
	uint32_t raised[IVM_LINKPAGE_VECTORS];	/* by this QEMU: MSIs sent */
	uint32_t held[IVM_LINKPAGE_VECTORS];	/* by this QEMU: rings kept pending */
	uint32_t rung[IVM_LINKPAGE_VECTORS];	/* by this QEMU: rings accepted */
	uint32_t dropped[IVM_LINKPAGE_VECTORS];	/* by this QEMU: rings refused */
	uint32_t dropped_other;			/* beyond the 256 vectors */
	int32_t shmem_fd;	/* since 1.1: BAR2's memfd in the owner's process, -1 none */
};

#endif /* IVM_LINKPAGE_H */
