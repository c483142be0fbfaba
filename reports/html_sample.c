// SPDX-License-Identifier: GPL-2.0-or-later
/* Few journeys that stand for many */
#include <errno.h>
#include <inttypes.h>

#include "../tracer/journey_table.h"
#include "html_sample.h"

#define HASH_BITS	20

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
			       " FROM journeys WHERE outcome = 'delivered' AND NOT disordered))"
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

int ivm_html_sample_fill(sqlite3 *db, struct ivm_html_sample *samples, unsigned int count)
{
	g_autofree char *query = NULL;
	sqlite3_stmt *stmt;
	int rc;

	if (!has_any(samples, count))
		return 0;
	query = make_query(samples, count);
	if (sqlite3_prepare_v2(db, query, -1, &stmt, NULL) != SQLITE_OK)
		return -EBADMSG;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
		add_row(stmt, samples);
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? 0 : -EBADMSG;
}
