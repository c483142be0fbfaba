// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Finds the slowest journeys of a recording, and what it says of them.
 *
 * Two passes over the journeys in constant memory: the first finds the slowest
 * and what each hop usually takes, the second what was delivered to the same
 * vCPU meanwhile.
 */
#include <errno.h>
#include <string.h>

#include "../tracer/slowest.h"
#include "cursor.h"
#include "explain.h"

#define SAMPLED_ALL	4096	/* journeys of a group whose hops are all looked at */
#define SAMPLED_EVERY	64

static const char *const kinds[] = IVM_CONTEXT_KIND_NAMES;
static const char *const states[] = IVM_OFF_STATE_NAMES;

/* ---- groups ---- */

static void clear_interval(gpointer interval)
{
	g_free(((struct ivm_explain_interval *)interval)->fd_name);
}

static void clear_cause(struct ivm_cause *cause)
{
	g_free(cause->text);
}

static void free_slow(gpointer slow)
{
	struct ivm_slow_journey *s = slow;
	guint i;

	for (i = 0; s->causes && i < s->causes->len; i++)
		clear_cause(&g_array_index(s->causes, struct ivm_cause, i));
	g_clear_pointer(&s->causes, g_array_unref);
	g_clear_pointer(&s->intervals, g_array_unref);
	g_free(s);
}

static void free_group(gpointer group)
{
	struct ivm_explain_group *g = group;
	int from, to;

	for (from = 0; from < IVM_POINTS; from++)
		for (to = 0; to < IVM_POINTS; to++)
			if (g->hop[from][to]) {
				ivm_hist_clear(g->hop[from][to]);
				g_free(g->hop[from][to]);
			}
	ivm_hist_clear(&g->total);
	g_ptr_array_unref(g->slow);
	g_free(g);
}

static struct ivm_explain_group *find_group(struct ivm_explain *e, const struct ivm_journey *j)
{
	struct ivm_explain_group *g;
	guint i;

	for (i = 0; i < e->groups->len; i++) {
		g = g_ptr_array_index(e->groups, i);
		if (g->mode == j->mode && g->from_end == j->from_end && g->to_end == j->to_end)
			return g;
	}
	g = g_new0(struct ivm_explain_group, 1);
	g->mode = j->mode;
	g->from_end = j->from_end;
	g->to_end = j->to_end;
	g->slow = g_ptr_array_new_with_free_func(free_slow);
	g_ptr_array_add(e->groups, g);
	return g;
}

/*
 * From each point to each later one, because a journey may lack one that others
 * have.  A sample is enough once there are many.
 */
static void add_hops(struct ivm_explain_group *g, const struct ivm_journey *j)
{
	int from, to;

	if (g->delivered > SAMPLED_ALL && g->delivered % SAMPLED_EVERY)
		return;
	for (from = IVM_P_EXIT; from <= IVM_P_ENTRY; from++)
		for (to = from + 1; ivm_seen(j, from) && to <= IVM_P_ENTRY; to++) {
			if (!ivm_seen(j, to))
				continue;
			if (!g->hop[from][to])
				g->hop[from][to] = g_new0(struct ivm_hist, 1);
			ivm_hist_add(g->hop[from][to], j->t_ns[to] - j->t_ns[from]);
		}
}

static uint64_t length_ns(const struct ivm_slow_journey *s)
{
	return s->end_ns - s->begin_ns;
}

/* Where it belongs among the slowest, the slowest first */
static guint place_of(const struct ivm_explain_group *g, uint64_t ns)
{
	guint low = 0, high = g->slow->len, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (length_ns(g_ptr_array_index(g->slow, middle)) >= ns)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void offer(struct ivm_explain *e, struct ivm_explain_group *g, const struct ivm_journey *j,
		  uint64_t begin_ns, uint64_t end_ns)
{
	guint place = place_of(g, end_ns - begin_ns);
	struct ivm_slow_journey *s;

	if (end_ns - begin_ns <= e->opts.over_ns || place >= e->opts.count)
		return;
	s = g_new0(struct ivm_slow_journey, 1);
	s->j = *j;
	s->begin_ns = begin_ns;
	s->end_ns = end_ns;
	g_ptr_array_insert(g->slow, (gint)place, s);
	if (g->slow->len > e->opts.count)
		g_ptr_array_set_size(g->slow, (gint)e->opts.count);
}

static bool counts(const struct ivm_explain *e, const struct ivm_journey *j, uint64_t *begin_ns,
		   uint64_t *end_ns)
{
	return j->outcome == IVM_O_DELIVERED && !(j->flags & IVM_J_DISORDERED) &&
	       (e->opts.mode < 0 || j->mode == e->opts.mode) &&
	       ivm_journey_span(j, begin_ns, end_ns);
}

static int find_slowest(struct ivm_explain *e)
{
	struct ivm_explain_group *g;
	struct ivm_cursor *cursor;
	uint64_t begin_ns, end_ns;
	struct ivm_journey j;
	int err;

	err = ivm_cursor_open(e->report->db, &cursor);
	if (err)
		return err;
	while ((err = ivm_cursor_next(cursor, &j)) > 0) {
		if (!counts(e, &j, &begin_ns, &end_ns))
			continue;
		g = find_group(e, &j);
		g->delivered++;
		ivm_hist_add(&g->total, end_ns - begin_ns);
		add_hops(g, &j);
		offer(e, g, &j, begin_ns, end_ns);
	}
	ivm_cursor_close(cursor);
	return err;
}

/* ---- what else was delivered there ---- */

static gint by_end(gconstpointer a, gconstpointer b)
{
	const struct ivm_slow_journey *x = *(void *const *)a, *y = *(void *const *)b;

	return x->end_ns < y->end_ns ? -1 : x->end_ns > y->end_ns;
}

static guint first_ending_after(const GPtrArray *slow, uint64_t t_ns)
{
	guint low = 0, high = slow->len, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (((struct ivm_slow_journey *)g_ptr_array_index(slow, middle))->end_ns <= t_ns)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static uint32_t vm_of(const struct ivm_explain *e, uint32_t end_id)
{
	const struct ivm_report_end *end = ivm_report_find_end(e->report, end_id);

	return end ? end->vm : 0;
}

static void note_behind(const struct ivm_explain *e, const GPtrArray *slow, uint64_t longest_ns,
			const struct ivm_journey *j, uint64_t end_ns)
{
	guint i;

	for (i = first_ending_after(slow, end_ns); i < slow->len; i++) {
		struct ivm_slow_journey *s = g_ptr_array_index(slow, i);

		if (s->end_ns > end_ns + longest_ns)
			break;
		if (s->j.id != j->id && s->j.to_vcpu == j->to_vcpu &&
		    ivm_seen(&s->j, IVM_P_ACCEPT) && s->j.t_ns[IVM_P_ACCEPT] < end_ns &&
		    vm_of(e, s->j.to_end) == vm_of(e, j->to_end))
			s->behind_ns = MAX(s->behind_ns, end_ns);
	}
}

static GPtrArray *all_slow(const struct ivm_explain *e, uint64_t *longest_ns)
{
	GPtrArray *slow = g_ptr_array_new();
	guint i, n;

	*longest_ns = 0;
	for (i = 0; i < e->groups->len; i++) {
		const struct ivm_explain_group *g = g_ptr_array_index(e->groups, i);

		for (n = 0; n < g->slow->len; n++) {
			g_ptr_array_add(slow, g_ptr_array_index(g->slow, n));
			*longest_ns = MAX(*longest_ns, length_ns(g_ptr_array_index(g->slow, n)));
		}
	}
	g_ptr_array_sort(slow, by_end);
	return slow;
}

static int find_neighbours(struct ivm_explain *e)
{
	g_autoptr(GPtrArray) slow = NULL;
	uint64_t begin_ns, end_ns, longest_ns;
	struct ivm_cursor *cursor;
	struct ivm_journey j;
	int err;

	slow = all_slow(e, &longest_ns);
	err = slow->len ? ivm_cursor_open(e->report->db, &cursor) : -ENOENT;
	if (err)
		return err == -ENOENT ? 0 : err;
	while ((err = ivm_cursor_next(cursor, &j)) > 0)
		if (j.outcome == IVM_O_DELIVERED && ivm_journey_span(&j, &begin_ns, &end_ns))
			note_behind(e, slow, longest_ns, &j, end_ns);
	ivm_cursor_close(cursor);
	return err;
}

/* ---- their threads ---- */

static uint64_t number(sqlite3_stmt *stmt, int column, uint64_t max, bool *ok)
{
	sqlite3_int64 v = sqlite3_column_int64(stmt, column);
	int type = sqlite3_column_type(stmt, column);

	if (type == SQLITE_NULL)
		return 0;
	if (type != SQLITE_INTEGER || (uint64_t)v > max)
		*ok = false;
	return (uint64_t)v;
}

/* A terminal must not obey what a task calls itself */
static char *clean(const char *raw)
{
	char *text = raw ? g_utf8_make_valid(raw, -1) : NULL, *p;

	for (p = text; p && *p; p++)
		if (g_ascii_iscntrl(*p))
			*p = '?';
	return text;
}

static void comm(sqlite3_stmt *stmt, int column, char to[IVM_COMM_BYTES])
{
	g_autofree char *text = clean((const char *)sqlite3_column_text(stmt, column));

	if (text)
		g_strlcpy(to, text, IVM_COMM_BYTES);
	/* Cut between the bytes of a character it would be none */
	if (!g_utf8_validate(to, -1, NULL))
		to[strlen(to) - 1] = 0;
}

static bool read_interval(sqlite3_stmt *stmt, struct ivm_explain_interval *x)
{
	int kind = ivm_name_index((const char *)sqlite3_column_text(stmt, 0), kinds,
				  IVM_CTX_KINDS);
	int state = ivm_name_index((const char *)sqlite3_column_text(stmt, 7), states,
				   IVM_OFF_STATES);
	struct ivm_interval *i = &x->i;
	bool ok = kind > 0;

	memset(x, 0, sizeof(*x));
	i->kind = (uint8_t)kind;
	i->tid = (uint32_t)number(stmt, 1, UINT32_MAX, &ok);
	i->begin_ns = number(stmt, 2, INT64_MAX, &ok);
	i->end_ns = number(stmt, 3, INT64_MAX, &ok);
	i->wake_ns = number(stmt, 4, INT64_MAX, &ok);
	i->cpu = (uint16_t)number(stmt, 5, UINT16_MAX, &ok);
	i->to_cpu = (uint16_t)number(stmt, 6, UINT16_MAX, &ok);
	i->state = state < 0 ? IVM_OFF_NONE : (uint8_t)state;
	i->number = (uint64_t)sqlite3_column_int64(stmt, 8);
	i->fd = sqlite3_column_type(stmt, 9) == SQLITE_NULL ? -1 :
		(int32_t)number(stmt, 9, INT32_MAX, &ok);
	i->next_tid = (uint32_t)number(stmt, 11, UINT32_MAX, &ok);
	comm(stmt, 12, i->next);
	i->last_tid = (uint32_t)number(stmt, 13, UINT32_MAX, &ok);
	comm(stmt, 14, i->last);
	i->waker_tid = (uint32_t)number(stmt, 15, UINT32_MAX, &ok);
	comm(stmt, 16, i->waker);
	ok &= i->begin_ns <= i->end_ns;
	ok &= !i->wake_ns || (i->wake_ns >= i->begin_ns && i->wake_ns <= i->end_ns);
	if (ok)
		x->fd_name = clean((const char *)sqlite3_column_text(stmt, 10));
	return ok;
}

static int read_intervals(sqlite3_stmt *stmt, struct ivm_slow_journey *s)
{
	struct ivm_explain_interval x;
	int rc;

	sqlite3_reset(stmt);
	sqlite3_bind_int64(stmt, 1, (sqlite3_int64)s->j.id);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		if (!read_interval(stmt, &x))
			return -EBADMSG;
		g_array_append_val(s->intervals, x);
	}
	return rc == SQLITE_DONE ? 0 : -EBADMSG;
}

static int read_actors(sqlite3_stmt *stmt, struct ivm_slow_journey *s)
{
	bool ok = true;
	int rc;

	sqlite3_reset(stmt);
	sqlite3_bind_int64(stmt, 1, (sqlite3_int64)s->j.id);
	rc = sqlite3_step(stmt);
	if (rc != SQLITE_ROW)
		return rc == SQLITE_DONE ? 0 : -EBADMSG;
	s->has_context = true;
	s->actors.from_tid = (uint32_t)number(stmt, 0, UINT32_MAX, &ok);
	s->actors.from_pid = (uint32_t)number(stmt, 1, UINT32_MAX, &ok);
	s->actors.to_tid = (uint32_t)number(stmt, 2, UINT32_MAX, &ok);
	s->actors.to_pid = (uint32_t)number(stmt, 3, UINT32_MAX, &ok);
	s->complete = number(stmt, 4, 1, &ok);
	return ok ? 0 : -EBADMSG;
}

struct queries {
	sqlite3_stmt *actors;
	sqlite3_stmt *intervals;
};

/* Recordings of older versions have neither table */
static bool prepare(sqlite3 *db, struct queries *q)
{
	return sqlite3_prepare_v2(db, "SELECT from_tid, from_pid, to_tid, to_pid, complete"
				      " FROM slow WHERE journey = ?", -1, &q->actors, NULL) ==
		       SQLITE_OK &&
	       sqlite3_prepare_v2(db, "SELECT kind, tid, begin_ns, end_ns, wake_ns, cpu, to_cpu,"
				      " state, number, fd, fd_name, next_tid, next, last_tid,"
				      " last, waker_tid, waker FROM intervals WHERE journey = ?"
				      " ORDER BY begin_ns", -1, &q->intervals, NULL) == SQLITE_OK;
}

static int explain_journey(struct ivm_explain *e, const struct queries *q,
			   const struct ivm_explain_group *g, struct ivm_slow_journey *s)
{
	int err = 0;

	s->intervals = g_array_new(FALSE, FALSE, sizeof(struct ivm_explain_interval));
	g_array_set_clear_func(s->intervals, clear_interval);
	if (e->has_context) {
		err = read_actors(q->actors, s);
		if (!err && s->has_context)
			err = read_intervals(q->intervals, s);
	}
	if (!err)
		ivm_explain_causes(g, s);
	return err;
}

static int explain_all(struct ivm_explain *e)
{
	const char *context = ivm_report_meta(e->report, "context");
	struct queries q = { 0 };
	int err = 0;
	guint i, n;

	e->has_context = prepare(e->report->db, &q) && context && !strcmp(context, "on");
	for (i = 0; i < e->groups->len; i++) {
		struct ivm_explain_group *g = g_ptr_array_index(e->groups, i);

		for (n = 0; n < g->slow->len && !err; n++)
			err = explain_journey(e, &q, g, g_ptr_array_index(g->slow, n));
	}
	sqlite3_finalize(q.actors);
	sqlite3_finalize(q.intervals);
	return err;
}

static gint by_mode(gconstpointer a, gconstpointer b)
{
	const struct ivm_explain_group *x = *(void *const *)a, *y = *(void *const *)b;

	if (x->mode != y->mode)
		return x->mode < y->mode ? -1 : 1;
	if (x->from_end != y->from_end)
		return x->from_end < y->from_end ? -1 : 1;
	return x->to_end < y->to_end ? -1 : x->to_end > y->to_end;
}

/**
 * ivm_explain_load() - finds the slowest journeys and their causes
 * @r: the recording's report, must outlive the explanation
 * @opts: which ones; copied
 * @explain: free with ivm_explain_free()
 *
 * Return: 0, or -EBADMSG if the recording is damaged.
 */
int ivm_explain_load(const struct ivm_report *r, const struct ivm_explain_opts *opts,
		     struct ivm_explain **explain)
{
	struct ivm_explain *e = g_new0(struct ivm_explain, 1);
	int err;

	e->report = r;
	e->opts = *opts;
	e->groups = g_ptr_array_new_with_free_func(free_group);
	err = find_slowest(e);
	g_ptr_array_sort(e->groups, by_mode);
	if (!err)
		err = find_neighbours(e);
	if (!err)
		err = explain_all(e);
	if (err)
		ivm_explain_free(e);
	else
		*explain = e;
	return err;
}

void ivm_explain_free(struct ivm_explain *e)
{
	if (!e)
		return;
	g_ptr_array_unref(e->groups);
	g_free(e);
}
