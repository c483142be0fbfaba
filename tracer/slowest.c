// SPDX-License-Identifier: GPL-2.0-or-later
/* The slowest journeys, with what happened on their threads meanwhile */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#include "slowest.h"

#define MSEC_NS		1000000ull
#define UNSORTED_NS	(10 * MSEC_NS)	/* intervals come so nearly in order of their ends */
#define LATER_NS	(50 * MSEC_NS)	/* one that a journey met may end so much later */

/* One journey among the slowest of its group */
struct slow {
	uint64_t journey;
	uint64_t span_ns;
	struct ivm_actors actors;
	bool complete;			/* all that happened is known */
	GArray *intervals;		/* struct ivm_interval */
	GPtrArray *fd_names;		/* for each of them, may be NULL */
};

struct group_key {
	uint32_t from_end;
	uint32_t to_end;
	uint32_t mode;
};

struct group {
	struct group_key key;
	struct slow slow[IVM_SLOWEST_EACH];
	unsigned int count;
};

/* A journey whose intervals may not all have ended */
struct pending {
	struct group *group;
	uint64_t journey;
	uint64_t begin_ns, end_ns;
	struct ivm_actors actors;
};

struct ivm_slowest {
	GArray *pending;		/* struct pending, in the order they came */
	struct ivm_interval *ring;
	uint64_t added;			/* the last one is ring[(added - 1) % size] */
	GHashTable *groups;		/* struct group, its own key */
	uint64_t stored;		/* intervals of all journeys */
};

static guint hash_key(gconstpointer key)
{
	const struct group_key *k = key;

	return k->from_end * 31 + k->to_end * 17 + k->mode;
}

static gboolean equal_keys(gconstpointer a, gconstpointer b)
{
	return !memcmp(a, b, sizeof(struct group_key));
}

static void clear_slow(struct ivm_slowest *s, struct slow *slow)
{
	s->stored -= slow->intervals->len;
	g_array_unref(slow->intervals);
	g_ptr_array_unref(slow->fd_names);
}

struct ivm_slowest *ivm_slowest_new(void)
{
	struct ivm_slowest *s = g_new0(struct ivm_slowest, 1);

	s->ring = g_new(struct ivm_interval, IVM_SLOWEST_INTERVALS);
	s->pending = g_array_new(FALSE, FALSE, sizeof(struct pending));
	s->groups = g_hash_table_new_full(hash_key, equal_keys, NULL, g_free);
	return s;
}

/**
 * ivm_slowest_free() - frees
 * @s: may be NULL
 */
void ivm_slowest_free(struct ivm_slowest *s)
{
	GHashTableIter i;
	gpointer value;
	unsigned int n;

	if (!s)
		return;
	g_hash_table_iter_init(&i, s->groups);
	while (g_hash_table_iter_next(&i, NULL, &value))
		for (n = 0; n < ((struct group *)value)->count; n++)
			clear_slow(s, &((struct group *)value)->slow[n]);
	g_hash_table_destroy(s->groups);
	g_array_unref(s->pending);
	g_free(s->ring);
	g_free(s);
}

/**
 * ivm_slowest_interval() - something has happened
 * @s: the slowest journeys
 * @interval: copied; come nearly in the order of their ends
 */
void ivm_slowest_interval(struct ivm_slowest *s, const struct ivm_interval *interval)
{
	s->ring[s->added++ % IVM_SLOWEST_INTERVALS] = *interval;
}

static const struct ivm_interval *at(const struct ivm_slowest *s, uint64_t n)
{
	return &s->ring[n % IVM_SLOWEST_INTERVALS];
}

static uint64_t oldest(const struct ivm_slowest *s)
{
	return s->added > IVM_SLOWEST_INTERVALS ? s->added - IVM_SLOWEST_INTERVALS : 0;
}

/* The first that may have ended at @t_ns or later */
static uint64_t first_after(const struct ivm_slowest *s, uint64_t t_ns)
{
	uint64_t low = oldest(s), high = s->added, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (at(s, middle)->end_ns + UNSORTED_NS < t_ns)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool concerns(const struct ivm_actors *a, const struct ivm_interval *i)
{
	return i->tid == a->from_tid || i->tid == a->to_tid || i->tid == a->from_pid ||
	       i->tid == a->to_pid;
}

/* What the descriptor is, as long as it is still open */
static char *fd_name(const struct ivm_interval *i)
{
	char path[64], name[256];
	ssize_t bytes;

	if (i->kind != IVM_CTX_SYSCALL || i->fd < 0)
		return NULL;
	g_snprintf(path, sizeof(path), "/proc/%u/fd/%d", i->tgid, i->fd);
	bytes = readlink(path, name, sizeof(name) - 1);
	if (bytes < 0)
		return NULL;
	name[bytes] = 0;
	return g_utf8_make_valid(name, bytes);
}

/* The shortest of what is kept gives way: it explains least */
static void make_room(struct slow *slow, const struct ivm_interval *for_this)
{
	guint i, least = 0;
	struct ivm_interval *all = &g_array_index(slow->intervals, struct ivm_interval, 0);

	slow->complete = false;
	for (i = 1; i < slow->intervals->len; i++)
		if (all[i].end_ns - all[i].begin_ns < all[least].end_ns - all[least].begin_ns)
			least = i;
	if (all[least].end_ns - all[least].begin_ns < for_this->end_ns - for_this->begin_ns)
		all[least] = *for_this;
}

static void collect(struct ivm_slowest *s, struct slow *slow, uint64_t begin_ns, uint64_t end_ns)
{
	uint64_t n = first_after(s, begin_ns);
	guint i;

	slow->intervals = g_array_new(FALSE, FALSE, sizeof(struct ivm_interval));
	slow->fd_names = g_ptr_array_new_with_free_func(g_free);
	slow->complete = oldest(s) == 0 || at(s, oldest(s))->end_ns + UNSORTED_NS < begin_ns;
	for (; n < s->added && at(s, n)->end_ns <= end_ns + LATER_NS; n++) {
		const struct ivm_interval *found = at(s, n);

		if (found->end_ns < begin_ns || found->begin_ns > end_ns ||
		    !concerns(&slow->actors, found))
			continue;
		if (slow->intervals->len < IVM_SLOWEST_PER_JOURNEY)
			g_array_append_val(slow->intervals, *found);
		else
			make_room(slow, found);
	}
	for (i = 0; i < slow->intervals->len; i++)
		g_ptr_array_add(slow->fd_names, fd_name(&g_array_index(slow->intervals,
								       struct ivm_interval, i)));
	s->stored += slow->intervals->len;
}

static struct group *find_group(struct ivm_slowest *s, const struct ivm_journey *j)
{
	const struct group_key key = { j->from_end, j->to_end, j->mode };
	struct group *group = g_hash_table_lookup(s->groups, &key);

	if (group || g_hash_table_size(s->groups) >= IVM_SLOWEST_GROUPS)
		return group;
	group = g_new0(struct group, 1);
	group->key = key;
	g_hash_table_insert(s->groups, &group->key, group);
	return group;
}

static struct slow *quickest(struct group *group)
{
	struct slow *least = &group->slow[0];
	unsigned int i;

	for (i = 1; i < group->count; i++)
		if (group->slow[i].span_ns < least->span_ns)
			least = &group->slow[i];
	return least;
}

bool ivm_journey_span(const struct ivm_journey *j, uint64_t *begin_ns, uint64_t *end_ns)
{
	int i;

	*begin_ns = *end_ns = 0;
	for (i = IVM_P_EXIT; i <= IVM_P_ENTRY; i++) {
		if (!j->t_ns[i])
			continue;
		if (!*begin_ns)
			*begin_ns = j->t_ns[i];
		*end_ns = j->t_ns[i];
	}
	return *end_ns > *begin_ns;
}

static bool is_among_slowest(const struct group *group, uint64_t span_ns)
{
	return group->count < IVM_SLOWEST_EACH ||
	       quickest((struct group *)group)->span_ns < span_ns;
}

/**
 * ivm_slowest_journey() - a journey has ended
 * @s: the slowest journeys
 * @j: with all its points; only delivered ones in order count
 * @actors: its threads
 */
void ivm_slowest_journey(struct ivm_slowest *s, const struct ivm_journey *j,
			 const struct ivm_actors *actors)
{
	struct pending p = { .journey = j->id, .actors = *actors };

	if (j->outcome != IVM_O_DELIVERED || j->flags & IVM_J_DISORDERED ||
	    !ivm_journey_span(j, &p.begin_ns, &p.end_ns))
		return;
	p.group = find_group(s, j);
	if (p.group && is_among_slowest(p.group, p.end_ns - p.begin_ns))
		g_array_append_val(s->pending, p);
}

static void settle(struct ivm_slowest *s, const struct pending *p)
{
	uint64_t span_ns = p->end_ns - p->begin_ns;
	struct slow *slow;

	/* Slower ones may have come since */
	if (!is_among_slowest(p->group, span_ns))
		return;
	if (p->group->count < IVM_SLOWEST_EACH) {
		if (s->stored >= IVM_SLOWEST_TOTAL)
			return;
		slow = &p->group->slow[p->group->count++];
	} else {
		slow = quickest(p->group);
		clear_slow(s, slow);
	}
	*slow = (struct slow) { .journey = p->journey, .span_ns = span_ns, .actors = p->actors };
	collect(s, slow, p->begin_ns, p->end_ns);
}

/**
 * ivm_slowest_settle() - decides about journeys whose intervals are all known
 * @s: the slowest journeys
 * @until_ns: all intervals that ended before have been added
 */
void ivm_slowest_settle(struct ivm_slowest *s, uint64_t until_ns)
{
	guint i, left = 0;

	for (i = 0; i < s->pending->len; i++) {
		const struct pending p = g_array_index(s->pending, struct pending, i);

		if (until_ns == UINT64_MAX || p.end_ns + LATER_NS <= until_ns)
			settle(s, &p);
		else
			g_array_index(s->pending, struct pending, left++) = p;
	}
	g_array_set_size(s->pending, left);
}

static int write_slow(const struct slow *slow, struct ivm_recording *r)
{
	int err = ivm_recording_add_slow(r, slow->journey, &slow->actors, slow->complete);
	guint i;

	for (i = 0; i < slow->intervals->len && !err; i++)
		err = ivm_recording_add_interval(r, slow->journey,
						 &g_array_index(slow->intervals,
								struct ivm_interval, i),
						 g_ptr_array_index(slow->fd_names, i));
	return err;
}

/**
 * ivm_slowest_write() - puts the slowest journeys' intervals into a recording
 * @s: the slowest journeys
 * @recording: not finished
 *
 * Return: 0 or -errno.
 */
int ivm_slowest_write(const struct ivm_slowest *s, struct ivm_recording *recording)
{
	GHashTableIter i;
	gpointer value;
	unsigned int n;
	int err = 0;

	g_hash_table_iter_init(&i, s->groups);
	while (!err && g_hash_table_iter_next(&i, NULL, &value))
		for (n = 0; n < ((struct group *)value)->count && !err; n++)
			err = write_slow(&((struct group *)value)->slow[n], recording);
	return err;
}
