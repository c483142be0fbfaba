/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parts of the breakdown: breakdown.c sorts journeys into classes, counts.c compares
 * them with what was counted, groups.c makes groups of them, measure.c adds up hops.
 */
#ifndef IVM_BREAKDOWN_LOCAL_H
#define IVM_BREAKDOWN_LOCAL_H

#include "../tracer/summary.h"
#include "breakdown.h"

/* Points as a set */
typedef uint32_t point_set;

#define ALL_POINTS	((point_set)~0u)

/* What a journey tells of its way, as a hash key without holes */
struct key {
	uint32_t from_end;
	uint32_t to_end;
	uint16_t vector;
	uint16_t irq_vector;
	uint8_t mode;
	uint8_t configured;
	uint16_t pad;
};

_Static_assert(sizeof(struct key) == 16, "hashed and compared as bytes");

struct class {
	struct key key;
	struct ivm_counts counts;	/* of the journeys; then as the table has them */
	uint64_t complete;
	GArray *targets;		/* uint32_t vCPU ids that accepted */
	struct class *folded_into;
};

/* How far the guest stamps of an end may be off */
struct bounds {
	uint64_t ring_ns;
	uint64_t isr_ns;
};

struct ivm_breakdown {
	sqlite3 *db;
	bool exact;
	struct ivm_summary *summary;
	GArray *phases;			/* struct ivm_phase_info */
	GArray *blocks;			/* struct ivm_block_info */
	GHashTable *bounds_by_end;	/* end id -> struct bounds *, owned */
	GHashTable *class_by_key;	/* struct key * -> struct class *, owned */
	GPtrArray *classes;		/* same, in order of appearance; not owned */
	GPtrArray *class_of_shape;	/* by number of shape, folded ones resolved */
	GPtrArray *mismatches;		/* char *, owned */
};

struct class *breakdown_class(struct ivm_breakdown *b, const struct key *key);
struct bounds breakdown_bounds(const struct ivm_breakdown *b, uint32_t end);

/* Adds @times journeys of a shape */
void breakdown_count(struct ivm_counts *c, const struct ivm_shape *shape, uint64_t times);
int breakdown_compare_counts(struct ivm_breakdown *b);

/* Any journey of that shape; its times tell no more than that they are there */
struct ivm_journey breakdown_example(const struct ivm_shape *shape);

static inline bool shape_is_complete(const struct ivm_shape *shape)
{
	return ivm_is_complete(shape->key.outcome, shape->key.flags);
}

/* ---- measuring ---- */

/* What is added up for one group whose anchors are known */
struct measure;

struct measure *measure_new(struct ivm_group *g);
int measure_cell(struct measure *m, const struct ivm_shape *shape, const struct ivm_cell *cell);
void measure_journey(struct measure *m, const struct ivm_journey *j);
/* Puts the results into the group and frees what was needed for them */
void measure_finish(struct measure *m);

uint64_t measure_err_ns(const struct ivm_group *g, int from, int to);
void measure_clear_group(struct ivm_group *g);

#endif /* IVM_BREAKDOWN_LOCAL_H */
