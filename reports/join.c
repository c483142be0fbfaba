// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One link, two hosts, a recording of each: the halves of its journeys joined.
 *
 * The link's random id says that both recordings mean the same connection, the
 * sequence number of a RING which two halves are one journey; that the vector is
 * the same is a check.  What happened on one host is measured by its own clock.
 * Between the hosts there is only this: no message arrived before it was sent.
 * The quickest one of either direction bounds how far the clocks are apart,
 *
 *	-(least received by a - sent by b) <= clock b - clock a <= (least received by b - sent by a)
 *
 * and the middle is taken, half of the width being the bound of each number that
 * goes from one clock to the other.  Traffic one way bounds it on one side only:
 * then there are no such numbers.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <json-c/json.h>

#include "../tracer/error.h"
#include "../tracer/recording.h"
#include "join.h"
#include "stat.h"

#define HALVES 2

struct ring {
	uint64_t seq;
	uint32_t vector;
	int64_t dispatch_ns;
	int64_t send_ns;
};

struct arrival {
	uint64_t seq;
	uint32_t vector;
	int64_t recv_ns;
	int64_t end_ns;		/* 0 unknown: coalesced, say */
};

struct half {
	const char *path;
	sqlite3 *db;
	int64_t end;
	char *vm;
	char *link;
	uint64_t lost;
	GArray *rings;		/* struct ring of the last connection, by sequence */
	GArray *arrivals;	/* struct arrival, the same */
	uint64_t rung;		/* all doorbells of this end */
	uint64_t unsent;	/* ... without a RING that was seen */
	uint64_t earlier;	/* ... of connections before */
	uint64_t arrived;
	uint64_t unplaced;	/* ... of which it is not known which RING it was */
	uint64_t arrived_earlier;
};

enum hop { HOP_SEND, HOP_WIRE, HOP_RECEIVE, HOP_TOTAL, HOPS };

static const struct {
	const char *name, *from, *to;
	bool crosses;		/* from one clock to the other */
} hop_of[HOPS] = {
	[HOP_SEND] = { "dispatch..send", "dispatch", "send", false },
	[HOP_WIRE] = { "send..recv", "send", "recv", true },
	[HOP_RECEIVE] = { "recv..end", "recv", "end", false },
	[HOP_TOTAL] = { "total dispatch..end", "dispatch", "end", true },
};

struct direction {
	const struct half *from, *to;
	uint64_t joined;
	uint64_t not_arrived;	/* rings that the other recording lacks */
	uint64_t not_rung;	/* arrivals that this one lacks */
	uint64_t contradicted;	/* the halves name different vectors */
	int64_t least_wire_ns;	/* by both clocks; if @joined */
	GArray *raw[HOPS];	/* int64_t, by the clock or clocks they were taken with */
	struct ivm_stat stat[HOPS];
};

struct ivm_join {
	struct half half[HALVES];
	struct direction direction[HALVES];	/* from half 0 to 1, and back */
	bool has_offset;
	bool is_apart;		/* no offset fits: a clock ran off, or was set */
	int64_t offset_ns;	/* clock of half 1 minus that of half 0 */
	uint64_t err_ns;
};

/* ---- reading ---- */

/* Return: the statement, or NULL if there is no such thing in this recording */
static sqlite3_stmt *query(const struct half *half, const char *sql, const char *text)
{
	sqlite3_stmt *stmt = NULL;

	if (sqlite3_prepare_v2(half->db, sql, -1, &stmt, NULL))
		return NULL;
	if (text)
		sqlite3_bind_text(stmt, 1, text, -1, SQLITE_TRANSIENT);
	else
		sqlite3_bind_int64(stmt, 1, half->end);
	return stmt;
}

/* Return: 0, or -EBADMSG if the rows did not come to their end */
static int finish(sqlite3_stmt *stmt, int rc)
{
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? 0 : -EBADMSG;
}

/* Sequences grow within a connection; another one starts again from 1 */
static void forget_earlier(GArray *array, uint64_t seq, uint64_t last_seq, uint64_t *earlier)
{
	if (seq > last_seq || !array->len)
		return;
	*earlier += array->len;
	g_array_set_size(array, 0);
}

static int read_rings(struct half *half)
{
	sqlite3_stmt *stmt = query(half, "SELECT seq, vector, dispatch, send FROM journeys"
				   " WHERE from_end = ? AND to_end IS NULL ORDER BY send, seq",
				   NULL);
	uint64_t last_seq = 0;
	int rc;

	if (!stmt)
		return -EBADMSG;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct ring ring = {
			.seq = (uint64_t)sqlite3_column_int64(stmt, 0),
			.vector = (uint32_t)sqlite3_column_int64(stmt, 1),
			.dispatch_ns = sqlite3_column_int64(stmt, 2),
			.send_ns = sqlite3_column_int64(stmt, 3),
		};

		half->rung++;
		if (!ring.seq || !ring.send_ns || !ring.dispatch_ns) {
			half->unsent++;
			continue;
		}
		forget_earlier(half->rings, ring.seq, last_seq, &half->earlier);
		g_array_append_val(half->rings, ring);
		last_seq = ring.seq;
	}
	return finish(stmt, rc);
}

static int read_arrivals(struct half *half)
{
	sqlite3_stmt *stmt = query(half, "SELECT seq, vector, recv, end FROM arrivals"
				   " WHERE to_end = ? ORDER BY recv, seq", NULL);
	uint64_t last_seq = 0;
	int rc;

	if (!stmt)
		return -EBADMSG;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct arrival arrival = {
			.seq = (uint64_t)sqlite3_column_int64(stmt, 0),
			.vector = (uint32_t)sqlite3_column_int64(stmt, 1),
			.recv_ns = sqlite3_column_int64(stmt, 2),
			.end_ns = sqlite3_column_int64(stmt, 3),
		};

		half->arrived++;
		if (!arrival.seq || !arrival.recv_ns) {
			half->unplaced++;
			continue;
		}
		forget_earlier(half->arrivals, arrival.seq, last_seq, &half->arrived_earlier);
		g_array_append_val(half->arrivals, arrival);
		last_seq = arrival.seq;
	}
	return finish(stmt, rc);
}

static int read_lost(struct half *half)
{
	sqlite3_stmt *stmt = query(half, "SELECT total(count) FROM lost WHERE ? IS NOT NULL", NULL);
	int rc = stmt ? sqlite3_step(stmt) : SQLITE_ERROR;

	if (rc == SQLITE_ROW) {
		half->lost = (uint64_t)sqlite3_column_int64(stmt, 0);
		rc = sqlite3_step(stmt);
	}
	return finish(stmt, rc);
}

/* Return: has this recording that side of that link? */
static bool find_end(struct half *half, const char *link_id, const char *side)
{
	sqlite3_stmt *stmt = query(half, "SELECT ends.id, vms.name, ends.link FROM ends"
				   " JOIN vms ON vms.id = ends.vm"
				   " JOIN connections ON end_id = ends.id WHERE link_id = ?"
				   " AND ends.side = ?2 AND ends.peer IS NULL", link_id);
	bool found;

	if (stmt)
		sqlite3_bind_text(stmt, 2, side, -1, SQLITE_TRANSIENT);
	found = stmt && sqlite3_step(stmt) == SQLITE_ROW;

	if (found) {
		half->end = sqlite3_column_int64(stmt, 0);
		half->vm = g_strdup((const char *)sqlite3_column_text(stmt, 1));
		half->link = g_strdup((const char *)sqlite3_column_text(stmt, 2));
	}
	sqlite3_finalize(stmt);
	return found;
}

/* The first link of which each of the two recordings has one half */
static int find_link(struct ivm_join *join)
{
	sqlite3_stmt *stmt = NULL;
	bool found = false;

	if (sqlite3_prepare_v2(join->half[0].db, "SELECT link_id, side FROM ends JOIN connections"
			       " ON end_id = ends.id WHERE peer IS NULL ORDER BY ends.id",
			       -1, &stmt, NULL))
		return ivm_fail("cannot join %s: its recorder did not keep halves of links",
				join->half[0].path);
	while (!found && sqlite3_step(stmt) == SQLITE_ROW) {
		const char *link_id = (const char *)sqlite3_column_text(stmt, 0);
		const char *side = (const char *)sqlite3_column_text(stmt, 1);
		bool is_server = !g_strcmp0(side, "server");

		found = find_end(&join->half[1], link_id, is_server ? "client" : "server") &&
			find_end(&join->half[0], link_id, side);
	}
	sqlite3_finalize(stmt);
	return found ? 0 : ivm_fail("cannot join %s and %s: no link has one half in each",
				    join->half[0].path, join->half[1].path);
}

static bool has_meta(const struct half *half, const char *key)
{
	sqlite3_stmt *stmt = query(half, "SELECT 1 FROM meta WHERE key = ?", key);
	bool found = stmt && sqlite3_step(stmt) == SQLITE_ROW;

	sqlite3_finalize(stmt);
	return found;
}

static int open_half(struct half *half, const char *path)
{
	const char *why;
	int err = ivm_recording_open(path, &half->db, &why);

	half->path = path;
	half->rings = g_array_new(FALSE, FALSE, sizeof(struct ring));
	half->arrivals = g_array_new(FALSE, FALSE, sizeof(struct arrival));
	if (err)
		return ivm_fail("cannot read %s: %s", path, why);
	/* Kept by --keep, rows are no proof of what is not there */
	if (has_meta(half, "keep"))
		return ivm_fail("cannot join %s: not every journey is in it", path);
	/* Runs were moved in time, each host's by something else */
	if (has_meta(half, "merged"))
		return ivm_fail("cannot join %s: it is several runs merged; join those of one time",
				path);
	return 0;
}

static int read_half(struct half *half)
{
	int err = read_rings(half);

	if (!err)
		err = read_arrivals(half);
	if (!err)
		err = read_lost(half);
	return err ? ivm_fail("cannot read %s: damaged", half->path) : 0;
}

/* ---- joining ---- */

static void add_raw(struct direction *d, enum hop hop, int64_t ns)
{
	g_array_append_val(d->raw[hop], ns);
}

static void join_one(struct direction *d, const struct ring *ring, const struct arrival *arrival)
{
	int64_t wire_ns = arrival->recv_ns - ring->send_ns;

	if (ring->vector != arrival->vector) {
		d->contradicted++;
		return;
	}
	if (!d->joined || wire_ns < d->least_wire_ns)
		d->least_wire_ns = wire_ns;
	d->joined++;
	add_raw(d, HOP_SEND, ring->send_ns - ring->dispatch_ns);
	add_raw(d, HOP_WIRE, wire_ns);
	if (!arrival->end_ns)
		return;
	add_raw(d, HOP_RECEIVE, arrival->end_ns - arrival->recv_ns);
	add_raw(d, HOP_TOTAL, arrival->end_ns - ring->dispatch_ns);
}

/* Both are in order of their sequence */
static void join_direction(struct direction *d)
{
	const GArray *rings = d->from->rings, *arrivals = d->to->arrivals;
	guint r = 0, a = 0;

	while (r < rings->len && a < arrivals->len) {
		const struct ring *ring = &g_array_index(rings, struct ring, r);
		const struct arrival *arrival = &g_array_index(arrivals, struct arrival, a);

		if (ring->seq < arrival->seq) {
			d->not_arrived++;
			r++;
		} else if (ring->seq > arrival->seq) {
			d->not_rung++;
			a++;
		} else {
			join_one(d, ring, arrival);
			r++;
			a++;
		}
	}
	d->not_arrived += rings->len - r;
	d->not_rung += arrivals->len - a;
}

static void estimate_offset(struct ivm_join *join)
{
	const struct direction *there = &join->direction[0], *back = &join->direction[1];
	int64_t width_ns = there->least_wire_ns + back->least_wire_ns;

	if (!there->joined || !back->joined)
		return;
	join->is_apart = width_ns < 0;
	join->has_offset = width_ns >= 0;
	join->offset_ns = (there->least_wire_ns - back->least_wire_ns) / 2;
	join->err_ns = (uint64_t)(width_ns + 1) / 2;
}

/* No duration is below zero: within one clock it was measured so, across it is bounded so */
static void compute(const struct ivm_join *join, struct direction *d)
{
	int64_t ahead_ns = d == &join->direction[0] ? join->offset_ns : -join->offset_ns;
	enum hop hop;
	guint i;

	for (hop = 0; hop < HOPS; hop++) {
		GArray *values = g_array_new(FALSE, FALSE, sizeof(uint64_t));

		for (i = 0; i < d->raw[hop]->len; i++) {
			int64_t ns = g_array_index(d->raw[hop], int64_t, i) -
				     (hop_of[hop].crosses ? ahead_ns : 0);
			uint64_t value = MAX(ns, 0);

			if (!hop_of[hop].crosses || join->has_offset)
				g_array_append_val(values, value);
		}
		ivm_stat_compute(values, &d->stat[hop]);
		g_array_unref(values);
	}
}

static void join_halves(struct ivm_join *join)
{
	unsigned int i;

	for (i = 0; i < HALVES; i++)
		join_direction(&join->direction[i]);
	estimate_offset(join);
	for (i = 0; i < HALVES; i++)
		compute(join, &join->direction[i]);
}

/**
 * ivm_join_open() - read two recordings and join what they have of one link
 * @paths: two of them
 * @join: set on success; close with ivm_join_close()
 *
 * Return: 0, or a negative error that has been printed.
 */
int ivm_join_open(const char *const *paths, struct ivm_join **join)
{
	struct ivm_join *j = g_new0(struct ivm_join, 1);
	int err = 0;
	unsigned int i;
	enum hop hop;

	for (i = 0; i < HALVES; i++) {
		j->direction[i].from = &j->half[i];
		j->direction[i].to = &j->half[!i];
		for (hop = 0; hop < HOPS; hop++)
			j->direction[i].raw[hop] = g_array_new(FALSE, FALSE, sizeof(int64_t));
	}
	for (i = 0; i < HALVES && !err; i++)
		err = open_half(&j->half[i], paths[i]);
	if (!err)
		err = find_link(j);
	for (i = 0; i < HALVES && !err; i++)
		err = read_half(&j->half[i]);
	if (err) {
		ivm_join_close(j);
		return err;
	}
	join_halves(j);
	*join = j;
	return 0;
}

/**
 * ivm_join_close() - frees
 * @join: joined, or as far as that came
 */
void ivm_join_close(struct ivm_join *join)
{
	unsigned int i;
	enum hop hop;

	for (i = 0; i < HALVES; i++) {
		sqlite3_close(join->half[i].db);
		g_free(join->half[i].vm);
		g_free(join->half[i].link);
		g_clear_pointer(&join->half[i].rings, g_array_unref);
		g_clear_pointer(&join->half[i].arrivals, g_array_unref);
		for (hop = 0; hop < HOPS; hop++)
			g_array_unref(join->direction[i].raw[hop]);
	}
	g_free(join);
}

/**
 * ivm_join_is_whole() - has every journey both halves, and none was lost?
 * @join: joined
 */
bool ivm_join_is_whole(const struct ivm_join *join)
{
	unsigned int i;

	for (i = 0; i < HALVES; i++) {
		const struct direction *d = &join->direction[i];

		if (d->joined != d->from->rung || d->joined != d->to->arrived || d->from->lost)
			return false;
	}
	return true;
}

/* ---- printing ---- */

static void print_us(FILE *out, uint64_t ns)
{
	if (ns == IVM_NS_UNKNOWN)
		fprintf(out, " %10s", "–");
	else
		fprintf(out, " %10.3f", ns / 1e3);
}

static void print_direction(const struct ivm_join *join, const struct direction *d, FILE *out)
{
	enum hop hop;

	fprintf(out, "\nqemu, link %s, %s → %s\n", d->from->link, d->from->vm, d->to->vm);
	fprintf(out, "  rung %" PRIu64 " = joined %" PRIu64 " + not arrived %" PRIu64
		" + unsent %" PRIu64 " + of earlier links %" PRIu64 " + contradicted %" PRIu64 "\n",
		d->from->rung, d->joined, d->not_arrived, d->from->unsent, d->from->earlier,
		d->contradicted);
	fprintf(out, "  arrived %" PRIu64 " = joined %" PRIu64 " + not rung %" PRIu64
		" + of unknown ring %" PRIu64 " + of earlier links %" PRIu64 " + contradicted %"
		PRIu64 "\n", d->to->arrived, d->joined, d->not_rung, d->to->unplaced,
		d->to->arrived_earlier, d->contradicted);
	if (!d->joined)
		return;
	fprintf(out, "  %-28s %8s %10s %10s %10s\n", "hop, us", "count", "p50", "p99", "max");
	for (hop = 0; hop < HOPS; hop++) {
		const struct ivm_stat *s = &d->stat[hop];
		g_autofree char *bound = NULL;

		if (hop_of[hop].crosses && join->has_offset)
			bound = g_strdup_printf(" ±%.3f", join->err_ns / 1e3);
		fprintf(out, "  %s%s%*s %8" PRIu64, hop_of[hop].name, bound ? bound : "",
			(int)MAX(0, 28 - (long)strlen(hop_of[hop].name) -
				 (bound ? g_utf8_strlen(bound, -1) : 0)), "", s->count);
		print_us(out, s->p50_ns);
		print_us(out, s->p99_ns);
		print_us(out, s->max_ns);
		fputc('\n', out);
	}
}

/**
 * ivm_join_print_text() - for a terminal
 * @join: joined
 * @out: where to
 *
 * Return: 0.
 */
int ivm_join_print_text(const struct ivm_join *join, FILE *out)
{
	const struct half *a = &join->half[0], *b = &join->half[1];
	unsigned int i;

	fprintf(out, "  halves    %s in %s, %s in %s\n", a->vm, a->path, b->vm, b->path);
	fprintf(out, "  lost      %" PRIu64 ", %" PRIu64 "\n", a->lost, b->lost);
	if (join->has_offset)
		fprintf(out, "  clocks    %s's host is %.3f us %s %s's, ±%.3f us\n", b->vm,
			ABS(join->offset_ns) / 1e3, join->offset_ns < 0 ? "behind" : "ahead of",
			a->vm, join->err_ns / 1e3);
	else
		fprintf(out, "  clocks    not comparable: %s\n", join->is_apart ?
			"one of them ran off or was set" : "doorbells went one way only");
	for (i = 0; i < HALVES; i++)
		print_direction(join, &join->direction[i], out);
	return 0;
}

static void add_u64(struct json_object *o, const char *key, uint64_t value)
{
	json_object_object_add(o, key, json_object_new_uint64(value));
}

static void add_ns(struct json_object *o, const char *key, uint64_t ns)
{
	json_object_object_add(o, key, ns == IVM_NS_UNKNOWN ? NULL : json_object_new_uint64(ns));
}

static void add_text(struct json_object *o, const char *key, const char *text)
{
	json_object_object_add(o, key, json_object_new_string(text ? text : ""));
}

static struct json_object *hop_json(const struct ivm_join *join, const struct direction *d,
				    enum hop hop)
{
	const struct ivm_stat *s = &d->stat[hop];
	struct json_object *o = json_object_new_object();

	add_text(o, "from", hop_of[hop].from);
	add_text(o, "to", hop_of[hop].to);
	add_u64(o, "count", s->count);
	add_u64(o, "sum_ns", s->sum_ns);
	add_ns(o, "min_ns", s->min_ns);
	add_ns(o, "p50_ns", s->p50_ns);
	add_ns(o, "p90_ns", s->p90_ns);
	add_ns(o, "p99_ns", s->p99_ns);
	add_ns(o, "max_ns", s->max_ns);
	add_u64(o, "err_ns", hop_of[hop].crosses && join->has_offset ? join->err_ns : 0);
	return o;
}

static struct json_object *direction_json(const struct ivm_join *join, const struct direction *d)
{
	struct json_object *o = json_object_new_object(), *hops = json_object_new_array();
	enum hop hop;

	add_text(o, "mode", "qemu");
	add_text(o, "link", d->from->link);
	add_text(o, "from", d->from->vm);
	add_text(o, "to", d->to->vm);
	add_u64(o, "rung", d->from->rung);
	add_u64(o, "arrived", d->to->arrived);
	add_u64(o, "joined", d->joined);
	add_u64(o, "not_arrived", d->not_arrived);
	add_u64(o, "not_rung", d->not_rung);
	add_u64(o, "unsent", d->from->unsent);
	add_u64(o, "unplaced", d->to->unplaced);
	add_u64(o, "rung_earlier", d->from->earlier);
	add_u64(o, "arrived_earlier", d->to->arrived_earlier);
	add_u64(o, "contradicted", d->contradicted);
	for (hop = 0; hop < HOP_TOTAL; hop++)
		json_object_array_add(hops, hop_json(join, d, hop));
	json_object_object_add(o, "hops", hops);
	json_object_object_add(o, "total", hop_json(join, d, HOP_TOTAL));
	return o;
}

/**
 * ivm_join_print_json() - schema ivmtrace-join/1
 * @join: joined
 * @out: where to
 *
 * Return: 0.
 */
int ivm_join_print_json(const struct ivm_join *join, FILE *out)
{
	struct json_object *o = json_object_new_object(), *halves = json_object_new_array();
	struct json_object *groups = json_object_new_array(), *clock = NULL;
	unsigned int i;

	for (i = 0; i < HALVES; i++) {
		struct json_object *half = json_object_new_object();

		add_text(half, "file", join->half[i].path);
		add_text(half, "vm", join->half[i].vm);
		add_u64(half, "lost", join->half[i].lost);
		json_object_array_add(halves, half);
		json_object_array_add(groups, direction_json(join, &join->direction[i]));
	}
	if (join->has_offset) {
		clock = json_object_new_object();
		json_object_object_add(clock, "offset_ns", json_object_new_int64(join->offset_ns));
		add_u64(clock, "err_ns", join->err_ns);
	}
	add_text(o, "schema", "ivmtrace-join/1");
	json_object_object_add(o, "halves", halves);
	json_object_object_add(o, "clock", clock);
	json_object_object_add(o, "groups", groups);
	fprintf(out, "%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
							   JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	return 0;
}
