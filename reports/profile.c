// SPDX-License-Identifier: GPL-2.0-or-later
/* Samples of a recording, put together by hop, function and stack */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../tracer/error.h"
#include "../tracer/recording.h"
#include "cursor.h"
#include "profile.h"

#define WIDTH		100
#define NAME_COLUMN	56
#define MAX_FUNCTIONS	5		/* of a hop, in text */
#define UNKNOWN		"–"

static const char *const points[] = IVM_POINT_NAMES;
static const char *const modes[] = IVM_MODE_NAMES;
static const char *const threads[] = IVM_SAMPLE_THREAD_NAMES;

struct function {
	char *name;
	uint64_t samples;
};

/* Samples of a hop on one of its threads, of one mode and direction */
struct hop {
	uint32_t from_end, to_end;
	int mode, from, to, thread;
	uint64_t samples;
	GHashTable *by_name;		/* name -> struct function, owned */
	GPtrArray *functions;		/* the same by samples, made in the end */
};

/* A row: samples with the same stack in the same hop */
struct row {
	struct hop hop;
	json_object *frames;		/* an array, not empty */
};

typedef void (*row_fn)(void *arg, const struct row *row);

/* ---- reading ---- */

/* "kfree_[k]" of a flame graph is "kfree [k]" to a reader */
static char *readable(const char *name)
{
	g_autofree char *valid = g_utf8_make_valid(name, -1);
	char *p;

	for (p = valid; *p; p++)
		if (g_ascii_iscntrl(*p))
			*p = '?';
	if (g_str_has_suffix(valid, "_[k]"))
		valid[strlen(valid) - strlen("_[k]")] = ' ';
	return g_steal_pointer(&valid);
}

static const char *frame(const struct row *row, size_t i)
{
	const char *name = json_object_get_string(json_object_array_get_idx(row->frames, i));

	return name ? name : "[unknown]";
}

static size_t frames(const struct row *row)
{
	return json_object_array_length(row->frames);
}

/* A recording may come from anywhere: unknown names are damage, unknown stacks are just that */
static bool read_row(sqlite3_stmt *stmt, struct row *row)
{
	const char *stack = (const char *)sqlite3_column_text(stmt, 6);
	const struct {
		int *index, count;
		const char *const *names;
	} words[] = {
		{ &row->hop.mode, IVM_MODES, modes },
		{ &row->hop.from, IVM_POINTS, points },
		{ &row->hop.to, IVM_POINTS, points },
		{ &row->hop.thread, IVM_SAMPLE_THREADS, threads },
	};
	unsigned int i;

	for (i = 0; i < G_N_ELEMENTS(words); i++) {
		*words[i].index = ivm_name_index((const char *)sqlite3_column_text(stmt, (int)i),
						 words[i].names, words[i].count);
		if (*words[i].index < 0)
			return false;
	}
	row->hop.from_end = (uint32_t)sqlite3_column_int64(stmt, 4);
	row->hop.to_end = (uint32_t)sqlite3_column_int64(stmt, 5);
	row->hop.samples = (uint64_t)sqlite3_column_int64(stmt, 7);
	row->frames = stack ? json_tokener_parse(stack) : NULL;
	if (json_object_is_type(row->frames, json_type_array) && frames(row))
		return true;
	json_object_put(row->frames);
	row->frames = json_object_new_array();
	json_object_array_add(row->frames, json_object_new_string("[unknown]"));
	return true;
}

static int read_rows(const struct ivm_report *r, row_fn fn, void *arg)
{
	static const char sql[] =
		"SELECT s.mode, s.from_point, s.to_point, s.thread, s.from_end, s.to_end, p.frames,"
		" count(*) FROM profile_samples s LEFT JOIN profile_stacks p USING (stack)"
		" GROUP BY 1, 2, 3, 4, 5, 6, s.stack";
	sqlite3_stmt *stmt;
	struct row row;
	int rc, err = 0;

	if (sqlite3_prepare_v2(r->db, sql, -1, &stmt, NULL) != SQLITE_OK)
		return -EBADMSG;
	while (!err && (rc = sqlite3_step(stmt)) != SQLITE_DONE) {
		memset(&row, 0, sizeof(row));
		if (rc != SQLITE_ROW || !read_row(stmt, &row)) {
			err = -EBADMSG;
			break;
		}
		fn(arg, &row);
		json_object_put(row.frames);
	}
	sqlite3_finalize(stmt);
	return err;
}

/* ---- hops and their functions ---- */

static void free_function(gpointer p)
{
	g_free(((struct function *)p)->name);
	g_free(p);
}

static void free_hop(gpointer p)
{
	struct hop *h = p;

	g_hash_table_destroy(h->by_name);
	if (h->functions)
		g_ptr_array_unref(h->functions);
	g_free(h);
}

static int compare_hops(const struct hop *x, const struct hop *y)
{
	const int64_t differences[] = {
		(int64_t)x->mode - y->mode,
		(int64_t)x->from_end - y->from_end,
		(int64_t)x->to_end - y->to_end,
		x->from - y->from,
		x->to - y->to,
		x->thread - y->thread,
	};
	unsigned int i;

	for (i = 0; i < G_N_ELEMENTS(differences); i++)
		if (differences[i])
			return differences[i] < 0 ? -1 : 1;
	return 0;
}

static gint compare_hop_pointers(gconstpointer a, gconstpointer b)
{
	return compare_hops(*(struct hop *const *)a, *(struct hop *const *)b);
}

/* Few: a hop for each pair of points and thread of each direction */
static struct hop *hop_of(GPtrArray *hops, const struct hop *key)
{
	struct hop *h;
	guint i;

	for (i = hops->len; i-- > 0;) {
		h = g_ptr_array_index(hops, i);
		if (!compare_hops(h, key))
			return h;
	}
	h = g_new(struct hop, 1);
	*h = *key;
	h->samples = 0;
	h->functions = NULL;
	h->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_function);
	g_ptr_array_add(hops, h);
	return h;
}

/* The innermost function is the one that was running */
static void add_row(void *arg, const struct row *row)
{
	struct hop *h = hop_of(arg, &row->hop);
	g_autofree char *name = readable(frame(row, frames(row) - 1));
	struct function *f = g_hash_table_lookup(h->by_name, name);

	if (!f) {
		f = g_new0(struct function, 1);
		f->name = g_steal_pointer(&name);
		g_hash_table_insert(h->by_name, f->name, f);
	}
	f->samples += row->hop.samples;
	h->samples += row->hop.samples;
}

static gint compare_functions(gconstpointer a, gconstpointer b)
{
	const struct function *x = *(struct function *const *)a;
	const struct function *y = *(struct function *const *)b;

	if (x->samples != y->samples)
		return x->samples > y->samples ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void sort_functions(struct hop *h)
{
	GHashTableIter i;
	gpointer f;

	h->functions = g_ptr_array_new();
	g_hash_table_iter_init(&i, h->by_name);
	while (g_hash_table_iter_next(&i, NULL, &f))
		g_ptr_array_add(h->functions, f);
	g_ptr_array_sort(h->functions, compare_functions);
}

static int read_hops(const struct ivm_report *r, GPtrArray **hops)
{
	guint i;
	int err;

	*hops = g_ptr_array_new_with_free_func(free_hop);
	err = read_rows(r, add_row, *hops);
	g_ptr_array_sort(*hops, compare_hop_pointers);
	for (i = 0; i < (*hops)->len; i++)
		sort_functions(g_ptr_array_index(*hops, i));
	return err;
}

static bool has_profile(const struct ivm_report *r)
{
	return ivm_report_meta(r, "profile_hz");
}

static const char *link_name(const struct ivm_report *r, uint32_t end)
{
	const struct ivm_report_end *e = ivm_report_find_end(r, end);

	return e ? e->link : "?";
}

static const struct ivm_report_vm *vm_of(const struct ivm_report *r, uint32_t end)
{
	const struct ivm_report_end *e = ivm_report_find_end(r, end);

	return e ? ivm_report_find_vm(r, e->vm) : NULL;
}

/* ---- text ---- */

static const char *fact(const struct ivm_report *r, const char *key)
{
	const char *value = ivm_report_meta(r, key);

	return value ? value : UNKNOWN;
}

static void print_function(const struct hop *h, const struct function *f, FILE *out)
{
	g_autofree char *name = NULL;

	if (g_utf8_strlen(f->name, -1) > WIDTH - NAME_COLUMN)
		name = g_utf8_substring(f->name, 0, WIDTH - NAME_COLUMN);
	fprintf(out, "%6.1f%% %8" PRIu64 "  %s\n", 100.0 * (double)f->samples / (double)h->samples,
		f->samples, name ? name : f->name);
}

static void print_hop(const struct hop *h, FILE *out)
{
	g_autofree char *name = g_strdup_printf("%s..%s", points[h->from], points[h->to]);
	guint i;

	fprintf(out, "  %-20s %-9s %6" PRIu64, name, threads[h->thread], h->samples);
	if (h->samples < IVM_PROFILE_MIN_SAMPLES) {
		fprintf(out, "      " UNKNOWN "           too few samples\n");
		return;
	}
	for (i = 0; i < h->functions->len && i < MAX_FUNCTIONS; i++) {
		if (i)
			fprintf(out, "%39s", "");
		print_function(h, g_ptr_array_index(h->functions, i), out);
	}
}

static void print_direction(const struct ivm_report *r, const struct hop *h, FILE *out)
{
	const struct ivm_report_vm *from = vm_of(r, h->from_end), *to = vm_of(r, h->to_end);

	fprintf(out, "\nprofile of %s, link %s, %s → %s\n", modes[h->mode],
		link_name(r, h->from_end), from ? from->name : "?", to ? to->name : "?");
	fprintf(out, "  %-20s %-9s %6s %7s %8s  %s\n", "hop", "thread", "hits", "share", "hits",
		"function");
}

int ivm_profile_print_text(const struct ivm_report *r, FILE *out)
{
	const struct hop *h, *last = NULL;
	GPtrArray *hops;
	guint i;
	int err;

	if (!has_profile(r))
		return 0;
	err = read_hops(r, &hops);
	if (!err)
		fprintf(out, "\nprofile   %s, %s Hz: %s samples, %s of them in no hop\n",
			fact(r, "profile_event"), fact(r, "profile_hz"),
			fact(r, "profile_samples"), fact(r, "profile_outside"));
	for (i = 0; i < hops->len && !err; i++) {
		h = g_ptr_array_index(hops, i);
		if (!last || h->mode != last->mode || h->from_end != last->from_end ||
		    h->to_end != last->to_end)
			print_direction(r, h, out);
		print_hop(h, out);
		last = h;
	}
	g_ptr_array_unref(hops);
	return err;
}

/* ---- folded stacks ---- */

struct folding {
	const struct ivm_report *r;
	GHashTable *lines;		/* text -> count, as a pointer */
};

/* A semicolon separates, a new line ends */
static void append_folded(GString *line, const char *name)
{
	g_autofree char *valid = g_utf8_make_valid(name, -1);
	char *p;

	for (p = valid; *p; p++)
		if (*p == ';' || g_ascii_iscntrl(*p))
			*p = '?';
	if (line->len)
		g_string_append_c(line, ';');
	g_string_append(line, valid);
}

static void fold_row(void *arg, const struct row *row)
{
	g_autofree char *hop = g_strdup_printf("%s..%s", points[row->hop.from],
					       points[row->hop.to]);
	GString *line = g_string_new(NULL);
	struct folding *f = arg;
	uint64_t *count;
	char *text;
	size_t i;

	append_folded(line, link_name(f->r, row->hop.from_end));
	append_folded(line, modes[row->hop.mode]);
	append_folded(line, hop);
	for (i = 0; i < frames(row); i++)
		append_folded(line, frame(row, i));
	text = g_string_free(line, FALSE);
	count = g_hash_table_lookup(f->lines, text);
	if (!count) {
		count = g_new0(uint64_t, 1);
		g_hash_table_insert(f->lines, text, count);
	} else {
		g_free(text);
	}
	*count += row->hop.samples;
}

static gint compare_lines(gconstpointer a, gconstpointer b)
{
	return strcmp(a, b);
}

int ivm_profile_print_folded(const struct ivm_report *r, FILE *out)
{
	struct folding f = { .r = r };
	GList *lines, *i;
	int err;

	if (!has_profile(r))
		return ivm_fail("this recording has no profile: 'ivmtrace record --profile' makes "
				"one");
	f.lines = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	err = read_rows(r, fold_row, &f);
	lines = g_list_sort(g_hash_table_get_keys(f.lines), compare_lines);
	for (i = err ? NULL : lines; i; i = i->next)
		fprintf(out, "%s %" PRIu64 "\n", (char *)i->data,
			*(uint64_t *)g_hash_table_lookup(f.lines, i->data));
	g_list_free(lines);
	g_hash_table_destroy(f.lines);
	return err;
}

/* ---- JSON ---- */

static void add_number(json_object *o, const char *key, const char *text)
{
	json_object_object_add(o, key, text ? json_object_new_int64(atoll(text)) : NULL);
}

static json_object *vm_id(const struct ivm_report_vm *vm)
{
	return vm ? json_object_new_int64(vm->id) : NULL;
}

static json_object *hop_json(const struct ivm_report *r, const struct hop *h)
{
	g_autofree char *name = g_strdup_printf("%s..%s", points[h->from], points[h->to]);
	json_object *o = json_object_new_object(), *functions = json_object_new_array(), *one;
	guint i;

	json_object_object_add(o, "mode", json_object_new_string(modes[h->mode]));
	json_object_object_add(o, "link", json_object_new_string(link_name(r, h->from_end)));
	json_object_object_add(o, "from", vm_id(vm_of(r, h->from_end)));
	json_object_object_add(o, "to", vm_id(vm_of(r, h->to_end)));
	json_object_object_add(o, "hop", json_object_new_string(name));
	json_object_object_add(o, "thread", json_object_new_string(threads[h->thread]));
	json_object_object_add(o, "samples", json_object_new_int64((int64_t)h->samples));
	for (i = 0; i < h->functions->len; i++) {
		const struct function *f = g_ptr_array_index(h->functions, i);

		one = json_object_new_object();
		json_object_object_add(one, "name", json_object_new_string(f->name));
		json_object_object_add(one, "samples", json_object_new_int64((int64_t)f->samples));
		json_object_array_add(functions, one);
	}
	json_object_object_add(o, "functions", functions);
	return o;
}

struct json_object *ivm_profile_json(const struct ivm_report *r)
{
	json_object *o, *all;
	const char *event;
	GPtrArray *hops;
	guint i;

	if (!has_profile(r))
		return NULL;
	if (read_hops(r, &hops)) {
		g_ptr_array_unref(hops);
		return NULL;
	}
	o = json_object_new_object();
	all = json_object_new_array();
	event = ivm_report_meta(r, "profile_event");
	json_object_object_add(o, "event", event ? json_object_new_string(event) : NULL);
	add_number(o, "hz", ivm_report_meta(r, "profile_hz"));
	add_number(o, "samples", ivm_report_meta(r, "profile_samples"));
	add_number(o, "outside", ivm_report_meta(r, "profile_outside"));
	for (i = 0; i < hops->len; i++)
		json_object_array_add(all, hop_json(r, g_ptr_array_index(hops, i)));
	json_object_object_add(o, "hops", all);
	g_ptr_array_unref(hops);
	return o;
}
