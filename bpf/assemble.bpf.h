/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The in-kernel backend of the journey state machine: it finds the states of
 * journey.h in the maps, keeps them apart, and hands over what is finished.
 */
#ifndef IVM_ASSEMBLE_BPF_H
#define IVM_ASSEMBLE_BPF_H

#include "common.bpf.h"
#include "page.bpf.h"

/* The number of the last journey */
__u64 last_id;

static __always_inline struct ivm_lost_rings *lost_rings_of(const struct ivm_journey *j)
{
	static const struct ivm_lost_rings none;
	struct ivm_lost_key key = { .from_end = j->from_end, .vector = j->vector };
	struct ivm_lost_rings *lost = bpf_map_lookup_elem(&lost_rings, &key);

	if (lost)
		return lost;
	bpf_map_update_elem(&lost_rings, &key, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&lost_rings, &key);
}

/* There is no room for a record; what is raised for rings is no ring itself */
static __noinline void count_lost(__u32 kind, const struct ivm_journey *j)
{
	struct ivm_lost_rings *lost;
	__u32 outcome;

	count(IVM_LOST_RECORDS);
	if (!j || j->flags & IVM_J_RAISED)
		return;
	lost = lost_rings_of(j);
	if (!lost) {
		count(IVM_LOST_MAP);
		return;
	}
	lost->to_end = j->to_end;
	lost->irq_vector = j->irq_vector;
	outcome = kind == IVM_REC_ENDED ? j->outcome : IVM_O_UNFINISHED;
	__sync_fetch_and_add(&lost->rung, 1);
	if (ivm_seen(j, IVM_P_ACCEPT))
		__sync_fetch_and_add(&lost->accepted, 1);
	if (j->flags & IVM_J_POSTED)
		__sync_fetch_and_add(&lost->posted, 1);
	if (outcome < IVM_OUTCOMES)
		__sync_fetch_and_add(&lost->outcome[outcome], 1);
}

/*
 * One record in so many asks whether the reader is to be woken, which costs as much
 * as filling it does.
 */
#define IVM_RECORDS_PER_QUERY	16

static __always_inline __u64 record_flags(const struct ivm_journey *j)
{
	return j->id % IVM_RECORDS_PER_QUERY ? BPF_RB_NO_WAKEUP : submit_flags();
}

/* Called by many: the code of it is in the cache of instructions once */
static __noinline void emit_record(__u32 kind, struct ivm_journey_record *r, __u64 t_ns)
{
	if (!r)
		return;
	r->t_ns = t_ns;
	r->kind = kind;
	if (bpf_ringbuf_output(&events, r, sizeof(*r), record_flags(&r->j)))
		count_lost(kind, &r->j);
}

static __always_inline void emit_open(__u32 kind, struct ivm_task *me, __u64 t_ns)
{
	me->spare.j = me->sender.open;
	emit_record(kind, &me->spare, t_ns);
}

/* ---- the receiving vCPU ---- */

static __always_inline struct ivm_vcpu_state *find_vcpu(__u32 index)
{
	return index ? bpf_map_lookup_elem(&vcpus, &index) : NULL;
}

static __always_inline __u64 *pending_word(struct ivm_vcpu_state *v, __u32 irq_vector)
{
	return &v->pending[(irq_vector >> 6) & 3];
}

static __always_inline void set_pending(struct ivm_vcpu_state *v, __u32 irq_vector)
{
	__sync_fetch_and_or(pending_word(v, irq_vector), 1ull << (irq_vector & 63));
}

static __always_inline void clear_pending(struct ivm_vcpu_state *v, __u32 irq_vector)
{
	__sync_fetch_and_and(pending_word(v, irq_vector), ~(1ull << (irq_vector & 63)));
}

static __always_inline struct ivm_slot_state *find_slot(__u32 index)
{
	return index ? bpf_map_lookup_elem(&slots, &index) : NULL;
}

static __always_inline struct ivm_slot_state *slot_of(struct ivm_vcpu_state *v, __u32 irq_vector)
{
	return find_slot(v->slot[irq_vector & 0xff]);
}

/* Slot 0 is nobody's: an index of 0 means that there is none */
__u32 slots_used = 1;

/* The first accept of a vector makes its slot; two senders may be the first */
static __noinline __u32 make_slot(struct ivm_vcpu_state *v, __u32 irq_vector)
{
	__u32 fresh = 0, had;

	if (!v)
		return 0;
	if (bpf_map_pop_elem(&free_slots, &fresh)) {
		if (slots_used >= max_slots) {
			count(IVM_LOST_MAP);
			return 0;
		}
		fresh = __sync_fetch_and_add(&slots_used, 1);
	}
	had = __sync_val_compare_and_swap(&v->slot[irq_vector & 0xff], 0, fresh);
	if (had)
		bpf_map_push_elem(&free_slots, &fresh, 0);
	return had ? had : fresh;
}

/*
 * What the vCPU did between the head's accept and its storing.  Only the last
 * time of each kind is known: one that came after a later kind was not on the way.
 */
static __always_inline void catch_up(struct ivm_journey *head, const struct ivm_vcpu_state *v)
{
	static const enum ivm_point points[VCPU_EVENTS] = {
		[VCPU_EXIT] = IVM_P_VCPU_EXIT,
		[VCPU_WAKING] = IVM_P_VCPU_WAKE,
		[VCPU_RUN] = IVM_P_VCPU_RUN,
		[VCPU_UNHALT] = IVM_P_UNHALT,
	};
	__u64 accept_ns = head->t_ns[IVM_P_ACCEPT], before_ns = ~0ull;
	int kind;

#pragma unroll
	for (kind = VCPU_EVENTS - 1; kind >= 0; kind--) {
		__u64 t_ns = v->last_ns[kind];

		if (t_ns < accept_ns || t_ns > before_ns)
			continue;
		head->t_ns[points[kind]] = t_ns;
		before_ns = t_ns;
	}
}

/* An event of the vCPU, for what is pending in one slot */
static __always_inline int step_slot(struct ivm_vcpu_state *v, struct ivm_slot_state *slot,
				     const struct ivm_event *e)
{
	int found;

	bpf_spin_lock(&slot->lock);
	found = ivm_slot_step(&slot->s, e, &v->leaving.j, &v->settled.j);
	bpf_spin_unlock(&slot->lock);
	if (found & IVM_SLOT_SETTLED)
		emit_record(IVM_REC_ENDED, &v->settled, e->t_ns);
	if (found & IVM_SLOT_ENDED)
		emit_record(IVM_REC_ENDED, &v->leaving, e->t_ns);
	return found & IVM_SLOT_ENDED;
}

/*
 * Number of the lowest bit set: of those below it, counted without a branch, as
 * verifiers follow all ways there are.  LLVM 14 has no __builtin_ctzll() for BPF.
 */
static __always_inline __u32 lowest_bit(__u64 word)
{
	__u64 below = (word & -word) - 1;

	below -= below >> 1 & 0x5555555555555555ull;
	below = (below & 0x3333333333333333ull) + (below >> 2 & 0x3333333333333333ull);
	below = (below + (below >> 4)) & 0x0f0f0f0f0f0f0f0full;
	return below * 0x0101010101010101ull >> 56;
}

struct stamp_ctx {
	struct ivm_vcpu_state *v;
	const struct ivm_event *e;
	__u64 word;		/* what is left of one word of @v->pending */
	__u32 base;		/* vector of its bit 0 */
};

static long stamp_next(__u32 i, struct stamp_ctx *ctx)
{
	struct ivm_slot_state *slot;
	__u32 irq_vector, k;

	if (!ctx->word)
		return 1;
	irq_vector = ctx->base + lowest_bit(ctx->word);
	ctx->word &= ctx->word - 1;
	slot = slot_of(ctx->v, irq_vector);
	/* Where virtual APIC hardware delivers both may end here */
	for (k = 0; slot && k < 2 && step_slot(ctx->v, slot, ctx->e); k++)
		if (!slot->s.head.id)
			clear_pending(ctx->v, irq_vector);
	return 0;
}

/* Hands an event of a vCPU to all that is pending for it */
static __noinline void stamp_pending(struct ivm_vcpu_state *v, const struct ivm_event *e)
{
	struct stamp_ctx ctx = { .v = v, .e = e };
	__u32 i;

	for (i = 0; i < 4; i++) {
		ctx.word = v->pending[i];
		ctx.base = i * 64;
		if (ctx.word)
			bpf_loop(64, stamp_next, &ctx, 0);
	}
}

static __always_inline bool has_pending(const struct ivm_vcpu_state *v)
{
	return v->pending[0] | v->pending[1] | v->pending[2] | v->pending[3];
}

/*
 * Who accepts stores the head, then looks here; who sees an event of the vCPU
 * notes it here, then looks for heads: one of the two finds the other.
 */
static __always_inline void vcpu_event(struct ivm_vcpu_state *v, const struct ivm_event *e,
				       enum vcpu_event kind)
{
	__sync_lock_test_and_set(&v->last_ns[kind], e->t_ns);
	if (has_pending(v))
		stamp_pending(v, e);
}

/* What the guest took lacks its entry, and proof that this was the last one */
static __always_inline void entering_event(struct ivm_vcpu_state *v, const struct ivm_event *e)
{
	struct ivm_journey *j = &v->entering.j;

	if (!j->id || ivm_receive_step(j, e) != IVM_RX_DONE)
		return;
	emit_record(IVM_REC_ENDED, &v->entering, e->t_ns);
	j->id = 0;
}

/* Two at the most can be pending in a slot that was not accepted for since */
static __always_inline void purge_slot(struct ivm_vcpu_state *v, struct ivm_slot_state *slot,
				       struct ivm_journey_record *scratch)
{
	__u64 before_ns = v->purge_ns;
	int i, found;

	for (i = 0; before_ns && i < 2; i++) {
		bpf_spin_lock(&slot->lock);
		found = ivm_slot_purge(&slot->s, before_ns, &scratch->j);
		bpf_spin_unlock(&slot->lock);
		if (!found)
			break;
		emit_record(IVM_REC_ENDED, scratch, before_ns);
	}
}

/* Return: whether anything of ours ends with this vector; it is in @v->entering then */
static __always_inline bool end_slot(struct ivm_vcpu_state *v, struct ivm_slot_state *slot,
				     const struct ivm_event *e, bool *more)
{
	int found = 0;

	bpf_spin_lock(&slot->lock);
	/* With none of ours pending it is that of another accept, if there was one */
	if (slot->s.head.id || !slot->others)
		found = ivm_slot_end(&slot->s, e, &v->entering.j, &v->settled.j);
	*more = slot->s.head.id != 0;
	bpf_spin_unlock(&slot->lock);
	if (found & IVM_SLOT_SETTLED)
		emit_record(IVM_REC_ENDED, &v->settled, e->t_ns);
	return found & IVM_SLOT_ENDED;
}

/* The guest takes @irq_vector now */
static __always_inline void end_point(struct ivm_task *me, struct ivm_vcpu_state *v,
				      const struct ivm_event *e)
{
	__u32 irq_vector = e->a;
	struct ivm_vector_key key = { .vcpu = me->vcpu, .irq_vector = irq_vector };
	struct ivm_slot_state *slot = slot_of(v, irq_vector);
	struct ivm_journey *out = &v->entering.j;
	bool more = false;

	if (!slot) {
		if (bpf_map_lookup_elem(&link_vectors, &key))
			count(IVM_COUNT_BEFORE_START);
		return;
	}
	/* The one before was never seen to enter: its end point is known all the same */
	if (out->id)
		emit_record(IVM_REC_ENDED, &v->entering, e->t_ns);
	purge_slot(v, slot, &v->entering);
	out->id = 0;
	slot->ends++;
	if (!end_slot(v, slot, e, &more)) {
		/* One may be pending when hooks are armed: its end took the first ring */
		if (!slot->others && !stopping)
			count(slot->ends <= 2 ? IVM_COUNT_BEFORE_START : IVM_COUNT_UNMATCHED);
		slot->others = 0;
		return;
	}
	slot->others = 0;
	if (!more)
		clear_pending(v, irq_vector);
	if (ivm_receive_end(out, e) == IVM_RX_DONE) {
		emit_record(IVM_REC_ENDED, &v->entering, e->t_ns);
		out->id = 0;
	}
}

/* ---- hand-over ---- */

static __always_inline __u32 vcpu_of(__u32 tgid, __u32 vcpu_id)
{
	struct ivm_vcpu_key key = { .tgid = tgid, .vcpu_id = vcpu_id };
	__u32 *index = bpf_map_lookup_elem(&vcpu_index, &key);

	return index ? *index : 0;
}

/* A doorbell leads to the same vCPU mostly */
static __always_inline __u32 receiver_of(struct ivm_task *me, __u32 tgid, __u32 vcpu_id)
{
	struct ivm_known *known = &me->known;
	__u32 generation = follow_generation;

	if (known->vcpu_generation == generation && known->receiver.tgid == tgid &&
	    known->receiver.vcpu_id == vcpu_id)
		return known->vcpu;
	known->vcpu = vcpu_of(tgid, vcpu_id);
	known->receiver.tgid = tgid;
	known->receiver.vcpu_id = vcpu_id;
	known->vcpu_generation = generation;
	return known->vcpu;
}

/* Moves @me's open journey, just accepted, to its receiver in process @tgid */
static __noinline void hand_over(struct ivm_task *me, __u32 tgid, const struct ivm_event *e)
{
	__u32 vcpu = receiver_of(me, tgid, e->a);
	struct ivm_vcpu_state *v = find_vcpu(vcpu);
	struct ivm_journey *j = &me->sender.open;
	__u32 irq_vector = e->b & 0xff;
	struct ivm_slot_state *slot;
	__u32 index;
	int settled;

	if (!v) {
		count(IVM_LOST_MAP);
		j->id = 0;
		return;
	}
	index = v->slot[irq_vector];
	if (!index)
		index = make_slot(v, irq_vector);
	slot = find_slot(index);
	if (!slot)
		return;
	purge_slot(v, slot, &me->spare);
	bpf_spin_lock(&slot->lock);
	settled = ivm_slot_accept(&slot->s, j, &me->spare.j);
	set_pending(v, irq_vector);
	if (slot->s.head.id == j->id)
		catch_up(&slot->s.head, v);
	bpf_spin_unlock(&slot->lock);
	if (settled)
		emit_record(IVM_REC_ENDED, &me->spare, e->t_ns);
	me->accepted_vcpu = vcpu;
	me->accepted_slot = index;
	me->accepted_id = j->id;
	j->id = 0;
}

/* A kick is the signaller's IPI to the CPU of the vCPU it just accepted for */
static __always_inline void kick(struct ivm_task *me, const struct ivm_event *e)
{
	struct ivm_slot_state *slot = find_slot(me->accepted_slot);
	struct ivm_vcpu_state *v = find_vcpu(me->accepted_vcpu);
	struct ivm_journey *j;

	if (!slot || !v || v->cpu != e->a)
		return;
	bpf_spin_lock(&slot->lock);
	j = ivm_slot_find(&slot->s, me->accepted_id);
	if (j)
		ivm_receive_step(j, e);
	bpf_spin_unlock(&slot->lock);
	me->accepted_id = 0;
}

static __always_inline void posted(struct ivm_task *me)
{
	struct ivm_slot_state *slot = find_slot(me->accepted_slot);
	struct ivm_journey *j;

	if (!slot)
		return;
	bpf_spin_lock(&slot->lock);
	j = ivm_slot_find(&slot->s, me->accepted_id);
	if (j)
		j->flags |= IVM_J_POSTED;
	bpf_spin_unlock(&slot->lock);
}

/* ---- the sending thread ---- */

/* The open doorbell is over without an accept: user space holds it */
static __always_inline void close_open(struct ivm_task *me, const struct ivm_event *e)
{
	ivm_note_kernel_path(&me->sender.open);
	emit_open(IVM_REC_CLOSED, me, e->t_ns);
	me->sender.open.id = 0;
}

static __always_inline struct ivm_doorbell *find_bell(const struct ivm_event *e)
{
	struct ivm_bell_key key = {
		.address = e->a,
		.tgid = e->tgid,
		.peer = (__u32)e->b >> 16,
	};

	return bpf_map_lookup_elem(&bells, &key);
}

static __always_inline void open_doorbell(struct ivm_task *me, struct ivm_doorbell *bell,
					  const struct ivm_event *e)
{
	struct ivm_journey *j = &me->sender.open;
	bool is_ivshmem = !bell->from_end;

	if (is_ivshmem)
		bell = find_bell(e);
	if (!bell)
		return;
	ivm_sender_open(&me->sender, e, __sync_fetch_and_add(&last_id, 1) + 1);
	j->from_end = bell->from_end;
	j->to_end = bell->to_end;
	j->configured = bell->configured;
	j->vector = is_ivshmem ? e->b & 0xffff :
				 (e->a & (IVM_PAGE_BYTES - 1)) / sizeof(__u32);
	/* That device is its own mode, whichever way its rings go */
	if (is_ivshmem)
		j->mode = IVM_M_IVSHMEM;
	j->from_vcpu = me->vcpu_id;
	me->to_tgid = bell->to_tgid;
	me->is_sending = 0;
	me->is_write = 0;
	/* A link that is up leads somewhere, to another host if not to an end of this one */
	if (j->vector < bell->vectors && (j->to_end || j->configured == IVM_M_QEMU))
		return;
	j->outcome = j->vector < bell->vectors ? IVM_O_UNSEEN : IVM_O_DROPPED;
	emit_open(IVM_REC_ENDED, me, e->t_ns);
	j->id = 0;
}

/* A write(2) to an eventfd: the journey begins here */
static __always_inline void open_write(struct ivm_task *me, const struct ivm_writer *writer,
				       const struct ivm_event *e)
{
	struct ivm_journey *j = &me->sender.open;

	/* Its last write raised nothing: the vector is masked */
	if (j->id)
		close_open(me, e);
	ivm_sender_write(&me->sender, e, __sync_fetch_and_add(&last_id, 1) + 1);
	j->from_end = writer->from_end;
	j->to_end = writer->to_end;
	j->vector = writer->vector;
	j->configured = writer->mode;
	j->mode = writer->mode;
	j->from_vcpu = me->vcpu_id;
	me->to_tgid = writer->to_tgid;
	me->is_sending = 0;
	me->is_write = 1;
	me->msi_address = writer->msi_address;
	me->msi_data = writer->msi_data;
}

/*
 * A thread may raise another interrupt after its write, and nothing that we hook
 * lies between: only the message of the eventfd that it wrote to is that write's.
 */
static __always_inline bool is_of_open(const struct ivm_task *me)
{
	return me->sender.open.id &&
	       (!me->is_write || !me->sender.route_ns ||
		(!((me->sender.msi_address ^ me->msi_address) & 0xffffffff &
		   ~IVM_MSI_ADDRESS_BASE) &&
		 (__u32)me->sender.msi_data == me->msi_data));
}

/* The thread's route has led to an accept */
static __always_inline void use_route(struct ivm_task *me, __u32 tgid)
{
	if (ivm_has_copies(&me->sender))
		me->copies_tgid = tgid;
	else
		me->sender.route_ns = 0;
}

/*
 * The vector of a link that is raised: a kworker's irqfd has the vector's own
 * eventfd, whatever message it has now; a QEMU's message is the one it has set.
 */
static __always_inline bool raised_target(const struct ivm_task *me, __u32 tgid,
					  struct ivm_target *target)
{
	const struct ivm_sender *s = &me->sender;
	__u32 id = me->work_eventfd_id;
	struct ivm_target *known;

	if (!me->work_ns)
		return find_message(tgid, s->msi_address, s->msi_data, target);
	known = bpf_map_lookup_elem(&eventfd_ids, &id);
	if (known)
		*target = *known;
	return known;
}

/*
 * An accept on a thread without an open doorbell: a QEMU raises what it received
 * or held, or a kworker what waited in an irqfd.
 */
static __always_inline void raise(struct ivm_task *me, const struct ivm_event *e)
{
	__u32 tgid = me->work_ns ? me->to_tgid : me->tgid;
	struct ivm_sender *s = &me->sender;
	struct ivm_journey *j = &s->open;
	struct ivm_target target = {};

	if (!ivm_route_leads_to(s, e))
		return;
	/* A doorbell that was rung before hooks were armed; clones have equal messages */
	if (me->vcpu && !me->access_ns)
		return;
	if (!raised_target(me, tgid, &target))
		return;
	if (j->id)
		close_open(me, e);
	ivm_sender_raise(s, e, __sync_fetch_and_add(&last_id, 1) + 1);
	j->to_end = target.end;
	j->vector = target.vector;
	j->t_ns[IVM_P_DEFER] = me->defer_ns;
	j->t_ns[IVM_P_WORK] = me->work_ns;
	/* A vCPU that raises its own interrupt has left its guest to unmask it */
	if (me->vcpu)
		j->t_ns[IVM_P_UNMASK] = s->exit_ns ? s->exit_ns : me->access_ns;
	/* Only the main loop reads the link's socket */
	if (me->kind & IVM_THREAD_LOOP)
		j->mode = IVM_M_QEMU;
	emit_open(IVM_REC_RAISED, me, e->t_ns);
	use_route(me, tgid);
	hand_over(me, tgid, e);
}

/* INIT clears the local APIC: what was pending there will not arrive */
static __always_inline void purge(struct ivm_task *me, const struct ivm_event *e)
{
	struct ivm_vcpu_state *v = find_vcpu(vcpu_of(me->tgid, e->a));

	if (v)
		v->purge_ns = e->t_ns;
}

/* Accepted for a vCPU of @tgid, and no ring: its end is not one that lacks a ring */
static __always_inline void note_other(__u32 tgid, const struct ivm_event *e)
{
	struct ivm_vector_key key = { .vcpu = vcpu_of(tgid, e->a), .irq_vector = e->b & 0xff };
	struct ivm_vcpu_state *v = find_vcpu(key.vcpu);
	struct ivm_slot_state *slot;

	if (!v || !bpf_map_lookup_elem(&link_vectors, &key))
		return;
	slot = find_slot(v->slot[key.irq_vector & 0xff]);
	if (!slot)
		slot = find_slot(make_slot(v, key.irq_vector));
	if (slot)
		slot->others++;
}

/* What this thread's route has led to; @e is outside hard IRQ context */
static __always_inline void accept(struct ivm_task *me, const struct ivm_event *e)
{
	if ((e->c & IVM_DELIVERY_MODE) == IVM_DELIVERY_INIT) {
		purge(me, e);
	} else if (route_seen && !me->sender.route_ns) {
		note_other(me->tgid, e);
	} else if (is_of_open(me)) {
		if (ivm_sender_step(&me->sender, e) == IVM_S_ACCEPTED) {
			use_route(me, me->to_tgid);
			hand_over(me, me->to_tgid, e);
		}
	} else if (me->copies_tgid) {
		note_other(me->copies_tgid, e);
	} else if (!me->is_open) {
		/* Else it is a doorbell's that was rung after the recording ended */
		raise(me, e);
	}
}

/* ---- kworkers ---- */

static __always_inline __u32 irqfd_eventfd_id(__u64 work)
{
	struct kvm_kernel_irqfd *irqfd;

	irqfd = (void *)(work - bpf_core_field_offset(struct kvm_kernel_irqfd, inject));
	return BPF_CORE_READ(irqfd, eventfd, id);
}

static __always_inline void defer(struct ivm_task *me, const struct ivm_event *e)
{
	struct ivm_journey *j = &me->sender.open;
	struct ivm_work work = { .tgid = me->tgid, .defer_ns = e->t_ns };
	__u64 key = e->a;

	work.eventfd_id = irqfd_eventfd_id(key);
	if (j->id && ivm_sender_step(&me->sender, e) == IVM_S_DEFERRED) {
		work.tgid = me->to_tgid;
		work.j = *j;
		j->id = 0;
	}
	if (bpf_map_update_elem(&works, &key, &work, BPF_ANY))
		count(IVM_LOST_MAP);
}

/* A kworker takes over the doorbell that queued this work */
static __always_inline void start_work(struct ivm_task *me, const struct ivm_work *work,
				       const struct ivm_event *e)
{
	me->to_tgid = work->tgid;
	me->defer_ns = work->defer_ns;
	me->work_eventfd_id = work->eventfd_id;
	me->work_ns = e->t_ns;
	me->sender.route_ns = 0;
	me->sender.open = work->j;
	if (work->j.id)
		me->sender.open.t_ns[IVM_P_WORK] = e->t_ns;
}

#endif /* IVM_ASSEMBLE_BPF_H */
