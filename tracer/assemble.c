// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The user-space backend of the journey state machine.
 *
 * It owns what bpf/journey.h leaves to a backend: the order of events, whose
 * they are, and where a journey waits until its next event:
 *
 *   thread.sender.open   from dispatch until the thread moves on
 *   stream               in a link's socket, or read and not raised yet
 *   works                deferred to a kworker, by work item
 *   held                 signalled, but nothing was accepted: masked, or an
 *                        irqfd is not attached, or the socket was full
 *   slot                 accepted, pending on (VM, vCPU, IDT vector)
 *   thread.active        the ones of a vCPU that its events may still stamp
 *
 * A journey is in one of these places only (the head of a slot is in @active
 * as well) and leaves through record().
 */
#include <errno.h>
#include <string.h>

#include "assemble.h"

#define MSI_VECTOR(data)	((uint8_t)(data))

/* All that is known about one thread, whatever its part */
struct thread {
	struct ivm_sender sender;
	GPtrArray *active;		/* journeys this vCPU may still stamp */
	struct stream *sending;		/* inside sendmsg() with the RING of ... */
	uint64_t sending_id;		/* ... this journey */
	struct slot *accepted;		/* where it handed over last ... */
	uint64_t accepted_id;		/* ... this journey, which may be gone by now */
	uint32_t cpu;			/* where it was last seen */
};

/* Accepted and pending on one (VM, vCPU, IDT vector) */
struct slot {
	GQueue pending;
	struct ivm_journey *taken;	/* the newest one counted as coalesced */
	uint64_t others;		/* accepts that no ring caused: LINK_VECTOR */
};

/* One direction of a link's socket, by its receiving end */
struct stream {
	uint64_t link_id;		/* of the link-up that the rest belongs to */
	GQueue sent;			/* by sequence */
	GQueue received;
	uint64_t sent_upto;		/* highest sequence seen in a send */
};

struct ivm_assemble {
	const struct ivm_topology *topology;
	ivm_journey_fn fn;
	void *arg;
	int err;			/* the first one of @fn */

	GArray *queue;			/* struct ivm_event, not worked off yet */
	uint64_t now_ns;		/* time of the last event worked off */
	uint64_t stop_ns;		/* no dispatch counts from here on */
	uint64_t last_id;
	bool inject_seen;		/* kvm_inj_virq fires on this host */

	GHashTable *threads;		/* tid -> struct thread */
	GHashTable *slots;		/* slot key -> struct slot */
	GHashTable *streams;		/* end id -> struct stream */
	GHashTable *works;		/* work item -> struct ivm_journey */
	GHashTable *held;		/* (end, vector) -> GQueue */
	GHashTable *counts;		/* (end, vector) -> struct ivm_counts */
	GPtrArray *count_rows;		/* the same, in order of appearance */
	struct ivm_assemble_stats stats;
};

static void thread_free(gpointer p)
{
	struct thread *t = p;

	g_ptr_array_unref(t->active);
	g_free(t);
}

static void slot_free(gpointer p)
{
	struct slot *slot = p;

	g_queue_clear_full(&slot->pending, g_free);
	g_free(slot->taken);
	g_free(slot);
}

static void stream_free(gpointer p)
{
	struct stream *stream = p;

	g_queue_clear_full(&stream->sent, g_free);
	g_queue_clear_full(&stream->received, g_free);
	g_free(stream);
}

static void held_free(gpointer p)
{
	g_queue_free_full(p, g_free);
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
	a->slots = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, slot_free);
	a->streams = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, stream_free);
	a->works = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
	a->held = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, held_free);
	a->counts = g_hash_table_new(g_direct_hash, g_direct_equal);
	a->count_rows = g_ptr_array_new_with_free_func(g_free);
	return a;
}

/**
 * ivm_assemble_free() - frees an assembler and what is still in flight
 * @a: may be NULL
 */
void ivm_assemble_free(struct ivm_assemble *a)
{
	GHashTableIter it;
	gpointer value;

	if (!a)
		return;
	/* Heads of slots that wait for their entry are in @active alone */
	g_hash_table_iter_init(&it, a->threads);
	while (g_hash_table_iter_next(&it, NULL, &value)) {
		GPtrArray *active = ((struct thread *)value)->active;
		guint i;

		for (i = 0; i < active->len; i++) {
			struct ivm_journey *j = g_ptr_array_index(active, i);

			if (j->outcome == IVM_O_DELIVERED)
				g_free(j);
		}
	}
	g_hash_table_destroy(a->threads);
	g_hash_table_destroy(a->slots);
	g_hash_table_destroy(a->streams);
	g_hash_table_destroy(a->works);
	g_hash_table_destroy(a->held);
	g_hash_table_destroy(a->counts);
	g_ptr_array_unref(a->count_rows);
	g_array_unref(a->queue);
	g_free(a);
}

/* ---- finding things ---- */

static struct thread *get_thread(struct ivm_assemble *a, uint32_t tid)
{
	struct thread *t = g_hash_table_lookup(a->threads, GUINT_TO_POINTER(tid));

	if (!t) {
		t = g_new0(struct thread, 1);
		t->active = g_ptr_array_new();
		g_hash_table_insert(a->threads, GUINT_TO_POINTER(tid), t);
	}
	return t;
}

static struct slot *find_slot(struct ivm_assemble *a, const struct ivm_vm *vm, uint32_t vcpu_id,
			      uint8_t irq_vector, bool create)
{
	gint64 key = (gint64)vm->id << 40 | (gint64)vcpu_id << 8 | irq_vector;
	struct slot *slot = g_hash_table_lookup(a->slots, &key);

	if (!slot && create) {
		slot = g_new0(struct slot, 1);
		g_hash_table_insert(a->slots, g_memdup2(&key, sizeof(key)), slot);
	}
	return slot;
}

static void record_as(struct ivm_assemble *a, struct ivm_journey *j, enum ivm_outcome outcome);

/* A new connection counts from 1; what was in the old one's socket went with it */
static void reset_stream(struct ivm_assemble *a, struct stream *stream, uint64_t link_id)
{
	struct ivm_journey *j;

	while ((j = g_queue_pop_head(&stream->sent)))
		record_as(a, j, IVM_O_DROPPED);
	stream->sent_upto = 0;
	stream->link_id = link_id;
}

static struct stream *get_stream(struct ivm_assemble *a, const struct ivm_end *to)
{
	struct stream *stream = g_hash_table_lookup(a->streams, GUINT_TO_POINTER(to->id));

	if (!stream) {
		stream = g_new0(struct stream, 1);
		g_hash_table_insert(a->streams, GUINT_TO_POINTER(to->id), stream);
	}
	/* 0 while down: messages of the last connection may still be read */
	if (to->page.link_id && to->page.link_id != stream->link_id)
		reset_stream(a, stream, to->page.link_id);
	return stream;
}

static gpointer vector_key(uint32_t end_id, uint32_t vector)
{
	return GSIZE_TO_POINTER((gsize)end_id << 16 | vector);
}

static struct ivm_counts *get_counts(struct ivm_assemble *a, const struct ivm_journey *j)
{
	gpointer key = vector_key(j->from_end, j->vector);
	struct ivm_counts *c = g_hash_table_lookup(a->counts, key);

	if (!c) {
		c = g_new0(struct ivm_counts, 1);
		c->from_end = j->from_end;
		c->vector = j->vector;
		g_hash_table_insert(a->counts, key, c);
		g_ptr_array_add(a->count_rows, c);
	}
	/* A link can be found before its peer is, or its MSI-X be set up later */
	if (j->to_end)
		c->to_end = j->to_end;
	if (j->irq_vector)
		c->irq_vector = j->irq_vector;
	return c;
}

static struct thread *receiver_thread(struct ivm_assemble *a, const struct ivm_journey *j)
{
	const struct ivm_end *to = ivm_topology_end(a->topology, j->to_end);
	const struct ivm_vcpu *vcpu;

	if (!to)
		return NULL;
	vcpu = ivm_topology_vcpu_by_id(a->topology, to->vm, j->to_vcpu);
	return vcpu ? get_thread(a, vcpu->tid) : NULL;
}

/*
 * An MSI that a device writes inside QEMU reaches KVM without the base of the
 * APIC's region, 0xfee00000 (QEMU's kvm_apic_mem_write() hands on the offset).
 */
#define MSI_ADDRESS_BASE	UINT64_C(0xfff00000)

static bool vector_is_at(const struct ivm_linkpage_vector *v, uint64_t address, uint64_t data)
{
	return !((v->msi_address ^ address) & ~MSI_ADDRESS_BASE) && v->msi_data == (uint32_t)data;
}

/* Which vector of one of @vm's ends raises this message; NULL if none does */
static struct ivm_end *find_msi(struct ivm_assemble *a, const struct ivm_vm *vm, uint64_t address,
				uint64_t data, uint32_t *vector)
{
	guint i;

	for (i = 0; i < a->topology->ends->len; i++) {
		struct ivm_end *end = g_ptr_array_index(a->topology->ends, i);

		if (end->vm != vm || end->dead)
			continue;
		for (*vector = 0; *vector < end->page.vectors; (*vector)++)
			if (vector_is_at(&end->page.vector[*vector], address, data))
				return end;
	}
	return NULL;
}

/* ---- the end of a journey ---- */

static void count_outcome(struct ivm_assemble *a, const struct ivm_journey *j)
{
	struct ivm_counts *c = get_counts(a, j);

	switch (j->outcome) {
	case IVM_O_DELIVERED:
		c->delivered++;
		break;
	case IVM_O_COALESCED:
		c->coalesced++;
		break;
	case IVM_O_MASKED:
		c->masked++;
		break;
	case IVM_O_DROPPED:
		c->dropped++;
		break;
	case IVM_O_UNFINISHED:
		c->unfinished++;
		break;
	}
}

/* Hands the journey to the caller and frees it */
static void record(struct ivm_assemble *a, struct ivm_journey *j)
{
	int err;

	ivm_check_order(j);
	if (j->flags & IVM_J_DISORDERED)
		a->stats.disordered++;
	count_outcome(a, j);
	err = a->fn(a->arg, j);
	if (err && !a->err)
		a->err = err;
	g_free(j);
}

static void record_as(struct ivm_assemble *a, struct ivm_journey *j, enum ivm_outcome outcome)
{
	j->outcome = outcome;
	record(a, j);
}

static void deactivate(struct ivm_assemble *a, struct ivm_journey *j)
{
	struct thread *rx = receiver_thread(a, j);

	if (rx)
		g_ptr_array_remove(rx->active, j);
}

/* The guest took @j: it lacks its entry at the most */
static void deliver(struct ivm_assemble *a, struct ivm_journey *j, const struct ivm_event *e)
{
	if (ivm_receive_end(j, e) != IVM_RX_DONE)
		return;
	deactivate(a, j);
	record(a, j);
}

/* Everything accepted before this end point went in with the oldest one */
static void coalesce(struct ivm_assemble *a, struct slot *slot)
{
	struct ivm_journey *j;

	while ((j = g_queue_pop_head(&slot->pending))) {
		j->outcome = IVM_O_COALESCED;
		if (slot->taken)
			record(a, slot->taken);
		slot->taken = j;
	}
}

static bool is_link_vector(struct ivm_assemble *a, const struct ivm_vm *vm, uint32_t irq_vector)
{
	guint i, v;

	for (i = 0; i < a->topology->ends->len; i++) {
		const struct ivm_end *end = g_ptr_array_index(a->topology->ends, i);

		if (end->vm != vm || end->dead)
			continue;
		for (v = 0; v < end->page.vectors; v++)
			if (end->page.vector[v].msi_data &&
			    MSI_VECTOR(end->page.vector[v].msi_data) == irq_vector)
				return true;
	}
	return false;
}

/*
 * An interrupt reached its guest.  The oldest ring pending there caused it.
 * With none pending a ring was counted as coalesced too early: its accept came
 * before this end point's predecessor, but its IRR bit was set after it.
 */
static void end_point(struct ivm_assemble *a, const struct ivm_vcpu *vcpu,
		      const struct ivm_event *e)
{
	struct slot *slot = find_slot(a, vcpu->vm, vcpu->vcpu_id, e->a, false);
	struct ivm_journey *j;

	if (!slot) {
		if (is_link_vector(a, vcpu->vm, e->a))
			a->stats.before_start++;
		return;
	}
	j = g_queue_pop_head(&slot->pending);
	if (j) {
		coalesce(a, slot);
		deliver(a, j, e);
	} else if (slot->taken) {
		j = slot->taken;
		slot->taken = NULL;
		j->flags |= IVM_J_CONTENDED;
		g_ptr_array_add(get_thread(a, vcpu->tid)->active, j);
		deliver(a, j, e);
	} else if (slot->others) {
		a->stats.not_rings++;
	} else if (e->t_ns < a->stop_ns) {
		a->stats.unmatched++;
	}
	slot->others = 0;
}

/* ---- from the sender to the receiver ---- */

/* Journeys are told by number: by now the pointer may be another's */
static struct ivm_journey *find_id(const GQueue *queue, uint64_t id)
{
	GList *l;

	for (l = queue->tail; l; l = l->prev)
		if (((struct ivm_journey *)l->data)->id == id)
			return l->data;
	return NULL;
}

/* Takes over @j, accepted for its to_vcpu */
static void hand_over(struct ivm_assemble *a, struct thread *t, struct ivm_journey *j)
{
	const struct ivm_end *to = ivm_topology_end(a->topology, j->to_end);
	struct slot *slot = find_slot(a, to->vm, j->to_vcpu, j->irq_vector, true);
	struct thread *rx = receiver_thread(a, j);

	get_counts(a, j)->accepted++;
	if (rx && g_queue_is_empty(&slot->pending))
		g_ptr_array_add(rx->active, j);
	g_queue_push_tail(&slot->pending, j);
	t->accepted = slot;
	t->accepted_id = j->id;
}

static GQueue *get_held(struct ivm_assemble *a, uint32_t to_end, uint32_t vector, bool create)
{
	gpointer key = vector_key(to_end, vector);
	GQueue *held = g_hash_table_lookup(a->held, key);

	if (!held && create) {
		held = g_queue_new();
		g_hash_table_insert(a->held, key, held);
	}
	return held;
}

static void hold(struct ivm_assemble *a, struct ivm_journey *j)
{
	g_queue_push_tail(get_held(a, j->to_end, j->vector, true), j);
}

/* What was held of this vector is raised together with @by's accept */
static void release_held(struct ivm_assemble *a, struct thread *t, const struct ivm_journey *by)
{
	GQueue *held = get_held(a, by->to_end, by->vector, false);
	struct ivm_journey *j;

	while (held && (j = g_queue_pop_head(held))) {
		if (j->mode == IVM_M_UNKNOWN)
			j->mode = by->mode;
		j->t_ns[IVM_P_ROUTE] = by->t_ns[IVM_P_ROUTE];
		j->t_ns[IVM_P_ACCEPT] = by->t_ns[IVM_P_ACCEPT];
		j->to_vcpu = by->to_vcpu;
		j->irq_vector = by->irq_vector;
		hand_over(a, t, j);
	}
}

/* Moves the open journey out of its thread */
static struct ivm_journey *take_open(struct thread *t)
{
	struct ivm_journey *j = g_memdup2(&t->sender.open, sizeof(*j));

	memset(&t->sender.open, 0, sizeof(t->sender.open));
	return j;
}

static void accept_open(struct ivm_assemble *a, struct thread *t)
{
	struct ivm_journey *j = take_open(t);

	/* Older ones of the vector come first: the end point takes the oldest */
	release_held(a, t, j);
	hand_over(a, t, j);
}

/* A doorbell of any thread that is open, unaccepted, and leads to (end, vector) */
static struct thread *find_open(struct ivm_assemble *a, const struct ivm_end *to, uint32_t vector)
{
	GHashTableIter it;
	gpointer value;

	g_hash_table_iter_init(&it, a->threads);
	while (g_hash_table_iter_next(&it, NULL, &value)) {
		const struct ivm_journey *j = &((struct thread *)value)->sender.open;

		if (j->id && j->to_end == to->id && j->vector == vector)
			return value;
	}
	return NULL;
}

/* The oldest journey of (end, vector) that waits for someone else to raise it */
static struct ivm_journey *take_waiting(struct ivm_assemble *a, const struct ivm_end *to,
					uint32_t vector)
{
	struct stream *stream = get_stream(a, to);
	GQueue *held = get_held(a, to->id, vector, false);
	struct thread *sender;
	GList *l;

	for (l = stream->received.head; l; l = l->next) {
		struct ivm_journey *j = l->data;

		if (j->vector == vector) {
			g_queue_delete_link(&stream->received, l);
			return j;
		}
	}
	if (held && !g_queue_is_empty(held))
		return g_queue_pop_head(held);
	sender = find_open(a, to, vector);
	return sender ? take_open(sender) : NULL;
}

/* The QEMU main loop reads the socket: its thread is the process's first */
static bool is_reader(const struct ivm_end *to, uint32_t tid)
{
	return (uint32_t)to->vm->tgid == tid;
}

/*
 * A ring that a full socket made the device hold leaves later, from the main
 * loop and with others.  It went up to QEMU, no eventfd was written for it, and
 * the other QEMU's main loop raises it: it came over the socket.
 */
static void note_raised_by_qemu(struct ivm_assemble *a, struct ivm_journey *j,
				const struct ivm_event *e)
{
	const struct ivm_end *to = ivm_topology_end(a->topology, j->to_end);

	if (j->mode == IVM_M_UNKNOWN && ivm_seen(j, IVM_P_USER) && is_reader(to, e->tid))
		j->mode = IVM_M_QEMU;
}

/*
 * An accept on a thread without an open doorbell: the receiving QEMU raises
 * what it received or held (qemu mode, unmask, an irqfd it serves itself).
 */
static void accept_for_waiting(struct ivm_assemble *a, struct thread *t, const struct ivm_event *e)
{
	const struct ivm_sender *s = &t->sender;
	const struct ivm_vm *vm = ivm_topology_vm(a->topology, e->tgid);
	const struct ivm_end *to;
	struct ivm_journey *j;
	uint32_t vector;

	if (!vm || !s->route_ns || (e->flags & IVM_EV_F_HARDIRQ) || MSI_VECTOR(s->msi_data) != e->b)
		return;
	to = find_msi(a, vm, s->msi_address, s->msi_data, &vector);
	if (!to)
		return;
	j = take_waiting(a, to, vector);
	if (!j) {
		find_slot(a, vm, e->a, e->b, true)->others++;
		return;
	}
	note_raised_by_qemu(a, j, e);
	j->t_ns[IVM_P_ROUTE] = s->route_ns;
	j->t_ns[IVM_P_ACCEPT] = e->t_ns;
	j->to_vcpu = e->a;
	j->irq_vector = e->b;
	hand_over(a, t, j);
	release_held(a, t, j);
}

/* ---- events of a sender ---- */

static enum ivm_mode observed_from_config(uint32_t mode)
{
	static const enum ivm_mode modes[] = {
		[IVM_MODE_QEMU] = IVM_M_QEMU,
		[IVM_MODE_IRQFD] = IVM_M_IRQFD,
		[IVM_MODE_DIRECT] = IVM_M_DIRECT,
	};

	return mode < G_N_ELEMENTS(modes) ? modes[mode] : IVM_M_UNKNOWN;
}

/* Where the doorbell leads, as the link pages say */
static void address_journey(struct ivm_journey *j, const struct ivm_end *from, uint32_t vector)
{
	const struct ivm_end *to = from->peer;

	j->from_end = from->id;
	j->vector = vector;
	j->configured = observed_from_config(from->page.mode_tx);
	if (!to)
		return;
	j->to_end = to->id;
	if (vector < to->page.vectors)
		j->irq_vector = MSI_VECTOR(to->page.vector[vector].msi_data);
}

static void open_doorbell(struct ivm_assemble *a, struct thread *t, const struct ivm_event *e)
{
	const struct ivm_vcpu *vcpu;
	const struct ivm_end *from;
	struct ivm_journey *j = &t->sender.open;
	uint32_t vector;

	if (e->type != IVM_EV_MMIO || e->t_ns >= a->stop_ns)
		return;
	/* The device ignores any other access */
	if (e->c != sizeof(uint32_t) || e->a % sizeof(uint32_t))
		return;
	from = ivm_topology_doorbell(a->topology, e->tgid, e->a, &vector);
	if (!from)
		return;
	ivm_sender_open(&t->sender, e, ++a->last_id);
	address_journey(j, from, vector);
	vcpu = ivm_topology_vcpu(a->topology, e->tid);
	j->from_vcpu = vcpu ? vcpu->vcpu_id : 0;
	get_counts(a, j)->rung++;
	if (!j->to_end || vector >= from->page.peer_vectors)
		record_as(a, take_open(t), IVM_O_DROPPED);
}

static void send_ring(struct ivm_assemble *a, struct thread *t)
{
	struct ivm_journey *j = take_open(t);
	struct stream *stream = get_stream(a, ivm_topology_end(a->topology, j->to_end));

	g_queue_push_tail(&stream->sent, j);
	t->sending = stream;
	t->sending_id = j->id;
}

static void defer(struct ivm_assemble *a, struct thread *t, uint64_t work)
{
	gint64 key = work;
	struct ivm_journey *j = take_open(t);

	/* One work item runs once for all that queued it: the rest is held */
	if (g_hash_table_contains(a->works, &key))
		hold(a, j);
	else
		g_hash_table_insert(a->works, g_memdup2(&key, sizeof(key)), j);
}

/* A kworker takes over the doorbell that queued this work */
static void start_work(struct ivm_assemble *a, struct thread *t, const struct ivm_event *e)
{
	gint64 key = e->a;
	struct ivm_journey *j = g_hash_table_lookup(a->works, &key);

	if (t->sender.open.id)
		hold(a, take_open(t));
	t->sender.route_ns = 0;
	if (!j)
		return;
	t->sender.open = *j;
	t->sender.open.t_ns[IVM_P_WORK] = e->t_ns;
	g_hash_table_remove(a->works, &key);
}

/* Is this descriptor the open doorbell's?  Others are another device's. */
static bool is_open_fd(struct ivm_assemble *a, const struct thread *t, const struct ivm_event *e)
{
	const struct ivm_journey *j = &t->sender.open;
	const struct ivm_end *end;
	uint32_t vector;

	if (e->type == IVM_EV_SENDMSG) {
		end = ivm_topology_socket(a->topology, e->tgid, e->c);
		return end && e->a && end->id == j->from_end;
	}
	end = ivm_topology_eventfd(a->topology, e->tgid, e->c, &vector);
	return end && end->id == j->from_end && vector == j->vector;
}

static void note_sent(struct ivm_assemble *a, const struct ivm_event *e)
{
	const struct ivm_end *from = ivm_topology_socket(a->topology, e->tgid, e->c);
	struct stream *stream;

	if (!from || !from->peer || !e->b)
		return;
	stream = get_stream(a, from->peer);
	stream->sent_upto = MAX(stream->sent_upto, e->b);
}

/*
 * The device flushes what a full socket made it hold, under the BQL: doorbells
 * still open that went up to QEMU and were not sent are among it.
 */
static void hold_unsent(struct ivm_assemble *a, const struct ivm_event *e)
{
	const struct ivm_end *from = ivm_topology_socket(a->topology, e->tgid, e->c);
	GHashTableIter it;
	gpointer value;

	g_hash_table_iter_init(&it, a->threads);
	while (from && g_hash_table_iter_next(&it, NULL, &value)) {
		const struct ivm_journey *j = &((struct thread *)value)->sender.open;

		if (j->id && j->from_end == from->id && ivm_seen(j, IVM_P_USER))
			hold(a, take_open(value));
	}
}

static void finish_send(struct ivm_assemble *a, struct thread *t, const struct ivm_event *e)
{
	struct stream *stream = t->sending;
	struct ivm_journey *j = stream ? find_id(&stream->sent, t->sending_id) : NULL;

	t->sending = NULL;
	if (!j || ivm_stream_step(j, e) != IVM_ST_HELD)
		return;
	g_queue_remove(&stream->sent, j);
	hold(a, j);
}

static void sender_event(struct ivm_assemble *a, struct thread *t, const struct ivm_event *e)
{
	bool was_open = t->sender.open.id;

	if (e->type == IVM_EV_SENDMSG)
		note_sent(a, e);
	if ((e->type == IVM_EV_SENDMSG || e->type == IVM_EV_WRITE) &&
	    !(was_open && is_open_fd(a, t, e))) {
		if (e->type == IVM_EV_SENDMSG && e->a && !was_open)
			hold_unsent(a, e);
		return;
	}

	switch (ivm_sender_step(&t->sender, e)) {
	case IVM_S_CLOSE:
		ivm_note_kernel_path(&t->sender.open);
		hold(a, take_open(t));
		break;
	case IVM_S_ACCEPTED:
		accept_open(a, t);
		break;
	case IVM_S_SENT:
		send_ring(a, t);
		break;
	case IVM_S_DEFERRED:
		defer(a, t, e->a);
		break;
	case IVM_S_NONE:
		if (e->type == IVM_EV_ACCEPT && !was_open)
			accept_for_waiting(a, t, e);
		break;
	}
}

/* ---- events of the link's socket ---- */

static void wake_reader(struct ivm_assemble *a, struct thread *t, const struct ivm_event *e)
{
	struct ivm_journey *j = t->sending ? find_id(&t->sending->sent, t->sending_id) : NULL;

	if (j && is_reader(ivm_topology_end(a->topology, j->to_end), e->a))
		ivm_stream_step(j, e);
}

static void run_reader(struct ivm_assemble *a, const struct ivm_event *e)
{
	guint i;
	GList *l;

	if (e->tid != e->tgid)
		return;
	for (i = 0; i < a->topology->ends->len; i++) {
		const struct ivm_end *to = g_ptr_array_index(a->topology->ends, i);

		if (to->dead || !is_reader(to, e->tid))
			continue;
		for (l = get_stream(a, to)->sent.head; l; l = l->next)
			ivm_stream_step(l->data, e);
	}
}

static void receive_rings(struct ivm_assemble *a, const struct ivm_event *e)
{
	const struct ivm_end *to = ivm_topology_socket(a->topology, e->tgid, e->c);
	struct stream *stream;
	struct ivm_journey *j;

	if (!to || !e->b)
		return;
	stream = get_stream(a, to);
	/* Before the first send was seen nothing can be missed */
	if (stream->sent_upto && e->b > stream->sent_upto) {
		a->stats.stream_gaps += e->b - MAX(stream->sent_upto, e->a - 1);
		stream->sent_upto = e->b;
	}
	while ((j = g_queue_peek_head(&stream->sent)) && j->seq <= e->b) {
		g_queue_pop_head(&stream->sent);
		ivm_stream_step(j, e);
		g_queue_push_tail(&stream->received, j);
	}
}

/* ---- events of a receiver ---- */

static struct slot *slot_of(struct ivm_assemble *a, const struct ivm_journey *j)
{
	const struct ivm_end *to = ivm_topology_end(a->topology, j->to_end);

	return find_slot(a, to->vm, j->to_vcpu, j->irq_vector, false);
}

/* Posted into a vCPU that was outside the guest: hardware delivers at entry */
static void deliver_posted(struct ivm_assemble *a, struct ivm_journey *j)
{
	struct slot *slot = slot_of(a, j);

	g_queue_pop_head(&slot->pending);
	coalesce(a, slot);
}

/* Posted into a running guest: nothing on this host shows when it arrived */
static void record_unseen(struct ivm_assemble *a, const struct ivm_journey *head)
{
	struct slot *slot = slot_of(a, head);
	struct ivm_journey *j;

	while ((j = g_queue_pop_head(&slot->pending)))
		record_as(a, j, IVM_O_UNSEEN);
}

/* Return: true if @j is recorded and gone */
static bool receiver_step(struct ivm_assemble *a, struct ivm_journey *j, const struct ivm_event *e)
{
	switch (ivm_receive_step(j, e)) {
	case IVM_RX_DONE:
		record(a, j);
		return true;
	case IVM_RX_UNSEEN:
		record_unseen(a, j);
		return true;
	case IVM_RX_POSTED:
		deliver_posted(a, j);
		return false;
	case IVM_RX_NONE:
		break;
	}
	return false;
}

static void receiver_event(struct ivm_assemble *a, struct thread *rx, const struct ivm_event *e)
{
	guint i = 0;

	while (i < rx->active->len) {
		if (receiver_step(a, g_ptr_array_index(rx->active, i), e))
			g_ptr_array_remove_index_fast(rx->active, i);
		else
			i++;
	}
}

/* The journey this thread handed over last, if it still is pending */
static struct ivm_journey *last_accepted(const struct thread *t)
{
	return t->accepted ? find_id(&t->accepted->pending, t->accepted_id) : NULL;
}

/* A kick is the signaller's IPI to the CPU of the vCPU it just accepted for */
static void kick(struct ivm_assemble *a, struct thread *t, const struct ivm_event *e)
{
	struct ivm_journey *j = last_accepted(t);
	struct thread *rx = j ? receiver_thread(a, j) : NULL;

	/* With a callback it is the scheduler's */
	if (!rx || rx->cpu != e->a || e->b)
		return;
	ivm_receive_step(j, e);
	t->accepted = NULL;
}

static void end_event(struct ivm_assemble *a, const struct ivm_event *e)
{
	const struct ivm_vcpu *vcpu = ivm_topology_vcpu(a->topology, e->tid);
	uint64_t soft_or_reinjected = e->type == IVM_EV_INJ ? e->b : 0;

	if (e->type == IVM_EV_INJ)
		a->inject_seen = true;
	else if (a->inject_seen)
		return;		/* the guest's own acknowledgement */
	if (vcpu && !soft_or_reinjected && e->a <= UINT8_MAX)
		end_point(a, vcpu, e);
}

static void posted(struct ivm_assemble *a, struct thread *t)
{
	struct ivm_journey *j = last_accepted(t);

	if (!j || j->flags & IVM_J_POSTED)
		return;
	j->flags |= IVM_J_POSTED;
	get_counts(a, j)->posted++;
}

/* ---- the stream of events ---- */

static void waking(struct ivm_assemble *a, struct thread *t, const struct ivm_event *e)
{
	const struct ivm_vcpu *vcpu = ivm_topology_vcpu(a->topology, e->a);

	if (vcpu)
		receiver_event(a, get_thread(a, vcpu->tid), e);
	wake_reader(a, t, e);
}

static void step(struct ivm_assemble *a, const struct ivm_event *e)
{
	struct thread *t = get_thread(a, e->tid);

	a->stats.events++;
	if (e->type != IVM_EV_SWITCH_OUT)
		t->cpu = e->cpu;

	switch (e->type) {
	case IVM_EV_MMIO:
	case IVM_EV_PIO:
		t->accepted = NULL;
		sender_event(a, t, e);
		open_doorbell(a, t, e);
		break;
	case IVM_EV_EXIT:
	case IVM_EV_ENTRY:
		t->accepted = NULL;
		sender_event(a, t, e);
		receiver_event(a, t, e);
		break;
	case IVM_EV_SENDMSG_RET:
		finish_send(a, t, e);
		break;
	case IVM_EV_RECVMSG:
		receive_rings(a, e);
		break;
	case IVM_EV_APICV_ACCEPT:
		posted(a, t);
		break;
	case IVM_EV_WAKING:
		waking(a, t, e);
		break;
	case IVM_EV_SWITCH_IN:
		run_reader(a, e);
		receiver_event(a, t, e);
		break;
	case IVM_EV_UNHALT:
		receiver_event(a, t, e);
		break;
	case IVM_EV_IPI:
		kick(a, t, e);
		break;
	case IVM_EV_INJ:
	case IVM_EV_EOI:
		end_event(a, e);
		break;
	case IVM_EV_WORK_START:
		start_work(a, t, e);
		break;
	default:
		sender_event(a, t, e);
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

static enum ivm_outcome outcome_in_flight(struct ivm_assemble *a, const struct ivm_journey *j)
{
	const struct ivm_end *to = ivm_topology_end(a->topology, j->to_end);

	return to && to->vm->dead ? IVM_O_DROPPED : IVM_O_UNFINISHED;
}

/* Held by MASK, by the MSI-X mask, or because no irqfd is attached */
static enum ivm_outcome outcome_held(struct ivm_assemble *a, const struct ivm_journey *j)
{
	const struct ivm_end *to = ivm_topology_end(a->topology, j->to_end);
	bool can_arrive;

	if (!to || to->dead || j->vector >= to->page.vectors)
		return outcome_in_flight(a, j);
	can_arrive = (to->page.vector[j->vector].flags & IVM_LP_VEC_DELIVERABLE) &&
		     !to->page.mask[j->vector];
	return can_arrive ? outcome_in_flight(a, j) : IVM_O_MASKED;
}

static void drain(struct ivm_assemble *a, GQueue *queue, bool held)
{
	struct ivm_journey *j;

	while ((j = g_queue_pop_head(queue)))
		record_as(a, j, held ? outcome_held(a, j) : outcome_in_flight(a, j));
}

static void finish_threads(struct ivm_assemble *a)
{
	GHashTableIter it;
	gpointer value;

	g_hash_table_iter_init(&it, a->threads);
	while (g_hash_table_iter_next(&it, NULL, &value)) {
		struct thread *t = value;
		guint i;

		if (t->sender.open.id)
			hold(a, take_open(t));
		for (i = 0; i < t->active->len; i++) {
			struct ivm_journey *j = g_ptr_array_index(t->active, i);

			/* The others are still pending in their slots */
			if (j->outcome == IVM_O_DELIVERED)
				record(a, j);
		}
		g_ptr_array_set_size(t->active, 0);
	}
}

static void finish_slots(struct ivm_assemble *a)
{
	GHashTableIter it;
	gpointer value;

	g_hash_table_iter_init(&it, a->slots);
	while (g_hash_table_iter_next(&it, NULL, &value)) {
		struct slot *slot = value;

		if (slot->taken)
			record(a, slot->taken);
		slot->taken = NULL;
		drain(a, &slot->pending, false);
	}
}

static void finish_waiting(struct ivm_assemble *a)
{
	GHashTableIter it;
	gpointer value;

	g_hash_table_iter_init(&it, a->works);
	while (g_hash_table_iter_next(&it, NULL, &value)) {
		hold(a, g_memdup2(value, sizeof(struct ivm_journey)));
		g_hash_table_iter_remove(&it);
	}
	g_hash_table_iter_init(&it, a->streams);
	while (g_hash_table_iter_next(&it, NULL, &value)) {
		drain(a, &((struct stream *)value)->sent, false);
		/* Read by QEMU and not raised: its device holds it */
		drain(a, &((struct stream *)value)->received, true);
	}
	g_hash_table_iter_init(&it, a->held);
	while (g_hash_table_iter_next(&it, NULL, &value))
		drain(a, value, true);
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
