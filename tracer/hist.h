/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Durations as a log-linear histogram with exact count, sum and extremes.
 *
 * Each power of two has IVM_HIST_STEPS buckets: whatever lies in one differs by
 * 1/64 of its value at the most, so that the middle of a bucket is within
 * 1/128 (0.8 %) of all values in it; below 64 ns every value has its own.
 * Histograms with the same buckets add up: merging loses nothing.
 */
#ifndef IVM_HIST_H
#define IVM_HIST_H

#include <stddef.h>
#include <stdint.h>

#define IVM_HIST_STEPS		64
#define IVM_HIST_OCTAVES	59	/* the first one is 0 .. 63 ns */

struct ivm_hist {
	uint64_t count;
	uint64_t sum_ns;
	uint64_t min_ns;		/* valid if @count, as is @max_ns */
	uint64_t max_ns;
	uint64_t *buckets;		/* IVM_HIST_STEPS for each of @octaves */
	uint8_t first;			/* octave the buckets begin with */
	uint8_t octaves;
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

/* The first value beyond the bucket that begins with @low_ns */
uint64_t ivm_hist_bucket_end(uint64_t low_ns);

/* Memory that the buckets take, in bytes */
static inline size_t ivm_hist_bytes(const struct ivm_hist *h)
{
	return (size_t)h->octaves * IVM_HIST_STEPS * sizeof(*h->buckets);
}

/**
 * ivm_hist_print() - the buckets as a JSON object, {"LOW_NS": COUNT, ...}
 * @h: a histogram
 *
 * Return: text to be freed with g_free().
 */
char *ivm_hist_print(const struct ivm_hist *h);

/**
 * ivm_hist_scan() - adds buckets that ivm_hist_print() made
 * @h: as in ivm_hist_put(), only the buckets change
 * @text: what somebody else may have written
 * @count: set to how many values there are in all
 *
 * Return: 0, or -EBADMSG if @text is something else.
 */
int ivm_hist_scan(struct ivm_hist *h, const char *text, uint64_t *count);

/* Adds count, sum and extremes only; ivm_hist_scan() or _put() do the rest */
void ivm_hist_merge_exact(struct ivm_hist *h, const struct ivm_hist *other);

#endif /* IVM_HIST_H */
