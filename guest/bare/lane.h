/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * This guest's lane of the shared memory, and the checked view of the peer's.
 */
#ifndef IVM_BARE_LANE_H
#define IVM_BARE_LANE_H

#include "mailbox.h"
#include "options.h"
#include "../ivm-shmem.h"

struct lanes {
	struct ivm_lane *own;
	struct ivm_result *result;		/* in our lane */
	uint32_t *rtt;				/* in our lane */
	struct ivm_delay *delay;		/* in our lane */
	const struct ivm_lane *peer;
	const struct ivm_result *peer_result;	/* NULL until lanes_wait_peer() */
	const struct mailbox *unshared;		/* no peer's lane: all its device tells is READY */
	uint32_t lane_bytes;
};

/**
 * lanes_init() - lay out our lane, all but its magic, and point struct hot at it
 * @role: IVM_ROLE_* of this lane
 *
 * Dies if the shared memory is too small.
 */
void lanes_init(struct lanes *lanes, const struct mailbox *mailbox, const struct options *options,
		uint32_t role);

/**
 * lanes_publish() - make our lane valid for its readers
 */
void lanes_publish(struct lanes *lanes);

/**
 * lanes_wait_peer() - wait for the peer's lane, check it; none without shared memory
 * @timeout_s: dies after this long
 */
void lanes_wait_peer(struct lanes *lanes, uint32_t timeout_s);

/**
 * lanes_peer_state() - IVM_RESULT_* of the peer
 *
 * Without shared memory it is running for as long as it says READY, and done then.
 */
uint32_t lanes_peer_state(const struct lanes *lanes);

#endif /* IVM_BARE_LANE_H */
