/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Message rings in a link's shared memory: one per channel and direction.
 *
 * A lane is written by its own side only, by convention: the peer, or whoever
 * runs it, can write all of it at any time.  So indices are kept here, what is
 * read from either lane is read once and checked, and nothing outside the
 * lanes is ever touched.  No locks and no kernel services: callers serialise
 * what sends and what receives, and the same code is tested in user space.
 */
#ifndef IVM_RING_H
#define IVM_RING_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include "ivm_ring_user.h"
#endif

#include "../ivm-shmem.h"

#define IVM_RING_MAX_SLOTS	256	/* of one ring; a message takes half of them at most */
#define IVM_RING_SLOT_BYTES	256	/* at most */
#define IVM_RING_MAX_MESSAGE	(IVM_RING_MAX_SLOTS / 2 * IVM_RING_SLOT_BYTES)

/* Where things are in a lane; checked, so that all of it lies within the lane */
struct ivm_layout {
	u32 lane_bytes;
	u32 vectors;
	u32 ctl_off, session_off;
	u32 slot_off, slot_bytes, slots;	/* slots 0: no messages */
	u32 stamp_off, stamps;			/* stamps 0: none */
	u32 result_off, result_bytes;		/* bytes 0: none */
};

/* One channel: the ring it sends on and the one it receives from */
struct ivm_ring {
	void *own;		/* lanes */
	const void *peer;
	const struct ivm_layout *own_layout;
	struct ivm_layout peer_layout;	/* checked; all zero until the peer's lane was seen */
	u32 channel;
	u32 epoch, peer_epoch;	/* peer_epoch 0: none seen */
	u32 tx_head, tx_tail;	/* slots written; slots the peer was seen to have taken */
	u32 rx_tail;		/* slots taken */
	bool connected;
};

/**
 * ivm_layout_plan() - divide a lane
 * @layout: set
 * @lane_bytes: half of the shared memory
 * @vectors: channels, 1 to 256
 * @stamps: whether to have room for stamps
 *
 * A lane too small for messages on so many channels has none (slots 0).
 *
 * Return: 0, or -EINVAL for a lane that cannot even hold its header.
 */
int ivm_layout_plan(struct ivm_layout *layout, u32 lane_bytes, u32 vectors, bool stamps);

/**
 * ivm_layout_read() - take over and check what the peer's lane says
 * @layout: set, if 0 is returned
 * @lane: the peer's
 * @lane_bytes: half of the shared memory
 *
 * Return: 0, -ENOENT if there is no lane yet, -EOPNOTSUPP if it has no messages,
 * -EPROTO for another version, or -EBADMSG if it does not describe a lane of
 * this size.
 */
int ivm_layout_read(struct ivm_layout *layout, const void *lane, u32 lane_bytes);

/**
 * ivm_lane_publish() - write a lane's header; its magic last
 */
void ivm_lane_publish(void *lane, const struct ivm_layout *layout);

/**
 * ivm_ring_reset() - start anew, under another epoch
 *
 * Whatever the peer has not taken is lost, and the peer is told to start anew.
 *
 * Return: how many messages the peer was not seen to have taken.
 */
u32 ivm_ring_reset(struct ivm_ring *ring, u32 epoch);

/**
 * ivm_ring_close() - leave: the peer's messages stay where they are
 *
 * How far this end has got remains to be read.
 */
void ivm_ring_close(struct ivm_ring *ring);

/**
 * ivm_ring_sync() - see whether the peer has come, gone or started anew
 * @lost: set to the messages it had not taken, if it has started anew
 *
 * Return: true if messages can be exchanged.
 */
bool ivm_ring_sync(struct ivm_ring *ring, u32 *lost);

/**
 * ivm_ring_max() - the longest message that can be sent, in bytes
 */
u32 ivm_ring_max(const struct ivm_layout *layout);

/**
 * ivm_ring_send() - write one message and publish it
 *
 * The doorbell is the caller's business.  If there is no room, the peer is
 * asked to ring when there is, so that nobody need poll.
 *
 * Return: 0, -EAGAIN no room, -EMSGSIZE, -ENOTCONN see ivm_ring_sync(),
 * -EBADMSG the peer's indices make no sense.
 */
int ivm_ring_send(struct ivm_ring *ring, const void *data, u32 bytes);

/**
 * ivm_ring_room() - whether a message of any length could be sent now
 *
 * Return: as ivm_ring_send().
 */
int ivm_ring_room(struct ivm_ring *ring);

/**
 * ivm_ring_pending() - whether the peer has yet to take something up to @head
 *
 * If so, the peer is asked to ring once it has taken all of it.
 *
 * Return: 0 it has taken all, -EAGAIN it has not, or as ivm_ring_send().
 */
int ivm_ring_pending(struct ivm_ring *ring, u32 head);

/**
 * ivm_ring_peek() - copy the oldest message that has come
 * @size: room at @data
 * @bytes: set to the length of the message
 * @slots: set to what ivm_ring_consume() wants to know
 *
 * Return: 0, -EAGAIN nothing there, -ENOTCONN, or -EBADMSG as above, also if it
 * does not fit @size.
 */
int ivm_ring_peek(const struct ivm_ring *ring, void *data, u32 size, u32 *bytes, u32 *slots);

/**
 * ivm_ring_readable() - whether ivm_ring_peek() would find something, or an error
 */
bool ivm_ring_readable(const struct ivm_ring *ring);

/**
 * ivm_ring_consume() - give the slots of a message back
 *
 * Return: true if the peer wants its doorbell rung for that.
 */
bool ivm_ring_consume(struct ivm_ring *ring, u32 slots);

#endif /* IVM_RING_H */
