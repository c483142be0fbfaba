// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * OpenMetrics text.
 *
 * The bounds of buckets are those of ours, so that what they count is exact: the
 * last nanosecond before a power of two.  Counters that belong together are all
 * there from the first time on, with zero: who takes rates needs a beginning.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "openmetrics.h"

#define FIRST_BOUND	7	/* 2^7 ns: no hop is shorter by much */
#define LAST_BOUND	30	/* a second */

static const char *const points[] = IVM_POINT_NAMES;
static const char *const modes[] = IVM_MODE_NAMES;
static const char *const outcomes[] = IVM_OUTCOME_NAMES;

/* ---- text ---- */

/* As the format wants it: backslash, quote and newline; the name may be anyone's */
static void put_label(FILE *out, const char *name, const char *value)
{
	g_autofree char *valid = g_utf8_make_valid(value ? value : "", -1);
	const char *p;

	fprintf(out, "%s=\"", name);
	for (p = valid; *p; p++) {
		if (*p == '\n')
			fputs("\\n", out);
		else if (*p == '\\' || *p == '"')
			fprintf(out, "\\%c", *p);
		else
			fputc(*p, out);
	}
	fputc('"', out);
}

/* Without the brackets, which more labels may follow */
static void put_labels(FILE *out, const struct ivm_series *s)
{
	put_label(out, "link", s->link);
	fputc(',', out);
	put_label(out, "from", s->from);
	fputc(',', out);
	put_label(out, "to", s->to);
	fputc(',', out);
	put_label(out, "mode", modes[s->mode]);
}

static void put_family(FILE *out, const char *name, const char *type, const char *unit,
		       const char *help)
{
	fprintf(out, "# TYPE %s %s\n", name, type);
	if (unit)
		fprintf(out, "# UNIT %s %s\n", name, unit);
	fprintf(out, "# HELP %s %s\n", name, help);
}

static const char *seconds(uint64_t ns, char *text, int bytes)
{
	return g_ascii_formatd(text, bytes, "%.12g", (double)ns / 1e9);
}

/* ---- histograms ---- */

struct bucket_writer {
	FILE *out;
	const char *metric;
	char *labels;
	unsigned int next;		/* bound that is to be written next */
	uint64_t below;			/* values less than it */
};

static void put_bucket(struct bucket_writer *w)
{
	char le[32];

	fprintf(w->out, "%s_bucket{%s,le=\"%s\"} %" PRIu64 "\n", w->metric, w->labels,
		seconds((1ull << w->next) - 1, le, sizeof(le)), w->below);
	w->next++;
}

/* A bucket of ours lies on one side of each bound */
static int pass_bucket(void *arg, uint64_t low_ns, uint64_t count)
{
	struct bucket_writer *w = arg;

	while (w->next <= LAST_BOUND && low_ns >= 1ull << w->next)
		put_bucket(w);
	w->below += count;
	return 0;
}

static void put_histogram(FILE *out, const char *metric, const struct ivm_series *s,
			  const struct ivm_lap *at)
{
	struct bucket_writer w = { .out = out, .metric = metric, .next = FIRST_BOUND };
	const struct ivm_hist *h = &at->hist;
	g_autofree char *labels = NULL;
	size_t bytes = 0;
	FILE *text;
	char sum[32];

	text = open_memstream(&w.labels, &bytes);
	put_labels(text, s);
	fprintf(text, ",hop=\"%s..%s\"", points[at->from], points[at->to]);
	fclose(text);
	labels = g_strdup(w.labels);
	free(w.labels);
	w.labels = labels;
	ivm_hist_each(h, pass_bucket, &w);
	while (w.next <= LAST_BOUND)
		put_bucket(&w);
	fprintf(out, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", metric, labels, h->count);
	fprintf(out, "%s_count{%s} %" PRIu64 "\n", metric, labels, h->count);
	fprintf(out, "%s_sum{%s} %s\n", metric, labels, seconds(h->sum_ns, sum, sizeof(sum)));
}

static void put_intervals(FILE *out, const char *metric, const struct ivm_series *s,
			  const GArray *intervals)
{
	guint i;

	for (i = 0; i < intervals->len; i++)
		put_histogram(out, metric, s,
			      &g_array_index(intervals, struct ivm_lap, i));
}

static void put_latency(const struct ivm_metrics *m, FILE *out)
{
	static const char latency[] = "ivmtrace_latency_seconds", hop[] = "ivmtrace_hop_seconds";
	guint i;

	put_family(out, latency, "histogram", "seconds",
		   "Time of delivered interrupts from the first to the last point observed.");
	for (i = 0; i < m->series->len; i++) {
		const struct ivm_series *s = g_ptr_array_index(m->series, i);

		put_intervals(out, latency, s, s->totals);
	}
	if (m->no_hops)
		return;
	put_family(out, hop, "histogram", "seconds",
		   "Time of delivered interrupts from one point to the next.");
	for (i = 0; i < m->series->len; i++) {
		const struct ivm_series *s = g_ptr_array_index(m->series, i);

		put_intervals(out, hop, s, s->hops);
	}
}

/* ---- counters ---- */

static void put_ended(const struct ivm_metrics *m, FILE *out)
{
	guint i, k;

	put_family(out, "ivmtrace_interrupts", "counter", NULL,
		   "Doorbells rung that met their end, by what it was; they add up.");
	for (i = 0; i < m->series->len; i++) {
		const struct ivm_series *s = g_ptr_array_index(m->series, i);

		for (k = IVM_O_DELIVERED; k < IVM_OUTCOMES; k++) {
			fputs("ivmtrace_interrupts_total{", out);
			put_labels(out, s);
			fprintf(out, ",outcome=\"%s\"} %" PRIu64 "\n", outcomes[k], s->outcome[k]);
		}
	}
	put_family(out, "ivmtrace_disordered", "counter", NULL,
		   "Delivered interrupts with points out of order: in no latency.");
	for (i = 0; i < m->series->len; i++) {
		const struct ivm_series *s = g_ptr_array_index(m->series, i);

		fputs("ivmtrace_disordered_total{", out);
		put_labels(out, s);
		fprintf(out, "} %" PRIu64 "\n", s->disordered);
	}
}

static void put_lost(const struct ivm_metrics *m, FILE *out)
{
	guint i;

	put_family(out, "ivmtrace_lost_records", "counter", NULL,
		   "Records the tracer lost, by where.");
	for (i = 0; i < m->lost->len; i++) {
		const struct ivm_metrics_lost *l =
			&g_array_index(m->lost, struct ivm_metrics_lost, i);

		fputs("ivmtrace_lost_records_total{", out);
		put_label(out, "source", l->source);
		fprintf(out, "} %" PRIu64 "\n", l->count);
	}
	put_family(out, "ivmtrace_unmatched", "counter", NULL,
		   "Interrupts of links that could not be matched to a doorbell.");
	fprintf(out, "ivmtrace_unmatched_total %" PRIu64 "\n", m->unmatched);
}

static void put_info(const struct ivm_metrics *m, FILE *out)
{
	put_family(out, "ivmtrace", "info", NULL, "Where the figures come from.");
	fputs("ivmtrace_info{", out);
	put_label(out, "kernel", m->kernel);
	fputc(',', out);
	put_label(out, "backend", m->backend);
	fputs("} 1\n", out);
}

void ivm_openmetrics_print(const struct ivm_metrics *m, FILE *out)
{
	put_info(m, out);
	put_ended(m, out);
	put_lost(m, out);
	put_latency(m, out);
	fputs("# EOF\n", out);
}

/* ---- of a recording ---- */

static const char *vm_name(const struct ivm_report *r, uint32_t end_id)
{
	const struct ivm_report_end *end = ivm_report_find_end(r, end_id);
	const struct ivm_report_vm *vm = end ? ivm_report_find_vm(r, end->vm) : NULL;

	return vm ? vm->name : NULL;
}

static void add_counts(struct ivm_series *s, const struct ivm_counts *c)
{
	s->rung += c->rung;
	s->disordered += c->disordered;
	s->outcome[IVM_O_DELIVERED] += c->delivered;
	s->outcome[IVM_O_COALESCED] += c->coalesced;
	s->outcome[IVM_O_MASKED] += c->masked;
	s->outcome[IVM_O_DROPPED] += c->dropped;
	s->outcome[IVM_O_UNFINISHED] += c->unfinished;
	s->outcome[IVM_O_UNSEEN] += c->unseen;
}

static int note_bucket(void *arg, uint64_t low_ns, uint64_t count)
{
	(void)low_ns;
	(void)count;
	*(bool *)arg = true;
	return 1;
}

/* Where only a sum is known there is nothing to say of how it is distributed */
static void add_hist(GArray *intervals, enum ivm_point from, enum ivm_point to,
		     const struct ivm_hist *h)
{
	bool known = false;

	ivm_hist_each(h, note_bucket, &known);
	if (known)
		ivm_hist_merge(&ivm_lap_get(intervals, from, to)->hist, h);
}

static void add_group(const struct ivm_report *r, struct ivm_series_set *set,
		      const struct ivm_group *g)
{
	struct ivm_series *s = ivm_series_get(set, g->from_end, (uint8_t)g->mode);
	const struct ivm_report_end *from = ivm_report_find_end(r, g->from_end);
	unsigned int i;

	if (!s->link && from) {
		s->link = g_strdup(from->link);
		s->from = g_strdup(vm_name(r, g->from_end));
	}
	if (!s->to)
		s->to = g_strdup(vm_name(r, g->to_end));
	add_counts(s, &g->counts);
	if (!g->has_total)
		return;
	add_hist(s->totals, g->from, g->to, &g->total_hist);
	for (i = 0; i < g->rows.count; i++) {
		const struct ivm_row *row = &g->rows.row[i];

		add_hist(s->hops, row->from, row->to, &row->hist);
	}
}

static GArray *lost_of(const struct ivm_report *r)
{
	GArray *rows = g_array_new(FALSE, FALSE, sizeof(struct ivm_metrics_lost));
	guint i;

	for (i = 0; i < r->lost->len; i++) {
		const struct ivm_report_lost *l = g_ptr_array_index(r->lost, i);
		const struct ivm_metrics_lost row = { l->source, l->count };

		if (strcmp(l->source, "unmatched") && strcmp(l->source, "before_start") &&
		    strcmp(l->source, "disordered"))
			g_array_append_val(rows, row);
	}
	return rows;
}

int ivm_openmetrics_report(const struct ivm_report *r, bool no_hops, FILE *out)
{
	struct ivm_series_set *set = ivm_series_set_new(NULL);
	g_autoptr(GArray) lost = lost_of(r);
	struct ivm_metrics m = {
		.lost = lost, .unmatched = r->unmatched, .no_hops = no_hops,
		.kernel = ivm_report_meta(r, "kernel"), .backend = ivm_report_meta(r, "backend"),
	};
	GPtrArray *groups;
	guint i;
	int err;

	err = ivm_breakdown_fill(r->breakdown, IVM_BY_DIRECTION, &groups);
	if (!err) {
		for (i = 0; i < groups->len; i++)
			add_group(r, set, g_ptr_array_index(groups, i));
		m.series = ivm_series_sorted(set);
		ivm_openmetrics_print(&m, out);
		g_ptr_array_free(groups, TRUE);
	}
	ivm_series_set_free(set);
	return err;
}
