// SPDX-License-Identifier: GPL-2.0-or-later
/* The table stamps: its columns, and stamps in memory as rows of it */
#include "stamp_table.h"

const char ivm_stamp_table_columns[] =
	"\"end\" INTEGER NOT NULL, kind INTEGER NOT NULL,"
	" vector INTEGER NOT NULL, cookie INTEGER NOT NULL, tsc INTEGER NOT NULL";

enum column { COLUMN_END, COLUMN_KIND, COLUMN_VECTOR, COLUMN_COOKIE, COLUMN_TSC };

static void give(const struct ivm_row_table *table, unsigned int row, int column,
		 sqlite3_context *context)
{
	const struct ivm_recorded_stamp *stamp = &((const struct ivm_stamp_table *)table)->row[row];

	switch ((enum column)column) {
	case COLUMN_END:
		sqlite3_result_int64(context, stamp->end);
		break;
	case COLUMN_KIND:
		sqlite3_result_int(context, stamp->kind);
		break;
	case COLUMN_VECTOR:
		sqlite3_result_int(context, stamp->vector);
		break;
	case COLUMN_COOKIE:
		sqlite3_result_int64(context, stamp->cookie);
		break;
	case COLUMN_TSC:
		sqlite3_result_int64(context, (sqlite3_int64)stamp->tsc);
		break;
	}
}

void ivm_stamp_table_init(struct ivm_stamp_table *table)
{
	table->base = (struct ivm_row_table){
		.name = IVM_STAMP_TABLE, .columns = ivm_stamp_table_columns, .give = give,
	};
}
