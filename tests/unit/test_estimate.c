// SPDX-License-Identifier: GPL-2.0-or-later
/* Ratios out of noisy blocks. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glib.h>

#include "reports/own_cost.h"
#include "reports/stat.h"
#include "tracer/estimate.h"

#define BLOCKS	40

static void test_equal_blocks(void **state)
{
	double logs[BLOCKS];
	struct ivm_estimate e;
	int i;

	(void)state;
	for (i = 0; i < BLOCKS; i++)
		logs[i] = log(1.03);
	e = ivm_estimate_ratio(logs, BLOCKS, 1);
	assert_true(fabs(e.value - 1.03) < 1e-12);
	assert_true(fabs(e.low - 1.03) < 1e-12 && fabs(e.high - 1.03) < 1e-12);
}

/* A fifth of all blocks is someone else's business */
static void test_bursts(void **state)
{
	double logs[BLOCKS];
	int i;

	(void)state;
	for (i = 0; i < BLOCKS; i++)
		logs[i] = i < BLOCKS / 5 ? log(3.0) : log(1.02);
	assert_true(fabs(ivm_estimate_ratio(logs, BLOCKS, 1).value - 1.02) < 1e-12);
}

static void test_single_block(void **state)
{
	double one = log(1.5);
	struct ivm_estimate e = ivm_estimate_ratio(&one, 1, 1);

	(void)state;
	assert_true(fabs(e.value - 1.5) < 1e-12 && fabs(e.low - e.high) < 1e-12);
}

static double draw(GRand *random)
{
	double sum = 0;
	int i;

	for (i = 0; i < 12; i++)
		sum += g_rand_double(random);
	return sum - 6;
}

/* Of 200 intervals around noise some 95 % hold the truth, and none is a point */
static void test_interval_covers(void **state)
{
	GRand *random = g_rand_new_with_seed(7);
	int round, i, held = 0;

	(void)state;
	for (round = 0; round < 200; round++) {
		double logs[BLOCKS];
		struct ivm_estimate e;

		for (i = 0; i < BLOCKS; i++)
			logs[i] = log(1.1) + 0.02 * draw(random);
		e = ivm_estimate_ratio(logs, BLOCKS, (uint32_t)round);
		assert_true(e.low < e.value && e.value < e.high);
		held += e.low <= 1.1 && 1.1 <= e.high;
	}
	g_rand_free(random);
	assert_in_range(held, 175, 199);
}

static void test_dominates(void **state)
{
	(void)state;
	assert_false(ivm_cost_dominates(IVM_NS_UNKNOWN, 100));
	assert_false(ivm_cost_dominates(100, IVM_NS_UNKNOWN));
	assert_true(ivm_cost_dominates(100, 50));
	assert_true(ivm_cost_dominates(100, 199));
	assert_false(ivm_cost_dominates(100, 200));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal_blocks),
		cmocka_unit_test(test_bursts),
		cmocka_unit_test(test_single_block),
		cmocka_unit_test(test_interval_covers),
		cmocka_unit_test(test_dominates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
