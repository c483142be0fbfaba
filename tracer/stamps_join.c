// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Joining stamps with journeys.
 *
 * By identity and order, never by closeness in time.  Journeys and stamps are
 * read side by side, a batch for each (end, vector); ring stamps also for each
 * cookie.
 *
 *   ring      the k-th doorbell of this value on this vector and the k-th stamp
 *             that says so, if there are equally many of both.
 *   handler   the k-th end point and the k-th handler run.  A handler runs
 *             after its own end point and before the next one of its vector, so
 *             that a recording that began in the middle finds the first pair;
 *             from there on the guest's running count and the order of the end
 *             points must say the same.
 *
 * A stamp is used only if its host time does not contradict the points that the
 * same vCPU passed next to it.
 */
#include <errno.h>
#include <string.h>

#include "stamps_local.h"

struct stamp {
	uint32_t count;		/* the cookie of a handler stamp */
	uint64_t tsc;
};

/* What a stamp of this journey must fit to */
struct stop {
	uint64_t journey;
	uint64_t dispatch_ns;
	uint64_t first_ns;	/* ring: must come before; handler: its end point */
	uint64_t last_ns;	/* handler: the last point before it */
	uint32_t vcpu_id;
	bool unseen;		/* handler: accepted, but when it arrived is not known */
};

/* Rows of equal key are a batch */
struct key {
	uint32_t end;
	uint32_t vector;
	uint32_t cookie;	/* 0 for handlers */
};

struct reader {
	sqlite3_stmt *stmt;
	struct key key;		/* of the row it stands on */
	bool done;
	int err;
};

struct join {
	struct ivm_stamps *s;
	struct ivm_recording *recording;
	enum ivm_point point;
	struct lane *lane;	/* of the batch */
	GArray *stamps;		/* struct stamp */
	GArray *stops;		/* struct stop */
	GArray *alone;		/* uint64_t: times of ring stamps without journey */
	uint64_t newest_ns;	/* ring stamp that has one */
	int err;
};

/* ---- reading side by side ---- */

enum column {
	COL_END,
	COL_VECTOR,
	COL_COOKIE,
	COL_VALUES
};

static const char ring_stamps[] =
	"SELECT \"end\", vector, cookie, cookie, tsc FROM stamps WHERE kind = 1"
	" ORDER BY 1, 2, 3, id";
static const char ring_stops[] =
	"SELECT from_end, vector, cookie, id, dispatch, coalesce(\"exit\", dispatch), 0, from_vcpu,"
	" 0 FROM journeys ORDER BY 1, 2, 3, dispatch, id";
static const char handler_stamps[] =
	"SELECT \"end\", vector, 0, cookie, tsc FROM stamps WHERE kind = 2 ORDER BY 1, 2, id";
static const char handler_stops[] =
	"SELECT to_end, vector, 0, id, dispatch, coalesce(inject, eoi_standin, entry, accept),"
	" coalesce(entry, eoi_standin, inject, accept), to_vcpu, outcome = 'unseen' FROM journeys"
	" WHERE outcome IN ('delivered', 'unseen') AND to_end IS NOT NULL ORDER BY 1, 2, 6, id";

static uint64_t number(const struct reader *r, int column)
{
	return (uint64_t)sqlite3_column_int64(r->stmt, column);
}

static void reader_next(struct reader *r)
{
	int rc = sqlite3_step(r->stmt);

	if (rc == SQLITE_ROW) {
		r->key.end = (uint32_t)number(r, COL_END);
		r->key.vector = (uint32_t)number(r, COL_VECTOR);
		r->key.cookie = (uint32_t)number(r, COL_COOKIE);
		return;
	}
	r->done = true;
	if (rc != SQLITE_DONE)
		r->err = -EIO;
}

static void reader_open(struct reader *r, sqlite3 *db, const char *sql)
{
	memset(r, 0, sizeof(*r));
	if (sqlite3_prepare_v2(db, sql, -1, &r->stmt, NULL) == SQLITE_OK) {
		reader_next(r);
		return;
	}
	r->done = true;
	r->err = -EIO;
}

static int compare_keys(const struct key *a, const struct key *b)
{
	if (a->end != b->end)
		return a->end < b->end ? -1 : 1;
	if (a->vector != b->vector)
		return a->vector < b->vector ? -1 : 1;
	return a->cookie < b->cookie ? -1 : a->cookie > b->cookie;
}

static bool stands_on(const struct reader *r, const struct key *key)
{
	return !r->done && !compare_keys(&r->key, key);
}

static void read_stamps(struct join *j, struct reader *r, const struct key *key)
{
	for (g_array_set_size(j->stamps, 0); stands_on(r, key); reader_next(r)) {
		const struct stamp stamp = {
			.count = (uint32_t)number(r, COL_VALUES),
			.tsc = number(r, COL_VALUES + 1),
		};

		g_array_append_val(j->stamps, stamp);
	}
}

static void read_stops(struct join *j, struct reader *r, const struct key *key)
{
	for (g_array_set_size(j->stops, 0); stands_on(r, key); reader_next(r)) {
		const struct stop stop = {
			.journey = number(r, COL_VALUES),
			.dispatch_ns = number(r, COL_VALUES + 1),
			.first_ns = number(r, COL_VALUES + 2),
			.last_ns = number(r, COL_VALUES + 3),
			.vcpu_id = (uint32_t)number(r, COL_VALUES + 4),
			.unseen = number(r, COL_VALUES + 5),
		};

		g_array_append_val(j->stops, stop);
	}
}

static const struct stamp *stamp_at(const struct join *j, guint i)
{
	return &g_array_index(j->stamps, struct stamp, i);
}

static const struct stop *stop_at(const struct join *j, guint i)
{
	return &g_array_index(j->stops, struct stop, i);
}

/* ---- using a stamp ---- */

static int to_host(const struct join *j, uint32_t vcpu_id, uint64_t tsc, uint64_t *t_ns,
		   uint64_t *err_ns)
{
	return ivm_guest_clock_to_host(j->s->clock, j->lane->end->vm->id, vcpu_id, tsc, t_ns,
				       err_ns);
}

static void set_point(struct join *j, const struct stop *stop, uint64_t t_ns, uint64_t err_ns)
{
	uint64_t *widest = j->point == IVM_P_RING ? &j->lane->ring_err_ns : &j->lane->isr_err_ns;
	uint64_t *used = j->point == IVM_P_RING ? &j->s->stats.ring : &j->s->stats.isr;
	int err = ivm_recording_set_point(j->recording, stop->journey, j->point, t_ns);

	if (!j->err)
		j->err = err;
	*widest = MAX(*widest, err_ns);
	(*used)++;
}

/*
 * @early_ns must not come after @late_ns.  Within the bound nobody can tell, so
 * that such a stamp is no use; beyond it something is wrong.
 */
static bool is_in_order(struct join *j, uint64_t early_ns, uint64_t late_ns, uint64_t err_ns)
{
	if (early_ns <= late_ns)
		return true;
	if (early_ns > late_ns + err_ns)
		j->s->stats.disordered++;
	else
		j->s->stats.dropped++;
	return false;
}

static void miss_journey(struct join *j, const struct stop *stop)
{
	if (stop->dispatch_ns >= j->lane->from_ns)
		j->s->stats.unmatched++;
}

/*
 * When was it, by any vCPU of the VM?  For stamps without journey.  -ERANGE, by
 * all of them, is an answer, too: the samples span the whole recording.
 */
static int any_time(const struct join *j, uint64_t tsc, uint64_t *t_ns)
{
	const GPtrArray *vcpus = j->s->topology->vcpus;
	int err, result = -ERANGE;
	uint64_t err_ns;
	guint i;

	for (i = 0; i < vcpus->len; i++) {
		const struct ivm_vcpu *vcpu = g_ptr_array_index(vcpus, i);

		if (vcpu->vm != j->lane->end->vm)
			continue;
		err = to_host(j, vcpu->vcpu_id, tsc, t_ns, &err_ns);
		if (!err)
			return 0;
		if (err != -ERANGE)
			result = err;
	}
	return result;
}

/* ---- ring ---- */

static void use_ring(struct join *j, const struct stop *stop, const struct stamp *stamp)
{
	uint64_t t_ns, err_ns;

	if (to_host(j, stop->vcpu_id, stamp->tsc, &t_ns, &err_ns))
		j->s->stats.dropped++;
	else if (is_in_order(j, t_ns, stop->first_ns, err_ns))
		set_point(j, stop, t_ns, err_ns);
	j->newest_ns = MAX(j->newest_ns, stop->dispatch_ns);
}

/* Of a doorbell that was rung outside the recording nothing is missing */
static void miss_ring(struct join *j, const struct stamp *stamp)
{
	uint64_t t_ns;
	int err = any_time(j, stamp->tsc, &t_ns);

	if (err && err != -ERANGE)
		j->s->stats.dropped++;
	else if (!err && t_ns >= j->lane->from_ns && t_ns < j->s->stopped_ns)
		g_array_append_val(j->alone, t_ns);
}

static void join_rings(struct join *j)
{
	guint i;

	if (j->stamps->len == j->stops->len) {
		for (i = 0; i < j->stops->len; i++)
			use_ring(j, stop_at(j, i), stamp_at(j, i));
		return;
	}
	for (i = 0; i < j->stops->len; i++)
		miss_journey(j, stop_at(j, i));
	for (i = 0; i < j->stamps->len; i++)
		miss_ring(j, stamp_at(j, i));
}

/*
 * A vCPU may have rung just before the stop and come to dispatch just after it:
 * after all others, and once at the most.
 */
static void settle_alone(struct join *j)
{
	const GPtrArray *vcpus = j->s->topology->vcpus;
	uint64_t allowed = 0;
	guint i;

	for (i = 0; i < vcpus->len; i++)
		allowed += ((struct ivm_vcpu *)g_ptr_array_index(vcpus, i))->vm ==
			   j->lane->end->vm;
	for (i = 0; i < j->alone->len; i++) {
		if (g_array_index(j->alone, uint64_t, i) > j->newest_ns && allowed)
			allowed--;
		else
			j->s->stats.unmatched++;
	}
	g_array_set_size(j->alone, 0);
	j->newest_ns = 0;
}

/* ---- handlers ---- */

/* Where the two sequences stand */
struct pairing {
	guint stop;
	guint stamp;
	uint32_t expected;	/* running count of the next handler */
	uint32_t skipped;	/* end points left out since the last pair */
	bool started;		/* a pair was found: the two agree from there on */
};

/* A handler that ran without a journey: of a ring from before or after */
static void miss_handler(struct join *j, const struct pairing *p, uint64_t t_ns)
{
	if (p->started && t_ns < j->s->stopped_ns)
		j->s->stats.unmatched++;
}

static void use_handler(struct join *j, const struct pairing *p, const struct stop *stop,
			const struct stamp *stamp, uint64_t t_ns, uint64_t err_ns)
{
	/* As many stamps must be missing as end points were left out */
	if (p->started && stamp->count - p->expected != p->skipped)
		j->s->stats.dropped++;
	else if (is_in_order(j, stop->last_ns, t_ns, err_ns))
		set_point(j, stop, t_ns, err_ns);
}

static void step_handler(struct join *j, struct pairing *p)
{
	const struct stop *stop = stop_at(j, p->stop);
	const struct stop *next = p->stop + 1 < j->stops->len ? stop_at(j, p->stop + 1) : NULL;
	const struct stamp *stamp = stamp_at(j, p->stamp);
	uint64_t t_ns, err_ns;
	int err = to_host(j, stop->vcpu_id, stamp->tsc, &t_ns, &err_ns);

	if (err) {
		/* From before: the vCPU lost its CPU between handler and stamp */
		j->s->stats.dropped += err != -ERANGE || p->started;
		/* The count still says whose it was */
		if (p->started && stamp->count - p->expected == p->skipped)
			p->stop++;
	} else if (t_ns + err_ns < stop->first_ns) {
		miss_handler(j, p, t_ns);
		p->skipped = 0;
	} else if (next && t_ns > next->first_ns + err_ns) {
		miss_journey(j, stop);
		p->stop++;
		p->skipped++;
		return;
	} else {
		use_handler(j, p, stop, stamp, t_ns, err_ns);
		p->stop++;
		p->skipped = 0;
		p->started = true;
	}
	p->expected = stamp->count + 1;
	p->stamp++;
}

static bool ends_are_seen(const struct join *j)
{
	guint i;

	for (i = 0; i < j->stops->len; i++)
		if (stop_at(j, i)->unseen)
			return false;
	return true;
}

static void join_handlers(struct join *j)
{
	struct pairing p = {};
	uint64_t t_ns;

	/* Without all end points there is nothing to count along */
	if (!ends_are_seen(j))
		return;
	while (p.stop < j->stops->len && p.stamp < j->stamps->len) {
		/* The guest began anew: so does its count */
		if (stamp_at(j, p.stamp)->count < p.expected) {
			p.expected = stamp_at(j, p.stamp)->count;
			p.started = false;
		}
		step_handler(j, &p);
	}
	for (; p.stop < j->stops->len; p.stop++)
		miss_journey(j, stop_at(j, p.stop));
	for (; p.stamp < j->stamps->len; p.stamp++)
		if (!any_time(j, stamp_at(j, p.stamp)->tsc, &t_ns))
			miss_handler(j, &p, t_ns);
}

/* ---- all of it ---- */

static void join_batch(struct join *j, const struct key *key)
{
	struct lane *lane = ivm_stamps_lane(j->s, key->end);

	if (lane != j->lane && j->lane)
		settle_alone(j);
	j->lane = lane;
	/* Journeys of a guest that writes no stamps lack nothing */
	if (!lane || !lane->wrote)
		return;
	if (j->point == IVM_P_RING)
		join_rings(j);
	else
		join_handlers(j);
}

static int join_point(struct ivm_stamps *s, enum ivm_point point, const char *stamps_sql,
		      const char *stops_sql)
{
	struct join j = { .s = s, .recording = s->recording, .point = point };
	sqlite3 *db = ivm_recording_db(s->recording);
	struct reader stamps, stops;
	struct key key;

	j.stamps = g_array_new(FALSE, FALSE, sizeof(struct stamp));
	j.stops = g_array_new(FALSE, FALSE, sizeof(struct stop));
	j.alone = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	reader_open(&stamps, db, stamps_sql);
	reader_open(&stops, db, stops_sql);
	while ((!stamps.done || !stops.done) && !j.err) {
		if (stops.done || (!stamps.done && compare_keys(&stamps.key, &stops.key) < 0))
			key = stamps.key;
		else
			key = stops.key;
		read_stamps(&j, &stamps, &key);
		read_stops(&j, &stops, &key);
		join_batch(&j, &key);
	}
	if (j.lane)
		settle_alone(&j);
	if (!j.err)
		j.err = stamps.err ? stamps.err : stops.err;
	sqlite3_finalize(stamps.stmt);
	sqlite3_finalize(stops.stmt);
	g_array_unref(j.stamps);
	g_array_unref(j.stops);
	g_array_unref(j.alone);
	return j.err;
}

static int record_bounds(const struct ivm_stamps *s)
{
	int err = 0;
	guint i;

	for (i = 0; i < s->lanes->len && !err; i++) {
		const struct lane *lane = g_ptr_array_index(s->lanes, i);

		if (lane->wrote)
			err = ivm_recording_add_stamp_bounds(s->recording, lane->end->id,
							     lane->ring_err_ns,
							     lane->isr_err_ns);
	}
	return err;
}

int ivm_stamps_join(struct ivm_stamps *s)
{
	int err;

	if (!s->recording || s->why_not)
		return 0;
	err = join_point(s, IVM_P_RING, ring_stamps, ring_stops);
	if (!err)
		err = join_point(s, IVM_P_ISR, handler_stamps, handler_stops);
	return err ? err : record_bounds(s);
}
