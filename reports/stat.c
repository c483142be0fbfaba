// SPDX-License-Identifier: GPL-2.0-or-later
/* Exact statistics of a set of durations */
#include <stdlib.h>

#include "stat.h"

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The smallest value that at least @permille of all values do not exceed */
static uint64_t percentile(const GArray *sorted, unsigned int permille, uint64_t min_count)
{
	uint64_t rank;

	if (!sorted->len || sorted->len < min_count)
		return IVM_NS_UNKNOWN;
	rank = ((uint64_t)sorted->len * permille + 999) / 1000;
	return g_array_index(sorted, uint64_t, MAX(rank, 1) - 1);
}

/**
 * ivm_stat_compute() - statistics of a set of durations
 * @values: of uint64_t, in ns; is sorted
 * @stat: the result
 */
void ivm_stat_compute(GArray *values, struct ivm_stat *stat)
{
	unsigned int i;

	g_array_sort(values, compare_u64);
	stat->count = values->len;
	stat->sum_ns = 0;
	for (i = 0; i < values->len; i++)
		stat->sum_ns += g_array_index(values, uint64_t, i);
	stat->min_ns = percentile(values, 0, 1);
	stat->p50_ns = percentile(values, 500, 1);
	stat->p90_ns = percentile(values, 900, IVM_P90_MIN_COUNT);
	stat->p99_ns = percentile(values, 990, IVM_P99_MIN_COUNT);
	stat->p999_ns = percentile(values, 999, IVM_P999_MIN_COUNT);
	stat->max_ns = percentile(values, 1000, 1);
	stat->mean_ns = IVM_NS_UNKNOWN;
	if (values->len)
		stat->mean_ns = (stat->sum_ns + values->len / 2) / values->len;
}

static uint64_t hist_percentile(const struct ivm_hist *h, unsigned int permille,
				uint64_t min_count)
{
	return h->count < min_count ? IVM_NS_UNKNOWN : ivm_hist_percentile(h, permille);
}

/**
 * ivm_stat_of_hist() - statistics of durations that are not known one by one
 * @h: how many there are in which bucket
 * @stat: the result
 */
void ivm_stat_of_hist(const struct ivm_hist *h, struct ivm_stat *stat)
{
	stat->count = h->count;
	stat->sum_ns = h->sum_ns;
	stat->min_ns = h->count ? h->min_ns : IVM_NS_UNKNOWN;
	stat->p50_ns = hist_percentile(h, 500, 1);
	stat->p90_ns = hist_percentile(h, 900, IVM_P90_MIN_COUNT);
	stat->p99_ns = hist_percentile(h, 990, IVM_P99_MIN_COUNT);
	stat->p999_ns = hist_percentile(h, 999, IVM_P999_MIN_COUNT);
	stat->max_ns = h->count ? h->max_ns : IVM_NS_UNKNOWN;
	stat->mean_ns = h->count ? (h->sum_ns + h->count / 2) / h->count : IVM_NS_UNKNOWN;
}
