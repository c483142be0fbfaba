// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a recording has in place of journeys it did not keep.
 *
 * Everything is checked: the counts of a span's buckets must add up to those of
 * its shape, or the recording is damaged.
 */
#include <errno.h>
#include <string.h>

#include "../tracer/journey_table.h"
#include "shapes.h"

static int index_of(const char *name, const char *const *names, int count)
{
	int i;

	for (i = 0; i < count; i++)
		if (name && !strcmp(name, names[i]))
			return i;
	return -1;
}

static int point_of(const char *name)
{
	return index_of(name, ivm_point_columns, IVM_POINTS);
}

static const char *text(sqlite3_stmt *stmt, int column)
{
	return (const char *)sqlite3_column_text(stmt, column);
}

static uint64_t number(sqlite3_stmt *stmt, int column)
{
	return (uint64_t)sqlite3_column_int64(stmt, column);
}

/* Names with a blank between them; false if one is unknown */
static bool read_points(const char *names, uint32_t *points)
{
	g_auto(GStrv) words = g_strsplit(names ? names : "", " ", -1);
	int i, point;

	*points = 0;
	for (i = 0; words[i]; i++) {
		point = point_of(words[i]);
		if (point < 0)
			return false;
		*points |= 1u << point;
	}
	return true;
}

static struct ivm_shape *read_shape(sqlite3_stmt *stmt)
{
	static const char *const modes[] = IVM_MODE_NAMES;
	static const char *const outcomes[] = IVM_OUTCOME_NAMES;
	int mode = index_of(text(stmt, 1), modes, IVM_MODES);
	int configured = index_of(text(stmt, 2), modes, IVM_MODES);
	int outcome = index_of(text(stmt, 3), outcomes, IVM_OUTCOMES);
	struct ivm_shape_key key = {
		.mode = (uint8_t)mode, .configured = (uint8_t)configured,
		.outcome = (uint8_t)outcome, .from_end = (uint32_t)number(stmt, 4),
		.to_end = (uint32_t)number(stmt, 5), .vector = (uint16_t)number(stmt, 6),
		.irq_vector = (uint16_t)number(stmt, 7), .to_vcpu = (uint16_t)number(stmt, 8),
		.flags = number(stmt, 9) & IVM_SHAPE_FLAGS,
	};
	struct ivm_shape *shape;

	if (mode < 0 || configured < 0 || outcome <= IVM_O_PENDING ||
	    !read_points(text(stmt, 10), &key.points) || sqlite3_column_int64(stmt, 11) < 1)
		return NULL;
	shape = ivm_shape_new(&key);
	shape->count = number(stmt, 11);
	return shape;
}

/* All buckets of a span; what they hold must be the shape's journeys */
static int read_buckets(sqlite3_stmt *buckets, sqlite3_int64 id, struct ivm_hist *h)
{
	uint64_t sum = 0;
	int rc;

	sqlite3_bind_int64(buckets, 1, id);
	while ((rc = sqlite3_step(buckets)) == SQLITE_ROW) {
		if (sqlite3_column_int64(buckets, 0) < 0 || sqlite3_column_int64(buckets, 1) < 1)
			break;
		ivm_hist_put(h, number(buckets, 0), number(buckets, 1));
		sum += number(buckets, 1);
	}
	sqlite3_reset(buckets);
	return rc == SQLITE_DONE && sum == h->count ? 0 : -EBADMSG;
}

static int read_span(sqlite3_stmt *stmt, sqlite3_stmt *buckets, struct ivm_shape *shape)
{
	int from = point_of(text(stmt, 1)), to = point_of(text(stmt, 2));
	struct ivm_span span = {
		.from = (uint8_t)from, .to = (uint8_t)to,
		.hist = { .count = shape->count, .sum_ns = number(stmt, 3),
			  .min_ns = number(stmt, 4), .max_ns = number(stmt, 5) },
	};
	int err;

	if (from < 0 || to <= from || span.hist.min_ns > span.hist.max_ns)
		return -EBADMSG;
	err = read_buckets(buckets, sqlite3_column_int64(stmt, 0), &span.hist);
	g_array_append_val(shape->spans, span);
	return err;
}

struct reader {
	sqlite3_stmt *shapes, *spans, *buckets;
};

static int read_spans(struct reader *r, sqlite3_int64 id, struct ivm_shape *shape)
{
	int rc, err = 0;

	sqlite3_bind_int64(r->spans, 1, id);
	while (!err && (rc = sqlite3_step(r->spans)) == SQLITE_ROW)
		err = read_span(r->spans, r->buckets, shape);
	sqlite3_reset(r->spans);
	return err ? err : rc == SQLITE_DONE ? 0 : -EBADMSG;
}

static int read_shapes(struct reader *r, GPtrArray *shapes)
{
	struct ivm_shape *shape;
	int rc, err = 0;

	while (!err && (rc = sqlite3_step(r->shapes)) == SQLITE_ROW) {
		shape = read_shape(r->shapes);
		if (!shape)
			return -EBADMSG;
		g_ptr_array_add(shapes, shape);
		err = read_spans(r, sqlite3_column_int64(r->shapes, 0), shape);
	}
	return err ? err : rc == SQLITE_DONE ? 0 : -EBADMSG;
}

static int prepare(sqlite3 *db, const char *sql, sqlite3_stmt **stmt)
{
	return sqlite3_prepare_v2(db, sql, -1, stmt, NULL) == SQLITE_OK ? 0 : -EBADMSG;
}

static void free_shape(gpointer shape)
{
	ivm_shape_free(shape);
}

/* Recordings of older versions kept everything and have no such tables */
static bool has_tables(sqlite3 *db)
{
	return sqlite3_table_column_metadata(db, NULL, "shapes", NULL, NULL, NULL, NULL, NULL,
					     NULL) == SQLITE_OK;
}

int ivm_shapes_load(sqlite3 *db, GPtrArray **shapes)
{
	GPtrArray *all = g_ptr_array_new_with_free_func(free_shape);
	struct reader r = { 0 };
	int err = 0;

	*shapes = NULL;
	if (has_tables(db)) {
		err = prepare(db, "SELECT id, mode, configured, outcome, from_end, to_end, vector,"
			      " irq_vector, to_vcpu, flags, points, count FROM shapes ORDER BY id",
			      &r.shapes);
		if (!err)
			err = prepare(db, "SELECT id, from_point, to_point, sum_ns, min_ns, max_ns"
				      " FROM spans WHERE shape = ?", &r.spans);
		if (!err)
			err = prepare(db, "SELECT low_ns, count FROM buckets WHERE span = ?",
				      &r.buckets);
		if (!err)
			err = read_shapes(&r, all);
	}
	sqlite3_finalize(r.shapes);
	sqlite3_finalize(r.spans);
	sqlite3_finalize(r.buckets);
	if (!err && all->len)
		*shapes = all;
	else
		g_ptr_array_free(all, TRUE);
	return err;
}
