// SPDX-License-Identifier: GPL-2.0-or-later
/* What goes on: counts that close and never shrink, and the table of `top` */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "reports/openmetrics.h"
#include "tracer/series.h"
#include "tracer/toptable.h"

static struct ivm_journey journey(uint64_t id, enum ivm_outcome outcome, uint64_t total_ns)
{
	struct ivm_journey j = {
		.id = id, .from_end = 1, .to_end = 2, .mode = IVM_M_DIRECT,
		.outcome = (uint8_t)outcome,
	};

	j.t_ns[IVM_P_DISPATCH] = 1000;
	j.t_ns[IVM_P_ROUTE] = 1000 + total_ns / 4;
	j.t_ns[IVM_P_ENTRY] = 1000 + total_ns;
	return j;
}

static void add(struct ivm_series_set *set, uint64_t id, enum ivm_outcome outcome,
		uint64_t total_ns)
{
	struct ivm_journey j = journey(id, outcome, total_ns);

	ivm_series_add(set, &j);
}

static void add_early(struct ivm_series_set *set, uint64_t id, uint64_t into)
{
	struct ivm_journey j = journey(id, IVM_O_COALESCED, 10);

	j.into = into;
	j.flags = IVM_J_EARLY;
	ivm_series_add(set, &j);
}

static const struct ivm_series *only(struct ivm_series_set *set)
{
	const GPtrArray *all = ivm_series_sorted(set);

	assert_int_equal(all->len, 1);
	return g_ptr_array_index(all, 0);
}

static uint64_t sum(const struct ivm_series *s)
{
	uint64_t all = 0;
	int i;

	for (i = 0; i < IVM_OUTCOMES; i++)
		all += s->outcome[i];
	return all;
}

static void test_hops_and_totals(void **state)
{
	struct ivm_series_set *set = ivm_series_set_new(NULL);
	const struct ivm_lap *hop;
	const struct ivm_series *s;
	struct ivm_journey j;

	(void)state;
	add(set, 1, IVM_O_DELIVERED, 400);
	add(set, 2, IVM_O_DELIVERED, 800);
	add(set, 3, IVM_O_DROPPED, 5);
	/* The guest's acknowledgement ends nothing; a disordered one has no times */
	j = journey(4, IVM_O_DELIVERED, 40);
	j.t_ns[IVM_P_EOI] = 99999;
	ivm_series_add(set, &j);
	j = journey(5, IVM_O_DELIVERED, 40);
	j.flags = IVM_J_DISORDERED;
	ivm_series_add(set, &j);
	s = only(set);
	assert_int_equal(s->rung, 5);
	assert_int_equal(sum(s), s->rung);
	assert_int_equal(s->outcome[IVM_O_DELIVERED], 4);
	assert_int_equal(s->disordered, 1);
	assert_int_equal(s->hops->len, 2);
	assert_int_equal(s->totals->len, 1);
	hop = &g_array_index(s->hops, struct ivm_lap, 0);
	assert_int_equal(hop->from, IVM_P_DISPATCH);
	assert_int_equal(hop->to, IVM_P_ROUTE);
	assert_int_equal(hop->hist.sum_ns, 100 + 200 + 10);
	assert_int_equal(ivm_lap_main(s->totals)->hist.sum_ns, 400 + 800 + 40);
	ivm_series_set_free(set);
}

static void test_no_count_shrinks(void **state)
{
	struct ivm_series_set *set = ivm_series_set_new(NULL);
	const struct ivm_series *s;

	(void)state;
	add_early(set, 1, 9);
	add_early(set, 2, 9);
	add_early(set, 3, 8);
	add(set, 8, IVM_O_DELIVERED, 10);	/* 3 was right: nothing to mend */
	ivm_series_mend(set, 8, IVM_O_DROPPED);
	add(set, 9, IVM_O_MASKED, 10);
	ivm_series_mend(set, 9, IVM_O_MASKED);
	ivm_series_mend(set, 9, IVM_O_MASKED);
	s = only(set);
	assert_int_equal(s->outcome[IVM_O_COALESCED], 3);
	assert_int_equal(s->outcome[IVM_O_MASKED], 1);
	add_early(set, 11, 10);
	add_early(set, 12, 10);
	add_early(set, 13, 10);
	assert_int_equal(s->outcome[IVM_O_COALESCED], 4);
	assert_int_equal(s->outcome[IVM_O_MASKED], 3);
	assert_int_equal(s->outcome[IVM_O_DROPPED], 0);
	assert_int_equal(sum(s), s->rung);
	ivm_series_set_free(set);
}

/* ---- top ---- */

static struct ivm_series *named(struct ivm_series_set *set, uint32_t end, const char *link)
{
	struct ivm_series *s = ivm_series_get(set, end, IVM_M_DIRECT);

	s->link = g_strdup(link);
	s->from = g_strdup("a");
	s->to = g_strdup("b\x1b[2J");
	return s;
}

static void add_many(struct ivm_series *s, unsigned int count, uint64_t ns)
{
	unsigned int i;

	s->rung += count;
	s->outcome[IVM_O_DELIVERED] += count;
	for (i = 0; i < count; i++) {
		ivm_hist_add(&ivm_lap_get(s->totals, IVM_P_DISPATCH, IVM_P_ENTRY)->hist, ns);
		ivm_hist_add(&ivm_lap_get(s->hops, IVM_P_DISPATCH, IVM_P_ENTRY)->hist, ns);
	}
}

static const struct ivm_top_row *row(const GPtrArray *rows, guint i)
{
	return g_ptr_array_index(rows, i);
}

static void test_table(void **state)
{
	struct ivm_series_set *all = ivm_series_set_new(NULL), *last = ivm_series_set_new(NULL);
	GPtrArray *rows;

	(void)state;
	add_many(named(all, 1, "slow"), 200, 5000);
	add_many(named(last, 1, "slow"), 100, 5000);
	add_many(named(all, 2, "fast"), 300, 60);
	add_many(named(last, 2, "fast"), 99, 60);
	named(all, 3, "idle")->outcome[IVM_O_DROPPED] = 7;
	rows = ivm_top_table(all, last, 500000000, IVM_TOP_RATE);
	assert_int_equal(rows->len, 3);
	assert_string_equal(row(rows, 0)->link, "slow");
	assert_int_equal(row(rows, 0)->rate_per_s, 200);
	assert_in_range(row(rows, 0)->p99_ns, 4900, 5100);
	assert_string_equal(row(rows, 0)->worst, "dispatch..entry");
	assert_int_equal(row(rows, 0)->worst_percent, 100);
	assert_string_equal(row(rows, 0)->direction, "a → b?[2J");
	assert_int_equal(row(rows, 1)->p50_ns, 60);
	assert_int_equal(row(rows, 1)->p99_ns, IVM_TOP_UNKNOWN);
	assert_int_equal(row(rows, 2)->rate_per_s, 0);
	assert_int_equal(row(rows, 2)->lost, 7);
	g_ptr_array_unref(rows);
	rows = ivm_top_table(all, last, 500000000, IVM_TOP_LOST);
	assert_string_equal(row(rows, 0)->link, "idle");
	g_ptr_array_unref(rows);
	rows = ivm_top_table(all, last, 500000000, IVM_TOP_LINK);
	assert_string_equal(row(rows, 0)->link, "fast");
	assert_string_equal(row(rows, 2)->link, "slow");
	g_ptr_array_unref(rows);
	ivm_series_set_free(all);
	ivm_series_set_free(last);
}

static void test_lines_align(void **state)
{
	static const int widths[] = { 1, 80, 100, 140, 1000 };
	struct ivm_top_row r = {
		.link = (char *)"a-very-long-name-of-a-link-größer-als-alles", .mode = "ivshmem",
		.direction = (char *)"x → y", .rate_per_s = 300000, .p50_ns = IVM_TOP_UNKNOWN,
		.p99_ns = 123456789, .worst = (char *)"vcpu_wake..vcpu_run", .worst_percent = 100,
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < G_N_ELEMENTS(widths); i++) {
		g_autofree char *header = ivm_top_header(widths[i]);
		g_autofree char *line = ivm_top_line(&r, widths[i]);

		assert_int_equal(g_utf8_strlen(line, -1), g_utf8_strlen(header, -1));
		if (widths[i] >= 100)
			assert_in_range(g_utf8_strlen(line, -1), 80, widths[i]);
	}
}

/* ---- OpenMetrics ---- */

static void test_labels_are_escaped(void **state)
{
	struct ivm_series_set *set = ivm_series_set_new(NULL);
	g_autoptr(GArray) lost = g_array_new(FALSE, FALSE, sizeof(struct ivm_metrics_lost));
	struct ivm_metrics m = { .lost = lost, .kernel = "6", .backend = "bpf" };
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);

	(void)state;
	add_many(named(set, 1, "a\"}\\ 1\nb\xff"), 3, 300);
	m.series = ivm_series_sorted(set);
	ivm_openmetrics_print(&m, out);
	fclose(out);
	assert_non_null(strstr(text, "link=\"a\\\"}\\\\ 1\\nb\xef\xbf\xbd\",from=\"a\","));
	assert_non_null(strstr(text, "hop=\"dispatch..entry\",le=\"2.55e-07\"} 0\n"));
	assert_non_null(strstr(text, "hop=\"dispatch..entry\",le=\"5.11e-07\"} 3\n"));
	assert_non_null(strstr(text, "le=\"+Inf\"} 3\n"));
	assert_true(g_str_has_suffix(text, "\n# EOF\n"));
	free(text);
	ivm_series_set_free(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hops_and_totals),
		cmocka_unit_test(test_no_count_shrinks),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_lines_align),
		cmocka_unit_test(test_labels_are_escaped),
	};

	return cmocka_run_group_tests_name("series", tests, NULL, NULL);
}
