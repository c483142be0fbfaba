// SPDX-License-Identifier: GPL-2.0-or-later
/* Recordings: what is written is what is read, and never half of it */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib/gstdio.h>

#include "reports/cursor.h"
#include "reports/report.h"
#include "tracer/journey_table.h"
#include "tracer/recording.h"

static char dir[] = "/tmp/ivm-recording-XXXXXX";
static char *path;

static int setup(void **state)
{
	(void)state;
	if (!path) {
		if (!mkdtemp(dir))
			return -1;
		path = g_build_filename(dir, "x.ivm", NULL);
	}
	return 0;
}

static unsigned int files_in_dir(void)
{
	GDir *d = g_dir_open(dir, 0, NULL);
	unsigned int count = 0;

	while (g_dir_read_name(d))
		count++;
	g_dir_close(d);
	return count;
}

static void empty_dir(void)
{
	GDir *d = g_dir_open(dir, 0, NULL);
	const char *name;

	while ((name = g_dir_read_name(d))) {
		g_autofree char *file = g_build_filename(dir, name, NULL);

		if (g_unlink(file))
			g_rmdir(file);
	}
	g_dir_close(d);
}

static int teardown(void **state)
{
	(void)state;
	empty_dir();
	return 0;
}

static void write_empty(void)
{
	struct ivm_recording *r = NULL;

	assert_int_equal(ivm_recording_create(path, &r), 0);
	assert_int_equal(ivm_recording_finish(r), 0);
	ivm_recording_close(r);
}

static sqlite3 *open_good(void)
{
	const char *why = "";
	sqlite3 *db = NULL;

	if (ivm_recording_open(path, &db, &why))
		fail_msg("cannot open %s: %s", path, why);
	return db;
}

static int64_t query(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt = NULL;
	int64_t value;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	value = sqlite3_column_type(stmt, 0) == SQLITE_NULL ? -1 : sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return value;
}

/* ---- writing ---- */

static void test_one_file_with_its_name_at_the_end(void **state)
{
	struct ivm_recording *r = NULL;

	(void)state;
	assert_int_equal(ivm_recording_create(path, &r), 0);
	assert_int_equal(ivm_recording_set(r, "kernel", "6.1"), 0);
	assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
	assert_int_equal(ivm_recording_finish(r), 0);
	assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
	ivm_recording_close(r);
	assert_int_equal(files_in_dir(), 1);
}

static void test_unfinished_leaves_nothing(void **state)
{
	struct ivm_recording *r = NULL;
	struct ivm_journey j = { .outcome = IVM_O_DELIVERED };
	int i;

	(void)state;
	assert_int_equal(ivm_recording_create(path, &r), 0);
	/* Enough for several transactions: there was something on disk */
	for (i = 1; i <= 40000; i++) {
		j.id = (uint64_t)i;
		assert_int_equal(ivm_recording_add_journey(r, &j), 0);
	}
	assert_int_equal(files_in_dir(), 2 /* with its journal */);
	ivm_recording_close(r);
	assert_int_equal(files_in_dir(), 0);
}

static void test_the_one_before_is_kept(void **state)
{
	g_autofree char *old = g_strdup_printf("%s.old", path);
	sqlite3 *db;

	(void)state;
	write_empty();
	assert_false(g_file_test(old, G_FILE_TEST_EXISTS));
	write_empty();
	assert_true(g_file_test(old, G_FILE_TEST_EXISTS));
	db = open_good();
	sqlite3_close(db);
}

static void test_targets_refused(void **state)
{
	struct ivm_recording *r = NULL;

	(void)state;
	assert_int_equal(ivm_recording_create(dir, &r), -EISDIR);
	assert_int_equal(ivm_recording_create("/dev/null", &r), -EEXIST);
	assert_int_equal(ivm_recording_create("/no/such/dir/x.ivm", &r), -ENOENT);
	assert_int_equal(files_in_dir(), 0);
	assert_null(r);
}

/* A journey's error comes with the rows it is written with */
static void test_first_error_sticks(void **state)
{
	struct ivm_journey j = { .id = 1, .outcome = IVM_O_DELIVERED };
	struct ivm_recording *r = NULL;
	int i, err = 0;

	(void)state;
	assert_int_equal(ivm_recording_create(path, &r), 0);
	for (i = 0; i < IVM_ROW_TABLE_ROWS && !err; i++)
		err = ivm_recording_add_journey(r, &j);
	assert_int_equal(i, IVM_ROW_TABLE_ROWS);
	assert_int_equal(err, -EEXIST);
	j.id = 2;
	assert_int_equal(ivm_recording_add_journey(r, &j), -EEXIST);
	assert_int_equal(ivm_recording_set(r, "kernel", "6.1"), -EEXIST);
	assert_int_equal(ivm_recording_finish(r), -EEXIST);
	ivm_recording_close(r);
	assert_int_equal(files_in_dir(), 0);
}

static void test_last_error_is_told(void **state)
{
	struct ivm_journey j = { .id = 1, .outcome = IVM_O_DELIVERED };
	struct ivm_recording *r = NULL;

	(void)state;
	assert_int_equal(ivm_recording_create(path, &r), 0);
	assert_int_equal(ivm_recording_add_journey(r, &j), 0);
	assert_int_equal(ivm_recording_add_journey(r, &j), 0);
	assert_int_equal(ivm_recording_finish(r), -EEXIST);
	ivm_recording_close(r);
	assert_int_equal(files_in_dir(), 0);
}

/* Several transactions, and a last batch that is not full */
static void test_many_journeys(void **state)
{
	struct ivm_journey j = { .outcome = IVM_O_DELIVERED };
	const int count = 40 * IVM_ROW_TABLE_ROWS + 7;
	const char *sql = "SELECT count(*) FROM journeys WHERE cookie = id + 1"
			  " AND dispatch = id * 3 AND route IS NULL";
	struct ivm_recording *r = NULL;
	sqlite3_stmt *stmt;
	const char *why;
	sqlite3 *db;

	(void)state;
	assert_int_equal(ivm_recording_create(path, &r), 0);
	for (j.id = 1; j.id <= (uint64_t)count; j.id++) {
		j.cookie = (uint32_t)j.id + 1;
		j.t_ns[IVM_P_DISPATCH] = j.id * 3;
		assert_int_equal(ivm_recording_add_journey(r, &j), 0);
	}
	assert_int_equal(ivm_recording_finish(r), 0);
	ivm_recording_close(r);
	assert_int_equal(ivm_recording_open(path, &db, &why), 0);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(stmt, 0), count);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
}

static void test_undecided_journeys_refused(void **state)
{
	struct ivm_journey j = { .id = 1, .outcome = IVM_O_PENDING };
	struct ivm_recording *r = NULL;

	(void)state;
	assert_int_equal(ivm_recording_create(path, &r), 0);
	assert_int_equal(ivm_recording_add_journey(r, &j), -EINVAL);
	ivm_recording_close(r);
}

/* ---- reading back ---- */

static struct ivm_journey full_journey(void)
{
	struct ivm_journey j = {
		.id = 77, .seq = 5, .cookie = UINT32_MAX, .from_end = 3, .to_end = 4,
		.vector = 255, .irq_vector = 66, .from_vcpu = 1, .to_vcpu = 0,
		.mode = IVM_M_IRQFD, .configured = IVM_M_DIRECT, .outcome = IVM_O_DELIVERED,
		.flags = IVM_J_APPROX | IVM_J_POSTED,
	};
	int i;

	for (i = 0; i < IVM_POINTS; i++)
		j.t_ns[i] = (1ull << 40) + (uint64_t)i * 10;
	return j;
}

static void test_journey_round_trip(void **state)
{
	struct ivm_journey wanted = full_journey(), got, empty = { .id = 78, .from_end = 1,
		.outcome = IVM_O_DROPPED };
	struct ivm_recording *r = NULL;
	struct ivm_cursor *cursor;
	sqlite3 *db;

	(void)state;
	assert_int_equal(ivm_recording_create(path, &r), 0);
	assert_int_equal(ivm_recording_add_journey(r, &wanted), 0);
	assert_int_equal(ivm_recording_add_journey(r, &empty), 0);
	assert_int_equal(ivm_recording_finish(r), 0);
	ivm_recording_close(r);

	db = open_good();
	assert_int_equal(query(db, "SELECT seq FROM journeys WHERE id = 77"), 5);
	assert_int_equal(query(db, "SELECT to_vcpu FROM journeys WHERE id = 77"), 0);
	assert_int_equal(query(db, "SELECT to_vcpu FROM journeys WHERE id = 78"), -1);
	assert_int_equal(query(db, "SELECT dispatch FROM journeys WHERE id = 78"), -1);
	assert_int_equal(ivm_cursor_open(db, &cursor), 0);
	assert_int_equal(ivm_cursor_next(cursor, &got), 1);
	wanted.seq = 0;			/* what nobody reads is not read */
	assert_memory_equal(&got, &wanted, sizeof(got));
	assert_int_equal(ivm_cursor_next(cursor, &got), 1);
	assert_memory_equal(&got, &empty, sizeof(got));
	assert_int_equal(ivm_cursor_next(cursor, &got), 0);
	ivm_cursor_close(cursor);
	sqlite3_close(db);
}

static void test_small_tables(void **state)
{
	const uint64_t rtt[] = { 10, 20, 30 };
	const struct ivm_guest_result guest = { .mode = "direct", .link = "a-b", .from_end = 1,
		.from_vm = 1, .vector = 2, .sent = 10, .handled = 9, .rtt_ns = rtt,
		.rtt_count = 8, .rtt_samples = 3 };
	const struct ivm_guest_result untimed = { .mode = "direct", .sent = 1, .rtt_count = 9 };
	const struct ivm_baseline baseline = { .device = "ivshmem-doorbell", .ioeventfd = true,
		.rtt_ns = rtt, .rtt_samples = 2, .rtt_count = 2 };
	const struct ivm_counts counts = { .from_end = 1, .to_end = 2, .rung = 3,
		.delivered = 3 };
	struct ivm_recording *r = NULL;
	sqlite3 *db;

	(void)state;
	assert_int_equal(ivm_recording_create(path, &r), 0);
	assert_int_equal(ivm_recording_set(r, "rig", "lab"), 0);
	assert_int_equal(ivm_recording_set(r, "rig", "native"), 0);
	assert_int_equal(ivm_recording_set_u64(r, "duration_ns", 1ull << 40), 0);
	assert_int_equal(ivm_recording_add_hook(r, "kvm_exit", "tp_btf", 3, 1, 9), 0);
	assert_int_equal(ivm_recording_add_lost(r, "ringbuf", 3), 0);
	assert_int_equal(ivm_recording_add_lost(r, "ringbuf", 4), 0);
	assert_int_equal(ivm_recording_add_guest(r, &guest), 0);
	assert_int_equal(ivm_recording_add_guest(r, &untimed), 0);
	assert_int_equal(ivm_recording_add_baseline(r, &baseline), 0);
	assert_int_equal(ivm_recording_add_counts(r, &counts), 0);
	assert_int_equal(ivm_recording_finish(r), 0);
	ivm_recording_close(r);

	db = open_good();
	assert_int_equal(query(db, "SELECT value = 'native' FROM meta WHERE key = 'rig'"), 1);
	assert_int_equal(query(db, "SELECT value >> 40 FROM meta WHERE key = 'duration_ns'"), 1);
	assert_int_equal(query(db, "SELECT count FROM lost WHERE source = 'ringbuf'"), 7);
	assert_int_equal(query(db, "SELECT missed FROM hooks"), 1);
	assert_int_equal(query(db, "SELECT sum(rtt_ns) FROM guest_rtt WHERE guest = 1"), 60);
	assert_int_equal(query(db, "SELECT count(*) FROM guest_rtt WHERE guest = 2"), 0);
	assert_int_equal(query(db, "SELECT rtt_count FROM guests WHERE id = 2"), -1);
	assert_int_equal(query(db, "SELECT sum(rtt_ns) FROM baseline_rtt WHERE baseline = 1"), 30);
	assert_int_equal(query(db, "SELECT rung + 10 * delivered FROM counts"), 33);
	assert_int_equal(query(db, "SELECT irq_vector FROM counts"), -1);
	sqlite3_close(db);
}

static void test_topology(void **state)
{
	struct ivm_topology *t = ivm_topology_new();
	struct ivm_linkpage page = { .side = IVM_SIDE_CLIENT, .mode_configured = IVM_MODE_AUTO,
		.vectors = 4, .accel = IVM_ACCEL_KVM };
	struct ivm_recording *r = NULL;
	struct ivm_vm *vm;
	sqlite3 *db;

	(void)state;
	strcpy(page.name, "a-b");
	vm = ivm_topology_add_vm(t, 42, 7, "one");
	ivm_topology_set_vcpu(t, vm, 3, 43);
	ivm_topology_add_end(t, vm, 99, &page, 1000);
	assert_int_equal(ivm_recording_create(path, &r), 0);
	assert_int_equal(ivm_recording_add_topology(r, t), 0);
	assert_int_equal(ivm_recording_add_topology(r, t), 0);
	assert_int_equal(ivm_recording_finish(r), 0);
	ivm_recording_close(r);
	ivm_topology_free(t);

	db = open_good();
	assert_int_equal(query(db, "SELECT pid FROM vms WHERE name = 'one'"), 42);
	assert_int_equal(query(db, "SELECT tid FROM vcpus WHERE vcpu_id = 3"), 43);
	assert_int_equal(query(db, "SELECT count(*) FROM ends WHERE link = 'a-b' AND vm = 1"
				   " AND side = 'client' AND configured = 'auto' AND kvm = 1"
				   " AND vectors = 4 AND peer IS NULL"), 1);
	sqlite3_close(db);
}

/* ---- the documentation is the schema ---- */

static char *documented_sql(void)
{
	g_autofree char *text = NULL;
	char *begin, *end;

	if (!g_file_get_contents("docs/recording.md", &text, NULL, NULL))
		return NULL;
	begin = strstr(text, "```sql\n");
	end = begin ? strstr(begin + 7, "```") : NULL;
	return end ? g_strndup(begin + 7, (gsize)(end - begin - 7)) : NULL;
}

static char *describe(sqlite3 *db)
{
	static const char sql[] =
		"SELECT m.type || ' ' || m.name || ' ' || coalesce(c.name, '') || ' ' ||"
		" coalesce(c.type, '') || ' ' || coalesce(c.\"notnull\", '') || ' ' ||"
		" coalesce(c.pk, '') FROM sqlite_master m LEFT JOIN pragma_table_info(m.name) c"
		" ON 1 ORDER BY m.name, c.cid";
	GString *all = g_string_new(NULL);
	sqlite3_stmt *stmt;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	while (sqlite3_step(stmt) == SQLITE_ROW)
		g_string_append_printf(all, "%s\n", (const char *)sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	return g_string_free(all, FALSE);
}

static void test_schema_is_documented(void **state)
{
	g_autofree char *sql = documented_sql();
	g_autofree char *written = NULL, *documented = NULL;
	sqlite3 *db, *docs;

	(void)state;
	assert_non_null(sql);
	write_empty();
	db = open_good();
	assert_int_equal(sqlite3_open(":memory:", &docs), SQLITE_OK);
	assert_int_equal(sqlite3_exec(docs, sql, NULL, NULL, NULL), SQLITE_OK);
	written = describe(db);
	documented = describe(docs);
	sqlite3_close(docs);
	sqlite3_close(db);
	assert_string_equal(written, documented);
}

/* ---- wrong files ---- */

static void assert_refused(int wanted, const char *part)
{
	const char *why = NULL;
	sqlite3 *db = NULL;

	assert_int_equal(ivm_recording_open(path, &db, &why), wanted);
	assert_null(db);
	assert_non_null(why);
	if (!strstr(why, part))
		fail_msg("\"%s\" does not say \"%s\"", why, part);
}

static void change(const char *sql)
{
	sqlite3 *db;

	write_empty();
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void test_wrong_files(void **state)
{
	(void)state;
	assert_refused(-ENOENT, "No such file");
	assert_true(g_file_set_contents(path, "", 0, NULL));
	assert_refused(-EBADMSG, "empty");
	assert_true(g_file_set_contents(path, "hello", -1, NULL));
	assert_refused(-EBADMSG, "not an ivmtrace recording");
	assert_true(g_file_set_contents(path, "SQLite", -1, NULL));
	assert_refused(-EBADMSG, "truncated");
	assert_int_equal(g_unlink(path), 0);
	assert_int_equal(g_mkdir(path, 0700), 0);
	assert_refused(-EISDIR, "directory");
	assert_int_equal(g_rmdir(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_refused(-EBADMSG, "not a regular file");
	assert_int_equal(g_unlink(path), 0);
}

static void test_wrong_databases(void **state)
{
	(void)state;
	change("PRAGMA application_id = 5");
	assert_refused(-EBADMSG, "but not an ivmtrace recording");
	change("PRAGMA user_version = 3");
	assert_refused(-EBADMSG, "newer");
	change("PRAGMA user_version = 0");
	assert_refused(-EBADMSG, "version");
	change("DROP TABLE counts");
	assert_refused(-EBADMSG, "table");
	change("ALTER TABLE journeys RENAME COLUMN eoi_standin TO x");
	assert_refused(-EBADMSG, "table");
	change("ALTER TABLE journeys ADD COLUMN later INTEGER; CREATE TABLE later (x)");
	sqlite3_close(open_good());
}

static void test_every_truncation_is_found(void **state)
{
	g_autofree char *whole = NULL;
	const char *why;
	sqlite3 *db;
	gsize bytes, keep;

	(void)state;
	write_empty();
	assert_true(g_file_get_contents(path, &whole, &bytes, NULL));
	for (keep = 0; keep < bytes; keep += 509) {
		db = NULL;
		assert_true(g_file_set_contents(path, whole, (gssize)keep, NULL));
		assert_int_equal(ivm_recording_open(path, &db, &why), -EBADMSG);
		assert_null(db);
	}
}

/* Nobody asks what it prints, only that it comes to an end */
static void report_somehow(sqlite3 *db)
{
	FILE *nowhere = fopen("/dev/null", "w");

	assert_non_null(nowhere);
	ivm_report_print(db, IVM_REPORT_JSON, nowhere);
	ivm_report_print(db, IVM_REPORT_TEXT, nowhere);
	fclose(nowhere);
}

/* A file of the right kind with nonsense in it: refused or read, never a crash */
static void test_damaged_pages(void **state)
{
	struct ivm_recording *r = NULL;
	struct ivm_journey j = full_journey();
	g_autofree char *whole = NULL;
	const char *why;
	sqlite3 *db;
	gsize bytes, i;

	(void)state;
	assert_int_equal(ivm_recording_create(path, &r), 0);
	for (i = 1; i <= 200; i++) {
		j.id = i;
		assert_int_equal(ivm_recording_add_journey(r, &j), 0);
	}
	assert_int_equal(ivm_recording_finish(r), 0);
	ivm_recording_close(r);
	assert_true(g_file_get_contents(path, &whole, &bytes, NULL));
	srand(1);
	for (i = 0; i < 300; i++) {
		g_autofree char *bad = g_memdup2(whole, bytes);
		int k;

		for (k = 0; k < 20; k++)
			bad[100 + (size_t)rand() % (bytes - 100)] = (char)rand();
		assert_true(g_file_set_contents(path, bad, (gssize)bytes, NULL));
		db = NULL;
		if (ivm_recording_open(path, &db, &why))
			continue;
		report_somehow(db);
		sqlite3_close(db);
	}
}

static void refuse_row(const char *sql)
{
	struct ivm_cursor *cursor;
	struct ivm_journey j;
	sqlite3 *db;

	change(sql);
	db = open_good();
	assert_int_equal(ivm_cursor_open(db, &cursor), 0);
	assert_int_equal(ivm_cursor_next(cursor, &j), -EBADMSG);
	ivm_cursor_close(cursor);
	sqlite3_close(db);
}

#define ROW(mode, outcome, end, vector, dispatch)					\
	"INSERT INTO journeys (id, mode, configured, outcome, from_end, vector, from_vcpu,"	\
	" cookie, approx, posted, disordered, contended, fast_mmio, dispatch) VALUES"	\
	" (1, " mode ", 'qemu', " outcome ", " end ", " vector ", 0, 0, 0, 0, 0, 0, 0, "	\
	dispatch ")"

static void test_nonsense_values(void **state)
{
	(void)state;
	refuse_row(ROW("'warp'", "'delivered'", "1", "0", "5"));
	refuse_row(ROW("'qemu'", "''", "1", "0", "5"));
	refuse_row(ROW("'qemu'", "'delivered'", "-1", "0", "5"));
	refuse_row(ROW("'qemu'", "'delivered'", "1", "65536", "5"));
	refuse_row(ROW("'qemu'", "'delivered'", "1", "0", "-5"));
	refuse_row(ROW("'qemu'", "'delivered'", "1", "0", "'soon'"));
	refuse_row(ROW("'qemu'", "'delivered'", "1", "0", "1.5"));
}

/* ---- in batches ---- */

#define STAMPS	1300	/* more than one batch, and not a whole number of them */

static void test_many_stamps(void **state)
{
	struct ivm_recorded_stamp stamp = { .end = 2, .kind = 2, .vector = 3 };
	struct ivm_recording *r = NULL;
	sqlite3 *db;
	int i;

	(void)state;
	assert_int_equal(ivm_recording_create(path, &r), 0);
	for (i = 1; i <= STAMPS; i++) {
		stamp.cookie = UINT32_MAX - (uint32_t)i;
		stamp.tsc = UINT64_MAX - (uint64_t)i;
		assert_int_equal(ivm_recording_add_stamp(r, &stamp), 0);
		/* Whoever looks meanwhile sees all of them */
		if (i == 100)
			assert_int_equal(query(ivm_recording_db(r), "SELECT count(*) FROM stamps"),
					 100);
	}
	assert_int_equal(ivm_recording_finish(r), 0);
	ivm_recording_close(r);
	db = open_good();
	assert_int_equal(query(db, "SELECT count(*) FROM stamps WHERE \"end\" = 2 AND kind = 2"
				   " AND vector = 3 AND cookie = 4294967295 - id"
				   " AND tsc = -1 - id"), STAMPS);
	assert_int_equal(query(db, "SELECT max(id) FROM stamps"), STAMPS);
	sqlite3_close(db);
}

/* In the file already, not there yet, or of another carrier */
static void test_fates(void **state)
{
	struct ivm_recording *r = NULL;
	struct ivm_journey j = {
		.outcome = IVM_O_COALESCED, .flags = IVM_J_EARLY, .from_end = 1, .to_end = 2,
	};
	sqlite3 *db;

	(void)state;
	assert_int_equal(ivm_recording_create(path, &r), 0);
	for (j.id = 1; j.id <= 700; j.id++) {
		j.t_ns[IVM_P_DISPATCH] = j.id * 1000;
		j.into = j.id % 100 ? 9000 + j.id : 8000;
		assert_int_equal(ivm_recording_add_journey(r, &j), 0);
	}
	assert_int_equal(ivm_recording_set_fate(r, 8000, IVM_O_UNFINISHED), 0);
	assert_int_equal(ivm_recording_set_fate(r, 7000, IVM_O_DROPPED), 0);
	assert_int_equal(ivm_recording_set_fate(r, 9001, IVM_O_DROPPED), 0);
	assert_int_equal(ivm_recording_finish(r), 0);
	ivm_recording_close(r);
	db = open_good();
	assert_int_equal(query(db, "SELECT count(*) FROM journeys WHERE outcome = 'unfinished'"
				   " AND coalesced_into IS NULL AND id % 100 = 0"), 7);
	assert_int_equal(query(db, "SELECT count(*) FROM journeys WHERE outcome = 'dropped'"
				   " AND coalesced_into IS NULL AND id = 1"), 1);
	assert_int_equal(query(db, "SELECT count(*) FROM journeys WHERE outcome = 'coalesced'"
				   " AND coalesced_into = 9000 + id"), 692);
	sqlite3_close(db);
}

int main(void)
{
#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_one_file_with_its_name_at_the_end),
		TEST(test_unfinished_leaves_nothing),
		TEST(test_the_one_before_is_kept),
		TEST(test_targets_refused),
		TEST(test_first_error_sticks),
		TEST(test_last_error_is_told),
		TEST(test_many_journeys),
		TEST(test_undecided_journeys_refused),
		TEST(test_journey_round_trip),
		TEST(test_small_tables),
		TEST(test_topology),
		TEST(test_schema_is_documented),
		TEST(test_wrong_files),
		TEST(test_wrong_databases),
		TEST(test_every_truncation_is_found),
		TEST(test_damaged_pages),
		TEST(test_nonsense_values),
		TEST(test_many_stamps),
		TEST(test_fates),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	rmdir(dir);
	g_free(path);
	return failed;
}
