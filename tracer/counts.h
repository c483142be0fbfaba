/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What became of doorbells: each term counted where it happens, none computed. */
#ifndef IVM_COUNTS_H
#define IVM_COUNTS_H

#include <stdint.h>

#include "../bpf/journey.h"

struct ivm_counts {
	/* Whose; 0 where several directions and vectors are summed up */
	uint32_t from_end;
	uint32_t to_end;
	uint16_t vector;
	uint16_t irq_vector;
	uint64_t rung;
	uint64_t accepted;
	uint64_t posted;
	uint64_t delivered;
	uint64_t coalesced;
	uint64_t masked;
	uint64_t dropped;
	uint64_t unfinished;
	uint64_t unseen;		/* ended where this host cannot see it */
	uint64_t disordered;		/* among the delivered; in no latency */
};

/**
 * ivm_counts_outcome() - the term that an outcome belongs to
 * @c: the counts
 * @outcome: of a journey
 *
 * Return: the term, or NULL for a journey that has not ended.
 */
uint64_t *ivm_counts_outcome(struct ivm_counts *c, enum ivm_outcome outcome);

/* Adds all terms; whose they are does not change */
void ivm_counts_add(struct ivm_counts *sum, const struct ivm_counts *c);

#endif /* IVM_COUNTS_H */
