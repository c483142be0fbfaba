// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Recordings: writing and opening SQLite files, as docs/recording.md has them.
 *
 * The writer fills NAME.tmp-XXXXXX beside the final name and renames it when
 * all is committed.  It keeps the first error: whatever is added after it is
 * refused with the same error, so that callers may check once.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../reports/cursor.h"
#include "clock.h"
#include "journey_table.h"
#include "recording.h"
#include "stamp_table.h"
#include "summary_file.h"

/* Rows a transaction holds at the most: bounds what a crash takes along */
#define TRANSACTION_ROWS	16384

/* All tables but journeys and stamps, whose columns their own files name */
static const char schema[] =
	"CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
	"CREATE TABLE vms (id INTEGER PRIMARY KEY, name TEXT NOT NULL, pid INTEGER NOT NULL,"
	" start_ticks INTEGER NOT NULL);"
	"CREATE TABLE vcpus (vm INTEGER NOT NULL, vcpu_id INTEGER NOT NULL, tid INTEGER NOT NULL,"
	" PRIMARY KEY (vm, vcpu_id)) WITHOUT ROWID;"
	"CREATE TABLE ends (id INTEGER PRIMARY KEY, vm INTEGER NOT NULL, peer INTEGER,"
	" link TEXT NOT NULL, side TEXT NOT NULL, configured TEXT NOT NULL,"
	" vectors INTEGER NOT NULL, shmem_bytes INTEGER NOT NULL, kvm INTEGER NOT NULL,"
	" observed_from_ns INTEGER NOT NULL);"
	"CREATE TABLE connections (end_id INTEGER PRIMARY KEY, link_id TEXT NOT NULL);"
	"CREATE TABLE arrivals (id INTEGER PRIMARY KEY, to_end INTEGER NOT NULL,"
	" vector INTEGER NOT NULL, seq INTEGER, outcome TEXT NOT NULL, recv INTEGER,"
	" \"accept\" INTEGER NOT NULL, end INTEGER);"
	"CREATE TABLE hooks (name TEXT PRIMARY KEY, state TEXT NOT NULL, fired INTEGER NOT NULL,"
	" missed INTEGER NOT NULL, run_ns INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE lost (source TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE counts (from_end INTEGER NOT NULL, to_end INTEGER, vector INTEGER NOT NULL,"
	" irq_vector INTEGER, rung INTEGER NOT NULL, accepted INTEGER NOT NULL,"
	" posted INTEGER NOT NULL, delivered INTEGER NOT NULL, coalesced INTEGER NOT NULL,"
	" masked INTEGER NOT NULL, dropped INTEGER NOT NULL, unfinished INTEGER NOT NULL,"
	" PRIMARY KEY (from_end, vector)) WITHOUT ROWID;"
	"CREATE TABLE guests (id INTEGER PRIMARY KEY, mode TEXT NOT NULL, link TEXT,"
	" from_end INTEGER, from_vm INTEGER, vector INTEGER NOT NULL, sent INTEGER NOT NULL,"
	" handled INTEGER NOT NULL, rtt_count INTEGER);"
	"CREATE TABLE guest_rtt (guest INTEGER NOT NULL, rtt_ns INTEGER NOT NULL);"
	"CREATE INDEX guest_rtt_by_guest ON guest_rtt (guest);"
	"CREATE TABLE guest_kernel (mode TEXT NOT NULL, link TEXT NOT NULL, vm INTEGER NOT NULL,"
	" hop TEXT NOT NULL, ns INTEGER NOT NULL);"
	"CREATE TABLE baselines (id INTEGER PRIMARY KEY, device TEXT NOT NULL,"
	" ioeventfd INTEGER NOT NULL, rtt_count INTEGER NOT NULL);"
	"CREATE TABLE baseline_rtt (baseline INTEGER NOT NULL, rtt_ns INTEGER NOT NULL);"
	"CREATE INDEX baseline_rtt_by_baseline ON baseline_rtt (baseline);"
	"CREATE TABLE stamp_bounds (\"end\" INTEGER PRIMARY KEY, ring_err_ns INTEGER,"
	" isr_err_ns INTEGER);"
	"CREATE TABLE own_cost (mode TEXT PRIMARY KEY, blocks INTEGER NOT NULL,"
	" rtt_ns REAL NOT NULL, effect REAL NOT NULL, effect_low REAL NOT NULL,"
	" effect_high REAL NOT NULL, probed_journeys INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE probe_cost (mode TEXT NOT NULL, hook TEXT NOT NULL, runs INTEGER NOT NULL,"
	" run_ns INTEGER NOT NULL, PRIMARY KEY (mode, hook)) WITHOUT ROWID;"
	"CREATE TABLE environment (vm INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,"
	" PRIMARY KEY (vm, key)) WITHOUT ROWID;"
	"CREATE TABLE slow (journey INTEGER PRIMARY KEY, from_tid INTEGER, from_pid INTEGER,"
	" to_tid INTEGER, to_pid INTEGER, complete INTEGER NOT NULL);"
	"CREATE TABLE intervals (id INTEGER PRIMARY KEY, journey INTEGER NOT NULL,"
	" kind TEXT NOT NULL, tid INTEGER NOT NULL, begin_ns INTEGER NOT NULL,"
	" end_ns INTEGER NOT NULL, wake_ns INTEGER, cpu INTEGER NOT NULL,"
	" to_cpu INTEGER NOT NULL, state TEXT, number INTEGER, fd INTEGER, fd_name TEXT,"
	" next_tid INTEGER, next TEXT, last_tid INTEGER, last TEXT, waker_tid INTEGER,"
	" waker TEXT);"
	"CREATE TABLE profile_samples (id INTEGER PRIMARY KEY, journey INTEGER NOT NULL,"
	" mode TEXT NOT NULL, from_end INTEGER NOT NULL, to_end INTEGER,"
	" vector INTEGER NOT NULL, from_point TEXT NOT NULL, to_point TEXT NOT NULL,"
	" thread TEXT NOT NULL, tid INTEGER NOT NULL, t_ns INTEGER NOT NULL,"
	" stack INTEGER NOT NULL);"
	"CREATE TABLE profile_stacks (stack INTEGER PRIMARY KEY, frames TEXT NOT NULL);";

struct ivm_recording {
	char *path;		/* final name */
	char *tmp_path;
	sqlite3 *db;
	sqlite3_stmt *insert_journeys;
	struct ivm_journey_table journeys;	/* not in the file yet */
	sqlite3_stmt *insert_stamps;
	struct ivm_stamp_table stamps;		/* likewise */
	sqlite3_stmt *set_fate;
	sqlite3_stmt *insert_sample;		/* prepared when first used */
	sqlite3_stmt *set_point[IVM_POINTS];	/* prepared when first used */
	unsigned int rows;	/* of the open transaction */
	struct ivm_keep keep;
	bool selective;			/* not every journey is kept */
	struct ivm_summary *summary;
	bool points_added;		/* that the summary does not know of */
	sqlite3_stmt *page_count;
	uint64_t page_bytes;
	uint64_t second;		/* the one of which @in_second were kept */
	uint64_t in_second;
	uint64_t kept, not_kept;
	char *left_out_by;		/* of the recordings that were merged; NULL: none */
	bool full;			/* as large as it may become */
	int err;		/* the first one; sticks */
	bool finished;
};

/* ---- errors ---- */

static int errno_of(sqlite3 *db, int rc)
{
	int system = db ? sqlite3_system_errno(db) : 0;

	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	case SQLITE_BUSY:
		return -EBUSY;
	}
	return system ? -system : -EIO;
}

static int keep_error(struct ivm_recording *r, int rc)
{
	if (!r->err)
		r->err = errno_of(r->db, rc);
	return r->err;
}

static int execute(struct ivm_recording *r, const char *sql)
{
	if (r->err)
		return r->err;
	return keep_error(r, sqlite3_exec(r->db, sql, NULL, NULL, NULL));
}

/* ---- creating ---- */

/* Something that must not be renamed over is better refused before the work */
static int check_target(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return S_ISREG(st.st_mode) ? 0 : -EEXIST;
}

/* A symbolic link stays one: the file it points to is replaced */
static char *resolve(const char *path)
{
	char *real = realpath(path, NULL);
	char *copy = g_strdup(real ? real : path);

	free(real);
	return copy;
}

static int create_tmp(struct ivm_recording *r)
{
	mode_t mask = umask(0);
	int fd, err = 0;

	umask(mask);
	r->tmp_path = g_strdup_printf("%s.tmp-XXXXXX", r->path);
	fd = mkstemp(r->tmp_path);
	if (fd < 0) {
		err = -errno;
		g_clear_pointer(&r->tmp_path, g_free);
		return err;
	}
	if (fchmod(fd, 0666 & ~mask))
		err = -errno;
	close(fd);
	return err;
}

static int create_schema(struct ivm_recording *r)
{
	g_autoptr(GString) sql = g_string_new(NULL);

	/* Nobody sees the file before it is whole, so it is synced once, at the end */
	g_string_append(sql, "PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF;"
			     "PRAGMA locking_mode = EXCLUSIVE; PRAGMA encoding = 'UTF-8';");
	g_string_append_printf(sql, "PRAGMA application_id = %d; PRAGMA user_version = %d; BEGIN;",
			       IVM_RECORDING_APPLICATION_ID, IVM_RECORDING_VERSION);
	g_string_append(sql, schema);
	g_string_append(sql, ivm_summary_schema);
	g_string_append_printf(sql, "CREATE TABLE stamps (id INTEGER PRIMARY KEY, %s);",
			       ivm_stamp_table_columns);
	g_string_append_printf(sql, "CREATE TABLE journeys (%s);", ivm_journey_table_columns());
	return execute(r, sql->str);
}

/* A statement that is there for the whole recording; after an error there is none */
static int prepare(struct ivm_recording *r, const char *sql, sqlite3_stmt **stmt)
{
	if (r->err)
		return r->err;
	return keep_error(r, sqlite3_prepare_v3(r->db, sql, -1, SQLITE_PREPARE_PERSISTENT, stmt,
						NULL));
}

static int prepare_inserts(struct ivm_recording *r)
{
	ivm_journey_table_init(&r->journeys);
	ivm_stamp_table_init(&r->stamps);
	if (r->err || keep_error(r, ivm_row_table_offer(r->db, &r->journeys.base)) ||
	    keep_error(r, ivm_row_table_offer(r->db, &r->stamps.base)))
		return r->err;
	prepare(r, "INSERT INTO journeys SELECT * FROM " IVM_JOURNEY_TABLE, &r->insert_journeys);
	prepare(r, "INSERT INTO stamps (" IVM_STAMP_TABLE_NAMES ") SELECT * FROM " IVM_STAMP_TABLE,
		&r->insert_stamps);
	return prepare(r, "UPDATE journeys SET outcome = ?, coalesced_into = NULL WHERE id = ?",
		       &r->set_fate);
}

/**
 * ivm_recording_create() - start a recording
 * @path: the name it shall have when finished
 * @recording: set to the recording; free with ivm_recording_close()
 *
 * Return: 0; -EISDIR, -EEXIST if @path is something else than a file; -errno.
 */
int ivm_recording_create(const char *path, struct ivm_recording **recording)
{
	struct ivm_recording *r;
	int err;

	err = check_target(path);
	if (err)
		return err;
	r = g_new0(struct ivm_recording, 1);
	r->path = resolve(path);
	r->summary = ivm_summary_new();
	err = create_tmp(r);
	if (!err)
		/* One thread: mutexes took a sixth of the time */
		err = keep_error(r, sqlite3_open_v2(r->tmp_path, &r->db, SQLITE_OPEN_READWRITE |
						    SQLITE_OPEN_NOMUTEX, NULL));
	if (!err) {
		create_schema(r);
		err = prepare_inserts(r);
	}
	if (err) {
		ivm_recording_close(r);
		return err;
	}
	*recording = r;
	return 0;
}

/* ---- adding ---- */

/* Rows were added: bounds the transaction */
static int count_rows(struct ivm_recording *r, unsigned int rows)
{
	r->rows += rows;
	if (r->rows + IVM_ROW_TABLE_ROWS <= TRANSACTION_ROWS)
		return 0;
	r->rows = 0;
	return execute(r, "COMMIT; BEGIN");
}

static void bind_optional(sqlite3_stmt *stmt, int column, uint64_t value)
{
	if (value)
		sqlite3_bind_int64(stmt, column, (sqlite3_int64)value);
	else
		sqlite3_bind_null(stmt, column);
}

/* 'i' uint64_t, 'o' uint64_t with 0 for NULL, 'd' double, 't' text or NULL */
static void bind_values(sqlite3_stmt *stmt, const char *types, va_list ap)
{
	int i;

	for (i = 0; types[i]; i++) {
		if (types[i] == 't')
			sqlite3_bind_text(stmt, i + 1, va_arg(ap, const char *), -1,
					  SQLITE_TRANSIENT);
		else if (types[i] == 'd')
			sqlite3_bind_double(stmt, i + 1, va_arg(ap, double));
		else if (types[i] == 'o')
			bind_optional(stmt, i + 1, va_arg(ap, uint64_t));
		else
			sqlite3_bind_int64(stmt, i + 1, va_arg(ap, sqlite3_int64));
	}
}

/* For the small tables, where preparing each time costs nothing that matters */
static int insert(struct ivm_recording *r, const char *sql, const char *types, ...)
{
	sqlite3_stmt *stmt = NULL;
	va_list ap;
	int rc;

	if (r->err)
		return r->err;
	rc = sqlite3_prepare_v2(r->db, sql, -1, &stmt, NULL);
	if (rc == SQLITE_OK) {
		va_start(ap, types);
		bind_values(stmt, types, ap);
		va_end(ap);
		rc = sqlite3_step(stmt);
	}
	keep_error(r, rc);
	sqlite3_finalize(stmt);
	return r->err ? r->err : count_rows(r, 1);
}

/**
 * ivm_recording_set() - a fact about the recording as a whole
 * @r: the recording
 * @key: see docs/recording.md; a second value replaces the first
 * @value: text, NULL for unknown
 *
 * Return: 0 or -errno, this one's or the first before it.
 */
int ivm_recording_set(struct ivm_recording *r, const char *key, const char *value)
{
	return insert(r, "INSERT OR REPLACE INTO meta VALUES (?,?)", "tt", key, value);
}

/* The same for a number */
int ivm_recording_set_u64(struct ivm_recording *r, const char *key, uint64_t value)
{
	return insert(r, "INSERT OR REPLACE INTO meta VALUES (?,?)", "ti", key, value);
}

static const char *configured_name(uint32_t mode)
{
	switch (mode) {
	case IVM_MODE_QEMU:
		return "qemu";
	case IVM_MODE_IRQFD:
		return "irqfd";
	case IVM_MODE_DIRECT:
		return "direct";
	case IVM_MODE_AUTO:
		return "auto";
	}
	return "unknown";
}

static int add_end(struct ivm_recording *r, const struct ivm_end *end)
{
	const struct ivm_linkpage *page = &end->page;
	g_autofree char *name = g_strndup(page->name, sizeof(page->name));
	g_autofree char *link_id = NULL;

	if (page->link_id) {
		link_id = g_strdup_printf("%016" PRIx64, page->link_id);
		insert(r, "INSERT OR REPLACE INTO connections VALUES (?,?)", "it",
		       (uint64_t)end->id, link_id);
	}
	return insert(r, "INSERT OR REPLACE INTO ends VALUES (?,?,?,?,?,?,?,?,?,?)", "iiotttiiii",
		      (uint64_t)end->id, (uint64_t)end->vm->id,
		      (uint64_t)(end->peer ? end->peer->id : 0), name,
		      page->side == IVM_SIDE_SERVER ? "server" : "client",
		      end->kind == IVM_END_LINK ? configured_name(page->mode_configured) :
		      end->kind == IVM_END_IVSHMEM ? "ivshmem" : "foreign",
		      (uint64_t)page->vectors,
		      page->shmem_bytes, (uint64_t)(page->accel == IVM_ACCEL_KVM),
		      end->observed_from_ns);
}

/**
 * ivm_recording_add_topology() - VMs, vCPUs and link ends
 * @r: the recording
 * @t: as found so far; a later call replaces rows of equal numbers
 *
 * Return: 0 or -errno, this one's or the first before it.
 */
int ivm_recording_add_topology(struct ivm_recording *r, const struct ivm_topology *t)
{
	unsigned int i;

	for (i = 0; i < t->vms->len; i++) {
		const struct ivm_vm *vm = g_ptr_array_index(t->vms, i);

		insert(r, "INSERT OR REPLACE INTO vms VALUES (?,?,?,?)", "itii", (uint64_t)vm->id,
		       vm->name, (uint64_t)vm->tgid, vm->start_ticks);
	}
	for (i = 0; i < t->vcpus->len; i++) {
		const struct ivm_vcpu *vcpu = g_ptr_array_index(t->vcpus, i);

		insert(r, "INSERT OR REPLACE INTO vcpus VALUES (?,?,?)", "iii",
		       (uint64_t)vcpu->vm->id, (uint64_t)vcpu->vcpu_id, (uint64_t)vcpu->tid);
	}
	for (i = 0; i < t->ends->len; i++)
		add_end(r, g_ptr_array_index(t->ends, i));
	return r->err;
}

/* @state as in the report: tracepoint, tp_btf, raw_tp, fentry, kprobe, absent, silent */
int ivm_recording_add_hook(struct ivm_recording *r, const char *name, const char *state,
			   uint64_t fired, uint64_t missed, uint64_t run_ns)
{
	return insert(r, "INSERT OR REPLACE INTO hooks VALUES (?,?,?,?,?)", "ttiii", name, state,
		      fired, missed, run_ns);
}

/* Of a VM, or of the host if @vm is 0; a second value replaces the first */
int ivm_recording_add_fact(struct ivm_recording *r, uint32_t vm, const char *key,
			   const char *value)
{
	return insert(r, "INSERT OR REPLACE INTO environment VALUES (?,?,?)", "itt", (uint64_t)vm,
		      key, value);
}

/* Counts of one source add up; sources are listed in docs/recording.md */
int ivm_recording_add_lost(struct ivm_recording *r, const char *source, uint64_t count)
{
	return insert(r, "INSERT INTO lost VALUES (?,?)"
			 " ON CONFLICT (source) DO UPDATE SET count = count + excluded.count",
		      "ti", source, count);
}

static uint64_t file_bytes(struct ivm_recording *r)
{
	uint64_t pages = 0;

	if (sqlite3_step(r->page_count) == SQLITE_ROW)
		pages = (uint64_t)sqlite3_column_int64(r->page_count, 0);
	sqlite3_reset(r->page_count);
	return pages * r->page_bytes;
}

/* Moves all rows of a table in memory to the file */
static int write_rows(struct ivm_recording *r, struct ivm_row_table *table,
		      sqlite3_stmt *insert_rows)
{
	unsigned int rows = table->rows;

	if (r->err || !rows)
		return r->err;
	keep_error(r, sqlite3_step(insert_rows));
	sqlite3_reset(insert_rows);
	table->rows = 0;
	return r->err ? r->err : count_rows(r, rows);
}

static int write_journeys(struct ivm_recording *r)
{
	int err = write_rows(r, &r->journeys.base, r->insert_journeys);

	if (!err && r->keep.max_bytes)
		r->full = file_bytes(r) >= r->keep.max_bytes;
	return err;
}

static int write_stamps(struct ivm_recording *r)
{
	return write_rows(r, &r->stamps.base, r->insert_stamps);
}

/**
 * ivm_recording_keep() - do not keep every journey
 * @r: the recording, before its first journey
 * @keep: which ones; copied
 *
 * Return: 0 or -errno.
 */
int ivm_recording_keep(struct ivm_recording *r, const struct ivm_keep *keep)
{
	sqlite3_stmt *stmt = NULL;

	if (keep->policy == IVM_KEEP_ALL && !keep->max_bytes)
		return 0;
	r->keep = *keep;
	r->selective = true;
	if (!r->err && !keep_error(r, sqlite3_prepare_v2(r->db, "PRAGMA page_size", -1, &stmt,
							  NULL)) &&
	    sqlite3_step(stmt) == SQLITE_ROW)
		r->page_bytes = (uint64_t)sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return r->err ? r->err : keep_error(r, sqlite3_prepare_v2(r->db, "PRAGMA page_count", -1,
								  &r->page_count, NULL));
}

/* May journeys be missing from this recording in the end? */
bool ivm_recording_is_selective(const struct ivm_recording *r)
{
	return r->selective;
}

static bool is_early_in_second(struct ivm_recording *r, const struct ivm_journey *j)
{
	uint64_t second = j->t_ns[IVM_P_DISPATCH] / IVM_NSEC_PER_SEC;

	/* Journeys end in another order than they began: no second begins twice */
	if (second > r->second) {
		r->second = second;
		r->in_second = 0;
	}
	return r->in_second++ < r->keep.per_s;
}

static bool is_kept(struct ivm_recording *r, const struct ivm_journey *j)
{
	bool is_tail = ivm_summary_add(r->summary, j);

	if (!r->selective)
		return true;
	if (r->full)
		return false;
	switch (r->keep.policy) {
	case IVM_KEEP_TAIL:
		return is_tail;
	case IVM_KEEP_RATE:
		return is_early_in_second(r, j);
	default:
		return true;
	}
}

static int check_journey(struct ivm_recording *r, const struct ivm_journey *j)
{
	if (!r->err && (j->mode >= IVM_MODES || j->configured >= IVM_MODES ||
			j->outcome >= IVM_OUTCOMES || j->outcome == IVM_O_PENDING))
		r->err = -EINVAL;
	return r->err;
}

static int add_row(struct ivm_recording *r, const struct ivm_journey *j)
{
	r->kept++;
	r->journeys.row[r->journeys.base.rows++] = *j;
	return r->journeys.base.rows < IVM_ROW_TABLE_ROWS ? 0 : write_journeys(r);
}

/**
 * ivm_recording_add_journey() - one journey that ended
 * @r: the recording
 * @j: its id must be new and its outcome decided
 *
 * Journeys reach the file together with later ones, and so do their errors.
 *
 * Return: 0; -EINVAL for a journey no rule allows; -errno, the first one so far.
 */
int ivm_recording_add_journey(struct ivm_recording *r, const struct ivm_journey *j)
{
	if (check_journey(r, j))
		return r->err;
	if (is_kept(r, j))
		return add_row(r, j);
	r->not_kept++;
	return 0;
}

/**
 * ivm_recording_add_merged() - one that is in a summary given to ivm_recording_merge()
 * @r: the recording
 * @j: as in ivm_recording_add_journey()
 *
 * Return: 0; -EINVAL for a journey no rule allows; -errno, the first one so far.
 */
int ivm_recording_add_merged(struct ivm_recording *r, const struct ivm_journey *j)
{
	return check_journey(r, j) ? r->err : add_row(r, j);
}

/**
 * ivm_recording_merge() - all journeys of another recording, kept or not, in numbers
 * @r: the recording
 * @from: the other one's summary
 * @map: what its numbers are in this one
 *
 * Return: 0; -EBADMSG if the summary contradicts itself; -errno, the first one so far.
 */
int ivm_recording_merge(struct ivm_recording *r, const struct ivm_summary *from,
			const struct ivm_summary_map *map)
{
	if (!r->err)
		r->err = ivm_summary_merge(r->summary, from, map);
	return r->err;
}

/**
 * ivm_recording_left_out() - journeys that another recording did not keep
 * @r: the recording that it was merged into
 * @keep: by which rule; of recordings of several rules it is 'mixed'
 * @journeys: how many
 */
void ivm_recording_left_out(struct ivm_recording *r, const char *keep, uint64_t journeys)
{
	r->not_kept += journeys;
	if (r->left_out_by && strcmp(r->left_out_by, keep))
		keep = "mixed";
	g_free(r->left_out_by);
	r->left_out_by = g_strdup(keep);
}

/* When the guest took it, or as near to that as this host shows */
static uint64_t end_of(const struct ivm_journey *j)
{
	if (j->outcome != IVM_O_DELIVERED)
		return 0;
	return j->t_ns[IVM_P_INJECT] ? j->t_ns[IVM_P_INJECT] : j->t_ns[IVM_P_EOI_STANDIN];
}

/**
 * ivm_recording_add_arrival() - an interrupt that a RING from another host led to
 * @r: the recording
 * @j: ended; @j->seq 0 if it is not known which RING
 *
 * Return: 0 or -errno, this one's or the first before it.
 */
int ivm_recording_add_arrival(struct ivm_recording *r, const struct ivm_journey *j)
{
	static const char *const outcomes[] = IVM_OUTCOME_NAMES;

	return insert(r, "INSERT INTO arrivals VALUES (?,?,?,?,?,?,?,?)", "iiiotoio", j->id,
		      (uint64_t)j->to_end, (uint64_t)j->vector, j->seq, outcomes[j->outcome],
		      j->t_ns[IVM_P_RECV], j->t_ns[IVM_P_ACCEPT], end_of(j));
}

/**
 * ivm_recording_mark() - a new phase of the recording begins
 * @r: the recording
 * @name: what reports call it
 * @t_ns: CLOCK_MONOTONIC; journeys rung from then on belong to it
 *
 * Return: 0; -EINVAL if @t_ns is before the last mark; -ENOSPC if there are
 * IVM_SUMMARY_PHASES already; neither harms the recording.
 */
int ivm_recording_mark(struct ivm_recording *r, const char *name, uint64_t t_ns)
{
	return ivm_summary_mark(r->summary, name, t_ns);
}

/* In the file, if it was kept at all */
static void set_outcome(struct ivm_recording *r, uint64_t journey, enum ivm_outcome outcome)
{
	static const char *const outcomes[] = IVM_OUTCOME_NAMES;

	if (r->err)
		return;
	sqlite3_bind_text(r->set_fate, 1, outcomes[outcome], -1, SQLITE_STATIC);
	sqlite3_bind_int64(r->set_fate, 2, (sqlite3_int64)journey);
	if (!keep_error(r, sqlite3_step(r->set_fate))) {
		sqlite3_reset(r->set_fate);
		count_rows(r, 1);
	}
}

/**
 * ivm_recording_set_fate() - coalesced journeys whose carrier was never delivered
 * @r: the recording
 * @into: the carrier's id
 * @outcome: what those added with IVM_J_EARLY are instead
 *
 * Return: 0 or -errno.
 */
int ivm_recording_set_fate(struct ivm_recording *r, uint64_t into, enum ivm_outcome outcome)
{
	g_autoptr(GArray) ids = ivm_summary_mend(r->summary, into, outcome);
	guint i;

	write_journeys(r);
	/* By their numbers: to look for all that have @into would take an index */
	for (i = 0; i < ids->len; i++)
		set_outcome(r, g_array_index(ids, uint64_t, i), outcome);
	return r->err;
}

/* One row for each (from_end, vector); a second one is an error */
int ivm_recording_add_counts(struct ivm_recording *r, const struct ivm_counts *c)
{
	return insert(r, "INSERT INTO counts VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", "ioioiiiiiiii",
		      (uint64_t)c->from_end, (uint64_t)c->to_end, (uint64_t)c->vector,
		      (uint64_t)c->irq_vector, c->rung, c->accepted, c->posted, c->delivered,
		      c->coalesced, c->masked, c->dropped, c->unfinished);
}

/**
 * ivm_recording_add_assembly() - what an assembler counted, and what did not fit
 * @r: the recording
 * @a: finished
 *
 * Return: 0 or -errno, this one's or the first before it.
 */
int ivm_recording_add_assembly(struct ivm_recording *r, const struct ivm_assemble *a)
{
	const struct ivm_assemble_stats *stats = ivm_assemble_stats(a);
	const GPtrArray *counts = ivm_assemble_counts(a);
	guint i;

	for (i = 0; i < counts->len; i++)
		ivm_recording_add_counts(r, g_ptr_array_index(counts, i));
	ivm_recording_add_lost(r, "late", stats->late);
	ivm_recording_add_lost(r, "stream_gaps", stats->stream_gaps);
	ivm_recording_add_lost(r, "unmatched", stats->unmatched);
	ivm_recording_add_lost(r, "before_start", stats->before_start);
	return ivm_recording_add_lost(r, "disordered", stats->disordered);
}

/**
 * ivm_recording_add_stamp() - one stamp, as a guest wrote it
 * @r: the recording
 * @stamp: stamps of one end in the order of its lane
 *
 * Return: 0 or -errno, this one's or the first before it.
 */
int ivm_recording_add_stamp(struct ivm_recording *r, const struct ivm_recorded_stamp *stamp)
{
	if (r->err)
		return r->err;
	r->stamps.row[r->stamps.base.rows++] = *stamp;
	return r->stamps.base.rows < IVM_ROW_TABLE_ROWS ? 0 : write_stamps(r);
}

static int prepare_point(struct ivm_recording *r, enum ivm_point point)
{
	g_autofree char *sql = g_strdup_printf("UPDATE journeys SET \"%s\" = ?1 WHERE id = ?2",
					       ivm_point_columns[point]);

	return prepare(r, sql, &r->set_point[point]);
}

/**
 * ivm_recording_set_point() - a point that was found out only afterwards
 * @r: the recording
 * @journey: id of one that was added
 * @point: which one
 * @t_ns: CLOCK_MONOTONIC
 *
 * Return: 0 or -errno, this one's or the first before it.
 */
int ivm_recording_set_point(struct ivm_recording *r, uint64_t journey, enum ivm_point point,
			    uint64_t t_ns)
{
	sqlite3_stmt *stmt;

	write_journeys(r);
	if (r->err || (!r->set_point[point] && prepare_point(r, point)))
		return r->err;
	r->points_added = true;
	stmt = r->set_point[point];
	sqlite3_bind_int64(stmt, 1, (sqlite3_int64)t_ns);
	sqlite3_bind_int64(stmt, 2, (sqlite3_int64)journey);
	if (keep_error(r, sqlite3_step(stmt)))
		return r->err;
	sqlite3_reset(stmt);
	return count_rows(r, 1);
}

/* How far an end's stamps may be off at the most; 0: none of that kind was used */
int ivm_recording_add_stamp_bounds(struct ivm_recording *r, uint32_t end, uint64_t ring_err_ns,
				   uint64_t isr_err_ns)
{
	return insert(r, "INSERT OR REPLACE INTO stamp_bounds VALUES (?,?,?)", "ioo",
		      (uint64_t)end, ring_err_ns, isr_err_ns);
}

sqlite3 *ivm_recording_db(struct ivm_recording *r)
{
	write_journeys(r);
	write_stamps(r);
	return r->db;
}

static int add_samples(struct ivm_recording *r, const char *sql, const uint64_t *ns,
		       uint64_t samples)
{
	sqlite3_int64 owner = sqlite3_last_insert_rowid(r->db);
	sqlite3_stmt *stmt = NULL;
	uint64_t i;

	if (r->err)
		return r->err;
	keep_error(r, sqlite3_prepare_v2(r->db, sql, -1, &stmt, NULL));
	for (i = 0; i < samples && !r->err; i++) {
		sqlite3_bind_int64(stmt, 1, owner);
		sqlite3_bind_int64(stmt, 2, (sqlite3_int64)ns[i]);
		if (!keep_error(r, sqlite3_step(stmt))) {
			sqlite3_reset(stmt);
			count_rows(r, 1);
		}
	}
	sqlite3_finalize(stmt);
	return r->err;
}

/**
 * ivm_recording_add_guest() - what a guest counted and timed by itself
 * @r: the recording
 * @g: one direction and vector of a link
 *
 * Return: 0 or -errno, this one's or the first before it.
 */
int ivm_recording_add_guest(struct ivm_recording *r, const struct ivm_guest_result *g)
{
	insert(r, "INSERT INTO guests (mode, link, from_end, from_vm, vector, sent, handled,"
		  " rtt_count) VALUES (?,?,?,?,?,?,?,?)", "ttooiiio",
	       g->mode, g->link, (uint64_t)g->from_end, (uint64_t)g->from_vm, (uint64_t)g->vector,
	       g->sent, g->handled, g->rtt_ns ? g->rtt_count : 0);
	return add_samples(r, "INSERT INTO guest_rtt VALUES (?,?)", g->rtt_ns,
			   g->rtt_ns ? g->rtt_samples : 0);
}

/**
 * ivm_recording_add_guest_kernel() - what the kernel of a guest added, by its own clock
 * @r: the recording
 * @g: mode, link and VM
 * @hop: "write..ring" or "isr..read"
 * @ns: samples
 * @samples: how many
 *
 * Return: 0 or -errno, this one's or the first before it.
 */
int ivm_recording_add_guest_kernel(struct ivm_recording *r, const struct ivm_guest_result *g,
				   const char *hop, const uint64_t *ns, uint64_t samples)
{
	uint64_t i;

	for (i = 0; i < samples; i++)
		insert(r, "INSERT INTO guest_kernel (mode, link, vm, hop, ns) VALUES (?,?,?,?,?)",
		       "ttiti", g->mode, g->link, (uint64_t)g->from_vm, hop, ns[i]);
	return r->err;
}

/**
 * ivm_recording_add_baseline() - round trips of the same traffic over another device
 * @r: the recording
 * @b: device, setting and samples
 *
 * Return: 0 or -errno, this one's or the first before it.
 */
int ivm_recording_add_baseline(struct ivm_recording *r, const struct ivm_baseline *b)
{
	insert(r, "INSERT INTO baselines (device, ioeventfd, rtt_count) VALUES (?,?,?)", "tii",
	       b->device, (uint64_t)b->ioeventfd, b->rtt_count);
	return add_samples(r, "INSERT INTO baseline_rtt VALUES (?,?)", b->rtt_ns,
			   b->rtt_ns ? b->rtt_samples : 0);
}

/**
 * ivm_recording_add_own_cost() - the observer effect in one mode
 * @r: the recording
 * @c: as measured; a mode is added once
 *
 * Return: 0 or -errno, this one's or the first before it.
 */
int ivm_recording_add_own_cost(struct ivm_recording *r, const struct ivm_own_cost *c)
{
	return insert(r, "INSERT INTO own_cost VALUES (?,?,?,?,?,?,?)", "tiddddi", c->mode,
		      (uint64_t)c->blocks, c->rtt_ns, c->effect.value, c->effect.low,
		      c->effect.high, c->probed_journeys);
}

/* How often a hook's program ran and how long that took, in the same blocks */
int ivm_recording_add_probe_cost(struct ivm_recording *r, const char *mode, const char *hook,
				 uint64_t runs, uint64_t run_ns)
{
	return insert(r, "INSERT INTO probe_cost VALUES (?,?,?,?)", "ttii", mode, hook, runs,
		      run_ns);
}

/* ---- what happened on the threads of the slowest journeys ---- */

/**
 * ivm_recording_add_slow() - a journey whose intervals follow
 * @r: the recording
 * @journey: its id
 * @actors: its threads
 * @complete: all intervals that it met follow
 *
 * Return: 0 or -errno, this one's or the first before it.
 */
int ivm_recording_add_slow(struct ivm_recording *r, uint64_t journey,
			   const struct ivm_actors *actors, bool complete)
{
	return insert(r, "INSERT INTO slow VALUES (?,?,?,?,?,?)", "iooooi", journey,
		      (uint64_t)actors->from_tid, (uint64_t)actors->from_pid,
		      (uint64_t)actors->to_tid, (uint64_t)actors->to_pid, (uint64_t)complete);
}

static const char *text_or_null(const char *text)
{
	return text[0] ? text : NULL;
}

/**
 * ivm_recording_add_interval() - what happened on a thread of a slow journey
 * @r: the recording
 * @journey: its id
 * @i: the interval
 * @fd_name: what its descriptor was, NULL if unknown
 *
 * Return: 0 or -errno, this one's or the first before it.
 */
int ivm_recording_add_interval(struct ivm_recording *r, uint64_t journey,
			       const struct ivm_interval *i, const char *fd_name)
{
	static const char *const kinds[] = IVM_CONTEXT_KIND_NAMES;
	static const char *const states[] = IVM_OFF_STATE_NAMES;
	bool off = i->kind == IVM_CTX_OFF_CPU;

	return insert(r, "INSERT INTO intervals (journey, kind, tid, begin_ns, end_ns, wake_ns,"
			 " cpu, to_cpu, state, number, fd, fd_name, next_tid, next, last_tid,"
			 " last, waker_tid, waker)"
			 " VALUES (?,?,?,?,?,?,?,?,?,?,NULLIF(?,-1),?,?,?,?,?,?,?)",
		      "itiiioiitiitototot", journey, kinds[i->kind], (uint64_t)i->tid,
		      i->begin_ns, i->end_ns, i->wake_ns, (uint64_t)i->cpu, (uint64_t)i->to_cpu,
		      off ? states[i->state] : NULL, i->number, (uint64_t)(int64_t)i->fd, fd_name,
		      (uint64_t)i->next_tid, text_or_null(i->next), (uint64_t)i->last_tid,
		      text_or_null(i->last), (uint64_t)i->waker_tid, text_or_null(i->waker));
}

/**
 * ivm_recording_add_sample() - a thread was sampled in a hop
 * @r: the recording
 * @s: the sample; its stack is added later
 *
 * Return: 0 or -errno, this one's or the first before it.
 */
int ivm_recording_add_sample(struct ivm_recording *r, const struct ivm_recorded_sample *s)
{
	static const char *const threads[] = IVM_SAMPLE_THREAD_NAMES;
	static const char *const points[] = IVM_POINT_NAMES;
	static const char *const modes[] = IVM_MODE_NAMES;
	const struct ivm_journey *j = s->journey;
	sqlite3_stmt *stmt;

	if (!r->err && !r->insert_sample)
		keep_error(r, sqlite3_prepare_v3(r->db, "INSERT INTO profile_samples VALUES"
						 " (NULL,?,?,?,?,?,?,?,?,?,?,?)", -1,
						 SQLITE_PREPARE_PERSISTENT,
						 &r->insert_sample, NULL));
	if (r->err)
		return r->err;
	stmt = r->insert_sample;
	sqlite3_bind_int64(stmt, 1, (sqlite3_int64)j->id);
	sqlite3_bind_text(stmt, 2, modes[j->mode], -1, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 3, j->from_end);
	bind_optional(stmt, 4, j->to_end);
	sqlite3_bind_int64(stmt, 5, j->vector);
	sqlite3_bind_text(stmt, 6, points[s->from], -1, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 7, points[s->to], -1, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 8, threads[s->thread], -1, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 9, s->tid);
	sqlite3_bind_int64(stmt, 10, (sqlite3_int64)s->t_ns);
	sqlite3_bind_int64(stmt, 11, s->stack);
	keep_error(r, sqlite3_step(stmt));
	sqlite3_reset(stmt);
	return r->err ? r->err : count_rows(r, 1);
}

/* @frames: names of functions, outermost first, as a JSON array */
int ivm_recording_add_stack(struct ivm_recording *r, uint32_t stack, const char *frames)
{
	return insert(r, "INSERT INTO profile_stacks VALUES (?,?)", "it", (uint64_t)stack, frames);
}

/* ---- the summary ---- */

static const char *keep_name(const struct ivm_recording *r, char *text, size_t bytes)
{
	const struct ivm_keep *keep = &r->keep;

	if (r->left_out_by)
		return r->left_out_by;
	if (keep->policy == IVM_KEEP_TAIL)
		return "tail";
	if (keep->policy == IVM_KEEP_ALL)
		return "all";
	g_snprintf(text, (gulong)bytes, "%" PRIu64 "/s", keep->per_s);
	return text;
}

/* Points that were found out later belong to hops that were measured without them */
static int summarize_again(struct ivm_recording *r)
{
	struct ivm_cursor *cursor;
	struct ivm_journey j;
	int ret;

	if (r->err || ivm_cursor_open(r->db, &cursor))
		return r->err ? r->err : (r->err = -EBADMSG);
	ivm_summary_restart(r->summary);
	while ((ret = ivm_cursor_next(cursor, &j)) > 0)
		ivm_summary_add(r->summary, &j);
	ivm_cursor_close(cursor);
	return r->err = ret;
}

static int write_summary(struct ivm_recording *r)
{
	char keep[32];

	if (r->not_kept) {
		ivm_recording_set(r, "keep", keep_name(r, keep, sizeof(keep)));
		ivm_recording_set_u64(r, "kept", r->kept);
		ivm_recording_set_u64(r, "not_kept", r->not_kept);
	}
	if (r->points_added)
		summarize_again(r);
	return r->err ? r->err : keep_error(r, ivm_summary_write(r->summary, r->db));
}

/* ---- finishing ---- */

static int sync_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd))
		err = -errno;
	close(fd);
	return err;
}

/* As perf does: the recording before this one is worth keeping */
static int take_name(struct ivm_recording *r)
{
	g_autofree char *old = g_strdup_printf("%s.old", r->path);

	int err;

	if (rename(r->path, old) && errno != ENOENT)
		return -errno;
	if (!rename(r->tmp_path, r->path))
		return 0;
	err = -errno;
	rename(old, r->path);
	return err;
}

static int close_db(struct ivm_recording *r)
{
	int i, rc;

	sqlite3_finalize(r->insert_journeys);
	sqlite3_finalize(r->insert_stamps);
	sqlite3_finalize(r->set_fate);
	sqlite3_finalize(r->insert_sample);
	r->insert_journeys = r->insert_stamps = r->set_fate = r->insert_sample = NULL;
	for (i = 0; i < IVM_POINTS; i++) {
		sqlite3_finalize(r->set_point[i]);
		r->set_point[i] = NULL;
	}
	sqlite3_finalize(r->page_count);
	r->page_count = NULL;
	rc = sqlite3_close(r->db);
	r->db = NULL;
	return errno_of(NULL, rc);
}

/**
 * ivm_recording_finish() - commit and give the file its name
 * @r: the recording; only ivm_recording_close() may follow
 *
 * Return: 0 or -errno, this one's or the first before it; then there is no
 * new file.
 */
int ivm_recording_finish(struct ivm_recording *r)
{
	write_journeys(r);
	write_stamps(r);
	write_summary(r);
	execute(r, "COMMIT");
	if (!r->err)
		r->err = close_db(r);
	if (!r->err)
		r->err = sync_file(r->tmp_path);
	if (!r->err)
		r->err = take_name(r);
	r->finished = !r->err;
	return r->err;
}

/* NULL-safe; a recording that was not finished leaves nothing behind */
void ivm_recording_close(struct ivm_recording *r)
{
	if (!r)
		return;
	close_db(r);
	if (r->tmp_path && !r->finished) {
		g_autofree char *journal = g_strdup_printf("%s-journal", r->tmp_path);

		unlink(r->tmp_path);
		unlink(journal);
	}
	ivm_summary_free(r->summary);
	g_free(r->left_out_by);
	g_free(r->tmp_path);
	g_free(r->path);
	g_free(r);
}

/* ---- opening ---- */

/* The first 100 bytes of any SQLite file, https://sqlite.org/fileformat.html */
#define HEADER_BYTES		100
#define HEADER_PAGE_BYTES	16
#define HEADER_PAGES		28
#define HEADER_USER_VERSION	60
#define HEADER_APPLICATION_ID	68

static uint32_t be32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int why_not(const char **why, const char *text)
{
	*why = text;
	return -EBADMSG;
}

static int check_header(const unsigned char *h, ssize_t bytes, off_t file_bytes, const char **why)
{
	uint64_t page_bytes;

	if (bytes == 0)
		return why_not(why, "the file is empty");
	if (memcmp(h, "SQLite format 3", MIN((size_t)bytes, 16)))
		return why_not(why, "not an ivmtrace recording");
	if (bytes < HEADER_BYTES)
		return why_not(why, "truncated: the header is incomplete");
	if (be32(h + HEADER_APPLICATION_ID) != IVM_RECORDING_APPLICATION_ID)
		return why_not(why, "an SQLite database, but not an ivmtrace recording");
	if (be32(h + HEADER_USER_VERSION) > IVM_RECORDING_VERSION)
		return why_not(why, "written by a newer ivmtrace; use that one to read it");
	if (be32(h + HEADER_USER_VERSION) < 1)
		return why_not(why, "damaged: it has no version");
	page_bytes = (uint64_t)h[HEADER_PAGE_BYTES] << 8 | h[HEADER_PAGE_BYTES + 1];
	if (page_bytes == 1)
		page_bytes = 65536;
	if ((uint64_t)file_bytes < page_bytes * be32(h + HEADER_PAGES))
		return why_not(why, "truncated: the file is shorter than its header says");
	return 0;
}

static int check_file(const char *path, const char **why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	unsigned char header[HEADER_BYTES];
	struct stat st;
	ssize_t bytes;
	int err;

	if (fd < 0) {
		err = -errno;
		*why = strerror(-err);
		return err;
	}
	if (fstat(fd, &st) || S_ISDIR(st.st_mode)) {
		err = -EISDIR;
		*why = "it is a directory";
	} else if (!S_ISREG(st.st_mode)) {
		err = why_not(why, "it is not a regular file");
	} else {
		bytes = pread(fd, header, sizeof(header), 0);
		err = bytes < 0 ? -errno : check_header(header, bytes, st.st_size, why);
		if (bytes < 0)
			*why = strerror(-err);
	}
	close(fd);
	return err;
}

/* Up to version 1 what stood for journeys that were not kept was in coarser buckets */
static int check_buckets(sqlite3 *db, const char **why)
{
	sqlite3_stmt *stmt;
	bool has;

	if (sqlite3_prepare_v2(db, "SELECT 1 FROM buckets LIMIT 1", -1, &stmt, NULL) != SQLITE_OK)
		return 0;
	has = sqlite3_step(stmt) == SQLITE_ROW;
	sqlite3_finalize(stmt);
	return has ? why_not(why, "not every journey was kept, by an older ivmtrace; use that one"
			     " to read it") : 0;
}

/* Every table and column a reader uses, so that it may take them for granted */
static int check_schema(sqlite3 *db, const char **why)
{
	static const char *const queries[] = {
		"SELECT key, value FROM meta",
		"SELECT id, name, pid FROM vms",
		"SELECT id, vm, peer, link, configured FROM ends",
		"SELECT name, state, fired, missed, run_ns FROM hooks",
		"SELECT source, count FROM lost",
		"SELECT from_end, to_end, vector, irq_vector, rung, accepted, posted, delivered,"
		" coalesced, masked, dropped, unfinished FROM counts",
		"SELECT id, mode, link, from_end, from_vm, vector, sent, handled, rtt_count"
		" FROM guests",
		"SELECT guest, rtt_ns FROM guest_rtt",
		"SELECT id, device, ioeventfd, rtt_count FROM baselines",
		"SELECT baseline, rtt_ns FROM baseline_rtt",
		"SELECT id, mode, configured, outcome, from_end, to_end, vector, irq_vector,"
		" from_vcpu, to_vcpu, cookie, approx, posted, disordered, ring, \"exit\", entry,"
		" eoi_standin FROM journeys",
	};
	sqlite3_stmt *stmt;
	unsigned int i;
	int rc;

	for (i = 0; i < G_N_ELEMENTS(queries); i++) {
		rc = sqlite3_prepare_v2(db, queries[i], -1, &stmt, NULL);
		sqlite3_finalize(stmt);
		if (rc != SQLITE_OK)
			return why_not(why, "damaged: a table is missing or unreadable");
	}
	return check_buckets(db, why);
}

/**
 * ivm_recording_open() - open a recording for reading
 * @path: the file
 * @db: set to the connection; close with sqlite3_close()
 * @why: set to an explanation on failure, valid until the next call
 *
 * Return: 0; -EBADMSG if it is no readable recording; -errno.
 */
int ivm_recording_open(const char *path, sqlite3 **db, const char **why)
{
	sqlite3 *opened = NULL;
	int err, rc;

	err = check_file(path, why);
	if (err)
		return err;
	/* One connection, one thread: half the time of a report went into mutexes */
	rc = sqlite3_open_v2(path, &opened, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
	err = errno_of(opened, rc);
	if (err)
		*why = strerror(-err);
	else
		err = check_schema(opened, why);
	if (err) {
		sqlite3_close(opened);
		return err;
	}
	*db = opened;
	return 0;
}
