/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All journeys in numbers, whatever becomes of each: what a recording needs
 * when it does not keep every one.
 *
 * A shape is what journeys have in common: their way, their end, and which
 * points were seen.  Everything a report says is a sum over shapes, so
 * it can still choose its groups and anchors.
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

/* Hashed and compared as bytes */
struct ivm_shape_key {
	uint32_t from_end;
	uint32_t to_end;
	uint32_t points;		/* bit n: enum ivm_point n was seen */
	uint16_t vector;
	uint16_t irq_vector;
	uint16_t to_vcpu;
	uint16_t flags;			/* of IVM_SHAPE_FLAGS */
	uint8_t mode;
	uint8_t configured;
	uint8_t outcome;
	uint8_t zero;
};

/* From one point of a shape to another: its hops, and spans a report may choose as total */
struct ivm_span {
	uint8_t from, to;		/* enum ivm_point */
	struct ivm_hist hist;
};

struct ivm_shape {
	struct ivm_shape_key key;
	uint64_t count;
	GArray *spans;			/* struct ivm_span, owned; none unless complete */
	int whole;			/* index of the longest one, -1 without */
	uint64_t tail_ns;		/* hundredth part that took longest, as of late */
};

struct ivm_shape *ivm_shape_new(const struct ivm_shape_key *key);
void ivm_shape_free(struct ivm_shape *shape);

/* NULL if the shape has no such span */
struct ivm_span *ivm_shape_span(const struct ivm_shape *shape, unsigned int from, unsigned int to);

struct ivm_summary;

struct ivm_summary *ivm_summary_new(void);
void ivm_summary_free(struct ivm_summary *s);

/**
 * ivm_summary_add() - adds a journey to its shape
 * @s: the summary
 * @j: the journey
 *
 * Return: whether it belongs to the tail: the slowest hundredth of its shape as
 * far as is known by now, the first ones of a shape, and all that did not simply
 * arrive: masked, dropped, unfinished, disordered.
 */
bool ivm_summary_add(struct ivm_summary *s, const struct ivm_journey *j);

/* struct ivm_shape *, in order of appearance */
const GPtrArray *ivm_summary_shapes(const struct ivm_summary *s);

/* Are durations of such journeys shown? */
static inline int ivm_is_complete(unsigned int outcome, unsigned int flags)
{
	return outcome == IVM_O_DELIVERED && !(flags & IVM_J_DISORDERED);
}

#endif /* IVM_SUMMARY_H */
