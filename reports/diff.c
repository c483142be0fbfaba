// SPDX-License-Identifier: GPL-2.0-or-later
/* Two sets of runs, hop by hop */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "diff.h"
#include "environment.h"

static const char *const points[] = IVM_POINT_NAMES;
static const char *const modes[] = IVM_MODE_NAMES;
static const char *const states[] = IVM_RECEIVER_STATE_NAMES;

/* A block of a group, with the run it is from */
struct part {
	enum ivm_side side;
	unsigned int run;		/* of its side */
	const struct ivm_group *group;
};

/* All blocks of all runs that bear one name, before they are compared */
struct gathered {
	char *name;
	GArray *parts;			/* struct part, runs and blocks in order */
};

struct gathering {
	GPtrArray *fills;		/* of GPtrArray of struct ivm_group *, which own them */
	GPtrArray *groups;		/* struct gathered *, in order of appearance */
	GHashTable *by_name;
};

/* ---- names ---- */

char *ivm_diff_row_name(const struct ivm_diff_row *row)
{
	return g_strdup_printf("%s..%s%s", points[row->from], points[row->to],
			       ivm_row_approx(row->from, row->to) ? "~" : "");
}

static const char *vm_name(const struct ivm_report *r, uint32_t end_id)
{
	const struct ivm_report_end *end = ivm_report_find_end(r, end_id);
	const struct ivm_report_vm *vm = end ? ivm_report_find_vm(r, end->vm) : NULL;

	return vm ? vm->name : "?";
}

static char *group_name(const struct ivm_report *r, const struct ivm_group *g)
{
	const struct ivm_report_end *end = ivm_report_find_end(r, g->from_end);
	GString *name = g_string_new(modes[g->mode]);
	const struct ivm_phase_info *phase;

	if (g->configured != g->mode)
		g_string_append_printf(name, ", configured %s", ivm_report_configured(r, g));
	if (g->from_end)
		g_string_append_printf(name, ", link %s, %s %s %s", end ? end->link : "?",
				       vm_name(r, g->from_end), g->both_ways ? "↔" : "→",
				       vm_name(r, g->to_end));
	if (g->from_end && g->vectors == 1)
		g_string_append_printf(name, ", vector %u", g->vector_min);
	if (g->from_vcpu >= 0)
		g_string_append_printf(name, ", from vCPU %d", g->from_vcpu);
	if (g->to_vcpu >= 0)
		g_string_append_printf(name, ", to vCPU %d", g->to_vcpu);
	if (g->phase > 0) {
		phase = &g_array_index(ivm_breakdown_phases(r->breakdown),
				       struct ivm_phase_info, g->phase);
		g_string_append_printf(name, ", phase %s", phase->name);
	}
	if (g->state >= 0)
		g_string_append_printf(name, ", receiver %s", states[g->state]);
	return g_string_free(name, FALSE);
}

/* ---- gathering what belongs together ---- */

static void gathered_free(gpointer p)
{
	struct gathered *g = p;

	g_array_free(g->parts, TRUE);
	g_free(g->name);
	g_free(g);
}

static struct gathered *find_gathered(struct gathering *all, char *name)
{
	struct gathered *found = g_hash_table_lookup(all->by_name, name);

	if (found) {
		g_free(name);
		return found;
	}
	found = g_new0(struct gathered, 1);
	found->name = name;
	found->parts = g_array_new(FALSE, FALSE, sizeof(struct part));
	g_ptr_array_add(all->groups, found);
	g_hash_table_insert(all->by_name, name, found);
	return found;
}

static int compare_blocks(gconstpointer a, gconstpointer b)
{
	return (*(struct ivm_group *const *)a)->block - (*(struct ivm_group *const *)b)->block;
}

static int gather_run(struct gathering *all, struct ivm_report *r, unsigned int by,
		      enum ivm_side side, unsigned int run)
{
	struct part part = { .side = side, .run = run };
	GPtrArray *groups;
	unsigned int i;
	int err;

	err = ivm_breakdown_fill(r->breakdown, by | IVM_BY_BLOCK, &groups);
	if (err)
		return err;
	g_ptr_array_add(all->fills, groups);
	g_ptr_array_sort(groups, compare_blocks);
	for (i = 0; i < groups->len; i++) {
		part.group = g_ptr_array_index(groups, i);
		if (part.group->has_total && part.group->total.count)
			g_array_append_val(find_gathered(all, group_name(r, part.group))->parts,
					   part);
	}
	return 0;
}

static void gathering_init(struct gathering *all)
{
	all->fills = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref);
	all->groups = g_ptr_array_new_with_free_func(gathered_free);
	all->by_name = g_hash_table_new(g_str_hash, g_str_equal);
}

static void gathering_clear(struct gathering *all)
{
	g_hash_table_destroy(all->by_name);
	g_ptr_array_free(all->groups, TRUE);
	g_ptr_array_free(all->fills, TRUE);
}

static int gather(struct gathering *all, GPtrArray *const reports[IVM_SIDES], unsigned int by)
{
	unsigned int side, run;
	int err = 0;

	for (side = 0; side < IVM_SIDES; side++)
		for (run = 0; run < reports[side]->len && !err; run++)
			err = gather_run(all, g_ptr_array_index(reports[side], run), by,
					 (enum ivm_side)side, run);
	return err;
}

/* ---- one group ---- */

static void row_init(struct ivm_diff_row *row, enum ivm_point from, enum ivm_point to)
{
	*row = (struct ivm_diff_row){ .from = from, .to = to, .superiority = NAN };
	row->sample[IVM_SIDE_A] = ivm_sample_new();
	row->sample[IVM_SIDE_B] = ivm_sample_new();
}

static void row_clear(struct ivm_diff_row *row)
{
	ivm_sample_free(row->sample[IVM_SIDE_A]);
	ivm_sample_free(row->sample[IVM_SIDE_B]);
}

static const struct ivm_row *find_row(const struct ivm_group *g, int from, int to)
{
	unsigned int i;

	for (i = 0; i < g->rows.count; i++)
		if ((int)g->rows.row[i].from == from && (int)g->rows.row[i].to == to)
			return &g->rows.row[i];
	return NULL;
}

static uint64_t wider(uint64_t a_ns, uint64_t b_ns)
{
	return MAX(a_ns, b_ns);		/* unknown is the widest */
}

static uint64_t add_bounds(uint64_t a_ns, uint64_t b_ns)
{
	return a_ns == IVM_NS_UNKNOWN || b_ns == IVM_NS_UNKNOWN ? IVM_NS_UNKNOWN : a_ns + b_ns;
}

/* Runs without a single journey of the group do not count as runs */
static unsigned int run_index(unsigned int last[IVM_SIDES], unsigned int runs[IVM_SIDES],
			      const struct part *part)
{
	if (!runs[part->side] || last[part->side] != part->run)
		runs[part->side]++;
	last[part->side] = part->run;
	return runs[part->side] - 1;
}

static void close_row(struct ivm_diff_row *row, const uint64_t err_ns[IVM_SIDES])
{
	const struct ivm_hist *a = &row->sample[IVM_SIDE_A]->all;
	const struct ivm_hist *b = &row->sample[IVM_SIDE_B]->all;

	ivm_sample_close(row->sample[IVM_SIDE_A]);
	ivm_sample_close(row->sample[IVM_SIDE_B]);
	row->err_ns = add_bounds(err_ns[IVM_SIDE_A], err_ns[IVM_SIDE_B]);
	if (a->count && b->count)
		row->superiority = ivm_superiority(a, b);
}

/* A block in which nobody took this hop is a block without durations */
static void fill_row(struct ivm_diff_row *row, const GArray *parts)
{
	static const struct ivm_hist none;
	unsigned int last[IVM_SIDES], runs[IVM_SIDES] = { 0 }, i;
	uint64_t err_ns[IVM_SIDES] = { 0 };
	const struct ivm_row *r;

	for (i = 0; i < parts->len; i++) {
		const struct part *part = &g_array_index(parts, struct part, i);

		r = find_row(part->group, row->from, row->to);
		ivm_sample_add(row->sample[part->side], run_index(last, runs, part),
			       r ? &r->hist : &none);
		if (r)
			err_ns[part->side] = wider(err_ns[part->side], r->err_ns);
	}
	close_row(row, err_ns);
}

static void fill_total(struct ivm_diff_group *g, const GArray *parts)
{
	unsigned int last[IVM_SIDES], i;
	uint64_t err_ns[IVM_SIDES] = { 0 };

	for (i = 0; i < parts->len; i++) {
		const struct part *part = &g_array_index(parts, struct part, i);

		ivm_sample_add(g->total.sample[part->side], run_index(last, g->runs, part),
			       &part->group->total_hist);
		err_ns[part->side] = wider(err_ns[part->side], part->group->err_ns);
		g->has_total &= part->group->from == g->total.from &&
				part->group->to == g->total.to;
	}
	close_row(&g->total, err_ns);
	for (i = 0; i < IVM_SIDES; i++)
		g->blocks[i] = ivm_sample_blocks(g->total.sample[i]);
}

/* Which hops there are on either side */
static void find_rows(struct ivm_diff_group *g, const GArray *parts)
{
	bool seen[IVM_POINTS][IVM_POINTS] = { 0 };
	struct ivm_diff_row row;
	unsigned int i, k;
	int from, to;

	for (i = 0; i < parts->len; i++) {
		const struct ivm_rows *rows = &g_array_index(parts, struct part, i).group->rows;

		for (k = 0; k < rows->count; k++)
			seen[rows->row[k].from][rows->row[k].to] = true;
	}
	for (from = 0; from < IVM_POINTS; from++) {
		for (to = from + 1; to < IVM_POINTS; to++) {
			if (!seen[from][to])
				continue;
			row_init(&row, (enum ivm_point)from, (enum ivm_point)to);
			fill_row(&row, parts);
			g_array_append_val(g->rows, row);
		}
	}
}

/* A journey's share in the total's mean: a hop that few take weighs little */
static double per_journey_ns(const struct ivm_diff_row *row, const struct ivm_diff_row *total,
			     enum ivm_side side)
{
	return (double)row->sample[side]->all.sum_ns / (double)total->sample[side]->all.count;
}

static struct ivm_diff_group *make_group(const struct gathered *from)
{
	const struct ivm_group *first = g_array_index(from->parts, struct part, 0).group;
	struct ivm_diff_group *g = g_new0(struct ivm_diff_group, 1);
	unsigned int i;

	g->name = g_strdup(from->name);
	g->rows = g_array_new(FALSE, FALSE, sizeof(struct ivm_diff_row));
	g->has_total = true;
	row_init(&g->total, first->from, first->to);
	fill_total(g, from->parts);
	find_rows(g, from->parts);
	for (i = 0; i < g->rows->len; i++) {
		struct ivm_diff_row *row = &g_array_index(g->rows, struct ivm_diff_row, i);

		row->part_ns = per_journey_ns(row, &g->total, IVM_SIDE_B) -
			       per_journey_ns(row, &g->total, IVM_SIDE_A);
	}
	g->total.part_ns = per_journey_ns(&g->total, &g->total, IVM_SIDE_B) -
			   per_journey_ns(&g->total, &g->total, IVM_SIDE_A);
	return g;
}

static void group_free(gpointer p)
{
	struct ivm_diff_group *g = p;
	unsigned int i;

	for (i = 0; i < g->rows->len; i++)
		row_clear(&g_array_index(g->rows, struct ivm_diff_row, i));
	g_array_free(g->rows, TRUE);
	row_clear(&g->total);
	g_free(g->name);
	g_free(g);
}

/* ---- all groups ---- */

typedef void (*row_fn)(struct ivm_diff *d, struct ivm_diff_row *row, double error);

static void each_row(struct ivm_diff *d, row_fn fn, double error)
{
	unsigned int i, k;

	for (i = 0; i < d->groups->len; i++) {
		struct ivm_diff_group *g = g_ptr_array_index(d->groups, i);

		if (g->has_total)
			fn(d, &g->total, error);
		for (k = 0; k < g->rows->len; k++)
			fn(d, &g_array_index(g->rows, struct ivm_diff_row, k), error);
	}
}

static bool is_testable(const struct ivm_diff_row *row, int stat)
{
	return row->err_ns != IVM_NS_UNKNOWN &&
	       ivm_shift_is_testable(row->sample[IVM_SIDE_A], row->sample[IVM_SIDE_B],
				     (enum ivm_diff_stat)stat);
}

static bool is_one_sided(const struct ivm_diff_row *row)
{
	return !row->sample[IVM_SIDE_A]->all.count != !row->sample[IVM_SIDE_B]->all.count;
}

static void count_figures(struct ivm_diff *d, struct ivm_diff_row *row, double error)
{
	int stat;

	(void)error;
	for (stat = 0; stat < IVM_DIFF_STATS; stat++)
		d->figures += is_testable(row, stat);
	d->figures += is_one_sided(row);
}

/* Two clocks that are off by up to their bounds may differ by both */
static void compute_shifts(struct ivm_diff *d, struct ivm_diff_row *row, double error)
{
	struct ivm_shift *shift;
	int stat;

	(void)d;
	row->is_new = ivm_sample_is_new(row->sample[IVM_SIDE_A], row->sample[IVM_SIDE_B], error);
	row->is_gone = ivm_sample_is_new(row->sample[IVM_SIDE_B], row->sample[IVM_SIDE_A], error);
	for (stat = 0; stat < IVM_DIFF_STATS; stat++) {
		shift = &row->shift[stat];
		ivm_shift_compute(row->sample[IVM_SIDE_A], row->sample[IVM_SIDE_B],
				  (enum ivm_diff_stat)stat, error, shift);
		if (!is_testable(row, stat))
			shift->low = shift->high = NAN;
		shift->low -= (double)row->err_ns;
		shift->high += (double)row->err_ns;
	}
}

static bool has_side(const struct gathered *g, enum ivm_side side)
{
	unsigned int i;

	for (i = 0; i < g->parts->len; i++)
		if (g_array_index(g->parts, struct part, i).side == side)
			return true;
	return false;
}

static void sort_out(struct ivm_diff *d, const struct gathering *all)
{
	unsigned int i;

	for (i = 0; i < all->groups->len; i++) {
		const struct gathered *g = g_ptr_array_index(all->groups, i);

		if (!has_side(g, IVM_SIDE_B))
			g_ptr_array_add(d->only[IVM_SIDE_A], g_strdup(g->name));
		else if (!has_side(g, IVM_SIDE_A))
			g_ptr_array_add(d->only[IVM_SIDE_B], g_strdup(g->name));
		else
			g_ptr_array_add(d->groups, make_group(g));
	}
}

int ivm_diff_compute(GPtrArray *const reports[IVM_SIDES], unsigned int by, double confidence,
		     struct ivm_diff **diff)
{
	const struct ivm_report *a = g_ptr_array_index(reports[IVM_SIDE_A], 0);
	const struct ivm_report *b = g_ptr_array_index(reports[IVM_SIDE_B], 0);
	struct ivm_diff *d = g_new0(struct ivm_diff, 1);
	struct gathering all;
	int err, side;

	d->confidence = confidence;
	d->groups = g_ptr_array_new_with_free_func(group_free);
	d->environment = ivm_facts_compare(a->facts, b->facts);
	for (side = 0; side < IVM_SIDES; side++) {
		d->only[side] = g_ptr_array_new_with_free_func(g_free);
		d->runs[side] = reports[side]->len;
	}
	gathering_init(&all);
	err = gather(&all, reports, by);
	if (!err)
		sort_out(d, &all);
	gathering_clear(&all);
	each_row(d, count_figures, 0);
	/* Bonferroni: nothing is assumed of how hops depend on each other */
	each_row(d, compute_shifts, (1 - confidence) / MAX(d->figures, 1));
	if (err)
		ivm_diff_free(d);
	else
		*diff = d;
	return err;
}

void ivm_diff_free(struct ivm_diff *d)
{
	if (!d)
		return;
	g_ptr_array_free(d->groups, TRUE);
	g_ptr_array_free(d->only[IVM_SIDE_A], TRUE);
	g_ptr_array_free(d->only[IVM_SIDE_B], TRUE);
	g_ptr_array_free(d->environment, TRUE);
	g_free(d);
}
