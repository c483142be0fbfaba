// SPDX-License-Identifier: GPL-2.0-or-later
/* Explanations as JSON, schema ivmtrace-explain/1; keys are only ever added */
#include <errno.h>

#include <json-c/json.h>

#include "explain.h"

static const char *const points[] = IVM_POINT_NAMES;
static const char *const modes[] = IVM_MODE_NAMES;

static void add_u64(struct json_object *o, const char *key, uint64_t value)
{
	json_object_object_add(o, key, json_object_new_uint64(value));
}

static void add_text(struct json_object *o, const char *key, const char *text)
{
	json_object_object_add(o, key, text ? json_object_new_string(text) : NULL);
}

static void add_share(struct json_object *o, uint64_t ns, uint64_t total_ns)
{
	double share = (double)ns / (double)total_ns;
	char text[G_ASCII_DTOSTR_BUF_SIZE];

	g_ascii_formatd(text, sizeof(text), "%.6f", share);
	json_object_object_add(o, "share", json_object_new_double_s(share, text));
}

static struct json_object *cause(const struct ivm_cause *c, uint64_t total_ns)
{
	struct json_object *o = json_object_new_object();

	add_text(o, "cause", ivm_cause_name(c->kind));
	add_u64(o, "ns", c->ns);
	add_share(o, c->ns, total_ns);
	json_object_object_add(o, "tid", c->tid ? json_object_new_uint64(c->tid) : NULL);
	add_text(o, "text", c->text);
	return o;
}

/* null if none is out of line */
static struct json_object *hop(const struct ivm_slow_journey *s)
{
	struct json_object *o;

	if (s->from == s->to)
		return NULL;
	o = json_object_new_object();
	add_text(o, "from", points[s->from]);
	add_text(o, "to", points[s->to]);
	add_u64(o, "ns", s->j.t_ns[s->to] - s->j.t_ns[s->from]);
	json_object_object_add(o, "usual_ns", s->usual_ns ? json_object_new_uint64(s->usual_ns) :
							   NULL);
	return o;
}

static struct json_object *journey(const struct ivm_slow_journey *s)
{
	struct json_object *o = json_object_new_object();
	struct json_object *causes = json_object_new_array();
	const struct ivm_cause *first = ivm_explain_main(s);
	uint64_t total_ns = s->end_ns - s->begin_ns;
	guint i;

	add_u64(o, "id", s->j.id);
	add_u64(o, "begin_ns", s->begin_ns);
	add_u64(o, "total_ns", total_ns);
	add_u64(o, "vector", s->j.vector);
	add_u64(o, "cookie", s->j.cookie);
	json_object_object_add(o, "hop", hop(s));
	json_object_object_add(o, "context", json_object_new_boolean(s->has_context));
	json_object_object_add(o, "complete", json_object_new_boolean(s->complete));
	add_text(o, "main_cause", first ? ivm_cause_name(first->kind) : NULL);
	for (i = 0; i < s->causes->len; i++)
		json_object_array_add(causes, cause(&g_array_index(s->causes, struct ivm_cause, i),
						    total_ns));
	json_object_object_add(o, "causes", causes);
	return o;
}

static struct json_object *group(const struct ivm_explain *e, const struct ivm_explain_group *g)
{
	const struct ivm_report_end *from = ivm_report_find_end(e->report, g->from_end);
	const struct ivm_report_end *to = ivm_report_find_end(e->report, g->to_end);
	struct json_object *o = json_object_new_object(), *journeys = json_object_new_array();
	guint i;

	add_text(o, "mode", modes[g->mode]);
	add_text(o, "link", from ? from->link : NULL);
	json_object_object_add(o, "from", from ? json_object_new_uint64(from->vm) : NULL);
	json_object_object_add(o, "to", to ? json_object_new_uint64(to->vm) : NULL);
	add_u64(o, "delivered", g->delivered);
	add_u64(o, "p50_ns", ivm_hist_percentile(&g->total, 500));
	json_object_object_add(o, "p99_ns", g->delivered >= IVM_P99_MIN_COUNT ?
			       json_object_new_uint64(ivm_hist_percentile(&g->total, 990)) :
			       NULL);
	for (i = 0; i < g->slow->len; i++)
		json_object_array_add(journeys, journey(g_ptr_array_index(g->slow, i)));
	json_object_object_add(o, "journeys", journeys);
	return o;
}

/**
 * ivm_explain_print_json() - for programs
 * @e: loaded
 * @out: where to
 *
 * Return: 0 or -errno.
 */
int ivm_explain_print_json(const struct ivm_explain *e, FILE *out)
{
	struct json_object *o = json_object_new_object(), *groups = json_object_new_array();
	guint i;

	add_text(o, "schema", "ivmtrace-explain/1");
	json_object_object_add(o, "context", json_object_new_boolean(e->has_context));
	for (i = 0; i < e->groups->len; i++)
		json_object_array_add(groups, group(e, g_ptr_array_index(e->groups, i)));
	json_object_object_add(o, "groups", groups);
	fputs(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
						JSON_C_TO_STRING_NOSLASHESCAPE), out);
	fputc('\n', out);
	json_object_put(o);
	return ferror(out) ? -EIO : 0;
}
