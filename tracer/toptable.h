/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of `top`: a line for each direction of a link and each mode, out of what
 * ended in the last interval and of what ended so far.  Draws nothing.
 */
#ifndef IVM_TOPTABLE_H
#define IVM_TOPTABLE_H

#include <stdint.h>

#include <glib.h>

#include "series.h"

enum ivm_top_sort {
	IVM_TOP_RATE,
	IVM_TOP_P50,
	IVM_TOP_P99,
	IVM_TOP_LOST,
	IVM_TOP_LINK,
	IVM_TOP_SORTS
};

#define IVM_TOP_SORT_NAMES	{ "rate", "p50", "p99", "lost", "link" }
#define IVM_TOP_UNKNOWN		UINT64_MAX

struct ivm_top_row {
	char *link;			/* owned; without control characters */
	char *direction;		/* "a → b", likewise */
	const char *mode;
	uint64_t rate_per_s;		/* rung, in the last interval */
	uint64_t p50_ns, p99_ns;	/* in the last interval; unknown: too few */
	char *worst;			/* hop with the largest part of its time, "" without */
	unsigned int worst_percent;
	uint64_t coalesced;		/* so far, as the next one */
	uint64_t lost;			/* rung, and neither delivered nor coalesced nor unseen */
};

/**
 * ivm_top_table() - the rows
 * @so_far: all journeys that ended
 * @last: those of the last interval, out of the same
 * @interval_ns: how long that was
 * @sort: largest first; links by name
 *
 * Return: array of struct ivm_top_row *, which it owns.
 */
GPtrArray *ivm_top_table(struct ivm_series_set *so_far, struct ivm_series_set *last,
			 uint64_t interval_ns, enum ivm_top_sort sort);

/* "LINK  FROM → TO  MODE …" for @width columns; free with g_free() */
char *ivm_top_header(int width);
char *ivm_top_line(const struct ivm_top_row *row, int width);

#endif /* IVM_TOPTABLE_H */
