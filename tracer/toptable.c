// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The table of `top`.
 */
#include <inttypes.h>
#include <string.h>

#include "toptable.h"

/* A percentile of fewer would be the largest one */
#define P50_MIN_COUNT	2
#define P99_MIN_COUNT	100

/* What is not the two names at the left */
#define FIGURES_WIDTH	80
#define MIN_NAME_WIDTH	8
#define MAX_NAME_WIDTH	32

static const char *const points[] = IVM_POINT_NAMES;
static const char *const modes[] = IVM_MODE_NAMES;

static void free_row(gpointer p)
{
	struct ivm_top_row *row = p;

	g_free(row->link);
	g_free(row->direction);
	g_free(row->worst);
	g_free(row);
}

/* A name may be anyone's: nothing of it reaches the terminal as a command */
static char *printable(const char *name)
{
	char *text = g_utf8_make_valid(name ? name : "–", -1), *p;

	for (p = text; *p; p++)
		if (g_ascii_iscntrl(*p))
			*p = '?';
	return text;
}

static void set_latency(struct ivm_top_row *row, const struct ivm_series *last)
{
	const struct ivm_lap *total = last ? ivm_lap_main(last->totals) : NULL;

	row->p50_ns = row->p99_ns = IVM_TOP_UNKNOWN;
	if (total && total->hist.count >= P50_MIN_COUNT)
		row->p50_ns = ivm_hist_percentile(&total->hist, 500);
	if (total && total->hist.count >= P99_MIN_COUNT)
		row->p99_ns = ivm_hist_percentile(&total->hist, 990);
}

static void set_worst(struct ivm_top_row *row, const struct ivm_series *last)
{
	const struct ivm_lap *worst = NULL;
	uint64_t sum_ns = 0;
	guint i;

	for (i = 0; last && i < last->hops->len; i++) {
		const struct ivm_lap *hop =
			&g_array_index(last->hops, struct ivm_lap, i);

		sum_ns += hop->hist.sum_ns;
		if (!worst || hop->hist.sum_ns > worst->hist.sum_ns)
			worst = hop;
	}
	if (!worst || !sum_ns) {
		row->worst = g_strdup("");
		return;
	}
	row->worst = g_strdup_printf("%s..%s", points[worst->from], points[worst->to]);
	row->worst_percent = (unsigned int)(100.0 * (double)worst->hist.sum_ns / (double)sum_ns +
					    0.5);
}

static struct ivm_top_row *new_row(const struct ivm_series *all, const struct ivm_series *last,
				   uint64_t interval_ns)
{
	struct ivm_top_row *row = g_new0(struct ivm_top_row, 1);
	g_autofree char *from = printable(all->from), *to = printable(all->to);

	row->link = printable(all->link);
	row->direction = g_strdup_printf("%s → %s", from, to);
	row->mode = modes[all->mode];
	row->rate_per_s = last && interval_ns ?
			  (uint64_t)((double)last->rung * 1e9 / (double)interval_ns + 0.5) : 0;
	row->coalesced = all->outcome[IVM_O_COALESCED];
	row->lost = all->outcome[IVM_O_MASKED] + all->outcome[IVM_O_DROPPED] +
		    all->outcome[IVM_O_UNFINISHED];
	set_latency(row, last);
	set_worst(row, last);
	return row;
}

/* ---- sorting ---- */

/* Unknown is less than anything known */
static uint64_t sort_value(const struct ivm_top_row *row, enum ivm_top_sort sort)
{
	switch (sort) {
	case IVM_TOP_P50:
		return row->p50_ns + 1;
	case IVM_TOP_P99:
		return row->p99_ns + 1;
	case IVM_TOP_LOST:
		return row->lost;
	case IVM_TOP_RATE:
		return row->rate_per_s;
	default:
		return 0;
	}
}

static gint compare_rows(gconstpointer a, gconstpointer b, gpointer sort)
{
	const struct ivm_top_row *x = *(struct ivm_top_row *const *)a;
	const struct ivm_top_row *y = *(struct ivm_top_row *const *)b;
	uint64_t left = sort_value(x, (enum ivm_top_sort)GPOINTER_TO_INT(sort));
	uint64_t right = sort_value(y, (enum ivm_top_sort)GPOINTER_TO_INT(sort));
	int order;

	if (left != right)
		return left > right ? -1 : 1;
	order = strcmp(x->link, y->link);
	if (!order)
		order = strcmp(x->direction, y->direction);
	return order ? order : strcmp(x->mode, y->mode);
}

/* Both sets number ends alike, so a series is found again by its key */
static const struct ivm_series *find(const GPtrArray *series, const struct ivm_series *wanted)
{
	guint i;

	for (i = 0; i < series->len; i++) {
		const struct ivm_series *s = g_ptr_array_index(series, i);

		if (s->from_end == wanted->from_end && s->mode == wanted->mode)
			return s;
	}
	return NULL;
}

GPtrArray *ivm_top_table(struct ivm_series_set *so_far, struct ivm_series_set *last,
			 uint64_t interval_ns, enum ivm_top_sort sort)
{
	GPtrArray *rows = g_ptr_array_new_with_free_func(free_row);
	const GPtrArray *all = ivm_series_sorted(so_far), *recent = ivm_series_sorted(last);
	guint i;

	for (i = 0; i < all->len; i++) {
		const struct ivm_series *s = g_ptr_array_index(all, i);

		g_ptr_array_add(rows, new_row(s, find(recent, s), interval_ns));
	}
	g_ptr_array_sort_with_data(rows, compare_rows, GINT_TO_POINTER(sort));
	return rows;
}

/* ---- lines ---- */

/* In columns of the terminal; what does not fit ends in "…" */
static void put_left(GString *line, int width, const char *text)
{
	g_autofree char *cut = NULL;
	glong length = g_utf8_strlen(text, -1);

	if (length > width) {
		cut = g_utf8_substring(text, 0, width - 1);
		g_string_append_printf(line, "%s…", cut);
	} else {
		g_string_append_printf(line, "%s%*s", text, width - (int)length, "");
	}
}

static void put_us(GString *line, int width, uint64_t ns)
{
	char text[32];

	if (ns == IVM_TOP_UNKNOWN)
		g_string_append_printf(line, "%*s–", width - 1, "");
	else
		g_string_append_printf(line, "%*s", width,
				       g_ascii_formatd(text, sizeof(text), "%.3f",
						       (double)ns / 1e3));
}

/* A third for the link's name, the rest for its direction */
static void name_widths(int width, int *link, int *direction)
{
	int names = CLAMP(width - FIGURES_WIDTH, 2 * MIN_NAME_WIDTH, 2 * MAX_NAME_WIDTH);

	*link = names / 3;
	*direction = names - names / 3;
}

char *ivm_top_header(int width)
{
	GString *line = g_string_new(NULL);
	int link, direction;

	name_widths(width, &link, &direction);
	put_left(line, link, "LINK");
	g_string_append_c(line, ' ');
	put_left(line, direction, "DIRECTION");
	g_string_append_printf(line, " %-7s%9s%10s%11s  %-24s%10s%5s", "MODE", "RATE/S", "P50 us",
			       "P99 us", "WORST HOP", "COALESCED", "LOST");
	return g_string_free(line, FALSE);
}

char *ivm_top_line(const struct ivm_top_row *row, int width)
{
	g_autofree char *worst = *row->worst ? g_strdup_printf("%s %u%%", row->worst,
							       row->worst_percent) : g_strdup("–");
	GString *line = g_string_new(NULL);
	int link, direction;

	name_widths(width, &link, &direction);
	put_left(line, link, row->link);
	g_string_append_c(line, ' ');
	put_left(line, direction, row->direction);
	g_string_append_printf(line, " %-7s%9" PRIu64, row->mode, row->rate_per_s);
	put_us(line, 10, row->p50_ns);
	put_us(line, 11, row->p99_ns);
	g_string_append(line, "  ");
	put_left(line, 24, worst);
	g_string_append_printf(line, "%10" PRIu64 "%5" PRIu64, row->coalesced, row->lost);
	return g_string_free(line, FALSE);
}
