// SPDX-License-Identifier: GPL-2.0-or-later
/* Rows and totals of a group: durations between the points its journeys have */
#include <errno.h>

#include "breakdown_local.h"

/* Durations in a histogram and, if percentiles shall be exact, also one by one */
struct samples {
	struct ivm_hist hist;
	GArray *values;			/* of uint64_t, empty unless exact */
	bool sum_only;			/* how they are distributed is not known */
};

/* Hops of one set of journeys; cell[from][to] is index + 1 into hops */
struct collector {
	uint16_t cell[IVM_POINTS][IVM_POINTS];
	GPtrArray *hops;		/* struct samples * */
	struct samples *total;
};

struct measure {
	struct ivm_group *group;
	struct collector state[IVM_R_STATES];
};

static struct samples *samples_new(void)
{
	struct samples *s = g_new0(struct samples, 1);

	s->values = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	return s;
}

static void samples_free(gpointer p)
{
	struct samples *s = p;

	g_array_free(s->values, TRUE);
	ivm_hist_clear(&s->hist);
	g_free(s);
}

static void samples_merge(struct samples *sum, const struct samples *s)
{
	g_array_append_vals(sum->values, s->values->data, s->values->len);
	ivm_hist_merge(&sum->hist, &s->hist);
	sum->sum_only |= s->sum_only;
}

/* The histogram becomes the caller's */
static void samples_compute(struct samples *s, struct ivm_stat *stat, struct ivm_hist *hist)
{
	if (s->values->len) {
		ivm_stat_compute(s->values, stat);
	} else {
		ivm_stat_of_hist(&s->hist, stat);
		if (s->sum_only)
			stat->min_ns = stat->p50_ns = stat->p90_ns = stat->p99_ns =
				stat->p999_ns = stat->max_ns = IVM_NS_UNKNOWN;
	}
	if (s->sum_only)
		g_clear_pointer(&s->hist.buckets, g_free);
	if (s->sum_only)
		s->hist.octaves = 0;
	*hist = s->hist;
	s->hist = (struct ivm_hist){ 0 };
}

static struct samples *collector_cell(struct collector *c, int from, int to)
{
	if (!c->cell[from][to]) {
		g_ptr_array_add(c->hops, samples_new());
		c->cell[from][to] = (uint16_t)c->hops->len;
	}
	return g_ptr_array_index(c->hops, c->cell[from][to] - 1);
}

struct measure *measure_new(struct ivm_group *g)
{
	struct measure *m = g_new0(struct measure, 1);
	int i;

	m->group = g;
	for (i = 0; i < IVM_R_STATES; i++) {
		m->state[i].hops = g_ptr_array_new_with_free_func(samples_free);
		m->state[i].total = samples_new();
	}
	return m;
}

/* ---- adding ---- */

void measure_journey(struct measure *m, const struct ivm_journey *j)
{
	struct collector *c = &m->state[ivm_receiver_state(j)];
	enum ivm_point from = m->group->from, to = m->group->to;
	uint64_t hop_ns, total_ns = j->t_ns[to] - j->t_ns[from];
	int i, last = from;

	for (i = from + 1; i <= (int)to; i++) {
		if (!ivm_seen(j, i))
			continue;
		hop_ns = j->t_ns[i] - j->t_ns[last];
		g_array_append_val(collector_cell(c, last, i)->values, hop_ns);
		last = i;
	}
	g_array_append_val(c->total->values, total_ns);
}

/* A total that is no span of its own: the sum of its hops is exact all the same */
static void add_hop_sum(struct samples *total, uint64_t count, uint64_t sum_ns)
{
	total->sum_only = true;
	total->hist.count += count;
	total->hist.sum_ns += sum_ns;
}

static int add_total(struct samples *total, const struct ivm_cell *cell, int span,
		     uint64_t sum_ns)
{
	if (span < 0)
		add_hop_sum(total, cell->count, sum_ns);
	else if (cell->hist[span].sum_ns != sum_ns)
		return -EBADMSG;
	else
		return ivm_cell_merge(cell, (unsigned int)span, &total->hist);
	return 0;
}

int measure_cell(struct measure *m, const struct ivm_shape *shape, const struct ivm_cell *cell)
{
	const struct ivm_journey j = breakdown_example(shape);
	struct collector *c = &m->state[ivm_receiver_state(&j)];
	enum ivm_point from = m->group->from, to = m->group->to;
	uint64_t sum_ns = 0;
	int i, span, err, last = from;

	for (i = from + 1; i <= (int)to; i++) {
		if (!ivm_seen(&j, i))
			continue;
		span = ivm_shape_span(shape, (unsigned int)last, (unsigned int)i);
		if (span < 0)
			return -EBADMSG;
		err = ivm_cell_merge(cell, (unsigned int)span,
				     &collector_cell(c, last, i)->hist);
		if (err)
			return err;
		sum_ns += cell->hist[span].sum_ns;
		last = i;
	}
	return add_total(c->total, cell, ivm_shape_span(shape, from, to), sum_ns);
}

/* ---- results ---- */

static uint64_t add_bounds(uint64_t a_ns, uint64_t b_ns)
{
	return a_ns == IVM_NS_UNKNOWN || b_ns == IVM_NS_UNKNOWN ? IVM_NS_UNKNOWN : a_ns + b_ns;
}

/* Only these two points come from guests' clocks */
uint64_t measure_err_ns(const struct ivm_group *g, int from, int to)
{
	return add_bounds(from == IVM_P_RING ? g->ring_err_ns : 0,
			  to == IVM_P_ISR ? g->isr_err_ns : 0);
}

/* A duration below its own bound says nothing; the sum stays, so that sums add up */
static void blur(struct ivm_stat *stat, uint64_t err_ns)
{
	uint64_t *const figures[] = { &stat->min_ns, &stat->p50_ns, &stat->p90_ns, &stat->p99_ns,
				      &stat->p999_ns, &stat->max_ns, &stat->mean_ns };
	unsigned int i;

	if (!err_ns || err_ns == IVM_NS_UNKNOWN)
		return;
	for (i = 0; i < G_N_ELEMENTS(figures); i++)
		if (*figures[i] < err_ns)
			*figures[i] = IVM_NS_UNKNOWN;
}

/* One row out of a cell of the first @count collectors, if any has it */
static void append_row(GArray *rows, const struct ivm_group *g, struct collector *c, int count,
		       int from, int to)
{
	struct ivm_row row = { .from = (enum ivm_point)from, .to = (enum ivm_point)to,
			       .err_ns = measure_err_ns(g, from, to) };
	struct samples *sum = NULL;
	int i;

	for (i = 0; i < count; i++) {
		if (!c[i].cell[from][to])
			continue;
		if (!sum)
			sum = samples_new();
		samples_merge(sum, collector_cell(&c[i], from, to));
	}
	if (!sum)
		return;
	samples_compute(sum, &row.stat, &row.hist);
	blur(&row.stat, row.err_ns);
	g_array_append_val(rows, row);
	samples_free(sum);
}

static struct ivm_rows make_rows(const struct ivm_group *g, struct collector *c, int count)
{
	GArray *rows = g_array_new(FALSE, TRUE, sizeof(struct ivm_row));
	struct ivm_rows result;
	int from, to;

	for (from = 0; from < IVM_POINTS; from++)
		for (to = from + 1; to < IVM_POINTS; to++)
			append_row(rows, g, c, count, from, to);
	result.count = rows->len;
	result.row = (struct ivm_row *)(void *)g_array_free(rows, FALSE);
	return result;
}

static void compute_total(const struct ivm_group *g, struct collector *c, int count,
			  struct ivm_stat *total, struct ivm_hist *hist)
{
	struct samples *sum = samples_new();
	int i;

	for (i = 0; i < count; i++)
		samples_merge(sum, c[i].total);
	samples_compute(sum, total, hist);
	blur(total, g->err_ns);
	samples_free(sum);
}

void measure_finish(struct measure *m)
{
	struct ivm_group *g = m->group;
	int i;

	compute_total(g, m->state, IVM_R_STATES, &g->total, &g->total_hist);
	g->rows = make_rows(g, m->state, IVM_R_STATES);
	for (i = 0; i < IVM_R_STATES; i++) {
		struct ivm_path *path = &g->path[i];

		path->state = (enum ivm_receiver_state)i;
		compute_total(g, &m->state[i], 1, &path->total, &path->total_hist);
		path->rows = make_rows(g, &m->state[i], 1);
	}
	for (i = 0; i < IVM_R_STATES; i++) {
		g_ptr_array_free(m->state[i].hops, TRUE);
		samples_free(m->state[i].total);
	}
	g_free(m);
}

static void clear_rows(struct ivm_rows *rows)
{
	unsigned int i;

	for (i = 0; i < rows->count; i++)
		ivm_hist_clear(&rows->row[i].hist);
	g_free(rows->row);
}

void measure_clear_group(struct ivm_group *g)
{
	int i;

	for (i = 0; i < IVM_R_STATES; i++) {
		clear_rows(&g->path[i].rows);
		ivm_hist_clear(&g->path[i].total_hist);
	}
	clear_rows(&g->rows);
	ivm_hist_clear(&g->total_hist);
}
