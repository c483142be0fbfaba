// SPDX-License-Identifier: GPL-2.0-or-later
/* The slowest journeys and the intervals that they met, in bounded memory */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib.h>
#include <glib/gstdio.h>

#include "tracer/slowest.h"

#define MSEC_NS	1000000ull

static const struct ivm_actors actors = { 11, 10, 21, 20 };

static struct ivm_journey journey(uint64_t id, uint64_t begin_ns, uint64_t span_ns)
{
	struct ivm_journey j = { .id = id, .from_end = 1, .to_end = 2, .mode = IVM_M_DIRECT,
				 .outcome = IVM_O_DELIVERED };

	j.t_ns[IVM_P_DISPATCH] = begin_ns;
	j.t_ns[IVM_P_INJECT] = begin_ns + span_ns;
	return j;
}

static void add(struct ivm_slowest *s, uint32_t tid, uint64_t begin_ns, uint64_t end_ns)
{
	const struct ivm_interval i = { .begin_ns = begin_ns, .end_ns = end_ns, .tid = tid,
					.fd = -1, .kind = IVM_CTX_OFF_CPU,
					.state = IVM_OFF_ASLEEP };

	ivm_slowest_interval(s, &i);
}

static int count(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt;
	int n;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	n = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	return n;
}

struct files {
	char *dir;
	char *path;
	struct ivm_recording *recording;
};

static void open_files(struct files *f)
{
	f->dir = g_dir_make_tmp("ivm-slowest-XXXXXX", NULL);
	f->path = g_build_filename(f->dir, "r.ivm", NULL);
	assert_int_equal(ivm_recording_create(f->path, &f->recording), 0);
}

static void close_files(struct files *f)
{
	ivm_recording_close(f->recording);
	g_rmdir(f->dir);
	g_free(f->dir);
	g_free(f->path);
}

/* Only what overlaps, of its own threads, also if it ends later than the journey */
static void test_overlap(void **state)
{
	struct ivm_slowest *s = ivm_slowest_new();
	struct ivm_journey j = journey(1, 100 * MSEC_NS, 10 * MSEC_NS);
	struct files f;

	(void)state;
	open_files(&f);
	add(s, 21, 80 * MSEC_NS, 99 * MSEC_NS);		/* before */
	add(s, 21, 90 * MSEC_NS, 101 * MSEC_NS);
	add(s, 99, 100 * MSEC_NS, 105 * MSEC_NS);	/* another's */
	add(s, 10, 103 * MSEC_NS, 104 * MSEC_NS);
	ivm_slowest_journey(s, &j, &actors);
	ivm_slowest_settle(s, 120 * MSEC_NS);		/* too early to decide */
	add(s, 20, 109 * MSEC_NS, 130 * MSEC_NS);
	add(s, 21, 111 * MSEC_NS, 131 * MSEC_NS);	/* after */
	ivm_slowest_settle(s, UINT64_MAX);
	assert_int_equal(ivm_slowest_write(s, f.recording), 0);
	assert_int_equal(count(ivm_recording_db(f.recording), "SELECT count(*) FROM intervals"), 3);
	assert_int_equal(count(ivm_recording_db(f.recording), "SELECT sum(complete) FROM slow"), 1);
	assert_int_equal(count(ivm_recording_db(f.recording),
			       "SELECT count(*) FROM intervals WHERE fd IS NULL AND"
			       " state = 'asleep' AND kind = 'off-cpu'"), 3);
	ivm_slowest_free(s);
	close_files(&f);
}

/* Of many the slowest stay, each direction for itself */
static void test_slowest_stay(void **state)
{
	struct ivm_slowest *s = ivm_slowest_new();
	struct files f;
	uint64_t i;

	(void)state;
	open_files(&f);
	for (i = 1; i <= 1000; i++) {
		struct ivm_journey j = journey(i, i * MSEC_NS, 1000 + i * 7919 % 1000);
		struct ivm_journey back = journey(i + 1000, i * MSEC_NS, 5);

		back.from_end = 2;
		back.to_end = 1;
		ivm_slowest_journey(s, &j, &actors);
		ivm_slowest_journey(s, &back, &actors);
		if (i % 10 == 0)
			ivm_slowest_settle(s, i * MSEC_NS);
	}
	ivm_slowest_settle(s, UINT64_MAX);
	assert_int_equal(ivm_slowest_write(s, f.recording), 0);
	assert_int_equal(count(ivm_recording_db(f.recording), "SELECT count(*) FROM slow"),
			 2 * IVM_SLOWEST_EACH);
	/* 7919 and 1000 have no common factor: each length is there once */
	assert_int_equal(count(ivm_recording_db(f.recording),
			       "SELECT count(*) FROM slow WHERE journey <= 1000 AND"
			       " journey * 7919 % 1000 < 950"), 0);
	ivm_slowest_free(s);
	close_files(&f);
}

/* What had to give way is admitted */
static void test_incomplete(void **state)
{
	struct ivm_slowest *s = ivm_slowest_new();
	struct ivm_journey j = journey(1, 100 * MSEC_NS, 1000 * MSEC_NS);
	struct ivm_journey undelivered = journey(2, 0, 5000 * MSEC_NS);
	struct files f;
	uint64_t i;

	(void)state;
	open_files(&f);
	undelivered.outcome = IVM_O_MASKED;
	for (i = 0; i < 2 * IVM_SLOWEST_PER_JOURNEY; i++)
		add(s, 21, (100 + i) * MSEC_NS, (100 + i) * MSEC_NS + 1000 + i);
	ivm_slowest_journey(s, &j, &actors);
	ivm_slowest_journey(s, &undelivered, &actors);
	ivm_slowest_settle(s, UINT64_MAX);
	assert_int_equal(ivm_slowest_write(s, f.recording), 0);
	assert_int_equal(count(ivm_recording_db(f.recording), "SELECT count(*) FROM slow"), 1);
	assert_int_equal(count(ivm_recording_db(f.recording), "SELECT complete FROM slow"), 0);
	assert_int_equal(count(ivm_recording_db(f.recording),
			       "SELECT min(end_ns - begin_ns) FROM intervals"),
			 1000 + IVM_SLOWEST_PER_JOURNEY);
	ivm_slowest_free(s);
	close_files(&f);
}

/* A journey that is older than the oldest interval may have met others */
static void test_forgotten(void **state)
{
	struct ivm_slowest *s = ivm_slowest_new();
	struct ivm_journey j = journey(1, 1, 1000 * MSEC_NS);
	struct files f;
	uint64_t i;

	(void)state;
	open_files(&f);
	for (i = 0; i < IVM_SLOWEST_INTERVALS + 10; i++)
		add(s, 21, 500 * MSEC_NS + i, 500 * MSEC_NS + i + 1);
	ivm_slowest_journey(s, &j, &actors);
	ivm_slowest_settle(s, UINT64_MAX);
	assert_int_equal(ivm_slowest_write(s, f.recording), 0);
	assert_int_equal(count(ivm_recording_db(f.recording), "SELECT complete FROM slow"), 0);
	ivm_slowest_free(s);
	close_files(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_overlap),
		cmocka_unit_test(test_slowest_stay),
		cmocka_unit_test(test_incomplete),
		cmocka_unit_test(test_forgotten),
	};

	return cmocka_run_group_tests_name("slowest", tests, NULL, NULL);
}
