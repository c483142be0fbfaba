// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The sending half: from the doorbell to the accept, on whatever thread.
 */
#include <string.h>

#include "assemble_local.h"

/*
 * An MSI that a device writes inside QEMU reaches KVM without the base of the
 * APIC's region, 0xfee00000 (QEMU's kvm_apic_mem_write() hands on the offset).
 */
#define MSI_ADDRESS_BASE UINT64_C(0xfff00000)

static bool vector_is_at(const struct ivm_linkpage_vector *v, uint64_t address, uint64_t data)
{
	return !((v->msi_address ^ address) & ~MSI_ADDRESS_BASE) && v->msi_data == (uint32_t)data;
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

/* What was held of this vector, and rung before @before_id, is raised with @by's accept */
static void release_held(struct ivm_assemble *a, struct thread *t, const struct ivm_journey *by,
			 uint64_t before_id)
{
	GQueue *held = assemble_held(a, by->to_end, by->vector, false);
	struct ivm_journey *j;

	while (held && (j = g_queue_peek_head(held)) && j->id < before_id) {
		g_queue_pop_head(held);
		if (j->mode == IVM_M_UNKNOWN)
			j->mode = by->mode;
		if (by->t_ns[IVM_P_UNMASK] > j->t_ns[IVM_P_DISPATCH])
			j->t_ns[IVM_P_UNMASK] = by->t_ns[IVM_P_UNMASK];
		j->t_ns[IVM_P_ROUTE] = by->t_ns[IVM_P_ROUTE];
		j->t_ns[IVM_P_ACCEPT] = by->t_ns[IVM_P_ACCEPT];
		j->to_vcpu = by->to_vcpu;
		j->irq_vector = by->irq_vector;
		assemble_hand_over(a, t, j);
	}
}

/* The end point takes the oldest: they are handed over in the order of their rings */
static void hand_over_all(struct ivm_assemble *a, struct thread *t, struct ivm_journey *j)
{
	const struct ivm_journey by = *j;

	release_held(a, t, &by, by.id);
	assemble_hand_over(a, t, j);
	release_held(a, t, &by, UINT64_MAX);
}

/* A message in logical mode, or to everybody, is accepted once for each target */
static bool has_copies(const struct ivm_sender *s)
{
	return (s->msi_address >> 2 & 1) || (s->msi_address >> 12 & 0xff) == 0xff;
}

/* The thread's route has led to an accept */
static void use_route(struct thread *t, uint32_t to_end)
{
	if (t->sender.route_ns && has_copies(&t->sender))
		t->copies_for = to_end;
	else
		t->sender.route_ns = 0;
}

/* Moves the open journey out of its thread */
struct ivm_journey *assemble_take_open(struct thread *t)
{
	struct ivm_journey *j = g_memdup2(&t->sender.open, sizeof(*j));

	memset(&t->sender.open, 0, sizeof(t->sender.open));
	return j;
}

static void accept_open(struct ivm_assemble *a, struct thread *t)
{
	struct ivm_journey *j = assemble_take_open(t);

	use_route(t, j->to_end);
	hand_over_all(a, t, j);
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
	struct stream *stream = assemble_stream(a, to);
	GQueue *held = assemble_held(a, to->id, vector, false);
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
	return sender ? assemble_take_open(sender) : NULL;
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

/* The receiver's own vCPU raises it: its guest left to unmask */
static void note_unmask(struct ivm_assemble *a, struct ivm_journey *j, const struct thread *t,
			uint32_t tid)
{
	const struct ivm_end *to = ivm_topology_end(a->topology, j->to_end);
	const struct ivm_vcpu *vcpu = ivm_topology_vcpu(a->topology, tid);

	if (vcpu && vcpu->vm == to->vm && t->sender.exit_ns > j->t_ns[IVM_P_DISPATCH])
		j->t_ns[IVM_P_UNMASK] = t->sender.exit_ns;
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

/* Ends of one device, towards several peers, share its vectors */
static struct ivm_journey *take_raised(struct ivm_assemble *a, const struct ivm_vm *vm,
				       const struct ivm_sender *s, bool *is_known)
{
	struct ivm_journey *j = NULL;
	const struct ivm_end *to;
	uint32_t vector;
	guint i = 0;

	*is_known = false;
	while (!j && (to = find_msi(a, vm, s->msi_address, s->msi_data, i, &vector))) {
		*is_known = true;
		j = take_waiting(a, to, vector);
		i = to->id;
	}
	return j;
}

/*
 * An accept on a thread without an open doorbell: the receiving QEMU raises
 * what it received or held (qemu mode, unmask, an irqfd it serves itself).
 */
static void accept_for_waiting(struct ivm_assemble *a, struct thread *t, const struct ivm_event *e)
{
	const struct ivm_sender *s = &t->sender;
	const struct ivm_vm *vm = ivm_topology_vm(a->topology, e->tgid);
	struct ivm_journey *j;
	bool is_known;

	if (!vm || !s->route_ns || (e->flags & IVM_EV_F_HARDIRQ) ||
	    MSI_VECTOR(s->msi_data) != e->b || is_copy(a, t, e))
		return;
	j = take_raised(a, vm, s, &is_known);
	if (!j) {
		if (is_known)
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
	hand_over_all(a, t, j);
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
	if (!j->to_end || vector >= from->page.peer_vectors)
		assemble_record_as(a, assemble_take_open(t), IVM_O_DROPPED);
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
		assemble_hold(a, assemble_take_open(t));
	ivm_sender_write(&t->sender, e, ++a->last_id);
	address_journey(j, from, vector);
	vcpu = ivm_topology_vcpu(a->topology, e->tid);
	j->from_vcpu = vcpu ? vcpu->vcpu_id : 0;
	assemble_counts_of(a, j)->rung++;
	if (!j->to_end)
		assemble_record_as(a, assemble_take_open(t), IVM_O_DROPPED);
}

static void send_ring(struct ivm_assemble *a, struct thread *t)
{
	struct ivm_journey *j = assemble_take_open(t);
	struct stream *stream = assemble_stream(a, ivm_topology_end(a->topology, j->to_end));

	g_queue_push_tail(&stream->sent, j);
	t->sending = stream;
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
		assemble_hold(a, assemble_take_open(t));
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

static void note_sent(struct ivm_assemble *a, const struct ivm_event *e)
{
	const struct ivm_end *from = ivm_topology_socket(a->topology, e->tgid, e->c);
	struct stream *stream;

	if (!from || !from->peer || !e->b)
		return;
	stream = assemble_stream(a, from->peer);
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
			assemble_hold(a, assemble_take_open(value));
	}
}

void assemble_finish_send(struct ivm_assemble *a, struct thread *t, const struct ivm_event *e)
{
	struct stream *stream = t->sending;
	struct ivm_journey *j = stream ? assemble_find_id(&stream->sent, t->sending_id) : NULL;

	t->sending = NULL;
	if (!j || ivm_stream_step(j, e) != IVM_ST_HELD)
		return;
	g_queue_remove(&stream->sent, j);
	assemble_hold(a, j);
}

/* On a host that shows routes, what has none is a timer or an IPI, whatever its vector */
static bool is_local(const struct ivm_assemble *a, const struct thread *t,
		     const struct ivm_event *e)
{
	return e->type == IVM_EV_ACCEPT && a->route_seen && !t->sender.route_ns &&
	       !(e->flags & IVM_EV_F_HARDIRQ);
}

void assemble_sender_event(struct ivm_assemble *a, struct thread *t, const struct ivm_event *e)
{
	bool was_open = t->sender.open.id;

	if (e->type == IVM_EV_SENDMSG)
		note_sent(a, e);
	if (e->type == IVM_EV_MSI) {
		a->route_seen = true;
		t->copies_for = 0;
	}
	if (is_local(a, t, e)) {
		assemble_note_other(a, ivm_topology_vm(a->topology, e->tgid), e);
		return;
	}
	if ((e->type == IVM_EV_SENDMSG || e->type == IVM_EV_WRITE) &&
	    !(was_open && is_open_fd(a, t, e))) {
		if (e->type == IVM_EV_SENDMSG && e->a && !was_open)
			hold_unsent(a, e);
		if (e->type == IVM_EV_WRITE)
			open_write(a, t, e);
		return;
	}

	switch (ivm_sender_step(&t->sender, e)) {
	case IVM_S_CLOSE:
		ivm_note_kernel_path(&t->sender.open);
		assemble_hold(a, assemble_take_open(t));
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

void assemble_receive_rings(struct ivm_assemble *a, const struct ivm_event *e)
{
	const struct ivm_end *to = ivm_topology_socket(a->topology, e->tgid, e->c);
	struct stream *stream;
	struct ivm_journey *j;

	if (!to || !e->b)
		return;
	stream = assemble_stream(a, to);
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
