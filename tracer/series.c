// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Counts and hops of what goes on right now.
 */
#include <string.h>

#include "series.h"
#include "summary.h"

struct entry {
	struct ivm_series series;	/* first: what callers know of it */
	uint64_t owed[IVM_OUTCOMES];	/* coalesced ones that are to be counted otherwise */
	uint64_t owed_all;
};

struct ivm_series_set {
	const struct ivm_topology *topology;
	GHashTable *by_key;		/* (end << 8 | mode) -> struct entry *, owned */
	GPtrArray *sorted;		/* the same */
	GHashTable *carried;		/* id of a carrier -> GArray of struct entry * */
	bool is_sorted;
};

static void clear_intervals(GArray *intervals)
{
	guint i;

	for (i = 0; i < intervals->len; i++)
		ivm_hist_clear(&g_array_index(intervals, struct ivm_lap, i).hist);
	g_array_free(intervals, TRUE);
}

static void free_entry(gpointer p)
{
	struct ivm_series *s = p;

	clear_intervals(s->hops);
	clear_intervals(s->totals);
	g_free(s->link);
	g_free(s->from);
	g_free(s->to);
	g_free(p);
}

static void unref_array(gpointer array)
{
	g_array_unref(array);
}

struct ivm_series_set *ivm_series_set_new(const struct ivm_topology *t)
{
	struct ivm_series_set *set = g_new0(struct ivm_series_set, 1);

	set->topology = t;
	set->by_key = g_hash_table_new_full(NULL, NULL, NULL, free_entry);
	set->sorted = g_ptr_array_new();
	set->carried = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, unref_array);
	return set;
}

void ivm_series_set_free(struct ivm_series_set *set)
{
	if (!set)
		return;
	g_hash_table_destroy(set->carried);
	g_hash_table_destroy(set->by_key);
	g_ptr_array_free(set->sorted, TRUE);
	g_free(set);
}

static void name_ends(const struct ivm_series_set *set, struct ivm_series *s)
{
	const struct ivm_end *end = set->topology ? ivm_topology_end(set->topology, s->from_end)
						  : NULL;

	if (!end)
		return;
	s->link = g_strndup(end->page.name, sizeof(end->page.name));
	s->from = g_strdup(end->vm->name);
	s->to = g_strdup(end->peer ? end->peer->vm->name : NULL);
}

struct ivm_series *ivm_series_get(struct ivm_series_set *set, uint32_t from_end, uint8_t mode)
{
	gpointer key = (gpointer)((uintptr_t)from_end << 8 | mode);
	struct entry *e = g_hash_table_lookup(set->by_key, key);

	if (e)
		return &e->series;
	e = g_new0(struct entry, 1);
	e->series.from_end = from_end;
	e->series.mode = mode;
	e->series.hops = g_array_new(FALSE, TRUE, sizeof(struct ivm_lap));
	e->series.totals = g_array_new(FALSE, TRUE, sizeof(struct ivm_lap));
	name_ends(set, &e->series);
	g_hash_table_insert(set->by_key, key, e);
	g_ptr_array_add(set->sorted, e);
	set->is_sorted = false;
	return &e->series;
}

struct ivm_lap *ivm_lap_get(GArray *intervals, unsigned int from, unsigned int to)
{
	struct ivm_lap new = { .from = (uint8_t)from, .to = (uint8_t)to };
	guint i;

	for (i = 0; i < intervals->len; i++) {
		struct ivm_lap *at = &g_array_index(intervals, struct ivm_lap, i);

		if (at->from == from && at->to == to)
			return at;
		if (at->from > from || (at->from == from && at->to > to))
			break;
	}
	g_array_insert_val(intervals, i, new);
	return &g_array_index(intervals, struct ivm_lap, i);
}

const struct ivm_lap *ivm_lap_main(const GArray *intervals)
{
	const struct ivm_lap *most = NULL;
	guint i;

	for (i = 0; i < intervals->len; i++) {
		const struct ivm_lap *at = &g_array_index(intervals, struct ivm_lap, i);

		if (!most || at->hist.count > most->hist.count)
			most = at;
	}
	return most;
}

/* The guest's acknowledgement ends no total, and nothing after it is a hop */
static void add_times(struct ivm_series *s, const struct ivm_journey *j)
{
	int i, first = -1, last = -1;

	for (i = 0; i < IVM_POINTS; i++) {
		if (!ivm_seen(j, i) || i == IVM_P_EOI)
			continue;
		if (last >= 0)
			ivm_hist_add(&ivm_lap_get(s->hops, (unsigned int)last,
						       (unsigned int)i)->hist,
				     j->t_ns[i] - j->t_ns[last]);
		else
			first = i;
		last = i;
	}
	if (last > first)
		ivm_hist_add(&ivm_lap_get(s->totals, (unsigned int)first,
					       (unsigned int)last)->hist,
			     j->t_ns[last] - j->t_ns[first]);
}

/* One of those that a mended one of before was counted as */
static enum ivm_outcome pay(struct entry *e)
{
	int i = 0;

	while (i < IVM_OUTCOMES - 1 && !e->owed[i])
		i++;
	e->owed[i]--;
	e->owed_all--;
	return (enum ivm_outcome)i;
}

/* Until its carrier is known to have arrived, a coalesced one may be mended */
static void note_carrier(struct ivm_series_set *set, struct entry *e, const struct ivm_journey *j)
{
	uint64_t into = j->into;
	GArray *carried;

	if (j->outcome == IVM_O_DELIVERED)
		g_hash_table_remove(set->carried, &j->id);
	if (j->outcome != IVM_O_COALESCED || !(j->flags & IVM_J_EARLY))
		return;
	carried = g_hash_table_lookup(set->carried, &into);
	if (!carried) {
		carried = g_array_new(FALSE, FALSE, sizeof(e));
		g_hash_table_insert(set->carried, g_memdup2(&into, sizeof(into)), carried);
	}
	g_array_append_val(carried, e);
}

void ivm_series_add(struct ivm_series_set *set, const struct ivm_journey *j)
{
	struct ivm_series *s = ivm_series_get(set, j->from_end, j->mode);
	struct entry *e = (struct entry *)(void *)s;
	enum ivm_outcome outcome = (enum ivm_outcome)j->outcome;

	note_carrier(set, e, j);
	if (outcome == IVM_O_COALESCED && e->owed_all)
		outcome = pay(e);
	s->rung++;
	s->outcome[outcome]++;
	if (j->to_end)
		s->to_end = j->to_end;
	if (ivm_is_complete(j->outcome, j->flags))
		add_times(s, j);
	else if (j->outcome == IVM_O_DELIVERED)
		s->disordered++;
}

void ivm_series_mend(struct ivm_series_set *set, uint64_t into, enum ivm_outcome outcome)
{
	const GArray *carried = g_hash_table_lookup(set->carried, &into);
	guint i;

	for (i = 0; carried && i < carried->len; i++) {
		struct entry *e = g_array_index(carried, struct entry *, i);

		e->owed[outcome]++;
		e->owed_all++;
	}
	g_hash_table_remove(set->carried, &into);
}

static int compare(gconstpointer a, gconstpointer b)
{
	const struct ivm_series *x = *(struct ivm_series *const *)a;
	const struct ivm_series *y = *(struct ivm_series *const *)b;
	int order = g_strcmp0(x->link, y->link);

	if (!order)
		order = (x->from_end > y->from_end) - (x->from_end < y->from_end);
	return order ? order : (int)x->mode - (int)y->mode;
}

const GPtrArray *ivm_series_sorted(struct ivm_series_set *set)
{
	if (!set->is_sorted)
		g_ptr_array_sort(set->sorted, compare);
	set->is_sorted = true;
	return set->sorted;
}
