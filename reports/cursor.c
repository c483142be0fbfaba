// SPDX-License-Identifier: GPL-2.0-or-later
/* The journeys of a recording, one after the other */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <glib.h>

#include "../tracer/journey_table.h"
#include "cursor.h"

static const char *const modes[] = IVM_MODE_NAMES;
static const char *const outcomes[] = IVM_OUTCOME_NAMES;

/* Columns before the points, in the order of the query */
enum column {
	COL_ID,
	COL_MODE,
	COL_CONFIGURED,
	COL_OUTCOME,
	COL_FROM_END,
	COL_TO_END,
	COL_VECTOR,
	COL_IRQ_VECTOR,
	COL_FROM_VCPU,
	COL_TO_VCPU,
	COL_COOKIE,
	COL_APPROX,
	COL_POSTED,
	COL_DISORDERED,
	COL_CONTENDED,
	COL_FAST_MMIO,
	COL_POINTS
};

static const char select_head[] =
	"SELECT id, mode, configured, outcome, from_end, to_end, vector, irq_vector, from_vcpu,"
	" to_vcpu, cookie, approx, posted, disordered, contended, fast_mmio";

struct ivm_cursor {
	sqlite3_stmt *stmt;
};

int ivm_name_index(const char *name, const char *const *names, int count)
{
	int i;

	for (i = 0; name && i < count; i++)
		if (!strcmp(name, names[i]))
			return i;
	return -1;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *which)
{
	g_autoptr(GString) sql = g_string_new(select_head);
	sqlite3_stmt *stmt = NULL;
	int i;

	for (i = 0; i < IVM_POINTS; i++)
		g_string_append_printf(sql, ", \"%s\"", ivm_point_columns[i]);
	g_string_append_printf(sql, " FROM journeys %s", which);
	sqlite3_prepare_v2(db, sql->str, -1, &stmt, NULL);
	return stmt;
}

/**
 * ivm_cursor_open() - start at the first journey
 * @db: a recording
 * @cursor: close with ivm_cursor_close(), before @db
 *
 * Return: 0, or -EBADMSG if the recording lacks what it must have.
 */
int ivm_cursor_open(sqlite3 *db, struct ivm_cursor **cursor)
{
	sqlite3_stmt *stmt = prepare(db, "ORDER BY id");

	if (!stmt)
		return -EBADMSG;
	*cursor = g_new0(struct ivm_cursor, 1);
	(*cursor)->stmt = stmt;
	return 0;
}

void ivm_cursor_close(struct ivm_cursor *cursor)
{
	if (!cursor)
		return;
	sqlite3_finalize(cursor->stmt);
	g_free(cursor);
}

/* NULL reads as 0; @ok turns false for anything beyond 0..@max */
static uint64_t number(sqlite3_stmt *stmt, int column, uint64_t max, bool *ok)
{
	int type = sqlite3_column_type(stmt, column);
	sqlite3_int64 v;

	if (type == SQLITE_NULL)
		return 0;
	v = sqlite3_column_int64(stmt, column);
	/* As unsigned a negative one is beyond any @max */
	if (type != SQLITE_INTEGER || (uint64_t)v > max)
		*ok = false;
	return (uint64_t)v;
}

static uint8_t name(sqlite3_stmt *stmt, int column, const char *const *names, int count, bool *ok)
{
	int i = ivm_name_index((const char *)sqlite3_column_text(stmt, column), names, count);

	if (i < 0)
		*ok = false;
	return (uint8_t)i;
}

static bool read_row(sqlite3_stmt *stmt, struct ivm_journey *j)
{
	static const struct {
		enum column column;
		uint16_t flag;
	} flags[] = {
		{ COL_APPROX, IVM_J_APPROX }, { COL_POSTED, IVM_J_POSTED },
		{ COL_DISORDERED, IVM_J_DISORDERED }, { COL_CONTENDED, IVM_J_CONTENDED },
		{ COL_FAST_MMIO, IVM_J_FASTMMIO },
	};
	bool ok = true;
	int i;

	memset(j, 0, sizeof(*j));
	j->id = number(stmt, COL_ID, INT64_MAX, &ok);
	j->mode = name(stmt, COL_MODE, modes, IVM_MODES, &ok);
	j->configured = name(stmt, COL_CONFIGURED, modes, IVM_MODES, &ok);
	j->outcome = name(stmt, COL_OUTCOME, outcomes, IVM_OUTCOMES, &ok);
	j->from_end = (uint32_t)number(stmt, COL_FROM_END, UINT32_MAX, &ok);
	j->to_end = (uint32_t)number(stmt, COL_TO_END, UINT32_MAX, &ok);
	j->vector = (uint16_t)number(stmt, COL_VECTOR, UINT16_MAX, &ok);
	j->irq_vector = (uint16_t)number(stmt, COL_IRQ_VECTOR, UINT16_MAX, &ok);
	j->from_vcpu = (uint16_t)number(stmt, COL_FROM_VCPU, UINT16_MAX, &ok);
	j->to_vcpu = (uint16_t)number(stmt, COL_TO_VCPU, UINT16_MAX, &ok);
	j->cookie = (uint32_t)number(stmt, COL_COOKIE, UINT32_MAX, &ok);
	for (i = 0; i < (int)G_N_ELEMENTS(flags); i++)
		if (number(stmt, flags[i].column, 1, &ok))
			j->flags |= flags[i].flag;
	for (i = 0; i < IVM_POINTS; i++)
		j->t_ns[i] = number(stmt, COL_POINTS + i, INT64_MAX, &ok);
	return ok;
}

/**
 * ivm_cursor_next() - the next journey
 * @cursor: from ivm_cursor_open()
 * @j: overwritten
 *
 * Return: 1; 0 when there are no more; -EBADMSG if the recording is damaged.
 */
int ivm_cursor_next(struct ivm_cursor *cursor, struct ivm_journey *j)
{
	int rc = sqlite3_step(cursor->stmt);

	if (rc == SQLITE_DONE)
		return 0;
	if (rc != SQLITE_ROW || !read_row(cursor->stmt, j))
		return -EBADMSG;
	ivm_check_order(j);
	return 1;
}

/**
 * ivm_journey_read() - a single journey
 * @db: a recording
 * @id: its number
 * @j: overwritten
 *
 * Return: 0; -ENOENT if there is none; -EBADMSG if the recording is damaged.
 */
int ivm_journey_read(sqlite3 *db, uint64_t id, struct ivm_journey *j)
{
	struct ivm_cursor cursor = { .stmt = prepare(db, "WHERE id = ?") };
	int found;

	if (!cursor.stmt)
		return -EBADMSG;
	sqlite3_bind_int64(cursor.stmt, 1, (sqlite3_int64)id);
	found = ivm_cursor_next(&cursor, j);
	sqlite3_finalize(cursor.stmt);
	if (found < 0)
		return found;
	return found ? 0 : -ENOENT;
}
