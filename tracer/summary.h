/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All journeys in numbers, whatever becomes of each.
 *
 * A shape is what journeys have in common: their way, their end, and which
 * points were seen.  A block is a part of the recording's time, and a cell
 * what the journeys of one shape did in one block.  Everything a report says is a
 * sum over cells, so it can still choose its groups and anchors.
 *
 * Memory is bounded: blocks are joined in pairs when there are too many or when they
 * take too much, and cells nobody adds to are packed.  What remains grows with the
 * number of shapes, that is with links, vectors and vCPUs.
 */
#ifndef IVM_SUMMARY_H
#define IVM_SUMMARY_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "../bpf/journey.h"
#include "hist.h"

#define IVM_SHAPE_FLAGS	(IVM_J_APPROX | IVM_J_POSTED | IVM_J_DISORDERED | IVM_J_CONTENDED | \
			 IVM_J_FASTMMIO)

#define IVM_SUMMARY_BLOCKS	128	/* at the most */
#define IVM_SUMMARY_PHASES	64	/* likewise */

/* Hashed and compared as bytes */
struct ivm_shape_key {
	uint32_t from_end;
	uint32_t to_end;
	uint32_t points;		/* bit n: enum ivm_point n was seen */
	uint16_t vector;
	uint16_t irq_vector;
	uint16_t from_vcpu;
	uint16_t to_vcpu;
	uint16_t flags;			/* of IVM_SHAPE_FLAGS */
	uint8_t mode;
	uint8_t configured;
	uint8_t outcome;
	uint8_t zero[3];
};

/* From one point of a shape to another: its hops, and spans a report may choose as total */
struct ivm_span {
	uint8_t from, to;		/* enum ivm_point */
};

struct ivm_shape {
	struct ivm_shape_key key;
	unsigned int number;		/* place among the shapes of its summary */
	uint64_t count;
	unsigned int spans;		/* none unless complete */
	struct ivm_span *span;
	int whole;			/* index of the longest one, -1 without */
	struct ivm_hist whole_hist;
	uint64_t tail_ns;		/* hundredth part that took longest, as of late */
};

/* Journeys of one shape in one block */
struct ivm_cell {
	uint64_t count;
	struct ivm_hist *hist;		/* one for each span; without buckets while @packed */
	char **packed;			/* the buckets as ivm_hist_print() has them, or NULL */
};

struct ivm_block {
	unsigned int phase;		/* index */
	uint64_t index;			/* its time divided by the length of all blocks */
	GPtrArray *cells;		/* struct ivm_cell *, by number of shape; NULL: none */
};

struct ivm_phase {
	char *name;
	uint64_t start_ns;
};

/* The only span of a shape from here to there, -1 if it has none */
int ivm_shape_span(const struct ivm_shape *shape, unsigned int from, unsigned int to);

struct ivm_summary;

struct ivm_summary *ivm_summary_new(void);
void ivm_summary_free(struct ivm_summary *s);

/* Forgets all journeys but keeps phases, to add the journeys once more */
void ivm_summary_restart(struct ivm_summary *s);

/**
 * ivm_summary_add() - adds a journey to the cell of its shape and time
 * @s: the summary
 * @j: the journey; its time is when it was rung
 *
 * Return: whether it belongs to the tail: the slowest hundredth of its shape as
 * far as is known by now, the first ones of a shape, and all that did not simply
 * arrive: masked, dropped, unfinished, disordered.
 */
bool ivm_summary_add(struct ivm_summary *s, const struct ivm_journey *j);

/**
 * ivm_summary_mend() - coalesced journeys whose carrier was never delivered
 * @s: the summary
 * @into: the carrier's id
 * @outcome: what those added with IVM_J_EARLY are instead
 *
 * Return: their ids (uint64_t); free with g_array_unref().
 */
GArray *ivm_summary_mend(struct ivm_summary *s, uint64_t into, enum ivm_outcome outcome);

/**
 * ivm_summary_mark() - a new phase begins
 * @s: the summary
 * @name: what it is called; need not be new
 * @t_ns: journeys rung from then on belong to it; not before the last phase
 *
 * Return: 0; -EINVAL for an earlier @t_ns; -ENOSPC if there are too many.
 */
int ivm_summary_mark(struct ivm_summary *s, const char *name, uint64_t t_ns);

/* What is called otherwise in the summary that another one is added to */
struct ivm_summary_map {
	uint32_t (*end_of)(void *arg, uint32_t end);
	void *arg;
	const unsigned int *phase_of;	/* by phase of the other */
	int64_t shift_ns;		/* added to its times; a multiple of its block_ns */
};

/**
 * ivm_summary_merge() - adds all that another summary has
 * @s: where to
 * @from: of another recording
 * @map: what it is in @s
 *
 * Return: 0; -EBADMSG if what was read from a recording contradicts itself, then
 * a part of it may have been added.
 */
int ivm_summary_merge(struct ivm_summary *s, const struct ivm_summary *from,
		      const struct ivm_summary_map *map);

/* struct ivm_shape *, in order of appearance */
const GPtrArray *ivm_summary_shapes(const struct ivm_summary *s);
/* struct ivm_block *, in order of time */
const GPtrArray *ivm_summary_blocks(const struct ivm_summary *s);
/* struct ivm_phase; the first one has no name */
const GArray *ivm_summary_phases(const struct ivm_summary *s);
uint64_t ivm_summary_block_ns(const struct ivm_summary *s);

/* The part of time a block covers: where a phase begins or ends it is shorter */
void ivm_summary_block_range(const struct ivm_summary *s, const struct ivm_block *block,
			     uint64_t *start_ns, uint64_t *end_ns);

/* ---- for readers of recordings, who put a summary together again ---- */

void ivm_summary_set_block_ns(struct ivm_summary *s, uint64_t block_ns);
/* Found or made */
struct ivm_shape *ivm_summary_shape(struct ivm_summary *s, const struct ivm_shape_key *key);
struct ivm_cell *ivm_summary_cell(struct ivm_summary *s, unsigned int phase, uint64_t index,
				  const struct ivm_shape *shape);

/* The shape of a journey that was added, and the index of its block; NULL: it was not */
const struct ivm_shape *ivm_summary_find(struct ivm_summary *s, const struct ivm_journey *j,
					 unsigned int *block);

/**
 * ivm_cell_merge() - adds one span of a cell to a histogram
 * @cell: the cell
 * @span: index of the span
 * @h: where to
 *
 * Return: 0, or -EBADMSG if what was read from a recording contradicts itself.
 */
int ivm_cell_merge(const struct ivm_cell *cell, unsigned int span, struct ivm_hist *h);

/* Are durations of such journeys shown? */
static inline int ivm_is_complete(unsigned int outcome, unsigned int flags)
{
	return outcome == IVM_O_DELIVERED && !(flags & IVM_J_DISORDERED);
}

#endif /* IVM_SUMMARY_H */
