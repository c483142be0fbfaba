// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From a guest's TSC to the host's CLOCK_MONOTONIC.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include <glib.h>

#include "clock.h"
#include "guest_clock.h"

#define CLOCKSOURCE	"/sys/devices/system/clocksource/clocksource0/current_clocksource"
#define ATTEMPTS	16	/* of which the quickest counts: others were interrupted */
#define ROUNDING_NS	2	/* each of the two steps rounds once */

struct pair {
	uint64_t tsc;		/* in the middle of the two readings */
	uint64_t t_ns;
	uint64_t half_ticks;
};

/* One view of a vCPU and when it held; until_ns 0: still does */
struct view {
	struct ivm_tsc_view tsc;
	uint64_t from_ns;
	uint64_t seen_ns;	/* the last reading that said so */
	uint64_t until_ns;
};

struct ivm_guest_clock {
	GArray *pairs;		/* struct pair, by tsc */
	GHashTable *views;	/* vm << 32 | vcpu_id -> GArray of struct view, by time */
};

static void views_free(gpointer p)
{
	g_array_unref(p);
}

/**
 * ivm_guest_clock_new() - a clock that knows nothing yet
 *
 * Return: the clock; free with ivm_guest_clock_free().
 */
struct ivm_guest_clock *ivm_guest_clock_new(void)
{
	struct ivm_guest_clock *c = g_new0(struct ivm_guest_clock, 1);

	c->pairs = g_array_new(FALSE, FALSE, sizeof(struct pair));
	c->views = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, views_free);
	return c;
}

/**
 * ivm_guest_clock_free() - frees
 * @c: may be NULL
 */
void ivm_guest_clock_free(struct ivm_guest_clock *c)
{
	if (!c)
		return;
	g_array_unref(c->pairs);
	g_hash_table_destroy(c->views);
	g_free(c);
}

/* ---- sampling ---- */

#if defined(__x86_64__)
/* Fenced: neither earlier nor later than what stands before and after it */
static uint64_t read_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

const char *ivm_guest_clock_why_not(void)
{
	g_autofree char *name = NULL;

	if (!g_file_get_contents(CLOCKSOURCE, &name, NULL, NULL))
		return "the kernel does not say which clock it runs on";
	/* The kernel leaves it for good when it finds the TSC unstable */
	if (strcmp(g_strstrip(name), "tsc"))
		return "the kernel's clock is not the TSC, perhaps because that is unstable";
	return NULL;
}
#else
static uint64_t read_tsc(void)
{
	return 0;
}

const char *ivm_guest_clock_why_not(void)
{
	return "guest clocks are followed on x86 only";
}
#endif

void ivm_guest_clock_sample(struct ivm_guest_clock *c)
{
	uint64_t best_before = 0, best_after = UINT64_MAX, best_ns = 0;
	int i;

	for (i = 0; i < ATTEMPTS; i++) {
		uint64_t before = read_tsc();
		uint64_t t_ns = ivm_now_ns();
		uint64_t after = read_tsc();

		if (after > before && after - before < best_after - best_before) {
			best_before = before;
			best_after = after;
			best_ns = t_ns;
		}
	}
	if (best_ns)
		ivm_guest_clock_add_pair(c, best_before, best_ns, best_after);
}

static const struct pair *pair_at(const struct ivm_guest_clock *c, guint i)
{
	return &g_array_index(c->pairs, struct pair, i);
}

void ivm_guest_clock_add_pair(struct ivm_guest_clock *c, uint64_t before, uint64_t t_ns,
			      uint64_t after)
{
	struct pair pair = {
		.tsc = before + (after - before) / 2,
		.t_ns = t_ns,
		.half_ticks = (after - before + 1) / 2,
	};
	const struct pair *last = c->pairs->len ? pair_at(c, c->pairs->len - 1) : NULL;

	if (!last || (pair.tsc > last->tsc && pair.t_ns > last->t_ns))
		g_array_append_val(c->pairs, pair);
}

/* ---- host TSC to time ---- */

/* The time at @tsc on the line through two pairs */
static uint64_t on_line(const struct pair *a, const struct pair *b, uint64_t tsc)
{
	__int128 ns = (__int128)(tsc - a->tsc) * (b->t_ns - a->t_ns);

	return a->t_ns + (uint64_t)(ns / (b->tsc - a->tsc));
}

/* How far pair @i is off the line through its neighbours; 0 at either end */
static uint64_t residual_ns(const struct ivm_guest_clock *c, guint i)
{
	uint64_t line_ns, t_ns = pair_at(c, i)->t_ns;

	if (i == 0 || i + 1 == c->pairs->len)
		return 0;
	line_ns = on_line(pair_at(c, i - 1), pair_at(c, i + 1), pair_at(c, i)->tsc);
	return line_ns > t_ns ? line_ns - t_ns : t_ns - line_ns;
}

static uint64_t ticks_to_ns(const struct pair *a, const struct pair *b, uint64_t ticks)
{
	return on_line(a, b, a->tsc + ticks) - a->t_ns + 1;
}

/*
 * The kernel bends CLOCK_MONOTONIC to follow NTP.  One bend between two pairs
 * puts at least one of them as far off its neighbours' line as it puts any time
 * in between off theirs.
 */
static uint64_t bound_ns(const struct ivm_guest_clock *c, guint i)
{
	const struct pair *a = pair_at(c, i), *b = pair_at(c, i + 1);

	return ticks_to_ns(a, b, MAX(a->half_ticks, b->half_ticks)) +
	       MAX(residual_ns(c, i), residual_ns(c, i + 1)) + ROUNDING_NS;
}

/* The last pair at or before @tsc */
static guint find_pair(const struct ivm_guest_clock *c, uint64_t tsc)
{
	guint low = 0, high = c->pairs->len;

	while (high - low > 1) {
		guint middle = low + (high - low) / 2;

		if (pair_at(c, middle)->tsc <= tsc)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static int host_time(const struct ivm_guest_clock *c, uint64_t tsc, uint64_t *t_ns,
		     uint64_t *err_ns)
{
	guint i;

	/* Two pairs always lie on a line: they cannot tell how straight it is */
	if (c->pairs->len < 3 || tsc < pair_at(c, 0)->tsc)
		return -ERANGE;
	i = find_pair(c, tsc);
	if (i + 1 == c->pairs->len) {
		if (tsc != pair_at(c, i)->tsc)
			return -ERANGE;
		i--;
	}
	*t_ns = on_line(pair_at(c, i), pair_at(c, i + 1), tsc);
	*err_ns = bound_ns(c, i);
	return 0;
}

/* ---- a vCPU's view ---- */

static GArray *views_of(const struct ivm_guest_clock *c, uint32_t vm, uint32_t vcpu_id)
{
	gint64 key = (gint64)((uint64_t)vm << 32 | vcpu_id);

	return g_hash_table_lookup(c->views, &key);
}

static GArray *views_get(struct ivm_guest_clock *c, uint32_t vm, uint32_t vcpu_id)
{
	GArray *views = views_of(c, vm, vcpu_id);
	gint64 *key;

	if (views)
		return views;
	views = g_array_new(FALSE, FALSE, sizeof(struct view));
	key = g_new(gint64, 1);
	*key = (gint64)((uint64_t)vm << 32 | vcpu_id);
	g_hash_table_insert(c->views, key, views);
	return views;
}

static struct view *view_at(const GArray *views, guint i)
{
	return &g_array_index(views, struct view, i);
}

static bool same_view(const struct ivm_tsc_view *a, const struct ivm_tsc_view *b)
{
	return a->offset == b->offset && a->ratio == b->ratio && a->ratio_bits == b->ratio_bits;
}

void ivm_guest_clock_saw(struct ivm_guest_clock *c, uint32_t vm, uint32_t vcpu_id, uint64_t t_ns,
			 const struct ivm_tsc_view *view)
{
	GArray *views = views_get(c, vm, vcpu_id);
	struct view *last = views->len ? view_at(views, views->len - 1) : NULL;
	struct view now = { .tsc = *view, .from_ns = last ? t_ns : 0, .seen_ns = t_ns };

	if (last && same_view(&last->tsc, view)) {
		last->seen_ns = t_ns;
		return;
	}
	if (last && !last->until_ns)
		last->until_ns = last->seen_ns;
	g_array_append_val(views, now);
}

void ivm_guest_clock_changed(struct ivm_guest_clock *c, uint32_t vm, uint32_t vcpu_id,
			     uint64_t t_ns, uint64_t offset)
{
	GArray *views = views_of(c, vm, vcpu_id);
	struct view *last = views ? view_at(views, views->len - 1) : NULL;
	struct view now;

	/* Of a vCPU never read nothing is known but its offset: not enough */
	if (!last)
		return;
	if (last->tsc.offset == offset) {
		/* Read before its event was worked off: now we know since when */
		if (views->len > 1 && last->from_ns > t_ns && last->from_ns) {
			last->from_ns = t_ns;
			last[-1].until_ns = MAX(last[-1].from_ns, t_ns);
		}
		return;
	}
	now = *last;
	last->until_ns = t_ns;
	now.tsc.offset = offset;
	now.from_ns = now.seen_ns = t_ns;
	g_array_append_val(views, now);
}

/* Undoes guest = offset + (host * ratio >> bits), to half a tick */
static bool unscale(const struct ivm_tsc_view *view, uint64_t guest, uint64_t *host)
{
	unsigned __int128 scaled = guest - view->offset;

	if (view->ratio) {
		scaled = ((scaled << view->ratio_bits) + view->ratio / 2) / view->ratio;
		if (scaled > UINT64_MAX)
			return false;
	}
	*host = (uint64_t)scaled;
	return true;
}

/* Was @view certainly not the one in force at @t_ns +- @err_ns? */
static bool is_excluded(const struct view *view, uint64_t t_ns, uint64_t err_ns)
{
	return t_ns + err_ns < view->from_ns || (view->until_ns && t_ns > view->until_ns + err_ns);
}

/* ... or certainly so? */
static bool is_certain(const struct view *view, uint64_t t_ns, uint64_t err_ns)
{
	return (!view->from_ns || t_ns > view->from_ns + err_ns) &&
	       (!view->until_ns || t_ns + err_ns < view->until_ns);
}

int ivm_guest_clock_to_host(const struct ivm_guest_clock *c, uint32_t vm, uint32_t vcpu_id,
			    uint64_t tsc, uint64_t *t_ns, uint64_t *err_ns)
{
	const GArray *views = views_of(c, vm, vcpu_id);
	uint64_t host, ns, err, found = 0;
	int result = -ERANGE;
	guint i;

	if (!views)
		return -ENODATA;
	for (i = 0; i < views->len; i++) {
		const struct view *view = view_at(views, i);

		if (!unscale(&view->tsc, tsc, &host) || host_time(c, host, &ns, &err))
			continue;
		if (is_excluded(view, ns, err)) {
			if (!found)
				result = -EAGAIN;
			continue;
		}
		/* Two views, or one that may have been over: nobody can tell */
		if (found++ || !is_certain(view, ns, err)) {
			result = -EAGAIN;
			break;
		}
		*t_ns = ns;
		*err_ns = err;
		result = 0;
	}
	return result;
}
