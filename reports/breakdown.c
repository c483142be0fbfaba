// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where the time of a recording's journeys went.
 *
 * Two passes over the journeys.  The first one counts and notes which points
 * all complete journeys of a group have: only then the anchors are known.  The
 * second one, a pass for each way of grouping, measures between the anchors.
 *
 * Where not every journey was kept, shapes take the journeys' place: each of
 * them stands for many that have the same points.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "breakdown.h"
#include "cursor.h"
#include "shapes.h"

/* Finest group: what a journey tells of itself, as a hash key without holes */
struct key {
	uint32_t from_end;
	uint32_t to_end;
	uint16_t vector;
	uint16_t irq_vector;
	uint8_t mode;
	uint8_t configured;
	uint16_t pad;
};

_Static_assert(sizeof(struct key) == 16, "hashed and compared as bytes");

/* Points as a set */
typedef uint32_t point_set;

_Static_assert(IVM_POINTS <= 32, "a point_set holds every point");

#define ALL_POINTS	((point_set)~0u)

struct class {
	struct key key;
	struct ivm_group_counts counts;
	uint64_t complete;
	point_set common;		/* to all complete journeys; ALL_POINTS without any */
	point_set rung_common;		/* to all journeys; likewise */
	GArray *targets;		/* uint32_t vCPU ids that accepted */
	struct class *folded_into;
	struct builder *builder;	/* of the fill under way */
};

/* How far the guest stamps of an end may be off */
struct bounds {
	uint64_t ring_ns;
	uint64_t isr_ns;
};

struct ivm_breakdown {
	sqlite3 *db;
	GHashTable *bounds_by_end;	/* end id -> struct bounds *, owned */
	GHashTable *class_by_key;	/* struct key * -> struct class *, owned */
	GPtrArray *classes;		/* same, in order of appearance; not owned */
	GPtrArray *mismatches;		/* char *, owned */
	GPtrArray *shapes;		/* struct ivm_shape *; NULL: every journey is there */
};

/* ---- first pass: counting ---- */

static guint key_hash(gconstpointer p)
{
	const struct key *k = p;
	uint64_t h;

	h = (uint64_t)k->from_end << 32 | (uint64_t)k->vector << 16 | k->irq_vector;
	h ^= (uint64_t)k->to_end << 24 ^ (uint64_t)k->mode << 56 ^ (uint64_t)k->configured << 48;
	h *= 0x9e3779b97f4a7c15ull;
	return (guint)(h >> 32);
}

static gboolean key_equal(gconstpointer a, gconstpointer b)
{
	return !memcmp(a, b, sizeof(struct key));
}

static struct key key_of(const struct ivm_journey *j)
{
	struct key key = {
		.from_end = j->from_end, .to_end = j->to_end, .vector = j->vector,
		.irq_vector = j->irq_vector, .mode = j->mode, .configured = j->configured,
	};

	return key;
}

static void class_free(gpointer p)
{
	struct class *c = p;

	g_array_free(c->targets, TRUE);
	g_free(c);
}

static struct class *class_get(struct ivm_breakdown *b, const struct key *key)
{
	struct class *c = g_hash_table_lookup(b->class_by_key, key);

	if (c)
		return c;
	c = g_new0(struct class, 1);
	c->key = *key;
	c->common = ALL_POINTS;
	c->rung_common = ALL_POINTS;
	c->targets = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	g_hash_table_insert(b->class_by_key, &c->key, c);
	g_ptr_array_add(b->classes, c);
	return c;
}

static struct class *class_resolve(struct class *c)
{
	return c->folded_into ? c->folded_into : c;
}

static point_set points_of(const struct ivm_journey *j)
{
	point_set set = 0;
	int i;

	for (i = 0; i < IVM_POINTS; i++)
		if (ivm_seen(j, i))
			set |= 1u << i;
	return set;
}

static bool is_complete(const struct ivm_journey *j)
{
	return ivm_is_complete(j->outcome, j->flags);
}

static uint64_t *outcome_count(struct ivm_group_counts *c, enum ivm_outcome outcome)
{
	switch (outcome) {
	case IVM_O_DELIVERED:
		return &c->delivered;
	case IVM_O_COALESCED:
		return &c->coalesced;
	case IVM_O_MASKED:
		return &c->masked;
	case IVM_O_DROPPED:
		return &c->dropped;
	case IVM_O_UNSEEN:
		return &c->unseen;
	default:
		return &c->unfinished;
	}
}

static void note_target(struct class *c, const struct ivm_journey *j)
{
	uint32_t vcpu = j->to_vcpu;
	unsigned int i;

	for (i = 0; i < c->targets->len; i++)
		if (g_array_index(c->targets, uint32_t, i) == vcpu)
			return;
	g_array_append_val(c->targets, vcpu);
}

/* A journey, or @times that are alike in all that counts */
static void count_journey(struct class *c, const struct ivm_journey *j, uint64_t times)
{
	point_set points = points_of(j);

	c->counts.rung += times;
	*outcome_count(&c->counts, j->outcome) += times;
	if (ivm_seen(j, IVM_P_ACCEPT)) {
		c->counts.accepted += times;
		note_target(c, j);
	}
	if (j->flags & IVM_J_POSTED)
		c->counts.posted += times;
	if (j->outcome == IVM_O_DELIVERED && (j->flags & IVM_J_DISORDERED))
		c->counts.disordered += times;
	c->rung_common &= points;
	if (is_complete(j)) {
		c->complete += times;
		c->common &= points;
	}
}

/* Any journey of that shape; its times tell no more than that they are there */
static struct ivm_journey example_of(const struct ivm_shape *shape)
{
	const struct ivm_shape_key *k = &shape->key;
	struct ivm_journey j = {
		.from_end = k->from_end, .to_end = k->to_end, .vector = k->vector,
		.irq_vector = k->irq_vector, .to_vcpu = k->to_vcpu, .flags = k->flags,
		.mode = k->mode, .configured = k->configured, .outcome = k->outcome,
	};
	int i;

	for (i = 0; i < IVM_POINTS; i++)
		j.t_ns[i] = k->points >> i & 1;
	return j;
}

static void count_shapes(struct ivm_breakdown *b)
{
	struct ivm_journey j;
	struct key key;
	unsigned int i;

	for (i = 0; i < b->shapes->len; i++) {
		const struct ivm_shape *shape = g_ptr_array_index(b->shapes, i);

		j = example_of(shape);
		key = key_of(&j);
		count_journey(class_get(b, &key), &j, shape->count);
	}
}

static int count_journeys(struct ivm_breakdown *b)
{
	struct ivm_cursor *cursor;
	struct ivm_journey j;
	struct key key;
	int err;

	err = ivm_cursor_open(b->db, &cursor);
	if (err)
		return err;
	while ((err = ivm_cursor_next(cursor, &j)) > 0) {
		key = key_of(&j);
		count_journey(class_get(b, &key), &j, 1);
	}
	ivm_cursor_close(cursor);
	return err;
}

/* ---- folding ---- */

/* May a journey of which @a tells less belong to those of @b? */
static bool matches(const struct key *a, const struct key *b)
{
	return a->from_end == b->from_end && a->vector == b->vector &&
	       a->configured == b->configured && (!a->to_end || a->to_end == b->to_end) &&
	       (!a->irq_vector || a->irq_vector == b->irq_vector) &&
	       (a->mode == IVM_M_UNKNOWN || a->mode == b->mode);
}

static bool is_vague(const struct class *c)
{
	return !c->complete && (!c->key.to_end || !c->key.irq_vector ||
				c->key.mode == IVM_M_UNKNOWN);
}

static void add_counts(struct ivm_group_counts *sum, const struct ivm_group_counts *c)
{
	sum->rung += c->rung;
	sum->delivered += c->delivered;
	sum->coalesced += c->coalesced;
	sum->masked += c->masked;
	sum->dropped += c->dropped;
	sum->unfinished += c->unfinished;
	sum->accepted += c->accepted;
	sum->posted += c->posted;
	sum->unseen += c->unseen;
	sum->disordered += c->disordered;
}

/*
 * A doorbell that was dropped or still held never showed its mode or target.
 * It is counted with the journeys of its vector if these leave no choice.
 */
static void fold_vague(struct ivm_breakdown *b)
{
	struct class *c, *other, *only;
	unsigned int i, k, found;

	for (i = 0; i < b->classes->len; i++) {
		c = g_ptr_array_index(b->classes, i);
		if (!is_vague(c))
			continue;
		found = 0;
		for (k = 0; k < b->classes->len; k++) {
			other = g_ptr_array_index(b->classes, k);
			if (is_vague(other) || !matches(&c->key, &other->key))
				continue;
			only = other;
			found++;
		}
		if (found != 1)
			continue;
		c->folded_into = only;
		add_counts(&only->counts, &c->counts);
		only->rung_common &= c->rung_common;
	}
}

/* ---- the table counts ---- */

struct count_sum {
	struct ivm_group_counts counts;
	struct class *class;		/* the only one, or NULL */
	unsigned int classes;
};

static struct count_sum sum_journeys(const struct ivm_breakdown *b, uint32_t from_end,
				     uint16_t vector)
{
	struct count_sum sum = { 0 };
	struct class *c;
	unsigned int i;

	for (i = 0; i < b->classes->len; i++) {
		c = g_ptr_array_index(b->classes, i);
		if (c->folded_into || c->key.from_end != from_end || c->key.vector != vector)
			continue;
		add_counts(&sum.counts, &c->counts);
		sum.class = c;
		sum.classes++;
	}
	return sum;
}

static void mismatch(struct ivm_breakdown *b, uint32_t from_end, uint16_t vector,
		     const char *what, uint64_t counted, uint64_t journeys)
{
	g_ptr_array_add(b->mismatches,
			g_strdup_printf("end %" PRIu32 " vector %u: %s counted %" PRIu64
					", journeys %" PRIu64, from_end, vector, what, counted,
					journeys));
}

static void compare_counts(struct ivm_breakdown *b, uint32_t from_end, uint16_t vector,
			   const struct ivm_group_counts *table, const struct ivm_group_counts *sum)
{
	const struct {
		const char *what;
		uint64_t counted, journeys;
	} terms[] = {
		{ "rung", table->rung, sum->rung },
		{ "delivered", table->delivered, sum->delivered },
		{ "coalesced", table->coalesced, sum->coalesced },
		{ "masked", table->masked, sum->masked },
		{ "dropped", table->dropped, sum->dropped },
		{ "unfinished", table->unfinished, sum->unfinished },
		{ "accepted", table->accepted, sum->accepted },
		{ "posted", table->posted, sum->posted },
	};
	uint64_t ends = table->delivered + table->coalesced + table->masked + table->dropped +
			table->unfinished + sum->unseen;
	unsigned int i;

	for (i = 0; i < G_N_ELEMENTS(terms); i++)
		if (terms[i].counted != terms[i].journeys)
			mismatch(b, from_end, vector, terms[i].what, terms[i].counted,
				 terms[i].journeys);
	if (table->rung != ends)
		mismatch(b, from_end, vector, "rung against the sum of all ends", table->rung,
			 ends);
}

enum counts_column {
	COUNT_FROM_END,
	COUNT_TO_END,
	COUNT_VECTOR,
	COUNT_IRQ_VECTOR,
	COUNT_RUNG,
	COUNT_ACCEPTED,
	COUNT_POSTED,
	COUNT_DELIVERED,
	COUNT_COALESCED,
	COUNT_MASKED,
	COUNT_DROPPED,
	COUNT_UNFINISHED,
};

static uint64_t column(sqlite3_stmt *stmt, int i)
{
	return (uint64_t)sqlite3_column_int64(stmt, i);
}

static struct ivm_group_counts read_counts(sqlite3_stmt *stmt)
{
	struct ivm_group_counts c = {
		.rung = column(stmt, COUNT_RUNG),
		.accepted = column(stmt, COUNT_ACCEPTED),
		.posted = column(stmt, COUNT_POSTED),
		.delivered = column(stmt, COUNT_DELIVERED),
		.coalesced = column(stmt, COUNT_COALESCED),
		.masked = column(stmt, COUNT_MASKED),
		.dropped = column(stmt, COUNT_DROPPED),
		.unfinished = column(stmt, COUNT_UNFINISHED),
	};

	return c;
}

static bool is_zero(const struct ivm_group_counts *c)
{
	static const struct ivm_group_counts zero;

	return !memcmp(c, &zero, sizeof(zero));
}

static gpointer direction_key(uint32_t from_end, uint16_t vector)
{
	return (gpointer)((uintptr_t)from_end << 16 | vector);
}

/* What was counted is what is shown; the journeys must agree with it */
static void take_counts(struct ivm_breakdown *b, sqlite3_stmt *stmt, GHashTable *counted)
{
	uint32_t from_end = (uint32_t)column(stmt, COUNT_FROM_END);
	uint16_t vector = (uint16_t)column(stmt, COUNT_VECTOR);
	struct ivm_group_counts table = read_counts(stmt);
	struct count_sum sum = sum_journeys(b, from_end, vector);
	struct key key = { .from_end = from_end, .vector = vector };
	struct class *c = sum.class;

	g_hash_table_add(counted, direction_key(from_end, vector));
	compare_counts(b, from_end, vector, &table, &sum.counts);
	if (sum.classes > 1 || is_zero(&table))
		return;
	if (!c) {
		key.to_end = (uint32_t)column(stmt, COUNT_TO_END);
		key.irq_vector = (uint16_t)column(stmt, COUNT_IRQ_VECTOR);
		c = class_get(b, &key);
	}
	table.unseen = c->counts.unseen;
	table.disordered = c->counts.disordered;
	c->counts = table;
}

/* Journeys that nobody counted */
static void check_uncounted(struct ivm_breakdown *b, GHashTable *counted)
{
	struct class *c;
	unsigned int i;

	for (i = 0; i < b->classes->len; i++) {
		c = g_ptr_array_index(b->classes, i);
		if (c->folded_into || g_hash_table_contains(counted, direction_key(
						c->key.from_end, c->key.vector)))
			continue;
		mismatch(b, c->key.from_end, c->key.vector, "rung", 0, c->counts.rung);
	}
}

static int load_counts(struct ivm_breakdown *b)
{
	static const char sql[] = "SELECT from_end, to_end, vector, irq_vector, rung, accepted,"
		" posted, delivered, coalesced, masked, dropped, unfinished FROM counts"
		" ORDER BY from_end, vector";
	GHashTable *counted;
	sqlite3_stmt *stmt;
	int rc;

	if (sqlite3_prepare_v2(b->db, sql, -1, &stmt, NULL) != SQLITE_OK)
		return -EBADMSG;
	counted = g_hash_table_new(NULL, NULL);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
		take_counts(b, stmt, counted);
	check_uncounted(b, counted);
	g_hash_table_destroy(counted);
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? 0 : -EBADMSG;
}

static uint64_t bound_column(sqlite3_stmt *stmt, int i)
{
	return sqlite3_column_type(stmt, i) == SQLITE_NULL ? IVM_NS_UNKNOWN : column(stmt, i);
}

/* Recordings from before guest stamps were joined have no such table */
static int load_bounds(struct ivm_breakdown *b)
{
	static const char sql[] = "SELECT \"end\", ring_err_ns, isr_err_ns FROM stamp_bounds";
	struct bounds *bounds;
	sqlite3_stmt *stmt;
	int rc;

	if (sqlite3_prepare_v2(b->db, sql, -1, &stmt, NULL) != SQLITE_OK)
		return 0;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		bounds = g_new0(struct bounds, 1);
		bounds->ring_ns = bound_column(stmt, 1);
		bounds->isr_ns = bound_column(stmt, 2);
		g_hash_table_insert(b->bounds_by_end, GUINT_TO_POINTER((guint)column(stmt, 0)),
				    bounds);
	}
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? 0 : -EBADMSG;
}

/**
 * ivm_breakdown_load() - count a recording's journeys
 * @db: a recording; must stay open as long as the breakdown
 * @breakdown: free with ivm_breakdown_free()
 *
 * Return: 0, or -EBADMSG if the recording is damaged.
 */
int ivm_breakdown_load(sqlite3 *db, struct ivm_breakdown **breakdown)
{
	struct ivm_breakdown *b = g_new0(struct ivm_breakdown, 1);
	int err;

	b->db = db;
	b->class_by_key = g_hash_table_new_full(key_hash, key_equal, NULL, class_free);
	b->classes = g_ptr_array_new();
	b->mismatches = g_ptr_array_new_with_free_func(g_free);
	b->bounds_by_end = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	err = load_bounds(b);
	if (!err)
		err = ivm_shapes_load(db, &b->shapes);
	if (!err && b->shapes)
		count_shapes(b);
	else if (!err)
		err = count_journeys(b);
	if (!err) {
		fold_vague(b);
		err = load_counts(b);
	}
	if (err) {
		ivm_breakdown_free(b);
		return err;
	}
	*breakdown = b;
	return 0;
}

void ivm_breakdown_free(struct ivm_breakdown *b)
{
	if (!b)
		return;
	g_ptr_array_free(b->classes, TRUE);
	g_hash_table_destroy(b->class_by_key);
	g_ptr_array_free(b->mismatches, TRUE);
	g_hash_table_destroy(b->bounds_by_end);
	if (b->shapes)
		g_ptr_array_free(b->shapes, TRUE);
	g_free(b);
}

bool ivm_breakdown_is_summed(const struct ivm_breakdown *b)
{
	return b->shapes != NULL;
}

const GPtrArray *ivm_breakdown_mismatches(const struct ivm_breakdown *b)
{
	return b->mismatches;
}

/* ---- second pass: measuring ---- */

/* Durations, one by one or, if journeys are summed up in shapes, in a histogram */
struct samples {
	GArray *values;			/* of uint64_t */
	struct ivm_hist hist;
	bool sum_only;			/* of @hist: how they are distributed is not known */
};

/* Hops of one set of journeys; cell[from][to] is index + 1 into hops */
struct collector {
	uint16_t cell[IVM_POINTS][IVM_POINTS];
	GPtrArray *hops;		/* struct samples * */
	struct samples *total;
};

struct builder {
	struct ivm_group *group;
	point_set common;
	point_set rung_common;
	uint64_t complete;
	struct collector state[IVM_R_STATES];
};

static struct samples *samples_new(void)
{
	struct samples *s = g_new0(struct samples, 1);

	s->values = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	return s;
}

static void samples_free(gpointer p)
{
	struct samples *s = p;

	g_array_free(s->values, TRUE);
	ivm_hist_clear(&s->hist);
	g_free(s);
}

static void samples_merge(struct samples *sum, const struct samples *s)
{
	g_array_append_vals(sum->values, s->values->data, s->values->len);
	ivm_hist_merge(&sum->hist, &s->hist);
	sum->sum_only |= s->sum_only;
}

static void samples_compute(struct samples *s, struct ivm_stat *stat)
{
	if (!s->hist.count) {
		ivm_stat_compute(s->values, stat);
		return;
	}
	ivm_stat_of_hist(&s->hist, stat);
	if (s->sum_only)
		stat->min_ns = stat->p50_ns = stat->p90_ns = stat->p99_ns = stat->p999_ns =
			stat->max_ns = IVM_NS_UNKNOWN;
}

static void collector_init(struct collector *c)
{
	c->hops = g_ptr_array_new_with_free_func(samples_free);
	c->total = samples_new();
}

static void collector_clear(struct collector *c)
{
	g_ptr_array_free(c->hops, TRUE);
	samples_free(c->total);
}

static struct samples *collector_cell(struct collector *c, int from, int to)
{
	if (!c->cell[from][to]) {
		g_ptr_array_add(c->hops, samples_new());
		c->cell[from][to] = (uint16_t)c->hops->len;
	}
	return g_ptr_array_index(c->hops, c->cell[from][to] - 1);
}

static void measure(struct builder *b, const struct ivm_journey *j)
{
	struct collector *c = &b->state[ivm_receiver_state(j)];
	enum ivm_point from = b->group->from, to = b->group->to;
	uint64_t hop_ns, total_ns = j->t_ns[to] - j->t_ns[from];
	int i, last = from;

	for (i = from + 1; i <= (int)to; i++) {
		if (!ivm_seen(j, i))
			continue;
		hop_ns = j->t_ns[i] - j->t_ns[last];
		g_array_append_val(collector_cell(c, last, i)->values, hop_ns);
		last = i;
	}
	g_array_append_val(c->total->values, total_ns);
}

/* The total of a shape that has no span for it: the sum of its hops is exact all the same */
static void add_hop_sum(struct samples *total, const struct ivm_shape *shape, uint64_t sum_ns)
{
	total->sum_only = true;
	total->hist.count += shape->count;
	total->hist.sum_ns += sum_ns;
}

static int measure_shape(struct builder *b, const struct ivm_shape *shape)
{
	const struct ivm_journey j = example_of(shape);
	struct collector *c = &b->state[ivm_receiver_state(&j)];
	enum ivm_point from = b->group->from, to = b->group->to;
	const struct ivm_span *span;
	uint64_t sum_ns = 0;
	int i, last = from;

	for (i = from + 1; i <= (int)to; i++) {
		if (!ivm_seen(&j, i))
			continue;
		span = ivm_shape_span(shape, (unsigned int)last, (unsigned int)i);
		if (!span)
			return -EBADMSG;
		ivm_hist_merge(&collector_cell(c, last, i)->hist, &span->hist);
		sum_ns += span->hist.sum_ns;
		last = i;
	}
	span = ivm_shape_span(shape, from, to);
	if (!span)
		add_hop_sum(c->total, shape, sum_ns);
	else if (span->hist.sum_ns != sum_ns)
		return -EBADMSG;
	else
		ivm_hist_merge(&c->total->hist, &span->hist);
	return 0;
}

static uint64_t add_bounds(uint64_t a_ns, uint64_t b_ns)
{
	return a_ns == IVM_NS_UNKNOWN || b_ns == IVM_NS_UNKNOWN ? IVM_NS_UNKNOWN : a_ns + b_ns;
}

/* Only these two points come from guests' clocks */
static uint64_t span_err_ns(const struct ivm_group *g, int from, int to)
{
	return add_bounds(from == IVM_P_RING ? g->ring_err_ns : 0,
			  to == IVM_P_ISR ? g->isr_err_ns : 0);
}

/* A duration below its own bound says nothing; the sum stays, so that sums add up */
static void blur(struct ivm_stat *stat, uint64_t err_ns)
{
	uint64_t *const figures[] = { &stat->min_ns, &stat->p50_ns, &stat->p90_ns, &stat->p99_ns,
				      &stat->p999_ns, &stat->max_ns, &stat->mean_ns };
	unsigned int i;

	if (!err_ns || err_ns == IVM_NS_UNKNOWN)
		return;
	for (i = 0; i < G_N_ELEMENTS(figures); i++)
		if (*figures[i] < err_ns)
			*figures[i] = IVM_NS_UNKNOWN;
}

/* One row out of a cell of the first @count collectors, if any has it */
static void append_row(GArray *rows, const struct ivm_group *g, struct collector *c, int count,
		       int from, int to)
{
	struct ivm_row row = { .from = (enum ivm_point)from, .to = (enum ivm_point)to,
			       .err_ns = span_err_ns(g, from, to) };
	struct samples *sum = NULL;
	int i;

	for (i = 0; i < count; i++) {
		if (!c[i].cell[from][to])
			continue;
		if (!sum)
			sum = samples_new();
		samples_merge(sum, collector_cell(&c[i], from, to));
	}
	if (!sum)
		return;
	samples_compute(sum, &row.stat);
	blur(&row.stat, row.err_ns);
	g_array_append_val(rows, row);
	samples_free(sum);
}

static struct ivm_rows make_rows(const struct ivm_group *g, struct collector *c, int count)
{
	GArray *rows = g_array_new(FALSE, TRUE, sizeof(struct ivm_row));
	struct ivm_rows result;
	int from, to;

	for (from = 0; from < IVM_POINTS; from++)
		for (to = from + 1; to < IVM_POINTS; to++)
			append_row(rows, g, c, count, from, to);
	result.count = rows->len;
	result.row = (struct ivm_row *)(void *)g_array_free(rows, FALSE);
	return result;
}

static void compute_total(const struct ivm_group *g, struct collector *c, int count,
			  struct ivm_stat *total)
{
	struct samples *sum = samples_new();
	int i;

	for (i = 0; i < count; i++)
		samples_merge(sum, c[i].total);
	samples_compute(sum, total);
	blur(total, g->err_ns);
	samples_free(sum);
}

static void finish_builder(struct builder *b)
{
	struct ivm_group *g = b->group;
	int i;

	compute_total(g, b->state, IVM_R_STATES, &g->total);
	g->rows = make_rows(g, b->state, IVM_R_STATES);
	for (i = 0; i < IVM_R_STATES; i++) {
		g->path[i].state = (enum ivm_receiver_state)i;
		compute_total(g, &b->state[i], 1, &g->path[i].total);
		g->path[i].rows = make_rows(g, &b->state[i], 1);
	}
}

static void builder_free(gpointer p)
{
	struct builder *b = p;
	int i;

	for (i = 0; i < IVM_R_STATES; i++)
		collector_clear(&b->state[i]);
	g_free(b);
}

static void group_free(gpointer p)
{
	struct ivm_group *g = p;
	int i;

	for (i = 0; i < IVM_R_STATES; i++)
		g_free(g->path[i].rows.row);
	g_free(g->rows.row);
	if (g->shares_with)
		g_array_free(g->shares_with, TRUE);
	g_free(g);
}

/* The key of the group that a class falls into; what may differ is 0 in it */
static struct key group_key(const struct key *key, enum ivm_by by)
{
	struct key k = *key;

	if (by >= IVM_BY_LINK)
		k.vector = k.irq_vector = 0;
	if (by >= IVM_BY_MODE)
		k.from_end = k.to_end = 0;
	return k;
}

static struct builder *new_builder(const struct key *key)
{
	struct builder *b = g_new0(struct builder, 1);
	struct ivm_group *g = g_new0(struct ivm_group, 1);
	int i;

	g->mode = (enum ivm_mode)key->mode;
	g->configured = (enum ivm_mode)key->configured;
	g->from_end = key->from_end;
	g->to_end = key->to_end;
	g->vector_min = g->irq_vector_min = UINT16_MAX;
	g->shares_with = g_array_new(FALSE, FALSE, sizeof(struct ivm_share));
	b->group = g;
	b->common = ALL_POINTS;
	b->rung_common = ALL_POINTS;
	for (i = 0; i < IVM_R_STATES; i++)
		collector_init(&b->state[i]);
	return b;
}

static struct bounds bounds_of(const struct ivm_breakdown *b, uint32_t end)
{
	static const struct bounds unknown = { IVM_NS_UNKNOWN, IVM_NS_UNKNOWN };
	const struct bounds *bounds = g_hash_table_lookup(b->bounds_by_end, GUINT_TO_POINTER(end));

	return bounds ? *bounds : unknown;
}

static void add_class(const struct ivm_breakdown *all, struct builder *b, struct class *c)
{
	struct ivm_group *g = b->group;

	c->builder = b;
	add_counts(&g->counts, &c->counts);
	g->vectors++;
	g->vector_min = MIN(g->vector_min, c->key.vector);
	g->vector_max = MAX(g->vector_max, c->key.vector);
	g->irq_vector_min = MIN(g->irq_vector_min, c->key.irq_vector);
	g->irq_vector_max = MAX(g->irq_vector_max, c->key.irq_vector);
	/* Unknown is the widest of all */
	g->ring_err_ns = MAX(g->ring_err_ns, bounds_of(all, c->key.from_end).ring_ns);
	g->isr_err_ns = MAX(g->isr_err_ns, bounds_of(all, c->key.to_end).isr_ns);
	b->rung_common &= c->rung_common;
	b->complete += c->complete;
	b->common &= c->common;
}

static int first_point(point_set set, int from)
{
	int i;

	for (i = from; i < IVM_POINTS; i++)
		if (set & 1u << i)
			return i;
	return -1;
}

static int last_point(point_set set)
{
	int i;

	for (i = IVM_POINTS - 1; i >= 0; i--)
		if (set & 1u << i)
			return i;
	return -1;
}

static int end_point(point_set common)
{
	static const enum ivm_point ends[] = { IVM_P_INJECT, IVM_P_EOI_STANDIN, IVM_P_ENTRY };
	unsigned int i;

	for (i = 0; i < G_N_ELEMENTS(ends); i++)
		if (common & 1u << ends[i])
			return (int)ends[i];
	return last_point(common);
}

static void set_anchors(struct builder *b)
{
	struct ivm_group *g = b->group;
	point_set common = b->complete ? b->common & ~(1u << IVM_P_EOI) : 0;
	int from = first_point(common, 0), to = last_point(common);

	g->rung_at = b->rung_common == ALL_POINTS ? -1 : first_point(b->rung_common,
								     IVM_P_DISPATCH);
	g->delivered_at = end_point(common);
	g->has_total = from >= 0 && from < to;
	if (g->has_total) {
		g->from = (enum ivm_point)from;
		g->to = (enum ivm_point)to;
		g->err_ns = span_err_ns(g, from, to);
	}
}

/* ---- link vectors that end on one (vCPU, IDT vector) ---- */

static bool same_target(const struct class *a, const struct class *b)
{
	unsigned int i, k;

	if (!a->key.irq_vector || a->key.irq_vector != b->key.irq_vector ||
	    a->key.to_end != b->key.to_end)
		return false;
	if (a->key.from_end == b->key.from_end && a->key.vector == b->key.vector)
		return false;
	for (i = 0; i < a->targets->len; i++)
		for (k = 0; k < b->targets->len; k++)
			if (g_array_index(a->targets, uint32_t, i) ==
			    g_array_index(b->targets, uint32_t, k))
				return true;
	return false;
}

static void find_shares(const struct ivm_breakdown *b, const struct class *c)
{
	struct ivm_share share;
	struct class *other;
	unsigned int i;

	for (i = 0; i < b->classes->len; i++) {
		other = g_ptr_array_index(b->classes, i);
		if (!same_target(c, other))
			continue;
		share.from_end = other->key.from_end;
		share.vector = other->key.vector;
		g_array_append_val(c->builder->group->shares_with, share);
	}
}

/* ---- filling ---- */

static int compare_classes(gconstpointer a, gconstpointer b)
{
	const struct class *x = *(struct class *const *)a, *y = *(struct class *const *)b;
	const struct key *k = &x->key, *l = &y->key;

	if (k->from_end != l->from_end)
		return k->from_end < l->from_end ? -1 : 1;
	if (k->vector != l->vector)
		return k->vector < l->vector ? -1 : 1;
	if (k->mode != l->mode)
		return k->mode < l->mode ? -1 : 1;
	return memcmp(k, l, sizeof(*k));
}

/* Fastest way last, as the modes are numbered; then as the ends are */
static int compare_groups(gconstpointer a, gconstpointer b)
{
	const struct ivm_group *x = *(struct ivm_group *const *)a;
	const struct ivm_group *y = *(struct ivm_group *const *)b;

	if (x->mode != y->mode)
		return x->mode < y->mode ? -1 : 1;
	if (x->from_end != y->from_end)
		return x->from_end < y->from_end ? -1 : 1;
	if (x->vector_min != y->vector_min)
		return x->vector_min < y->vector_min ? -1 : 1;
	return (int)x->irq_vector_min - (int)y->irq_vector_min;
}

static GHashTable *make_builders(struct ivm_breakdown *b, enum ivm_by by)
{
	GHashTable *builders = g_hash_table_new_full(key_hash, key_equal, g_free, builder_free);
	struct builder *builder;
	struct class *c;
	struct key key;
	unsigned int i;

	g_ptr_array_sort(b->classes, compare_classes);
	for (i = 0; i < b->classes->len; i++) {
		c = g_ptr_array_index(b->classes, i);
		if (c->folded_into)
			continue;
		key = group_key(&c->key, by);
		builder = g_hash_table_lookup(builders, &key);
		if (!builder) {
			builder = new_builder(&key);
			g_hash_table_insert(builders, g_memdup2(&key, sizeof(key)), builder);
		}
		add_class(b, builder, c);
		if (by == IVM_BY_VECTOR)
			find_shares(b, c);
	}
	return builders;
}

static int measure_shapes(struct ivm_breakdown *b)
{
	struct ivm_journey j;
	unsigned int i;
	struct class *c;
	struct key key;
	int err = 0;

	for (i = 0; i < b->shapes->len && !err; i++) {
		const struct ivm_shape *shape = g_ptr_array_index(b->shapes, i);

		j = example_of(shape);
		if (!is_complete(&j))
			continue;
		key = key_of(&j);
		c = class_resolve(class_get(b, &key));
		if (c->builder->group->has_total)
			err = measure_shape(c->builder, shape);
	}
	return err;
}

static int measure_all(struct ivm_breakdown *b)
{
	struct ivm_cursor *cursor;
	struct ivm_journey j;
	struct class *c;
	struct key key;
	int err;

	err = ivm_cursor_open(b->db, &cursor);
	if (err)
		return err;
	while ((err = ivm_cursor_next(cursor, &j)) > 0) {
		if (!is_complete(&j))
			continue;
		key = key_of(&j);
		c = class_resolve(class_get(b, &key));
		if (!c->builder) {
			/* Not there a moment ago: somebody writes into it */
			err = -EBADMSG;
			break;
		}
		if (c->builder->group->has_total)
			measure(c->builder, &j);
	}
	ivm_cursor_close(cursor);
	return err;
}

/* Hands the groups over to @groups; the builders keep measuring into them */
static GPtrArray *take_groups(GHashTable *builders)
{
	GPtrArray *groups = g_ptr_array_new_with_free_func(group_free);
	struct builder *builder;
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, builders);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		builder = value;
		set_anchors(builder);
		g_ptr_array_add(groups, builder->group);
	}
	g_ptr_array_sort(groups, compare_groups);
	return groups;
}

static void finish_builders(GHashTable *builders)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, builders);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		finish_builder(value);
	g_hash_table_destroy(builders);
}

/**
 * ivm_breakdown_groups() - the groups, counted but not measured
 * @b: a loaded breakdown
 * @by: what a group is
 *
 * Return: an array of struct ivm_group *; g_ptr_array_free(…, TRUE).
 */
GPtrArray *ivm_breakdown_groups(struct ivm_breakdown *b, enum ivm_by by)
{
	GHashTable *builders = make_builders(b, by);
	GPtrArray *groups = take_groups(builders);

	finish_builders(builders);
	return groups;
}

/**
 * ivm_breakdown_fill() - the groups with their hops, a pass over all journeys
 * @b: a loaded breakdown
 * @by: what a group is
 * @groups: set to an array of struct ivm_group *; g_ptr_array_free(…, TRUE)
 *
 * Return: 0, or -EBADMSG if the recording is damaged.
 */
int ivm_breakdown_fill(struct ivm_breakdown *b, enum ivm_by by, GPtrArray **groups)
{
	GHashTable *builders = make_builders(b, by);
	GPtrArray *result = take_groups(builders);
	int err = b->shapes ? measure_shapes(b) : measure_all(b);

	finish_builders(builders);
	if (err) {
		g_ptr_array_free(result, TRUE);
		return err;
	}
	*groups = result;
	return 0;
}

/* Of one direction and vector, in whatever modes */
struct ivm_group_counts ivm_breakdown_counts(const struct ivm_breakdown *b, uint32_t from_end,
					     uint16_t vector)
{
	return sum_journeys(b, from_end, vector).counts;
}
