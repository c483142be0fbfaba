// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A recording as a Perfetto trace: ui.perfetto.dev and trace_processor read it.
 *
 * Each journey is a slice on its link, and each of its hops a slice on the
 * thread that had to act for the hop to end.  A flow leads from the thread that
 * rang to the guest that takes the interrupt.  Packets are written as the
 * journeys are read, so memory does not grow with the recording.
 *
 * Field numbers: protos/perfetto/trace/ of Perfetto; they never change.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cursor.h"
#include "perfetto_tracks.h"
#include "protobuf.h"
#include "report.h"

enum {
	TRACE_PACKET = 1,

	PACKET_CLOCK_SNAPSHOT = 6,
	PACKET_TIMESTAMP = 8,
	PACKET_SEQUENCE_ID = 10,
	PACKET_TRACK_EVENT = 11,
	PACKET_INTERNED_DATA = 12,
	PACKET_SEQUENCE_FLAGS = 13,
	PACKET_DEFAULTS = 59,
	PACKET_TRACK_DESCRIPTOR = 60,

	SNAPSHOT_CLOCKS = 1,
	SNAPSHOT_PRIMARY_CLOCK = 2,
	CLOCK_ID = 1,
	CLOCK_TIMESTAMP = 2,

	DEFAULTS_CLOCK_ID = 58,

	INTERNED_EVENT_NAMES = 2,
	INTERNED_IID = 1,
	INTERNED_NAME = 2,

	TRACK_UUID = 1,
	TRACK_NAME = 2,
	TRACK_PROCESS = 3,
	TRACK_THREAD = 4,
	TRACK_PARENT_UUID = 5,
	PROCESS_PID = 1,
	PROCESS_NAME = 6,
	THREAD_PID = 1,
	THREAD_TID = 2,
	THREAD_NAME = 5,

	EVENT_ANNOTATION = 4,
	EVENT_TYPE = 9,
	EVENT_NAME_IID = 10,
	EVENT_TRACK_UUID = 11,
	EVENT_CATEGORY = 22,
	EVENT_NAME = 23,
	EVENT_FLOW_ID = 47,
	EVENT_LAST_FLOW_ID = 48,

	ANNOTATION_U64 = 3,
	ANNOTATION_STRING = 6,
	ANNOTATION_NAME = 10,
};

#define SEQUENCE_ID		1	/* all packets are of one writer */
#define INCREMENTAL_STATE_CLEARED	1
#define NEEDS_INCREMENTAL_STATE		2
#define BUILTIN_CLOCK_MONOTONIC		3

enum event_type {
	SLICE_BEGIN = 1,
	SLICE_END = 2,
	INSTANT = 3,
};

static const char *const points[] = IVM_POINT_NAMES;
static const char *const modes[] = IVM_MODE_NAMES;
static const char *const outcomes[] = IVM_OUTCOME_NAMES;

struct writer {
	const struct ivm_report *r;
	FILE *out;
	struct ivm_tracks *tracks;
	GHashTable *tids;	/* struct ivm_track_key * of a vCPU -> its thread id */
	/* Under construction, the outer one first; all are empty between packets */
	GByteArray *trace;
	GByteArray *packet;
	GByteArray *body;	/* of the packet: an event, a track, names */
	GByteArray *detail;	/* in the body: an annotation, a name */
};

/* ---- packets ---- */

/* Each packet is written as a field of the trace, so a trace may end after any of them */
static void write_packet(struct writer *w)
{
	ivm_pb_u64(w->packet, PACKET_SEQUENCE_ID, SEQUENCE_ID);
	ivm_pb_message(w->trace, TRACE_PACKET, w->packet);
	fwrite(w->trace->data, 1, w->trace->len, w->out);
	g_byte_array_set_size(w->trace, 0);
}

static void describe_track(void *arg, uint64_t uuid, const struct ivm_track_label *label)
{
	struct writer *w = arg;

	ivm_pb_u64(w->body, TRACK_UUID, uuid);
	if (label->parent)
		ivm_pb_u64(w->body, TRACK_PARENT_UUID, label->parent);
	if (label->tid) {
		ivm_pb_u64(w->detail, THREAD_PID, (uint64_t)label->pid);
		ivm_pb_u64(w->detail, THREAD_TID, (uint64_t)label->tid);
		ivm_pb_string(w->detail, THREAD_NAME, label->name);
		ivm_pb_message(w->body, TRACK_THREAD, w->detail);
	} else if (label->pid) {
		ivm_pb_u64(w->detail, PROCESS_PID, (uint64_t)label->pid);
		ivm_pb_string(w->detail, PROCESS_NAME, label->name);
		ivm_pb_message(w->body, TRACK_PROCESS, w->detail);
	} else {
		ivm_pb_string(w->body, TRACK_NAME, label->name);
	}
	ivm_pb_message(w->packet, PACKET_TRACK_DESCRIPTOR, w->body);
	write_packet(w);
}

/* The event is in w->body, and goes out as it is */
static void write_event(struct writer *w, uint64_t t_ns)
{
	ivm_pb_u64(w->packet, PACKET_TIMESTAMP, t_ns);
	ivm_pb_u64(w->packet, PACKET_SEQUENCE_FLAGS, NEEDS_INCREMENTAL_STATE);
	ivm_pb_message(w->packet, PACKET_TRACK_EVENT, w->body);
	write_packet(w);
}

static void start_event(struct writer *w, enum event_type type, uint64_t uuid)
{
	ivm_pb_u64(w->body, EVENT_TYPE, type);
	ivm_pb_u64(w->body, EVENT_TRACK_UUID, uuid);
}

static void end_slice(struct writer *w, uint64_t uuid, uint64_t t_ns)
{
	start_event(w, SLICE_END, uuid);
	write_event(w, t_ns);
}

static void annotate_u64(struct writer *w, const char *name, uint64_t value)
{
	ivm_pb_string(w->detail, ANNOTATION_NAME, name);
	ivm_pb_u64(w->detail, ANNOTATION_U64, value);
	ivm_pb_message(w->body, EVENT_ANNOTATION, w->detail);
}

static void annotate(struct writer *w, const char *name, const char *value)
{
	ivm_pb_string(w->detail, ANNOTATION_NAME, name);
	ivm_pb_string(w->detail, ANNOTATION_STRING, value);
	ivm_pb_message(w->body, EVENT_ANNOTATION, w->detail);
}

/* ---- names, each written out once ---- */

static uint64_t hop_iid(int from, int to)
{
	return 1 + (uint64_t)from * IVM_POINTS + (uint64_t)to;
}

static uint64_t point_iid(int point)
{
	return hop_iid(point, point);
}

static uint64_t journey_iid(const struct ivm_journey *j)
{
	return hop_iid(IVM_POINTS, 0) + (uint64_t)j->mode * IVM_OUTCOMES + j->outcome;
}

static void intern(struct writer *w, uint64_t iid, const char *name)
{
	ivm_pb_u64(w->detail, INTERNED_IID, iid);
	ivm_pb_string(w->detail, INTERNED_NAME, name);
	ivm_pb_message(w->body, INTERNED_EVENT_NAMES, w->detail);
}

static void intern_hops(struct writer *w)
{
	char name[64];
	int from, to;

	for (from = 0; from < IVM_POINTS; from++) {
		intern(w, point_iid(from), from == IVM_P_EOI_STANDIN ? "eoi~" : points[from]);
		for (to = from + 1; to < IVM_POINTS; to++) {
			snprintf(name, sizeof(name), "%s..%s%s", points[from], points[to],
				 ivm_row_approx(from, to) ? "~" : "");
			intern(w, hop_iid(from, to), name);
		}
	}
}

static void intern_journeys(struct writer *w)
{
	struct ivm_journey j = { 0 };
	char name[64];

	for (j.mode = 0; j.mode < IVM_MODES; j.mode++) {
		for (j.outcome = 0; j.outcome < IVM_OUTCOMES; j.outcome++) {
			bool plain = j.outcome == IVM_O_DELIVERED;

			snprintf(name, sizeof(name), "%s%s%s", modes[j.mode], plain ? "" : ", ",
				 plain ? "" : outcomes[j.outcome]);
			intern(w, journey_iid(&j), name);
		}
	}
}

static void write_names(struct writer *w)
{
	intern_hops(w);
	intern_journeys(w);
	ivm_pb_message(w->packet, PACKET_INTERNED_DATA, w->body);
	ivm_pb_u64(w->body, DEFAULTS_CLOCK_ID, BUILTIN_CLOCK_MONOTONIC);
	ivm_pb_message(w->packet, PACKET_DEFAULTS, w->body);
	ivm_pb_u64(w->packet, PACKET_SEQUENCE_FLAGS, INCREMENTAL_STATE_CLEARED);
	write_packet(w);
}

/* Without this all times would be taken for CLOCK_BOOTTIME */
static void write_clock(struct writer *w, uint64_t start_ns)
{
	ivm_pb_u64(w->detail, CLOCK_ID, BUILTIN_CLOCK_MONOTONIC);
	ivm_pb_u64(w->detail, CLOCK_TIMESTAMP, start_ns);
	ivm_pb_message(w->body, SNAPSHOT_CLOCKS, w->detail);
	ivm_pb_u64(w->body, SNAPSHOT_PRIMARY_CLOCK, BUILTIN_CLOCK_MONOTONIC);
	ivm_pb_message(w->packet, PACKET_CLOCK_SNAPSHOT, w->body);
	write_packet(w);
}

/* ---- tracks ---- */

static struct ivm_track *add_track(struct writer *w, const struct ivm_track_key *key,
				   uint64_t parent, int32_t pid, int32_t tid, char *name)
{
	struct ivm_track_label label = { .parent = parent, .pid = pid, .tid = tid, .name = name };

	return ivm_tracks_add(w->tracks, key, &label);
}

static struct ivm_track *vm_track(struct writer *w, uint32_t vm_id)
{
	const struct ivm_track_key key = { IVM_TRACK_VM, vm_id, 0 };
	struct ivm_track *track = ivm_tracks_find(w->tracks, &key);
	const struct ivm_report_vm *vm = ivm_report_find_vm(w->r, vm_id);

	if (track)
		return track;
	return add_track(w, &key, 0, vm ? vm->pid : 0, 0,
			 vm ? g_strdup(vm->name) : g_strdup_printf("VM %" PRIu32, vm_id));
}

/* A thread of a VM whose id is not known gets a track all the same */
static struct ivm_track *thread_track(struct writer *w, const struct ivm_track_key *key,
				      int32_t tid, char *name)
{
	const struct ivm_report_vm *vm = ivm_report_find_vm(w->r, key->a);
	uint64_t parent = ivm_track_uuid(vm_track(w, key->a));

	return add_track(w, key, parent, vm && tid ? vm->pid : 0, vm ? tid : 0, name);
}

static struct ivm_track *vcpu_track(struct writer *w, uint32_t vm_id, uint32_t vcpu)
{
	const struct ivm_track_key key = { IVM_TRACK_VCPU, vm_id, vcpu };
	struct ivm_track *track = ivm_tracks_find(w->tracks, &key);
	gpointer tid;

	if (track)
		return track;
	tid = g_hash_table_lookup(w->tids, &key);
	return thread_track(w, &key, GPOINTER_TO_INT(tid),
			    g_strdup_printf("vCPU %" PRIu32, vcpu));
}

/* QEMU runs its main loop in the first thread of the process */
static struct ivm_track *main_loop_track(struct writer *w, uint32_t vm_id)
{
	const struct ivm_track_key key = { IVM_TRACK_MAIN, vm_id, 0 };
	struct ivm_track *track = ivm_tracks_find(w->tracks, &key);
	const struct ivm_report_vm *vm = ivm_report_find_vm(w->r, vm_id);

	if (track)
		return track;
	return thread_track(w, &key, vm ? vm->pid : 0, g_strdup("QEMU main loop"));
}

static struct ivm_track *worker_track(struct writer *w)
{
	const struct ivm_track_key key = { IVM_TRACK_WORKER, 0, 0 };
	struct ivm_track *track = ivm_tracks_find(w->tracks, &key);

	return track ? track : add_track(w, &key, 0, 0, 0, g_strdup("kernel workers"));
}

static const char *vm_name(const struct writer *w, const struct ivm_report_end *end)
{
	const struct ivm_report_vm *vm = end ? ivm_report_find_vm(w->r, end->vm) : NULL;

	return vm ? vm->name : "?";
}

static struct ivm_track *link_track(struct writer *w, const struct ivm_journey *j)
{
	const struct ivm_track_key key = { IVM_TRACK_LINK, j->from_end, j->to_end };
	const struct ivm_report_end *from = ivm_report_find_end(w->r, j->from_end);
	const struct ivm_report_end *to = ivm_report_find_end(w->r, j->to_end);
	struct ivm_track *track = ivm_tracks_find(w->tracks, &key);

	if (track)
		return track;
	return add_track(w, &key, 0, 0, 0,
			 g_strdup_printf("link %s: %s → %s", from ? from->link : "?",
					 vm_name(w, from), vm_name(w, to)));
}

static uint32_t vm_of(const struct writer *w, uint32_t end_id)
{
	const struct ivm_report_end *end = ivm_report_find_end(w->r, end_id);

	return end ? end->vm : 0;
}

/* ---- who acts ---- */

enum actor { SENDER, MAIN_LOOP, WORKER, RECEIVER };

/* Thread of a route, its accept, and what that thread does to the receiver */
static enum actor signaller(const struct ivm_journey *j)
{
	if (ivm_seen(j, IVM_P_WORK))
		return WORKER;
	if (ivm_seen(j, IVM_P_UNMASK))
		return RECEIVER;
	return ivm_seen(j, IVM_P_RECV) ? MAIN_LOOP : SENDER;
}

/* Thread that passes @point, and that a hop which ends there waits for */
static enum actor actor_of(const struct ivm_journey *j, int point)
{
	switch (point) {
	case IVM_P_RUN:
	case IVM_P_RECV:
		return MAIN_LOOP;
	case IVM_P_WORK:
		return WORKER;
	case IVM_P_ROUTE:
	case IVM_P_ACCEPT:
	case IVM_P_KICK:
	case IVM_P_VCPU_WAKE:
		return signaller(j);
	default:
		return point <= IVM_P_DEFER && point != IVM_P_UNMASK ? SENDER : RECEIVER;
	}
}

static struct ivm_track *actor_track(struct writer *w, const struct ivm_journey *j,
				     enum actor actor)
{
	switch (actor) {
	case SENDER:
		return vcpu_track(w, vm_of(w, j->from_end), j->from_vcpu);
	case MAIN_LOOP:
		return main_loop_track(w, vm_of(w, j->to_end));
	case WORKER:
		return worker_track(w);
	case RECEIVER:
		break;
	}
	return vcpu_track(w, vm_of(w, j->to_end), j->to_vcpu);
}

/* ---- journeys ---- */

struct seen {
	int point[IVM_POINTS];
	int count;
};

static struct seen seen_points(const struct ivm_journey *j)
{
	struct seen s = { .count = 0 };
	int i;

	for (i = 0; i < IVM_POINTS; i++)
		if (ivm_seen(j, i))
			s.point[s.count++] = i;
	return s;
}

/* Where the guest takes it, as far as was seen; -1 if it never did */
static int arrival(const struct ivm_journey *j)
{
	static const int arrivals[] = { IVM_P_ISR, IVM_P_ENTRY, IVM_P_EOI_STANDIN, IVM_P_INJECT };
	unsigned int i;

	for (i = 0; i < G_N_ELEMENTS(arrivals); i++)
		if (j->outcome == IVM_O_DELIVERED && ivm_seen(j, arrivals[i]))
			return arrivals[i];
	return -1;
}

static void annotate_journey(struct writer *w, const struct ivm_journey *j)
{
	annotate_u64(w, "journey", j->id);
	annotate_u64(w, "vector", j->vector);
	if (j->irq_vector)
		annotate_u64(w, "idt_vector", j->irq_vector);
	annotate_u64(w, "cookie", j->cookie);
	annotate(w, "mode", modes[j->mode]);
	annotate(w, "configured", modes[j->configured]);
	annotate(w, "outcome", outcomes[j->outcome]);
	if (j->flags & IVM_J_POSTED)
		annotate(w, "posted", "yes");
	if (j->flags & IVM_J_DISORDERED)
		annotate(w, "disordered", "yes");
}

/* Points that contradict each other make no slices: an instant says it was there */
static void write_on_link(struct writer *w, const struct ivm_journey *j, const struct seen *s)
{
	struct ivm_track *track = link_track(w, j);
	bool instant = s->count < 2 || (j->flags & IVM_J_DISORDERED);
	uint64_t from_ns = j->t_ns[s->point[0]];
	uint64_t to_ns = instant ? from_ns : j->t_ns[s->point[s->count - 1]];
	uint64_t uuid = ivm_tracks_lane(w->tracks, track, from_ns, to_ns);

	start_event(w, instant ? INSTANT : SLICE_BEGIN, uuid);
	ivm_pb_string(w->body, EVENT_CATEGORY, "journey");
	ivm_pb_u64(w->body, EVENT_NAME_IID, journey_iid(j));
	annotate_journey(w, j);
	write_event(w, from_ns);
	if (!instant)
		end_slice(w, uuid, to_ns);
}

static void write_hop(struct writer *w, const struct ivm_journey *j, uint64_t uuid, int from,
		      int to, bool flow)
{
	start_event(w, SLICE_BEGIN, uuid);
	ivm_pb_string(w->body, EVENT_CATEGORY, "hop");
	ivm_pb_u64(w->body, EVENT_NAME_IID, hop_iid(from, to));
	if (flow)
		ivm_pb_fixed64(w->body, EVENT_FLOW_ID, j->id);
	annotate_u64(w, "journey", j->id);
	write_event(w, j->t_ns[from]);
	end_slice(w, uuid, j->t_ns[to]);
}

static void write_arrival(struct writer *w, const struct ivm_journey *j, uint64_t uuid, int point)
{
	start_event(w, INSTANT, uuid);
	ivm_pb_string(w->body, EVENT_CATEGORY, "arrival");
	ivm_pb_u64(w->body, EVENT_NAME_IID, point_iid(point));
	ivm_pb_fixed64(w->body, EVENT_LAST_FLOW_ID, j->id);
	write_event(w, j->t_ns[point]);
}

/* Hops of one thread in a row, from the @first to the @last point; the flow enters with them */
static void write_leg(struct writer *w, const struct ivm_journey *j, const struct seen *s,
		      int first, int last)
{
	struct ivm_track *track = actor_track(w, j, actor_of(j, s->point[last]));
	uint64_t uuid = ivm_tracks_lane(w->tracks, track, j->t_ns[s->point[first]],
					j->t_ns[s->point[last]]);
	int i, taken = arrival(j);

	for (i = first; i < last; i++) {
		write_hop(w, j, uuid, s->point[i], s->point[i + 1], i == first);
		if (s->point[i + 1] == taken)
			write_arrival(w, j, uuid, taken);
	}
}

static void write_legs(struct writer *w, const struct ivm_journey *j, const struct seen *s)
{
	int first = 0, last;

	while (first < s->count - 1) {
		for (last = first + 1; last < s->count - 1; last++)
			if (actor_of(j, s->point[last + 1]) != actor_of(j, s->point[last]))
				break;
		write_leg(w, j, s, first, last);
		first = last;
	}
}

static int write_journeys(struct writer *w)
{
	struct ivm_cursor *cursor;
	struct ivm_journey j;
	struct seen s;
	int err;

	err = ivm_cursor_open(w->r->db, &cursor);
	if (err)
		return err;
	while (!ferror(w->out) && (err = ivm_cursor_next(cursor, &j)) > 0) {
		s = seen_points(&j);
		if (!s.count)
			continue;
		write_on_link(w, &j, &s);
		if (!(j.flags & IVM_J_DISORDERED))
			write_legs(w, &j, &s);
	}
	ivm_cursor_close(cursor);
	return err < 0 ? err : 0;
}

/* ---- the recording as a whole ---- */

static void annotate_meta(struct writer *w)
{
	static const char *const keys[] = { "kernel", "arch", "backend", "rig", "start", "keep",
					    "kept", "not_kept" };
	unsigned int i;

	for (i = 0; i < G_N_ELEMENTS(keys); i++)
		if (ivm_report_meta(w->r, keys[i]))
			annotate(w, keys[i], ivm_report_meta(w->r, keys[i]));
}

/* A slice as long as the recording, so that what was lost is seen before anything else */
static void write_recording(struct writer *w, uint64_t start_ns)
{
	const struct ivm_track_key key = { IVM_TRACK_RECORDING, 0, 0 };
	const char *duration = ivm_report_meta(w->r, "duration_ns");
	struct ivm_track *track = add_track(w, &key, 0, 0, 0, g_strdup("ivmtrace"));

	start_event(w, SLICE_BEGIN, ivm_track_uuid(track));
	ivm_pb_string(w->body, EVENT_CATEGORY, "recording");
	ivm_pb_string(w->body, EVENT_NAME, "recording");
	annotate_meta(w);
	annotate_u64(w, "lost_records", w->r->lost_records);
	annotate_u64(w, "unmatched", w->r->unmatched);
	annotate_u64(w, "disordered", w->r->disordered);
	write_event(w, start_ns);
	end_slice(w, ivm_track_uuid(track),
		  start_ns + (duration ? g_ascii_strtoull(duration, NULL, 10) : 0));
}

static guint key_hash(gconstpointer p)
{
	const struct ivm_track_key *k = p;

	return k->a * 31 + k->b;
}

static gboolean key_equal(gconstpointer a, gconstpointer b)
{
	return !memcmp(a, b, sizeof(struct ivm_track_key));
}

static int load_tids(struct writer *w)
{
	struct ivm_track_key key = { .kind = IVM_TRACK_VCPU };
	sqlite3_stmt *stmt;
	int rc;

	w->tids = g_hash_table_new_full(key_hash, key_equal, g_free, NULL);
	if (sqlite3_prepare_v2(w->r->db, "SELECT vm, vcpu_id, tid FROM vcpus", -1, &stmt, NULL))
		return -EBADMSG;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		key.a = (uint32_t)sqlite3_column_int64(stmt, 0);
		key.b = (uint32_t)sqlite3_column_int64(stmt, 1);
		g_hash_table_insert(w->tids, g_memdup2(&key, sizeof(key)),
				    GINT_TO_POINTER(MAX(sqlite3_column_int(stmt, 2), 0)));
	}
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? 0 : -EBADMSG;
}

static void writer_init(struct writer *w, const struct ivm_report *r, FILE *out)
{
	w->r = r;
	w->out = out;
	w->tracks = ivm_tracks_new(describe_track, w);
	w->trace = g_byte_array_new();
	w->packet = g_byte_array_new();
	w->body = g_byte_array_new();
	w->detail = g_byte_array_new();
}

static void writer_clear(struct writer *w)
{
	ivm_tracks_free(w->tracks);
	g_hash_table_destroy(w->tids);
	g_byte_array_unref(w->trace);
	g_byte_array_unref(w->packet);
	g_byte_array_unref(w->body);
	g_byte_array_unref(w->detail);
}

/**
 * ivm_report_print_perfetto() - write a recording as a Perfetto trace
 * @r: a report
 * @out: where to; ferror() tells if that failed
 *
 * Return: 0, or -EBADMSG if the recording is damaged.
 */
int ivm_report_print_perfetto(const struct ivm_report *r, FILE *out)
{
	const char *start = ivm_report_meta(r, "start_ns");
	uint64_t start_ns = start ? g_ascii_strtoull(start, NULL, 10) : 0;
	struct writer w = { 0 };
	int err;

	writer_init(&w, r, out);
	err = load_tids(&w);
	if (!err) {
		write_clock(&w, start_ns);
		write_names(&w);
		write_recording(&w, start_ns);
		err = write_journeys(&w);
	}
	writer_clear(&w);
	return err;
}
