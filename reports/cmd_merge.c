// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ivmtrace merge: several runs as one recording.
 *
 * Runs follow each other in the result, whenever they took place, each as a phase of
 * its own unless it has phases itself.  What bears the same name in two runs is
 * the same: VMs, and ends of links by VM, link and side.  Summaries add up, so that
 * journeys count that a run has not kept; every other table adds up as its figures do.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../tracer/command.h"
#include "../tracer/error.h"
#include "../tracer/options.h"
#include "../tracer/recording.h"
#include "cursor.h"
#include "report.h"

#define GAP_NS		1000000000ull	/* between the end of a run and the next one */
#define MAX_RUNS	1000
#define MAX_TIME_NS	(1ull << 60)	/* beyond that it is no time, but damage */

struct merge {
	const char *output;
	struct ivm_recording *recording;
	GHashTable *vms;		/* name -> number in the result */
	GHashTable *ends;		/* VM, link and side -> number in the result */
	GPtrArray *facts;		/* environment of the first run */
	uint64_t journeys;		/* added so far: ids go on from there */
	unsigned int phases;		/* begun so far */
	uint64_t end_ns;		/* of the run before */
	uint64_t duration_ns;		/* of all */
};

/* One of the runs */
struct run {
	struct merge *merge;
	const char *path;
	struct ivm_report *report;
	GHashTable *vms, *ends;		/* number in it -> number in the result */
	int64_t shift_ns;		/* added to its times */
	uint64_t first_id;		/* ... and to ids of journeys */
	unsigned int phase_of[IVM_SUMMARY_PHASES];	/* in the result */
};

static int damaged(const struct run *run)
{
	return ivm_fail("cannot read %s: damaged", run->path);
}

static uint64_t meta_u64(const struct run *run, const char *key)
{
	const char *value = ivm_report_meta(run->report, key);

	return value ? g_ascii_strtoull(value, NULL, 10) : 0;
}

/* ---- what is the same ---- */

/* Takes @key */
static void map_number(GHashTable *all, GHashTable *of_run, uint32_t id, char *key)
{
	gpointer number = g_hash_table_lookup(all, key);

	if (!number) {
		number = GUINT_TO_POINTER(g_hash_table_size(all) + 1);
		g_hash_table_insert(all, g_strdup(key), number);
	}
	g_hash_table_insert(of_run, GUINT_TO_POINTER(id), number);
	g_free(key);
}

/* The n-th of a name is the n-th of it in each run */
static int map_vms(struct run *run)
{
	static const char sql[] = "SELECT id, row_number() OVER (PARTITION BY name ORDER BY id),"
				  " name FROM vms";
	sqlite3_stmt *stmt;
	int rc;

	if (sqlite3_prepare_v2(run->report->db, sql, -1, &stmt, NULL) != SQLITE_OK)
		return damaged(run);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
		map_number(run->merge->vms, run->vms, (uint32_t)sqlite3_column_int64(stmt, 0),
			   g_strdup_printf("%d %s", sqlite3_column_int(stmt, 1),
					   (const char *)sqlite3_column_text(stmt, 2)));
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? 0 : damaged(run);
}

static int map_ends(struct run *run)
{
	static const char sql[] = "SELECT id, row_number() OVER (PARTITION BY vm, link, side,"
				  " configured ORDER BY id), vm, side, configured, link FROM ends";
	sqlite3_stmt *stmt;
	int rc;

	if (sqlite3_prepare_v2(run->report->db, sql, -1, &stmt, NULL) != SQLITE_OK)
		return damaged(run);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
		map_number(run->merge->ends, run->ends, (uint32_t)sqlite3_column_int64(stmt, 0),
			   g_strdup_printf("%d %u %s %s %s", sqlite3_column_int(stmt, 1),
					   GPOINTER_TO_UINT(g_hash_table_lookup(run->vms,
						GUINT_TO_POINTER((guint)sqlite3_column_int64(stmt,
											  2)))),
					   (const char *)sqlite3_column_text(stmt, 3),
					   (const char *)sqlite3_column_text(stmt, 4),
					   (const char *)sqlite3_column_text(stmt, 5)));
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? 0 : damaged(run);
}

/* ---- tables ---- */

/* SQL functions of the run's connection, so that tables can be told in SQL */
static void map_value(sqlite3_context *context, GHashTable *numbers, sqlite3_value *value)
{
	gpointer number = g_hash_table_lookup(numbers, GUINT_TO_POINTER(
						(guint)sqlite3_value_int64(value)));

	if (sqlite3_value_type(value) == SQLITE_NULL)
		sqlite3_result_null(context);
	else
		sqlite3_result_int64(context, (sqlite3_int64)GPOINTER_TO_UINT(number));
}

static void sql_vm(sqlite3_context *context, int count, sqlite3_value **values)
{
	struct run *run = sqlite3_user_data(context);

	(void)count;
	map_value(context, run->vms, values[0]);
}

static void sql_end(sqlite3_context *context, int count, sqlite3_value **values)
{
	struct run *run = sqlite3_user_data(context);

	(void)count;
	map_value(context, run->ends, values[0]);
}

static int copy_rows(sqlite3_stmt *from, sqlite3_stmt *to)
{
	int i, rc;

	while ((rc = sqlite3_step(from)) == SQLITE_ROW) {
		for (i = 0; i < sqlite3_column_count(from); i++)
			sqlite3_bind_value(to, i + 1, sqlite3_column_value(from, i));
		if (sqlite3_step(to) != SQLITE_DONE)
			return -EIO;
		sqlite3_reset(to);
	}
	return rc == SQLITE_DONE ? 0 : -EBADMSG;
}

static int copy_table(struct run *run, const char *select, const char *insert)
{
	sqlite3 *out = ivm_recording_db(run->merge->recording);
	sqlite3_stmt *from = NULL, *to = NULL;
	int err = 0;

	/* Older recordings lack some tables */
	if (sqlite3_prepare_v2(run->report->db, select, -1, &from, NULL) == SQLITE_OK) {
		if (sqlite3_prepare_v2(out, insert, -1, &to, NULL) != SQLITE_OK)
			err = -EIO;
		else
			err = copy_rows(from, to);
	}
	sqlite3_finalize(from);
	sqlite3_finalize(to);
	if (err == -EBADMSG)
		return damaged(run);
	return err ? ivm_fail("cannot write %s: %s", run->merge->output, sqlite3_errmsg(out)) : 0;
}

static sqlite3_int64 largest_id(struct run *run, const char *sql)
{
	sqlite3_stmt *stmt = NULL;
	sqlite3_int64 id = 0;

	if (sqlite3_prepare_v2(ivm_recording_db(run->merge->recording), sql, -1, &stmt, NULL) ==
	    SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
		id = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return id;
}

static int copy_samples(struct run *run)
{
	sqlite3_int64 guest = largest_id(run, "SELECT max(id) FROM guests");
	sqlite3_int64 baseline = largest_id(run, "SELECT max(id) FROM baselines");
	g_autofree char *guests = g_strdup_printf(
		"SELECT id + %lld, mode, link, ivm_end(from_end), ivm_vm(from_vm), vector, sent,"
		" handled, rtt_count FROM guests", (long long)guest);
	g_autofree char *guest_rtt = g_strdup_printf(
		"SELECT guest + %lld, rtt_ns FROM guest_rtt", (long long)guest);
	g_autofree char *baselines = g_strdup_printf(
		"SELECT id + %lld, device, ioeventfd, rtt_count FROM baselines",
		(long long)baseline);
	g_autofree char *baseline_rtt = g_strdup_printf(
		"SELECT baseline + %lld, rtt_ns FROM baseline_rtt", (long long)baseline);
	int err;

	err = copy_table(run, guests, "INSERT INTO guests (id, mode, link, from_end, from_vm,"
			 " vector, sent, handled, rtt_count) VALUES (?,?,?,?,?,?,?,?,?)");
	if (!err)
		err = copy_table(run, guest_rtt, "INSERT INTO guest_rtt VALUES (?,?)");
	if (!err)
		err = copy_table(run, baselines, "INSERT INTO baselines (id, device, ioeventfd,"
				 " rtt_count) VALUES (?,?,?,?)");
	return err ? err : copy_table(run, baseline_rtt, "INSERT INTO baseline_rtt VALUES (?,?)");
}

static int copy_tables(struct run *run)
{
	static const struct {
		const char *select, *insert;
	} tables[] = {
		{ "SELECT ivm_vm(id), name, pid, start_ticks FROM vms",
		  "INSERT OR IGNORE INTO vms VALUES (?,?,?,?)" },
		{ "SELECT ivm_vm(vm), vcpu_id, tid FROM vcpus",
		  "INSERT OR IGNORE INTO vcpus VALUES (?,?,?)" },
		{ "SELECT ivm_end(id), ivm_vm(vm), ivm_end(peer), link, side, configured,"
		  " vectors, shmem_bytes, kvm, observed_from_ns FROM ends",
		  "INSERT OR IGNORE INTO ends VALUES (?,?,?,?,?,?,?,?,?,?)" },
		{ "SELECT name, state, fired, missed, run_ns FROM hooks",
		  "INSERT INTO hooks VALUES (?,?,?,?,?) ON CONFLICT (name) DO UPDATE SET"
		  " state = iif(state IN ('absent', 'silent'), excluded.state, state),"
		  " fired = fired + excluded.fired, missed = missed + excluded.missed,"
		  " run_ns = run_ns + excluded.run_ns" },
		{ "SELECT source, count FROM lost",
		  "INSERT INTO lost VALUES (?,?) ON CONFLICT (source) DO UPDATE SET"
		  " count = count + excluded.count" },
		{ "SELECT ivm_end(from_end), ivm_end(to_end), vector, irq_vector, rung, accepted,"
		  " posted, delivered, coalesced, masked, dropped, unfinished FROM counts",
		  "INSERT INTO counts VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
		  " ON CONFLICT (from_end, vector) DO UPDATE SET rung = rung + excluded.rung,"
		  " accepted = accepted + excluded.accepted, posted = posted + excluded.posted,"
		  " delivered = delivered + excluded.delivered,"
		  " coalesced = coalesced + excluded.coalesced, masked = masked + excluded.masked,"
		  " dropped = dropped + excluded.dropped,"
		  " unfinished = unfinished + excluded.unfinished" },
		{ "SELECT ivm_end(\"end\"), ring_err_ns, isr_err_ns FROM stamp_bounds",
		  "INSERT INTO stamp_bounds VALUES (?,?,?) ON CONFLICT (\"end\") DO UPDATE SET"
		  " ring_err_ns = max(ifnull(ring_err_ns, excluded.ring_err_ns),"
		  " ifnull(excluded.ring_err_ns, ring_err_ns)),"
		  " isr_err_ns = max(ifnull(isr_err_ns, excluded.isr_err_ns),"
		  " ifnull(excluded.isr_err_ns, isr_err_ns))" },
		{ "SELECT ivm_vm(vm), key, value FROM environment WHERE vm",
		  "INSERT OR IGNORE INTO environment VALUES (?,?,?)" },
		{ "SELECT vm, key, value FROM environment WHERE NOT vm",
		  "INSERT OR IGNORE INTO environment VALUES (?,?,?)" },
		{ "SELECT ivm_end(end_id), link_id FROM connections",
		  "INSERT OR REPLACE INTO connections VALUES (?,?)" },
		{ "SELECT mode, link, ivm_vm(vm), hop, ns FROM guest_kernel",
		  "INSERT INTO guest_kernel (mode, link, vm, hop, ns) VALUES (?,?,?,?,?)" },
		{ "SELECT key, value FROM meta WHERE key NOT IN ('duration_ns', 'block_ns',"
		  " 'keep', 'kept', 'not_kept', 'context')",
		  "INSERT OR IGNORE INTO meta VALUES (?,?)" },
	};
	unsigned int i;
	int err = 0;

	sqlite3_create_function(run->report->db, "ivm_vm", 1, SQLITE_UTF8, run, sql_vm, NULL,
				NULL);
	sqlite3_create_function(run->report->db, "ivm_end", 1, SQLITE_UTF8, run, sql_end, NULL,
				NULL);
	for (i = 0; i < G_N_ELEMENTS(tables) && !err; i++)
		err = copy_table(run, tables[i].select, tables[i].insert);
	return err ? err : copy_samples(run);
}

/* ---- journeys ---- */

/* Where a run has no phases its name tells it from the others */
static void mark_phases(struct run *run)
{
	const GArray *phases = ivm_breakdown_phases(run->report->breakdown);
	g_autofree char *name = g_path_get_basename(run->path);
	struct merge *m = run->merge;
	guint i;

	for (i = 0; i < phases->len; i++) {
		const struct ivm_phase_info *p = &g_array_index(phases, struct ivm_phase_info, i);
		uint64_t start_ns = i ? p->start_ns : meta_u64(run, "start_ns");

		if (!ivm_recording_mark(m->recording, i ? p->name : name,
					start_ns + (uint64_t)run->shift_ns))
			m->phases++;
		else
			ivm_warn("%s: too many phases: '%s' belongs to the one before it",
				 run->path, i ? p->name : name);
		run->phase_of[i] = m->phases;
	}
}

static uint32_t end_of(void *arg, uint32_t end)
{
	struct run *run = arg;

	return GPOINTER_TO_UINT(g_hash_table_lookup(run->ends, GUINT_TO_POINTER(end)));
}

static void move(struct run *run, struct ivm_journey *j, sqlite3_stmt *more)
{
	int i;

	for (i = 0; i < IVM_POINTS; i++)
		if (j->t_ns[i])
			j->t_ns[i] += (uint64_t)run->shift_ns;
	j->id += run->first_id;
	j->from_end = end_of(run, j->from_end);
	j->to_end = end_of(run, j->to_end);
	j->seq = (uint64_t)sqlite3_column_int64(more, 0);
	j->into = (uint64_t)sqlite3_column_int64(more, 1);
	if (j->into)
		j->into += run->first_id;
}

static int add_each(struct run *run, struct ivm_cursor *cursor, sqlite3_stmt *more)
{
	struct merge *m = run->merge;
	struct ivm_journey j;
	int err;

	while ((err = ivm_cursor_next(cursor, &j)) > 0) {
		if (sqlite3_step(more) != SQLITE_ROW)
			return -EBADMSG;
		move(run, &j, more);
		m->journeys = MAX(m->journeys, j.id);
		err = ivm_recording_add_merged(m->recording, &j);
		if (err)
			return ivm_error(err, "cannot write %s", m->output);
	}
	return err;
}

/* What is in the file of each journey */
static int add_rows(struct run *run)
{
	sqlite3_stmt *more = NULL;
	struct ivm_cursor *cursor;
	int err;

	err = ivm_cursor_open(run->report->db, &cursor);
	if (err)
		return err;
	/* What reports have no use for */
	if (sqlite3_prepare_v2(run->report->db, "SELECT seq, coalesced_into FROM journeys"
			       " ORDER BY id", -1, &more, NULL) != SQLITE_OK)
		err = -EBADMSG;
	if (!err)
		err = add_each(run, cursor, more);
	sqlite3_finalize(more);
	ivm_cursor_close(cursor);
	return err;
}

/* Kept or not: what all of them did */
static int add_journeys(struct run *run)
{
	const struct ivm_summary_map map = {
		.end_of = end_of, .arg = run, .phase_of = run->phase_of, .shift_ns = run->shift_ns,
	};
	struct merge *m = run->merge;
	const char *keep = ivm_report_meta(run->report, "keep");
	int err;

	err = ivm_recording_merge(m->recording, ivm_breakdown_summary(run->report->breakdown),
				  &map);
	if (!err)
		err = add_rows(run);
	if (meta_u64(run, "not_kept"))
		ivm_recording_left_out(m->recording, keep ? keep : "mixed",
				       meta_u64(run, "not_kept"));
	return err == -EBADMSG ? damaged(run) : err;
}

/* What rings from another host led to: they are numbered like journeys */
static int copy_arrivals(struct run *run)
{
	g_autofree char *select = g_strdup_printf(
		"SELECT id + %" PRIu64 ", ivm_end(to_end), vector, seq, outcome, recv + %" PRId64
		", \"accept\" + %" PRId64 ", end + %" PRId64 " FROM arrivals", run->first_id,
		run->shift_ns, run->shift_ns, run->shift_ns);
	int err = copy_table(run, select, "INSERT INTO arrivals VALUES (?,?,?,?,?,?,?,?)");

	run->merge->journeys = MAX(run->merge->journeys, (uint64_t)
				   largest_id(run, "SELECT max(id) FROM arrivals"));
	return err;
}

/* ---- runs ---- */

static void compare_facts(struct run *run)
{
	struct merge *m = run->merge;
	g_autoptr(GPtrArray) changes = NULL;

	if (!m->facts) {
		m->facts = g_ptr_array_ref(run->report->facts);
		return;
	}
	changes = ivm_facts_compare(m->facts, run->report->facts);
	if (!changes->len)
		return;
	ivm_warn("%s was recorded in another environment than the first run:", run->path);
	ivm_facts_print_changes(changes, stderr);
}

/* Behind the run before; blocks of time must stay whole */
static int place_run(struct run *run)
{
	uint64_t start_ns = meta_u64(run, "start_ns"), duration_ns = meta_u64(run, "duration_ns");
	const struct ivm_summary *s = ivm_breakdown_summary(run->report->breakdown);
	struct merge *m = run->merge;
	int64_t block_ns, over_ns;

	if (start_ns > MAX_TIME_NS || duration_ns > MAX_TIME_NS || m->end_ns > MAX_TIME_NS ||
	    ivm_summary_block_ns(s) > MAX_TIME_NS)
		return damaged(run);
	block_ns = (int64_t)ivm_summary_block_ns(s);
	if (m->end_ns) {
		run->shift_ns = (int64_t)(m->end_ns + GAP_NS) - (int64_t)start_ns;
		over_ns = run->shift_ns % block_ns;
		run->shift_ns += over_ns > 0 ? block_ns - over_ns : -over_ns;
	}
	m->end_ns = start_ns + (uint64_t)run->shift_ns + duration_ns;
	m->duration_ns += duration_ns;
	return 0;
}

static int add_run(struct run *run)
{
	struct merge *m = run->merge;
	int err;

	compare_facts(run);
	run->first_id = m->journeys;
	err = place_run(run);
	if (!err)
		err = map_vms(run);
	if (!err)
		err = map_ends(run);
	if (!err)
		err = copy_tables(run);
	if (err)
		return err;
	mark_phases(run);
	err = add_journeys(run);
	return err ? err : copy_arrivals(run);
}

static int merge_one(struct merge *m, const char *path)
{
	struct run run = { .merge = m, .path = path };
	int err = ivm_report_open(path, false, &run.report);

	if (err)
		return err;
	run.vms = g_hash_table_new(NULL, NULL);
	run.ends = g_hash_table_new(NULL, NULL);
	err = add_run(&run);
	g_hash_table_destroy(run.vms);
	g_hash_table_destroy(run.ends);
	ivm_report_close(run.report);
	return err;
}

/* What a guest said of one direction in each run it says of all; samples go along */
static int pool_guests(struct merge *m)
{
	static const char sql[] =
		"UPDATE guest_rtt SET guest = (SELECT min(b.id) FROM guests AS a JOIN guests AS b"
		" ON b.mode = a.mode AND b.link IS a.link AND b.from_end = a.from_end"
		" AND b.vector = a.vector WHERE a.id = guest)"
		" WHERE guest IN (SELECT id FROM guests WHERE from_end IS NOT NULL);"
		"UPDATE guests SET (sent, handled, rtt_count) = (SELECT sum(sent), sum(handled),"
		" sum(rtt_count) FROM guests AS g WHERE g.mode = guests.mode"
		" AND g.link IS guests.link AND g.from_end = guests.from_end"
		" AND g.vector = guests.vector) WHERE id IN (SELECT min(id) FROM guests"
		" WHERE from_end IS NOT NULL GROUP BY mode, link, from_end, vector);"
		"DELETE FROM guests WHERE from_end IS NOT NULL AND id NOT IN (SELECT min(id)"
		" FROM guests GROUP BY mode, link, from_end, vector);";
	sqlite3 *out = ivm_recording_db(m->recording);

	if (sqlite3_exec(out, sql, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	return ivm_fail("cannot write %s: %s", m->output, sqlite3_errmsg(out));
}

static int merge(struct merge *m, char **paths)
{
	int i, err;

	err = ivm_recording_create(m->output, &m->recording);
	if (err)
		return ivm_error(err, "cannot create %s", m->output);
	for (i = 0; paths[i]; i++) {
		err = merge_one(m, paths[i]);
		if (err)
			return err;
	}
	err = pool_guests(m);
	if (err)
		return err;
	err = ivm_recording_set_u64(m->recording, "duration_ns", m->duration_ns);
	if (!err)
		err = ivm_recording_set_u64(m->recording, "merged", (uint64_t)i);
	if (!err)
		err = ivm_recording_finish(m->recording);
	return err ? ivm_error(err, "cannot write %s", m->output) : 0;
}

static int run_merge(int argc, char **argv)
{
	char *output = NULL;
	const GOptionEntry entries[] = {
		{ "output", 'o', 0, G_OPTION_ARG_FILENAME, &output,
		  "Recording to write (default: " IVM_DEFAULT_RECORDING ")", "FILE" },
		{ 0 }
	};
	const struct ivm_options options = {
		.usage = "RUN...",
		.summary = "Pool several recordings into one, whose counts and times are those of "
			   "all.",
		.entries = entries,
		.max_operands = MAX_RUNS,
	};
	struct ivm_operands operands = { 0 };
	struct merge m = {
		.vms = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
		.ends = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
	};
	int ret = ivm_options_parse(&options, argc, argv, &operands);

	m.output = output ? output : IVM_DEFAULT_RECORDING;
	if (!ret && operands.count < 2)
		ret = ivm_fail("which recordings? name two or more");
	if (!ret)
		ret = merge(&m, operands.args);
	ivm_recording_close(m.recording);
	g_hash_table_destroy(m.vms);
	g_hash_table_destroy(m.ends);
	if (m.facts)
		g_ptr_array_unref(m.facts);
	ivm_operands_clear(&operands);
	g_free(output);
	return ret;
}

const struct ivm_cmd ivm_cmd_merge = {
	.name = "merge",
	.summary = "pool several recordings into one",
	.run = run_merge,
};
