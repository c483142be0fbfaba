/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journeys of a recording, one after the other.
 *
 * A recording may come from anywhere, so each value is checked; a journey
 * whose points are out of order is flagged whatever the recording says.
 */
#ifndef IVM_CURSOR_H
#define IVM_CURSOR_H

#include <stdint.h>

#include <sqlite3.h>

#include "../bpf/journey.h"

struct ivm_cursor;

int ivm_cursor_open(sqlite3 *db, struct ivm_cursor **cursor);
/* 1 and a journey, 0 at the end, -EBADMSG if the recording is damaged */
int ivm_cursor_next(struct ivm_cursor *cursor, struct ivm_journey *j);
void ivm_cursor_close(struct ivm_cursor *cursor);

/* A single one: 0, -ENOENT if there is none with that number, -EBADMSG */
int ivm_journey_read(sqlite3 *db, uint64_t id, struct ivm_journey *j);

/* Index of @name in a list of @count names, or -1 */
int ivm_name_index(const char *name, const char *const *names, int count);

#endif /* IVM_CURSOR_H */
