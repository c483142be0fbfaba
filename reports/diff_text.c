// SPDX-License-Identifier: GPL-2.0-or-later
/* ivmtrace diff for a terminal: 100 columns, UTF-8, no colours */
#include <math.h>
#include <string.h>

#include "diff.h"
#include "environment.h"

#define NAME_WIDTH	24
#define UNKNOWN		"–"

static const char *const stats[] = IVM_DIFF_STAT_NAMES;

struct notes {
	bool marked;
	bool found;		/* something has changed, if only a mean */
	bool no_interval;
	bool anchors;
};

static void left(FILE *out, int width, const char *text)
{
	int pad = width - (int)g_utf8_strlen(text, -1);

	fprintf(out, "%s%*s", text, MAX(pad, 0), "");
}

static void right(FILE *out, int width, const char *text)
{
	int pad = width - (int)g_utf8_strlen(text, -1);

	fprintf(out, "%*s%s", MAX(pad, 1), "", text);
}

static void right_us(FILE *out, int width, double ns)
{
	char text[32];

	if (isnan(ns)) {
		right(out, width, UNKNOWN);
		return;
	}
	snprintf(text, sizeof(text), "%.3f", ns / 1e3);
	right(out, width, text);
}

/* Of what was there before; as many digits as mean anything */
static char *percent(double part, double whole)
{
	double p = 100 * part / whole;

	if (isnan(p))
		return g_strdup(UNKNOWN);
	if (isinf(p))
		return g_strdup("…");
	if (p > 99999)
		return g_strdup(">99999");
	return g_strdup_printf(fabs(p) < 99.95 ? "%+.1f" : "%+.0f", p);
}

static void print_shift(FILE *out, const struct ivm_shift *s, struct notes *notes)
{
	g_autofree char *shift = percent(s->b - s->a, s->a);
	g_autofree char *low = percent(s->low, s->a), *high = percent(s->high, s->a);
	g_autofree char *range = NULL;
	bool significant = ivm_shift_is_significant(s);
	g_autofree char *marked = g_strconcat(shift, significant ? "*" : " ", NULL);

	notes->marked |= significant;
	right(out, 9, marked);
	if (isnan(s->low)) {
		notes->no_interval |= !isnan(s->a) && !isnan(s->b);
		right(out, 15, UNKNOWN);
		return;
	}
	range = g_strdup_printf("%s..%s", low, high);
	right(out, 15, range);
}

static void print_row(FILE *out, const struct ivm_diff_row *row, const char *prefix,
		      bool has_part, struct notes *notes)
{
	g_autofree char *span = ivm_diff_row_name(row);
	g_autofree char *name = g_strconcat(prefix, span, NULL);
	char part[32];

	fputs("  ", out);
	left(out, NAME_WIDTH - 2, name);
	right_us(out, 10, row->shift[IVM_DIFF_P50].a);
	right_us(out, 10, row->shift[IVM_DIFF_P50].b);
	print_shift(out, &row->shift[IVM_DIFF_P50], notes);
	print_shift(out, &row->shift[IVM_DIFF_P99], notes);
	snprintf(part, sizeof(part), "%+.3f", row->part_ns / 1e3);
	right(out, 8, has_part ? part : UNKNOWN);
	fputc('\n', out);
}

static void print_title(FILE *out, const struct ivm_diff_group *g)
{
	fprintf(out, "\n%s\n", g->name);
	fprintf(out, "  journeys  %" G_GUINT64_FORMAT " in %u blocks → %" G_GUINT64_FORMAT
		" in %u blocks\n", g->total.sample[IVM_SIDE_A]->all.count, g->blocks[IVM_SIDE_A],
		g->total.sample[IVM_SIDE_B]->all.count, g->blocks[IVM_SIDE_B]);
	fputs("  ", out);
	left(out, NAME_WIDTH - 2, "hop, us");
	right(out, 10, "p50 A");
	right(out, 10, "p50 B");
	right(out, 8, "shift %");
	right(out, 16, "interval");
	right(out, 8, "p99 %");
	right(out, 16, "interval");
	right(out, 8, "part");
	fputc('\n', out);
}

/* "p50 +12.3 %, mean +9.8 %": what is beyond its interval; NULL if nothing is */
static char *significant_figures(const struct ivm_diff_row *row, bool *slower)
{
	GString *text = g_string_new(NULL);
	int stat;

	for (stat = 0; stat < IVM_DIFF_STATS; stat++) {
		const struct ivm_shift *s = &row->shift[stat];
		g_autofree char *shift = percent(s->b - s->a, s->a);

		if (!ivm_shift_is_significant(s))
			continue;
		g_string_append_printf(text, "%s%s %s %%", text->len ? ", " : "", stats[stat],
				       shift);
		*slower = s->low > 0;
	}
	return g_string_free(text, text->len == 0);
}

/* What a hop has to do with the total is worth saying only if the total has moved */
static void print_share(FILE *out, const struct ivm_diff_group *g, const struct ivm_diff_row *row)
{
	bool moved = ivm_shift_is_significant(&g->total.shift[IVM_DIFF_MEAN]);
	double part = row->part_ns / g->total.part_ns;

	if (row != &g->total && g->has_total && moved && fabs(part) >= 0.005)
		fprintf(out, "; %.0f %% of the change of the total's mean", 100 * part);
	fputc('\n', out);
}

/* A hop that journeys of one side only take has no shift, but a part in the total's */
static void print_one_sided(FILE *out, const struct ivm_diff_group *g,
			    const struct ivm_diff_row *row, const char *name)
{
	enum ivm_side side = row->is_new ? IVM_SIDE_B : IVM_SIDE_A;

	fprintf(out, "  %s  %s: %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
		" journeys of %s, none of %s", row->is_new ? "new     " : "gone    ", name,
		row->sample[side]->all.count, g->total.sample[side]->all.count,
		row->is_new ? "B" : "A", row->is_new ? "A" : "B");
	print_share(out, g, row);
}

/* Return: is there anything to say of it? */
static bool print_finding(FILE *out, const struct ivm_diff_group *g,
			  const struct ivm_diff_row *row, const char *name)
{
	bool slower = false;
	g_autofree char *figures = significant_figures(row, &slower);

	if (row->is_new || row->is_gone)
		print_one_sided(out, g, row, name);
	if (figures) {
		fprintf(out, "  %s    %s: %s", slower ? "slower" : "faster", name, figures);
		print_share(out, g, row);
	}
	return figures || row->is_new || row->is_gone;
}

static int compare_parts(gconstpointer a, gconstpointer b)
{
	double x = fabs((*(struct ivm_diff_row *const *)a)->part_ns);
	double y = fabs((*(struct ivm_diff_row *const *)b)->part_ns);

	return (x < y) - (x > y);
}

/* The hop that explains most comes first */
static void print_findings(FILE *out, const struct ivm_diff_group *g, struct notes *notes)
{
	g_autoptr(GPtrArray) rows = g_ptr_array_new();
	unsigned int i;

	if (g->has_total)
		notes->found |= print_finding(out, g, &g->total, "total");
	for (i = 0; i < g->rows->len; i++)
		g_ptr_array_add(rows, &g_array_index(g->rows, struct ivm_diff_row, i));
	g_ptr_array_sort(rows, compare_parts);
	for (i = 0; i < rows->len; i++) {
		g_autofree char *name = ivm_diff_row_name(g_ptr_array_index(rows, i));

		notes->found |= print_finding(out, g, g_ptr_array_index(rows, i), name);
	}
}

static void print_group(FILE *out, const struct ivm_diff_group *g, struct notes *notes)
{
	unsigned int i;

	print_title(out, g);
	for (i = 0; i < g->rows->len; i++)
		print_row(out, &g_array_index(g->rows, struct ivm_diff_row, i), "", g->has_total,
			  notes);
	if (g->has_total)
		print_row(out, &g->total, "total ", true, notes);
	else
		fputs("  total: not the same points in all runs, not compared\n", out);
	notes->anchors |= !g->has_total;
	print_findings(out, g, notes);
}

static void print_side(FILE *out, const char *label, char **names)
{
	g_autofree char *all = g_strjoinv(", ", names);

	fprintf(out, "  %s         %s\n", label, all);
}

static void print_only(FILE *out, const struct ivm_diff *d)
{
	static const char *const labels[] = { "A", "B" };
	unsigned int side, i;

	for (side = 0; side < IVM_SIDES; side++)
		for (i = 0; i < d->only[side]->len; i++)
			fprintf(out, "  only in %s %s\n", labels[side],
				(char *)g_ptr_array_index(d->only[side], i));
}

static void print_notes(FILE *out, const struct ivm_diff *d, const struct notes *n)
{
	fprintf(out, "\nIntervals, in percent of A, hold together: with %.3g %% confidence all %u"
		" of them.\nParts are of the shift of the total's mean, in us per journey, and"
		" add up to it.\n", 100 * d->confidence, d->figures);
	if (n->marked)
		fputs("*  has changed: the interval leaves out 0.\n", out);
	else if (d->figures && !n->found)
		fputs("Nothing has changed that these recordings could tell.\n", out);
	if (n->no_interval)
		fputs(UNKNOWN "  no interval: too few blocks of time, or a clock that is not"
		      " known well enough.\n", out);
	if (d->figures && (d->runs[IVM_SIDE_A] == 1 || d->runs[IVM_SIDE_B] == 1))
		fputs("One run on a side: what differs between runs of one build is not in its"
		      " intervals.\nGive more runs to tell it from a change.\n", out);
}

void ivm_diff_print_text(const struct ivm_diff *d, char **const names[IVM_SIDES], FILE *out)
{
	struct notes notes = { 0 };
	unsigned int i;

	if (d->environment->len) {
		fputs("environment differs\n", out);
		ivm_facts_print_changes(d->environment, out);
		fputc('\n', out);
	}
	print_side(out, "A", names[IVM_SIDE_A]);
	print_side(out, "B", names[IVM_SIDE_B]);
	print_only(out, d);
	for (i = 0; i < d->groups->len; i++)
		print_group(out, g_ptr_array_index(d->groups, i), &notes);
	if (d->groups->len)
		print_notes(out, d, &notes);
	else
		fputs("\nNo mode has latencies on both sides: nothing to compare.\n", out);
}
