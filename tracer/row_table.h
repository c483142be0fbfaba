/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rows in memory as a table that SQLite can read.
 *
 * Thousands of rows move with one INSERT ... SELECT: half of what single rows
 * cost goes into binding their values and into starting and ending a statement.
 */
#ifndef IVM_ROW_TABLE_H
#define IVM_ROW_TABLE_H

#include <sqlite3.h>

#define IVM_ROW_TABLE_ROWS	512	/* as many are worth a statement */

struct ivm_row_table {
	const char *name;		/* in SQL */
	const char *columns;		/* as CREATE TABLE has them */
	unsigned int rows;
	/* One value, as the result of an SQL function; none is NULL */
	void (*give)(const struct ivm_row_table *table, unsigned int row, int column,
		     sqlite3_context *context);
};

/**
 * ivm_row_table_offer() - make a table readable under its name
 * @db: the connection
 * @table: read whenever a statement is run; must outlive @db, at the same place
 *
 * Return: an SQLite result code.
 */
int ivm_row_table_offer(sqlite3 *db, struct ivm_row_table *table);

#endif /* IVM_ROW_TABLE_H */
