// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Durations as a log-linear histogram.
 */
#include <string.h>

#include <glib.h>

#include "hist.h"

#define STEP_BITS	5

_Static_assert(IVM_HIST_STEPS == 1 << STEP_BITS, "the step is the bits below the highest");

struct place {
	unsigned int octave, step;
};

static struct place place_of(uint64_t ns)
{
	unsigned int high;

	if (ns < IVM_HIST_STEPS)
		return (struct place){ 0, (unsigned int)ns };
	high = 63 - (unsigned int)__builtin_clzll(ns);
	return (struct place){ high - STEP_BITS + 1,
			       (ns >> (high - STEP_BITS)) & (IVM_HIST_STEPS - 1) };
}

static uint64_t low_of(unsigned int octave, unsigned int step)
{
	return octave ? (uint64_t)(IVM_HIST_STEPS + step) << (octave - 1) : step;
}

static uint64_t width_of(unsigned int octave)
{
	return octave ? 1ull << (octave - 1) : 1;
}

void ivm_hist_clear(struct ivm_hist *h)
{
	int i;

	for (i = 0; i < IVM_HIST_OCTAVES; i++)
		g_free(h->octave[i]);
	memset(h, 0, sizeof(*h));
}

void ivm_hist_put(struct ivm_hist *h, uint64_t ns, uint64_t count)
{
	struct place at = place_of(ns);

	if (!h->octave[at.octave])
		h->octave[at.octave] = g_new0(uint64_t, IVM_HIST_STEPS);
	h->octave[at.octave][at.step] += count;
}

static void note_extremes(struct ivm_hist *h, uint64_t min_ns, uint64_t max_ns)
{
	h->min_ns = h->count ? MIN(h->min_ns, min_ns) : min_ns;
	h->max_ns = h->count ? MAX(h->max_ns, max_ns) : max_ns;
}

void ivm_hist_add(struct ivm_hist *h, uint64_t ns)
{
	ivm_hist_put(h, ns, 1);
	note_extremes(h, ns, ns);
	h->count++;
	h->sum_ns += ns;
}

void ivm_hist_merge(struct ivm_hist *h, const struct ivm_hist *other)
{
	unsigned int i, k;

	if (!other->count)
		return;
	for (i = 0; i < IVM_HIST_OCTAVES; i++)
		for (k = 0; k < IVM_HIST_STEPS && other->octave[i]; k++)
			if (other->octave[i][k])
				ivm_hist_put(h, low_of(i, k), other->octave[i][k]);
	note_extremes(h, other->min_ns, other->max_ns);
	h->count += other->count;
	h->sum_ns += other->sum_ns;
}

int ivm_hist_each(const struct ivm_hist *h, ivm_hist_fn fn, void *arg)
{
	unsigned int i, k;
	int ret = 0;

	for (i = 0; i < IVM_HIST_OCTAVES && !ret; i++)
		for (k = 0; k < IVM_HIST_STEPS && h->octave[i] && !ret; k++)
			if (h->octave[i][k])
				ret = fn(arg, low_of(i, k), h->octave[i][k]);
	return ret;
}

struct search {
	uint64_t rank;		/* values still to be passed */
	uint64_t low_ns;
};

static int pass_bucket(void *arg, uint64_t low_ns, uint64_t count)
{
	struct search *s = arg;

	s->low_ns = low_ns;
	if (count >= s->rank)
		return 1;
	s->rank -= count;
	return 0;
}

uint64_t ivm_hist_percentile(const struct ivm_hist *h, unsigned int permille)
{
	struct search s = { .rank = MAX((h->count * permille + 999) / 1000, 1) };
	uint64_t middle;

	ivm_hist_each(h, pass_bucket, &s);
	middle = s.low_ns + width_of(place_of(s.low_ns).octave) / 2;
	return CLAMP(middle, h->min_ns, h->max_ns);
}
