/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One run of a pattern, as its sender and its receiver see it.
 */
#ifndef IVM_BARE_RUN_H
#define IVM_BARE_RUN_H

#include "lane.h"

struct run {
	struct lanes *lanes;
	struct mailbox *mailbox;	/* of the receiver */
	const struct options *options;
	uint64_t total;			/* doorbells, warm-up included */
	uint64_t deadline;		/* TSC */
	uint32_t last_look;		/* ticks() at the last look at deadline and peer */
};

/**
 * run_check_alive() - die if time is up or the peer has failed
 * @waiting_for: for the message
 *
 * Every wait of a run comes by here; only once a tick does it cost anything.
 */
void run_check_alive(struct run *run, const char *waiting_for);

/**
 * run_doze() - let time pass until an interrupt, or not at all with wait=poll
 *
 * Interrupts are off when it is called and on when it returns.
 */
void run_doze(const struct run *run);

/**
 * step_receive() - ask for each doorbell of a run, and delay every second one
 *
 * Between the two only the delay differs, so that they can be compared.
 */
void step_receive(struct run *run);

#endif /* IVM_BARE_RUN_H */
