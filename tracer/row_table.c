// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Rows in memory as an SQLite virtual table, read from its first row to its
 * last.
 */
#include <stdint.h>

#include <glib.h>

#include "row_table.h"

struct table {
	sqlite3_vtab base;
	const struct ivm_row_table *rows;
};

struct cursor {
	sqlite3_vtab_cursor base;
	const struct ivm_row_table *rows;
	unsigned int at;
};

static int connect(sqlite3 *db, void *rows, int argc, const char *const *argv,
		   sqlite3_vtab **out, char **error)
{
	g_autofree char *sql = g_strdup_printf("CREATE TABLE x (%s)",
					       ((struct ivm_row_table *)rows)->columns);
	struct table *table;
	int rc = sqlite3_declare_vtab(db, sql);

	(void)argc, (void)argv, (void)error;
	if (rc != SQLITE_OK)
		return rc;
	table = g_new0(struct table, 1);
	table->rows = rows;
	*out = &table->base;
	return SQLITE_OK;
}

static int disconnect(sqlite3_vtab *table)
{
	g_free(table);
	return SQLITE_OK;
}

/* There is one way to read it */
static int best_index(sqlite3_vtab *table, sqlite3_index_info *info)
{
	(void)table;
	info->estimatedCost = IVM_ROW_TABLE_ROWS;
	return SQLITE_OK;
}

static int open_cursor(sqlite3_vtab *table, sqlite3_vtab_cursor **out)
{
	struct cursor *cursor = g_new0(struct cursor, 1);

	cursor->rows = ((struct table *)table)->rows;
	*out = &cursor->base;
	return SQLITE_OK;
}

static int close_cursor(sqlite3_vtab_cursor *cursor)
{
	g_free(cursor);
	return SQLITE_OK;
}

static int first(sqlite3_vtab_cursor *cursor, int index, const char *name, int argc,
		 sqlite3_value **argv)
{
	(void)index, (void)name, (void)argc, (void)argv;
	((struct cursor *)cursor)->at = 0;
	return SQLITE_OK;
}

static int next(sqlite3_vtab_cursor *cursor)
{
	((struct cursor *)cursor)->at++;
	return SQLITE_OK;
}

static int at_end(sqlite3_vtab_cursor *cursor)
{
	const struct cursor *c = (const struct cursor *)cursor;

	return c->at >= c->rows->rows;
}

static int give(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int column)
{
	const struct cursor *c = (const struct cursor *)cursor;

	c->rows->give(c->rows, c->at, column, context);
	return SQLITE_OK;
}

static int give_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *rowid)
{
	*rowid = (sqlite3_int64)((const struct cursor *)cursor)->at;
	return SQLITE_OK;
}

int ivm_row_table_offer(sqlite3 *db, struct ivm_row_table *table)
{
	/* Without xCreate the table is there under the module's name */
	static const sqlite3_module module = {
		.xConnect = connect,
		.xDisconnect = disconnect,
		.xBestIndex = best_index,
		.xOpen = open_cursor,
		.xClose = close_cursor,
		.xFilter = first,
		.xNext = next,
		.xEof = at_end,
		.xColumn = give,
		.xRowid = give_rowid,
	};

	return sqlite3_create_module(db, table->name, &module, table);
}
