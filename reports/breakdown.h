/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the time of a recording's journeys went.
 *
 * Loading counts every journey; filling adds up the hops of the complete ones, in groups as
 * fine or as coarse as the reader wants them.  Both read the recording's summary and
 * take the same time however many journeys there were.  Rules: docs/journey.md.
 */
#ifndef IVM_BREAKDOWN_H
#define IVM_BREAKDOWN_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>
#include <sqlite3.h>

#include "../bpf/journey.h"
#include "../tracer/counts.h"
#include "stat.h"

/*
 * What tells groups apart, beside the mode (observed and configured), which always
 * does.  Vectors and vCPUs mean something only within a direction.
 */
#define IVM_BY_MODE		0u
#define IVM_BY_LINK		(1u << 0)	/* both directions together */
#define IVM_BY_DIRECTION	(1u << 1)
#define IVM_BY_VECTOR		(IVM_BY_DIRECTION | 1u << 2)	/* and IDT vector */
#define IVM_BY_FROM_VCPU	(IVM_BY_DIRECTION | 1u << 3)
#define IVM_BY_TO_VCPU		(IVM_BY_DIRECTION | 1u << 4)
#define IVM_BY_PHASE		(1u << 5)
#define IVM_BY_PATH		(1u << 6)	/* state of the receiver */
#define IVM_BY_BLOCK		(1u << 7)	/* of time; the anchors are those of all blocks */

/**
 * ivm_by_parse() - what to group by
 * @text: names with commas between: mode, link, direction, vector, from-vcpu, to-vcpu,
 *	  phase, path
 * @by: set to IVM_BY_*
 *
 * Return: 0, or -EINVAL if there is no such name.
 */
int ivm_by_parse(const char *text, unsigned int *by);
#define IVM_BY_CHOICES	"mode, link, direction, vector, from-vcpu, to-vcpu, phase, path"

/* Which way journeys took, as their points prove: each term counted, none computed */
struct ivm_group_proof {
	uint64_t kernel;	/* an ioeventfd took the doorbell: KVM did not go up to QEMU */
	uint64_t user;		/* it went up to QEMU */
	uint64_t fast_mmio;	/* found by address alone */
	uint64_t decoded;	/* KVM looked at the instruction */
	uint64_t atomic;	/* accepted where it was signalled */
	uint64_t served;	/* its eventfd was read by a QEMU that KVM refused an irqfd */
	uint64_t deferred;	/* by a kernel worker */
	uint64_t posted;
	uint64_t injected;
	uint64_t unmasked;	/* held first, raised when the guest unmasked it */
};

/* An ordered pair of points consecutive in at least one journey */
struct ivm_row {
	enum ivm_point from;
	enum ivm_point to;
	uint64_t err_ns;	/* 0 if one clock stamped both, IVM_NS_UNKNOWN */
	struct ivm_stat stat;	/* what is less than @err_ns is unknown, but for the sum */
	struct ivm_hist hist;
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
	struct ivm_hist total_hist;
	struct ivm_rows rows;
};

struct ivm_group {
	enum ivm_mode mode;
	enum ivm_mode configured;
	uint32_t from_end;	/* 0 where it differs within the group, also below */
	uint32_t to_end;
	bool both_ways;			/* from @to_end to @from_end, too */
	int from_vcpu;			/* -1 where it differs or is not known, also below */
	int to_vcpu;
	int phase;			/* index into ivm_breakdown_phases() */
	int block;			/* index into ivm_breakdown_blocks() */
	int state;			/* enum ivm_receiver_state */
	uint16_t vector_min;
	uint16_t vector_max;
	uint16_t irq_vector_min;
	uint16_t irq_vector_max;
	unsigned int vectors;		/* (direction, vector) pairs in the group */
	struct ivm_counts counts;
	struct ivm_group_proof proof;
	bool has_total;			/* a complete journey with two points or more */
	enum ivm_point from;		/* anchors of the total, if there is one */
	enum ivm_point to;
	int rung_at;			/* enum ivm_point, -1 unknown */
	int delivered_at;
	uint64_t ring_err_ns;		/* widest bound of the points `ring` and `isr` in it; */
	uint64_t isr_err_ns;		/* IVM_NS_UNKNOWN if an end does not say */
	uint64_t err_ns;		/* of the total */
	struct ivm_stat total;
	struct ivm_hist total_hist;	/* no buckets if only its sum is known */
	struct ivm_rows rows;
	struct ivm_path path[IVM_R_STATES];
	GArray *shares_with;		/* of struct ivm_share, by vector only */
};

/* Another (direction, vector) that ends on the same (vCPU, IDT vector) */
struct ivm_share {
	uint32_t from_end;
	uint16_t vector;
};

/* A named part of the recording; the first one has the name "" and starts at 0 */
struct ivm_phase_info {
	char *name;
	uint64_t start_ns;
};

/* A part of the recording's time: nothing that was rung in it is in another one */
struct ivm_block_info {
	unsigned int phase;
	uint64_t start_ns;
	uint64_t end_ns;
};

struct ivm_breakdown;

int ivm_breakdown_load(sqlite3 *db, bool exact, struct ivm_breakdown **breakdown);
void ivm_breakdown_free(struct ivm_breakdown *b);

/* Are percentiles those of all journeys, not out of histograms? */
bool ivm_breakdown_is_exact(const struct ivm_breakdown *b);

/* Of struct ivm_phase_info and struct ivm_block_info */
const GArray *ivm_breakdown_phases(const struct ivm_breakdown *b);
const GArray *ivm_breakdown_blocks(const struct ivm_breakdown *b);

/* Arrays of struct ivm_group *, which own them: counted only, and measured */
GPtrArray *ivm_breakdown_groups(struct ivm_breakdown *b, unsigned int by);
int ivm_breakdown_fill(struct ivm_breakdown *b, unsigned int by, GPtrArray **groups);

/* What it is made of */
const struct ivm_summary *ivm_breakdown_summary(const struct ivm_breakdown *b);

struct ivm_counts ivm_breakdown_counts(const struct ivm_breakdown *b, uint32_t from_end,
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
