// SPDX-License-Identifier: GPL-2.0-or-later
/* Few journeys that stand for many */
#include <errno.h>
#include <inttypes.h>

#include "../tracer/journey_table.h"
#include "html_sample.h"

#define HASH_BITS	20
#define MANY		1000000u	/* numbers; fewer are no work for several threads */
#define MAX_WORKERS	16u

static const char *const modes[] = IVM_MODE_NAMES;

void ivm_html_sample_init(struct ivm_html_sample *s, const struct ivm_group *group,
			  uint64_t start_ns, uint64_t duration_ns)
{
	*s = (struct ivm_html_sample){ .group = group, .start_ns = start_ns,
				       .duration_ns = duration_ns };
	s->dots = g_array_new(FALSE, FALSE, sizeof(struct ivm_dot));
}

void ivm_html_sample_clear(struct ivm_html_sample *s)
{
	g_array_free(s->dots, TRUE);
}

static unsigned int part_of(const struct ivm_html_sample *s, uint64_t t_ns)
{
	double part;

	if (!s->duration_ns || t_ns < s->start_ns)
		return 0;
	part = (double)(t_ns - s->start_ns) / (double)s->duration_ns * IVM_SAMPLE_PARTS;
	return part < IVM_SAMPLE_PARTS ? (unsigned int)part : IVM_SAMPLE_PARTS - 1;
}

static void add_slowest(struct ivm_html_sample *s, const struct ivm_dot *dot)
{
	unsigned int i = IVM_SAMPLE_SLOWEST - 1;

	if (s->slowest[i].id && s->slowest[i].total_ns >= dot->total_ns)
		return;
	for (; i && (!s->slowest[i - 1].id || s->slowest[i - 1].total_ns < dot->total_ns); i--)
		s->slowest[i] = s->slowest[i - 1];
	s->slowest[i] = *dot;
}

static void add_slow(struct ivm_html_sample *s, const struct ivm_dot *dot)
{
	struct ivm_dot *part = &s->part[part_of(s, dot->t_ns)];

	if (!part->id || part->total_ns < dot->total_ns)
		*part = *dot;
	add_slowest(s, dot);
}

/* ---- one pass for all groups ---- */

/* How long the slowest tenth takes at the least; all are slow where there are just a few */
static uint64_t slow_ns(const struct ivm_group *g)
{
	return g->total.p90_ns == IVM_NS_UNKNOWN ? 0 : g->total.p90_ns;
}

/* Of all values a hash can have, those below this one are drawn */
static uint64_t hash_limit(const struct ivm_group *g)
{
	return ((uint64_t)IVM_SAMPLE_DOTS << HASH_BITS) / MAX(g->total.count, 1) + 1;
}

/* A journey of this group that is drawn */
static void append_group(GString *sql, const struct ivm_group *g)
{
	const char *from = ivm_point_columns[g->from], *to = ivm_point_columns[g->to];

	g_string_append_printf(sql, " WHEN mode = '%s' AND configured = '%s' AND \"%s\" > 0 AND"
			       " (\"%s\" - \"%s\" >= %" PRIu64 " OR hash < %" PRIu64 ")",
			       modes[g->mode], modes[g->configured], from, to, from, slow_ns(g),
			       hash_limit(g));
}

/*
 * A column that tells which group draws the journey, and its times.  The hash
 * spreads numbers that follow each other (Knuth, vol. 3, 6.4).
 */
static char *make_query(const struct ivm_html_sample *samples, unsigned int count)
{
	g_autoptr(GString) number = g_string_new("CASE"), from = g_string_new("CASE n");
	g_autoptr(GString) to = g_string_new("CASE n");
	unsigned int i;

	for (i = 0; i < count; i++) {
		const struct ivm_group *g = samples[i].group;

		if (!g->has_total)
			continue;
		append_group(number, g);
		g_string_append_printf(number, " THEN %u", i);
		g_string_append_printf(from, " WHEN %u THEN \"%s\"", i,
				       ivm_point_columns[g->from]);
		g_string_append_printf(to, " WHEN %u THEN \"%s\"", i, ivm_point_columns[g->to]);
	}
	return g_strdup_printf("SELECT n, id, hash, %s END, %s END FROM (SELECT *, %s END AS n FROM"
			       " (SELECT *, ((id & 0x7fffffff) * 2654435761 >> 12) & %u AS hash"
			       " FROM journeys WHERE id BETWEEN ? AND ? AND outcome = 'delivered'"
			       " AND NOT disordered))"
			       " WHERE n NOT NULL", from->str, to->str, number->str,
			       (1u << HASH_BITS) - 1);
}

static void add_row(sqlite3_stmt *stmt, struct ivm_html_sample *samples)
{
	struct ivm_html_sample *s = &samples[sqlite3_column_int(stmt, 0)];
	sqlite3_int64 from_ns = sqlite3_column_int64(stmt, 3);
	sqlite3_int64 to_ns = sqlite3_column_int64(stmt, 4);
	struct ivm_dot dot = { .id = (uint64_t)sqlite3_column_int64(stmt, 1),
			       .t_ns = (uint64_t)from_ns };

	if (to_ns < from_ns)
		return;
	dot.total_ns = (uint64_t)to_ns - (uint64_t)from_ns;
	if ((uint64_t)sqlite3_column_int64(stmt, 2) < hash_limit(s->group))
		g_array_append_val(s->dots, dot);
	if (dot.total_ns >= slow_ns(s->group))
		add_slow(s, &dot);
}

static bool has_any(const struct ivm_html_sample *samples, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		if (samples[i].group->has_total)
			return true;
	return false;
}

static int read_rows(sqlite3 *db, const char *query, uint64_t first_id, uint64_t last_id,
		     struct ivm_html_sample *samples)
{
	sqlite3_stmt *stmt;
	int rc;

	if (sqlite3_prepare_v2(db, query, -1, &stmt, NULL) != SQLITE_OK)
		return -EBADMSG;
	sqlite3_bind_int64(stmt, 1, (sqlite3_int64)first_id);
	sqlite3_bind_int64(stmt, 2, (sqlite3_int64)last_id);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
		add_row(stmt, samples);
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? 0 : -EBADMSG;
}

/* ---- a part of the numbers for each CPU ---- */

struct worker {
	GThread *thread;
	const char *path, *query;
	uint64_t first_id, last_id;
	struct ivm_html_sample *samples;
	int err;
};

static gpointer work(gpointer arg)
{
	struct worker *w = arg;
	sqlite3 *db = NULL;

	if (sqlite3_open_v2(w->path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL))
		w->err = -EBADMSG;
	else
		w->err = read_rows(db, w->query, w->first_id, w->last_id, w->samples);
	sqlite3_close(db);
	return NULL;
}

static void start(struct worker *w, const struct ivm_html_sample *samples, unsigned int count)
{
	unsigned int i;

	w->samples = g_new(struct ivm_html_sample, count);
	for (i = 0; i < count; i++)
		ivm_html_sample_init(&w->samples[i], samples[i].group, samples[i].start_ns,
				     samples[i].duration_ns);
	w->thread = g_thread_new("sample", work, w);
}

/* What came first stays first: one thread would have found the same */
static void add_sample(struct ivm_html_sample *s, const struct ivm_html_sample *other)
{
	unsigned int i;

	g_array_append_vals(s->dots, other->dots->data, other->dots->len);
	for (i = 0; i < IVM_SAMPLE_PARTS; i++)
		if (!s->part[i].id || s->part[i].total_ns < other->part[i].total_ns)
			s->part[i] = other->part[i];
	for (i = 0; i < IVM_SAMPLE_SLOWEST && other->slowest[i].id; i++)
		add_slowest(s, &other->slowest[i]);
}

static int finish(struct worker *w, struct ivm_html_sample *samples, unsigned int count)
{
	unsigned int i;

	g_thread_join(w->thread);
	for (i = 0; i < count; i++) {
		add_sample(&samples[i], &w->samples[i]);
		ivm_html_sample_clear(&w->samples[i]);
	}
	g_free(w->samples);
	return w->err;
}

static int read_in_parts(const char *path, const char *query, uint64_t last_id,
			 struct ivm_html_sample *samples, unsigned int count)
{
	struct worker worker[MAX_WORKERS] = { 0 };
	unsigned int workers = MIN(g_get_num_processors(), MAX_WORKERS), i;
	int err = 0, ret;

	for (i = 0; i < workers; i++) {
		worker[i].path = path;
		worker[i].query = query;
		worker[i].first_id = i ? last_id / workers * i + 1 : 0;
		worker[i].last_id = i + 1 < workers ? last_id / workers * (i + 1) : last_id;
		start(&worker[i], samples, count);
	}
	for (i = 0; i < workers; i++) {
		ret = finish(&worker[i], samples, count);
		err = err ? err : ret;
	}
	return err;
}

static uint64_t find_last_id(sqlite3 *db)
{
	sqlite3_stmt *stmt = NULL;
	uint64_t id = INT64_MAX;

	if (sqlite3_prepare_v2(db, "SELECT max(id) FROM journeys", -1, &stmt, NULL) == SQLITE_OK &&
	    sqlite3_step(stmt) == SQLITE_ROW)
		id = (uint64_t)sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return id;
}

int ivm_html_sample_fill(sqlite3 *db, struct ivm_html_sample *samples, unsigned int count)
{
	const char *path = sqlite3_db_filename(db, "main");
	g_autofree char *query = NULL;
	uint64_t last_id;

	if (!has_any(samples, count))
		return 0;
	query = make_query(samples, count);
	last_id = find_last_id(db);
	if (last_id < MANY || last_id > INT64_MAX || !path || !*path)
		return read_rows(db, query, 0, last_id, samples);
	return read_in_parts(path, query, last_id, samples, count);
}
