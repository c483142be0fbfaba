// SPDX-License-Identifier: GPL-2.0-or-later
/* Groups, anchors, rows, sums and counts: the rules of docs/journey.md */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "reports/breakdown.h"
#include "reports/report.h"
#include "tracer/recording.h"

static char path[] = "/tmp/ivm-breakdown-XXXXXX.ivm";
static struct ivm_recording *rec;
static sqlite3 *db;
static uint64_t next_id;
static bool exact = true;

static int setup(void **state)
{
	int fd;

	(void)state;
	strcpy(path, "/tmp/ivm-breakdown-XXXXXX.ivm");
	fd = mkstemps(path, 4);
	if (fd < 0)
		return -1;
	close(fd);
	unlink(path);
	rec = NULL;
	db = NULL;
	next_id = 1;
	return ivm_recording_create(path, &rec);
}

static int teardown(void **state)
{
	(void)state;
	ivm_recording_close(rec);
	sqlite3_close(db);
	unlink(path);
	return 0;
}

static struct ivm_journey journey(enum ivm_outcome outcome)
{
	struct ivm_journey j = {
		.id = next_id++, .from_end = 1, .to_end = 2, .irq_vector = 65,
		.mode = IVM_M_DIRECT, .configured = IVM_M_DIRECT, .outcome = outcome,
	};

	return j;
}

/* Points as pairs (point, time), ended by -1 */
static void add(struct ivm_journey j, ...)
{
	va_list ap;
	int point;

	va_start(ap, j);
	while ((point = va_arg(ap, int)) >= 0)
		j.t_ns[point] = (uint64_t)va_arg(ap, int);
	va_end(ap);
	assert_int_equal(ivm_recording_add_journey(rec, &j), 0);
}

static void add_counts(struct ivm_counts c)
{
	c.from_end = c.from_end ? c.from_end : 1;
	c.to_end = c.to_end ? c.to_end : 2;
	c.irq_vector = 65;
	assert_int_equal(ivm_recording_add_counts(rec, &c), 0);
}

static struct ivm_breakdown *load(void)
{
	struct ivm_breakdown *b = NULL;
	const char *why;

	assert_int_equal(ivm_recording_finish(rec), 0);
	assert_int_equal(ivm_recording_open(path, &db, &why), 0);
	assert_int_equal(ivm_breakdown_load(db, exact, &b), 0);
	return b;
}

static GPtrArray *fill(struct ivm_breakdown *b, unsigned int by)
{
	GPtrArray *groups = NULL;

	assert_int_equal(ivm_breakdown_fill(b, by, &groups), 0);
	return groups;
}

static const struct ivm_group *group(GPtrArray *groups, unsigned int i)
{
	assert_true(i < groups->len);
	return g_ptr_array_index(groups, i);
}

static const struct ivm_row *row(const struct ivm_rows *rows, enum ivm_point from,
				 enum ivm_point to)
{
	unsigned int i;

	for (i = 0; i < rows->count; i++)
		if (rows->row[i].from == from && rows->row[i].to == to)
			return &rows->row[i];
	fail_msg("no row %d..%d", from, to);
	return NULL;
}

static uint64_t sum_of(const struct ivm_rows *rows)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < rows->count; i++)
		sum += rows->row[i].stat.sum_ns;
	return sum;
}

static void done(struct ivm_breakdown *b, GPtrArray *groups)
{
	if (groups)
		g_ptr_array_free(groups, TRUE);
	ivm_breakdown_free(b);
}

/* ---- anchors and rows ---- */

static void test_rows_of_two_paths(void **state)
{
	const struct ivm_group *g;
	struct ivm_breakdown *b;
	GPtrArray *groups;

	(void)state;
	/* One with kvm_exit, one without: the total can only start at dispatch */
	add(journey(IVM_O_DELIVERED), IVM_P_EXIT, 90, IVM_P_DISPATCH, 100, IVM_P_SIGNAL, 130,
	    IVM_P_ACCEPT, 200, IVM_P_INJECT, 1000, -1);
	add(journey(IVM_O_DELIVERED), IVM_P_DISPATCH, 2000, IVM_P_ACCEPT, 2050,
	    IVM_P_VCPU_WAKE, 2060, IVM_P_INJECT, 2100, IVM_P_ENTRY, 2500, -1);
	add_counts((struct ivm_counts){ .rung = 2, .accepted = 2, .delivered = 2 });
	b = load();
	groups = fill(b, IVM_BY_VECTOR);
	assert_int_equal(groups->len, 1);
	g = group(groups, 0);
	assert_int_equal(g->has_total, g->counts.delivered > g->counts.disordered);
	if (!g->has_total)
		return;
	assert_int_equal(g->from, IVM_P_DISPATCH);
	assert_int_equal(g->to, IVM_P_INJECT);
	assert_int_equal(g->total.count, 2);
	assert_int_equal(g->total.sum_ns, 900 + 100);
	assert_int_equal(g->total.max_ns, 900);
	assert_int_equal(g->rows.count, 6);
	assert_int_equal(row(&g->rows, IVM_P_DISPATCH, IVM_P_SIGNAL)->stat.sum_ns, 30);
	assert_int_equal(row(&g->rows, IVM_P_SIGNAL, IVM_P_ACCEPT)->stat.sum_ns, 70);
	assert_int_equal(row(&g->rows, IVM_P_DISPATCH, IVM_P_ACCEPT)->stat.sum_ns, 50);
	assert_int_equal(row(&g->rows, IVM_P_ACCEPT, IVM_P_INJECT)->stat.sum_ns, 800);
	assert_int_equal(row(&g->rows, IVM_P_ACCEPT, IVM_P_VCPU_WAKE)->stat.sum_ns, 10);
	assert_int_equal(sum_of(&g->rows), g->total.sum_ns);
	assert_int_equal(g->rung_at, IVM_P_DISPATCH);
	assert_int_equal(g->delivered_at, IVM_P_INJECT);
	/* The receiver ran in the one and slept in the other */
	assert_int_equal(g->path[IVM_R_RUNNING].total.sum_ns, 900);
	assert_int_equal(g->path[IVM_R_ASLEEP].total.sum_ns, 100);
	assert_int_equal(g->path[IVM_R_POLLING].total.count, 0);
	assert_int_equal(ivm_breakdown_mismatches(b)->len, 0);
	done(b, groups);
}

static void test_acknowledgement_ends_no_total(void **state)
{
	const struct ivm_group *g;
	struct ivm_breakdown *b;
	GPtrArray *groups;

	(void)state;
	add(journey(IVM_O_DELIVERED), IVM_P_DISPATCH, 100, IVM_P_INJECT, 200, IVM_P_ENTRY, 300,
	    IVM_P_EOI, 90000, -1);
	b = load();
	groups = fill(b, IVM_BY_VECTOR);
	g = group(groups, 0);
	assert_int_equal(g->to, IVM_P_ENTRY);
	assert_int_equal(g->total.sum_ns, 200);
	done(b, groups);
}

static void test_stand_in_ends_a_total(void **state)
{
	const struct ivm_group *g;
	struct ivm_breakdown *b;
	GPtrArray *groups;

	(void)state;
	add(journey(IVM_O_DELIVERED), IVM_P_DISPATCH, 100, IVM_P_EOI_STANDIN, 200, -1);
	b = load();
	groups = fill(b, IVM_BY_VECTOR);
	g = group(groups, 0);
	assert_int_equal(g->to, IVM_P_EOI_STANDIN);
	assert_int_equal(g->delivered_at, IVM_P_EOI_STANDIN);
	assert_true(ivm_row_approx(g->from, g->to));
	done(b, groups);
}

/* One point only, or none in common: then there is no latency at all */
static void test_no_total(void **state)
{
	struct ivm_breakdown *b;
	GPtrArray *groups;

	(void)state;
	add(journey(IVM_O_DELIVERED), IVM_P_DISPATCH, 100, IVM_P_INJECT, 200, -1);
	add(journey(IVM_O_DELIVERED), IVM_P_SEND, 300, IVM_P_ENTRY, 400, -1);
	b = load();
	groups = fill(b, IVM_BY_VECTOR);
	assert_false(group(groups, 0)->has_total);
	assert_int_equal(group(groups, 0)->total.count, 0);
	assert_int_equal(group(groups, 0)->rows.count, 0);
	assert_int_equal(group(groups, 0)->rung_at, -1);
	done(b, groups);
}

static void test_disordered_is_delivered_but_not_timed(void **state)
{
	struct ivm_journey flagged = journey(IVM_O_DELIVERED);
	const struct ivm_group *g;
	struct ivm_breakdown *b;
	GPtrArray *groups;

	(void)state;
	add(journey(IVM_O_DELIVERED), IVM_P_DISPATCH, 100, IVM_P_INJECT, 200, -1);
	/* Out of order although nobody flagged it */
	add(journey(IVM_O_DELIVERED), IVM_P_DISPATCH, 500, IVM_P_INJECT, 400, -1);
	/* It lacks the dispatch, which must not move the anchors of the others */
	flagged.flags = IVM_J_DISORDERED;
	add(flagged, IVM_P_ACCEPT, 500, IVM_P_INJECT, 600, -1);
	add_counts((struct ivm_counts){ .rung = 3, .accepted = 1, .delivered = 3 });
	b = load();
	groups = fill(b, IVM_BY_VECTOR);
	g = group(groups, 0);
	assert_int_equal(g->counts.delivered, 3);
	assert_int_equal(g->counts.disordered, 2);
	assert_int_equal(g->total.count, 1);
	assert_int_equal(g->total.sum_ns, 100);
	assert_int_equal(ivm_breakdown_mismatches(b)->len, 0);
	done(b, groups);
}

/* ---- groups ---- */

static void add_many(uint32_t from_end, uint16_t vector, enum ivm_mode mode, int count)
{
	struct ivm_journey j;
	int i;

	for (i = 0; i < count; i++) {
		j = journey(IVM_O_DELIVERED);
		j.from_end = from_end;
		j.to_end = 3 - from_end;
		j.vector = vector;
		j.irq_vector = (uint16_t)(65 + vector);
		j.mode = mode;
		add(j, IVM_P_DISPATCH, 100 * i + 1, IVM_P_ACCEPT, 100 * i + 11, IVM_P_INJECT,
		    100 * i + 51, -1);
	}
	add_counts((struct ivm_counts){ .from_end = from_end, .to_end = 3 - from_end,
		.vector = vector, .rung = (uint64_t)count, .accepted = (uint64_t)count,
		.delivered = (uint64_t)count });
}

static void test_grouping(void **state)
{
	struct ivm_breakdown *b;
	GPtrArray *groups;

	(void)state;
	add_many(2, 1, IVM_M_DIRECT, 4);
	add_many(1, 1, IVM_M_DIRECT, 3);
	add_many(1, 0, IVM_M_DIRECT, 2);
	add_many(1, 2, IVM_M_QEMU, 1);
	b = load();
	groups = fill(b, IVM_BY_VECTOR);
	assert_int_equal(groups->len, 4);
	assert_int_equal(group(groups, 0)->mode, IVM_M_QEMU);
	assert_int_equal(group(groups, 1)->total.count, 2);
	assert_int_equal(group(groups, 2)->total.count, 3);
	assert_int_equal(group(groups, 3)->from_end, 2);
	g_ptr_array_free(groups, TRUE);

	groups = fill(b, IVM_BY_DIRECTION);
	assert_int_equal(groups->len, 3);
	assert_int_equal(group(groups, 1)->counts.rung, 5);
	assert_int_equal(group(groups, 1)->total.count, 5);
	assert_int_equal(group(groups, 1)->vector_min, 0);
	assert_int_equal(group(groups, 1)->vector_max, 1);
	assert_int_equal(group(groups, 1)->irq_vector_max, 66);
	g_ptr_array_free(groups, TRUE);

	groups = fill(b, IVM_BY_MODE);
	assert_int_equal(groups->len, 2);
	assert_int_equal(group(groups, 1)->counts.delivered, 9);
	assert_int_equal(group(groups, 1)->total.sum_ns, 9 * 50);
	assert_int_equal(group(groups, 1)->from_end, 0);
	done(b, groups);
}

/* Journeys that never got far enough to show their mode or target */
static void test_vague_journeys_join_their_vector(void **state)
{
	struct ivm_journey j;
	struct ivm_breakdown *b;
	GPtrArray *groups;

	(void)state;
	add(journey(IVM_O_DELIVERED), IVM_P_DISPATCH, 100, IVM_P_INJECT, 200, -1);
	j = journey(IVM_O_DROPPED);
	j.mode = IVM_M_UNKNOWN;
	j.to_end = 0;
	j.irq_vector = 0;
	add(j, IVM_P_DISPATCH, 300, -1);
	j = journey(IVM_O_UNFINISHED);
	j.irq_vector = 0;
	add(j, IVM_P_DISPATCH, 400, -1);
	add_counts((struct ivm_counts){ .rung = 3, .delivered = 1, .dropped = 1, .unfinished = 1 });
	b = load();
	groups = fill(b, IVM_BY_VECTOR);
	assert_int_equal(groups->len, 1);
	assert_int_equal(group(groups, 0)->counts.rung, 3);
	assert_int_equal(group(groups, 0)->counts.dropped, 1);
	assert_int_equal(group(groups, 0)->counts.unfinished, 1);
	assert_int_equal(ivm_breakdown_mismatches(b)->len, 0);
	done(b, groups);
}

static void test_vague_journeys_do_not_guess(void **state)
{
	struct ivm_journey j;
	struct ivm_breakdown *b;
	GPtrArray *groups;

	(void)state;
	add(journey(IVM_O_DELIVERED), IVM_P_DISPATCH, 100, IVM_P_INJECT, 200, -1);
	j = journey(IVM_O_DELIVERED);
	j.mode = IVM_M_QEMU;
	add(j, IVM_P_DISPATCH, 250, IVM_P_INJECT, 260, -1);
	j = journey(IVM_O_DROPPED);
	j.mode = IVM_M_UNKNOWN;
	add(j, IVM_P_DISPATCH, 300, -1);
	add_counts((struct ivm_counts){ .rung = 3, .delivered = 2, .dropped = 1 });
	b = load();
	groups = fill(b, IVM_BY_VECTOR);
	assert_int_equal(groups->len, 3);
	assert_int_equal(group(groups, 0)->mode, IVM_M_UNKNOWN);
	assert_int_equal(group(groups, 0)->counts.dropped, 1);
	assert_int_equal(ivm_breakdown_mismatches(b)->len, 0);
	done(b, groups);
}

static void test_shared_idt_vector(void **state)
{
	struct ivm_journey j;
	struct ivm_breakdown *b;
	const struct ivm_share *s;
	GPtrArray *groups;
	int i;

	(void)state;
	/* Vectors 0 and 1 share (vCPU 0, IDT 65); vector 2 has the IDT vector on vCPU 1 */
	for (i = 0; i < 3; i++) {
		j = journey(IVM_O_DELIVERED);
		j.vector = (uint16_t)i;
		j.to_vcpu = i == 2;
		add(j, IVM_P_DISPATCH, 100, IVM_P_ACCEPT, 150, IVM_P_INJECT, 200, -1);
	}
	b = load();
	groups = fill(b, IVM_BY_VECTOR);
	assert_int_equal(groups->len, 3);
	assert_int_equal(group(groups, 0)->shares_with->len, 1);
	s = &g_array_index(group(groups, 0)->shares_with, struct ivm_share, 0);
	assert_int_equal(s->vector, 1);
	assert_int_equal(s->from_end, 1);
	assert_int_equal(group(groups, 2)->shares_with->len, 0);
	done(b, groups);
}

/* ---- counts ---- */

static unsigned int mismatches(struct ivm_counts c)
{
	struct ivm_journey coalesced;
	struct ivm_breakdown *b;
	unsigned int count;

	add(journey(IVM_O_DELIVERED), IVM_P_DISPATCH, 100, IVM_P_ACCEPT, 110, IVM_P_INJECT, 200,
	    -1);
	coalesced = journey(IVM_O_COALESCED);
	add(coalesced, IVM_P_DISPATCH, 120, IVM_P_ACCEPT, 130, -1);
	if (c.rung)
		add_counts(c);
	b = load();
	count = ivm_breakdown_mismatches(b)->len;
	ivm_breakdown_free(b);
	return count;
}

static void test_counts_agree(void **state)
{
	(void)state;
	assert_int_equal(mismatches((struct ivm_counts){ .rung = 2, .accepted = 2, .delivered = 1,
		.coalesced = 1 }), 0);
}

static void test_counts_missing(void **state)
{
	(void)state;
	assert_int_equal(mismatches((struct ivm_counts){ 0 }), 1);
}

static void test_counts_one_rung_more(void **state)
{
	(void)state;
	/* It differs from the journeys, and from the sum of its own terms */
	assert_int_equal(mismatches((struct ivm_counts){ .rung = 3, .accepted = 2, .delivered = 1,
		.coalesced = 1 }), 2);
}

static void test_counts_one_for_another(void **state)
{
	(void)state;
	/* The sum is right, the terms are not */
	assert_int_equal(mismatches((struct ivm_counts){ .rung = 2, .accepted = 2,
		.delivered = 2 }), 2);
}

static unsigned int mismatches_after(const char *column, const char *change)
{
	g_autofree char *sql = g_strdup_printf("UPDATE counts SET %s = %s %s", column, column,
					       change);
	struct ivm_breakdown *b = NULL;
	unsigned int count;
	sqlite3 *writer;

	assert_int_equal(sqlite3_open(path, &writer), SQLITE_OK);
	assert_int_equal(sqlite3_exec(writer, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(writer);
	assert_int_equal(ivm_breakdown_load(db, exact, &b), 0);
	count = ivm_breakdown_mismatches(b)->len;
	ivm_breakdown_free(b);
	return count;
}

static void test_every_term_is_compared(void **state)
{
	static const char *const ends[] = { "delivered", "coalesced", "masked", "dropped",
		"unfinished" };
	unsigned int i;

	(void)state;
	for (i = 0; i < G_N_ELEMENTS(ends); i++)
		add(journey((enum ivm_outcome)(IVM_O_DELIVERED + i)), IVM_P_DISPATCH, 100,
		    IVM_P_ACCEPT, 200, IVM_P_INJECT, 300, -1);
	add_counts((struct ivm_counts){ .rung = 5, .accepted = 5, .delivered = 1, .coalesced = 1,
		.masked = 1, .dropped = 1, .unfinished = 1 });
	ivm_breakdown_free(load());
	assert_int_equal(mismatches_after("rung", "+ 0"), 0);
	for (i = 0; i < G_N_ELEMENTS(ends); i++) {
		/* It differs from the journeys, and the sum of all terms from rung */
		assert_int_equal(mismatches_after(ends[i], "+ 1"), 2);
		assert_int_equal(mismatches_after(ends[i], "- 1"), 0);
	}
	assert_int_equal(mismatches_after("accepted", "+ 1"), 1);
	assert_int_equal(mismatches_after("posted", "+ 1"), 2);
}

static void test_counts_without_journeys(void **state)
{
	struct ivm_breakdown *b;
	GPtrArray *groups;

	(void)state;
	add_counts((struct ivm_counts){ .vector = 3, .rung = 5, .delivered = 5 });
	add_counts((struct ivm_counts){ .vector = 4 });
	b = load();
	groups = fill(b, IVM_BY_VECTOR);
	assert_int_equal(groups->len, 1);
	assert_int_equal(group(groups, 0)->counts.delivered, 5);
	assert_false(group(groups, 0)->has_total);
	assert_int_equal(ivm_breakdown_mismatches(b)->len, 2);
	done(b, groups);
}

/* A vector that lost its journeys must not take the others' latency along */
static void test_counts_alone_move_no_anchor(void **state)
{
	struct ivm_breakdown *b;
	GPtrArray *groups;

	(void)state;
	add(journey(IVM_O_DELIVERED), IVM_P_DISPATCH, 100, IVM_P_INJECT, 200, -1);
	add_counts((struct ivm_counts){ .rung = 1, .delivered = 1 });
	add_counts((struct ivm_counts){ .vector = 1, .rung = 5, .delivered = 5 });
	b = load();
	groups = fill(b, IVM_BY_VECTOR);
	assert_int_equal(groups->len, 2);
	assert_int_equal(group(groups, 0)->rung_at, -1);
	assert_int_equal(group(groups, 1)->rung_at, IVM_P_DISPATCH);
	assert_true(group(groups, 1)->has_total);
	done(b, groups);
}

static void test_unseen_ends(void **state)
{
	struct ivm_journey j = journey(IVM_O_UNSEEN);
	struct ivm_breakdown *b;
	GPtrArray *groups;

	(void)state;
	j.flags = IVM_J_POSTED;
	add(j, IVM_P_DISPATCH, 100, IVM_P_ACCEPT, 120, -1);
	add_counts((struct ivm_counts){ .rung = 1, .accepted = 1, .posted = 1 });
	b = load();
	groups = fill(b, IVM_BY_VECTOR);
	assert_false(ivm_group_ends_seen(group(groups, 0)));
	assert_int_equal(group(groups, 0)->counts.unseen, 1);
	assert_int_equal(group(groups, 0)->delivered_at, -1);
	assert_int_equal(ivm_breakdown_mismatches(b)->len, 0);
	done(b, groups);
}

/* ---- the sum rule, over whatever comes ---- */

static void random_journey(void)
{
	struct ivm_journey j = journey(IVM_O_DELIVERED);
	uint64_t t_ns = 1 + (uint64_t)rand();
	int i;

	j.from_end = 1 + (uint32_t)rand() % 2;
	j.to_end = 3 - j.from_end;
	j.vector = (uint16_t)(rand() % 3);
	j.irq_vector = (uint16_t)(65 + j.vector);
	j.mode = (uint8_t)(IVM_M_QEMU + rand() % 3);
	j.outcome = (uint8_t)(rand() % 8 ? IVM_O_DELIVERED : IVM_O_COALESCED);
	for (i = 0; i < IVM_POINTS; i++) {
		t_ns += (uint64_t)rand() % 100000;
		if (i == IVM_P_DISPATCH || i == IVM_P_INJECT || rand() % 3)
			j.t_ns[i] = t_ns;
	}
	if (rand() % 50 == 0)
		j.t_ns[IVM_P_DISPATCH] = t_ns + 1;
	assert_int_equal(ivm_recording_add_journey(rec, &j), 0);
}

static void check_sums(const struct ivm_group *g)
{
	uint64_t paths_ns = 0, paths = 0;
	int i;

	assert_int_equal(g->has_total, g->counts.delivered > g->counts.disordered);
	if (!g->has_total)
		return;
	assert_true(g->total.count > 0);
	assert_int_equal(sum_of(&g->rows), g->total.sum_ns);
	assert_int_equal(g->total.count + g->counts.disordered, g->counts.delivered);
	for (i = 0; i < IVM_R_STATES; i++) {
		assert_int_equal(sum_of(&g->path[i].rows), g->path[i].total.sum_ns);
		paths_ns += g->path[i].total.sum_ns;
		paths += g->path[i].total.count;
	}
	assert_int_equal(paths_ns, g->total.sum_ns);
	assert_int_equal(paths, g->total.count);
}

static void test_sums_of_random_journeys(void **state)
{
	static const unsigned int groupings[] = {
		IVM_BY_MODE, IVM_BY_LINK, IVM_BY_VECTOR, IVM_BY_TO_VCPU, IVM_BY_PATH,
		IVM_BY_BLOCK | IVM_BY_DIRECTION,
		IVM_BY_VECTOR | IVM_BY_FROM_VCPU | IVM_BY_TO_VCPU | IVM_BY_PATH | IVM_BY_BLOCK,
	};
	uint64_t rung, disordered = 0;
	struct ivm_breakdown *b;
	GPtrArray *groups;
	unsigned int i, by;

	(void)state;
	srand(20260101);
	for (i = 0; i < 5000; i++)
		random_journey();
	b = load();
	for (by = 0; by < G_N_ELEMENTS(groupings); by++) {
		groups = fill(b, groupings[by]);
		rung = 0;
		for (i = 0; i < groups->len; i++) {
			check_sums(group(groups, i));
			rung += group(groups, i)->counts.rung;
			disordered += group(groups, i)->counts.disordered;
		}
		assert_int_equal(rung, 5000);
		assert_true(disordered > 0);
		g_ptr_array_free(groups, TRUE);
	}
	ivm_breakdown_free(b);
}

int main(void)
{
#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_rows_of_two_paths),
		TEST(test_acknowledgement_ends_no_total),
		TEST(test_stand_in_ends_a_total),
		TEST(test_no_total),
		TEST(test_disordered_is_delivered_but_not_timed),
		TEST(test_grouping),
		TEST(test_vague_journeys_join_their_vector),
		TEST(test_vague_journeys_do_not_guess),
		TEST(test_shared_idt_vector),
		TEST(test_counts_agree),
		TEST(test_counts_missing),
		TEST(test_counts_one_rung_more),
		TEST(test_counts_one_for_another),
		TEST(test_every_term_is_compared),
		TEST(test_counts_without_journeys),
		TEST(test_counts_alone_move_no_anchor),
		TEST(test_unseen_ends),
		TEST(test_sums_of_random_journeys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
