// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reports as CSV (RFC 4180): a line for each group's counts and total, and one for each hop.
 *
 * What is unknown is an empty field.  Text that a spreadsheet would take for a formula gets an
 * apostrophe in front.
 */
#include <inttypes.h>
#include <string.h>

#include "report.h"

static const char *const points[] = IVM_POINT_NAMES;
static const char *const modes[] = IVM_MODE_NAMES;
static const char *const states[] = IVM_RECEIVER_STATE_NAMES;

static const char header[] =
	"mode,configured,link,from_vm,to_vm,from_end,to_end,both_ways,vector_min,vector_max,"
	"from_vcpu,to_vcpu,phase,receiver,rung,delivered,coalesced,masked,dropped,unfinished,"
	"accepted,posted,disordered,kind,from,to,count,sum_ns,min_ns,p50_ns,p90_ns,p99_ns,"
	"p999_ns,max_ns,mean_ns,share,err_ns\r\n";

/* ---- fields: each ends with its comma ---- */

static void add_text(GString *out, const char *text)
{
	const char *p;

	if (text && *text && strchr("=+-@\t\r", *text)) {
		g_string_append(out, "\"'");
	} else if (text && strpbrk(text, ",\"\r\n")) {
		g_string_append_c(out, '"');
	} else {
		g_string_append_printf(out, "%s,", text ? text : "");
		return;
	}
	for (p = text; *p; p++)
		g_string_append_printf(out, *p == '"' ? "\"%c" : "%c", *p);
	g_string_append(out, "\",");
}

static void add_u64(GString *out, uint64_t value)
{
	g_string_append_printf(out, "%" PRIu64 ",", value);
}

static void add_if(GString *out, bool known, uint64_t value)
{
	if (known)
		add_u64(out, value);
	else
		g_string_append_c(out, ',');
}

static void add_ns(GString *out, uint64_t ns)
{
	add_if(out, ns != IVM_NS_UNKNOWN, ns);
}

static const char *vm_name(const struct ivm_report *r, uint32_t end_id)
{
	const struct ivm_report_end *end = ivm_report_find_end(r, end_id);
	const struct ivm_report_vm *vm = end ? ivm_report_find_vm(r, end->vm) : NULL;

	return vm ? vm->name : NULL;
}

/* ---- lines ---- */

static void add_way(GString *out, const struct ivm_report *r, const struct ivm_group *g)
{
	const struct ivm_report_end *from = ivm_report_find_end(r, g->from_end);
	const GArray *phases = ivm_breakdown_phases(r->breakdown);

	add_text(out, modes[g->mode]);
	add_text(out, ivm_report_configured(r, g));
	add_text(out, from ? from->link : NULL);
	add_text(out, vm_name(r, g->from_end));
	add_text(out, vm_name(r, g->to_end));
	add_if(out, g->from_end, g->from_end);
	add_if(out, g->to_end, g->to_end);
	add_u64(out, g->both_ways);
	add_u64(out, g->vector_min);
	add_u64(out, g->vector_max);
	add_if(out, g->from_vcpu >= 0, (uint64_t)g->from_vcpu);
	add_if(out, g->to_vcpu >= 0, (uint64_t)g->to_vcpu);
	add_text(out, g->phase < 0 ? NULL :
		 g_array_index(phases, struct ivm_phase_info, g->phase).name);
	add_text(out, g->state < 0 ? NULL : states[g->state]);
}

static void add_counts(GString *out, const struct ivm_group *g)
{
	const struct ivm_counts *c = &g->counts;
	bool seen = ivm_group_ends_seen(g);

	add_u64(out, c->rung);
	add_if(out, seen, c->delivered);
	add_if(out, seen, c->coalesced);
	add_u64(out, c->masked);
	add_u64(out, c->dropped);
	add_u64(out, c->unfinished);
	add_u64(out, c->accepted);
	add_u64(out, c->posted);
	add_u64(out, c->disordered);
}

static void add_stat(GString *out, const struct ivm_stat *s, uint64_t whole_ns, uint64_t err_ns)
{
	char share[G_ASCII_DTOSTR_BUF_SIZE] = "";

	add_u64(out, s->count);
	add_u64(out, s->sum_ns);
	add_ns(out, s->min_ns);
	add_ns(out, s->p50_ns);
	add_ns(out, s->p90_ns);
	add_ns(out, s->p99_ns);
	add_ns(out, s->p999_ns);
	add_ns(out, s->max_ns);
	add_ns(out, s->mean_ns);
	if (whole_ns)
		g_ascii_formatd(share, sizeof(share), "%.6f",
				(double)s->sum_ns / (double)whole_ns);
	g_string_append_printf(out, "%s,", share);
	if (err_ns != IVM_NS_UNKNOWN)
		g_string_append_printf(out, "%" PRIu64, err_ns);
	g_string_append(out, "\r\n");
}

/* The way and the counts stand in each line, so that each can be understood alone */
static void add_group(GString *out, const struct ivm_report *r, const struct ivm_group *g)
{
	g_autoptr(GString) front = g_string_new(NULL);
	unsigned int i;

	add_way(front, r, g);
	add_counts(front, g);
	if (!g->has_total) {
		g_string_append_printf(out, "%scounts%s\r\n", front->str, ",,,,,,,,,,,,,");
		return;
	}
	g_string_append_printf(out, "%stotal,%s,%s,", front->str, points[g->from],
			       points[g->to]);
	add_stat(out, &g->total, g->total.sum_ns, g->err_ns);
	for (i = 0; i < g->rows.count; i++) {
		const struct ivm_row *row = &g->rows.row[i];

		g_string_append_printf(out, "%shop,%s,%s,", front->str, points[row->from],
				       points[row->to]);
		add_stat(out, &row->stat, g->total.sum_ns, row->err_ns);
	}
}

/**
 * ivm_report_print_csv() - print a report as CSV
 * @r: a report
 * @by: what a group is, IVM_BY_*
 * @out: where to
 *
 * Return: 0, or -errno with nothing printed.
 */
int ivm_report_print_csv(const struct ivm_report *r, unsigned int by, FILE *out)
{
	g_autoptr(GString) text = g_string_new(header);
	GPtrArray *groups;
	unsigned int i;
	int err;

	err = ivm_breakdown_fill(r->breakdown, by, &groups);
	if (err)
		return err;
	for (i = 0; i < groups->len; i++)
		add_group(text, r, g_ptr_array_index(groups, i));
	g_ptr_array_free(groups, TRUE);
	fputs(text->str, out);
	return 0;
}
