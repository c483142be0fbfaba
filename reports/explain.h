/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why the slowest journeys of a recording were slow.
 *
 * Each nanosecond of a journey gets one cause: what was observed on the thread
 * that had to act in that hop, what the hop usually takes, or nothing
 * (unattributed).  So causes add up to the whole.  docs/explain.md has the rules.
 */
#ifndef IVM_EXPLAIN_H
#define IVM_EXPLAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <glib.h>

#include "../bpf/context.h"
#include "../bpf/journey.h"
#include "../tracer/hist.h"
#include "../tracer/recording.h"
#include "report.h"

enum ivm_cause_kind {
	IVM_CAUSE_STOPPED,
	IVM_CAUSE_PREEMPTED,
	IVM_CAUSE_RUN_QUEUE,
	IVM_CAUSE_MIGRATED,
	IVM_CAUSE_ASLEEP,
	IVM_CAUSE_BLOCKED,
	IVM_CAUSE_NOT_SENT,
	IVM_CAUSE_IRQ,
	IVM_CAUSE_SOFTIRQ,
	IVM_CAUSE_LOOP_BUSY,
	IVM_CAUSE_IN_QEMU,
	IVM_CAUSE_PAGE_FAULT,
	IVM_CAUSE_MASKED,
	IVM_CAUSE_BEHIND,
	IVM_CAUSE_IRQS_OFF,
	IVM_CAUSE_USUAL,
	IVM_CAUSE_UNATTRIBUTED,
	IVM_CAUSES
};

#define IVM_CAUSE_NAMES							\
	{ "stopped", "preempted", "run-queue", "migrated", "asleep",	\
	  "blocked", "not-sent", "irq", "softirq", "loop-busy",		\
	  "in-qemu", "page-fault", "masked", "behind", "irqs-off",	\
	  "usual", "unattributed" }

struct ivm_cause {
	enum ivm_cause_kind kind;
	uint64_t ns;
	uint32_t tid;		/* whose thread it was, 0 nobody's in particular */
	char *text;		/* in words, owned */
};

/* An interval out of a recording; owned texts may be NULL */
struct ivm_explain_interval {
	struct ivm_interval i;
	char *fd_name;
};

/* One of the slowest journeys */
struct ivm_slow_journey {
	struct ivm_journey j;
	uint64_t begin_ns;
	uint64_t end_ns;
	enum ivm_point from, to;	/* the hop that is out of line; equal if none is */
	uint64_t usual_ns;		/* what that hop usually takes, 0 unknown */
	bool has_context;		/* its threads were looked at */
	bool complete;			/* ... and nothing is missing */
	struct ivm_actors actors;
	GArray *intervals;		/* struct ivm_explain_interval, by begin */
	uint64_t behind_ns;		/* another one was delivered there after its accept */
	GArray *causes;			/* struct ivm_cause, the largest first */
};

struct ivm_explain_group {
	enum ivm_mode mode;
	uint32_t from_end;
	uint32_t to_end;
	uint64_t delivered;
	struct ivm_hist total;
	struct ivm_hist *hop[IVM_POINTS][IVM_POINTS];	/* from, to; NULL: never seen */
	GPtrArray *slow;		/* struct ivm_slow_journey, the slowest first */
};

struct ivm_explain_opts {
	unsigned int count;		/* of each mode and direction */
	uint64_t over_ns;		/* only those that took longer, 0 all */
	int mode;			/* enum ivm_mode, -1 all */
};

struct ivm_explain {
	const struct ivm_report *report;
	struct ivm_explain_opts opts;
	bool has_context;
	GPtrArray *groups;		/* struct ivm_explain_group, by mode and direction */
};

/* 0, or -EBADMSG if the recording is damaged */
int ivm_explain_load(const struct ivm_report *r, const struct ivm_explain_opts *opts,
		     struct ivm_explain **explain);
void ivm_explain_free(struct ivm_explain *e);

/* What the causes of @s are; needs everything else in it, and its group's hops */
void ivm_explain_causes(const struct ivm_explain_group *g, struct ivm_slow_journey *s);

/* The cause that took longest, of those that say something; NULL if there is none */
const struct ivm_cause *ivm_explain_main(const struct ivm_slow_journey *s);

const char *ivm_cause_name(enum ivm_cause_kind kind);

int ivm_explain_print_text(const struct ivm_explain *e, FILE *out);
int ivm_explain_print_json(const struct ivm_explain *e, FILE *out);

#endif /* IVM_EXPLAIN_H */
