/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a recording has in place of journeys it did not keep. */
#ifndef IVM_REPORT_SHAPES_H
#define IVM_REPORT_SHAPES_H

#include <glib.h>
#include <sqlite3.h>

#include "../tracer/summary.h"

/**
 * ivm_shapes_load() - the shapes of all journeys, kept or not
 * @db: a recording
 * @shapes: set to an array of struct ivm_shape * that owns them, or to NULL if
 *	    every journey was kept
 *
 * Return: 0, or -EBADMSG if the recording is damaged.
 */
int ivm_shapes_load(sqlite3 *db, GPtrArray **shapes);

#endif /* IVM_REPORT_SHAPES_H */
