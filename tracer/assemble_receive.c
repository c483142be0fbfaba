// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The receiving half: from the accept to the guest.
 */
#include "assemble_local.h"

static void set_pending(struct thread *rx, struct slot *slot)
{
	if (rx && !g_ptr_array_find(rx->pending, slot, NULL))
		g_ptr_array_add(rx->pending, slot);
}

/* Takes over @j, accepted for its to_vcpu by @t, or long ago: NULL */
void assemble_hand_over(struct ivm_assemble *a, struct thread *t, struct ivm_journey *j)
{
	const struct ivm_end *to = ivm_topology_end(a->topology, j->to_end);
	struct slot *slot = assemble_slot(a, to->vm, j->to_vcpu, j->irq_vector, true);
	struct ivm_journey settled;

	assemble_counts_of(a, j)->accepted++;
	if (ivm_slot_accept(&slot->s, j, &settled))
		assemble_settle(a, &settled);
	set_pending(assemble_receiver(a, j), slot);
	if (t) {
		t->accepted = slot;
		t->accepted_id = j->id;
	}
	g_free(j);
}

static void settle_entering(struct ivm_assemble *a, struct thread *rx)
{
	if (rx->entering.id)
		assemble_settle(a, &rx->entering);
	rx->entering.id = 0;
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

static void purge(struct ivm_assemble *a, struct slot *slot, uint64_t before_ns)
{
	struct ivm_journey j;

	while (ivm_slot_purge(&slot->s, before_ns, &j))
		assemble_settle(a, &j);
}

/* INIT clears what its vCPU has accepted and not taken yet */
void assemble_reset_vcpu(struct ivm_assemble *a, const struct ivm_event *e)
{
	const struct ivm_vm *vm = ivm_topology_vm(a->topology, e->tgid);
	unsigned int v;

	for (v = 0; vm && v <= UINT8_MAX; v++) {
		struct slot *slot = assemble_slot(a, vm, e->a, v, false);

		if (slot)
			purge(a, slot, e->t_ns);
	}
}

static void count_unmatched(struct ivm_assemble *a, const struct slot *slot,
			    const struct ivm_event *e)
{
	if (slot->others)
		a->stats.not_rings++;
	else if (e->t_ns < a->stop_ns)
		a->stats.unmatched++;
}

/* An interrupt reached its guest: whose was it? */
static void end_point(struct ivm_assemble *a, const struct ivm_vcpu *vcpu,
		      const struct ivm_event *e)
{
	struct slot *slot = assemble_slot(a, vcpu->vm, vcpu->vcpu_id, e->a, false);
	struct thread *rx = assemble_thread(a, vcpu->tid);
	struct ivm_journey settled;
	int found;

	if (!slot) {
		if (is_link_vector(a, vcpu->vm, e->a))
			a->stats.before_start++;
		return;
	}
	/* The one before was never seen to enter: its end point is known all the same */
	settle_entering(a, rx);
	/* With none of ours pending it is that of another accept, if there was one */
	found = slot->s.head.id || !slot->others ?
		ivm_slot_end(&slot->s, e, &rx->entering, &settled) : 0;
	if (found & IVM_SLOT_SETTLED)
		assemble_settle(a, &settled);
	if (!found)
		count_unmatched(a, slot, e);
	else if (ivm_receive_end(&rx->entering, e) == IVM_RX_DONE)
		settle_entering(a, rx);
	if (!slot->s.head.id)
		g_ptr_array_remove(rx->pending, slot);
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

/* Return: true if nothing is pending in @slot any more */
static bool step_slot(struct ivm_assemble *a, struct slot *slot, const struct ivm_event *e)
{
	struct ivm_journey ended, settled;
	int found;

	while ((found = ivm_slot_step(&slot->s, e, &ended, &settled))) {
		if (found & IVM_SLOT_SETTLED)
			assemble_settle(a, &settled);
		assemble_settle(a, &ended);
	}
	return !slot->s.head.id;
}

void assemble_receiver_event(struct ivm_assemble *a, struct thread *rx, const struct ivm_event *e)
{
	guint i = 0;

	if (rx->entering.id && ivm_receive_step(&rx->entering, e) == IVM_RX_DONE)
		settle_entering(a, rx);
	while (i < rx->pending->len) {
		if (step_slot(a, g_ptr_array_index(rx->pending, i), e))
			g_ptr_array_remove_index_fast(rx->pending, i);
		else
			i++;
	}
}

/* The journey this thread handed over last, if it still is pending */
static struct ivm_journey *last_accepted(const struct thread *t)
{
	return t->accepted ? ivm_slot_find(&t->accepted->s, t->accepted_id) : NULL;
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

/* What is in a slot when the recording is over */
void assemble_finish_slot(struct ivm_assemble *a, struct ivm_slot *s)
{
	enum ivm_outcome outcome;

	if (s->taken.id)
		assemble_settle(a, &s->taken);
	outcome = s->head.id ? assemble_outcome_accepted(a, &s->head) : IVM_O_PENDING;
	if (s->newest.id) {
		s->newest.into = 0;
		assemble_settle_as(a, &s->newest, outcome);
	}
	if (s->head.id)
		assemble_settle_as(a, &s->head, outcome);
	s->head.id = s->newest.id = s->taken.id = 0;
}
