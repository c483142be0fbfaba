// SPDX-License-Identifier: GPL-2.0-or-later
/* Few journeys that stand for many */
#include "html_sample.h"

void ivm_html_sample_init(struct ivm_html_sample *s, uint64_t start_ns, uint64_t duration_ns)
{
	*s = (struct ivm_html_sample){ .start_ns = start_ns, .duration_ns = duration_ns };
	s->dots = g_array_new(FALSE, FALSE, sizeof(struct ivm_dot));
}

void ivm_html_sample_clear(struct ivm_html_sample *s)
{
	g_array_free(s->dots, TRUE);
}

/* Vitter's algorithm R; seen is the number of this one, from 1 */
static void add_dot(struct ivm_html_sample *s, GRand *random, const struct ivm_dot *dot)
{
	uint64_t place;

	if (s->dots->len < IVM_SAMPLE_DOTS) {
		g_array_append_val(s->dots, *dot);
		return;
	}
	place = (uint64_t)(g_rand_double(random) * (double)s->seen);
	if (place < IVM_SAMPLE_DOTS)
		g_array_index(s->dots, struct ivm_dot, place) = *dot;
}

static unsigned int part_of(const struct ivm_html_sample *s, uint64_t t_ns)
{
	double part;

	if (!s->duration_ns || t_ns < s->start_ns)
		return 0;
	part = (double)(t_ns - s->start_ns) / (double)s->duration_ns * IVM_SAMPLE_PARTS;
	return part < IVM_SAMPLE_PARTS ? (unsigned int)part : IVM_SAMPLE_PARTS - 1;
}

static void add_slowest(struct ivm_html_sample *s, const struct ivm_slow *slow)
{
	unsigned int i = IVM_SAMPLE_SLOWEST - 1;

	if (s->slowest[i].j.id && s->slowest[i].total_ns >= slow->total_ns)
		return;
	for (; i && (!s->slowest[i - 1].j.id || s->slowest[i - 1].total_ns < slow->total_ns); i--)
		s->slowest[i] = s->slowest[i - 1];
	s->slowest[i] = *slow;
}

void ivm_html_sample_add(struct ivm_html_sample *s, GRand *random, const struct ivm_journey *j,
			 uint64_t t_ns, uint64_t total_ns)
{
	const struct ivm_dot dot = { t_ns, total_ns };
	struct ivm_slow *part = &s->part[part_of(s, t_ns)];

	s->seen++;
	add_dot(s, random, &dot);
	if (part->j.id && part->total_ns >= total_ns &&
	    s->slowest[IVM_SAMPLE_SLOWEST - 1].total_ns >= total_ns)
		return;
	if (!part->j.id || part->total_ns < total_ns)
		*part = (struct ivm_slow){ *j, total_ns };
	add_slowest(s, &(struct ivm_slow){ *j, total_ns });
}
