/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Journeys in memory as a table that SQLite can read.
 *
 * Thousands of rows move with one INSERT ... SELECT: half of what single rows
 * cost goes into binding 42 values and into starting and ending a statement.
 */
#ifndef IVM_JOURNEY_TABLE_H
#define IVM_JOURNEY_TABLE_H

#include <sqlite3.h>

#include "../bpf/journey.h"

#define IVM_JOURNEY_TABLE	"new_journeys"	/* its name in SQL */
#define IVM_JOURNEY_TABLE_ROWS	512

struct ivm_journey_table {
	unsigned int rows;
	struct ivm_journey row[IVM_JOURNEY_TABLE_ROWS];
};

/* Column of each point in the table journeys, by enum ivm_point */
extern const char *const ivm_point_columns[IVM_POINTS];

/**
 * ivm_journey_table_columns() - what the table journeys looks like
 *
 * Return: its columns as CREATE TABLE has them; free with g_free().
 */
char *ivm_journey_table_columns(void);

/**
 * ivm_journey_table_offer() - make a table readable under its name
 * @db: the connection
 * @table: read whenever a statement is run; must outlive @db
 *
 * Return: an SQLite result code.
 */
int ivm_journey_table_offer(sqlite3 *db, struct ivm_journey_table *table);

#endif /* IVM_JOURNEY_TABLE_H */
