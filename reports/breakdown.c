// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where the time of a recording's journeys went: loading.
 *
 * The summary in the recording stands for its journeys.  Where it is missing, or where
 * percentiles shall be exact, the journeys themselves are read.
 */
#include <errno.h>
#include <string.h>

#include "../tracer/summary_file.h"
#include "breakdown_local.h"
#include "cursor.h"

/* ---- classes ---- */

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

static void class_free(gpointer p)
{
	struct class *c = p;

	g_array_free(c->targets, TRUE);
	g_free(c);
}

struct class *breakdown_class(struct ivm_breakdown *b, const struct key *key)
{
	struct class *c = g_hash_table_lookup(b->class_by_key, key);

	if (c)
		return c;
	c = g_new0(struct class, 1);
	c->key = *key;
	c->targets = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	g_hash_table_insert(b->class_by_key, &c->key, c);
	g_ptr_array_add(b->classes, c);
	return c;
}

struct ivm_journey breakdown_example(const struct ivm_shape *shape)
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

static void note_target(struct class *c, uint32_t vcpu)
{
	unsigned int i;

	for (i = 0; i < c->targets->len; i++)
		if (g_array_index(c->targets, uint32_t, i) == vcpu)
			return;
	g_array_append_val(c->targets, vcpu);
}

static void classify_shape(struct ivm_breakdown *b, const struct ivm_shape *shape)
{
	const struct ivm_shape_key *k = &shape->key;
	const struct key key = {
		.from_end = k->from_end, .to_end = k->to_end, .vector = k->vector,
		.irq_vector = k->irq_vector, .mode = k->mode, .configured = k->configured,
	};
	struct class *c = breakdown_class(b, &key);

	breakdown_count(&c->counts, shape, shape->count);
	if (k->points & 1u << IVM_P_ACCEPT)
		note_target(c, k->to_vcpu);
	if (shape_is_complete(shape))
		c->complete += shape->count;
	g_ptr_array_add(b->class_of_shape, c);
}

static void classify(struct ivm_breakdown *b)
{
	const GPtrArray *shapes = ivm_summary_shapes(b->summary);
	unsigned int i;

	for (i = 0; i < shapes->len; i++)
		classify_shape(b, g_ptr_array_index(shapes, i));
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
		ivm_counts_add(&only->counts, &c->counts);
	}
}

static void resolve_classes(struct ivm_breakdown *b)
{
	unsigned int i;

	for (i = 0; i < b->class_of_shape->len; i++) {
		const struct class *c = g_ptr_array_index(b->class_of_shape, i);

		if (c->folded_into)
			b->class_of_shape->pdata[i] = c->folded_into;
	}
}

/* ---- how far stamps may be off ---- */

static uint64_t bound_column(sqlite3_stmt *stmt, int i)
{
	return sqlite3_column_type(stmt, i) == SQLITE_NULL ? IVM_NS_UNKNOWN :
	       (uint64_t)sqlite3_column_int64(stmt, i);
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
		g_hash_table_insert(b->bounds_by_end,
				    GUINT_TO_POINTER((guint)sqlite3_column_int64(stmt, 0)), bounds);
	}
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? 0 : -EBADMSG;
}

struct bounds breakdown_bounds(const struct ivm_breakdown *b, uint32_t end)
{
	static const struct bounds unknown = { IVM_NS_UNKNOWN, IVM_NS_UNKNOWN };
	const struct bounds *bounds = g_hash_table_lookup(b->bounds_by_end, GUINT_TO_POINTER(end));

	return bounds ? *bounds : unknown;
}

/* ---- loading ---- */

static int summarize_journeys(struct ivm_breakdown *b)
{
	struct ivm_cursor *cursor;
	struct ivm_journey j;
	int err;

	err = ivm_cursor_open(b->db, &cursor);
	if (err)
		return err;
	b->summary = ivm_summary_new();
	while ((err = ivm_cursor_next(cursor, &j)) > 0)
		ivm_summary_add(b->summary, &j);
	ivm_cursor_close(cursor);
	return err;
}

static bool has_all_journeys(sqlite3 *db)
{
	sqlite3_stmt *stmt;
	bool has;

	if (sqlite3_prepare_v2(db, "SELECT 1 FROM meta WHERE key = 'not_kept'", -1, &stmt,
			       NULL) != SQLITE_OK)
		return false;
	has = sqlite3_step(stmt) == SQLITE_DONE;
	sqlite3_finalize(stmt);
	return has;
}

static int load_summary(struct ivm_breakdown *b, bool exact)
{
	int err = ivm_summary_read(b->db, &b->summary);

	if (err)
		return err;
	b->exact = exact || !b->summary;
	if (b->exact && !has_all_journeys(b->db))
		return b->summary ? -ENODATA : -EBADMSG;
	return b->summary ? 0 : summarize_journeys(b);
}

/* Names come from strangers: no control character reaches a terminal */
static char *printable(const char *name)
{
	char *s = g_utf8_make_valid(name, -1), *p;

	for (p = s; *p; p++)
		if (g_ascii_iscntrl(*p))
			*p = '?';
	return s;
}

static void free_phase(gpointer phase)
{
	g_free(((struct ivm_phase_info *)phase)->name);
}

static void name_times(struct ivm_breakdown *b)
{
	const GArray *phases = ivm_summary_phases(b->summary);
	const GPtrArray *blocks = ivm_summary_blocks(b->summary);
	unsigned int i;

	for (i = 0; i < phases->len; i++) {
		const struct ivm_phase *p = &g_array_index(phases, struct ivm_phase, i);
		const struct ivm_phase_info info = { printable(p->name), p->start_ns };

		g_array_append_val(b->phases, info);
	}
	for (i = 0; i < blocks->len; i++) {
		const struct ivm_block *block = g_ptr_array_index(blocks, i);
		struct ivm_block_info info = { .phase = block->phase };

		ivm_summary_block_range(b->summary, block, &info.start_ns, &info.end_ns);
		g_array_append_val(b->blocks, info);
	}
}

static int load(struct ivm_breakdown *b, bool exact)
{
	int err = load_bounds(b);

	if (!err)
		err = load_summary(b, exact);
	if (err)
		return err;
	name_times(b);
	classify(b);
	fold_vague(b);
	resolve_classes(b);
	return breakdown_compare_counts(b);
}

/**
 * ivm_breakdown_load() - count a recording's journeys
 * @db: a recording; must stay open as long as the breakdown
 * @exact: percentiles out of all journeys; takes time and memory for each of them.
 *	   Recordings without a summary, of older versions, are always read that way
 * @breakdown: free with ivm_breakdown_free()
 *
 * Return: 0; -EBADMSG if the recording is damaged; -ENODATA for @exact if not
 * every journey was kept.
 */
int ivm_breakdown_load(sqlite3 *db, bool exact, struct ivm_breakdown **breakdown)
{
	struct ivm_breakdown *b = g_new0(struct ivm_breakdown, 1);
	int err;

	b->db = db;
	b->phases = g_array_new(FALSE, FALSE, sizeof(struct ivm_phase_info));
	g_array_set_clear_func(b->phases, free_phase);
	b->blocks = g_array_new(FALSE, FALSE, sizeof(struct ivm_block_info));
	b->class_by_key = g_hash_table_new_full(key_hash, key_equal, NULL, class_free);
	b->classes = g_ptr_array_new();
	b->class_of_shape = g_ptr_array_new();
	b->mismatches = g_ptr_array_new_with_free_func(g_free);
	b->bounds_by_end = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	err = load(b, exact);
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
	g_array_free(b->phases, TRUE);
	g_array_free(b->blocks, TRUE);
	g_ptr_array_free(b->classes, TRUE);
	g_ptr_array_free(b->class_of_shape, TRUE);
	g_hash_table_destroy(b->class_by_key);
	g_ptr_array_free(b->mismatches, TRUE);
	g_hash_table_destroy(b->bounds_by_end);
	ivm_summary_free(b->summary);
	g_free(b);
}

bool ivm_breakdown_is_exact(const struct ivm_breakdown *b)
{
	return b->exact;
}

const GArray *ivm_breakdown_phases(const struct ivm_breakdown *b)
{
	return b->phases;
}

const struct ivm_summary *ivm_breakdown_summary(const struct ivm_breakdown *b)
{
	return b->summary;
}

const GArray *ivm_breakdown_blocks(const struct ivm_breakdown *b)
{
	return b->blocks;
}

const GPtrArray *ivm_breakdown_mismatches(const struct ivm_breakdown *b)
{
	return b->mismatches;
}
