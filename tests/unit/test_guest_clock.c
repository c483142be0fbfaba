// SPDX-License-Identifier: GPL-2.0-or-later
/* Guest TSC to host time: offset, scale, changes, and whether the bound holds */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "../../tracer/clock.h"
#include "../../tracer/guest_clock.h"

#define VM	3
#define VCPU	1
#define TSC0	1000000000ull
#define T0_NS	500000000ull
#define STEP	200000000ull	/* ticks between pairs: 100 ms at 2 GHz */
#define HALF	40ull		/* of a pair, in ticks */

/* A host whose TSC runs at 2 GHz, with a pair each 100 ms */
static struct ivm_guest_clock *clock_at_2ghz(int pairs)
{
	struct ivm_guest_clock *c = ivm_guest_clock_new();
	int i;

	for (i = 0; i < pairs; i++)
		ivm_guest_clock_add_pair(c, TSC0 + i * STEP - HALF, T0_NS + i * STEP / 2,
					 TSC0 + i * STEP + HALF);
	return c;
}

static void saw(struct ivm_guest_clock *c, uint64_t t_ns, int64_t offset, uint64_t ratio,
		unsigned int bits)
{
	const struct ivm_tsc_view view = { .offset = (uint64_t)offset, .ratio = ratio,
					   .ratio_bits = bits };

	ivm_guest_clock_saw(c, VM, VCPU, t_ns, &view);
}

static int to_host(const struct ivm_guest_clock *c, uint64_t tsc, uint64_t *t_ns, uint64_t *err_ns)
{
	return ivm_guest_clock_to_host(c, VM, VCPU, tsc, t_ns, err_ns);
}

/* @want_ns must lie within the bound, and the bound be as small as it can be told */
static void assert_time(const struct ivm_guest_clock *c, uint64_t tsc, uint64_t want_ns)
{
	uint64_t t_ns, err_ns;

	assert_int_equal(to_host(c, tsc, &t_ns, &err_ns), 0);
	assert_in_range(t_ns, want_ns - err_ns, want_ns + err_ns);
	assert_in_range(err_ns, HALF / 2, HALF / 2 + 4);
}

static void test_offset(void **state)
{
	struct ivm_guest_clock *c = clock_at_2ghz(5);

	(void)state;
	saw(c, T0_NS, -(int64_t)TSC0, 0, 0);
	assert_time(c, 0, T0_NS);
	assert_time(c, 2000, T0_NS + 1000);
	assert_time(c, STEP + STEP / 2, T0_NS + 3 * STEP / 4);
	assert_time(c, 4 * STEP, T0_NS + 2 * STEP);
	ivm_guest_clock_free(c);
}

static void test_offset_that_wraps(void **state)
{
	struct ivm_guest_clock *c = clock_at_2ghz(5);

	(void)state;
	saw(c, T0_NS, INT64_MAX, 0, 0);
	assert_time(c, TSC0 + 600 + INT64_MAX, T0_NS + 300);
	ivm_guest_clock_free(c);
}

/* A guest at 3 GHz on a host at 2 GHz, in the format of each maker */
static void test_scale(void **state)
{
	static const unsigned int formats[] = { 32, 48 };
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
		struct ivm_guest_clock *c = clock_at_2ghz(5);

		saw(c, T0_NS, 77, 3ull << (formats[i] - 1), formats[i]);
		assert_time(c, 77 + (TSC0 + STEP) / 2 * 3, T0_NS + STEP / 2);
		assert_time(c, 77 + (TSC0 + STEP + 4000) / 2 * 3, T0_NS + STEP / 2 + 2000);
		ivm_guest_clock_free(c);
	}
}

static void test_nothing_beyond_the_samples(void **state)
{
	struct ivm_guest_clock *c = clock_at_2ghz(3);
	uint64_t t_ns, err_ns;

	(void)state;
	assert_int_equal(to_host(c, TSC0 + 5, &t_ns, &err_ns), -ENODATA);
	saw(c, T0_NS, 0, 0, 0);
	assert_int_equal(to_host(c, TSC0 - 1, &t_ns, &err_ns), -ERANGE);
	assert_int_equal(to_host(c, TSC0, &t_ns, &err_ns), 0);
	assert_int_equal(to_host(c, TSC0 + 2 * STEP, &t_ns, &err_ns), 0);
	assert_int_equal(to_host(c, TSC0 + 2 * STEP + 1, &t_ns, &err_ns), -ERANGE);
	assert_int_equal(to_host(c, UINT64_MAX, &t_ns, &err_ns), -ERANGE);
	assert_int_equal(ivm_guest_clock_to_host(c, VM + 1, VCPU, TSC0, &t_ns, &err_ns), -ENODATA);
	assert_int_equal(ivm_guest_clock_to_host(c, VM, VCPU + 1, TSC0, &t_ns, &err_ns), -ENODATA);
	ivm_guest_clock_free(c);
	c = clock_at_2ghz(2);
	saw(c, T0_NS, 0, 0, 0);
	assert_int_equal(to_host(c, TSC0 + 5, &t_ns, &err_ns), -ERANGE);
	ivm_guest_clock_free(c);
}

/* The event says when: what was before and after is certain */
static void test_change_with_event(void **state)
{
	struct ivm_guest_clock *c = clock_at_2ghz(10);
	uint64_t at = TSC0 + 3 * STEP, at_ns = T0_NS + 3 * STEP / 2, t_ns, err_ns;
	const uint64_t jump = 20 * STEP;

	(void)state;
	saw(c, T0_NS, 0, 0, 0);
	ivm_guest_clock_changed(c, VM, VCPU, at_ns, jump);
	assert_time(c, at - 1000, at_ns - 500);
	assert_time(c, at + 1000 + jump, at_ns + 500);
	/* So close that either offset may have been in force */
	assert_int_equal(to_host(c, at - 10, &t_ns, &err_ns), -EAGAIN);
	assert_int_equal(to_host(c, at + 10 + jump, &t_ns, &err_ns), -EAGAIN);
	/* The old offset after the change, the new one before it */
	assert_int_equal(to_host(c, at + 1000, &t_ns, &err_ns), -EAGAIN);
	assert_int_equal(to_host(c, at - 1000 + jump, &t_ns, &err_ns), -EAGAIN);
	/* The later reading tells nothing new */
	saw(c, at_ns + 1000, (int64_t)jump, 0, 0);
	assert_time(c, at + 1000 + jump, at_ns + 500);
	ivm_guest_clock_free(c);
}

/* Set back, the guest's TSC passes the same value twice: nobody can tell when */
static void test_set_back(void **state)
{
	struct ivm_guest_clock *c = clock_at_2ghz(10);
	uint64_t at = TSC0 + 4 * STEP, t_ns, err_ns;

	(void)state;
	saw(c, T0_NS, 0, 0, 0);
	ivm_guest_clock_changed(c, VM, VCPU, T0_NS + 2 * STEP, (uint64_t)-(int64_t)STEP);
	assert_int_equal(to_host(c, at - 1000, &t_ns, &err_ns), -EAGAIN);
	assert_time(c, at - STEP - 1000, T0_NS + 3 * STEP / 2 - 500);
	assert_time(c, at + 1000, T0_NS + 5 * STEP / 2 + 500);
	ivm_guest_clock_free(c);
}

/* Without the event all between two readings is lost, and nothing else */
static void test_change_without_event(void **state)
{
	struct ivm_guest_clock *c = clock_at_2ghz(10);
	uint64_t before_ns = T0_NS + STEP, after_ns = T0_NS + 2 * STEP, t_ns, err_ns;
	int64_t jump = 20 * (int64_t)STEP;

	(void)state;
	saw(c, T0_NS, 0, 0, 0);
	saw(c, before_ns, 0, 0, 0);
	saw(c, after_ns, jump, 0, 0);
	assert_time(c, TSC0 + 2 * STEP - 1000, before_ns - 500);
	assert_int_equal(to_host(c, TSC0 + 3 * STEP, &t_ns, &err_ns), -EAGAIN);
	assert_int_equal(to_host(c, TSC0 + 3 * STEP + jump, &t_ns, &err_ns), -EAGAIN);
	assert_time(c, TSC0 + 4 * STEP + 1000 + jump, after_ns + 500);
	/* The event comes after the reading: now it is known when */
	ivm_guest_clock_changed(c, VM, VCPU, T0_NS + 3 * STEP / 2, (uint64_t)jump);
	assert_time(c, TSC0 + 3 * STEP - 1000, T0_NS + 3 * STEP / 2 - 500);
	assert_time(c, TSC0 + 3 * STEP + 1000 + jump, T0_NS + 3 * STEP / 2 + 500);
	ivm_guest_clock_free(c);
}

/* A bend of NTP between two pairs must be within the bound of each time there */
static void test_bend(void **state)
{
	uint64_t bend, tsc, t_ns, err_ns, want_ns, i;

	(void)state;
	for (bend = TSC0 + 2 * STEP; bend < TSC0 + 3 * STEP; bend += STEP / 16) {
		struct ivm_guest_clock *c = ivm_guest_clock_new();

		/* 500 ppm, the most that adjtimex allows */
#define BENT(tsc) (T0_NS + ((tsc) - TSC0) / 2 + \
		   ((tsc) > bend ? ((tsc) - bend) / 2 / 2000 : 0))
		for (i = 0; i < 6; i++)
			ivm_guest_clock_add_pair(c, TSC0 + i * STEP, BENT(TSC0 + i * STEP),
						 TSC0 + i * STEP);
		saw(c, T0_NS, 0, 0, 0);
		for (tsc = TSC0; tsc < TSC0 + 5 * STEP; tsc += STEP / 50) {
			want_ns = BENT(tsc);
			assert_int_equal(to_host(c, tsc, &t_ns, &err_ns), 0);
			assert_in_range(t_ns, want_ns - err_ns, want_ns + err_ns);
		}
		ivm_guest_clock_free(c);
	}
}

static void test_pairs_that_go_back_are_ignored(void **state)
{
	struct ivm_guest_clock *c = clock_at_2ghz(5);

	(void)state;
	ivm_guest_clock_add_pair(c, TSC0, T0_NS + 10 * STEP, TSC0 + 2);
	ivm_guest_clock_add_pair(c, TSC0 + 9 * STEP, T0_NS, TSC0 + 9 * STEP + 2);
	saw(c, T0_NS, 0, 0, 0);
	assert_time(c, TSC0 + 4 * STEP, T0_NS + 2 * STEP);
	ivm_guest_clock_free(c);
}

#if defined(__x86_64__)
/* What this machine's clock says is never further off than the bound */
static void test_this_machine(void **state)
{
	const struct timespec pause = { .tv_nsec = 2000000 };
	struct ivm_guest_clock *c;
	uint64_t before[100], t_ns[100], after[100], first, last, first_err, last_err;
	int i;

	(void)state;
	if (ivm_guest_clock_why_not())
		skip();
	c = ivm_guest_clock_new();
	for (i = 0; i < 100; i++) {
		if (i % 10 == 0)
			ivm_guest_clock_sample(c);
		before[i] = __builtin_ia32_rdtsc();
		t_ns[i] = ivm_now_ns();
		after[i] = __builtin_ia32_rdtsc();
		nanosleep(&pause, NULL);
	}
	ivm_guest_clock_sample(c);
	saw(c, t_ns[0], 0, 0, 0);
	for (i = 0; i < 100; i++) {
		assert_int_equal(to_host(c, before[i], &first, &first_err), 0);
		assert_int_equal(to_host(c, after[i], &last, &last_err), 0);
		assert_in_range(t_ns[i], first - first_err, last + last_err);
	}
	ivm_guest_clock_free(c);
}
#else
static void test_this_machine(void **state)
{
	(void)state;
	skip();
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offset),
		cmocka_unit_test(test_offset_that_wraps),
		cmocka_unit_test(test_scale),
		cmocka_unit_test(test_nothing_beyond_the_samples),
		cmocka_unit_test(test_change_with_event),
		cmocka_unit_test(test_set_back),
		cmocka_unit_test(test_change_without_event),
		cmocka_unit_test(test_bend),
		cmocka_unit_test(test_pairs_that_go_back_are_ignored),
		cmocka_unit_test(test_this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
