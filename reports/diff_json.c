// SPDX-License-Identifier: GPL-2.0-or-later
/* ivmtrace diff for programs: schema ivmtrace-diff/1 */
#include <math.h>

#include <json-c/json.h>

#include "diff.h"
#include "environment.h"

static const char *const stats[] = IVM_DIFF_STAT_NAMES;

static void add(struct json_object *o, const char *key, struct json_object *value)
{
	json_object_object_add(o, key, value);
}

static struct json_object *text(const char *s)
{
	return s ? json_object_new_string(s) : NULL;
}

/* JSON has neither: what is not known, and what has no bound, is null */
static struct json_object *number(double value)
{
	char digits[32];

	if (!isfinite(value))
		return NULL;
	g_ascii_formatd(digits, sizeof(digits), "%.10g", value);
	return json_object_new_double_s(value, digits);
}

static struct json_object *shift_json(const struct ivm_shift *s)
{
	struct json_object *o = json_object_new_object();

	add(o, "a_ns", number(s->a));
	add(o, "b_ns", number(s->b));
	add(o, "shift_ns", number(s->b - s->a));
	add(o, "low_ns", number(s->low));
	add(o, "high_ns", number(s->high));
	add(o, "has_interval", json_object_new_boolean(!isnan(s->low)));
	add(o, "changed", json_object_new_boolean(ivm_shift_is_significant(s)));
	return o;
}

static struct json_object *row_json(const struct ivm_diff_group *g, const struct ivm_diff_row *row)
{
	g_autofree char *name = ivm_diff_row_name(row);
	struct json_object *o = json_object_new_object();
	int stat;

	add(o, "name", text(name));
	add(o, "count_a", json_object_new_uint64(row->sample[IVM_SIDE_A]->all.count));
	add(o, "count_b", json_object_new_uint64(row->sample[IVM_SIDE_B]->all.count));
	for (stat = 0; stat < IVM_DIFF_STATS; stat++)
		add(o, stats[stat], shift_json(&row->shift[stat]));
	add(o, "new", json_object_new_boolean(row->is_new));
	add(o, "gone", json_object_new_boolean(row->is_gone));
	add(o, "superiority", number(row->superiority));
	add(o, "part_ns", number(g->has_total ? row->part_ns : NAN));
	add(o, "share_of_shift", number(g->has_total && g->total.part_ns != 0 ?
					row->part_ns / g->total.part_ns : NAN));
	return o;
}

static struct json_object *group_json(const struct ivm_diff_group *g)
{
	struct json_object *o = json_object_new_object(), *rows = json_object_new_array();
	unsigned int i;

	for (i = 0; i < g->rows->len; i++)
		json_object_array_add(rows, row_json(g, &g_array_index(g->rows,
								       struct ivm_diff_row, i)));
	add(o, "name", text(g->name));
	add(o, "runs_a", json_object_new_int64(g->runs[IVM_SIDE_A]));
	add(o, "runs_b", json_object_new_int64(g->runs[IVM_SIDE_B]));
	add(o, "blocks_a", json_object_new_int64(g->blocks[IVM_SIDE_A]));
	add(o, "blocks_b", json_object_new_int64(g->blocks[IVM_SIDE_B]));
	add(o, "total", g->has_total ? row_json(g, &g->total) : NULL);
	add(o, "hops", rows);
	return o;
}

static struct json_object *names_json(char **names)
{
	struct json_object *a = json_object_new_array();

	for (; *names; names++) {
		g_autofree char *valid = g_utf8_make_valid(*names, -1);

		json_object_array_add(a, text(valid));
	}
	return a;
}

static struct json_object *strings_json(const GPtrArray *strings)
{
	struct json_object *a = json_object_new_array();
	unsigned int i;

	for (i = 0; i < strings->len; i++)
		json_object_array_add(a, text(g_ptr_array_index(strings, i)));
	return a;
}

static struct json_object *environment_json(const GPtrArray *changes)
{
	struct json_object *a = json_object_new_array(), *o;
	unsigned int i;

	for (i = 0; i < changes->len; i++) {
		const struct ivm_fact_change *c = g_ptr_array_index(changes, i);

		o = json_object_new_object();
		add(o, "vm", text(c->vm));
		add(o, "key", text(c->key));
		add(o, "a", text(c->a));
		add(o, "b", text(c->b));
		json_object_array_add(a, o);
	}
	return a;
}

void ivm_diff_print_json(const struct ivm_diff *d, char **const names[IVM_SIDES], FILE *out)
{
	struct json_object *o = json_object_new_object(), *groups = json_object_new_array();
	unsigned int i;

	for (i = 0; i < d->groups->len; i++)
		json_object_array_add(groups, group_json(g_ptr_array_index(d->groups, i)));
	add(o, "schema", text("ivmtrace-diff/1"));
	add(o, "a", names_json(names[IVM_SIDE_A]));
	add(o, "b", names_json(names[IVM_SIDE_B]));
	add(o, "environment_changes", environment_json(d->environment));
	add(o, "confidence", number(d->confidence));
	add(o, "figures", json_object_new_int64(d->figures));
	add(o, "only_a", strings_json(d->only[IVM_SIDE_A]));
	add(o, "only_b", strings_json(d->only[IVM_SIDE_B]));
	add(o, "groups", groups);
	fputs(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
						JSON_C_TO_STRING_NOSLASHESCAPE), out);
	fputc('\n', out);
	json_object_put(o);
}
