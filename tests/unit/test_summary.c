// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Recordings that do not keep every journey: their reports say the same, but
 * for percentiles, which are as good as the histogram.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib.h>
#include <glib/gstdio.h>

#include "reports/breakdown.h"
#include "tracer/hist.h"
#include "tracer/recording.h"
#include "tracer/summary.h"

#define JOURNEYS	20000
#define DIRECTIONS	4	/* ends 1 to 4, vector 0 and 1 each */

static char *dir;

static int set_up(void **state)
{
	(void)state;
	dir = g_dir_make_tmp("ivm-summary-XXXXXX", NULL);
	return dir ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	g_rmdir(dir);
	g_free(dir);
	return 0;
}

/* ---- histograms ---- */

static void test_small_values_are_exact(void **state)
{
	struct ivm_hist h = { 0 };
	uint64_t ns;

	(void)state;
	for (ns = 0; ns < 64; ns++)
		ivm_hist_add(&h, ns);
	assert_int_equal(h.count, 64);
	assert_int_equal(h.sum_ns, 63 * 32);
	for (ns = 0; ns < 64; ns++)
		assert_int_equal(ivm_hist_percentile(&h, (unsigned int)(ns + 1) * 1000 / 64), ns);
	ivm_hist_clear(&h);
}

static void test_percentiles_are_close(void **state)
{
	uint64_t ns, value;

	(void)state;
	for (ns = 1; ns < 1ull << 62; ns += ns / 20 + 1) {
		struct ivm_hist h = { 0 };

		ivm_hist_add(&h, ns / 2);
		ivm_hist_add(&h, ns);
		ivm_hist_add(&h, ns * 2);
		value = ivm_hist_percentile(&h, 500);
		assert_true(value <= ns + ns / 128 + 1 && value + ns / 128 + 1 >= ns);
		assert_int_equal(ivm_hist_percentile(&h, 1000) <= ns * 2, 1);
		ivm_hist_clear(&h);
	}
}

static void test_extreme_values(void **state)
{
	struct ivm_hist h = { 0 }, other = { 0 };

	(void)state;
	ivm_hist_add(&h, UINT64_MAX);
	ivm_hist_add(&other, 0);
	ivm_hist_merge(&h, &other);
	assert_int_equal(h.count, 2);
	assert_int_equal(h.min_ns, 0);
	assert_true(h.max_ns == UINT64_MAX);
	assert_int_equal(ivm_hist_percentile(&h, 500), 0);
	ivm_hist_clear(&h);
	ivm_hist_clear(&other);
}

/* ---- recordings ---- */

static uint64_t step(GRand *random)
{
	return (uint64_t)g_rand_int_range(random, 1, 1 << g_rand_int_range(random, 1, 22));
}

static struct ivm_journey make_journey(GRand *random, uint64_t id)
{
	static const enum ivm_outcome outcomes[] = {
		IVM_O_DELIVERED, IVM_O_DELIVERED, IVM_O_DELIVERED, IVM_O_DELIVERED,
		IVM_O_DELIVERED, IVM_O_COALESCED, IVM_O_COALESCED, IVM_O_MASKED, IVM_O_DROPPED,
		IVM_O_UNFINISHED };
	struct ivm_journey j = {
		.id = id, .cookie = (uint32_t)id, .irq_vector = 40,
		.mode = IVM_M_DIRECT, .configured = IVM_M_DIRECT,
		.vector = (uint16_t)g_rand_int_range(random, 0, 2),
		.from_end = (uint32_t)g_rand_int_range(random, 1, DIRECTIONS + 1),
		.outcome = outcomes[g_rand_int_range(random, 0, G_N_ELEMENTS(outcomes))],
	};
	uint64_t t_ns = 1000000000 + id * 100000;

	j.to_end = 1 + (j.from_end - 1 + 2) % DIRECTIONS;
	j.t_ns[IVM_P_DISPATCH] = t_ns;
	if (j.outcome != IVM_O_DELIVERED && j.outcome != IVM_O_COALESCED)
		return j;
	j.t_ns[IVM_P_ROUTE] = t_ns += step(random);
	j.t_ns[IVM_P_ACCEPT] = t_ns += step(random);
	if (g_rand_boolean(random)) {
		j.t_ns[IVM_P_VCPU_WAKE] = t_ns += step(random);
		j.t_ns[IVM_P_VCPU_RUN] = t_ns += step(random);
	}
	if (j.outcome == IVM_O_COALESCED)
		return j;
	j.t_ns[IVM_P_INJECT] = t_ns += step(random);
	/* One direction's journeys do not all get that far */
	if (j.from_end != 2 || g_rand_boolean(random))
		j.t_ns[IVM_P_ENTRY] = t_ns + step(random);
	if (g_rand_int_range(random, 0, 50) == 0)
		j.flags |= IVM_J_DISORDERED;
	return j;
}

static void count(struct ivm_counts *c, const struct ivm_journey *j)
{
	c->from_end = j->from_end;
	c->to_end = j->to_end;
	c->vector = j->vector;
	c->irq_vector = j->irq_vector;
	c->rung++;
	c->accepted += ivm_seen(j, IVM_P_ACCEPT);
	c->delivered += j->outcome == IVM_O_DELIVERED;
	c->coalesced += j->outcome == IVM_O_COALESCED;
	c->masked += j->outcome == IVM_O_MASKED;
	c->dropped += j->outcome == IVM_O_DROPPED;
	c->unfinished += j->outcome == IVM_O_UNFINISHED;
}

static char *write_recording(const struct ivm_keep *keep)
{
	struct ivm_counts counts[DIRECTIONS + 1][2] = { 0 };
	char *path = g_build_filename(dir, "x.ivm", NULL);
	GRand *random = g_rand_new_with_seed(3);
	struct ivm_recording *r = NULL;
	struct ivm_journey j;
	uint64_t i;

	g_unlink(path);
	assert_int_equal(ivm_recording_create(path, &r), 0);
	assert_int_equal(ivm_recording_keep(r, keep), 0);
	for (i = 1; i <= JOURNEYS; i++) {
		j = make_journey(random, i);
		count(&counts[j.from_end][j.vector], &j);
		assert_int_equal(ivm_recording_add_journey(r, &j), 0);
	}
	for (i = 0; i < 2 * DIRECTIONS; i++)
		assert_int_equal(ivm_recording_add_counts(r, &counts[1 + i / 2][i % 2]), 0);
	assert_int_equal(ivm_recording_finish(r), 0);
	ivm_recording_close(r);
	g_rand_free(random);
	return path;
}

static sqlite3 *open_recording(const struct ivm_keep *keep)
{
	g_autofree char *path = write_recording(keep);
	const char *why = NULL;
	sqlite3 *db = NULL;

	assert_int_equal(ivm_recording_open(path, &db, &why), 0);
	g_unlink(path);
	return db;
}

static int query(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt;
	int value;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	value = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	return value;
}

/* ---- reports ---- */

static void close_to(uint64_t got, uint64_t exact)
{
	if (got == IVM_NS_UNKNOWN || exact == IVM_NS_UNKNOWN)
		assert_true(got == exact);
	else
		assert_in_range(got, exact - exact / 128 - (exact > 0), exact + exact / 128 + 1);
}

static void compare_stats(const struct ivm_stat *got, const struct ivm_stat *exact)
{
	assert_int_equal(got->count, exact->count);
	assert_int_equal(got->sum_ns, exact->sum_ns);
	assert_true(got->min_ns == exact->min_ns);
	assert_true(got->max_ns == exact->max_ns);
	assert_true(got->mean_ns == exact->mean_ns);
	close_to(got->p50_ns, exact->p50_ns);
	close_to(got->p90_ns, exact->p90_ns);
	close_to(got->p99_ns, exact->p99_ns);
	close_to(got->p999_ns, exact->p999_ns);
}

static void compare_rows(const struct ivm_rows *got, const struct ivm_rows *exact)
{
	unsigned int i;

	assert_int_equal(got->count, exact->count);
	for (i = 0; i < got->count; i++) {
		assert_int_equal(got->row[i].from, exact->row[i].from);
		assert_int_equal(got->row[i].to, exact->row[i].to);
		compare_stats(&got->row[i].stat, &exact->row[i].stat);
	}
}

static void compare_groups(const struct ivm_group *got, const struct ivm_group *exact)
{
	int i;

	assert_memory_equal(&got->counts, &exact->counts, sizeof(got->counts));
	assert_int_equal(got->from_end, exact->from_end);
	assert_int_equal(got->vectors, exact->vectors);
	assert_int_equal(got->rung_at, exact->rung_at);
	assert_int_equal(got->delivered_at, exact->delivered_at);
	assert_int_equal(got->has_total, exact->has_total);
	assert_int_equal(got->from, exact->from);
	assert_int_equal(got->to, exact->to);
	compare_stats(&got->total, &exact->total);
	compare_rows(&got->rows, &exact->rows);
	for (i = 0; i < IVM_R_STATES; i++) {
		compare_stats(&got->path[i].total, &exact->path[i].total);
		compare_rows(&got->path[i].rows, &exact->path[i].rows);
	}
}

static void compare_by(struct ivm_breakdown *got, struct ivm_breakdown *exact, unsigned int by)
{
	GPtrArray *a, *b;
	unsigned int i;

	assert_int_equal(ivm_breakdown_fill(got, by, &a), 0);
	assert_int_equal(ivm_breakdown_fill(exact, by, &b), 0);
	assert_int_equal(a->len, b->len);
	assert_true(a->len > 0);
	for (i = 0; i < a->len; i++)
		compare_groups(g_ptr_array_index(a, i), g_ptr_array_index(b, i));
	g_ptr_array_free(a, TRUE);
	g_ptr_array_free(b, TRUE);
}

static const unsigned int groupings[] = {
	IVM_BY_MODE, IVM_BY_LINK, IVM_BY_DIRECTION, IVM_BY_VECTOR, IVM_BY_FROM_VCPU,
	IVM_BY_TO_VCPU, IVM_BY_PHASE, IVM_BY_PATH, IVM_BY_BLOCK, IVM_BY_LINK | IVM_BY_BLOCK,
	IVM_BY_VECTOR | IVM_BY_PATH | IVM_BY_FROM_VCPU,
};

/* Returns how many journeys were kept */
static int compare_reports(const struct ivm_keep *keep)
{
	const struct ivm_keep all = { 0 };
	sqlite3 *db = open_recording(keep), *exact_db = open_recording(&all);
	struct ivm_breakdown *got, *exact;
	int kept = query(db, "SELECT count(*) FROM journeys");
	unsigned int by;

	assert_int_equal(ivm_breakdown_load(db, false, &got), 0);
	assert_int_equal(ivm_breakdown_load(exact_db, true, &exact), 0);
	assert_int_equal(ivm_breakdown_mismatches(got)->len, 0);
	assert_int_equal(ivm_breakdown_mismatches(exact)->len, 0);
	assert_true(ivm_breakdown_is_exact(exact));
	assert_false(ivm_breakdown_is_exact(got));
	for (by = 0; by < G_N_ELEMENTS(groupings); by++)
		compare_by(got, exact, groupings[by]);
	ivm_breakdown_free(got);
	ivm_breakdown_free(exact);
	assert_int_equal(query(db, "SELECT sum(count) FROM shapes"), JOURNEYS);
	assert_int_equal(query(db, "SELECT sum(count) FROM cells"), JOURNEYS);
	if (kept < JOURNEYS) {
		assert_int_equal(ivm_breakdown_load(db, true, &got), -ENODATA);
		assert_int_equal(query(db, "SELECT value FROM meta WHERE key = 'kept'"), kept);
		assert_int_equal(query(db, "SELECT value FROM meta WHERE key = 'not_kept'"),
				 JOURNEYS - kept);
	}
	sqlite3_close(db);
	sqlite3_close(exact_db);
	return kept;
}

static void test_none_kept(void **state)
{
	const struct ivm_keep keep = { .policy = IVM_KEEP_RATE };

	(void)state;
	assert_int_equal(compare_reports(&keep), 0);
}

/* 100 us from one to the next: 10000 ring in each second, of two seconds */
static void test_rate(void **state)
{
	const struct ivm_keep keep = { .policy = IVM_KEEP_RATE, .per_s = 300 };

	(void)state;
	assert_int_equal(compare_reports(&keep), 3 * 300 - 299);
}

static void test_tail(void **state)
{
	const struct ivm_keep keep = { .policy = IVM_KEEP_TAIL };

	(void)state;
	assert_in_range(compare_reports(&keep), JOURNEYS / 4, JOURNEYS * 3 / 4);
}

static void test_max_size(void **state)
{
	const struct ivm_keep keep = { .max_bytes = 1 << 20 };

	(void)state;
	assert_in_range(compare_reports(&keep), JOURNEYS / 20, JOURNEYS * 3 / 4);
}

/* A limit that was never reached leaves an ordinary recording */
static void test_nothing_left_out(void **state)
{
	const struct ivm_keep keep = { .max_bytes = 1 << 30 };

	(void)state;
	assert_int_equal(compare_reports(&keep), JOURNEYS);
}

static void test_tail_has_the_slowest(void **state)
{
	const struct ivm_keep all = { 0 }, keep = { .policy = IVM_KEEP_TAIL };
	const char *slowest = "SELECT id FROM journeys WHERE outcome = 'delivered' AND from_end = 1"
			      " AND vcpu_wake NOT NULL AND NOT disordered"
			      " ORDER BY entry - dispatch DESC LIMIT 1";
	const char *unusual = "SELECT count(*) FROM journeys WHERE disordered OR outcome NOT IN"
			      " ('delivered', 'coalesced')";
	sqlite3 *some = open_recording(&keep), *every = open_recording(&all);

	(void)state;
	assert_int_equal(query(some, slowest), query(every, slowest));
	assert_int_equal(query(some, unusual), query(every, unusual));
	sqlite3_close(some);
	sqlite3_close(every);
}

static void spoil(const char *sql)
{
	const struct ivm_keep keep = { .policy = IVM_KEEP_RATE };
	g_autofree char *path = write_recording(&keep);
	struct ivm_breakdown *b = NULL;
	GPtrArray *groups;
	sqlite3 *db;
	int err;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	err = ivm_breakdown_load(db, false, &b);
	if (!err)
		err = ivm_breakdown_fill(b, IVM_BY_DIRECTION, &groups);
	if (err != -EBADMSG)
		fail_msg("%s: %d", sql, err);
	ivm_breakdown_free(b);
	sqlite3_close(db);
	g_unlink(path);
}

static void test_damage_is_found(void **state)
{
	(void)state;
	spoil("UPDATE spans SET buckets = replace(buckets, ':1,', ':2,')");
	spoil("UPDATE spans SET buckets = '{}' WHERE rowid = 3");
	spoil("UPDATE spans SET buckets = buckets || ' '");
	spoil("UPDATE spans SET buckets = replace(buckets, '\"', '\"-')");
	spoil("UPDATE spans SET buckets = substr(buckets, 1, length(buckets) - 1)");
	spoil("UPDATE spans SET buckets = '{\"99999999999999999999\":1}'");
	spoil("UPDATE spans SET buckets = x'7b00'");
	spoil("UPDATE shapes SET points = 'dispatch nowhere'");
	spoil("UPDATE shapes SET count = 0");
	spoil("UPDATE shapes SET outcome = 'pending'");
	spoil("UPDATE spans SET from_point = to_point");
	spoil("UPDATE spans SET sum_ns = sum_ns + 1 WHERE to_point = 'accept'");
	spoil("UPDATE spans SET sum_ns = -sum_ns");
	spoil("UPDATE spans SET min_ns = max_ns + 1");
	spoil("UPDATE spans SET max_ns = min_ns, sum_ns = sum_ns + 1");
	spoil("UPDATE spans SET block = 7777");
	spoil("DELETE FROM spans WHERE to_point = 'accept'");
	spoil("INSERT INTO spans SELECT * FROM spans");
	spoil("UPDATE cells SET count = count + 1");
	spoil("UPDATE cells SET count = 1 << 63");
	spoil("UPDATE cells SET shape = 9999 WHERE block = 1 AND shape = 0");
	spoil("DELETE FROM cells WHERE block = 1");
	spoil("UPDATE blocks SET phase = 1");
	spoil("UPDATE blocks SET start_ns = 0");
	spoil("UPDATE phases SET id = 5");
	spoil("UPDATE meta SET value = 0 WHERE key = 'block_ns'");
	spoil("UPDATE meta SET value = -3 WHERE key = 'block_ns'");
	spoil("UPDATE shapes SET count = count + 1 WHERE id = 2");
	spoil("UPDATE shapes SET vector = 0, points = 'dispatch', outcome = 'dropped'");
	spoil("UPDATE shapes SET mode = 'carrier-pigeon'");
}

/* ---- blocks and phases ---- */

static struct ivm_journey direct_at(uint64_t id, uint64_t t_ns, uint64_t took_ns)
{
	struct ivm_journey j = {
		.id = id, .from_end = 1, .to_end = 2, .irq_vector = 40, .mode = IVM_M_DIRECT,
		.configured = IVM_M_DIRECT, .outcome = IVM_O_DELIVERED,
	};

	j.t_ns[IVM_P_DISPATCH] = t_ns;
	j.t_ns[IVM_P_ACCEPT] = t_ns + took_ns / 3;
	j.t_ns[IVM_P_INJECT] = t_ns + took_ns;
	return j;
}

static uint64_t count_of_block(const struct ivm_block *block)
{
	uint64_t count = 0;
	unsigned int i;

	for (i = 0; i < block->cells->len; i++)
		if (block->cells->pdata[i])
			count += ((struct ivm_cell *)block->cells->pdata[i])->count;
	return count;
}

/* An hour of it, some of it late: blocks stay few, and each has what was rung in it */
static void test_blocks_are_joined(void **state)
{
	struct ivm_summary *s = ivm_summary_new();
	uint64_t i, total = 0, start_ns, end_ns, last_ns = 0;
	const GPtrArray *blocks;
	struct ivm_journey j;

	(void)state;
	for (i = 0; i < 36000; i++) {
		j = direct_at(i + 1, 77000000000 + (i ^ i % 8) * 100000000, 1000 + i);
		ivm_summary_add(s, &j);
		assert_in_range(ivm_summary_blocks(s)->len, 1, IVM_SUMMARY_BLOCKS + 1);
	}
	blocks = ivm_summary_blocks(s);
	assert_in_range(blocks->len, IVM_SUMMARY_BLOCKS / 4, IVM_SUMMARY_BLOCKS);
	for (i = 0; i < blocks->len; i++) {
		const struct ivm_block *block = g_ptr_array_index(blocks, i);
		const struct ivm_shape *shape = g_ptr_array_index(ivm_summary_shapes(s), 0);
		struct ivm_hist h = { 0 };

		ivm_summary_block_range(s, block, &start_ns, &end_ns);
		assert_true(i == 0 || start_ns == last_ns);
		last_ns = end_ns;
		assert_int_equal(ivm_cell_merge(block->cells->pdata[0], 0, &h), 0);
		assert_int_equal(h.count, count_of_block(block));
		assert_int_equal(shape->spans, 3);
		total += h.count;
		ivm_hist_clear(&h);
	}
	assert_int_equal(total, 36000);
	ivm_summary_free(s);
}

static void test_any_time_will_do(void **state)
{
	static const uint64_t times[] = { 1, INT64_MAX - 1000, 5, INT64_MAX / 2, 1ull << 40, 7 };
	struct ivm_summary *s = ivm_summary_new();
	struct ivm_journey j;
	uint64_t i;

	(void)state;
	for (i = 0; i < 2000; i++) {
		j = direct_at(i + 1, i < 6 ? times[i] : (i * 0x9e3779b97f4a7c15ull) >> 2, 500);
		ivm_summary_add(s, &j);
	}
	assert_in_range(ivm_summary_blocks(s)->len, 1, IVM_SUMMARY_BLOCKS + 1);
	ivm_summary_free(s);
}

/* A journey belongs to the phase it was rung in, however late it is recorded */
static void test_phases(void **state)
{
	struct ivm_summary *s = ivm_summary_new();
	uint64_t counts[3] = { 0 }, i;
	struct ivm_journey j;

	(void)state;
	assert_int_equal(ivm_summary_mark(s, "one", 1050000000), 0);
	assert_int_equal(ivm_summary_mark(s, "two", 3000000000), 0);
	assert_int_equal(ivm_summary_mark(s, "early", 2000000000), -EINVAL);
	for (i = 0; i < 500; i++) {
		/* 0.5 s to 5.49 s, backwards */
		j = direct_at(i + 1, 5490000000 - i * 10000000, 2000000000);
		ivm_summary_add(s, &j);
	}
	for (i = 0; i < ivm_summary_blocks(s)->len; i++) {
		const struct ivm_block *block = g_ptr_array_index(ivm_summary_blocks(s), i);

		counts[block->phase] += count_of_block(block);
	}
	assert_int_equal(counts[0], 55);
	assert_int_equal(counts[1], 195);
	assert_int_equal(counts[2], 250);
	for (i = 3; i < IVM_SUMMARY_PHASES; i++)
		assert_int_equal(ivm_summary_mark(s, "more", 4000000000), 0);
	assert_int_equal(ivm_summary_mark(s, "too many", 4000000000), -ENOSPC);
	ivm_summary_free(s);
}

static uint32_t other_end(void *arg, uint32_t end)
{
	(void)arg;
	return end + 10;
}

/* Journeys of an end and a phase, and when the first block of them begins */
static uint64_t count_all(const struct ivm_summary *s, unsigned int from_end, unsigned int phase,
			  uint64_t *start_ns)
{
	uint64_t count = 0, end_ns;
	unsigned int i, k;

	for (i = 0; i < ivm_summary_blocks(s)->len; i++) {
		const struct ivm_block *block = g_ptr_array_index(ivm_summary_blocks(s), i);

		for (k = 0; k < block->cells->len; k++) {
			const struct ivm_shape *shape = g_ptr_array_index(ivm_summary_shapes(s), k);
			const struct ivm_cell *cell = g_ptr_array_index(block->cells, k);

			if (!cell || block->phase != phase || shape->key.from_end != from_end)
				continue;
			if (!count)
				ivm_summary_block_range(s, block, start_ns, &end_ns);
			count += cell->count;
		}
	}
	return count;
}

/* A long one into a short one and the other way round: nothing is lost, nothing mixed up */
static void test_merging(void **state)
{
	const unsigned int phase_of[] = { 1, 2 };
	const struct ivm_summary_map map = {
		.end_of = other_end, .phase_of = phase_of, .shift_ns = 102400000000000,
	};
	uint64_t i, start_ns;
	int way;

	(void)state;
	for (way = 0; way < 2; way++) {
		const uint64_t half_ns = way ? 601000000000 : 2000000000;
		const uint64_t moved_ns = half_ns + (uint64_t)map.shift_ns;
		struct ivm_summary *s[2] = { ivm_summary_new(), ivm_summary_new() };
		struct ivm_journey j;

		/* 1200 s and 2 s; the second half of either is a phase of its own */
		assert_int_equal(ivm_summary_mark(s[!way], "half", half_ns), 0);
		assert_int_equal(ivm_summary_mark(s[way], "other", 102300000000000), 0);
		assert_int_equal(ivm_summary_mark(s[way], "its half", moved_ns), 0);
		for (i = 0; i < 12000; i++) {
			j = direct_at(i + 1, 1000000000 + i * 100000000, 1000);
			ivm_summary_add(s[way], &j);
			j = direct_at(i + 1, 1000000000 + i * 1000000 / 6, 2000);
			ivm_summary_add(s[!way], &j);
			if (way) {
				j = direct_at(i + 1, 1000000000 + i * 100000000, 1000);
				ivm_summary_add(s[!way], &j);
			}
		}
		assert_int_equal(ivm_summary_merge(s[way], s[!way], &map), 0);
		assert_in_range(ivm_summary_blocks(s[way])->len, 1, IVM_SUMMARY_BLOCKS);
		assert_int_equal(count_all(s[way], 1, 0, &start_ns), 12000);
		assert_int_equal(count_all(s[way], 11, 1, &start_ns), way ? 18000 : 6000);
		assert_int_equal(count_all(s[way], 11, 2, &start_ns), 6000);
		assert_int_equal(start_ns, moved_ns);
		ivm_summary_free(s[0]);
		ivm_summary_free(s[1]);
	}
}

/* ---- what turns out later ---- */

/* Coalesced into one that never arrived: they are what it is, kept or not */
static void test_fates_are_in_the_summary(void **state)
{
	const struct ivm_keep keep = { .policy = IVM_KEEP_RATE };
	g_autofree char *path = g_build_filename(dir, "x.ivm", NULL);
	struct ivm_recording *r = NULL;
	const char *why = NULL;
	struct ivm_journey j;
	sqlite3 *db = NULL;
	uint64_t id;

	(void)state;
	assert_int_equal(ivm_recording_create(path, &r), 0);
	assert_int_equal(ivm_recording_keep(r, &keep), 0);
	for (id = 1; id <= 20; id++) {
		j = direct_at(id, 1000000000 + id * 40000000, 3000);
		j.outcome = IVM_O_COALESCED;
		j.t_ns[IVM_P_INJECT] = 0;
		j.into = id % 2 ? 100 : 101;
		j.flags = id <= 12 ? IVM_J_EARLY : 0;
		assert_int_equal(ivm_recording_add_journey(r, &j), 0);
	}
	j = direct_at(101, 1000000000, 4000000000);
	assert_int_equal(ivm_recording_add_journey(r, &j), 0);
	j = direct_at(100, 1000000000, 4000000000);
	j.outcome = IVM_O_DROPPED;
	assert_int_equal(ivm_recording_add_journey(r, &j), 0);
	assert_int_equal(ivm_recording_set_fate(r, 100, IVM_O_DROPPED), 0);
	assert_int_equal(ivm_recording_set_fate(r, 101, IVM_O_DROPPED), 0);
	assert_int_equal(ivm_recording_finish(r), 0);
	ivm_recording_close(r);
	assert_int_equal(ivm_recording_open(path, &db, &why), 0);
	assert_int_equal(query(db, "SELECT sum(count) FROM shapes WHERE outcome = 'coalesced'"),
			 14);
	assert_int_equal(query(db, "SELECT sum(count) FROM shapes WHERE outcome = 'dropped'"), 7);
	assert_int_equal(query(db, "SELECT sum(c.count) FROM cells c JOIN shapes s ON s.id = shape"
				   " WHERE outcome = 'dropped'"), 7);
	sqlite3_close(db);
	g_unlink(path);
}

/* A point that is found out when all journeys are recorded is in the hops of the summary */
static void test_points_of_later(void **state)
{
	g_autofree char *path = g_build_filename(dir, "x.ivm", NULL);
	struct ivm_recording *r = NULL;
	const char *why = NULL;
	struct ivm_journey j;
	sqlite3 *db = NULL;
	uint64_t id;

	(void)state;
	assert_int_equal(ivm_recording_create(path, &r), 0);
	assert_int_equal(ivm_recording_mark(r, "second", 2000000000), 0);
	for (id = 1; id <= 100; id++) {
		j = direct_at(id, 1000000000 + id * 20000000, 3000);
		assert_int_equal(ivm_recording_add_journey(r, &j), 0);
	}
	for (id = 1; id <= 40; id++)
		assert_int_equal(ivm_recording_set_point(r, id, IVM_P_RING,
							 999999900 + id * 20000000), 0);
	assert_int_equal(ivm_recording_finish(r), 0);
	ivm_recording_close(r);
	assert_int_equal(ivm_recording_open(path, &db, &why), 0);
	assert_int_equal(query(db, "SELECT sum(sum_ns) FROM spans WHERE from_point = 'ring' AND"
				   " to_point = 'dispatch'"), 40 * 100);
	assert_int_equal(query(db, "SELECT sum(count) FROM cells"), 100);
	assert_int_equal(query(db, "SELECT sum(count) FROM cells c JOIN blocks b ON b.id = block"
				   " WHERE phase = 1"), 51);
	sqlite3_close(db);
	g_unlink(path);
}

#define TEST(test)	cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_values_are_exact),
		cmocka_unit_test(test_percentiles_are_close),
		cmocka_unit_test(test_extreme_values),
		TEST(test_none_kept),
		TEST(test_rate),
		TEST(test_tail),
		TEST(test_max_size),
		TEST(test_nothing_left_out),
		TEST(test_tail_has_the_slowest),
		TEST(test_damage_is_found),
		cmocka_unit_test(test_blocks_are_joined),
		cmocka_unit_test(test_any_time_will_do),
		cmocka_unit_test(test_phases),
		cmocka_unit_test(test_merging),
		TEST(test_fates_are_in_the_summary),
		TEST(test_points_of_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
