/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which hop of which journey a sample fell in.
 *
 * A sample belongs to a hop if it was taken between the hop's two points, on
 * the thread that had to act for the hop to end: nobody's time is charged to an
 * interrupt that it had nothing to do with.  A thread that has several
 * interrupts under way at once is sampled for each of them.
 *
 * Nothing here opens, reads or prints anything.
 */
#ifndef IVM_PROFILE_JOIN_H
#define IVM_PROFILE_JOIN_H

#include <stdint.h>

#include "../bpf/journey.h"
#include "recording.h"

/* Of those that arrive together a journey needs the samples of its whole way */
#define IVM_PROFILE_SAMPLES	65536u

/* A sample without what it was doing, which is in the recording under @stack */
struct ivm_taken_sample {
	uint64_t t_ns;
	uint64_t journey;		/* as in struct ivm_sample */
	uint32_t tid;
	uint32_t stack;
	uint32_t found;			/* hops it fell in so far */
};

struct ivm_profile_join;

/* Called for each hop of a journey that a sample fell in; 0 or -errno */
typedef int (*ivm_profile_hop_fn)(void *arg, const struct ivm_taken_sample *sample,
				  const struct ivm_journey *j, enum ivm_point from,
				  enum ivm_point to, enum ivm_sample_thread thread);

struct ivm_profile_join *ivm_profile_join_new(ivm_profile_hop_fn fn, void *arg);
void ivm_profile_join_free(struct ivm_profile_join *p);
void ivm_profile_join_sample(struct ivm_profile_join *p, const struct ivm_taken_sample *sample);
void ivm_profile_join_journey(struct ivm_profile_join *p, const struct ivm_journey *j,
			      const struct ivm_actors *actors);
int ivm_profile_join_settle(struct ivm_profile_join *p, uint64_t until_ns);

/* Samples taken; those of no hop; journeys that took longer than samples are kept */
struct ivm_profile_counts {
	uint64_t taken;
	uint64_t outside;
	uint64_t cut;
};

void ivm_profile_join_counts(const struct ivm_profile_join *p, struct ivm_profile_counts *counts);

#endif /* IVM_PROFILE_JOIN_H */
