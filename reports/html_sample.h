/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Few journeys that stand for many, for a page that cannot show all.
 *
 * Of each part of time the slowest is kept, so that no outlier is lost by
 * drawing less; of all others a random sample of fixed size, each as likely as
 * any; and the slowest ones of all.
 */
#ifndef IVM_HTML_SAMPLE_H
#define IVM_HTML_SAMPLE_H

#include <stdint.h>

#include <glib.h>

#include "../bpf/journey.h"

#define IVM_SAMPLE_PARTS	160	/* of time */
#define IVM_SAMPLE_DOTS		1500
#define IVM_SAMPLE_SLOWEST	12

struct ivm_dot {
	uint64_t t_ns;
	uint64_t total_ns;
};

struct ivm_slow {
	struct ivm_journey j;		/* id 0: none */
	uint64_t total_ns;
};

/* Journeys of one group */
struct ivm_html_sample {
	uint64_t start_ns, duration_ns;	/* of the recording */
	uint64_t seen;
	GArray *dots;			/* struct ivm_dot */
	struct ivm_slow part[IVM_SAMPLE_PARTS];
	struct ivm_slow slowest[IVM_SAMPLE_SLOWEST];	/* the slowest first */
};

void ivm_html_sample_init(struct ivm_html_sample *s, uint64_t start_ns, uint64_t duration_ns);
void ivm_html_sample_clear(struct ivm_html_sample *s);

/* @random: the same seed gives the same page */
void ivm_html_sample_add(struct ivm_html_sample *s, GRand *random, const struct ivm_journey *j,
			 uint64_t t_ns, uint64_t total_ns);

#endif /* IVM_HTML_SAMPLE_H */
