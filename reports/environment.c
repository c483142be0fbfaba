// SPDX-License-Identifier: GPL-2.0-or-later
/* What a recording says of its environment, and where two of them differ */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "environment.h"

static void free_fact(gpointer p)
{
	struct ivm_fact *f = p;

	g_free(f->vm);
	g_free(f->key);
	g_free(f->value);
	g_free(f);
}

static void free_change(gpointer p)
{
	struct ivm_fact_change *c = p;

	g_free(c->vm);
	g_free(c->key);
	g_free(c->a);
	g_free(c->b);
	g_free(c);
}

/* Out of a file of strangers: valid UTF-8 without control characters */
static char *text(sqlite3_stmt *stmt, int column)
{
	const char *raw = (const char *)sqlite3_column_text(stmt, column);
	char *s, *p;

	s = g_utf8_make_valid(raw ? raw : "", -1);
	for (p = s; *p; p++)
		if (g_ascii_iscntrl(*p))
			*p = '?';
	return s;
}

static struct ivm_fact *read_fact(sqlite3_stmt *stmt)
{
	struct ivm_fact *f = g_new0(struct ivm_fact, 1);
	sqlite3_int64 nth = sqlite3_column_int64(stmt, 2);

	f->vm_id = (uint32_t)sqlite3_column_int64(stmt, 0);
	if (f->vm_id)
		f->vm = text(stmt, 1);
	if (f->vm_id && nth > 1) {
		char *name = f->vm;

		f->vm = g_strdup_printf("%s#%lld", name, (long long)nth);
		g_free(name);
	}
	f->key = text(stmt, 3);
	f->value = text(stmt, 4);
	return f;
}

static bool has_table(sqlite3 *db)
{
	return sqlite3_table_column_metadata(db, NULL, "environment", NULL, NULL, NULL, NULL, NULL,
					     NULL) == SQLITE_OK;
}

int ivm_facts_load(sqlite3 *db, GPtrArray **facts)
{
	static const char sql[] =
		"WITH named AS (SELECT id, name, row_number() OVER (PARTITION BY name ORDER BY id)"
		" AS nth FROM vms) SELECT e.vm, n.name, n.nth, e.key, e.value FROM environment AS e"
		" LEFT JOIN named AS n ON n.id = e.vm ORDER BY e.vm, e.key";
	sqlite3_stmt *stmt;
	int rc;

	*facts = g_ptr_array_new_with_free_func(free_fact);
	if (!has_table(db))
		return 0;
	rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
	if (rc == SQLITE_OK) {
		while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
			g_ptr_array_add(*facts, read_fact(stmt));
		sqlite3_finalize(stmt);
	}
	if (rc == SQLITE_DONE)
		return 0;
	g_clear_pointer(facts, g_ptr_array_unref);
	return -EBADMSG;
}

/* NULL if there is none; @vm NULL for the host */
static const char *find_fact(const GPtrArray *facts, const char *vm, const char *key)
{
	guint i;

	for (i = 0; i < facts->len; i++) {
		const struct ivm_fact *f = g_ptr_array_index(facts, i);

		if (!g_strcmp0(f->vm, vm) && !strcmp(f->key, key))
			return f->value;
	}
	return NULL;
}

/* ---- one line ---- */

static void add_word(GString *line, const char *before, const char *value)
{
	if (value)
		g_string_append_printf(line, "%s%s%s", line->len ? ", " : "", before, value);
}

/* Each that occurs, once */
static void add_versions(GString *line, const GPtrArray *facts)
{
	g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
	guint i;

	for (i = 0; i < facts->len; i++) {
		const struct ivm_fact *f = g_ptr_array_index(facts, i);

		if (f->vm_id && !strcmp(f->key, "qemu.version") &&
		    g_hash_table_add(seen, f->value))
			add_word(line, "QEMU ", f->value);
	}
}

char *ivm_facts_summary(const GPtrArray *facts)
{
	static const char *const words[][2] = {
		{ "cpu", "" }, { "cpus.online", "CPUs " }, { "cpufreq.governor", "governor " },
		{ "kvm.halt_poll_ns", "halt_poll_ns " }, { "kvm.apicv", "apicv " },
		{ "kvm.avic", "avic " },
	};
	GString *line;
	unsigned int i;

	if (!facts->len)
		return NULL;
	line = g_string_new(NULL);
	for (i = 0; i < G_N_ELEMENTS(words); i++)
		add_word(line, words[i][1], find_fact(facts, NULL, words[i][0]));
	add_versions(line, facts);
	return g_string_free(line, FALSE);
}

/* ---- two of them ---- */

/* Where a path leads to is not what it is, nor is a descriptor its number */
static char *essence(const char *arg)
{
	g_autoptr(GRegex) paths = g_regex_new("(?<![^=:,])(/[^/,:]+)*/(?=[^/,:]+)", 0, 0, NULL);
	g_autoptr(GRegex) fds = g_regex_new("\\bfds?=[0-9:]+", 0, 0, NULL);
	g_autofree char *shorter = g_regex_replace_literal(paths, arg, -1, 0, "", 0, NULL);

	return g_regex_replace_literal(fds, shorter ? shorter : arg, -1, 0, "fd", 0, NULL);
}

static char **arguments(const char *line)
{
	char **words = NULL;

	if (!g_shell_parse_argv(line, NULL, &words, NULL))
		words = g_strsplit(line, " ", -1);
	return words;
}

/* Arguments of @line that @other lacks; an argument counts as often as it stands there */
static char *arguments_without(const char *line, const char *other)
{
	g_autoptr(GHashTable) left = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_auto(GStrv) mine = arguments(line), theirs = arguments(other);
	GString *rest = g_string_new(NULL);
	unsigned int i;

	for (i = 0; theirs[i]; i++) {
		char *arg = essence(theirs[i]);
		guint n = GPOINTER_TO_UINT(g_hash_table_lookup(left, arg));

		g_hash_table_insert(left, arg, GUINT_TO_POINTER(n + 1));
	}
	for (i = 0; mine[i]; i++) {
		g_autofree char *arg = essence(mine[i]);
		guint n = GPOINTER_TO_UINT(g_hash_table_lookup(left, arg));

		if (n)
			g_hash_table_insert(left, g_strdup(arg), GUINT_TO_POINTER(n - 1));
		else
			g_string_append_printf(rest, "%s%s", rest->len ? " " : "", mine[i]);
	}
	return g_string_free(rest, FALSE);
}

static void add_change(GPtrArray *changes, const struct ivm_fact *f, const char *a, const char *b)
{
	struct ivm_fact_change *c = g_new0(struct ivm_fact_change, 1);

	c->vm = g_strdup(f->vm);
	c->key = g_strdup(f->key);
	c->a = g_strdup(a);
	c->b = g_strdup(b);
	g_ptr_array_add(changes, c);
}

static void compare_values(GPtrArray *changes, const struct ivm_fact *f, const char *a,
			   const char *b)
{
	g_autofree char *only_a = NULL, *only_b = NULL;

	if (!strcmp(a, b))
		return;
	if (strcmp(f->key, "command_line") && strcmp(f->key, "kernel.command_line")) {
		add_change(changes, f, a, b);
		return;
	}
	only_a = arguments_without(a, b);
	only_b = arguments_without(b, a);
	if (*only_a || *only_b)
		add_change(changes, f, only_a, only_b);
}

/* As g_strcmp0(), so that both sides can be walked through together */
static int order(const struct ivm_fact *a, const struct ivm_fact *b)
{
	int by_vm = g_strcmp0(a->vm, b->vm);

	return by_vm ? by_vm : strcmp(a->key, b->key);
}

static int compare_facts(gconstpointer a, gconstpointer b)
{
	return order(*(struct ivm_fact *const *)a, *(struct ivm_fact *const *)b);
}

static GPtrArray *sorted(const GPtrArray *facts)
{
	GPtrArray *copy = g_ptr_array_new();
	guint i;

	for (i = 0; i < facts->len; i++)
		g_ptr_array_add(copy, g_ptr_array_index(facts, i));
	g_ptr_array_sort(copy, compare_facts);
	return copy;
}

GPtrArray *ivm_facts_compare(const GPtrArray *a, const GPtrArray *b)
{
	g_autoptr(GPtrArray) left = sorted(a), right = sorted(b);
	GPtrArray *changes = g_ptr_array_new_with_free_func(free_change);
	guint i = 0, k = 0;
	int at;

	while (a->len && b->len && (i < left->len || k < right->len)) {
		const struct ivm_fact *x = i < left->len ? g_ptr_array_index(left, i) : NULL;
		const struct ivm_fact *y = k < right->len ? g_ptr_array_index(right, k) : NULL;

		at = !x ? 1 : !y ? -1 : order(x, y);
		if (at < 0)
			add_change(changes, x, x->value, NULL);
		else if (at > 0)
			add_change(changes, y, NULL, y->value);
		else
			compare_values(changes, x, x->value, y->value);
		i += at <= 0;
		k += at >= 0;
	}
	return changes;
}

void ivm_facts_print_changes(const GPtrArray *changes, FILE *out)
{
	guint i;

	for (i = 0; i < changes->len; i++) {
		const struct ivm_fact_change *c = g_ptr_array_index(changes, i);

		fprintf(out, "  %s %s: %s → %s\n", c->vm ? c->vm : "host", c->key,
			c->a && *c->a ? c->a : "–", c->b && *c->b ? c->b : "–");
	}
}

/* ---- JSON ---- */

static struct json_object *new_vm(struct json_object *vms, const struct ivm_fact *f)
{
	struct json_object *o = json_object_new_object(), *facts = json_object_new_object();

	json_object_object_add(o, "id", json_object_new_uint64(f->vm_id));
	json_object_object_add(o, "name", json_object_new_string(f->vm));
	json_object_object_add(o, "facts", facts);
	json_object_array_add(vms, o);
	return facts;
}

struct json_object *ivm_facts_json(const GPtrArray *facts)
{
	struct json_object *o = json_object_new_object(), *host = json_object_new_object();
	struct json_object *vms = json_object_new_array(), *of = host;
	uint32_t vm = 0;
	guint i;

	for (i = 0; i < facts->len; i++) {
		const struct ivm_fact *f = g_ptr_array_index(facts, i);

		if (f->vm_id != vm)
			of = new_vm(vms, f);
		vm = f->vm_id;
		json_object_object_add(of, f->key, json_object_new_string(f->value));
	}
	json_object_object_add(o, "host", host);
	json_object_object_add(o, "vms", vms);
	return o;
}
