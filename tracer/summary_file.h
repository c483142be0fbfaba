/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Summaries in recordings: tables phases, blocks, shapes, cells and spans, docs/recording.md. */
#ifndef IVM_SUMMARY_FILE_H
#define IVM_SUMMARY_FILE_H

#include <sqlite3.h>

#include "summary.h"

/* CREATE TABLE statements */
extern const char ivm_summary_schema[];

/**
 * ivm_summary_write() - puts a summary into the tables, which are empty
 * @s: the summary
 * @db: a recording that is written
 *
 * Return: an SQLite result code, SQLITE_OK if all went well.
 */
int ivm_summary_write(const struct ivm_summary *s, sqlite3 *db);

/**
 * ivm_summary_read() - the summary of a recording
 * @db: a recording
 * @summary: free with ivm_summary_free(); NULL if there is none
 *
 * What a span's buckets hold is checked when it is merged: ivm_cell_merge().
 *
 * Return: 0, or -EBADMSG if the recording is damaged.
 */
int ivm_summary_read(sqlite3 *db, struct ivm_summary **summary);

#endif /* IVM_SUMMARY_FILE_H */
