// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A recording as one HTML file that needs nothing else.
 *
 * The page is the same for all recordings (reports/page/); what differs is one
 * block of JSON in it, which its script puts into the page as text, never as
 * markup.  Figures are those of the breakdown, over all journeys; only dots and
 * waterfalls of single journeys are samples, and the page says of how many.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <json-c/json.h>

#include "cursor.h"
#include "environment.h"
#include "explain.h"
#include "html_page.h"
#include "html_sample.h"
#include "report.h"

static const char *const points[] = IVM_POINT_NAMES;
static const char *const modes[] = IVM_MODE_NAMES;
static const char *const states[] = IVM_RECEIVER_STATE_NAMES;

struct page {
	const struct ivm_report *r;
	GPtrArray *groups;	/* struct ivm_group *, by mode */
	GPtrArray *blocks;	/* the same by block of time */
	struct ivm_html_sample *samples;	/* one for each of groups */
	struct ivm_explain *explain;	/* NULL if nothing was recorded to explain with */
	GHashTable *slow;		/* id of a journey -> struct ivm_slow_journey in explain */
	uint64_t start_ns;
	uint64_t duration_ns;
};

/* ---- JSON ---- */

static void add(struct json_object *o, const char *key, struct json_object *value)
{
	json_object_object_add(o, key, value);
}

static struct json_object *text(const char *s)
{
	g_autofree char *valid = s ? g_utf8_make_valid(s, -1) : NULL;

	return valid ? json_object_new_string(valid) : NULL;
}

static struct json_object *u64(uint64_t value)
{
	return json_object_new_uint64(value);
}

static struct json_object *ns(uint64_t value)
{
	return value == IVM_NS_UNKNOWN ? NULL : u64(value);
}

static void push(struct json_object *a, struct json_object *value)
{
	json_object_array_add(a, value);
}

static char *span_name(enum ivm_point from, enum ivm_point to)
{
	return g_strdup_printf("%s..%s%s", points[from], points[to],
			       ivm_row_approx(from, to) ? "~" : "");
}

static struct json_object *stat_json(enum ivm_point from, enum ivm_point to,
				     const struct ivm_stat *s, uint64_t err_ns)
{
	g_autofree char *name = span_name(from, to);
	struct json_object *o = json_object_new_object();

	add(o, "name", text(name));
	add(o, "count", u64(s->count));
	add(o, "sum", u64(s->sum_ns));
	add(o, "p50", ns(s->p50_ns));
	add(o, "p99", ns(s->p99_ns));
	add(o, "p999", ns(s->p999_ns));
	add(o, "max", ns(s->max_ns));
	add(o, "mean", ns(s->mean_ns));
	add(o, "err", ns(err_ns));
	return o;
}

/* ---- one mode ---- */

static struct json_object *counts_json(const struct ivm_group *g)
{
	const struct ivm_counts *c = &g->counts;
	struct json_object *o = json_object_new_object();

	add(o, "rung", u64(c->rung));
	add(o, "delivered", ivm_group_ends_seen(g) ? u64(c->delivered) : NULL);
	add(o, "coalesced", ivm_group_ends_seen(g) ? u64(c->coalesced) : NULL);
	add(o, "masked", u64(c->masked));
	add(o, "dropped", u64(c->dropped));
	add(o, "unfinished", u64(c->unfinished));
	add(o, "accepted", u64(c->accepted));
	add(o, "disordered", u64(c->disordered));
	return o;
}

static struct json_object *rows_json(const struct ivm_rows *rows)
{
	struct json_object *a = json_object_new_array();
	unsigned int i;

	for (i = 0; i < rows->count; i++)
		push(a, stat_json(rows->row[i].from, rows->row[i].to, &rows->row[i].stat,
				  rows->row[i].err_ns));
	return a;
}

static struct json_object *paths_json(const struct ivm_group *g)
{
	struct json_object *a = json_object_new_array(), *o;
	int i;

	for (i = 0; i < IVM_R_STATES; i++) {
		if (!g->path[i].total.count)
			continue;
		o = json_object_new_object();
		add(o, "state", text(states[g->path[i].state]));
		add(o, "count", u64(g->path[i].total.count));
		add(o, "p50", ns(g->path[i].total.p50_ns));
		add(o, "p99", ns(g->path[i].total.p99_ns));
		push(a, o);
	}
	return a;
}

static int push_bucket(void *arg, uint64_t low_ns, uint64_t count)
{
	struct json_object *bucket = json_object_new_array();

	push(bucket, u64(low_ns));
	push(bucket, u64(ivm_hist_bucket_end(low_ns)));
	push(bucket, u64(count));
	push(arg, bucket);
	return 0;
}

static struct json_object *hist_json(const struct ivm_hist *h)
{
	struct json_object *a = json_object_new_array();

	ivm_hist_each(h, push_bucket, a);
	return a;
}

/* [seconds, p50, p99, max, count] of each block of time */
static struct json_object *series_json(const struct page *p, const struct ivm_group *g)
{
	const GArray *infos = ivm_breakdown_blocks(p->r->breakdown);
	struct json_object *a = json_object_new_array(), *row;
	unsigned int i;

	for (i = 0; i < p->blocks->len; i++) {
		const struct ivm_group *b = g_ptr_array_index(p->blocks, i);
		const struct ivm_block_info *info;

		if (b->mode != g->mode || b->configured != g->configured || b->block < 0 ||
		    !b->total.count)
			continue;
		info = &g_array_index(infos, struct ivm_block_info, b->block);
		row = json_object_new_array();
		push(row, u64(MAX(info->start_ns, p->start_ns) - p->start_ns));
		push(row, ns(b->total.p50_ns));
		push(row, ns(b->total.p99_ns));
		push(row, ns(b->total.max_ns));
		push(row, u64(b->total.count));
		push(a, row);
	}
	return a;
}

static struct json_object *dots_json(const struct page *p, const struct ivm_html_sample *s)
{
	struct json_object *a = json_object_new_array(), *dot;
	unsigned int i;

	for (i = 0; i < s->dots->len; i++) {
		const struct ivm_dot *d = &g_array_index(s->dots, struct ivm_dot, i);

		dot = json_object_new_array();
		push(dot, u64(d->t_ns - MIN(p->start_ns, d->t_ns)));
		push(dot, u64(d->total_ns));
		push(a, dot);
	}
	return a;
}

static const char *vm_name(const struct ivm_report *r, const struct ivm_report_end *end)
{
	const struct ivm_report_vm *vm = end ? ivm_report_find_vm(r, end->vm) : NULL;

	return vm ? vm->name : "?";
}

static struct json_object *points_json(const struct ivm_journey *j)
{
	struct json_object *a = json_object_new_array(), *point;
	int i;

	for (i = 0; i < IVM_POINTS; i++) {
		if (!ivm_seen(j, i))
			continue;
		point = json_object_new_array();
		push(point, text(i == IVM_P_EOI_STANDIN ? "eoi~" : points[i]));
		push(point, u64(j->t_ns[i]));
		push(a, point);
	}
	return a;
}

/* What explain says of it, the largest part first; NULL without context */
static struct json_object *causes_json(const struct page *p, uint64_t id)
{
	const struct ivm_slow_journey *s = p->slow ? g_hash_table_lookup(p->slow, &id) : NULL;
	struct json_object *a, *o;
	unsigned int i;

	if (!s || !s->has_context)
		return NULL;
	a = json_object_new_array();
	for (i = 0; i < s->causes->len; i++) {
		const struct ivm_cause *c = &g_array_index(s->causes, struct ivm_cause, i);

		o = json_object_new_object();
		add(o, "kind", text(ivm_cause_name(c->kind)));
		add(o, "ns", u64(c->ns));
		add(o, "text", text(c->text));
		push(a, o);
	}
	return a;
}

static struct json_object *journey_json(const struct page *p, const struct ivm_dot *slow,
					const struct ivm_journey *j)
{
	const struct ivm_report_end *from = ivm_report_find_end(p->r, j->from_end);
	const struct ivm_report_end *to = ivm_report_find_end(p->r, j->to_end);
	struct json_object *o = json_object_new_object();

	add(o, "id", u64(j->id));
	add(o, "t", u64(slow->t_ns - MIN(p->start_ns, slow->t_ns)));
	add(o, "total", u64(slow->total_ns));
	add(o, "link", text(from ? from->link : "?"));
	add(o, "from", text(vm_name(p->r, from)));
	add(o, "to", text(vm_name(p->r, to)));
	add(o, "vector", u64(j->vector));
	add(o, "from_vcpu", u64(j->from_vcpu));
	add(o, "to_vcpu", u64(j->to_vcpu));
	add(o, "receiver", text(states[ivm_receiver_state(j)]));
	add(o, "points", points_json(j));
	add(o, "causes", causes_json(p, j->id));
	return o;
}

/* A journey out of order slips through the pass that looked at two of its points only */
static struct json_object *slow_json(const struct page *p, const struct ivm_dot *slow,
				     unsigned int count)
{
	struct json_object *a = json_object_new_array();
	struct ivm_journey j;
	unsigned int i;

	for (i = 0; i < count; i++)
		if (slow[i].id && !ivm_journey_read(p->r->db, slow[i].id, &j) &&
		    !(j.flags & IVM_J_DISORDERED))
			push(a, journey_json(p, &slow[i], &j));
	return a;
}

static struct json_object *mode_json(const struct page *p, const struct ivm_html_sample *s)
{
	const struct ivm_group *g = s->group;
	struct json_object *o = json_object_new_object();

	add(o, "mode", text(modes[g->mode]));
	add(o, "configured", text(ivm_report_configured(p->r, g)));
	add(o, "counts", counts_json(g));
	if (!g->has_total || !g->total.count)
		return o;
	add(o, "total", stat_json(g->from, g->to, &g->total, g->err_ns));
	add(o, "hops", rows_json(&g->rows));
	add(o, "paths", paths_json(g));
	add(o, "hist", hist_json(&g->total_hist));
	add(o, "series", series_json(p, g));
	add(o, "dots", dots_json(p, s));
	add(o, "outliers", slow_json(p, s->part, IVM_SAMPLE_PARTS));
	add(o, "slowest", slow_json(p, s->slowest, IVM_SAMPLE_SLOWEST));
	return o;
}

/* ---- the whole ---- */

static struct json_object *meta_json(const struct ivm_report *r)
{
	static const char *const keys[] = { "kernel", "arch", "rig", "backend", "start", "clock",
					    "keep", "kept", "not_kept" };
	struct json_object *o = json_object_new_object();
	unsigned int i;

	for (i = 0; i < G_N_ELEMENTS(keys); i++)
		if (ivm_report_meta(r, keys[i]))
			add(o, keys[i], text(ivm_report_meta(r, keys[i])));
	return o;
}

static struct json_object *vms_json(const struct ivm_report *r)
{
	struct json_object *a = json_object_new_array(), *o;
	unsigned int i;

	for (i = 0; i < r->vms->len; i++) {
		const struct ivm_report_vm *vm = g_ptr_array_index(r->vms, i);

		o = json_object_new_object();
		add(o, "name", text(vm->name));
		add(o, "pid", u64((uint64_t)vm->pid));
		push(a, o);
	}
	return a;
}

static struct json_object *lost_json(const struct ivm_report *r)
{
	struct json_object *o = json_object_new_object(), *sources = json_object_new_object();
	unsigned int i;

	for (i = 0; i < r->lost->len; i++) {
		const struct ivm_report_lost *lost = g_ptr_array_index(r->lost, i);

		if (lost->count)
			add(sources, lost->source, u64(lost->count));
	}
	add(o, "records", u64(r->lost_records));
	add(o, "unmatched", u64(r->unmatched));
	add(o, "disordered", u64(r->disordered));
	add(o, "sources", sources);
	return o;
}

static struct json_object *hooks_json(const struct ivm_report *r)
{
	struct json_object *o = json_object_new_object();
	unsigned int i;

	for (i = 0; i < r->hooks->len; i++) {
		const struct ivm_report_hook *h = g_ptr_array_index(r->hooks, i);

		add(o, h->name, text(h->state));
	}
	return o;
}

static struct json_object *problems_json(const struct ivm_report *r)
{
	struct json_object *a = json_object_new_array();
	unsigned int i;

	for (i = 0; i < r->problems->len; i++)
		push(a, text(g_ptr_array_index(r->problems, i)));
	return a;
}

static struct json_object *page_json(const struct page *p)
{
	struct json_object *o = json_object_new_object(), *all = json_object_new_array();
	unsigned int i;

	for (i = 0; i < p->groups->len; i++)
		push(all, mode_json(p, &p->samples[i]));
	add(o, "meta", meta_json(p->r));
	add(o, "duration", u64(p->duration_ns));
	add(o, "exact", json_object_new_boolean(ivm_breakdown_is_exact(p->r->breakdown)));
	add(o, "vms", vms_json(p->r));
	add(o, "lost", lost_json(p->r));
	add(o, "hooks", hooks_json(p->r));
	add(o, "problems", problems_json(p->r));
	add(o, "environment", p->r->facts->len ? ivm_facts_json(p->r->facts) : NULL);
	add(o, "modes", all);
	return o;
}

/* ---- loading ---- */

/* Looking for causes is worth while only if something was recorded to find them with */
static bool has_context(sqlite3 *db)
{
	sqlite3_stmt *stmt = NULL;
	bool found;

	sqlite3_prepare_v2(db, "SELECT 1 FROM slow LIMIT 1", -1, &stmt, NULL);
	found = stmt && sqlite3_step(stmt) == SQLITE_ROW;
	sqlite3_finalize(stmt);
	return found;
}

static int load_causes(struct page *p)
{
	const struct ivm_explain_opts opts = { .count = IVM_SAMPLE_PARTS, .mode = -1 };
	unsigned int i, k;
	int err;

	if (!has_context(p->r->db))
		return 0;
	err = ivm_explain_load(p->r, &opts, &p->explain);
	if (err)
		return err;
	p->slow = g_hash_table_new(g_int64_hash, g_int64_equal);
	for (i = 0; i < p->explain->groups->len; i++) {
		const struct ivm_explain_group *g = g_ptr_array_index(p->explain->groups, i);

		for (k = 0; k < g->slow->len; k++) {
			struct ivm_slow_journey *s = g_ptr_array_index(g->slow, k);

			g_hash_table_insert(p->slow, &s->j.id, s);
		}
	}
	return 0;
}

static uint64_t meta_u64(const struct ivm_report *r, const char *key)
{
	const char *value = ivm_report_meta(r, key);

	return value ? g_ascii_strtoull(value, NULL, 10) : 0;
}

static int page_load(struct page *p, const struct ivm_report *r)
{
	unsigned int i;
	int err;

	p->r = r;
	p->start_ns = meta_u64(r, "start_ns");
	p->duration_ns = meta_u64(r, "duration_ns");
	err = ivm_breakdown_fill(r->breakdown, IVM_BY_MODE, &p->groups);
	if (!err)
		err = ivm_breakdown_fill(r->breakdown, IVM_BY_MODE | IVM_BY_BLOCK, &p->blocks);
	if (err)
		return err;
	p->samples = g_new0(struct ivm_html_sample, p->groups->len + 1);
	for (i = 0; i < p->groups->len; i++)
		ivm_html_sample_init(&p->samples[i], g_ptr_array_index(p->groups, i), p->start_ns,
				     p->duration_ns);
	err = ivm_html_sample_fill(r->db, p->samples, p->groups->len);
	return err ? err : load_causes(p);
}

static void page_clear(struct page *p)
{
	unsigned int i;

	for (i = 0; p->samples && i < p->groups->len; i++)
		ivm_html_sample_clear(&p->samples[i]);
	g_free(p->samples);
	if (p->slow)
		g_hash_table_destroy(p->slow);
	ivm_explain_free(p->explain);
	if (p->groups)
		g_ptr_array_free(p->groups, TRUE);
	if (p->blocks)
		g_ptr_array_free(p->blocks, TRUE);
}

/* ---- the file ---- */

/* Within a script element "<" may begin its end, or a comment; in JSON it is only in strings */
static void write_data(struct json_object *o, FILE *out)
{
	const char *s = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							  JSON_C_TO_STRING_NOSLASHESCAPE);

	for (; *s; s++) {
		if (*s == '<')
			fputs("\\u003c", out);
		else
			fputc(*s, out);
	}
}

static void write_part(const char *name, size_t bytes, struct json_object *data, FILE *out)
{
	static const struct { const char *name; const char *content; } parts[] = {
		{ "UPLOT_CSS", ivm_uplot_css }, { "CSS", ivm_page_css },
		{ "UPLOT_LICENSE", ivm_uplot_license }, { "UPLOT_JS", ivm_uplot_js },
		{ "JS", ivm_page_js },
	};
	unsigned int i;

	for (i = 0; i < G_N_ELEMENTS(parts); i++)
		if (strlen(parts[i].name) == bytes && !memcmp(parts[i].name, name, bytes))
			fputs(parts[i].content, out);
	if (bytes == strlen("DATA") && !memcmp(name, "DATA", bytes))
		write_data(data, out);
}

/* Text and names of parts take turns between "@@" */
static void write_page(struct json_object *data, FILE *out)
{
	const char *at = ivm_page_html, *mark;
	bool is_name = false;

	while ((mark = strstr(at, "@@"))) {
		if (is_name)
			write_part(at, (size_t)(mark - at), data, out);
		else
			fwrite(at, 1, (size_t)(mark - at), out);
		is_name = !is_name;
		at = mark + 2;
	}
	fputs(at, out);
}

/**
 * ivm_report_print_html() - write a recording as one HTML file
 * @r: a report
 * @out: where to; ferror() tells if that failed
 *
 * Return: 0, or -EBADMSG if the recording is damaged.
 */
int ivm_report_print_html(const struct ivm_report *r, FILE *out)
{
	struct json_object *data;
	struct page p = { 0 };
	int err;

	err = page_load(&p, r);
	if (!err) {
		data = page_json(&p);
		write_page(data, out);
		json_object_put(data);
	}
	page_clear(&p);
	return err;
}
