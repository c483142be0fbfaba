/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two roles of a benchmark.
 */
#ifndef IVM_BARE_TRAFFIC_H
#define IVM_BARE_TRAFFIC_H

#include "lane.h"
#include "mailbox.h"
#include "options.h"

/**
 * traffic_ping() - ring all doorbells of the pattern; returns when it is over at both ends
 *
 * Dies when the peer fails or does not keep up within the time allowed.
 */
void traffic_ping(struct lanes *lanes, const struct options *options);

/**
 * traffic_pong() - take interrupts until the peer is done and nothing arrives any more
 * @mailbox: to mask and to move its vectors, if that is what the options want
 */
void traffic_pong(struct lanes *lanes, struct mailbox *mailbox, const struct options *options);

/**
 * traffic_both() - ring at one end and take at the other, both of this machine
 *
 * Only for patterns in which nobody waits for the other.
 */
void traffic_both(struct lanes *from, struct lanes *to, const struct options *options);

#endif /* IVM_BARE_TRAFFIC_H */
