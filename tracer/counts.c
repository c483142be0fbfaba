// SPDX-License-Identifier: GPL-2.0-or-later
/* What became of doorbells */
#include <stddef.h>

#include "counts.h"

uint64_t *ivm_counts_outcome(struct ivm_counts *c, enum ivm_outcome outcome)
{
	switch (outcome) {
	case IVM_O_DELIVERED:
		return &c->delivered;
	case IVM_O_COALESCED:
		return &c->coalesced;
	case IVM_O_MASKED:
		return &c->masked;
	case IVM_O_DROPPED:
		return &c->dropped;
	case IVM_O_UNFINISHED:
		return &c->unfinished;
	case IVM_O_UNSEEN:
		return &c->unseen;
	default:
		return NULL;
	}
}

void ivm_counts_add(struct ivm_counts *sum, const struct ivm_counts *c)
{
	sum->rung += c->rung;
	sum->accepted += c->accepted;
	sum->posted += c->posted;
	sum->delivered += c->delivered;
	sum->coalesced += c->coalesced;
	sum->masked += c->masked;
	sum->dropped += c->dropped;
	sum->unfinished += c->unfinished;
	sum->unseen += c->unseen;
	sum->disordered += c->disordered;
}
