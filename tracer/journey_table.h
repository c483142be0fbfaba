/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table journeys: its columns, and journeys in memory as rows of it. */
#ifndef IVM_JOURNEY_TABLE_H
#define IVM_JOURNEY_TABLE_H

#include "../bpf/journey.h"
#include "row_table.h"

#define IVM_JOURNEY_TABLE	"new_journeys"	/* its name in SQL */

struct ivm_journey_table {
	struct ivm_row_table base;
	struct ivm_journey row[IVM_ROW_TABLE_ROWS];
};

/* Column of each point in the table journeys, by enum ivm_point */
extern const char *const ivm_point_columns[IVM_POINTS];

/**
 * ivm_journey_table_columns() - what the table journeys looks like
 *
 * Return: its columns as CREATE TABLE has them.
 */
const char *ivm_journey_table_columns(void);

/* Empty, ready for ivm_row_table_offer() */
void ivm_journey_table_init(struct ivm_journey_table *table);

#endif /* IVM_JOURNEY_TABLE_H */
