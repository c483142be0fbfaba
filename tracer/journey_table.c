// SPDX-License-Identifier: GPL-2.0-or-later
/* The table journeys: its columns, and journeys in memory as rows of it */
#include <stdint.h>

#include <glib.h>

#include "journey_table.h"

const char *const ivm_point_columns[IVM_POINTS] = {
	[IVM_P_RING] = "ring",
	[IVM_P_EXIT] = "exit",
	[IVM_P_DISPATCH] = "dispatch",
	[IVM_P_USER] = "user",
	[IVM_P_SEND] = "send",
	[IVM_P_SIGNAL] = "signal",
	[IVM_P_WAKE] = "wake",
	[IVM_P_RUN] = "run",
	[IVM_P_RECV] = "recv",
	[IVM_P_UNMASK] = "unmask",
	[IVM_P_DEFER] = "defer",
	[IVM_P_WORK] = "work",
	[IVM_P_ROUTE] = "route",
	[IVM_P_ACCEPT] = "accept",
	[IVM_P_KICK] = "kick",
	[IVM_P_VCPU_EXIT] = "vcpu_exit",
	[IVM_P_VCPU_WAKE] = "vcpu_wake",
	[IVM_P_VCPU_RUN] = "vcpu_run",
	[IVM_P_UNHALT] = "unhalt",
	[IVM_P_WINDOW] = "window",
	[IVM_P_INJECT] = "inject",
	[IVM_P_EOI_STANDIN] = "eoi_standin",
	[IVM_P_ENTRY] = "entry",
	[IVM_P_ISR] = "isr",
	[IVM_P_EOI] = "eoi",
};

static const char fixed_columns[] =
	"id INTEGER PRIMARY KEY, mode TEXT NOT NULL, configured TEXT NOT NULL,"
	" outcome TEXT NOT NULL, from_end INTEGER NOT NULL, to_end INTEGER,"
	" vector INTEGER NOT NULL, irq_vector INTEGER, from_vcpu INTEGER NOT NULL,"
	" to_vcpu INTEGER, cookie INTEGER NOT NULL, seq INTEGER, approx INTEGER NOT NULL,"
	" posted INTEGER NOT NULL, disordered INTEGER NOT NULL, contended INTEGER NOT NULL,"
	" fast_mmio INTEGER NOT NULL, coalesced_into INTEGER";

/* In the order of the text above; the points follow */
enum column {
	COLUMN_ID,
	COLUMN_MODE,
	COLUMN_CONFIGURED,
	COLUMN_OUTCOME,
	COLUMN_FROM_END,
	COLUMN_TO_END,
	COLUMN_VECTOR,
	COLUMN_IRQ_VECTOR,
	COLUMN_FROM_VCPU,
	COLUMN_TO_VCPU,
	COLUMN_COOKIE,
	COLUMN_SEQ,
	COLUMN_APPROX,
	COLUMN_POSTED,
	COLUMN_DISORDERED,
	COLUMN_CONTENDED,
	COLUMN_FAST_MMIO,
	COLUMN_COALESCED_INTO,
	COLUMN_POINTS
};

const char *ivm_journey_table_columns(void)
{
	static char *columns;
	GString *sql;
	int i;

	if (columns)
		return columns;
	sql = g_string_new(fixed_columns);
	for (i = 0; i < IVM_POINTS; i++)
		g_string_append_printf(sql, ", \"%s\" INTEGER", ivm_point_columns[i]);
	columns = g_string_free(sql, FALSE);
	return columns;
}

/* ---- values ---- */

/* A result that is not set is NULL */
static void give_optional(sqlite3_context *context, uint64_t value)
{
	if (value)
		sqlite3_result_int64(context, (sqlite3_int64)value);
}

static void give_flag(sqlite3_context *context, const struct ivm_journey *j, uint16_t flag)
{
	sqlite3_result_int(context, !!(j->flags & flag));
}

static void give_name(sqlite3_context *context, const char *name)
{
	sqlite3_result_text(context, name, -1, SQLITE_STATIC);
}

static void give_fixed(sqlite3_context *context, const struct ivm_journey *j, enum column column)
{
	static const char *const modes[] = IVM_MODE_NAMES;
	static const char *const outcomes[] = IVM_OUTCOME_NAMES;

	switch (column) {
	case COLUMN_ID:
		sqlite3_result_int64(context, (sqlite3_int64)j->id);
		break;
	case COLUMN_MODE:
		give_name(context, modes[j->mode]);
		break;
	case COLUMN_CONFIGURED:
		give_name(context, modes[j->configured]);
		break;
	case COLUMN_OUTCOME:
		give_name(context, outcomes[j->outcome]);
		break;
	case COLUMN_FROM_END:
		sqlite3_result_int64(context, j->from_end);
		break;
	case COLUMN_TO_END:
		give_optional(context, j->to_end);
		break;
	case COLUMN_VECTOR:
		sqlite3_result_int(context, j->vector);
		break;
	case COLUMN_IRQ_VECTOR:
		give_optional(context, j->irq_vector);
		break;
	case COLUMN_FROM_VCPU:
		sqlite3_result_int(context, j->from_vcpu);
		break;
	case COLUMN_TO_VCPU:
		/* Vcpu 0 is a vCPU: what makes it known is the accept that named it */
		if (ivm_seen(j, IVM_P_ACCEPT))
			sqlite3_result_int(context, j->to_vcpu);
		break;
	case COLUMN_COOKIE:
		sqlite3_result_int64(context, j->cookie);
		break;
	case COLUMN_SEQ:
		give_optional(context, j->seq);
		break;
	case COLUMN_APPROX:
		give_flag(context, j, IVM_J_APPROX);
		break;
	case COLUMN_POSTED:
		give_flag(context, j, IVM_J_POSTED);
		break;
	case COLUMN_DISORDERED:
		give_flag(context, j, IVM_J_DISORDERED);
		break;
	case COLUMN_CONTENDED:
		give_flag(context, j, IVM_J_CONTENDED);
		break;
	case COLUMN_FAST_MMIO:
		give_flag(context, j, IVM_J_FASTMMIO);
		break;
	case COLUMN_COALESCED_INTO:
		give_optional(context, j->into);
		break;
	case COLUMN_POINTS:
		break;
	}
}

static void give(const struct ivm_row_table *table, unsigned int row, int column,
		 sqlite3_context *context)
{
	const struct ivm_journey *j = &((const struct ivm_journey_table *)table)->row[row];

	if (column < COLUMN_POINTS)
		give_fixed(context, j, (enum column)column);
	else
		give_optional(context, j->t_ns[column - COLUMN_POINTS]);
}

void ivm_journey_table_init(struct ivm_journey_table *table)
{
	table->base = (struct ivm_row_table){
		.name = IVM_JOURNEY_TABLE, .columns = ivm_journey_table_columns(), .give = give,
	};
}
