/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guests' stamps in memory as rows of the table stamps. */
#ifndef IVM_STAMP_TABLE_H
#define IVM_STAMP_TABLE_H

#include "recording.h"
#include "row_table.h"

#define IVM_STAMP_TABLE		"new_stamps"	/* its name in SQL */

/* All but the number: rows that are appended without one are found a place quicker */
extern const char ivm_stamp_table_columns[];
#define IVM_STAMP_TABLE_NAMES	"\"end\", kind, vector, cookie, tsc"

struct ivm_stamp_table {
	struct ivm_row_table base;
	struct ivm_recorded_stamp row[IVM_ROW_TABLE_ROWS];
};

/* Empty, ready for ivm_row_table_offer() */
void ivm_stamp_table_init(struct ivm_stamp_table *table);

#endif /* IVM_STAMP_TABLE_H */
