/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Durations as a log-linear histogram with exact count, sum and extremes.
 *
 * Each power of two has IVM_HIST_STEPS buckets: whatever lies in one differs by
 * 1/32 of its value at the most; below 32 ns every value has its own.
 */
#ifndef IVM_HIST_H
#define IVM_HIST_H

#include <stdint.h>

#define IVM_HIST_STEPS		32
#define IVM_HIST_OCTAVES	60	/* the first one is 0 .. 31 ns */

struct ivm_hist {
	uint64_t count;
	uint64_t sum_ns;
	uint64_t min_ns;		/* valid if @count, as is @max_ns */
	uint64_t max_ns;
	uint64_t *octave[IVM_HIST_OCTAVES];	/* of IVM_HIST_STEPS counts, NULL: none */
};

/* Called with the smallest value of each bucket that is not empty, upwards */
typedef int (*ivm_hist_fn)(void *arg, uint64_t low_ns, uint64_t count);

/* A zeroed one is empty; release with ivm_hist_clear() */
void ivm_hist_clear(struct ivm_hist *h);
void ivm_hist_add(struct ivm_hist *h, uint64_t ns);

/**
 * ivm_hist_put() - values that are known by their bucket only
 * @h: count, sum and extremes are not touched
 * @ns: one of the bucket's values
 * @count: how many values lie in it
 */
void ivm_hist_put(struct ivm_hist *h, uint64_t ns, uint64_t count);
void ivm_hist_merge(struct ivm_hist *h, const struct ivm_hist *other);

/**
 * ivm_hist_percentile() - a value that @permille of all do not exceed
 * @h: not empty
 * @permille: 0 to 1000
 *
 * Return: the middle of the bucket it lies in, within the extremes.
 */
uint64_t ivm_hist_percentile(const struct ivm_hist *h, unsigned int permille);
int ivm_hist_each(const struct ivm_hist *h, ivm_hist_fn fn, void *arg);

#endif /* IVM_HIST_H */
