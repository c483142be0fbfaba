/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Are the durations of two sets of runs different?
 *
 * Interrupts that follow each other are not independent: a busy host makes
 * thousands of them slow.  So nothing here counts single durations as
 * observations.  A run is a row of blocks of time, a block says how many
 * durations of which length it had, and how far blocks (and runs, where there
 * are several) differ among themselves says how far a figure may be off.
 */
#ifndef IVM_DIFF_STAT_H
#define IVM_DIFF_STAT_H

#include <stdbool.h>

#include <glib.h>

#include "../tracer/hist.h"

enum ivm_diff_stat {
	IVM_DIFF_P50,
	IVM_DIFF_P99,
	IVM_DIFF_MEAN,
	IVM_DIFF_STATS
};

#define IVM_DIFF_STAT_NAMES	{ "p50", "p99", "mean" }

/* Blocks that a run is made of at the most; more are joined with their neighbours */
#define IVM_SAMPLE_BLOCKS	32
/* Differences between blocks with durations that an interval needs at the least */
#define IVM_SAMPLE_MIN_DF	8

/* Durations of one hop on one side of a comparison */
struct ivm_sample {
	GPtrArray *runs;	/* of GPtrArray of struct ivm_hist *, in order of time; owned */
	struct ivm_hist all;
	bool has_buckets;	/* for all durations, else there are no percentiles */
};

struct ivm_sample *ivm_sample_new(void);
void ivm_sample_free(struct ivm_sample *s);

/**
 * ivm_sample_add() - durations of one block of time
 * @s: the sample
 * @run: number of the run, from 0; blocks of one run come in order of time
 * @h: the durations; copied.  A block without any says something, too
 */
void ivm_sample_add(struct ivm_sample *s, unsigned int run, const struct ivm_hist *h);

/* Joins blocks until no run has too many; after the last one was added */
void ivm_sample_close(struct ivm_sample *s);

/* Of all runs, as joined */
unsigned int ivm_sample_blocks(const struct ivm_sample *s);

/* Shift of a figure from one side to the other, in ns */
struct ivm_shift {
	double a, b;		/* NAN if there are too few durations */
	double low, high;	/* of b - a; NAN without an interval, maybe infinite */
};

/**
 * ivm_shift_compute() - how far a figure has moved
 * @a: durations before
 * @b: durations after
 * @stat: which figure
 * @error: how likely the interval may miss the true shift, such as 0.05
 * @shift: the result
 */
void ivm_shift_compute(const struct ivm_sample *a, const struct ivm_sample *b,
		       enum ivm_diff_stat stat, double error, struct ivm_shift *shift);

/* Can these two samples give an interval at all?  For the number of comparisons */
bool ivm_shift_is_testable(const struct ivm_sample *a, const struct ivm_sample *b,
			   enum ivm_diff_stat stat);

/* Does the interval leave out that nothing has changed? */
bool ivm_shift_is_significant(const struct ivm_shift *shift);

/**
 * ivm_sample_is_new() - durations on one side only: more than chance?
 * @none: the side without any
 * @some: the other one
 * @error: how likely the answer may be wrong, such as 0.05
 *
 * If both sides were alike each block with such a duration might as well have
 * been one of the other side's.
 *
 * Return: whether it is less likely than @error that all of them are on this one.
 */
bool ivm_sample_is_new(const struct ivm_sample *none, const struct ivm_sample *some,
		       double error);

/**
 * ivm_superiority() - effect size of Vargha and Delaney
 * @a: durations before, not empty
 * @b: durations after, not empty
 *
 * Return: how likely one out of @b is longer than one out of @a; 0.5 if alike.
 */
double ivm_superiority(const struct ivm_hist *a, const struct ivm_hist *b);

#endif /* IVM_DIFF_STAT_H */
