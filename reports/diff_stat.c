// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Are the durations of two sets of runs different?
 *
 * Blocks are clusters of a survey: a mean is a ratio of totals, linearized; a
 * percentile has the interval of Woodruff, which is that of the share of
 * durations below it (as odds), turned into durations.  Neighbouring blocks may be alike,
 * so their covariance counts (Newey and West); runs may differ by more than
 * their blocks tell, so that counts as well.  Two intervals make one of the
 * ratio by the method of Zou and Donner.
 */
#include <gsl/gsl_cdf.h>
#include <math.h>

#include "diff_stat.h"
#include "stat.h"

/* Durations below @edge_ns, where a bucket ends */
struct below {
	uint64_t edge_ns;
	uint64_t count;
};

static int count_below(void *arg, uint64_t low_ns, uint64_t count)
{
	struct below *b = arg;

	if (low_ns >= b->edge_ns)
		return 1;
	b->count += count;
	return 0;
}

static uint64_t hist_below(const struct ivm_hist *h, uint64_t edge_ns)
{
	struct below b = { .edge_ns = edge_ns };

	ivm_hist_each(h, count_below, &b);
	return b.count;
}

struct ivm_sample *ivm_sample_new(void)
{
	struct ivm_sample *s = g_new0(struct ivm_sample, 1);

	s->runs = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref);
	return s;
}

static void hist_free(gpointer p)
{
	ivm_hist_clear(p);
	g_free(p);
}

void ivm_sample_free(struct ivm_sample *s)
{
	if (!s)
		return;
	g_ptr_array_free(s->runs, TRUE);
	ivm_hist_clear(&s->all);
	g_free(s);
}

void ivm_sample_add(struct ivm_sample *s, unsigned int run, const struct ivm_hist *h)
{
	struct ivm_hist *copy = g_new0(struct ivm_hist, 1);

	while (s->runs->len <= run)
		g_ptr_array_add(s->runs, g_ptr_array_new_with_free_func(hist_free));
	ivm_hist_merge(copy, h);
	g_ptr_array_add(g_ptr_array_index(s->runs, run), copy);
	ivm_hist_merge(&s->all, h);
}

/* Into @count parts of the same number of blocks, give or take one */
static GPtrArray *join_blocks(const GPtrArray *blocks, unsigned int count)
{
	GPtrArray *joined = g_ptr_array_new_with_free_func(hist_free);
	unsigned int i;

	for (i = 0; i < count; i++)
		g_ptr_array_add(joined, g_new0(struct ivm_hist, 1));
	for (i = 0; i < blocks->len; i++)
		ivm_hist_merge(g_ptr_array_index(joined, (guint64)i * count / blocks->len),
			       g_ptr_array_index(blocks, i));
	return joined;
}

void ivm_sample_close(struct ivm_sample *s)
{
	unsigned int i;

	for (i = 0; i < s->runs->len; i++) {
		GPtrArray *blocks = g_ptr_array_index(s->runs, i);

		if (blocks->len <= IVM_SAMPLE_BLOCKS)
			continue;
		s->runs->pdata[i] = join_blocks(blocks, IVM_SAMPLE_BLOCKS);
		g_ptr_array_unref(blocks);
	}
	s->has_buckets = s->all.count && hist_below(&s->all, UINT64_MAX) == s->all.count;
}

unsigned int ivm_sample_blocks(const struct ivm_sample *s)
{
	unsigned int i, blocks = 0;

	for (i = 0; i < s->runs->len; i++)
		blocks += ((GPtrArray *)g_ptr_array_index(s->runs, i))->len;
	return blocks;
}

/* ---- how far a sum over blocks may be off ---- */

/* What a block adds to the error of a figure; adds up to 0 over all blocks */
typedef double (*influence_fn)(const struct ivm_hist *block, const void *arg);

struct variance {
	double value;
	double df;
};

/* Lags of the covariance: the longer the row, the more of them it can tell */
static unsigned int lags_of(unsigned int blocks)
{
	return (unsigned int)cbrt(blocks);
}

/* Of the sum of a row whose elements differ by chance, but not independently */
static double row_variance(const double *e, unsigned int count)
{
	unsigned int lags = lags_of(count), i, lag;
	double mean = 0, own = 0, shared = 0, product;

	for (i = 0; i < count; i++)
		mean += e[i] / count;
	for (i = 0; i < count; i++)
		own += (e[i] - mean) * (e[i] - mean);
	for (lag = 1; lag <= lags; lag++) {
		product = 0;
		for (i = lag; i < count; i++)
			product += (e[i] - mean) * (e[i - lag] - mean);
		shared += 2 * (1 - lag / (lags + 1.0)) * product;
	}
	/* Blocks that make up for each other are more likely an accident */
	return (own + MAX(shared, 0)) * count / (count - 1.0);
}

static unsigned int used_blocks(const GPtrArray *blocks)
{
	unsigned int i, used = 0;

	for (i = 0; i < blocks->len; i++)
		used += ((struct ivm_hist *)g_ptr_array_index(blocks, i))->count != 0;
	return used;
}

/* Blocks of one run; how far the run as a whole is off goes to @sum */
static struct variance run_variance(const GPtrArray *blocks, influence_fn influence,
				    const void *arg, double *sum)
{
	g_autofree double *e = g_new(double, blocks->len + 1);
	struct variance v = { 0 };
	unsigned int i;

	*sum = 0;
	for (i = 0; i < blocks->len; i++) {
		e[i] = influence(g_ptr_array_index(blocks, i), arg);
		*sum += e[i];
	}
	if (blocks->len > 1) {
		v.value = row_variance(e, blocks->len);
		/* Blocks without durations tell little, and neighbours much the same */
		v.df = (used_blocks(blocks) - 1.0) / (1 + lags_of(blocks->len) / 2.0);
	}
	return v;
}

/* What runs differ by beyond their blocks has as many degrees of freedom as there are runs */
static struct variance sample_variance(const struct ivm_sample *s, influence_fn influence,
				       const void *arg)
{
	struct variance within = { 0 }, v;
	double sum, between = 0, excess;
	unsigned int i, runs = s->runs->len;

	for (i = 0; i < runs; i++) {
		v = run_variance(g_ptr_array_index(s->runs, i), influence, arg, &sum);
		within.value += v.value;
		within.df += MAX(v.df, 0);
		between += sum * sum;
	}
	excess = runs > 1 ? between * runs / (runs - 1.0) - within.value : 0;
	if (excess <= 0)
		return within;
	v.value = within.value + excess;
	v.df = v.value * v.value / (within.value * within.value / MAX(within.df, 1) +
				    excess * excess / (runs - 1.0));
	return v;
}

static unsigned int free_differences(const struct ivm_sample *s)
{
	unsigned int i, used, sum = 0;

	for (i = 0; i < s->runs->len; i++) {
		used = used_blocks(g_ptr_array_index(s->runs, i));
		sum += used ? used - 1 : 0;
	}
	return sum;
}

/* ---- figures of one side ---- */

/*
 * Value that Student's t exceeds with probability @tail, below 0.5.  By bisection: GSL's
 * own inverse ends the program where it does not converge.
 */
static double student_quantile(double tail, double df)
{
	double low = 0, high = 1, middle;
	int i;

	while (gsl_cdf_tdist_Q(high, df) > tail && high < 1e9)
		high *= 2;
	for (i = 0; i < 100; i++) {
		middle = (low + high) / 2;
		if (gsl_cdf_tdist_Q(middle, df) > tail)
			low = middle;
		else
			high = middle;
	}
	return (low + high) / 2;
}

struct limits {
	double value, low, high;
};

static double mean_influence(const struct ivm_hist *block, const void *arg)
{
	const double *mean = arg;

	return (double)block->sum_ns - *mean * (double)block->count;
}

/* Symmetric as a ratio: durations are never below 0, and what makes them vary multiplies */
static struct limits mean_limits(const struct ivm_sample *s, double error)
{
	double mean = (double)s->all.sum_ns / (double)s->all.count;
	struct variance v = sample_variance(s, mean_influence, &mean);
	double reach = student_quantile(error / 2, v.df) * sqrt(v.value) /
		       (double)s->all.count;
	double factor = exp(mean > 0 ? reach / mean : 0);

	return (struct limits){ mean, mean / factor, mean * factor };
}

struct share {
	uint64_t edge_ns;
	double share;		/* of all durations, below the edge */
};

static double share_influence(const struct ivm_hist *block, const void *arg)
{
	const struct share *s = arg;

	return (double)hist_below(block, s->edge_ns) - s->share * (double)block->count;
}

static struct variance share_variance(const struct ivm_sample *s, uint64_t edge_ns)
{
	struct share share = { edge_ns, (double)hist_below(&s->all, edge_ns) /
					(double)s->all.count };

	return sample_variance(s, share_influence, &share);
}

/* The bucket in which a share of all durations is reached */
struct reached {
	double wanted;		/* durations */
	uint64_t count;
	uint64_t low_ns;
};

static int find_reached(void *arg, uint64_t low_ns, uint64_t count)
{
	struct reached *r = arg;

	r->low_ns = low_ns;
	r->count += count;
	return (double)r->count >= r->wanted;
}

static uint64_t bucket_of(const struct ivm_hist *h, double share)
{
	struct reached r = { .wanted = share * (double)h->count };

	ivm_hist_each(h, find_reached, &r);
	return r.low_ns;
}

/* On the scale of odds: bursts make the few durations in a tail many, never less than none */
static double move_share(double share, double reach)
{
	double odds = share / (1 - share) * exp(reach / (share * (1 - share)));

	return isfinite(odds) ? odds / (1 + odds) : 1;
}

static struct limits percentile_limits(const struct ivm_sample *s, unsigned int permille,
				       double error)
{
	const struct ivm_hist *h = &s->all;
	double share = permille / 1000.0, reach, most;
	uint64_t low_ns = bucket_of(h, share);
	struct variance v = share_variance(s, low_ns);
	struct variance above = share_variance(s, ivm_hist_bucket_end(low_ns));
	struct limits l = { (double)ivm_hist_percentile(h, permille), 0, INFINITY };

	/* Any place in the bucket may be the right one: the less certain edge counts */
	if (above.value > v.value)
		v = above;
	reach = v.value > 0 ? student_quantile(error / 2, v.df) * sqrt(v.value) /
			      (double)h->count : 0;
	l.low = (double)MAX(bucket_of(h, move_share(share, -reach)), h->min_ns);
	most = move_share(share, reach);
	if ((1 - most) * (double)h->count >= 1)
		l.high = (double)MIN(ivm_hist_bucket_end(bucket_of(h, most)) - 1, h->max_ns);
	return l;
}

static struct limits limits_of(const struct ivm_sample *s, enum ivm_diff_stat stat, double error)
{
	if (stat == IVM_DIFF_MEAN)
		return mean_limits(s, error);
	return percentile_limits(s, stat == IVM_DIFF_P50 ? 500 : 990, error);
}

/* ---- both sides ---- */

static bool has_figure(const struct ivm_sample *s, enum ivm_diff_stat stat)
{
	if (stat != IVM_DIFF_MEAN && !s->has_buckets)
		return false;
	return s->all.count >= (stat == IVM_DIFF_P99 ? IVM_P99_MIN_COUNT : 1);
}

bool ivm_shift_is_testable(const struct ivm_sample *a, const struct ivm_sample *b,
			   enum ivm_diff_stat stat)
{
	return has_figure(a, stat) && has_figure(b, stat) &&
	       free_differences(a) >= IVM_SAMPLE_MIN_DF &&
	       free_differences(b) >= IVM_SAMPLE_MIN_DF;
}

static double figure(const struct ivm_sample *s, enum ivm_diff_stat stat)
{
	if (!has_figure(s, stat))
		return NAN;
	if (stat == IVM_DIFF_MEAN)
		return (double)s->all.sum_ns / (double)s->all.count;
	return (double)ivm_hist_percentile(&s->all, stat == IVM_DIFF_P50 ? 500 : 990);
}

/* 0 ns is as short as can be told, not infinitely short */
static double log_ratio(double a, double b)
{
	return log(MAX(a, 0.5) / MAX(b, 0.5));
}

void ivm_shift_compute(const struct ivm_sample *a, const struct ivm_sample *b,
		       enum ivm_diff_stat stat, double error, struct ivm_shift *shift)
{
	struct limits x, y;

	*shift = (struct ivm_shift){ figure(a, stat), figure(b, stat), NAN, NAN };
	if (!ivm_shift_is_testable(a, b, stat))
		return;
	x = limits_of(a, stat, error);
	y = limits_of(b, stat, error);
	shift->low = x.value * expm1(-hypot(log_ratio(y.value, y.low), log_ratio(x.high, x.value))
				     + log_ratio(y.value, x.value));
	shift->high = x.value * expm1(hypot(log_ratio(y.high, y.value), log_ratio(x.value, x.low))
				      + log_ratio(y.value, x.value));
}

bool ivm_shift_is_significant(const struct ivm_shift *shift)
{
	return shift->low > 0 || shift->high < 0;
}

static unsigned int all_used_blocks(const struct ivm_sample *s)
{
	unsigned int i, used = 0;

	for (i = 0; i < s->runs->len; i++)
		used += used_blocks(g_ptr_array_index(s->runs, i));
	return used;
}

bool ivm_sample_is_new(const struct ivm_sample *none, const struct ivm_sample *some, double error)
{
	unsigned int longest = 0, blocks = ivm_sample_blocks(some), i;
	double others = ivm_sample_blocks(none), chance = 1, used;

	if (none->all.count || !some->all.count)
		return false;
	for (i = 0; i < some->runs->len; i++)
		longest = MAX(longest, ((GPtrArray *)g_ptr_array_index(some->runs, i))->len);
	/* Neighbours may be alike: as in run_variance() they are not worth a block each */
	used = all_used_blocks(some) / (1 + lags_of(longest) / 2.0);
	for (i = 0; i + 1 <= used; i++)
		chance *= (blocks - i) / (blocks + others - i);
	return chance < error;
}

struct pairs {
	const struct ivm_hist *a;
	double wins;
};

static int count_wins(void *arg, uint64_t low_ns, uint64_t count)
{
	struct pairs *p = arg;
	uint64_t below = hist_below(p->a, low_ns);
	uint64_t alike = hist_below(p->a, ivm_hist_bucket_end(low_ns)) - below;

	p->wins += (double)count * ((double)below + (double)alike / 2);
	return 0;
}

double ivm_superiority(const struct ivm_hist *a, const struct ivm_hist *b)
{
	struct pairs p = { .a = a };

	ivm_hist_each(b, count_wins, &p);
	return p.wins / ((double)a->count * (double)b->count);
}
