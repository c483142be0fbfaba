// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the kernel of a Linux guest adds.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>

#include <glib.h>
#include <json-c/json.h>

#include "guest_kernel.h"
#include "stat.h"

/* One mode, VM and hop */
struct row {
	char *mode, *link, *vm_name, *hop;
	int64_t vm;
	struct ivm_stat stat;
};

static void free_row(gpointer p)
{
	struct row *row = p;

	g_free(row->mode);
	g_free(row->link);
	g_free(row->vm_name);
	g_free(row->hop);
	g_free(row);
}

static char *text(sqlite3_stmt *stmt, int column)
{
	return g_strdup((const char *)sqlite3_column_text(stmt, column));
}

static bool same(const struct row *row, sqlite3_stmt *stmt)
{
	return row->vm == sqlite3_column_int64(stmt, 2) &&
	       !g_strcmp0(row->mode, (const char *)sqlite3_column_text(stmt, 0)) &&
	       !g_strcmp0(row->link, (const char *)sqlite3_column_text(stmt, 1)) &&
	       !g_strcmp0(row->hop, (const char *)sqlite3_column_text(stmt, 4));
}

static struct row *new_row(GPtrArray *rows, sqlite3_stmt *stmt)
{
	struct row *row = g_new0(struct row, 1);

	row->mode = text(stmt, 0);
	row->link = text(stmt, 1);
	row->vm = sqlite3_column_int64(stmt, 2);
	row->vm_name = text(stmt, 3);
	row->hop = text(stmt, 4);
	g_ptr_array_add(rows, row);
	return row;
}

static void end_row(struct row *row, GArray *values)
{
	if (row)
		ivm_stat_compute(values, &row->stat);
	g_array_set_size(values, 0);
}

/* Recordings from before there were Linux guests have no such table */
static bool has_table(sqlite3 *db)
{
	return sqlite3_table_column_metadata(db, NULL, "guest_kernel", "ns", NULL, NULL, NULL,
					     NULL, NULL) == SQLITE_OK;
}

static int read_rows(sqlite3 *db, GPtrArray *rows)
{
	GArray *values = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	struct row *row = NULL;
	sqlite3_stmt *stmt;
	uint64_t ns;
	int rc;

	rc = sqlite3_prepare_v2(db, "SELECT k.mode, k.link, k.vm, coalesce(v.name, '?'), k.hop,"
				" k.ns FROM guest_kernel k LEFT JOIN vms v ON v.id = k.vm"
				" ORDER BY k.vm, k.mode, k.link, k.hop DESC", -1, &stmt, NULL);
	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		rc = sqlite3_step(stmt);
		if (rc != SQLITE_ROW)
			break;
		if (!row || !same(row, stmt)) {
			end_row(row, values);
			row = new_row(rows, stmt);
		}
		ns = (uint64_t)sqlite3_column_int64(stmt, 5);
		g_array_append_val(values, ns);
	}
	end_row(row, values);
	sqlite3_finalize(stmt);
	g_array_free(values, TRUE);
	return rc == SQLITE_DONE ? 0 : -EBADMSG;
}

static int load(sqlite3 *db, GPtrArray **rows)
{
	int err = 0;

	*rows = g_ptr_array_new_with_free_func(free_row);
	if (has_table(db))
		err = read_rows(db, *rows);
	if (err)
		g_clear_pointer(rows, g_ptr_array_unref);
	return err;
}

static void print_us(uint64_t ns, FILE *out)
{
	if (ns == IVM_NS_UNKNOWN)
		fprintf(out, " %11s", "-");
	else
		fprintf(out, " %11.3f", (double)ns / 1e3);
}

int ivm_guest_kernel_print(sqlite3 *db, FILE *out)
{
	g_autoptr(GPtrArray) rows = NULL;
	const struct row *row;
	unsigned int i;
	int err = load(db, &rows);

	if (err || !rows->len)
		return err;
	fprintf(out, "\n%-38s %10s %11s %11s %11s\n", "added by the guests' kernels, us", "count",
		"p50", "p99", "max");
	for (i = 0; i < rows->len; i++) {
		row = g_ptr_array_index(rows, i);
		fprintf(out, "  %-24s %-11s %10" PRIu64, row->vm_name, row->hop, row->stat.count);
		print_us(row->stat.p50_ns, out);
		print_us(row->stat.p99_ns, out);
		print_us(row->stat.max_ns, out);
		fputc('\n', out);
	}
	fputs("write..ring: from write() to the doorbell; isr..read: from the entry of the handler"
	      " to the\nmessage in user space. By the guest's own clock, not part of the hops.\n",
	      out);
	return 0;
}

static void add_ns(struct json_object *o, const char *key, uint64_t ns)
{
	json_object_object_add(o, key, ns == IVM_NS_UNKNOWN ? NULL : json_object_new_uint64(ns));
}

struct json_object *ivm_guest_kernel_json(sqlite3 *db)
{
	g_autoptr(GPtrArray) rows = NULL;
	struct json_object *all, *o;
	const struct row *row;
	unsigned int i;

	if (load(db, &rows))
		return NULL;
	all = json_object_new_array();
	for (i = 0; i < rows->len; i++) {
		row = g_ptr_array_index(rows, i);
		o = json_object_new_object();
		json_object_object_add(o, "mode", json_object_new_string(row->mode));
		json_object_object_add(o, "link", json_object_new_string(row->link));
		json_object_object_add(o, "vm", json_object_new_int64(row->vm));
		json_object_object_add(o, "hop", json_object_new_string(row->hop));
		json_object_object_add(o, "count", json_object_new_uint64(row->stat.count));
		add_ns(o, "p50_ns", row->stat.p50_ns);
		add_ns(o, "p99_ns", row->stat.p99_ns);
		add_ns(o, "min_ns", row->stat.min_ns);
		add_ns(o, "max_ns", row->stat.max_ns);
		json_object_array_add(all, o);
	}
	return all;
}
