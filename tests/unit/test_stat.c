// SPDX-License-Identifier: GPL-2.0-or-later
/* Nearest-rank percentiles, and none where there are too few values */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "reports/stat.h"

/* @count values, @step apart, in an order that is not sorted */
static struct ivm_stat stat_of(unsigned int count, uint64_t first, uint64_t step)
{
	GArray *values = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	struct ivm_stat stat;
	unsigned int i;
	uint64_t v;

	for (i = 0; i < count; i++) {
		/* 7919 is a prime that divides no count used here */
		v = first + (uint64_t)i * 7919 % count * step;
		g_array_append_val(values, v);
	}
	ivm_stat_compute(values, &stat);
	g_array_free(values, TRUE);
	return stat;
}

static void test_none(void **state)
{
	struct ivm_stat s = stat_of(0, 0, 0);

	(void)state;
	assert_int_equal(s.count, 0);
	assert_int_equal(s.sum_ns, 0);
	assert_true(s.min_ns == IVM_NS_UNKNOWN);
	assert_true(s.p50_ns == IVM_NS_UNKNOWN);
	assert_true(s.max_ns == IVM_NS_UNKNOWN);
	assert_true(s.mean_ns == IVM_NS_UNKNOWN);
}

static void test_one(void **state)
{
	struct ivm_stat s = stat_of(1, 42, 0);

	(void)state;
	assert_int_equal(s.min_ns, 42);
	assert_int_equal(s.p50_ns, 42);
	assert_int_equal(s.max_ns, 42);
	assert_int_equal(s.mean_ns, 42);
	assert_true(s.p90_ns == IVM_NS_UNKNOWN);
	assert_true(s.p99_ns == IVM_NS_UNKNOWN);
}

static void test_ranks(void **state)
{
	struct ivm_stat s = stat_of(4, 1, 1);

	(void)state;
	/* Of four values the second is the first that half of them do not exceed */
	assert_int_equal(s.p50_ns, 2);
	s = stat_of(5, 1, 1);
	assert_int_equal(s.p50_ns, 3);
	s = stat_of(1000, 1, 1);
	assert_int_equal(s.min_ns, 1);
	assert_int_equal(s.p50_ns, 500);
	assert_int_equal(s.p90_ns, 900);
	assert_int_equal(s.p99_ns, 990);
	assert_int_equal(s.p999_ns, 999);
	assert_int_equal(s.max_ns, 1000);
	assert_int_equal(s.sum_ns, 500500);
	assert_int_equal(s.mean_ns, 501);
	s = stat_of(1001, 1, 1);
	assert_int_equal(s.p50_ns, 501);
	assert_int_equal(s.p99_ns, 991);
}

static void test_too_few(void **state)
{
	struct ivm_stat s = stat_of(9, 1, 1);

	(void)state;
	assert_true(s.p90_ns == IVM_NS_UNKNOWN);
	s = stat_of(10, 1, 1);
	assert_int_equal(s.p90_ns, 9);
	s = stat_of(99, 1, 1);
	assert_true(s.p99_ns == IVM_NS_UNKNOWN);
	s = stat_of(100, 1, 1);
	assert_int_equal(s.p99_ns, 99);
	s = stat_of(999, 1, 1);
	assert_true(s.p999_ns == IVM_NS_UNKNOWN);
}

/* Whole-second latencies of many journeys go far beyond 32 bits */
static void test_large(void **state)
{
	struct ivm_stat s = stat_of(1000, 10000000000ull, 1);

	(void)state;
	assert_true(s.sum_ns == 1000 * 10000000000ull + 499500);
	assert_true(s.p50_ns == 10000000499ull);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_ranks),
		cmocka_unit_test(test_too_few),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
