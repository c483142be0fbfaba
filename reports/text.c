// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reports for a terminal: 100 columns, UTF-8, no colours.
 *
 * Durations are in microseconds with three decimals, so nothing of the
 * nanoseconds is lost.  An unknown value is an en dash, and a note below says
 * why.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "guest_kernel.h"
#include "profile.h"
#include "report.h"

#define WIDTH		100
#define LABEL_WIDTH	12
#define BAR_CELLS	20
#define MAX_VMS		8
#define MAX_PROBLEMS	20
#define UNKNOWN		"–"

static const char *const points[] = IVM_POINT_NAMES;
static const char *const modes[] = IVM_MODE_NAMES;
static const char *const states[] = IVM_RECEIVER_STATE_NAMES;

/* What was printed that needs a note */
struct notes {
	bool few_samples;
	bool approx;
	bool unseen;
	bool bound;
	bool blurred;
	bool rows;
	bool probes;
};

struct printer {
	const struct ivm_report *r;
	FILE *out;
	struct notes notes;
};

/* ---- cells ---- */

static void left(FILE *out, int width, const char *text)
{
	int pad = width - (int)g_utf8_strlen(text, -1);

	fprintf(out, "%s%*s", text, MAX(pad, 0), "");
}

static void right(FILE *out, int width, const char *text)
{
	int pad = width - (int)g_utf8_strlen(text, -1);

	/* Two cells never touch, whatever they hold */
	fprintf(out, "%*s%s", MAX(pad, 1), "", text);
}

static void right_u64(FILE *out, int width, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	right(out, width, text);
}

static const char *format_us(uint64_t ns, char *text, size_t bytes)
{
	if (ns == IVM_NS_UNKNOWN)
		return UNKNOWN;
	snprintf(text, bytes, "%" PRIu64 ".%03u", ns / 1000, (unsigned int)(ns % 1000));
	return text;
}

static void right_us(struct printer *p, int width, uint64_t ns)
{
	char text[32];

	right(p->out, width, format_us(ns, text, sizeof(text)));
}

/* A percentile that is unknown although there were samples had too few */
static void right_percentile(struct printer *p, int width, const struct ivm_stat *stat,
			     uint64_t ns)
{
	if (stat->count && stat->count < IVM_P99_MIN_COUNT && ns == IVM_NS_UNKNOWN)
		p->notes.few_samples = true;
	right_us(p, width, ns);
}

static void right_share(FILE *out, int width, uint64_t part_ns, uint64_t whole_ns)
{
	char text[24];

	if (!whole_ns) {
		right(out, width, UNKNOWN);
		return;
	}
	snprintf(text, sizeof(text), "%.1f%%", 100.0 * (double)part_ns / (double)whole_ns);
	right(out, width, text);
}

static void bar(FILE *out, uint64_t part, uint64_t whole)
{
	static const char *const eighths[] = { "", "▏", "▎", "▍", "▌", "▋", "▊", "▉" };
	unsigned int filled = 0, i;

	if (whole)
		filled = (unsigned int)((double)part / (double)whole * BAR_CELLS * 8 + 0.5);
	if (!filled)
		return;
	fputs("  ", out);
	for (i = 0; i < filled / 8; i++)
		fputs("█", out);
	fputs(eighths[filled % 8], out);
}

static char *span_name(enum ivm_point from, enum ivm_point to)
{
	return g_strdup_printf("%s..%s%s", points[from], points[to],
			       ivm_row_approx(from, to) ? "~" : "");
}

/* ---- header ---- */

/* "  label     text", broken at ", " */
static void line(FILE *out, const char *label, const char *text)
{
	g_auto(GStrv) words = g_strsplit(text, ", ", -1);
	int column = LABEL_WIDTH, length;
	unsigned int i;

	fputs("  ", out);
	left(out, LABEL_WIDTH - 2, label);
	for (i = 0; words[i]; i++) {
		length = (int)g_utf8_strlen(words[i], -1) + (words[i + 1] ? 1 : 0);
		if (i && column + 1 + length > WIDTH) {
			fprintf(out, "\n%*s", LABEL_WIDTH, "");
			column = LABEL_WIDTH;
		} else if (i) {
			fputc(' ', out);
			column++;
		}
		fprintf(out, "%s%s", words[i], words[i + 1] ? "," : "");
		column += length;
	}
	fputc('\n', out);
}

static const char *meta(const struct ivm_report *r, const char *key)
{
	const char *value = ivm_report_meta(r, key);

	return value ? value : UNKNOWN;
}

static void print_recorded(struct printer *p)
{
	const char *duration = ivm_report_meta(p->r, "duration_ns");
	g_autofree char *text = NULL;
	char seconds[32] = UNKNOWN;

	if (duration)
		snprintf(seconds, sizeof(seconds), "%.3f s",
			 (double)g_ascii_strtoull(duration, NULL, 10) / 1e9);
	text = g_strdup_printf("%s, %s, clock %s", meta(p->r, "start"), seconds,
			       meta(p->r, "clock"));
	line(p->out, "recorded", text);
}

static void print_vms(struct printer *p)
{
	g_autoptr(GString) text = g_string_new(NULL);
	const struct ivm_report_vm *vm;
	unsigned int i;

	for (i = 0; i < p->r->vms->len && i < MAX_VMS; i++) {
		vm = g_ptr_array_index(p->r->vms, i);
		g_string_append_printf(text, "%s%s (%d)", i ? ", " : "", vm->name, (int)vm->pid);
	}
	if (p->r->vms->len > MAX_VMS)
		g_string_append_printf(text, ", and %u more", p->r->vms->len - MAX_VMS);
	line(p->out, "vms (pid)", text->len ? text->str : "none");
}

/* Names of all hooks in one state, as a line of their own */
static void print_hooks_in(struct printer *p, const char *state)
{
	g_autoptr(GString) text = g_string_new(NULL);
	const struct ivm_report_hook *h;
	unsigned int i;

	for (i = 0; i < p->r->hooks->len; i++) {
		h = g_ptr_array_index(p->r->hooks, i);
		if (!strcmp(h->state, state))
			g_string_append_printf(text, "%s%s", text->len ? ", " : "", h->name);
	}
	if (text->len)
		line(p->out, state, text->str);
}

static void print_hooks(struct printer *p)
{
	static const char *const kinds[] = { "tp_btf", "raw_tp", "tracepoint", "fentry", "kprobe" };
	g_autoptr(GString) text = g_string_new(NULL);
	const struct ivm_report_hook *h;
	unsigned int i, k, count;

	for (k = 0; k < G_N_ELEMENTS(kinds); k++) {
		for (count = 0, i = 0; i < p->r->hooks->len; i++) {
			h = g_ptr_array_index(p->r->hooks, i);
			count += !strcmp(h->state, kinds[k]);
		}
		if (count)
			g_string_append_printf(text, "%s%u %s", text->len ? ", " : "", count,
					       kinds[k]);
	}
	for (i = 0; i < p->r->hooks->len; i++) {
		h = g_ptr_array_index(p->r->hooks, i);
		if (h->missed)
			g_string_append_printf(text, ", %s missed %" PRIu64, h->name, h->missed);
	}
	line(p->out, "hooks", text->len ? text->str : UNKNOWN);
	print_hooks_in(p, "silent");
	print_hooks_in(p, "absent");
}

static void print_lost(struct printer *p)
{
	g_autoptr(GString) text = g_string_new(NULL);
	const struct ivm_report *r = p->r;
	const struct ivm_report_lost *l;
	unsigned int i;

	if (!r->lost_records && !r->unmatched && !r->disordered)
		g_string_append(text, r->lost->len ? "nothing" : UNKNOWN);
	else
		g_string_append_printf(text, "%" PRIu64 " records, %" PRIu64 " unmatched, %" PRIu64
				       " disordered", r->lost_records, r->unmatched,
				       r->disordered);
	for (i = 0; i < r->lost->len; i++) {
		l = g_ptr_array_index(r->lost, i);
		if (!l->count || !strcmp(l->source, "unmatched") ||
		    !strcmp(l->source, "disordered"))
			continue;
		g_string_append_printf(text, ", %s %" PRIu64,
				       strcmp(l->source, "before_start") ? l->source :
				       "ends of rings from before the start", l->count);
	}
	line(p->out, "lost", text->str);
	for (i = 0; i < r->problems->len && i < MAX_PROBLEMS; i++)
		line(p->out, i ? "" : "UNCLOSED", g_ptr_array_index(r->problems, i));
	if (i < r->problems->len)
		fprintf(p->out, "%*sand %u more\n", LABEL_WIDTH, "", r->problems->len - i);
}

/* Nothing to say where every journey is in the file */
static void print_kept(struct printer *p)
{
	g_autofree char *text = NULL;

	if (!ivm_report_meta(p->r, "not_kept"))
		return;
	text = g_strdup_printf("%s journeys (%s), %s counted and measured only",
			       meta(p->r, "kept"), meta(p->r, "keep"), meta(p->r, "not_kept"));
	line(p->out, "kept", text);
}

static void print_header(struct printer *p)
{
	g_autofree char *host = g_strdup_printf("%s %s, rig %s, backend %s", meta(p->r, "kernel"),
						meta(p->r, "arch"), meta(p->r, "rig"),
						meta(p->r, "backend"));
	g_autofree char *machine = ivm_facts_summary(p->r->facts);

	line(p->out, "host", host);
	if (machine)
		line(p->out, "machine", machine);
	print_recorded(p);
	print_vms(p);
	print_hooks(p);
	print_kept(p);
	print_lost(p);
}

/* ---- summary ---- */

static void print_rtt(struct printer *p, const struct ivm_report_rtt *rtt)
{
	if (!rtt->measured) {
		right(p->out, 11, UNKNOWN);
		right(p->out, 11, UNKNOWN);
		return;
	}
	right_percentile(p, 11, &rtt->stat, rtt->stat.p50_ns);
	right_percentile(p, 11, &rtt->stat, rtt->stat.p99_ns);
}

static int print_mode(struct printer *p, const struct ivm_group *g)
{
	struct ivm_report_rtt rtt;
	int err;

	err = ivm_report_rtt(p->r, modes[g->mode], 0, 0, &rtt);
	if (err)
		return err;
	fputs("  ", p->out);
	left(p->out, 16, modes[g->mode]);
	right_u64(p->out, 9, g->counts.rung);
	if (ivm_group_ends_seen(g))
		right_u64(p->out, 10, g->counts.delivered);
	else
		right(p->out, 10, UNKNOWN);
	fputs("  ", p->out);
	if (g->has_total) {
		g_autofree char *span = span_name(g->from, g->to);

		left(p->out, 16, span);
		right_percentile(p, 10, &g->total, g->total.p50_ns);
		right_percentile(p, 10, &g->total, g->total.p99_ns);
	} else {
		left(p->out, 16, UNKNOWN);
		right(p->out, 10, UNKNOWN);
		right(p->out, 10, UNKNOWN);
	}
	print_rtt(p, &rtt);
	fputc('\n', p->out);
	return 0;
}

static void print_baseline(struct printer *p, const struct ivm_report_baseline *b)
{
	fputs("  ", p->out);
	left(p->out, 16, b->device);
	right(p->out, 9, "");
	right(p->out, 10, "");
	fputs("  ", p->out);
	left(p->out, 16, b->ioeventfd ? "ioeventfd=on" : "ioeventfd=off");
	right(p->out, 10, "");
	right(p->out, 10, "");
	print_rtt(p, &b->rtt);
	fputc('\n', p->out);
}

static int print_summary(struct printer *p)
{
	GPtrArray *groups;
	unsigned int i;
	int err;

	err = ivm_breakdown_fill(p->r->breakdown, IVM_BY_MODE, &groups);
	if (err)
		return err;
	fprintf(p->out, "\n%*s", 63, "");
	fputs("one way, us         round trip, us\n  ", p->out);
	left(p->out, 16, "mode");
	right(p->out, 9, "rung");
	right(p->out, 10, "delivered");
	fputs("  ", p->out);
	left(p->out, 16, "from..to");
	right(p->out, 10, "p50");
	right(p->out, 10, "p99");
	right(p->out, 11, "p50");
	right(p->out, 11, "p99");
	fputc('\n', p->out);
	for (i = 0; i < groups->len && !err; i++)
		err = print_mode(p, g_ptr_array_index(groups, i));
	g_ptr_array_free(groups, TRUE);
	for (i = 0; i < p->r->baselines->len; i++)
		print_baseline(p, g_ptr_array_index(p->r->baselines, i));
	return err;
}

/* ---- own cost ---- */

static void print_own_cost(struct printer *p)
{
	const struct ivm_cost_mode *c;
	unsigned int i;

	if (!p->r->costs->len)
		return;
	fputs("\ntracing costs     round trip, us     with the tracer, 95 % interval"
	      "     probes, us a journey\n", p->out);
	for (i = 0; i < p->r->costs->len; i++) {
		c = g_ptr_array_index(p->r->costs, i);
		fputs("  ", p->out);
		left(p->out, 16, c->mode);
		fprintf(p->out, "%14.3f %10.4f x  %.4f .. %.4f", c->rtt_ns / 1e3, c->effect,
			c->low, c->high);
		right_us(p, 27, c->journeys ? c->probes_ns / c->journeys : IVM_NS_UNKNOWN);
		fputc('\n', p->out);
	}
}

/* ---- groups ---- */

static char *range_name(const char *one, const char *many, unsigned int min, unsigned int max)
{
	if (min == max)
		return g_strdup_printf("%s %u", one, min);
	return g_strdup_printf("%s %u-%u", many, min, max);
}

static const char *vm_name(const struct ivm_report *r, uint32_t end_id)
{
	const struct ivm_report_end *end = ivm_report_find_end(r, end_id);
	const struct ivm_report_vm *vm = end ? ivm_report_find_vm(r, end->vm) : NULL;

	return vm ? vm->name : UNKNOWN;
}

static void print_direction(struct printer *p, const struct ivm_group *g)
{
	const struct ivm_report_end *from = ivm_report_find_end(p->r, g->from_end);
	g_autofree char *vectors = range_name("vector", "vectors", g->vector_min, g->vector_max);
	g_autofree char *idt = range_name("IDT", "IDT", g->irq_vector_min, g->irq_vector_max);

	fprintf(p->out, ", link %s, %s %s %s, %s", from ? from->link : UNKNOWN,
		vm_name(p->r, g->from_end), g->both_ways ? "↔" : "→", vm_name(p->r, g->to_end),
		vectors);
	if (g->irq_vector_max)
		fprintf(p->out, " (%s)", idt);
}

/* What else tells this group from others */
static void print_parts(struct printer *p, const struct ivm_group *g)
{
	const GArray *phases = ivm_breakdown_phases(p->r->breakdown);
	const char *phase = g->phase < 0 ? NULL :
			    g_array_index(phases, struct ivm_phase_info, g->phase).name;

	if (g->from_vcpu >= 0)
		fprintf(p->out, ", from vCPU %d", g->from_vcpu);
	if (g->to_vcpu >= 0)
		fprintf(p->out, ", to vCPU %d", g->to_vcpu);
	if (phase && *phase)
		fprintf(p->out, ", phase %s", phase);
	else if (phase)
		fputs(", before any mark", p->out);
	if (g->state >= 0)
		fprintf(p->out, ", receiver %s", states[g->state]);
}

static void print_group_title(struct printer *p, const struct ivm_group *g)
{
	const char *configured = ivm_report_configured(p->r, g);

	fprintf(p->out, "\n%s", modes[g->mode]);
	if (strcmp(configured, modes[g->mode]))
		fprintf(p->out, " (configured: %s)", configured);
	if (g->from_end)
		print_direction(p, g);
	print_parts(p, g);
	fputc('\n', p->out);
}

static void print_counts(struct printer *p, const struct ivm_group *g)
{
	const struct ivm_counts *c = &g->counts;

	if (ivm_group_ends_seen(g)) {
		fprintf(p->out, "  rung %" PRIu64 " = delivered %" PRIu64 " + coalesced %" PRIu64
			" + masked %" PRIu64 " + dropped %" PRIu64 " + unfinished %" PRIu64 "\n",
			c->rung, c->delivered, c->coalesced, c->masked, c->dropped,
			c->unfinished);
	} else {
		p->notes.unseen = true;
		fprintf(p->out, "  rung %" PRIu64 ", accepted %" PRIu64 ", masked %" PRIu64
			", dropped %" PRIu64 ", unfinished %" PRIu64
			"; delivered and coalesced " UNKNOWN "\n",
			c->rung, c->accepted, c->masked, c->dropped, c->unfinished);
	}
	if (c->disordered)
		fprintf(p->out, "  %" PRIu64 " delivered with points out of order: in no latency\n",
			c->disordered);
	if (c->posted)
		fprintf(p->out, "  %" PRIu64 " posted by hardware\n", c->posted);
}

/* "NAME ±0.036": the clock's bound beside what it belongs to */
static char *bounded_name(struct printer *p, const char *name, const struct ivm_stat *stat,
			  uint64_t err_ns)
{
	char us[32];

	if (!err_ns)
		return g_strdup(name);
	p->notes.bound = true;
	if (stat->p50_ns == IVM_NS_UNKNOWN)
		p->notes.blurred = true;
	return g_strdup_printf("%s ±%s", name, format_us(err_ns, us, sizeof(us)));
}

static void print_row(struct printer *p, const char *name, const struct ivm_stat *stat,
		      uint64_t err_ns, uint64_t whole_ns, uint64_t widest_ns)
{
	g_autofree char *bounded = bounded_name(p, name, stat, err_ns);

	fputs("  ", p->out);
	left(p->out, 25, bounded);
	right_u64(p->out, 9, stat->count);
	right_us(p, 11, stat->p50_ns);
	right_percentile(p, 11, stat, stat->p99_ns);
	right_us(p, 11, stat->max_ns);
	right_share(p->out, 8, stat->sum_ns, whole_ns);
	bar(p->out, widest_ns ? stat->sum_ns : 0, widest_ns);
	fputc('\n', p->out);
}

static void print_hops(struct printer *p, const struct ivm_group *g)
{
	g_autofree char *span = span_name(g->from, g->to);
	g_autofree char *total = g_strdup_printf("total %s", span);
	uint64_t widest_ns = 0;
	unsigned int i;

	for (i = 0; i < g->rows.count; i++)
		widest_ns = MAX(widest_ns, g->rows.row[i].stat.sum_ns);
	fputs("  ", p->out);
	left(p->out, 25, "hop, us");
	right(p->out, 9, "count");
	right(p->out, 11, "p50");
	right(p->out, 11, "p99");
	right(p->out, 11, "max");
	right(p->out, 8, "share");
	fputc('\n', p->out);
	for (i = 0; i < g->rows.count; i++) {
		const struct ivm_row *row = &g->rows.row[i];
		g_autofree char *span_of_row = span_name(row->from, row->to);
		bool probes = ivm_cost_dominates(ivm_cost_within(p->r->probe_costs, g->mode,
								 row->from), row->stat.p50_ns);
		g_autofree char *name = g_strconcat(span_of_row, probes ? " *" : NULL, NULL);

		p->notes.probes |= probes;
		if (ivm_row_approx(row->from, row->to))
			p->notes.approx = true;
		print_row(p, name, &row->stat, row->err_ns, g->total.sum_ns, widest_ns);
	}
	print_row(p, total, &g->total, g->err_ns, g->total.sum_ns, 0);
	p->notes.rows = true;
}

static void add_proof(GString *text, const char *what, uint64_t count)
{
	if (count)
		g_string_append_printf(text, "%s%s %" PRIu64, text->len ? ", " : "", what, count);
}

/* The mode is what these say, not what was asked for */
static void print_proof(struct printer *p, const struct ivm_group *g)
{
	const struct ivm_group_proof *proof = &g->proof;
	g_autoptr(GString) text = g_string_new(NULL);

	add_proof(text, "ioeventfd in kernel", proof->kernel);
	add_proof(text, "exit to user", proof->user);
	add_proof(text, "fast MMIO", proof->fast_mmio);
	add_proof(text, "decoded", proof->decoded);
	add_proof(text, "atomic", proof->atomic);
	add_proof(text, "read by QEMU without irqfd", proof->served);
	add_proof(text, "workqueue", proof->deferred);
	add_proof(text, "unmasked later", proof->unmasked);
	add_proof(text, "injected", proof->injected);
	add_proof(text, "posted", proof->posted);
	if (text->len)
		line(p->out, "path", text->str);
}

/* What the receiver was doing explains more than any percentile */
static void print_states(struct printer *p, const struct ivm_group *g)
{
	g_autoptr(GString) text = g_string_new(NULL);
	const struct ivm_stat *s;
	char us[32];
	int i;

	for (i = 0; i < IVM_R_STATES; i++) {
		s = &g->path[i].total;
		if (!s->count)
			continue;
		g_string_append_printf(text, "%s%s %" PRIu64 " (p50 %s)", text->len ? ", " : "",
				       states[i], s->count,
				       format_us(s->p50_ns, us, sizeof(us)));
	}
	line(p->out, "receiver", text->str);
}

static int print_group_rtt(struct printer *p, const struct ivm_group *g)
{
	struct ivm_report_rtt rtt;
	char p50[32], p99[32];
	int err;

	err = ivm_report_rtt(p->r, modes[g->mode], g->from_end, g->both_ways ? g->to_end : 0,
			     &rtt);
	if (err || !rtt.measured)
		return err;
	if (rtt.stat.count && rtt.stat.p99_ns == IVM_NS_UNKNOWN)
		p->notes.few_samples = true;
	fputs("  ", p->out);
	left(p->out, LABEL_WIDTH - 2, "guest");
	fprintf(p->out, "round trip p50 %s, p99 %s, %" PRIu64 " measured\n",
		format_us(rtt.stat.p50_ns, p50, sizeof(p50)),
		format_us(rtt.stat.p99_ns, p99, sizeof(p99)), rtt.count);
	return 0;
}

static int print_group(struct printer *p, const struct ivm_group *g)
{
	print_group_title(p, g);
	print_counts(p, g);
	print_proof(p, g);
	if (g->has_total) {
		print_hops(p, g);
		print_states(p, g);
	} else if (g->counts.delivered) {
		fputs("  no two points were observed on every journey: no latency\n", p->out);
	}
	return print_group_rtt(p, g);
}

static void print_notes(struct printer *p)
{
	const struct notes *n = &p->notes;

	if (!n->rows && !n->few_samples && !n->approx && !n->unseen)
		return;
	fputc('\n', p->out);
	if (n->rows)
		fputs("Shares are of summed time and add up; percentiles of rows do not.\n",
		      p->out);
	if (n->probes)
		fputs("*  the probe within takes longer than the rest of this hop.\n", p->out);
	if (n->rows && !ivm_breakdown_is_exact(p->r->breakdown))
		fputs("Percentiles from histogram: within 0.8 % of their value; all else is"
		      " exact.\n", p->out);
	if (n->approx)
		fputs("~  ends at kvm_eoi, which this KVM emits at delivery: the handler starts"
		      " a little later.\n", p->out);
	if (n->bound)
		fputs("±  by a guest's clock: it may be off by so much, in us.\n", p->out);
	if (n->blurred)
		fputs(UNKNOWN "  shorter than the clocks can tell: less than the ± beside it.\n",
		      p->out);
	if (n->few_samples)
		fputs(UNKNOWN "  not measured, or too few samples: p99 needs 100.\n", p->out);
	if (n->unseen)
		fputs(UNKNOWN "  delivered: the end is out of sight: by posting, in an emulated VM,"
		      " or on another host.\n", p->out);
}

/**
 * ivm_report_print_text() - print a report for a terminal
 * @r: a report
 * @by: how fine the groups shall be
 * @out: where to
 *
 * Return: 0 or -errno.
 */
int ivm_report_print_text(const struct ivm_report *r, unsigned int by, FILE *out)
{
	struct printer p = { .r = r, .out = out };
	GPtrArray *groups;
	unsigned int i;
	int err;

	err = ivm_breakdown_fill(r->breakdown, by, &groups);
	if (err)
		return err;
	print_header(&p);
	if (groups->len || r->baselines->len)
		err = print_summary(&p);
	else
		fputs("\nNo doorbell of a link was rung while recording.\n", out);
	print_own_cost(&p);
	for (i = 0; i < groups->len && !err; i++)
		err = print_group(&p, g_ptr_array_index(groups, i));
	g_ptr_array_free(groups, TRUE);
	if (!err)
		err = ivm_guest_kernel_print(r->db, out);
	if (!err)
		err = ivm_profile_print_text(r, out);
	print_notes(&p);
	return err;
}
