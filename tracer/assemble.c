// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The user-space backend of the journey state machine.
 *
 * It owns what bpf/journey.h leaves to a backend: the order of events, whose
 * they are, and where a journey waits until its next event:
 *
 *   thread.sender.open   from dispatch until the thread moves on
 *   stream               in a link's socket, or read and not raised yet, or
 *                        held by the sending device because the socket is full
 *   works                deferred to a kworker, by work item
 *   held                 signalled, but nothing was accepted: masked, or an
 *                        irqfd is not attached
 *   slot                 accepted, pending on (VM, vCPU, IDT vector)
 *   thread.entering      injected, until the guest has left again
 *
 * A journey is in one of these places only and leaves through assemble_settle().
 */
#include "assemble_local.h"

static void thread_free(gpointer p)
{
	struct thread *t = p;

	g_ptr_array_unref(t->pending);
	g_free(t);
}

static void stream_free(gpointer p)
{
	struct stream *stream = p;

	g_queue_clear_full(&stream->sent, g_free);
	g_queue_clear_full(&stream->received, g_free);
	g_queue_clear_full(&stream->unsent, g_free);
	g_clear_pointer(&stream->far.arrivals, g_ptr_array_unref);
	g_free(stream);
}

static void raises_free(gpointer p)
{
	struct raises *raises = p;

	g_free(raises->spare.ring);
	g_free(raises);
}

static void held_free(gpointer p)
{
	g_queue_free_full(p, g_free);
}

static void queue_free(gpointer p)
{
	g_queue_free(p);
}

/**
 * ivm_assemble_new() - an assembler with nothing in flight
 * @topology: consulted for every event; may change between runs
 * @fn: called for each journey that ended
 * @arg: for @fn
 *
 * Return: the assembler; free with ivm_assemble_free().
 */
struct ivm_assemble *ivm_assemble_new(const struct ivm_topology *topology, ivm_journey_fn fn,
				      void *arg)
{
	struct ivm_assemble *a = g_new0(struct ivm_assemble, 1);

	a->topology = topology;
	a->fn = fn;
	a->arg = arg;
	a->stop_ns = UINT64_MAX;
	a->queue = g_array_new(FALSE, FALSE, sizeof(struct ivm_event));
	a->threads = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, thread_free);
	a->slots = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
	a->streams = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, stream_free);
	a->works = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
	a->held = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, held_free);
	a->raises = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, raises_free);
	a->raised = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
					  assemble_raised_free);
	a->arrivals = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
	a->unbound = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, queue_free);
	a->followers = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
					     (GDestroyNotify)g_hash_table_destroy);
	a->counts = g_hash_table_new(g_direct_hash, g_direct_equal);
	a->count_rows = g_ptr_array_new_with_free_func(g_free);
	return a;
}

/* A record in the queue is an event that points to it */
static void free_record(const struct ivm_event *e)
{
	if (e->type == IVM_EV_RECORD)
		g_free(GSIZE_TO_POINTER(e->a));
}

/**
 * ivm_assemble_on_fate() - asks to be told of coalesced journeys whose carrier is lost
 * @a: the assembler
 * @fate: gets the argument of ivm_assemble_new()
 */
void ivm_assemble_on_fate(struct ivm_assemble *a, ivm_fate_fn fate)
{
	a->fate = fate;
}

/**
 * ivm_assemble_on_arrival() - asks to be told of what rings from another host led to
 * @a: the assembler
 * @arrival: gets the argument of ivm_assemble_new()
 */
void ivm_assemble_on_arrival(struct ivm_assemble *a, ivm_arrival_fn arrival)
{
	a->arrival = arrival;
}

/**
 * ivm_assemble_free() - frees an assembler and what is still in flight
 * @a: may be NULL
 */
void ivm_assemble_free(struct ivm_assemble *a)
{
	guint i;

	if (!a)
		return;
	for (i = 0; i < a->queue->len; i++)
		free_record(&g_array_index(a->queue, struct ivm_event, i));
	g_hash_table_destroy(a->threads);
	g_hash_table_destroy(a->slots);
	g_hash_table_destroy(a->streams);
	g_hash_table_destroy(a->works);
	g_hash_table_destroy(a->held);
	g_hash_table_destroy(a->raises);
	g_hash_table_destroy(a->raised);
	g_hash_table_destroy(a->arrivals);
	g_hash_table_destroy(a->unbound);
	g_hash_table_destroy(a->followers);
	g_hash_table_destroy(a->counts);
	g_ptr_array_unref(a->count_rows);
	g_array_unref(a->queue);
	g_free(a);
}

/* ---- the stream of events ---- */

static void waking(struct ivm_assemble *a, struct thread *t, const struct ivm_event *e)
{
	const struct ivm_vcpu *vcpu = ivm_topology_vcpu(a->topology, e->a);

	if (vcpu)
		assemble_receiver_event(a, assemble_thread(a, vcpu->tid), e);
	assemble_wake_reader(a, t, e);
}

static void step(struct ivm_assemble *a, const struct ivm_event *e)
{
	struct thread *t;

	if (e->type == IVM_EV_RECORD) {
		assemble_record(a, GSIZE_TO_POINTER(e->a));
		free_record(e);
		return;
	}
	t = assemble_thread(a, e->tid);
	a->stats.events++;
	if (e->type != IVM_EV_SWITCH_OUT)
		t->cpu = e->cpu;

	switch (e->type) {
	case IVM_EV_MMIO:
		if (e->a == IVM_APIC_EOI)
			break;
		/* fall through */
	case IVM_EV_PIO:
		t->accepted = NULL;
		assemble_sender_event(a, t, e);
		assemble_open_doorbell(a, t, e);
		break;
	case IVM_EV_EXIT:
	case IVM_EV_ENTRY:
		t->accepted = NULL;
		assemble_sender_event(a, t, e);
		assemble_receiver_event(a, t, e);
		break;
	case IVM_EV_ACCEPT:
		if ((e->c & IVM_DELIVERY_MODE) == IVM_DELIVERY_INIT)
			assemble_reset_vcpu(a, e);
		else
			assemble_sender_event(a, t, e);
		break;
	case IVM_EV_SENDMSG_RET:
		assemble_finish_send(t, e);
		break;
	case IVM_EV_RECVMSG:
		assemble_receive_rings(a, e);
		break;
	case IVM_EV_READ:
		assemble_read_eventfd(a, e);
		break;
	case IVM_EV_APICV_ACCEPT:
		assemble_posted(a, t);
		break;
	case IVM_EV_WAKING:
		waking(a, t, e);
		break;
	case IVM_EV_SWITCH_IN:
		assemble_run_reader(a, e);
		assemble_receiver_event(a, t, e);
		break;
	case IVM_EV_UNHALT:
		assemble_receiver_event(a, t, e);
		break;
	case IVM_EV_IPI:
		assemble_kick(a, t, e);
		break;
	case IVM_EV_INJ:
	case IVM_EV_EOI:
		assemble_end_event(a, e);
		break;
	case IVM_EV_WORK_START:
		assemble_start_work(a, t, e);
		break;
	default:
		assemble_sender_event(a, t, e);
		break;
	}
}

/**
 * ivm_assemble_event() - queues one event
 * @a: the assembler
 * @event: copied
 */
void ivm_assemble_event(struct ivm_assemble *a, const struct ivm_event *event)
{
	g_array_append_val(a->queue, *event);
}

/* What meets another QEMU's doing, or a kworker's, does so in the order of time */
static bool is_to_be_ordered(const struct ivm_journey_record *r)
{
	return r->kind != IVM_REC_ENDED || (r->j.flags & IVM_J_RAISED) ||
	       ivm_seen(&r->j, IVM_P_WORK);
}

/**
 * ivm_assemble_record() - takes what BPF programs have put together
 * @a: the assembler
 * @record: copied
 */
void ivm_assemble_record(struct ivm_assemble *a, const struct ivm_journey_record *record)
{
	struct ivm_event e = { .t_ns = record->t_ns, .type = IVM_EV_RECORD };

	if (is_to_be_ordered(record)) {
		e.a = GPOINTER_TO_SIZE(g_memdup2(record, sizeof(*record)));
		g_array_append_val(a->queue, e);
	} else {
		assemble_record(a, record);
	}
}

/**
 * ivm_assemble_slot() - takes what was pending when the programs were detached
 * @a: the assembler, to be finished next
 * @slot: copied
 * @purge_ns: what was accepted before was dropped, 0 none
 */
void ivm_assemble_slot(struct ivm_assemble *a, const struct ivm_slot *slot, uint64_t purge_ns)
{
	struct ivm_slot s = *slot;
	struct ivm_journey_record r = { .kind = IVM_REC_ENDED };

	while (ivm_slot_purge(&s, purge_ns, &r.j))
		assemble_record(a, &r);
	assemble_finish_pending(a, &s);
}

static gint by_time(gconstpointer x, gconstpointer y)
{
	const struct ivm_event *a = x, *b = y;

	return a->t_ns < b->t_ns ? -1 : a->t_ns > b->t_ns;
}

/**
 * ivm_assemble_run() - works off what is old enough to be complete
 * @a: the assembler
 * @until_ns: events stamped from here on stay queued
 *
 * Events of one CPU arrive in order, those of two CPUs only nearly so: call it
 * with a time that no event still under way can be older than.
 *
 * Return: 0, or the first -errno of the journey callback.
 */
int ivm_assemble_run(struct ivm_assemble *a, uint64_t until_ns)
{
	guint i;

	/* g_array_sort() is stable: one thread's events keep their order */
	g_array_sort(a->queue, by_time);
	for (i = 0; i < a->queue->len; i++) {
		const struct ivm_event *e = &g_array_index(a->queue, struct ivm_event, i);

		if (e->t_ns >= until_ns)
			break;
		if (e->t_ns < a->now_ns)
			a->stats.late++;
		else
			a->now_ns = e->t_ns;
		step(a, e);
	}
	if (i)
		g_array_remove_range(a->queue, 0, i);
	return a->err;
}

/**
 * ivm_assemble_stop() - the recording ends; what is under way may still end
 * @a: the assembler
 * @now_ns: CLOCK_MONOTONIC
 */
void ivm_assemble_stop(struct ivm_assemble *a, uint64_t now_ns)
{
	a->stop_ns = now_ns;
}

/* ---- what never ended ---- */

enum ivm_outcome assemble_outcome_in_flight(struct ivm_assemble *a, const struct ivm_journey *j)
{
	const struct ivm_end *to = ivm_topology_end(a->topology, j->to_end);

	if (to && (to->dead || !to->page.up))
		return IVM_O_DROPPED;
	/* Whoever emulates a vCPU does not tell when it takes an interrupt */
	return to && to->kind == IVM_END_LINK && to->page.accel != IVM_ACCEL_KVM ?
	       IVM_O_UNSEEN : IVM_O_UNFINISHED;
}

/* Held by MASK, by the MSI-X mask, or because no irqfd is attached */
static enum ivm_outcome outcome_held(struct ivm_assemble *a, const struct ivm_journey *j)
{
	const struct ivm_end *to = ivm_topology_end(a->topology, j->to_end);
	bool can_arrive;

	if (!to || to->dead || j->vector >= to->page.vectors)
		return assemble_outcome_in_flight(a, j);
	can_arrive = (to->page.vector[j->vector].flags & IVM_LP_VEC_DELIVERABLE) &&
		     !to->page.mask[j->vector];
	return can_arrive ? assemble_outcome_in_flight(a, j) : IVM_O_MASKED;
}

/* Sent later than its doorbell, and read: then the receiving device holds it */
static enum ivm_outcome outcome_unsent(struct ivm_assemble *a, const struct ivm_journey *j)
{
	const struct ivm_end *to = ivm_topology_end(a->topology, j->to_end);

	if (to && assemble_was_flushed(assemble_stream(a, to), j))
		return outcome_held(a, j);
	return assemble_outcome_in_flight(a, j);
}

typedef enum ivm_outcome (*outcome_fn)(struct ivm_assemble *a, const struct ivm_journey *j);

static void drain(struct ivm_assemble *a, GQueue *queue, outcome_fn outcome)
{
	struct ivm_journey *j;

	while ((j = g_queue_pop_head(queue)))
		assemble_free_settled(a, j, outcome(a, j));
}

/* Setting one aside may make new threads, so they are listed first */
static void finish_threads(struct ivm_assemble *a)
{
	GList *threads = g_hash_table_get_values(a->threads);
	GList *l;

	for (l = threads; l; l = l->next) {
		struct thread *t = l->data;

		if (t->sender.open.id)
			assemble_set_aside(a, assemble_take_open(t));
	}
	for (l = threads; l; l = l->next) {
		struct thread *t = l->data;

		if (t->entering.id)
			assemble_settle(a, &t->entering);
		t->entering.id = 0;
		g_ptr_array_set_size(t->pending, 0);
	}
	g_list_free(threads);
}

static void finish_slots(struct ivm_assemble *a)
{
	GHashTableIter it;
	gpointer value;

	g_hash_table_iter_init(&it, a->slots);
	while (g_hash_table_iter_next(&it, NULL, &value))
		assemble_finish_slot(a, &((struct slot *)value)->s);
}

static void finish_waiting(struct ivm_assemble *a)
{
	GHashTableIter it;
	gpointer value;

	g_hash_table_iter_init(&it, a->works);
	while (g_hash_table_iter_next(&it, NULL, &value)) {
		assemble_hold(a, g_memdup2(value, sizeof(struct ivm_journey)));
		g_hash_table_iter_remove(&it);
	}
	g_hash_table_iter_init(&it, a->streams);
	while (g_hash_table_iter_next(&it, NULL, &value)) {
		drain(a, &((struct stream *)value)->sent, assemble_outcome_in_flight);
		/* Read by QEMU and not raised: its device holds it */
		drain(a, &((struct stream *)value)->received, outcome_held);
		drain(a, &((struct stream *)value)->unsent, outcome_unsent);
	}
	g_hash_table_iter_init(&it, a->held);
	while (g_hash_table_iter_next(&it, NULL, &value))
		drain(a, value, outcome_held);
}

/**
 * ivm_assemble_finish() - works off the queue and settles what is in flight
 * @a: the assembler; takes no more events
 *
 * Return: 0, or the first -errno of the journey callback.
 */
int ivm_assemble_finish(struct ivm_assemble *a)
{
	ivm_assemble_run(a, UINT64_MAX);
	finish_threads(a);
	finish_slots(a);
	assemble_finish_raised(a);
	assemble_far_finish(a);
	finish_waiting(a);
	return a->err;
}

/**
 * ivm_assemble_counts() - what was counted, a row per (from_end, vector)
 * @a: the assembler
 *
 * Return: array of struct ivm_counts, owned by @a.
 */
const GPtrArray *ivm_assemble_counts(const struct ivm_assemble *a)
{
	return a->count_rows;
}

/**
 * ivm_assemble_stats() - what did not fit, counted
 * @a: the assembler
 *
 * Return: the counters, owned by @a.
 */
const struct ivm_assemble_stats *ivm_assemble_stats(const struct ivm_assemble *a)
{
	return &a->stats;
}
