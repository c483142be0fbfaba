// SPDX-License-Identifier: GPL-2.0-or-later
/* What must not get slower: ivmtrace diff --fail-over */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "../tracer/error.h"
#include "diff.h"

static const char *const stats[] = IVM_DIFF_STAT_NAMES;

static int parse_limit(const char *text, struct ivm_diff_limit *limit)
{
	static const struct { const char *suffix; double factor; } units[] = {
		{ "%", 0.01 }, { "ns", 1 }, { "us", 1e3 }, { "ms", 1e6 },
	};
	unsigned int i;
	char *end;

	if (!g_ascii_isdigit(*text))
		return -EINVAL;
	limit->limit = g_ascii_strtod(text, &end);
	for (i = 0; i < G_N_ELEMENTS(units); i++) {
		if (strcmp(end, units[i].suffix))
			continue;
		limit->limit *= units[i].factor;
		limit->relative = i == 0;
		return isfinite(limit->limit) ? 0 : -EINVAL;
	}
	return -EINVAL;
}

static int parse_stat(const char *text, int *stat)
{
	for (*stat = 0; *stat < IVM_DIFF_STATS; (*stat)++)
		if (!strcmp(text, stats[*stat]))
			return 0;
	return -EINVAL;
}

int ivm_diff_limit_parse(const char *text, struct ivm_diff_limit *limit)
{
	g_auto(GStrv) sides = g_strsplit(text, "=", 2);
	char *colon;

	*limit = (struct ivm_diff_limit){ .stat = -1 };
	if (g_strv_length(sides) != 2 || parse_limit(sides[1], limit))
		return -EINVAL;
	colon = strchr(sides[0], ':');
	if (colon && parse_stat(colon + 1, &limit->stat))
		return -EINVAL;
	if (colon)
		*colon = '\0';
	if (!*sides[0])
		return -EINVAL;
	if (strcmp(sides[0], "hop"))
		limit->hop = g_strdup(sides[0]);
	return 0;
}

static bool applies_to(const struct ivm_diff_limit *limit, const char *name, bool is_total)
{
	if (!limit->hop)
		return !is_total;
	if (!strcmp(limit->hop, "total"))
		return is_total;
	return !is_total && !strcmp(limit->hop, name);
}

static void print_breach(const char *group, const char *name, int stat,
			 const struct ivm_shift *s, const struct ivm_diff_limit *limit)
{
	if (limit->relative)
		ivm_fail("%s, %s: %s %.3f -> %.3f us, at least %+.1f %%, limit %+.1f %%", group,
			 name, stats[stat], s->a / 1e3, s->b / 1e3, 100 * s->low / s->a,
			 100 * limit->limit);
	else
		ivm_fail("%s, %s: %s %.3f -> %.3f us, at least %+.3f us, limit %+.3f us", group,
			 name, stats[stat], s->a / 1e3, s->b / 1e3, s->low / 1e3,
			 limit->limit / 1e3);
}

static unsigned int check_row(const struct ivm_diff_group *g, const struct ivm_diff_row *row,
			      bool is_total, const struct ivm_diff_limit *limit,
			      unsigned int *breaches)
{
	g_autofree char *span = ivm_diff_row_name(row);
	g_autofree char *name = is_total ? g_strdup_printf("total %s", span) : g_strdup(span);
	unsigned int judged = 0;
	int stat;

	if (!applies_to(limit, span, is_total))
		return 0;
	for (stat = 0; stat < IVM_DIFF_STATS; stat++) {
		const struct ivm_shift *s = &row->shift[stat];

		if ((limit->stat >= 0 && limit->stat != stat) || isnan(s->low))
			continue;
		judged++;
		if (s->low <= limit->limit * (limit->relative ? s->a : 1))
			continue;
		print_breach(g->name, name, stat, s, limit);
		(*breaches)++;
	}
	return judged;
}

unsigned int ivm_diff_limit_check(const struct ivm_diff *d, const struct ivm_diff_limit *limit,
				  unsigned int *breaches)
{
	unsigned int i, k, judged = 0;

	for (i = 0; i < d->groups->len; i++) {
		const struct ivm_diff_group *g = g_ptr_array_index(d->groups, i);

		if (g->has_total)
			judged += check_row(g, &g->total, true, limit, breaches);
		for (k = 0; k < g->rows->len; k++)
			judged += check_row(g, &g_array_index(g->rows, struct ivm_diff_row, k),
					    false, limit, breaches);
	}
	return judged;
}
