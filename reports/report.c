// SPDX-License-Identifier: GPL-2.0-or-later
/* Everything a recording says but its journeys, and what is wrong with it */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "../tracer/error.h"
#include "../tracer/recording.h"
#include "report.h"

/* ---- reading tables ---- */

typedef gpointer (*read_row_fn)(sqlite3_stmt *stmt);

/* Names come from strangers: no control character reaches a terminal */
static char *text(sqlite3_stmt *stmt, int column)
{
	const char *raw = (const char *)sqlite3_column_text(stmt, column);
	char *s, *p;

	if (!raw)
		return NULL;
	s = g_utf8_make_valid(raw, -1);
	for (p = s; *p; p++)
		if (g_ascii_iscntrl(*p))
			*p = '?';
	return s;
}

/* Where the schema says NOT NULL a damaged file may still hold NULL */
static char *text_or_empty(sqlite3_stmt *stmt, int column)
{
	char *s = text(stmt, column);

	return s ? s : g_strdup("");
}

static uint64_t number(sqlite3_stmt *stmt, int column)
{
	return (uint64_t)sqlite3_column_int64(stmt, column);
}

static int read_table(sqlite3 *db, const char *sql, read_row_fn fn, GPtrArray *rows)
{
	sqlite3_stmt *stmt;
	int rc;

	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
		return -EBADMSG;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
		g_ptr_array_add(rows, fn(stmt));
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? 0 : -EBADMSG;
}

static gpointer read_hook(sqlite3_stmt *stmt)
{
	struct ivm_report_hook *h = g_new0(struct ivm_report_hook, 1);

	h->name = text_or_empty(stmt, 0);
	h->state = text_or_empty(stmt, 1);
	h->fired = number(stmt, 2);
	h->missed = number(stmt, 3);
	h->run_ns = number(stmt, 4);
	return h;
}

static void free_hook(gpointer p)
{
	struct ivm_report_hook *h = p;

	g_free(h->name);
	g_free(h->state);
	g_free(h);
}

static gpointer read_lost(sqlite3_stmt *stmt)
{
	struct ivm_report_lost *l = g_new0(struct ivm_report_lost, 1);

	l->source = text_or_empty(stmt, 0);
	l->count = number(stmt, 1);
	return l;
}

static void free_lost(gpointer p)
{
	struct ivm_report_lost *l = p;

	g_free(l->source);
	g_free(l);
}

static gpointer read_vm(sqlite3_stmt *stmt)
{
	struct ivm_report_vm *vm = g_new0(struct ivm_report_vm, 1);

	vm->id = (uint32_t)number(stmt, 0);
	vm->name = text_or_empty(stmt, 1);
	vm->pid = (int32_t)number(stmt, 2);
	return vm;
}

static void free_vm(gpointer p)
{
	struct ivm_report_vm *vm = p;

	g_free(vm->name);
	g_free(vm);
}

static gpointer read_end(sqlite3_stmt *stmt)
{
	struct ivm_report_end *end = g_new0(struct ivm_report_end, 1);

	end->id = (uint32_t)number(stmt, 0);
	end->vm = (uint32_t)number(stmt, 1);
	end->link = text_or_empty(stmt, 2);
	end->configured = text_or_empty(stmt, 3);
	return end;
}

static void free_end(gpointer p)
{
	struct ivm_report_end *end = p;

	g_free(end->link);
	g_free(end->configured);
	g_free(end);
}

static gpointer read_guest(sqlite3_stmt *stmt)
{
	struct ivm_report_guest *g = g_new0(struct ivm_report_guest, 1);

	g->id = sqlite3_column_int64(stmt, 0);
	g->mode = text_or_empty(stmt, 1);
	g->link = text(stmt, 2);
	g->from_end = (uint32_t)number(stmt, 3);
	g->from_vm = (uint32_t)number(stmt, 4);
	g->vector = (uint16_t)number(stmt, 5);
	g->sent = number(stmt, 6);
	g->handled = number(stmt, 7);
	g->rtt.measured = sqlite3_column_type(stmt, 8) != SQLITE_NULL;
	g->rtt.count = number(stmt, 8);
	return g;
}

static void free_guest(gpointer p)
{
	struct ivm_report_guest *g = p;

	g_free(g->mode);
	g_free(g->link);
	g_free(g);
}

static gpointer read_baseline(sqlite3_stmt *stmt)
{
	struct ivm_report_baseline *b = g_new0(struct ivm_report_baseline, 1);

	b->id = sqlite3_column_int64(stmt, 0);
	b->device = text_or_empty(stmt, 1);
	b->ioeventfd = number(stmt, 2) != 0;
	b->rtt.measured = true;
	b->rtt.count = number(stmt, 3);
	return b;
}

static void free_baseline(gpointer p)
{
	struct ivm_report_baseline *b = p;

	g_free(b->device);
	g_free(b);
}

static gpointer read_cost(sqlite3_stmt *stmt)
{
	struct ivm_cost_mode *c = g_new0(struct ivm_cost_mode, 1);

	c->mode = text_or_empty(stmt, 0);
	c->blocks = number(stmt, 1);
	c->rtt_ns = sqlite3_column_double(stmt, 2);
	c->effect = sqlite3_column_double(stmt, 3);
	c->low = sqlite3_column_double(stmt, 4);
	c->high = sqlite3_column_double(stmt, 5);
	c->journeys = number(stmt, 6);
	c->probes_ns = number(stmt, 7);
	return c;
}

static void free_cost(gpointer p)
{
	struct ivm_cost_mode *c = p;

	g_free(c->mode);
	g_free(c);
}

static gpointer read_probe_cost(sqlite3_stmt *stmt)
{
	struct ivm_cost_probe *c = g_new0(struct ivm_cost_probe, 1);

	c->mode = text_or_empty(stmt, 0);
	c->hook = text_or_empty(stmt, 1);
	c->runs = number(stmt, 2);
	c->run_ns = number(stmt, 3);
	return c;
}

static void free_probe_cost(gpointer p)
{
	struct ivm_cost_probe *c = p;

	g_free(c->mode);
	g_free(c->hook);
	g_free(c);
}

static int read_meta(struct ivm_report *r)
{
	sqlite3_stmt *stmt;
	char *key;
	int rc;

	if (sqlite3_prepare_v2(r->db, "SELECT key, value FROM meta WHERE value IS NOT NULL", -1,
			       &stmt, NULL) != SQLITE_OK)
		return -EBADMSG;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		key = text_or_empty(stmt, 0);
		g_hash_table_replace(r->meta, key, text_or_empty(stmt, 1));
	}
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? 0 : -EBADMSG;
}

/* ---- round trips ---- */

/* @sql selects the values; @name, @id and @or_id are its parameters */
static int read_rtt(sqlite3 *db, const char *sql, const char *name, int64_t id, int64_t or_id,
		    struct ivm_stat *stat)
{
	GArray *values = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	sqlite3_stmt *stmt;
	uint64_t ns;
	int rc;

	rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
		sqlite3_bind_int64(stmt, 2, id);
		sqlite3_bind_int64(stmt, 3, or_id);
		while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
			ns = number(stmt, 0);
			g_array_append_val(values, ns);
		}
		sqlite3_finalize(stmt);
	}
	ivm_stat_compute(values, stat);
	g_array_free(values, TRUE);
	return rc == SQLITE_DONE ? 0 : -EBADMSG;
}

static int read_all_rtt(struct ivm_report *r)
{
	struct ivm_report_baseline *b;
	struct ivm_report_guest *g;
	unsigned int i;
	int err = 0;

	for (i = 0; i < r->guests->len && !err; i++) {
		g = g_ptr_array_index(r->guests, i);
		err = read_rtt(r->db, "SELECT rtt_ns FROM guest_rtt WHERE guest = ?2", NULL,
			       g->id, 0, &g->rtt.stat);
	}
	for (i = 0; i < r->baselines->len && !err; i++) {
		b = g_ptr_array_index(r->baselines, i);
		err = read_rtt(r->db, "SELECT rtt_ns FROM baseline_rtt WHERE baseline = ?2", NULL,
			       b->id, 0, &b->rtt.stat);
	}
	return err;
}

/**
 * ivm_report_rtt() - round trips of the guests in one mode
 * @r: a report
 * @mode: as the guests table has it
 * @from_end: only those that started there, 0 for all
 * @or_end: or there
 * @rtt: the result; not measured if no guest did
 *
 * Return: 0, or -EBADMSG if the recording is damaged.
 */
int ivm_report_rtt(const struct ivm_report *r, const char *mode, uint32_t from_end,
		   uint32_t or_end, struct ivm_report_rtt *rtt)
{
	const struct ivm_report_guest *g;
	unsigned int i;

	memset(rtt, 0, sizeof(*rtt));
	for (i = 0; i < r->guests->len; i++) {
		g = g_ptr_array_index(r->guests, i);
		if (strcmp(g->mode, mode) || !g->rtt.measured ||
		    (from_end && g->from_end != from_end && g->from_end != or_end))
			continue;
		rtt->measured = true;
		rtt->count += g->rtt.count;
	}
	return read_rtt(r->db, "SELECT rtt_ns FROM guest_rtt WHERE guest IN (SELECT id FROM guests"
			       " WHERE mode = ?1 AND (?2 = 0 OR from_end IN (?2, ?3)))",
			mode, from_end, or_end, &rtt->stat);
}

/* ---- what contradicts ---- */

static void sum_lost(struct ivm_report *r)
{
	const struct ivm_report_lost *l;
	unsigned int i;

	for (i = 0; i < r->lost->len; i++) {
		l = g_ptr_array_index(r->lost, i);
		if (!strcmp(l->source, "unmatched"))
			r->unmatched += l->count;
		else if (strcmp(l->source, "before_start") && strcmp(l->source, "disordered"))
			r->lost_records += l->count;
	}
}

static void problem(struct ivm_report *r, const struct ivm_report_guest *g, const char *what,
		    uint64_t recorded, uint64_t said)
{
	g_ptr_array_add(r->problems,
			g_strdup_printf("end %" PRIu32 " vector %u: %s %" PRIu64
					", the guest says %" PRIu64, g->from_end, g->vector,
					what, recorded, said));
}

/* A recording says what it saw, the guests what they did: two witnesses */
static void compare_guest(struct ivm_report *r, const struct ivm_report_guest *g)
{
	struct ivm_counts c;

	if (!g->from_end)
		return;
	c = ivm_breakdown_counts(r->breakdown, g->from_end, g->vector);
	if (c.rung != g->sent)
		problem(r, g, "rung", c.rung, g->sent);
	if (c.delivered != g->handled && !c.unseen)
		problem(r, g, "delivered", c.delivered, g->handled);
}

static void count_disordered(struct ivm_report *r)
{
	GPtrArray *groups = ivm_breakdown_groups(r->breakdown, IVM_BY_MODE);
	const struct ivm_group *g;
	unsigned int i;

	for (i = 0; i < groups->len; i++) {
		g = g_ptr_array_index(groups, i);
		r->disordered += g->counts.disordered;
	}
	g_ptr_array_free(groups, TRUE);
}

static void find_problems(struct ivm_report *r)
{
	const GPtrArray *mismatches = ivm_breakdown_mismatches(r->breakdown);
	unsigned int i;

	for (i = 0; i < mismatches->len; i++)
		g_ptr_array_add(r->problems, g_strdup(g_ptr_array_index(mismatches, i)));
	for (i = 0; i < r->guests->len; i++)
		compare_guest(r, g_ptr_array_index(r->guests, i));
}

/* ---- loading ---- */

/* Recordings from before `bench --own-cost` have no tables for it */
static int read_own_cost(struct ivm_report *r)
{
	int err;

	if (sqlite3_table_column_metadata(r->db, NULL, "own_cost", NULL, NULL, NULL, NULL, NULL,
					  NULL) != SQLITE_OK)
		return 0;
	err = read_table(r->db, "SELECT mode, blocks, rtt_ns, effect, effect_low, effect_high,"
			 " probed_journeys, (SELECT sum(run_ns) FROM probe_cost AS p"
			 " WHERE p.mode = c.mode) FROM own_cost AS c ORDER BY mode", read_cost,
			 r->costs);
	return err ? err : read_table(r->db, "SELECT mode, hook, runs, run_ns FROM probe_cost",
				      read_probe_cost, r->probe_costs);
}

static int read_tables(struct ivm_report *r)
{
	const struct {
		const char *sql;
		read_row_fn fn;
		GPtrArray *rows;
	} tables[] = {
		{ "SELECT name, state, fired, missed, run_ns FROM hooks ORDER BY name", read_hook,
		  r->hooks },
		{ "SELECT source, count FROM lost ORDER BY source", read_lost, r->lost },
		{ "SELECT id, name, pid FROM vms ORDER BY id", read_vm, r->vms },
		{ "SELECT id, vm, link, configured FROM ends ORDER BY id", read_end, r->ends },
		{ "SELECT id, mode, link, from_end, from_vm, vector, sent, handled, rtt_count"
		  " FROM guests ORDER BY id", read_guest, r->guests },
		{ "SELECT id, device, ioeventfd, rtt_count FROM baselines ORDER BY id",
		  read_baseline, r->baselines },
	};
	struct ivm_report_end *end;
	struct ivm_report_vm *vm;
	unsigned int i;
	int err;

	err = read_meta(r);
	for (i = 0; i < G_N_ELEMENTS(tables) && !err; i++)
		err = read_table(r->db, tables[i].sql, tables[i].fn, tables[i].rows);
	for (i = 0; i < r->vms->len; i++) {
		vm = g_ptr_array_index(r->vms, i);
		g_hash_table_insert(r->vm_by_id, GUINT_TO_POINTER(vm->id), vm);
	}
	for (i = 0; i < r->ends->len; i++) {
		end = g_ptr_array_index(r->ends, i);
		g_hash_table_insert(r->end_by_id, GUINT_TO_POINTER(end->id), end);
	}
	return err;
}

/**
 * ivm_report_load() - read a recording and count its journeys
 * @db: a recording; must stay open as long as the report
 * @exact: see ivm_breakdown_load()
 * @report: free with ivm_report_free()
 *
 * Return: 0; -EBADMSG if the recording is damaged; -ENODATA: see ivm_breakdown_load().
 */
int ivm_report_load(sqlite3 *db, bool exact, struct ivm_report **report)
{
	struct ivm_report *r = g_new0(struct ivm_report, 1);
	int err;

	r->db = db;
	r->meta = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	r->hooks = g_ptr_array_new_with_free_func(free_hook);
	r->lost = g_ptr_array_new_with_free_func(free_lost);
	r->vms = g_ptr_array_new_with_free_func(free_vm);
	r->ends = g_ptr_array_new_with_free_func(free_end);
	r->vm_by_id = g_hash_table_new(NULL, NULL);
	r->end_by_id = g_hash_table_new(NULL, NULL);
	r->guests = g_ptr_array_new_with_free_func(free_guest);
	r->baselines = g_ptr_array_new_with_free_func(free_baseline);
	r->costs = g_ptr_array_new_with_free_func(free_cost);
	r->probe_costs = g_ptr_array_new_with_free_func(free_probe_cost);
	r->problems = g_ptr_array_new_with_free_func(g_free);
	err = read_tables(r);
	if (!err)
		err = read_own_cost(r);
	if (!err)
		err = read_all_rtt(r);
	if (!err)
		err = ivm_facts_load(db, &r->facts);
	if (!err)
		err = ivm_breakdown_load(db, exact, &r->breakdown);
	if (err) {
		ivm_report_free(r);
		return err;
	}
	sum_lost(r);
	count_disordered(r);
	find_problems(r);
	*report = r;
	return 0;
}

void ivm_report_free(struct ivm_report *r)
{
	if (!r)
		return;
	ivm_breakdown_free(r->breakdown);
	if (r->facts)
		g_ptr_array_unref(r->facts);
	g_hash_table_destroy(r->meta);
	g_ptr_array_free(r->hooks, TRUE);
	g_ptr_array_free(r->lost, TRUE);
	g_hash_table_destroy(r->vm_by_id);
	g_hash_table_destroy(r->end_by_id);
	g_ptr_array_free(r->vms, TRUE);
	g_ptr_array_free(r->ends, TRUE);
	g_ptr_array_free(r->guests, TRUE);
	g_ptr_array_free(r->baselines, TRUE);
	g_ptr_array_free(r->costs, TRUE);
	g_ptr_array_free(r->probe_costs, TRUE);
	g_ptr_array_free(r->problems, TRUE);
	g_free(r);
}

/**
 * ivm_report_open() - open a recording and load its report
 * @path: the file, NULL for IVM_DEFAULT_RECORDING
 * @exact: see ivm_breakdown_load()
 * @report: free with ivm_report_close()
 *
 * Return: 0, or -errno after printing why.
 */
int ivm_report_open(const char *path, bool exact, struct ivm_report **report)
{
	const char *name = path ? path : IVM_DEFAULT_RECORDING;
	const char *why = "";
	sqlite3 *db;
	int err;

	err = ivm_recording_open(name, &db, &why);
	if (err) {
		ivm_fail("cannot read %s: %s%s", name, why,
			 !path && err == -ENOENT ? "; try 'ivmtrace record' first" : "");
		return err;
	}
	err = ivm_report_load(db, exact, report);
	if (err) {
		sqlite3_close(db);
		if (err == -ENODATA)
			ivm_fail("--exact: not every journey is in %s: it has %s", name,
				 "been recorded with --keep or --max-size");
		else
			ivm_fail("cannot read %s: damaged", name);
	}
	return err;
}

/* Of ivm_report_open() */
void ivm_report_close(struct ivm_report *r)
{
	sqlite3 *db = r->db;

	ivm_report_free(r);
	sqlite3_close(db);
}

int ivm_by_option(const char *text, unsigned int *by)
{
	if (!text || !ivm_by_parse(text, by))
		return 0;
	return ivm_fail("--by: '%s' is none of " IVM_BY_CHOICES, text);
}

/* ---- looking up ---- */

const char *ivm_report_meta(const struct ivm_report *r, const char *key)
{
	return g_hash_table_lookup(r->meta, key);
}

const struct ivm_report_end *ivm_report_find_end(const struct ivm_report *r, uint32_t id)
{
	return g_hash_table_lookup(r->end_by_id, GUINT_TO_POINTER(id));
}

const struct ivm_report_vm *ivm_report_find_vm(const struct ivm_report *r, uint32_t id)
{
	return g_hash_table_lookup(r->vm_by_id, GUINT_TO_POINTER(id));
}

/* A journey knows a mode that was set, the link's end also "auto" */
const char *ivm_report_configured(const struct ivm_report *r, const struct ivm_group *g)
{
	static const char *const modes[] = IVM_MODE_NAMES;
	const struct ivm_report_end *end;

	if (g->configured != IVM_M_UNKNOWN)
		return modes[g->configured];
	end = ivm_report_find_end(r, g->from_end);
	return end ? end->configured : modes[IVM_M_UNKNOWN];
}

/* ---- checking ---- */

static int check_group(const struct ivm_group *g)
{
	static const char *const modes[] = IVM_MODE_NAMES;
	int causes = 0;

	if (g->counts.unfinished) {
		ivm_info("strict: %s: %" PRIu64 " unfinished", modes[g->mode],
			 g->counts.unfinished);
		causes++;
	}
	if (g->configured != IVM_M_UNKNOWN && g->mode != IVM_M_UNKNOWN &&
	    g->mode != g->configured) {
		ivm_info("strict: %" PRIu64 " travelled as %s, configured is %s", g->counts.rung,
			 modes[g->mode], modes[g->configured]);
		causes++;
	}
	if (g->proof.served) {
		ivm_info("strict: %s: %" PRIu64 " waited for the receiving QEMU: KVM refused it "
			 "an irqfd", modes[g->mode], g->proof.served);
		causes++;
	}
	return causes;
}

static int check_groups(const struct ivm_report *r)
{
	GPtrArray *groups = ivm_breakdown_groups(r->breakdown, IVM_BY_MODE);
	unsigned int i;
	int causes = 0;

	for (i = 0; i < groups->len; i++)
		causes += check_group(g_ptr_array_index(groups, i));
	g_ptr_array_free(groups, TRUE);
	return causes;
}

static int check_lost(const struct ivm_report *r)
{
	const struct ivm_report_lost *l;
	unsigned int i;
	int causes = 0;

	for (i = 0; i < r->lost->len; i++) {
		l = g_ptr_array_index(r->lost, i);
		if (!l->count || !strcmp(l->source, "before_start") ||
		    !strcmp(l->source, "disordered"))
			continue;
		ivm_info("strict: %" PRIu64 " %s%s", l->count,
			 strcmp(l->source, "unmatched") ? "lost: " : "", l->source);
		causes++;
	}
	return causes;
}

/**
 * ivm_report_print_causes() - what --strict stumbles over, a line each
 * @r: a report
 *
 * Return: how many causes there are.
 */
int ivm_report_print_causes(const struct ivm_report *r)
{
	int causes = check_lost(r) + check_groups(r);
	unsigned int i;

	if (r->disordered) {
		ivm_info("strict: %" PRIu64 " disordered", r->disordered);
		causes++;
	}
	for (i = 0; i < r->problems->len; i++)
		ivm_info("strict: counts do not close: %s",
			 (const char *)g_ptr_array_index(r->problems, i));
	return causes + (int)r->problems->len;
}

/**
 * ivm_report_print() - print a report with the defaults of its format
 * @db: a recording
 * @format: text or JSON
 * @out: where to
 *
 * Return: 0, or -errno: nothing is printed if the recording is damaged.
 */
int ivm_report_print(sqlite3 *db, enum ivm_report_format format, FILE *out)
{
	struct ivm_report *r;
	int err;

	err = ivm_report_load(db, false, &r);
	if (err)
		return err;
	if (format == IVM_REPORT_JSON)
		err = ivm_report_print_json(r, out);
	else
		err = ivm_report_print_text(r, IVM_BY_DIRECTION, out);
	ivm_report_free(r);
	return err;
}
