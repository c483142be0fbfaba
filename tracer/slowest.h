/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The slowest journeys of each direction and mode, with what happened on their
 * threads meanwhile.
 *
 * Intervals come as they end and are kept for a while; a journey that is among
 * the slowest when it ends takes a copy of those that it met.  Memory is
 * bounded by IVM_SLOWEST_* however long a recording is.
 */
#ifndef IVM_TRACER_SLOWEST_H
#define IVM_TRACER_SLOWEST_H

#include <stdbool.h>
#include <stdint.h>

#include "../bpf/context.h"
#include "../bpf/journey.h"
#include "recording.h"

#define IVM_SLOWEST_EACH	50		/* journeys of one mode and direction */
#define IVM_SLOWEST_GROUPS	2048		/* modes and directions */
#define IVM_SLOWEST_INTERVALS	(1u << 17)	/* kept for journeys still to end */
#define IVM_SLOWEST_PER_JOURNEY	64
#define IVM_SLOWEST_TOTAL	(1u << 20)	/* intervals of all journeys */

struct ivm_slowest;

struct ivm_slowest *ivm_slowest_new(void);
void ivm_slowest_free(struct ivm_slowest *s);
void ivm_slowest_interval(struct ivm_slowest *s, const struct ivm_interval *interval);
void ivm_slowest_journey(struct ivm_slowest *s, const struct ivm_journey *j,
			 const struct ivm_actors *actors);
void ivm_slowest_settle(struct ivm_slowest *s, uint64_t until_ns);
int ivm_slowest_write(const struct ivm_slowest *s, struct ivm_recording *recording);

/*
 * From the first point to the last that the host sees: guests' own stamps and
 * acknowledgement are no part of it.  Return: false if there are no two.
 */
bool ivm_journey_span(const struct ivm_journey *j, uint64_t *begin_ns, uint64_t *end_ns);

#endif /* IVM_TRACER_SLOWEST_H */
