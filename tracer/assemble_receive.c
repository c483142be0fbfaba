// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The receiving half: from the accept to the guest.
 */
#include "assemble_local.h"

/* Takes over @j, accepted for its to_vcpu by @t, or long ago: NULL */
void assemble_hand_over(struct ivm_assemble *a, struct thread *t, struct ivm_journey *j)
{
	const struct ivm_end *to = ivm_topology_end(a->topology, j->to_end);
	struct slot *slot = assemble_slot(a, to->vm, j->to_vcpu, j->irq_vector, true);
	struct thread *rx = assemble_receiver(a, j);

	assemble_counts_of(a, j)->accepted++;
	if (rx && g_queue_is_empty(&slot->pending))
		g_ptr_array_add(rx->active, j);
	g_queue_push_tail(&slot->pending, j);
	if (!t)
		return;
	t->accepted = slot;
	t->accepted_id = j->id;
}

static void deactivate(struct ivm_assemble *a, struct ivm_journey *j)
{
	struct thread *rx = assemble_receiver(a, j);

	if (rx)
		g_ptr_array_remove(rx->active, j);
}

/* The guest took @j: it lacks its entry at the most */
static void deliver(struct ivm_assemble *a, struct ivm_journey *j, const struct ivm_event *e)
{
	if (ivm_receive_end(j, e) != IVM_RX_DONE)
		return;
	deactivate(a, j);
	assemble_record(a, j);
}

/* Everything accepted before this end point went in with the oldest one */
static void coalesce(struct ivm_assemble *a, struct slot *slot)
{
	struct ivm_journey *j;

	while ((j = g_queue_pop_head(&slot->pending))) {
		j->outcome = IVM_O_COALESCED;
		if (slot->taken)
			assemble_record(a, slot->taken);
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

/* Accepted for a vCPU of @vm, and no ring: its end is not one that lacks a ring */
void assemble_note_other(struct ivm_assemble *a, const struct ivm_vm *vm,
			 const struct ivm_event *e)
{
	if (vm && e->b <= UINT8_MAX && is_link_vector(a, vm, e->b))
		assemble_slot(a, vm, e->a, e->b, true)->others++;
}

/* INIT clears what its vCPU has accepted and not taken yet */
void assemble_reset_vcpu(struct ivm_assemble *a, const struct ivm_event *e)
{
	const struct ivm_vm *vm = ivm_topology_vm(a->topology, e->tgid);
	struct ivm_journey *j;
	unsigned int v;

	for (v = 0; vm && v <= UINT8_MAX; v++) {
		struct slot *slot = assemble_slot(a, vm, e->a, v, false);

		while (slot && (j = g_queue_pop_head(&slot->pending))) {
			deactivate(a, j);
			assemble_record_as(a, j, IVM_O_DROPPED);
		}
	}
}

/*
 * An interrupt reached its guest.  The oldest ring pending there caused it.
 * With none pending a ring was counted as coalesced too early: its accept came
 * before this end point's predecessor, but its IRR bit was set after it.
 */
static void end_point(struct ivm_assemble *a, const struct ivm_vcpu *vcpu,
		      const struct ivm_event *e)
{
	struct slot *slot = assemble_slot(a, vcpu->vm, vcpu->vcpu_id, e->a, false);
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
		g_ptr_array_add(assemble_thread(a, vcpu->tid)->active, j);
		deliver(a, j, e);
	} else if (slot->others) {
		a->stats.not_rings++;
	} else if (e->t_ns < a->stop_ns) {
		a->stats.unmatched++;
	}
	slot->others = 0;
}

void assemble_end_event(struct ivm_assemble *a, const struct ivm_event *e)
{
	const struct ivm_vcpu *vcpu = ivm_topology_vcpu(a->topology, e->tid);
	uint64_t soft_or_reinjected = e->type == IVM_EV_INJ ? e->b : 0;

	if (e->type == IVM_EV_INJ)
		a->inject_seen = true;
	else if (a->inject_seen)
		return; /* the guest's own acknowledgement */
	if (vcpu && !soft_or_reinjected && e->a <= UINT8_MAX)
		end_point(a, vcpu, e);
}

static struct slot *slot_of(struct ivm_assemble *a, const struct ivm_journey *j)
{
	const struct ivm_end *to = ivm_topology_end(a->topology, j->to_end);

	return assemble_slot(a, to->vm, j->to_vcpu, j->irq_vector, false);
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
		assemble_record_as(a, j, IVM_O_UNSEEN);
}

/* Return: true if @j is recorded and gone */
static bool receiver_step(struct ivm_assemble *a, struct ivm_journey *j, const struct ivm_event *e)
{
	switch (ivm_receive_step(j, e)) {
	case IVM_RX_DONE:
		assemble_record(a, j);
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

void assemble_receiver_event(struct ivm_assemble *a, struct thread *rx, const struct ivm_event *e)
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
	return t->accepted ? assemble_find_id(&t->accepted->pending, t->accepted_id) : NULL;
}

/* A kick is the signaller's IPI to the CPU of the vCPU it just accepted for */
void assemble_kick(struct ivm_assemble *a, struct thread *t, const struct ivm_event *e)
{
	struct ivm_journey *j = last_accepted(t);
	struct thread *rx = j ? assemble_receiver(a, j) : NULL;

	/* With a callback it is the scheduler's */
	if (!rx || rx->cpu != e->a || e->b)
		return;
	ivm_receive_step(j, e);
	t->accepted = NULL;
}

void assemble_posted(struct ivm_assemble *a, struct thread *t)
{
	struct ivm_journey *j = last_accepted(t);

	if (!j || j->flags & IVM_J_POSTED)
		return;
	j->flags |= IVM_J_POSTED;
	assemble_counts_of(a, j)->posted++;
}
