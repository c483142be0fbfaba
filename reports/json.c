// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reports as JSON, schema ivmtrace-report/1 (docs/report.schema.json).
 *
 * Keys are only ever added.  What is unknown is null, never left out and
 * never 0.
 */
#include <errno.h>
#include <string.h>

#include <json-c/json.h>

#include "guest_kernel.h"
#include "profile.h"
#include "report.h"

static const char *const points[] = IVM_POINT_NAMES;
static const char *const modes[] = IVM_MODE_NAMES;
static const char *const states[] = IVM_RECEIVER_STATE_NAMES;

/* ---- values ---- */

static void add_u64(struct json_object *o, const char *key, uint64_t value)
{
	json_object_object_add(o, key, json_object_new_uint64(value));
}

static void add_u64_if(struct json_object *o, const char *key, bool known, uint64_t value)
{
	json_object_object_add(o, key, known ? json_object_new_uint64(value) : NULL);
}

static void add_ns(struct json_object *o, const char *key, uint64_t ns)
{
	add_u64_if(o, key, ns != IVM_NS_UNKNOWN, ns);
}

static void add_text(struct json_object *o, const char *key, const char *text)
{
	json_object_object_add(o, key, text ? json_object_new_string(text) : NULL);
}

static void add_point(struct json_object *o, const char *key, int point)
{
	add_text(o, key, point < 0 ? NULL : points[point]);
}

static void add_number_text(struct json_object *o, const char *key, const char *text)
{
	uint64_t value = 0;
	bool known = text && g_ascii_string_to_unsigned(text, 10, 0, INT64_MAX, &value, NULL);

	add_u64_if(o, key, known, value);
}

static void add_ratio(struct json_object *o, const char *key, double value)
{
	char text[32];

	g_ascii_formatd(text, sizeof(text), "%.4f", value);
	json_object_object_add(o, key, json_object_new_double_s(value, text));
}

/* ---- header ---- */

static struct json_object *own_cost(const struct ivm_report *r)
{
	struct json_object *all = json_object_new_array();
	const struct ivm_cost_mode *c;
	struct json_object *o;
	unsigned int i;

	for (i = 0; i < r->costs->len; i++) {
		c = g_ptr_array_index(r->costs, i);
		o = json_object_new_object();
		add_text(o, "mode", c->mode);
		add_u64(o, "blocks", c->blocks);
		add_u64(o, "rtt_ns", (uint64_t)(c->rtt_ns + 0.5));
		add_ratio(o, "effect", c->effect);
		add_ratio(o, "effect_low", c->low);
		add_ratio(o, "effect_high", c->high);
		add_u64_if(o, "probes_ns_per_journey", c->journeys,
			   c->journeys ? c->probes_ns / c->journeys : 0);
		json_object_array_add(all, o);
	}
	return all;
}

static struct json_object *host(const struct ivm_report *r)
{
	struct json_object *o = json_object_new_object();
	struct json_object *hooks = json_object_new_object();
	struct json_object *stats = json_object_new_object();
	const struct ivm_report_hook *h;
	struct json_object *stat;
	unsigned int i;

	add_text(o, "kernel", ivm_report_meta(r, "kernel"));
	add_text(o, "arch", ivm_report_meta(r, "arch"));
	add_text(o, "backend", ivm_report_meta(r, "backend"));
	for (i = 0; i < r->hooks->len; i++) {
		h = g_ptr_array_index(r->hooks, i);
		add_text(hooks, h->name, h->state);
		stat = json_object_new_object();
		add_u64(stat, "fired", h->fired);
		add_u64(stat, "missed", h->missed);
		add_u64(stat, "ns", h->run_ns);
		add_ns(stat, "ns_per_run", ivm_cost_of_hook(r->probe_costs, h->name));
		json_object_object_add(stats, h->name, stat);
	}
	json_object_object_add(o, "hooks", hooks);
	json_object_object_add(o, "hook_stats", stats);
	json_object_object_add(o, "own_cost", own_cost(r));
	return o;
}

static struct json_object *phases(const struct ivm_report *r)
{
	const GArray *all = ivm_breakdown_phases(r->breakdown);
	struct json_object *a = json_object_new_array();
	unsigned int i;

	for (i = 0; i < all->len; i++) {
		const struct ivm_phase_info *p = &g_array_index(all, struct ivm_phase_info, i);
		struct json_object *o = json_object_new_object();

		add_text(o, "name", p->name);
		add_u64(o, "start_ns", p->start_ns);
		json_object_array_add(a, o);
	}
	return a;
}

static struct json_object *recording(const struct ivm_report *r)
{
	struct json_object *o = json_object_new_object();

	add_text(o, "start", ivm_report_meta(r, "start"));
	add_number_text(o, "duration_ns", ivm_report_meta(r, "duration_ns"));
	add_text(o, "clock", ivm_report_meta(r, "clock"));
	add_text(o, "rig", ivm_report_meta(r, "rig"));
	add_text(o, "keep", ivm_report_meta(r, "keep"));
	add_number_text(o, "not_kept", ivm_report_meta(r, "not_kept"));
	json_object_object_add(o, "phases", phases(r));
	return o;
}

static struct json_object *lost(const struct ivm_report *r)
{
	struct json_object *o = json_object_new_object();
	struct json_object *sources = json_object_new_object();
	struct json_object *problems = json_object_new_array();
	const struct ivm_report_lost *l;
	unsigned int i;

	add_u64(o, "records", r->lost_records);
	add_u64(o, "unmatched", r->unmatched);
	add_u64(o, "disordered", r->disordered);
	for (i = 0; i < r->lost->len; i++) {
		l = g_ptr_array_index(r->lost, i);
		add_u64(sources, l->source, l->count);
	}
	json_object_object_add(o, "sources", sources);
	for (i = 0; i < r->problems->len; i++)
		json_object_array_add(problems,
				      json_object_new_string(g_ptr_array_index(r->problems, i)));
	json_object_object_add(o, "not_closed", problems);
	return o;
}

static struct json_object *vms(const struct ivm_report *r)
{
	struct json_object *all = json_object_new_array();
	const struct ivm_report_vm *vm;
	struct json_object *o;
	unsigned int i;

	for (i = 0; i < r->vms->len; i++) {
		vm = g_ptr_array_index(r->vms, i);
		o = json_object_new_object();
		add_u64(o, "id", vm->id);
		add_text(o, "name", vm->name);
		json_object_object_add(o, "pid", json_object_new_int(vm->pid));
		json_object_array_add(all, o);
	}
	return all;
}

/* ---- groups ---- */

static struct json_object *total(const struct ivm_group *g)
{
	struct json_object *o;

	if (!g->has_total)
		return NULL;
	o = json_object_new_object();
	add_point(o, "from", (int)g->from);
	add_point(o, "to", (int)g->to);
	add_u64(o, "count", g->total.count);
	add_u64(o, "sum_ns", g->total.sum_ns);
	add_ns(o, "min_ns", g->total.min_ns);
	add_ns(o, "p50_ns", g->total.p50_ns);
	add_ns(o, "p90_ns", g->total.p90_ns);
	add_ns(o, "p99_ns", g->total.p99_ns);
	add_ns(o, "p999_ns", g->total.p999_ns);
	add_ns(o, "max_ns", g->total.max_ns);
	add_ns(o, "mean_ns", g->total.mean_ns);
	add_ns(o, "err_ns", g->err_ns);
	json_object_object_add(o, "approx",
			       json_object_new_boolean(ivm_row_approx(g->from, g->to)));
	return o;
}

static struct json_object *share(uint64_t part_ns, uint64_t whole_ns)
{
	char text[32];
	double value;

	if (!whole_ns)
		return NULL;
	value = (double)part_ns / (double)whole_ns;
	g_ascii_formatd(text, sizeof(text), "%.6f", value);
	return json_object_new_double_s(value, text);
}

/* What of a hop may be the tracer itself */
static void add_probe(struct json_object *o, const struct ivm_report *r, enum ivm_mode mode,
		      const struct ivm_row *row)
{
	uint64_t probe_ns = ivm_cost_within(r->probe_costs, mode, row->from);
	bool dominates = ivm_cost_dominates(probe_ns, row->stat.p50_ns);

	add_ns(o, "probe_ns", probe_ns);
	json_object_object_add(o, "probe_dominates", probe_ns == IVM_NS_UNKNOWN ? NULL :
			       json_object_new_boolean(dominates));
}

static struct json_object *hop(const struct ivm_report *r, enum ivm_mode mode,
			       const struct ivm_row *row, uint64_t whole_ns)
{
	struct json_object *o = json_object_new_object();
	g_autofree char *name = g_strdup_printf("%s..%s", points[row->from], points[row->to]);

	add_text(o, "name", name);
	add_point(o, "from", (int)row->from);
	add_point(o, "to", (int)row->to);
	add_u64(o, "count", row->stat.count);
	add_u64(o, "sum_ns", row->stat.sum_ns);
	add_ns(o, "p50_ns", row->stat.p50_ns);
	add_ns(o, "p99_ns", row->stat.p99_ns);
	add_ns(o, "max_ns", row->stat.max_ns);
	add_ns(o, "mean_ns", row->stat.mean_ns);
	json_object_object_add(o, "share", share(row->stat.sum_ns, whole_ns));
	add_ns(o, "err_ns", row->err_ns);
	json_object_object_add(o, "approx",
			       json_object_new_boolean(ivm_row_approx(row->from, row->to)));
	add_probe(o, r, mode, row);
	return o;
}

static struct json_object *hops(const struct ivm_report *r, enum ivm_mode mode,
				const struct ivm_rows *rows, uint64_t whole_ns)
{
	struct json_object *all = json_object_new_array();
	unsigned int i;

	for (i = 0; i < rows->count; i++)
		json_object_array_add(all, hop(r, mode, &rows->row[i], whole_ns));
	return all;
}

static struct json_object *paths(const struct ivm_report *r, const struct ivm_group *g)
{
	struct json_object *all = json_object_new_array();
	const struct ivm_path *p;
	struct json_object *o;
	int i;

	for (i = 0; i < IVM_R_STATES; i++) {
		p = &g->path[i];
		if (!p->total.count)
			continue;
		o = json_object_new_object();
		add_text(o, "state", states[p->state]);
		add_u64(o, "count", p->total.count);
		add_u64(o, "sum_ns", p->total.sum_ns);
		add_ns(o, "p50_ns", p->total.p50_ns);
		add_ns(o, "p99_ns", p->total.p99_ns);
		json_object_object_add(o, "hops", hops(r, g->mode, &p->rows, p->total.sum_ns));
		json_object_array_add(all, o);
	}
	return all;
}

static struct json_object *shares_with(const struct ivm_report *r, const struct ivm_group *g)
{
	struct json_object *all = json_object_new_array();
	const struct ivm_report_end *end;
	const struct ivm_share *s;
	struct json_object *o;
	unsigned int i;

	for (i = 0; i < g->shares_with->len; i++) {
		s = &g_array_index(g->shares_with, struct ivm_share, i);
		end = ivm_report_find_end(r, s->from_end);
		o = json_object_new_object();
		add_text(o, "link", end ? end->link : NULL);
		add_u64_if(o, "from", end, end ? end->vm : 0);
		add_u64(o, "from_end", s->from_end);
		add_u64(o, "vector", s->vector);
		json_object_array_add(all, o);
	}
	return all;
}

static void add_counts(struct json_object *o, const struct ivm_group *g)
{
	const struct ivm_counts *c = &g->counts;
	bool seen = ivm_group_ends_seen(g);

	add_u64(o, "rung", c->rung);
	add_u64_if(o, "delivered", seen, c->delivered);
	add_u64_if(o, "coalesced", seen, c->coalesced);
	add_u64(o, "masked", c->masked);
	add_u64(o, "dropped", c->dropped);
	add_u64(o, "unfinished", c->unfinished);
	add_u64(o, "accepted", c->accepted);
	add_u64(o, "posted", c->posted);
}

static struct json_object *proof(const struct ivm_group *g)
{
	const struct ivm_group_proof *p = &g->proof;
	struct json_object *o = json_object_new_object();

	add_u64(o, "kernel", p->kernel);
	add_u64(o, "user", p->user);
	add_u64(o, "fast_mmio", p->fast_mmio);
	add_u64(o, "decoded", p->decoded);
	add_u64(o, "atomic", p->atomic);
	add_u64(o, "served", p->served);
	add_u64(o, "deferred", p->deferred);
	add_u64(o, "unmasked", p->unmasked);
	add_u64(o, "injected", p->injected);
	add_u64(o, "posted", p->posted);
	return o;
}

static struct json_object *group(const struct ivm_report *r, const struct ivm_group *g)
{
	const struct ivm_report_end *from = ivm_report_find_end(r, g->from_end);
	const struct ivm_report_end *to = ivm_report_find_end(r, g->to_end);
	struct json_object *o = json_object_new_object();

	add_text(o, "mode", modes[g->mode]);
	add_text(o, "configured", ivm_report_configured(r, g));
	add_text(o, "link", from ? from->link : NULL);
	add_u64_if(o, "from", from, from ? from->vm : 0);
	add_u64_if(o, "to", to, to ? to->vm : 0);
	add_u64(o, "from_end", g->from_end);
	add_u64_if(o, "to_end", g->to_end, g->to_end);
	add_u64(o, "vector", g->vector_min);
	add_u64_if(o, "irq_vector", g->irq_vector_min, g->irq_vector_min);
	add_counts(o, g);
	json_object_object_add(o, "proof", proof(g));
	add_point(o, "rung_at", g->rung_at);
	add_point(o, "delivered_at", g->delivered_at);
	json_object_object_add(o, "shares_with", shares_with(r, g));
	add_text(o, "percentiles", ivm_breakdown_is_exact(r->breakdown) ? "exact" : "histogram");
	json_object_object_add(o, "total", total(g));
	json_object_object_add(o, "hops", hops(r, g->mode, &g->rows, g->total.sum_ns));
	json_object_object_add(o, "paths", paths(r, g));
	return o;
}

static int groups(const struct ivm_report *r, struct json_object **out)
{
	GPtrArray *all;
	unsigned int i;
	int err;

	err = ivm_breakdown_fill(r->breakdown, IVM_BY_VECTOR, &all);
	if (err)
		return err;
	*out = json_object_new_array();
	for (i = 0; i < all->len; i++)
		json_object_array_add(*out, group(r, g_ptr_array_index(all, i)));
	g_ptr_array_free(all, TRUE);
	return 0;
}

/* ---- guests ---- */

static struct json_object *rtt(const struct ivm_report_rtt *rtt)
{
	struct json_object *o;

	if (!rtt->measured)
		return NULL;
	o = json_object_new_object();
	add_u64(o, "count", rtt->count);
	add_ns(o, "p50_ns", rtt->stat.p50_ns);
	add_ns(o, "p99_ns", rtt->stat.p99_ns);
	add_ns(o, "min_ns", rtt->stat.min_ns);
	add_ns(o, "max_ns", rtt->stat.max_ns);
	return o;
}

static struct json_object *guests(const struct ivm_report *r)
{
	struct json_object *all = json_object_new_array();
	const struct ivm_report_guest *g;
	struct json_object *o;
	unsigned int i;

	for (i = 0; i < r->guests->len; i++) {
		g = g_ptr_array_index(r->guests, i);
		o = json_object_new_object();
		add_text(o, "mode", g->mode);
		add_text(o, "link", g->link);
		add_u64_if(o, "from", g->from_vm, g->from_vm);
		add_u64_if(o, "from_end", g->from_end, g->from_end);
		add_u64(o, "vector", g->vector);
		add_u64(o, "sent", g->sent);
		add_u64(o, "handled", g->handled);
		json_object_object_add(o, "rtt", rtt(&g->rtt));
		json_object_array_add(all, o);
	}
	return all;
}

/* Only where there is something: most guests have no kernel */
static void add_guest_kernel(struct json_object *o, const struct ivm_report *r)
{
	struct json_object *rows = ivm_guest_kernel_json(r->db);

	if (!rows || json_object_array_length(rows))
		json_object_object_add(o, "guest_kernel", rows);
	else
		json_object_put(rows);
}

static struct json_object *baselines(const struct ivm_report *r)
{
	struct json_object *all = json_object_new_array();
	const struct ivm_report_baseline *b;
	struct json_object *o;
	unsigned int i;

	for (i = 0; i < r->baselines->len; i++) {
		b = g_ptr_array_index(r->baselines, i);
		o = json_object_new_object();
		add_text(o, "device", b->device);
		json_object_object_add(o, "ioeventfd", json_object_new_boolean(b->ioeventfd));
		json_object_object_add(o, "rtt", rtt(&b->rtt));
		json_object_array_add(all, o);
	}
	return all;
}

/**
 * ivm_report_print_json() - print a report as JSON
 * @r: a report
 * @out: where to
 *
 * Return: 0, or -errno with nothing printed.
 */
int ivm_report_print_json(const struct ivm_report *r, FILE *out)
{
	struct json_object *all_groups = NULL;
	struct json_object *o, *profile;
	int err;

	err = groups(r, &all_groups);
	if (err)
		return err;
	o = json_object_new_object();
	add_text(o, "schema", "ivmtrace-report/1");
	json_object_object_add(o, "host", host(r));
	json_object_object_add(o, "recording", recording(r));
	json_object_object_add(o, "environment", ivm_facts_json(r->facts));
	json_object_object_add(o, "lost", lost(r));
	json_object_object_add(o, "vms", vms(r));
	json_object_object_add(o, "groups", all_groups);
	json_object_object_add(o, "guest", guests(r));
	add_guest_kernel(o, r);
	json_object_object_add(o, "baseline", baselines(r));
	profile = ivm_profile_json(r);
	if (profile)
		json_object_object_add(o, "profile", profile);
	fputs(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
						JSON_C_TO_STRING_SPACED |
						JSON_C_TO_STRING_NOSLASHESCAPE), out);
	fputc('\n', out);
	json_object_put(o);
	return 0;
}
