/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the time of a recording's journeys went.
 *
 * Loading counts every journey and finds the groups; filling adds up the hops
 * of the complete ones, in groups as fine or as coarse as the reader wants
 * them.  Rules: docs/journey.md.
 */
#ifndef IVM_BREAKDOWN_H
#define IVM_BREAKDOWN_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>
#include <sqlite3.h>

#include "../bpf/journey.h"
#include "stat.h"

/* What a group is; a coarser one holds journeys of several finer ones */
enum ivm_by {
	IVM_BY_VECTOR,		/* mode, configured, direction, vector, IDT vector */
	IVM_BY_LINK,		/* mode, configured, direction */
	IVM_BY_MODE,		/* mode, configured */
};

#define IVM_BY_NAMES	{ "vector", "link", "mode" }

struct ivm_group_counts {
	uint64_t rung;
	uint64_t delivered;
	uint64_t coalesced;
	uint64_t masked;
	uint64_t dropped;
	uint64_t unfinished;
	uint64_t accepted;
	uint64_t posted;
	uint64_t unseen;	/* accepted, but the end cannot be observed */
	uint64_t disordered;	/* among the delivered; in no latency */
};

/* An ordered pair of points consecutive in at least one journey */
struct ivm_row {
	enum ivm_point from;
	enum ivm_point to;
	uint64_t err_ns;	/* 0 if one clock stamped both, IVM_NS_UNKNOWN */
	struct ivm_stat stat;	/* what is less than @err_ns is unknown, but for the sum */
};

/* Rows of a set of journeys, in the order of the points */
struct ivm_rows {
	struct ivm_row *row;	/* owned */
	unsigned int count;
};

/* Journeys that found the receiver in one state */
struct ivm_path {
	enum ivm_receiver_state state;
	struct ivm_stat total;
	struct ivm_rows rows;
};

struct ivm_group {
	enum ivm_mode mode;
	enum ivm_mode configured;
	uint32_t from_end;	/* 0 where it differs within the group, also below */
	uint32_t to_end;
	uint16_t vector_min;
	uint16_t vector_max;
	uint16_t irq_vector_min;
	uint16_t irq_vector_max;
	unsigned int vectors;		/* (direction, vector) pairs in the group */
	struct ivm_group_counts counts;
	bool has_total;			/* a complete journey with two points or more */
	enum ivm_point from;		/* anchors of the total, if there is one */
	enum ivm_point to;
	int rung_at;			/* enum ivm_point, -1 unknown */
	int delivered_at;
	uint64_t ring_err_ns;		/* widest bound of the points `ring` and `isr` in it; */
	uint64_t isr_err_ns;		/* IVM_NS_UNKNOWN if an end does not say */
	uint64_t err_ns;		/* of the total */
	struct ivm_stat total;
	struct ivm_rows rows;
	struct ivm_path path[IVM_R_STATES];
	GArray *shares_with;		/* of struct ivm_share, by vector only */
};

/* Another (direction, vector) that ends on the same (vCPU, IDT vector) */
struct ivm_share {
	uint32_t from_end;
	uint16_t vector;
};

struct ivm_breakdown;

/* Are percentiles out of histograms, because not every journey was kept? */
bool ivm_breakdown_is_summed(const struct ivm_breakdown *b);

int ivm_breakdown_load(sqlite3 *db, struct ivm_breakdown **breakdown);
void ivm_breakdown_free(struct ivm_breakdown *b);

/* Arrays of struct ivm_group *, which own them: counted only, and measured */
GPtrArray *ivm_breakdown_groups(struct ivm_breakdown *b, enum ivm_by by);
int ivm_breakdown_fill(struct ivm_breakdown *b, enum ivm_by by, GPtrArray **groups);

struct ivm_group_counts ivm_breakdown_counts(const struct ivm_breakdown *b, uint32_t from_end,
					     uint16_t vector);

/* One line for each (direction, vector) whose counts contradict each other */
const GPtrArray *ivm_breakdown_mismatches(const struct ivm_breakdown *b);

/* Delivered and coalesced are known only if every end could be seen */
static inline bool ivm_group_ends_seen(const struct ivm_group *g)
{
	return g->counts.unseen == 0;
}

static inline bool ivm_row_approx(enum ivm_point from, enum ivm_point to)
{
	return from == IVM_P_EOI_STANDIN || to == IVM_P_EOI_STANDIN;
}

#endif /* IVM_BREAKDOWN_H */
