/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The protocol of an ivm-mailbox link, byte by byte.
 *
 * A link is a stream socket between two ends.  All numbers are little-endian
 * whatever the hosts are.  Every message is a multiple of IVM_MSG_UNIT bytes
 * long and starts with struct ivm_msg_header, so that a reader which always
 * asks for a multiple of IVM_MSG_UNIT bytes, less the rest of a message it
 * has begun, never stops inside a RING.
 *
 *   1. Both ends send HELLO, without waiting.  From the two HELLOs both compute
 *      the same answer: the mode of each direction, who provides the shared
 *      memory, or why there is no link (then: BYE, close).
 *   2. If both HELLOs have IVM_CAP_FD_PASS and do not name different machines
 *      or byte orders, each end sends its descriptors:
 *      the link page; then the shared memory if it provides it; then one
 *      eventfd for each of its vectors if it receives by irqfd, in order, at
 *      most IVM_FDS_MAX in a message.  Each FDS is answered by an ACK that
 *      repeats its fields, and the next FDS is sent only after that ACK.
 *   3. An end that has all its ACKs and all descriptors of the peer sends
 *      READY: from here on it may be rung.  With READY sent and received the
 *      link is up.
 *   4. Up: RING (mode qemu only) and DRIVER, in any number and order.
 *
 * Anything else, at any time, is a protocol error: the end that sees it sends
 * BYE if it can and closes the connection.
 *
 * Host-only; needs <stdint.h> types from its includer.
 */
#ifndef IVM_LINK_PROTO_H
#define IVM_LINK_PROTO_H

#define IVM_MSG_MAGIC		0x474d5649	/* the bytes "IVMG" */
#define IVM_MSG_UNIT		32
#define IVM_MSG_MAX_BYTES	512
#define IVM_LINK_VERSION	0x00010000	/* major << 16 | minor */

#define IVM_MSG_HELLO		1
#define IVM_MSG_FDS		2
#define IVM_MSG_ACK		3
#define IVM_MSG_READY		4
#define IVM_MSG_DRIVER		5
#define IVM_MSG_RING		6
#define IVM_MSG_BYE		7

struct ivm_msg_header {
	uint32_t magic;		/* IVM_MSG_MAGIC */
	uint16_t type;		/* IVM_MSG_* */
	uint16_t bytes;		/* of the whole message */
};

/* struct ivm_msg_hello.caps: what this end can do on this connection */
#define IVM_CAP_FD_PASS		(1u << 0)	/* the socket passes descriptors */
#define IVM_CAP_IOEVENTFD	(1u << 1)	/* may send `direct` */
#define IVM_CAP_IRQFD		(1u << 2)	/* may receive `irqfd`, `direct` */
#define IVM_CAP_IRQ_CTRL	(1u << 3)	/* refuses to receive `direct` */
#define IVM_CAP_SHMEM_HELD	(1u << 4)	/* has a segment of an earlier link */

#define IVM_ENDIAN_LITTLE	1
#define IVM_ENDIAN_BIG		2

#define IVM_LINK_NAME_BYTES	64

/* 128 bytes; a later minor version may make it longer, never shorter */
struct ivm_msg_hello {
	struct ivm_msg_header header;
	uint32_t version;	/* 0x08 equal major versions understand each other */
	uint16_t machine;	/* 0x0c of the host: ELF e_machine, 0 unknown */
	uint8_t endian;		/* 0x0e of the host: IVM_ENDIAN_* */
	uint8_t side;		/* 0x0f IVM_SIDE_*; the two must differ */
	uint32_t mode;		/* 0x10 IVM_MODE_* wanted for what it sends */
	uint32_t caps;		/* 0x14 IVM_CAP_* */
	uint32_t vectors;	/* 0x18 doorbells it accepts, 1..256 */
	uint32_t reserved0;	/* 0x1c */
	uint64_t shmem_bytes;	/* 0x20 the two must be equal */
	uint64_t link_id;	/* 0x28 random; the server's is the link's */
	char name[IVM_LINK_NAME_BYTES];	/* 0x30 UTF-8, NUL-padded, may be empty */
	uint8_t reserved1[16];	/* 0x70 */
};

#define IVM_FDS_LINKPAGE	1
#define IVM_FDS_SHMEM		2
#define IVM_FDS_EVENTFDS	3
#define IVM_FDS_MAX		16	/* QEMU's limit for one message */

/* FDS carries @count descriptors (SCM_RIGHTS); ACK repeats the three fields */
struct ivm_msg_fds {
	struct ivm_msg_header header;
	uint32_t kind;		/* 0x08 IVM_FDS_* */
	uint32_t first;		/* 0x0c vector of the first eventfd, else 0 */
	uint32_t count;		/* 0x10 */
	uint32_t reserved[3];	/* 0x14 */
};

struct ivm_msg_ready {
	struct ivm_msg_header header;
	uint32_t reserved[6];
};

/* The guest's READY register; 0 is assumed until the first one */
struct ivm_msg_driver {
	struct ivm_msg_header header;
	uint32_t ready;		/* 0x08 0 or 1 */
	uint32_t reserved[5];	/* 0x0c */
};

/* @count doorbells of one vector; more than one if the socket was full */
struct ivm_msg_ring {
	struct ivm_msg_header header;
	uint32_t vector;	/* 0x08 below the receiver's vectors */
	uint32_t count;		/* 0x0c not 0 */
	uint64_t sequence;	/* 0x10 1, 2, 3 ... per direction and link-up */
	uint32_t cookie;	/* 0x18 value of the last doorbell */
	uint32_t reserved;	/* 0x1c */
};

struct ivm_msg_bye {
	struct ivm_msg_header header;
	uint32_t reason;	/* 0x08 IVM_REASON_* the sender gives */
	uint32_t reserved[5];	/* 0x0c */
};

#endif /* IVM_LINK_PROTO_H */
