/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Few journeys that stand for many, for a page that cannot show all.
 *
 * Of each part of time the slowest is kept, so that no outlier is lost by
 * drawing less; of all others a sample that depends on their numbers only; and
 * the slowest ones of all.  SQLite sorts them out in one pass, a part of it on
 * each CPU, so that ten million journeys take seconds and no memory.
 */
#ifndef IVM_HTML_SAMPLE_H
#define IVM_HTML_SAMPLE_H

#include <stdint.h>

#include <glib.h>

#include "report.h"

#define IVM_SAMPLE_PARTS	160	/* of time */
#define IVM_SAMPLE_DOTS		1500	/* about so many, if there are more journeys */
#define IVM_SAMPLE_SLOWEST	12

struct ivm_dot {
	uint64_t id;			/* of the journey, 0: none */
	uint64_t t_ns;
	uint64_t total_ns;
};

/* Journeys of one group */
struct ivm_html_sample {
	const struct ivm_group *group;
	uint64_t start_ns, duration_ns;	/* of the recording */
	GArray *dots;			/* struct ivm_dot */
	struct ivm_dot part[IVM_SAMPLE_PARTS];	/* if among the slowest tenth */
	struct ivm_dot slowest[IVM_SAMPLE_SLOWEST];	/* the slowest first */
};

void ivm_html_sample_init(struct ivm_html_sample *s, const struct ivm_group *group,
			  uint64_t start_ns, uint64_t duration_ns);
void ivm_html_sample_clear(struct ivm_html_sample *s);

/**
 * ivm_html_sample_fill() - sample all journeys
 * @db: a recording
 * @samples: of different groups by mode, initialized
 * @count: of them
 *
 * Return: 0, or -EBADMSG if the recording is damaged.
 */
int ivm_html_sample_fill(sqlite3 *db, struct ivm_html_sample *samples, unsigned int count);

#endif /* IVM_HTML_SAMPLE_H */
