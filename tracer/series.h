/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What goes on right now: for each direction of a link and each mode, counts and
 * hops of the journeys that ended so far, without keeping any of them.
 *
 * `top`, `hist` and `export` look at these; reports on recordings have their own,
 * which know all journeys when they choose what to measure between.  Here a
 * journey's total is that between its own first and last point, so totals
 * are told apart by these.
 */
#ifndef IVM_SERIES_H
#define IVM_SERIES_H

#include <stdint.h>

#include <glib.h>

#include "../bpf/journey.h"
#include "hist.h"
#include "topology.h"

/* Journeys' time from one point to another */
struct ivm_lap {
	uint8_t from, to;		/* enum ivm_point */
	struct ivm_hist hist;
};

struct ivm_series {
	uint32_t from_end;
	uint32_t to_end;		/* of the journeys that told */
	uint8_t mode;			/* enum ivm_mode, observed */
	char *link;			/* names, as of the first journey */
	char *from, *to;
	uint64_t rung;			/* the sum of all outcomes */
	uint64_t outcome[IVM_OUTCOMES];
	uint64_t disordered;		/* among the delivered; in no interval */
	GArray *hops;			/* struct ivm_lap, by points */
	GArray *totals;			/* likewise */
};

struct ivm_series_set;

/* Names of ends come from @t; NULL leaves them to whoever adds */
struct ivm_series_set *ivm_series_set_new(const struct ivm_topology *t);
void ivm_series_set_free(struct ivm_series_set *set);

/* Found or made */
struct ivm_series *ivm_series_get(struct ivm_series_set *set, uint32_t from_end, uint8_t mode);

/* Found or made; the place it is at is kept in order */
struct ivm_lap *ivm_lap_get(GArray *intervals, unsigned int from, unsigned int to);

/* The one with most journeys; NULL if there is none */
const struct ivm_lap *ivm_lap_main(const GArray *intervals);

/* A journey that ended */
void ivm_series_add(struct ivm_series_set *set, const struct ivm_journey *j);

/**
 * ivm_series_mend() - journeys were coalesced into one that was not delivered
 * @set: the set
 * @into: its id
 * @outcome: what they are instead
 *
 * No count ever shrinks, as monitoring takes that for a restart: so many of the next
 * coalesced ones are counted as @outcome instead.
 */
void ivm_series_mend(struct ivm_series_set *set, uint64_t into, enum ivm_outcome outcome);

/* struct ivm_series *, by link, names and mode; valid until the next journey is added */
const GPtrArray *ivm_series_sorted(struct ivm_series_set *set);

#endif /* IVM_SERIES_H */
