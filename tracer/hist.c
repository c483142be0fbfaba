// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Durations as a log-linear histogram.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <glib.h>

#include "hist.h"

#define STEP_BITS	6

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

uint64_t ivm_hist_bucket_end(uint64_t low_ns)
{
	uint64_t end = low_ns + width_of(place_of(low_ns).octave);

	return end > low_ns ? end : UINT64_MAX;
}

void ivm_hist_clear(struct ivm_hist *h)
{
	g_free(h->buckets);
	memset(h, 0, sizeof(*h));
}

/* Durations of one kind lie close together: the octaves in between are few */
static void make_room(struct ivm_hist *h, unsigned int octave)
{
	unsigned int first = h->octaves ? MIN(h->first, octave) : octave;
	unsigned int last = h->octaves ? MAX(h->first + h->octaves - 1u, octave) : octave;
	uint64_t *buckets = g_new0(uint64_t, (gsize)(last - first + 1) * IVM_HIST_STEPS);

	if (h->octaves)
		memcpy(buckets + (size_t)(h->first - first) * IVM_HIST_STEPS, h->buckets,
		       ivm_hist_bytes(h));
	g_free(h->buckets);
	h->buckets = buckets;
	h->first = (uint8_t)first;
	h->octaves = (uint8_t)(last - first + 1);
}

void ivm_hist_put(struct ivm_hist *h, uint64_t ns, uint64_t count)
{
	struct place at = place_of(ns);

	if (at.octave - h->first >= h->octaves)
		make_room(h, at.octave);
	h->buckets[(at.octave - h->first) * IVM_HIST_STEPS + at.step] += count;
}

/* Some dozen times for each journey: nothing is done that need not be */
void ivm_hist_add(struct ivm_hist *h, uint64_t ns)
{
	struct place at = place_of(ns);

	if (at.octave - h->first >= h->octaves)
		make_room(h, at.octave);
	h->buckets[(at.octave - h->first) * IVM_HIST_STEPS + at.step]++;
	if (!h->count || ns < h->min_ns)
		h->min_ns = ns;
	if (!h->count || ns > h->max_ns)
		h->max_ns = ns;
	h->count++;
	h->sum_ns += ns;
}

void ivm_hist_merge_exact(struct ivm_hist *h, const struct ivm_hist *other)
{
	if (!other->count)
		return;
	h->min_ns = h->count ? MIN(h->min_ns, other->min_ns) : other->min_ns;
	h->max_ns = h->count ? MAX(h->max_ns, other->max_ns) : other->max_ns;
	h->count += other->count;
	h->sum_ns += other->sum_ns;
}

static int put_bucket(void *arg, uint64_t low_ns, uint64_t count)
{
	ivm_hist_put(arg, low_ns, count);
	return 0;
}

void ivm_hist_merge(struct ivm_hist *h, const struct ivm_hist *other)
{
	ivm_hist_each(other, put_bucket, h);
	ivm_hist_merge_exact(h, other);
}

int ivm_hist_each(const struct ivm_hist *h, ivm_hist_fn fn, void *arg)
{
	unsigned int i, k;
	int ret = 0;

	for (i = 0; i < h->octaves; i++) {
		const uint64_t *bucket = h->buckets + (size_t)i * IVM_HIST_STEPS;

		for (k = 0; k < IVM_HIST_STEPS && !ret; k++)
			if (bucket[k])
				ret = fn(arg, low_of(h->first + i, k), bucket[k]);
	}
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

/* As __int128 would have it: counts times a thousand may not fit */
static uint64_t rank_of(uint64_t count, unsigned int permille)
{
	uint64_t rank = count / 1000 * permille + (count % 1000 * permille + 999) / 1000;

	return MAX(rank, 1);
}

uint64_t ivm_hist_percentile(const struct ivm_hist *h, unsigned int permille)
{
	struct search s = { .rank = rank_of(h->count, permille) };
	uint64_t middle;

	ivm_hist_each(h, pass_bucket, &s);
	middle = s.low_ns + width_of(place_of(s.low_ns).octave) / 2;
	return CLAMP(middle, h->min_ns, h->max_ns);
}

/* ---- as text ---- */

/* printf() took longer than all the rest of packing a block */
static void append_u64(GString *text, uint64_t value)
{
	char digits[20];
	gsize at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	g_string_append_len(text, digits + at, (gssize)(sizeof(digits) - at));
}

static int print_bucket(void *arg, uint64_t low_ns, uint64_t count)
{
	GString *text = arg;

	g_string_append(text, text->len > 1 ? ",\"" : "\"");
	append_u64(text, low_ns);
	g_string_append(text, "\":");
	append_u64(text, count);
	return 0;
}

char *ivm_hist_print(const struct ivm_hist *h)
{
	GString *text = g_string_new("{");

	ivm_hist_each(h, print_bucket, text);
	g_string_append_c(text, '}');
	return g_string_free(text, FALSE);
}

static bool scan_u64(const char **at, uint64_t *value)
{
	const char *p = *at;

	for (*value = 0; g_ascii_isdigit(*p); p++)
		if (__builtin_mul_overflow(*value, 10, value) ||
		    __builtin_add_overflow(*value, (uint64_t)(*p - '0'), value))
			return false;
	if (p == *at)
		return false;
	*at = p;
	return true;
}

static bool scan_text(const char **at, const char *wanted)
{
	size_t bytes = strlen(wanted);

	if (strncmp(*at, wanted, bytes))
		return false;
	*at += bytes;
	return true;
}

int ivm_hist_scan(struct ivm_hist *h, const char *text, uint64_t *count)
{
	const char *at = text ? text : "";
	uint64_t low_ns, many;
	bool more;

	*count = 0;
	more = scan_text(&at, "{") && *at != '}';
	while (more) {
		if (!scan_text(&at, "\"") || !scan_u64(&at, &low_ns) || !scan_text(&at, "\":") ||
		    !scan_u64(&at, &many) || __builtin_add_overflow(*count, many, count))
			return -EBADMSG;
		ivm_hist_put(h, low_ns, many);
		more = scan_text(&at, ",");
	}
	return strcmp(at, "}") ? -EBADMSG : 0;
}
