// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Histograms with buckets of equal width.
 */
#include <inttypes.h>
#include <string.h>

#include <json-c/json.h>

#include "../tracer/summary.h"
#include "linear.h"

#define INDEX_WIDTH	9
#define MIN_WIDTH	9

static const char *const points[] = IVM_POINT_NAMES;
static const char *const modes[] = IVM_MODE_NAMES;

/* A hop, or the total of journeys that begin and end at the same points */
struct column {
	int from, to;
	bool total;
	uint64_t count, sum_ns, min_ns, max_ns;
	uint64_t over;			/* beyond the last bucket */
	uint64_t *bucket;		/* of the number of entries */
};

struct ivm_linear {
	struct ivm_linear_opts opts;
	GPtrArray *columns[IVM_MODES];	/* struct column *, hops by points, then totals */
};

static void free_column(gpointer p)
{
	struct column *c = p;

	g_free(c->bucket);
	g_free(c);
}

struct ivm_linear *ivm_linear_new(const struct ivm_linear_opts *opts)
{
	struct ivm_linear *l = g_new0(struct ivm_linear, 1);
	int i;

	l->opts = *opts;
	for (i = 0; i < IVM_MODES; i++)
		l->columns[i] = g_ptr_array_new_with_free_func(free_column);
	return l;
}

void ivm_linear_free(struct ivm_linear *l)
{
	int i;

	if (!l)
		return;
	for (i = 0; i < IVM_MODES; i++)
		g_ptr_array_free(l->columns[i], TRUE);
	g_free(l);
}

/* ---- adding ---- */

/* Hops by their points, then totals */
static int order(const struct column *c, bool total, int from, int to)
{
	if (c->total != total)
		return (int)c->total - (int)total;
	return c->from != from ? c->from - from : c->to - to;
}

static struct column *column_of(struct ivm_linear *l, int mode, bool total, int from, int to)
{
	GPtrArray *columns = l->columns[mode];
	struct column *c;
	guint i;
	int at;

	for (i = 0; i < columns->len; i++) {
		c = g_ptr_array_index(columns, i);
		at = order(c, total, from, to);
		if (!at)
			return c;
		if (at > 0)
			break;
	}
	c = g_new0(struct column, 1);
	c->from = from;
	c->to = to;
	c->total = total;
	c->bucket = g_new0(uint64_t, l->opts.entries);
	g_ptr_array_insert(columns, (gint)i, c);
	return c;
}

static void add(struct ivm_linear *l, struct column *c, uint64_t ns)
{
	uint64_t i = ns / l->opts.bucket_ns;

	if (i < l->opts.entries)
		c->bucket[i]++;
	else
		c->over++;
	c->min_ns = c->count ? MIN(c->min_ns, ns) : ns;
	c->max_ns = MAX(c->max_ns, ns);
	c->sum_ns += ns;
	c->count++;
}

void ivm_linear_add(struct ivm_linear *l, const struct ivm_journey *j)
{
	int i, first = -1, last = -1;

	if (!ivm_is_complete(j->outcome, j->flags) ||
	    (l->opts.mode >= 0 && l->opts.mode != j->mode))
		return;
	for (i = 0; i < IVM_POINTS; i++) {
		/* The guest's acknowledgement ends no total */
		if (!ivm_seen(j, i) || i == IVM_P_EOI)
			continue;
		if (last >= 0)
			add(l, column_of(l, j->mode, false, last, i), j->t_ns[i] - j->t_ns[last]);
		else
			first = i;
		last = i;
	}
	if (last > first)
		add(l, column_of(l, j->mode, true, first, last), j->t_ns[last] - j->t_ns[first]);
}

/* ---- text ---- */

static char *name_of(const struct column *c)
{
	return g_strdup_printf("%s%s..%s", c->total ? "total " : "", points[c->from],
			       points[c->to]);
}

static int width_of(const struct column *c)
{
	g_autofree char *name = name_of(c);

	return MAX((int)strlen(name), MIN_WIDTH) + 2;
}

static void put_label(const struct ivm_linear *l, FILE *out, const char *text)
{
	if (!l->opts.no_index)
		fprintf(out, "%-*s", INDEX_WIDTH, text);
}

static void put_us(FILE *out, int width, uint64_t ns)
{
	char text[32];

	g_snprintf(text, sizeof(text), "%" PRIu64 ".%03u", ns / 1000, (unsigned int)(ns % 1000));
	fprintf(out, "%*s", width, text);
}

static bool is_empty(const GPtrArray *columns, unsigned int bucket)
{
	guint i;

	for (i = 0; i < columns->len; i++)
		if (((struct column *)g_ptr_array_index(columns, i))->bucket[bucket])
			return false;
	return true;
}

/* The smallest value of a bucket, in as many decimals as tell it from the next one */
static void bucket_label(const struct ivm_linear *l, unsigned int bucket, char *text, gsize bytes)
{
	uint64_t ns = bucket * l->opts.bucket_ns;

	if (l->opts.bucket_ns % 1000)
		g_snprintf(text, bytes, "%" PRIu64 ".%03u", ns / 1000, (unsigned int)(ns % 1000));
	else
		g_snprintf(text, bytes, "%" PRIu64, ns / 1000);
}

static void put_buckets(const struct ivm_linear *l, const GPtrArray *columns, FILE *out)
{
	unsigned int bucket;
	char label[32];
	guint i;

	for (bucket = 0; bucket < l->opts.entries; bucket++) {
		if (!l->opts.with_zeros && is_empty(columns, bucket))
			continue;
		bucket_label(l, bucket, label, sizeof(label));
		put_label(l, out, label);
		for (i = 0; i < columns->len; i++) {
			const struct column *c = g_ptr_array_index(columns, i);

			fprintf(out, "%*" PRIu64, width_of(c), c->bucket[bucket]);
		}
		fputc('\n', out);
	}
}

static uint64_t over_of(const struct column *c)
{
	return c->over;
}

static uint64_t count_of(const struct column *c)
{
	return c->count;
}

static uint64_t min_of(const struct column *c)
{
	return c->min_ns;
}

static uint64_t mean_of(const struct column *c)
{
	return (c->sum_ns + c->count / 2) / c->count;
}

static uint64_t max_of(const struct column *c)
{
	return c->max_ns;
}

static void put_summary(const struct ivm_linear *l, const GPtrArray *columns, FILE *out)
{
	static const struct {
		const char *label;
		uint64_t (*value)(const struct column *c);
		bool is_time;
	} lines[] = {
		{ "over:", over_of, false }, { "count:", count_of, false },
		{ "min:", min_of, true }, { "avg:", mean_of, true }, { "max:", max_of, true },
	};
	unsigned int k;
	guint i;

	for (k = 0; k < G_N_ELEMENTS(lines); k++) {
		put_label(l, out, lines[k].label);
		for (i = 0; i < columns->len; i++) {
			const struct column *c = g_ptr_array_index(columns, i);

			if (lines[k].is_time)
				put_us(out, width_of(c), lines[k].value(c));
			else
				fprintf(out, "%*" PRIu64, width_of(c), lines[k].value(c));
		}
		fputc('\n', out);
	}
}

static void put_table(const struct ivm_linear *l, int mode, FILE *out)
{
	const GPtrArray *columns = l->columns[mode];
	guint i;

	if (!l->opts.no_header) {
		fprintf(out, "# mode %s\n", modes[mode]);
		put_label(l, out, "Index");
		for (i = 0; i < columns->len; i++) {
			const struct column *c = g_ptr_array_index(columns, i);
			g_autofree char *name = name_of(c);

			fprintf(out, "%*s", width_of(c), name);
		}
		fputc('\n', out);
	}
	put_buckets(l, columns, out);
	if (!l->opts.no_summary)
		put_summary(l, columns, out);
}

static void put_header(const struct ivm_linear *l, uint64_t duration_ns, FILE *out)
{
	char text[32];

	fputs("# ivmtrace latency histogram\n# Time unit is microseconds (us), buckets are of ",
	      out);
	fprintf(out, "%s us\n", g_ascii_formatd(text, sizeof(text), "%g",
						(double)l->opts.bucket_ns / 1000));
	if (duration_ns)
		fprintf(out, "# Duration: %" PRIu64 ".%03u s\n", duration_ns / 1000000000,
			(unsigned int)(duration_ns / 1000000 % 1000));
}

void ivm_linear_print_text(const struct ivm_linear *l, uint64_t duration_ns, FILE *out)
{
	bool any = false;
	int mode;

	if (!l->opts.no_header)
		put_header(l, duration_ns, out);
	for (mode = 0; mode < IVM_MODES; mode++) {
		if (!l->columns[mode]->len)
			continue;
		if (any)
			fputc('\n', out);
		put_table(l, mode, out);
		any = true;
	}
	if (!any && !l->opts.no_header)
		fputs("# no interrupt was delivered\n", out);
}

/* ---- JSON ---- */

static void add_u64(struct json_object *o, const char *key, uint64_t value)
{
	json_object_object_add(o, key, json_object_new_uint64(value));
}

static struct json_object *buckets_json(const struct ivm_linear *l, const struct column *c)
{
	struct json_object *all = json_object_new_array(), *pair;
	unsigned int i;

	for (i = 0; i < l->opts.entries; i++) {
		if (!c->bucket[i] && !l->opts.with_zeros)
			continue;
		pair = json_object_new_array_ext(2);
		json_object_array_add(pair, json_object_new_uint64(i * l->opts.bucket_ns));
		json_object_array_add(pair, json_object_new_uint64(c->bucket[i]));
		json_object_array_add(all, pair);
	}
	return all;
}

static struct json_object *column_json(const struct ivm_linear *l, int mode,
				       const struct column *c)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "mode", json_object_new_string(modes[mode]));
	json_object_object_add(o, "from", json_object_new_string(points[c->from]));
	json_object_object_add(o, "to", json_object_new_string(points[c->to]));
	json_object_object_add(o, "total", json_object_new_boolean(c->total));
	add_u64(o, "count", c->count);
	add_u64(o, "sum_ns", c->sum_ns);
	add_u64(o, "min_ns", c->min_ns);
	add_u64(o, "max_ns", c->max_ns);
	add_u64(o, "over", c->over);
	json_object_object_add(o, "buckets", buckets_json(l, c));
	return o;
}

void ivm_linear_print_json(const struct ivm_linear *l, uint64_t duration_ns, FILE *out)
{
	struct json_object *o = json_object_new_object(), *all = json_object_new_array();
	int mode;
	guint i;

	json_object_object_add(o, "schema", json_object_new_string("ivmtrace-hist/1"));
	json_object_object_add(o, "duration_ns", duration_ns ?
			       json_object_new_uint64(duration_ns) : NULL);
	add_u64(o, "bucket_ns", l->opts.bucket_ns);
	add_u64(o, "entries", l->opts.entries);
	for (mode = 0; mode < IVM_MODES; mode++)
		for (i = 0; i < l->columns[mode]->len; i++)
			json_object_array_add(all, column_json(l, mode, g_ptr_array_index(
								l->columns[mode], i)));
	json_object_object_add(o, "hops", all);
	fputs(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
						JSON_C_TO_STRING_SPACED |
						JSON_C_TO_STRING_NOSLASHESCAPE), out);
	fputc('\n', out);
	json_object_put(o);
}
