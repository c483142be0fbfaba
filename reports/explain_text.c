// SPDX-License-Identifier: GPL-2.0-or-later
/* Explanations for a terminal, after the manner of rtla's auto-analysis */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "explain.h"

#define TEXT_WIDTH	75	/* of 100 columns */

static const char *const points[] = IVM_POINT_NAMES;
static const char *const modes[] = IVM_MODE_NAMES;

static const char *vm_name(const struct ivm_report *r, uint32_t end_id)
{
	const struct ivm_report_end *end = ivm_report_find_end(r, end_id);
	const struct ivm_report_vm *vm = end ? ivm_report_find_vm(r, end->vm) : NULL;

	return vm ? vm->name : "–";
}

static const char *hop_mark(enum ivm_point p)
{
	return p == IVM_P_EOI_STANDIN ? "~" : "";
}

static void print_us(FILE *out, int width, uint64_t ns)
{
	g_autofree char *text = g_strdup_printf("%" PRIu64 ".%03u", ns / 1000,
						(unsigned int)(ns % 1000));

	fprintf(out, "%*s", width, text);
}

/*
 * Tenths of a percent that add up to 1000: what rounding down leaves goes to
 * those that lost most by it.
 */
static unsigned int *shares(const struct ivm_slow_journey *s)
{
	uint64_t total_ns = s->end_ns - s->begin_ns;
	unsigned int *share = g_new0(unsigned int, s->causes->len + 1), sum = 0;
	guint i, most;

	for (i = 0; i < s->causes->len; i++) {
		share[i] = (unsigned int)((double)g_array_index(s->causes, struct ivm_cause,
								 i).ns * 1000 / (double)total_ns);
		sum += share[i];
	}
	while (s->causes->len && sum < 1000) {
		double best = -1;

		for (i = most = 0; i < s->causes->len; i++) {
			double lost = (double)g_array_index(s->causes, struct ivm_cause, i).ns *
				      1000 / (double)total_ns - share[i];

			if (lost > best) {
				best = lost;
				most = i;
			}
		}
		share[most]++;
		sum++;
	}
	return share;
}

/* Names of files may be long; JSON has all of them */
static void print_cut(FILE *out, const char *text)
{
	g_autofree char *head = g_utf8_substring(text, 0, MIN(g_utf8_strlen(text, -1),
							      TEXT_WIDTH - 1));

	fprintf(out, "%s%s\n", head, strlen(head) < strlen(text) ? "…" : "");
}

static void print_hop(const struct ivm_slow_journey *s, FILE *out)
{
	if (s->from == s->to) {
		fputs("     no hop is out of line\n", out);
		return;
	}
	fprintf(out, "     out of line: %s%s..%s%s ", points[s->from], hop_mark(s->from),
		points[s->to], hop_mark(s->to));
	print_us(out, 0, s->j.t_ns[s->to] - s->j.t_ns[s->from]);
	if (!s->usual_ns) {
		fputs(" us, usually unknown\n", out);
		return;
	}
	fputs(" us, usually ", out);
	print_us(out, 0, s->usual_ns);
	fputs(" us\n", out);
}

static void print_journey(const struct ivm_explain *e, const struct ivm_slow_journey *s,
			  unsigned int rank, FILE *out)
{
	const char *start = ivm_report_meta(e->report, "start_ns");
	uint64_t start_ns = start ? g_ascii_strtoull(start, NULL, 10) : 0;
	uint64_t since_ns = s->begin_ns > start_ns ? s->begin_ns - start_ns : 0;
	g_autofree unsigned int *share = shares(s);
	guint i;

	fprintf(out, "\n  %u. ", rank);
	print_us(out, 0, s->end_ns - s->begin_ns);
	fprintf(out, " us, journey %llu, vector %u, cookie %" PRIu32, (unsigned long long)s->j.id,
		s->j.vector, s->j.cookie);
	if (start_ns)
		fprintf(out, ", %" PRIu64 ".%06u s after the start", since_ns / 1000000000,
			(unsigned int)(since_ns / 1000 % 1000000));
	fputc('\n', out);
	print_hop(s, out);
	for (i = 0; i < s->causes->len; i++) {
		const struct ivm_cause *c = &g_array_index(s->causes, struct ivm_cause, i);

		print_us(out, 14, c->ns);
		fprintf(out, "  %3u.%u%%  ", share[i] / 10, share[i] % 10);
		print_cut(out, c->text);
	}
	if (e->has_context && !s->has_context)
		fputs("     its threads were not looked at: it was not among the slowest then\n",
		      out);
	else if (s->has_context && !s->complete)
		fputs("     not all that happened on its threads is known\n", out);
}

static void print_sums(const struct ivm_explain_group *g, FILE *out)
{
	unsigned int main_of[IVM_CAUSES] = { 0 };
	uint64_t ns[IVM_CAUSES] = { 0 }, sum_ns = 0;
	int kind;
	guint n, i;

	for (n = 0; n < g->slow->len; n++) {
		const struct ivm_slow_journey *s = g_ptr_array_index(g->slow, n);
		const struct ivm_cause *first = ivm_explain_main(s);

		if (first)
			main_of[first->kind]++;
		sum_ns += s->end_ns - s->begin_ns;
		for (i = 0; i < s->causes->len; i++) {
			const struct ivm_cause *c = &g_array_index(s->causes, struct ivm_cause, i);

			ns[c->kind] += c->ns;
		}
	}
	fputs("\n  together\n", out);
	for (kind = 0; kind < IVM_CAUSES; kind++) {
		if (!ns[kind])
			continue;
		fprintf(out, "%13.1f%%  %s", (double)ns[kind] * 100 / (double)sum_ns,
			ivm_cause_name(kind));
		if (main_of[kind])
			fprintf(out, ", most of all in %u", main_of[kind]);
		fputc('\n', out);
	}
}

static void print_group(const struct ivm_explain *e, const struct ivm_explain_group *g, FILE *out)
{
	const struct ivm_report_end *from = ivm_report_find_end(e->report, g->from_end);
	guint i;

	fprintf(out, "%s, link %s, %s → %s: ", modes[g->mode], from ? from->link : "–",
		vm_name(e->report, g->from_end), vm_name(e->report, g->to_end));
	if (!g->slow->len) {
		fprintf(out, "none of %" PRIu64 " delivered is that slow\n\n", g->delivered);
		return;
	}
	fprintf(out, "the %u slowest of %" PRIu64 " delivered (p50 ",
		g->slow->len, g->delivered);
	print_us(out, 0, ivm_hist_percentile(&g->total, 500));
	fputs(" us", out);
	if (g->delivered >= IVM_P99_MIN_COUNT) {
		fputs(", p99 ", out);
		print_us(out, 0, ivm_hist_percentile(&g->total, 990));
		fputs(" us", out);
	}
	fputs(")\n", out);
	for (i = 0; i < g->slow->len; i++)
		print_journey(e, g_ptr_array_index(g->slow, i), i + 1, out);
	print_sums(g, out);
	fputc('\n', out);
}

/**
 * ivm_explain_print_text() - for a terminal
 * @e: loaded
 * @out: where to
 *
 * Return: 0 or -errno.
 */
int ivm_explain_print_text(const struct ivm_explain *e, FILE *out)
{
	guint i;

	if (!e->groups->len)
		fputs("no delivered interrupt has two points to measure between\n", out);
	for (i = 0; i < e->groups->len; i++)
		print_group(e, g_ptr_array_index(e->groups, i), out);
	if (e->groups->len && !e->has_context)
		fputs("This recording does not say what happened on the threads of its VMs: "
		      "'ivmtrace record\n--context' does.\n", out);
	return ferror(out) ? -EIO : 0;
}
