// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The sending half: from the doorbell to the accept, on whatever thread.
 */
#include <string.h>

#include "../bpf/hooks.h"
#include "assemble_local.h"

/* See IVM_MSI_ADDRESS_BASE */
static bool vector_is_at(const struct ivm_linkpage_vector *v, uint64_t address, uint64_t data)
{
	return !((v->msi_address ^ address) & ~IVM_MSI_ADDRESS_BASE) &&
	       v->msi_data == (uint32_t)data;
}

/* Which vector of one of @vm's ends from @i on raises this message; NULL if none does */
static struct ivm_end *find_msi(struct ivm_assemble *a, const struct ivm_vm *vm, uint64_t address,
				uint64_t data, guint i, uint32_t *vector)
{
	for (; i < a->topology->ends->len; i++) {
		struct ivm_end *end = g_ptr_array_index(a->topology->ends, i);

		if (end->vm != vm || end->dead)
			continue;
		for (*vector = 0; *vector < end->page.vectors; (*vector)++)
			if (vector_is_at(&end->page.vector[*vector], address, data))
				return end;
	}
	return NULL;
}

/* One that came after the guest left to unmask was not held until then */
void assemble_stamp_unmask(struct ivm_journey *j, uint64_t t_ns)
{
	int p;

	for (p = 0; p < IVM_P_UNMASK; p++)
		if (j->t_ns[p] > t_ns)
			return;
	j->t_ns[IVM_P_UNMASK] = t_ns;
}

/* @j is raised together with @by */
static void ride_along(struct ivm_assemble *a, struct thread *t, struct ivm_journey *j,
		       const struct ivm_journey *by)
{
	if (j->mode == IVM_M_UNKNOWN)
		j->mode = by->mode;
	assemble_stamp_unmask(j, by->t_ns[IVM_P_UNMASK]);
	j->t_ns[IVM_P_ROUTE] = by->t_ns[IVM_P_ROUTE];
	j->t_ns[IVM_P_ACCEPT] = by->t_ns[IVM_P_ACCEPT];
	j->to_vcpu = by->to_vcpu;
	j->irq_vector = by->irq_vector;
	assemble_hand_over(a, t, j);
}

/* The thread's route has led to an accept */
static void use_route(struct thread *t, uint32_t to_end)
{
	if (t->sender.route_ns && ivm_has_copies(&t->sender))
		t->copies_for = to_end;
	else
		t->sender.route_ns = 0;
}

/* Moves the open journey out of its thread */
struct ivm_journey *assemble_take_open(struct thread *t)
{
	struct ivm_journey *j = g_memdup2(&t->sender.open, sizeof(*j));

	memset(&t->sender.open, 0, sizeof(t->sender.open));
	if (ivm_seen(j, IVM_P_SIGNAL))
		ivm_note_kernel_path(j);
	return j;
}

/* The end point takes the oldest: they are handed over in the order of their rings */
static void hand_over_all(struct ivm_assemble *a, struct thread *t, struct ivm_journey *j,
			  GQueue *others)
{
	const struct ivm_journey by = *j;
	struct ivm_journey *other;

	while ((other = g_queue_peek_head(others)) && other->id < by.id)
		ride_along(a, t, g_queue_pop_head(others), &by);
	assemble_hand_over(a, t, j);
	while ((other = g_queue_pop_head(others)))
		ride_along(a, t, other, &by);
}

/* @j's interrupt may turn out to be that of others, too */
void assemble_note_raise(struct ivm_assemble *a, const struct ivm_journey *j, struct raise *raise)
{
	struct raise *last;

	if (!raise->start_ns && !raise->flush_ns)
		return;
	raise->route_ns = j->t_ns[IVM_P_ROUTE];
	raise->accept_ns = j->t_ns[IVM_P_ACCEPT];
	raise->to_vcpu = j->to_vcpu;
	raise->irq_vector = j->irq_vector;
	raise->mode = j->mode;
	last = assemble_raises(a, j->to_end, j->vector)->raise;
	memmove(last + 1, last, (RAISES - 1) * sizeof(*last));
	*last = *raise;
}

/* By the number of its struct raised; NULL if it was too long ago */
struct raise *assemble_find_raise(struct ivm_assemble *a, const struct ivm_journey *j, uint64_t id)
{
	struct raise *raise = assemble_raises(a, j->to_end, j->vector)->raise;
	unsigned int i;

	for (i = 0; i < RAISES; i++)
		if (raise[i].id == id)
			return &raise[i];
	return NULL;
}

/* Nothing that its sender did for it came later */
bool assemble_was_signalled(const struct ivm_journey *j, uint64_t before_ns)
{
	return j->t_ns[IVM_P_DISPATCH] < before_ns && j->t_ns[IVM_P_USER] < before_ns &&
	       j->t_ns[IVM_P_SEND] < before_ns && j->t_ns[IVM_P_SIGNAL] < before_ns;
}

/*
 * One work item runs once for all that signalled before it did.  Of those that
 * are open still some may be about to be accepted by themselves.
 */
void assemble_take_deferred(struct ivm_assemble *a, const struct ivm_journey *by, GQueue *others)
{
	GQueue *held = assemble_held(a, by->to_end, by->vector, true);
	GList *l, *next;

	for (l = held->head; l; l = next) {
		next = l->next;
		if (!assemble_was_signalled(l->data, by->t_ns[IVM_P_WORK]))
			continue;
		assemble_queue_by_id(others, l->data);
		g_queue_delete_link(held, l);
	}
}

static void accept_open(struct ivm_assemble *a, struct thread *t)
{
	struct ivm_journey *j = assemble_take_open(t);
	g_auto(GQueue) others = G_QUEUE_INIT;
	struct raise raise = { 0 };

	if (ivm_seen(j, IVM_P_WORK))
		assemble_take_deferred(a, j, &others);
	raise.start_ns = j->t_ns[IVM_P_WORK];
	assemble_note_raise(a, j, &raise);
	use_route(t, j->to_end);
	hand_over_all(a, t, j, &others);
}

/* It went up to QEMU and no further */
static bool stays_in_qemu(const struct ivm_journey *j)
{
	return ivm_seen(j, IVM_P_USER) && !ivm_seen(j, IVM_P_SEND) && !ivm_seen(j, IVM_P_SIGNAL);
}

/* The device counts it and writes nothing, because the receiver masks: who unmasks will see */
static bool is_masked(const struct ivm_journey *j)
{
	return j->configured == IVM_M_IRQFD && stays_in_qemu(j);
}

/* The device holds it while the socket is full */
bool assemble_is_unsent(const struct ivm_journey *j)
{
	return j->configured != IVM_M_IRQFD && stays_in_qemu(j);
}

/* May the receiver know of this open doorbell by now? */
static bool can_be_raised(struct ivm_assemble *a, const struct ivm_end *to,
			  const struct ivm_journey *j)
{
	if (assemble_is_unsent(j))
		return j->t_ns[IVM_P_USER] < assemble_stream(a, to)->flush[0].t_ns;
	/* Until its doorbell closes one may still be about to be written */
	return !is_masked(j) && (ivm_seen(j, IVM_P_SIGNAL) || !a->signal_seen);
}

/* May @raise be for @j, too? */
static bool may_take(const struct raise *raise, const struct ivm_journey *j)
{
	return !raise->is_read || (raise->read.signals && !is_masked(j) &&
				   assemble_was_signalled(j, raise->start_ns));
}

/* @j is part of @raise */
void assemble_count_in(struct raise *raise, struct ivm_journey *j)
{
	if (!raise->is_read)
		return;
	raise->read.signals--;
	if (!raise->read.has_more)
		j->t_ns[IVM_P_RECV] = raise->read.t_ns;
}

/* The oldest doorbell that is open on any thread, leads to (end, vector) and may be in @raise */
static struct thread *find_open(struct ivm_assemble *a, const struct ivm_end *to, uint32_t vector,
				const struct raise *raise)
{
	struct thread *oldest = NULL;
	GHashTableIter it;
	gpointer value;

	g_hash_table_iter_init(&it, a->threads);
	while (g_hash_table_iter_next(&it, NULL, &value)) {
		const struct ivm_journey *j = &((struct thread *)value)->sender.open;

		if (j->id && j->to_end == to->id && j->vector == vector &&
		    can_be_raised(a, to, j) && may_take(raise, j) &&
		    (!oldest || j->id < oldest->sender.open.id))
			oldest = value;
	}
	return oldest;
}

static void take_received(struct ivm_assemble *a, const struct ivm_end *to, uint32_t vector,
			  bool all, GQueue *taken)
{
	GQueue *received = &assemble_stream(a, to)->received;
	GList *l, *next;

	for (l = received->head; l && (all || !taken->length); l = next) {
		next = l->next;
		if (((struct ivm_journey *)l->data)->vector != vector)
			continue;
		assemble_queue_by_id(taken, l->data);
		g_queue_delete_link(received, l);
	}
}

/* Held by the sending device for a while, and received */
bool assemble_was_flushed(const struct stream *stream, const struct ivm_journey *j)
{
	return j->seq && j->seq <= stream->received_upto;
}

/* The oldest flush with doorbells of this vector that was received: its sequence */
static uint64_t first_flushed(struct ivm_assemble *a, const struct ivm_end *to, uint32_t vector)
{
	const struct stream *stream = assemble_stream(a, to);
	uint64_t first = UINT64_MAX;
	GList *l;

	for (l = stream->unsent.head; l; l = l->next) {
		const struct ivm_journey *j = l->data;

		if (j->vector == vector && assemble_was_flushed(stream, j))
			first = MIN(first, j->seq);
	}
	return first;
}

/* What the sending device held of a vector is one message, with a count */
static void take_flushed(struct ivm_assemble *a, const struct ivm_end *to, uint32_t vector,
			 uint64_t upto_seq, GQueue *taken)
{
	struct stream *stream = assemble_stream(a, to);
	GList *l, *next;

	for (l = stream->unsent.head; l; l = next) {
		struct ivm_journey *j = l->data;

		next = l->next;
		if (j->vector != vector || !j->seq || j->seq > upto_seq)
			continue;
		j->seq = 0;
		assemble_queue_by_id(taken, j);
		g_queue_delete_link(&stream->unsent, l);
	}
}

/* The oldest message of the vector that was received: its sequence */
static uint64_t first_received(struct ivm_assemble *a, const struct ivm_end *to, uint32_t vector)
{
	GList *l;

	for (l = assemble_stream(a, to)->received.head; l; l = l->next)
		if (((struct ivm_journey *)l->data)->vector == vector)
			return ((struct ivm_journey *)l->data)->seq;
	return UINT64_MAX;
}

/* The QEMU main loop reads sockets and eventfds: its thread is the process's first */
static bool is_reader(const struct ivm_end *to, uint32_t tid)
{
	return (uint32_t)to->vm->tgid == tid;
}

/* Its main loop gets no messages, but eventfds that KVM refused to take */
static bool reads_eventfds(const struct ivm_end *to)
{
	return to->page.mode_rx == IVM_MODE_IRQFD || to->page.mode_rx == IVM_MODE_DIRECT;
}

/* The main loop has emptied the eventfd of a vector that has no irqfd */
void assemble_read_eventfd(struct ivm_assemble *a, const struct ivm_event *e)
{
	uint32_t vector;
	const struct ivm_end *to = ivm_topology_heard(a->topology, e->tgid, e->c, &vector);
	struct raises *raises = to ? assemble_raises(a, to->id, vector) : NULL;

	if (!raises || !is_reader(to, e->tid))
		return;
	raises->are_read = true;
	raises->reading.has_more = raises->reading.t_ns;
	raises->reading.t_ns = e->t_ns;
	if (!e->a || raises->reading.signals > UINT64_MAX - e->a)
		raises->reading.signals = UINT64_MAX;
	else
		raises->reading.signals += e->a;
}

/**
 * assemble_begin_raise() - what an interrupt that a QEMU raises by itself is for
 * @a: the assembler
 * @to: the receiving end
 * @vector: its vector
 * @is_vcpu: a vCPU's thread raises it, not the main loop
 * @route_ns: when it was routed
 * @raise: set to it
 *
 * A main loop raises message by message, or what it has read from an eventfd; a
 * vCPU has unmasked, and raises once for all that was signalled before.
 */
void assemble_begin_raise(struct ivm_assemble *a, const struct ivm_end *to, uint32_t vector,
			  bool is_vcpu, uint64_t route_ns, struct raise *raise)
{
	struct raises *raises = assemble_raises(a, to->id, vector);

	raise->start_ns = 0;
	raise->is_read = false;
	if (!is_vcpu && !reads_eventfds(to))
		return;
	raise->start_ns = route_ns;
	if (!is_vcpu && raises->are_read) {
		raise->is_read = true;
		raise->read = raises->reading;
		raise->start_ns = raise->read.t_ns;
	}
	raises->reading = (struct reading){ 0 };
}

static void take_held(struct ivm_assemble *a, const struct ivm_end *to, uint32_t vector,
		      GQueue *taken, struct raise *raise)
{
	GQueue *held = assemble_held(a, to->id, vector, true);
	GList *l, *next;

	for (l = held->head; l; l = next) {
		next = l->next;
		if (!may_take(raise, l->data))
			continue;
		assemble_count_in(raise, l->data);
		assemble_queue_by_id(taken, l->data);
		g_queue_delete_link(held, l);
	}
}

/*
 * What waits for the receiving QEMU to raise it.
 * @raise: begun; set to what is part of it as well, even if it closes later
 */
void assemble_take_waiting(struct ivm_assemble *a, const struct ivm_end *to, uint32_t vector,
			   GQueue *taken, struct raise *raise)
{
	bool all = raise->start_ns;
	uint64_t flushed = first_flushed(a, to, vector);
	struct thread *sender;

	if (all)
		take_flushed(a, to, vector, assemble_stream(a, to)->received_upto, taken);
	else if (flushed < first_received(a, to, vector))
		take_flushed(a, to, vector, flushed, taken);
	if (taken->length)
		raise->flush_ns = assemble_stream(a, to)->flush[0].t_ns;
	if (all || !taken->length)
		take_received(a, to, vector, all, taken);
	take_held(a, to, vector, taken, raise);
	/* Of others than a read nobody knows how many open ones are part of them */
	while ((raise->is_read || !taken->length) &&
	       (sender = find_open(a, to, vector, raise))) {
		if (assemble_is_unsent(&sender->sender.open))
			raise->flush_ns = assemble_stream(a, to)->flush[0].t_ns;
		assemble_count_in(raise, &sender->sender.open);
		assemble_queue_by_id(taken, assemble_take_open(sender));
	}
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

/* The receiver's own vCPU raises it: its guest left to unmask */
static void note_unmask(struct ivm_assemble *a, struct ivm_journey *j, const struct thread *t,
			uint32_t tid)
{
	const struct ivm_end *to = ivm_topology_end(a->topology, j->to_end);
	const struct ivm_vcpu *vcpu = ivm_topology_vcpu(a->topology, tid);

	if (vcpu && vcpu->vm == to->vm)
		assemble_stamp_unmask(j, t->sender.exit_ns);
}

/* The first target carried the journey; what the others get is no ring of its own */
static bool is_copy(struct ivm_assemble *a, const struct thread *t, const struct ivm_event *e)
{
	const struct ivm_end *to = ivm_topology_end(a->topology, t->copies_for);

	if (!to || MSI_VECTOR(t->sender.msi_data) != e->b)
		return false;
	assemble_note_other(a, to->vm, e);
	return true;
}

/*
 * Ends of one device, towards several peers, share its vectors.
 * Return: whether the message is that of any link.
 */
static bool take_raised(struct ivm_assemble *a, const struct ivm_vm *vm, struct thread *t,
			uint32_t tid, GQueue *taken, struct raise *raise)
{
	bool is_vcpu = ivm_topology_vcpu(a->topology, tid);
	const struct ivm_sender *s = &t->sender;
	const struct ivm_end *to;
	bool is_known = false;
	uint32_t vector;
	guint i = 0;

	while (!taken->length &&
	       (to = find_msi(a, vm, s->msi_address, s->msi_data, i, &vector))) {
		is_known = true;
		assemble_begin_raise(a, to, vector, is_vcpu, s->route_ns, raise);
		assemble_take_waiting(a, to, vector, taken, raise);
		i = to->id;
	}
	return is_known;
}

/*
 * An accept on a thread without an open doorbell: the receiving QEMU raises
 * what it received or held (qemu mode, unmask, an irqfd it serves itself).
 */
static void accept_for_waiting(struct ivm_assemble *a, struct thread *t, const struct ivm_event *e)
{
	const struct ivm_sender *s = &t->sender;
	const struct ivm_vm *vm = ivm_topology_vm(a->topology, e->tgid);
	g_auto(GQueue) taken = G_QUEUE_INIT;
	struct raise raise = { 0 };
	struct ivm_journey *j;
	bool is_known;

	if (!vm || !s->route_ns || (e->flags & IVM_EV_F_HARDIRQ) ||
	    MSI_VECTOR(s->msi_data) != e->b || is_copy(a, t, e))
		return;
	is_known = take_raised(a, vm, t, e->tid, &taken, &raise);
	j = g_queue_pop_head(&taken);
	if (!j) {
		/* Its signals were mistaken for an earlier read's: its end will tell */
		if (is_known && !(raise.is_read && raise.start_ns))
			assemble_note_other(a, vm, e);
		return;
	}
	note_raised_by_qemu(a, j, e);
	note_unmask(a, j, t, e->tid);
	j->t_ns[IVM_P_ROUTE] = s->route_ns;
	j->t_ns[IVM_P_ACCEPT] = e->t_ns;
	j->to_vcpu = e->a;
	j->irq_vector = e->b;
	use_route(t, j->to_end);
	assemble_note_raise(a, j, &raise);
	hand_over_all(a, t, j, &taken);
}

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
	/* The device is its own mode, whichever way its rings go */
	if (from->kind == IVM_END_IVSHMEM)
		j->configured = j->mode = IVM_M_IVSHMEM;
	else if (from->kind == IVM_END_FOREIGN)
		j->configured = j->mode = IVM_M_FOREIGN;
	if (!to)
		return;
	j->to_end = to->id;
	if (vector < to->page.vectors)
		j->irq_vector = MSI_VECTOR(to->page.vector[vector].msi_data);
}

void assemble_open_doorbell(struct ivm_assemble *a, struct thread *t, const struct ivm_event *e)
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
	from = ivm_topology_ring(a->topology, e, &vector);
	if (!from)
		return;
	ivm_sender_open(&t->sender, e, ++a->last_id);
	address_journey(j, from, vector);
	vcpu = ivm_topology_vcpu(a->topology, e->tid);
	j->from_vcpu = vcpu ? vcpu->vcpu_id : 0;
	assemble_counts_of(a, j)->rung++;
	if (vector >= from->page.peer_vectors)
		assemble_free_settled(a, assemble_take_open(t), IVM_O_DROPPED);
	else if (!j->to_end)
		assemble_free_settled(a, assemble_take_open(t), IVM_O_UNSEEN);
}

/* An older one is pending still, or itself: @j's accept was part of the same interrupt */
static bool is_pending(struct ivm_assemble *a, const struct ivm_journey *j)
{
	const struct ivm_end *to = ivm_topology_end(a->topology, j->to_end);
	struct slot *slot = assemble_slot(a, to->vm, j->to_vcpu, j->irq_vector, false);

	return slot && slot->s.head.id &&
	       slot->s.head.t_ns[IVM_P_ACCEPT] <= j->t_ns[IVM_P_ACCEPT];
}

static bool is_part(struct ivm_assemble *a, const struct ivm_journey *j,
		    const struct raise *raise)
{
	if (assemble_is_unsent(j))
		return j->t_ns[IVM_P_USER] < raise->flush_ns;
	if (a->signal_seen && !ivm_seen(j, IVM_P_SIGNAL) && !is_masked(j))
		return false;
	return may_take(raise, j) && assemble_was_signalled(j, raise->start_ns);
}

/* The first interrupt that @j was part of while its doorbell was open still, or NULL */
struct raise *assemble_raise_of(struct ivm_assemble *a, const struct ivm_journey *j)
{
	struct raise *raise = assemble_raises(a, j->to_end, j->vector)->raise, *first = NULL;
	unsigned int i;

	for (i = 0; i < RAISES; i++) {
		if (is_part(a, j, &raise[i]))
			first = &raise[i];
		else if (!raise[i].is_read || raise[i].read.signals)
			break;
	}
	return first;
}

static void join_raise(struct ivm_assemble *a, struct ivm_journey *j, struct raise *raise)
{
	j->t_ns[IVM_P_ROUTE] = raise->route_ns;
	j->t_ns[IVM_P_ACCEPT] = raise->accept_ns;
	j->to_vcpu = raise->to_vcpu;
	j->irq_vector = raise->irq_vector;
	if (j->mode == IVM_M_UNKNOWN)
		j->mode = raise->mode;
	if (raise->id && assemble_join_raised(a, j, raise->id))
		return;
	assemble_count_in(raise, j);
	if (is_pending(a, j)) {
		assemble_hand_over(a, NULL, j);
		return;
	}
	assemble_counts_of(a, j)->accepted++;
	assemble_free_settled(a, j, IVM_O_COALESCED);
}

/* The first flush that what was held at @t_ns can be in: its sequence, or 0 */
static uint64_t flush_after(const struct stream *stream, uint64_t t_ns)
{
	uint64_t seq = 0;
	unsigned int i;

	for (i = 0; i < FLUSHES && stream->flush[i].t_ns > t_ns; i++)
		seq = stream->flush[i].seq;
	return seq;
}

/* A doorbell that closes without an accept waits for somebody else to raise it */
void assemble_set_aside(struct ivm_assemble *a, struct ivm_journey *j)
{
	struct stream *stream = assemble_stream(a, ivm_topology_end(a->topology, j->to_end));
	struct raise *raise = assemble_raise_of(a, j);

	if (ivm_seen(j, IVM_P_WORK)) {
		/* The worker has injected it: its accept was lost, and nobody raises it now */
		assemble_free_settled(a, j, assemble_outcome_in_flight(a, j));
	} else if (raise) {
		join_raise(a, j, raise);
	} else if (assemble_is_unsent(j)) {
		j->seq = flush_after(stream, j->t_ns[IVM_P_USER]);
		assemble_queue_by_id(&stream->unsent, j);
	} else {
		assemble_hold(a, j);
	}
}

/*
 * A write(2) to an eventfd of a device whose doorbells KVM does not know, or of
 * a process that has none: the journey begins here.
 */
static void open_write(struct ivm_assemble *a, struct thread *t, const struct ivm_event *e)
{
	struct ivm_journey *j = &t->sender.open;
	const struct ivm_vcpu *vcpu;
	const struct ivm_end *from;
	uint32_t vector;

	if (!ivm_topology_writes(a->topology, e->tgid, e->c) || e->t_ns >= a->stop_ns)
		return;
	from = ivm_topology_eventfd(a->topology, e->tgid, e->c, &vector);
	if (e->t_ns < from->observed_from_ns)
		return;
	/* Its last write raised nothing: the vector is masked */
	if (j->id)
		assemble_set_aside(a, assemble_take_open(t));
	ivm_sender_write(&t->sender, e, ++a->last_id);
	address_journey(j, from, vector);
	vcpu = ivm_topology_vcpu(a->topology, e->tid);
	j->from_vcpu = vcpu ? vcpu->vcpu_id : 0;
	assemble_counts_of(a, j)->rung++;
	if (!j->to_end)
		assemble_free_settled(a, assemble_take_open(t), IVM_O_DROPPED);
}

/* It is in the socket, until its reader has it */
struct stream *assemble_push_sent(struct ivm_assemble *a, struct ivm_journey *j)
{
	struct stream *stream = assemble_stream(a, ivm_topology_end(a->topology, j->to_end));

	stream->sent_upto = MAX(stream->sent_upto, j->seq);
	g_queue_push_tail(&stream->sent, j);
	return stream;
}

static void send_ring(struct ivm_assemble *a, struct thread *t)
{
	struct ivm_journey *j = assemble_take_open(t);

	t->sending = assemble_push_sent(a, j);
	t->sending_id = j->id;
}

static void defer(struct ivm_assemble *a, struct thread *t, uint64_t work)
{
	gint64 key = work;
	struct ivm_journey *j = assemble_take_open(t);

	/* One work item runs once for all that queued it: the rest is held */
	if (g_hash_table_contains(a->works, &key))
		assemble_hold(a, j);
	else
		g_hash_table_insert(a->works, g_memdup2(&key, sizeof(key)), j);
}

/* A kworker takes over the doorbell that queued this work */
void assemble_start_work(struct ivm_assemble *a, struct thread *t, const struct ivm_event *e)
{
	gint64 key = e->a;
	struct ivm_journey *j = g_hash_table_lookup(a->works, &key);

	if (t->sender.open.id)
		assemble_set_aside(a, assemble_take_open(t));
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
	/* One that began with a write has had it */
	if (!ivm_seen(j, IVM_P_DISPATCH))
		return false;
	end = ivm_topology_eventfd(a->topology, e->tgid, e->c, &vector);
	return end && end->id == j->from_end && vector == j->vector;
}

/* Vcpus under TCG are threads that nobody follows: what they send is not missed */
static void count_gap(struct ivm_assemble *a, const struct ivm_end *from, uint64_t messages)
{
	if (from && from->page.accel == IVM_ACCEL_KVM)
		a->stats.stream_gaps += messages;
}

static void note_sent(struct ivm_assemble *a, const struct ivm_event *e, bool is_open)
{
	const struct ivm_end *from = ivm_topology_socket(a->topology, e->tgid, e->c);
	struct stream *stream;

	if (!from || !from->peer || !e->b)
		return;
	stream = assemble_stream(a, from->peer);
	/* Before the first send was seen nothing can be missed */
	if (stream->sent_upto && e->a > stream->sent_upto + 1)
		count_gap(a, from, e->a - stream->sent_upto - 1);
	/* Only the main loop sends what no doorbell of its own led to */
	if (stream->sent_upto && !is_open && e->tid != e->tgid && e->t_ns < a->stop_ns)
		count_gap(a, from, 1);
	stream->sent_upto = MAX(stream->sent_upto, e->b);
}

/* The device sends what a full socket made it hold */
static void note_flush(struct ivm_assemble *a, const struct ivm_event *e)
{
	const struct ivm_end *from = ivm_topology_socket(a->topology, e->tgid, e->c);
	struct stream *stream;
	GList *l;

	if (!from || !from->peer)
		return;
	stream = assemble_stream(a, from->peer);
	memmove(stream->flush + 1, stream->flush, (FLUSHES - 1) * sizeof(*stream->flush));
	stream->flush[0] = (struct flush) { .seq = e->b, .t_ns = e->t_ns };
	for (l = stream->unsent.head; l; l = l->next)
		if (!((struct ivm_journey *)l->data)->seq)
			((struct ivm_journey *)l->data)->seq = e->b;
}

void assemble_finish_send(struct thread *t, const struct ivm_event *e)
{
	struct stream *stream = t->sending;
	struct ivm_journey *j = stream ? assemble_find_id(&stream->sent, t->sending_id) : NULL;

	t->sending = NULL;
	if (!j || ivm_stream_step(j, e) != IVM_ST_HELD)
		return;
	g_queue_remove(&stream->sent, j);
	assemble_queue_by_id(&stream->unsent, j);
}

/* On a host that shows routes, what has none is a timer or an IPI, whatever its vector */
static bool is_local(const struct ivm_assemble *a, const struct thread *t,
		     const struct ivm_event *e)
{
	return e->type == IVM_EV_ACCEPT && a->route_seen && !t->sender.route_ns &&
	       !(e->flags & IVM_EV_F_HARDIRQ);
}

/*
 * A thread may raise another interrupt after its write, and nothing that we hook
 * lies between: only the message of the eventfd that it wrote to is that write's.
 */
static void end_other_write(struct ivm_assemble *a, struct thread *t, const struct ivm_event *e)
{
	const struct ivm_journey *j = &t->sender.open;
	const struct ivm_end *to;

	if (e->type != IVM_EV_ACCEPT || !j->id || ivm_seen(j, IVM_P_DISPATCH) ||
	    !t->sender.route_ns)
		return;
	to = ivm_topology_end(a->topology, j->to_end);
	if (to && j->vector < to->page.vectors &&
	    vector_is_at(&to->page.vector[j->vector], t->sender.msi_address, t->sender.msi_data))
		return;
	assemble_hold(a, assemble_take_open(t));
}

void assemble_sender_event(struct ivm_assemble *a, struct thread *t, const struct ivm_event *e)
{
	bool was_open;

	end_other_write(a, t, e);
	was_open = t->sender.open.id;
	if (e->type == IVM_EV_SENDMSG)
		note_sent(a, e, was_open);
	if (e->type == IVM_EV_MSI) {
		a->route_seen = true;
		t->copies_for = 0;
	}
	a->signal_seen |= e->type == IVM_EV_SIGNAL || e->type == IVM_EV_EVENTFD_WRITE;
	if (is_local(a, t, e)) {
		assemble_note_other(a, ivm_topology_vm(a->topology, e->tgid), e);
		return;
	}
	if ((e->type == IVM_EV_SENDMSG || e->type == IVM_EV_WRITE) &&
	    !(was_open && is_open_fd(a, t, e))) {
		if (e->type == IVM_EV_SENDMSG && e->a && e->tid == e->tgid)
			note_flush(a, e);
		if (e->type == IVM_EV_WRITE)
			open_write(a, t, e);
		return;
	}

	switch (ivm_sender_step(&t->sender, e)) {
	case IVM_S_CLOSE:
		ivm_note_kernel_path(&t->sender.open);
		assemble_set_aside(a, assemble_take_open(t));
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

void assemble_wake_reader(struct ivm_assemble *a, struct thread *t, const struct ivm_event *e)
{
	struct ivm_journey *j =
		t->sending ? assemble_find_id(&t->sending->sent, t->sending_id) : NULL;

	if (j && is_reader(ivm_topology_end(a->topology, j->to_end), e->a))
		ivm_stream_step(j, e);
}

void assemble_run_reader(struct ivm_assemble *a, const struct ivm_event *e)
{
	guint i;
	GList *l;

	if (e->tid != e->tgid)
		return;
	for (i = 0; i < a->topology->ends->len; i++) {
		const struct ivm_end *to = g_ptr_array_index(a->topology->ends, i);

		if (to->dead || !is_reader(to, e->tid))
			continue;
		for (l = assemble_stream(a, to)->sent.head; l; l = l->next)
			ivm_stream_step(l->data, e);
	}
}

/* Whoever emulates a vCPU shows nothing of what it raises for a message it has read */
static bool is_raised_unseen(const struct ivm_end *to)
{
	return to->kind == IVM_END_LINK && to->page.accel != IVM_ACCEL_KVM;
}

void assemble_receive_rings(struct ivm_assemble *a, const struct ivm_event *e)
{
	const struct ivm_end *to = ivm_topology_socket(a->topology, e->tgid, e->c);
	struct stream *stream;
	struct ivm_journey *j;

	if (!to || !e->b)
		return;
	stream = assemble_stream(a, to);
	if (assemble_is_far(to))
		assemble_far_receive(a, stream, e);
	stream->received_upto = MAX(stream->received_upto, e->b);
	/* Before the first send was seen nothing can be missed */
	if (stream->sent_upto && e->b > stream->sent_upto) {
		count_gap(a, to->peer, e->b - MAX(stream->sent_upto, e->a - 1));
		stream->sent_upto = e->b;
	}
	while ((j = g_queue_peek_head(&stream->sent)) && j->seq <= e->b) {
		g_queue_pop_head(&stream->sent);
		if (j->seq < e->a) {
			/* That read was not seen, and who knows what it was raised with */
			a->stats.stream_gaps++;
			assemble_free_settled(a, j, IVM_O_UNFINISHED);
			continue;
		}
		ivm_stream_step(j, e);
		if (is_raised_unseen(to))
			assemble_free_settled(a, j, IVM_O_UNSEEN);
		else
			g_queue_push_tail(&stream->received, j);
	}
}
