/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exact statistics of a set of durations.
 *
 * Percentiles are nearest-rank: always one of the values, never interpolated.
 * One that would rest on too few values is unknown rather than a guess.
 */
#ifndef IVM_STAT_H
#define IVM_STAT_H

#include <stdint.h>

#include <glib.h>

#include "../tracer/hist.h"

#define IVM_NS_UNKNOWN		UINT64_MAX

/* Values a percentile needs below which its rank would be the maximum's */
#define IVM_P90_MIN_COUNT	10
#define IVM_P99_MIN_COUNT	100
#define IVM_P999_MIN_COUNT	1000

struct ivm_stat {
	uint64_t count;
	uint64_t sum_ns;	/* 0 if there are none; the others IVM_NS_UNKNOWN */
	uint64_t min_ns;
	uint64_t p50_ns;
	uint64_t p90_ns;
	uint64_t p99_ns;
	uint64_t p999_ns;
	uint64_t max_ns;
	uint64_t mean_ns;	/* rounded to the nearest */
};

/* @h: with exact count, sum and extremes; percentiles are as good as its buckets */
void ivm_stat_of_hist(const struct ivm_hist *h, struct ivm_stat *stat);

/* @values: of uint64_t, is sorted on the way */
void ivm_stat_compute(GArray *values, struct ivm_stat *stat);

#endif /* IVM_STAT_H */
