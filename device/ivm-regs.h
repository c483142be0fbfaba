/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ivm-mailbox: PCI identity and registers.
 *
 * Constants only, no types and no includes, so that the device, the guests,
 * the tests and the tracer compile the very same file.  docs/device-spec.md
 * describes each register for a reader without the source.
 */
#ifndef IVM_REGS_H
#define IVM_REGS_H

#define IVM_PCI_VENDOR_ID	0x1af4
#define IVM_PCI_DEVICE_ID	0x10f5	/* experimental range */
#define IVM_PCI_REVISION	1
#define IVM_PCI_CLASS		0x0880	/* system peripheral, other */

#define IVM_BAR_REGS		0	/* registers and doorbells */
#define IVM_BAR_MSIX		1
#define IVM_BAR_SHMEM		2	/* absent if shmem=0 */

#define IVM_MAX_VECTORS		256
#define IVM_SHMEM_MIN_BYTES	0x10000		/* 64K */
#define IVM_SHMEM_MAX_BYTES	0x40000000	/* 1G */

/* BAR0, page 0: registers, aligned 32-bit accesses only */
#define IVM_BAR0_BYTES		0x2000
#define IVM_REG_ID		0x000
#define   IVM_ID		0x424d5649	/* the bytes "IVMB" */
#define IVM_REG_VERSION		0x004
#define   IVM_VERSION		0x00010000	/* major << 16 | minor */
#define IVM_REG_FEATURES	0x008
#define   IVM_FEATURE_SHMEM	(1u << 0)	/* BAR2 is shared now */
#define   IVM_FEATURE_IRQ_CTRL	(1u << 1)	/* STATUS and MASK act now */
#define IVM_REG_MODE		0x00c
#define   IVM_MODE_TX_SHIFT	0		/* this end's doorbells */
#define   IVM_MODE_RX_SHIFT	8		/* what this end receives */
#define   IVM_MODE_FIELD	0xffu
#define IVM_REG_LINK		0x010
#define   IVM_LINK_UP		(1u << 0)
#define   IVM_LINK_REASON_SHIFT	1		/* while down, 7 bits */
#define   IVM_LINK_REASON_FIELD	0x7fu
#define   IVM_LINK_COUNT_SHIFT	8		/* link-ups, mod 2^24 */
#define   IVM_LINK_COUNT_FIELD	0xffffffu
#define IVM_REG_SIDE		0x014
#define IVM_REG_PEER_VECTORS	0x018
#define IVM_REG_VECTORS		0x01c
#define IVM_REG_SHMEM_SIZE	0x020		/* bytes >> 12 */
#define IVM_REG_LINK_VECTOR	0x024
#define   IVM_LINK_VECTOR_NONE	0xffffffffu
#define IVM_REG_READY		0x028
#define   IVM_READY		(1u << 0)
#define IVM_REG_PEER_READY	0x02c
#define IVM_REG_RUNG		0x030
#define IVM_REG_DROPPED		0x034
#define IVM_REG_STATUS(word)	(0x040 + 4 * (word))	/* word 0..7 */
#define IVM_REG_MASK(word)	(0x060 + 4 * (word))	/* word 0..7 */
#define IVM_REG_WORDS		8
#define IVM_REG_END		0x1000

/* BAR0, page 1: doorbells, write-only, the value is the cookie */
#define IVM_DOORBELL_BASE	0x1000
#define IVM_DOORBELL(vector)	(IVM_DOORBELL_BASE + 4 * (vector))
#define IVM_DOORBELL_MAX	1023

/* IVM_REG_MODE fields, also in the link page and in HELLO */
#define IVM_MODE_DOWN		0
#define IVM_MODE_QEMU		1
#define IVM_MODE_IRQFD		2
#define IVM_MODE_DIRECT		3
#define IVM_MODE_AUTO		4	/* configured only, never in effect */

#define IVM_SIDE_SERVER		0
#define IVM_SIDE_CLIENT		1

/* IVM_REG_LINK reasons: why the link is down */
#define IVM_REASON_NO_PEER	0	/* nobody connected yet, or it left */
#define IVM_REASON_HANDSHAKE	1	/* connected, not agreed yet */
#define IVM_REASON_PROTOCOL	2	/* garbage, or a bad descriptor */
#define IVM_REASON_VERSION	3
#define IVM_REASON_SIDE		4	/* both ends on the same side */
#define IVM_REASON_NAME		5	/* link names differ */
#define IVM_REASON_SHMEM	6	/* shared memory sizes differ */
#define IVM_REASON_MODE		7	/* the peer lacks what a mode needs */
#define IVM_REASON_RESOURCES	8	/* this host ran out of something */

#endif /* IVM_REGS_H */
