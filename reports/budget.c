// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Budgets.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tracer/error.h"
#include "../tracer/options.h"
#include "budget.h"

#define MAX_LINES	10000
#define MAX_LIMIT_NS	(3600ull * 1000000000)

static const char *const points[] = IVM_POINT_NAMES;
static const char *const modes[] = IVM_MODE_NAMES;

enum what {
	WHAT_HOP,
	WHAT_TOTAL,
	WHAT_COUNT,
	WHAT_LOST,		/* of the recording as a whole */
};

static const struct {
	const char *name;
	size_t offset;		/* in struct ivm_stat */
} statistics[] = {
	{ "min", offsetof(struct ivm_stat, min_ns) },
	{ "p50", offsetof(struct ivm_stat, p50_ns) },
	{ "p90", offsetof(struct ivm_stat, p90_ns) },
	{ "p99", offsetof(struct ivm_stat, p99_ns) },
	{ "p999", offsetof(struct ivm_stat, p999_ns) },
	{ "max", offsetof(struct ivm_stat, max_ns) },
	{ "mean", offsetof(struct ivm_stat, mean_ns) },
};

static const struct {
	const char *name;
	size_t offset;		/* in struct ivm_counts */
} counts[] = {
	{ "coalesced", offsetof(struct ivm_counts, coalesced) },
	{ "masked", offsetof(struct ivm_counts, masked) },
	{ "dropped", offsetof(struct ivm_counts, dropped) },
	{ "unfinished", offsetof(struct ivm_counts, unfinished) },
	{ "disordered", offsetof(struct ivm_counts, disordered) },
};

struct limit {
	unsigned int line;
	int mode;		/* enum ivm_mode, -1: each */
	char *link;		/* NULL: all together */
	enum what what;
	char *name;		/* of the hop, or of what is counted */
	const char *statistic;
	size_t offset;
	uint64_t limit;		/* ns, or a count */
	char *limit_text;
};

struct ivm_budget {
	GPtrArray *limits;	/* struct limit * */
};

static void free_limit(gpointer p)
{
	struct limit *l = p;

	g_free(l->link);
	g_free(l->name);
	g_free(l->limit_text);
	g_free(l);
}

void ivm_budget_free(struct ivm_budget *budget)
{
	if (!budget)
		return;
	g_ptr_array_free(budget->limits, TRUE);
	g_free(budget);
}

/* ---- reading ---- */

struct parser {
	const char *path;
	unsigned int line;
	char **word;		/* the next one */
};

static int refuse(const struct parser *p, const char *why, const char *text)
{
	return ivm_fail("%s:%u: %s%s%s%s", p->path, p->line, why, text ? " '" : "",
			text ? text : "", text ? "'" : "");
}

static const char *next(struct parser *p)
{
	return *p->word ? *p->word++ : NULL;
}

static int mode_of(const char *name)
{
	int i;

	for (i = IVM_M_QEMU; i < IVM_MODES; i++)
		if (!strcmp(name, modes[i]))
			return i;
	return -1;
}

static bool is_point(const char *name, size_t bytes)
{
	int i;

	for (i = 0; i < IVM_POINTS; i++)
		if (strlen(points[i]) == bytes && !strncmp(name, points[i], bytes))
			return true;
	return false;
}

/* "from..to", as reports have it, also with the ~ of their text */
static bool is_hop(const char *name)
{
	const char *dots = strstr(name, "..");
	size_t to_bytes = dots ? strlen(dots + 2) : 0;

	if (to_bytes && dots[2 + to_bytes - 1] == '~')
		to_bytes--;
	return dots && is_point(name, (size_t)(dots - name)) && is_point(dots + 2, to_bytes);
}

static int parse_what(struct parser *p, struct limit *l)
{
	const char *name = next(p);
	unsigned int i;

	if (!name)
		return refuse(p, "a hop, 'total' or a count is missing", NULL);
	l->name = g_strdup(name);
	l->what = WHAT_COUNT;
	for (i = 0; i < G_N_ELEMENTS(counts); i++) {
		if (!strcmp(name, counts[i].name)) {
			l->offset = counts[i].offset;
			return 0;
		}
	}
	if (!strcmp(name, "lost")) {
		l->what = WHAT_LOST;
		return l->mode < 0 && !l->link ? 0 :
		       refuse(p, "what was lost is of no mode and no link", NULL);
	}
	l->what = strcmp(name, "total") ? WHAT_HOP : WHAT_TOTAL;
	if (l->what == WHAT_HOP && !is_hop(name))
		return refuse(p, "neither a hop, nor 'total', nor a count:", name);
	if (g_str_has_suffix(l->name, "~"))
		l->name[strlen(l->name) - 1] = 0;
	return 0;
}

static int parse_statistic(struct parser *p, struct limit *l)
{
	const char *name;
	unsigned int i;

	if (l->what != WHAT_HOP && l->what != WHAT_TOTAL)
		return 0;
	name = next(p);
	for (i = 0; name && i < G_N_ELEMENTS(statistics); i++) {
		if (!strcmp(name, statistics[i].name)) {
			l->statistic = statistics[i].name;
			l->offset = statistics[i].offset;
			return 0;
		}
	}
	return refuse(p, "not one of min, p50, p90, p99, p999, max, mean:", name ? name : "");
}

/* "5us", "1.5ms", "200" ns would be too easy to get wrong: a time has its unit */
static int parse_time(struct parser *p, const char *text, uint64_t *ns)
{
	static const struct {
		const char *name;
		double ns;
	} units[] = { { "ns", 1 }, { "us", 1e3 }, { "ms", 1e6 }, { "s", 1e9 } };
	char *end;
	double value = g_ascii_strtod(text, &end);
	unsigned int i;

	for (i = 0; i < G_N_ELEMENTS(units); i++) {
		if (end == text || strcmp(end, units[i].name))
			continue;
		value *= units[i].ns;
		if (!(value >= 0 && value <= (double)MAX_LIMIT_NS))
			break;
		*ns = (uint64_t)(value + 0.5);
		return 0;
	}
	return refuse(p, "not a time such as 5us or 1.5ms:", text);
}

static int parse_limit(struct parser *p, struct limit *l)
{
	const char *text = next(p);
	guint64 count = 0;

	if (g_strcmp0(text, "<="))
		return refuse(p, "'<=' and a limit are missing", NULL);
	text = next(p);
	if (!text)
		return refuse(p, "the limit is missing", NULL);
	l->limit_text = g_strdup(text);
	if (l->what == WHAT_HOP || l->what == WHAT_TOTAL)
		return parse_time(p, text, &l->limit);
	if (!g_ascii_string_to_unsigned(text, 10, 0, INT64_MAX, &count, NULL))
		return refuse(p, "not a count:", text);
	l->limit = count;
	return 0;
}

static int parse_line(struct parser *p, struct limit *l)
{
	int err;

	l->line = p->line;
	l->mode = mode_of(*p->word);
	if (l->mode >= 0)
		next(p);
	if (*p->word && g_str_has_prefix(*p->word, "link="))
		l->link = g_strdup(next(p) + strlen("link="));
	err = parse_what(p, l);
	if (!err)
		err = parse_statistic(p, l);
	if (!err)
		err = parse_limit(p, l);
	if (!err && *p->word)
		err = refuse(p, "too much:", *p->word);
	return err;
}

/* Words as a shell takes them, so that a link's name may have blanks; # begins a comment */
static int read_line(struct parser *p, const char *line, GPtrArray *limits)
{
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) words = NULL;
	struct limit *l;
	int err;

	if (!g_shell_parse_argv(line, NULL, &words, &error))
		return g_error_matches(error, G_SHELL_ERROR, G_SHELL_ERROR_EMPTY_STRING) ? 0 :
		       refuse(p, error->message, NULL);
	p->word = words;
	l = g_new0(struct limit, 1);
	err = parse_line(p, l);
	if (err)
		free_limit(l);
	else
		g_ptr_array_add(limits, l);
	return err;
}

int ivm_budget_read(const char *path, struct ivm_budget **budget)
{
	struct parser p = { .path = path };
	struct ivm_budget *b;
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	int err = 0;

	if (!g_file_get_contents(path, &text, NULL, &error))
		return ivm_fail("cannot read the budget: %s", error->message);
	lines = g_strsplit(text, "\n", MAX_LINES);
	b = g_new0(struct ivm_budget, 1);
	b->limits = g_ptr_array_new_with_free_func(free_limit);
	while (!err && lines[p.line]) {
		p.line++;
		err = read_line(&p, lines[p.line - 1], b->limits);
	}
	/* A budget without limits is kept by everything, which nobody wants to hear */
	if (!err && !b->limits->len)
		err = ivm_fail("%s: there is no limit in it", path);
	if (err)
		ivm_budget_free(b);
	else
		*budget = b;
	return err;
}

/* ---- checking ---- */

struct check {
	const struct ivm_report *r;
	GPtrArray *by_mode, *by_link;	/* struct ivm_group * */
	unsigned int broken;
};

static char *value_text(const struct limit *l, uint64_t value)
{
	if (l->what == WHAT_COUNT || l->what == WHAT_LOST)
		return g_strdup_printf("%" PRIu64, value);
	return g_strdup_printf("%" PRIu64 ".%03u us", value / 1000, (unsigned int)(value % 1000));
}

static void compare(struct check *c, const struct limit *l, const char *mode, uint64_t value)
{
	g_autofree char *where = g_strdup_printf("%s%s%s%s%s%s", mode, *mode ? " " : "",
						 l->link ? "link=" : "", l->link ? l->link : "",
						 l->link ? " " : "", l->name);
	g_autofree char *text = NULL;

	if (value == IVM_NS_UNKNOWN) {
		ivm_info("budget: %s%s%s was not measured, the limit is %s", where,
			 l->statistic ? " " : "", l->statistic ? l->statistic : "",
			 l->limit_text);
		c->broken++;
	} else if (value > l->limit) {
		text = value_text(l, value);
		ivm_info("budget: %s%s%s is %s, the limit is %s", where, l->statistic ? " " : "",
			 l->statistic ? l->statistic : "", text, l->limit_text);
		c->broken++;
	}
}

static uint64_t statistic_of(const struct limit *l, const struct ivm_stat *stat)
{
	return *(const uint64_t *)(const void *)((const char *)stat + l->offset);
}

static const struct ivm_stat *find_hop(const struct ivm_group *g, const char *name)
{
	unsigned int i;

	for (i = 0; i < g->rows.count; i++) {
		const struct ivm_row *row = &g->rows.row[i];
		g_autofree char *hop = g_strdup_printf("%s..%s", points[row->from],
						       points[row->to]);

		if (!strcmp(hop, name))
			return &row->stat;
	}
	return NULL;
}

/* Does this group have what the limit is about? */
static bool value_of(const struct limit *l, const struct ivm_group *g, uint64_t *value)
{
	const struct ivm_stat *stat = NULL;

	if (l->what == WHAT_COUNT) {
		*value = *(const uint64_t *)(const void *)((const char *)&g->counts + l->offset);
		if (!strcmp(l->name, "coalesced") && !ivm_group_ends_seen(g))
			*value = IVM_NS_UNKNOWN;
		return true;
	}
	if (l->what == WHAT_TOTAL)
		stat = g->has_total ? &g->total : NULL;
	else
		stat = find_hop(g, l->name);
	*value = stat ? statistic_of(l, stat) : IVM_NS_UNKNOWN;
	return stat != NULL;
}

static bool is_of_link(const struct check *c, const struct limit *l, const struct ivm_group *g)
{
	const struct ivm_report_end *end = ivm_report_find_end(c->r, g->from_end);

	return !l->link || (end && !strcmp(end->link, l->link));
}

static void check_limit(struct check *c, const struct limit *l)
{
	const GPtrArray *groups = l->link ? c->by_link : c->by_mode;
	unsigned int found = 0, i;
	uint64_t value;

	if (l->what == WHAT_LOST) {
		compare(c, l, "", c->r->lost_records + c->r->unmatched);
		return;
	}
	for (i = 0; i < groups->len; i++) {
		const struct ivm_group *g = g_ptr_array_index(groups, i);

		if ((l->mode >= 0 && l->mode != (int)g->mode) || !is_of_link(c, l, g) ||
		    !value_of(l, g, &value))
			continue;
		compare(c, l, modes[g->mode], value);
		found++;
	}
	if (!found)
		compare(c, l, l->mode >= 0 ? modes[l->mode] : "", IVM_NS_UNKNOWN);
}

int ivm_budget_check(const struct ivm_budget *budget, const struct ivm_report *r,
		     unsigned int *broken)
{
	struct check c = { .r = r };
	unsigned int i;
	int err;

	err = ivm_breakdown_fill(r->breakdown, IVM_BY_MODE, &c.by_mode);
	if (err)
		return err;
	err = ivm_breakdown_fill(r->breakdown, IVM_BY_LINK, &c.by_link);
	for (i = 0; !err && i < budget->limits->len; i++)
		check_limit(&c, g_ptr_array_index(budget->limits, i));
	g_ptr_array_free(c.by_mode, TRUE);
	if (!err)
		g_ptr_array_free(c.by_link, TRUE);
	*broken = c.broken;
	return err;
}
