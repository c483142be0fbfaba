// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What BPF programs have put together already.
 *
 * Most records are whole journeys.  The others are parts that only meet here,
 * where all of a host is known: a RING in a link's socket, a ring that nothing
 * was accepted for, and an interrupt that a QEMU or a kworker raised for them.
 */
#include "assemble_local.h"

#define UNBOUND	4096u	/* raised interrupts of a vector whose ring is not known, at the most */

/* A journey is new here with its first record, which is its only one mostly */
static struct ivm_counts *count_rung(struct ivm_assemble *a, const struct ivm_journey *j)
{
	struct ivm_counts *c = assemble_counts_of(a, j);

	c->rung++;
	c->accepted += ivm_seen(j, IVM_P_ACCEPT);
	c->posted += !!(j->flags & IVM_J_POSTED);
	return c;
}

void assemble_raised_free(gpointer p)
{
	struct raised *r = p;

	g_queue_clear_full(&r->rings, g_free);
	g_free(r);
}

static gpointer vector_key(const struct ivm_journey *j)
{
	return GSIZE_TO_POINTER((gsize)j->to_end << 16 | j->vector);
}

static struct raised *find_raised(struct ivm_assemble *a, uint64_t id)
{
	gint64 key = id;

	return g_hash_table_lookup(a->raised, &key);
}

static void drop_raised(struct ivm_assemble *a, const struct raised *r)
{
	gint64 key = r->j.id;

	g_hash_table_remove(a->raised, &key);
}

/* Everything from the route on is the raised interrupt's */
static void take_end_points(struct ivm_journey *ring, const struct ivm_journey *raised)
{
	int p;

	if (ivm_seen(raised, IVM_P_UNMASK))
		assemble_stamp_unmask(ring, raised->t_ns[IVM_P_UNMASK]);
	for (p = IVM_P_UNMASK + 1; p < IVM_POINTS; p++)
		if (raised->t_ns[p])
			ring->t_ns[p] = raised->t_ns[p];
	ring->to_vcpu = raised->to_vcpu;
	ring->irq_vector = raised->irq_vector;
	ring->flags |= raised->flags & ~IVM_J_RAISED;
	/* It went up to QEMU, no eventfd was written, the other QEMU's main loop raised it */
	if (ring->mode == IVM_M_UNKNOWN && ivm_seen(ring, IVM_P_USER))
		ring->mode = raised->mode;
}

static void settle_ring(struct ivm_assemble *a, const struct ivm_journey *by,
			struct ivm_journey *ring, enum ivm_outcome outcome, uint64_t into)
{
	struct ivm_counts *c = assemble_counts_of(a, ring);

	take_end_points(ring, by);
	ring->into = into;
	c->accepted++;
	c->posted += !!(ring->flags & IVM_J_POSTED);
	assemble_free_settled(a, ring, outcome);
}

static void settle_spare(struct ivm_assemble *a, struct spare *spare)
{
	if (spare->ring)
		settle_ring(a, &spare->by, spare->ring, IVM_O_COALESCED, spare->into);
	spare->ring = NULL;
}

static void keep_spare(struct ivm_assemble *a, const struct ivm_journey *by,
		       struct ivm_journey *ring, uint64_t into)
{
	struct spare *spare = &assemble_raises(a, by->to_end, by->vector)->spare;

	settle_spare(a, spare);
	*spare = (struct spare){ .ring = ring, .by = *by, .into = into };
}

/* The journey that carries what was raised under this number */
static uint64_t carrier_id(struct ivm_assemble *a, uint64_t id)
{
	struct raised *r = find_raised(a, id);
	struct ivm_journey *carrier = r ? g_queue_peek_head(&r->rings) : NULL;

	if (r)
		return carrier ? carrier->id : 0;
	return id;
}

static bool arrives(enum ivm_outcome outcome)
{
	return outcome == IVM_O_DELIVERED || outcome == IVM_O_COALESCED;
}

/* It ended, and its rings are known: the first one carried the others along */
static void settle_raised(struct ivm_assemble *a, struct raised *r)
{
	enum ivm_outcome outcome = r->j.outcome;
	struct ivm_journey *ring = g_queue_peek_head(&r->rings);
	uint64_t id = ring->id, into = carrier_id(a, r->j.into);

	g_queue_pop_head(&r->rings);
	settle_ring(a, &r->j, ring, outcome, into);
	/* Only the first one can be early: the others are settled with it */
	r->j.flags &= ~IVM_J_EARLY;
	while ((ring = g_queue_pop_head(&r->rings))) {
		if (outcome == IVM_O_DELIVERED && g_queue_is_empty(&r->rings))
			keep_spare(a, &r->j, ring, id);
		else if (arrives(outcome))
			settle_ring(a, &r->j, ring, IVM_O_COALESCED, into ? into : id);
		else
			settle_ring(a, &r->j, ring, outcome, 0);
	}
	drop_raised(a, r);
}

static void end_raised(struct ivm_assemble *a, const struct ivm_journey *j)
{
	struct raised *r = find_raised(a, j->id);

	if (!r) {
		if (!assemble_far_ended(a, j))
			a->stats.not_rings += j->outcome == IVM_O_DELIVERED;
		return;
	}
	r->j = *j;
	r->ended = true;
	if (!g_queue_is_empty(&r->rings))
		settle_raised(a, r);
}

static GQueue *unbound_of(struct ivm_assemble *a, const struct ivm_journey *j)
{
	GQueue *queue = g_hash_table_lookup(a->unbound, vector_key(j));

	if (!queue) {
		queue = g_queue_new();
		g_hash_table_insert(a->unbound, vector_key(j), queue);
	}
	return queue;
}

static void take_waiting(struct ivm_assemble *a, const struct ivm_end *to, struct raised *r,
			 struct raise *raise)
{
	const struct ivm_journey *j = &r->j;

	if (ivm_seen(j, IVM_P_WORK))
		raise->start_ns = j->t_ns[IVM_P_WORK];
	else
		assemble_begin_raise(a, to, j->vector, j->mode != IVM_M_QEMU,
				     j->t_ns[IVM_P_ROUTE], raise);
	assemble_take_waiting(a, to, j->vector, &r->rings, raise);
	if (raise->is_read)
		r->upto_ns = raise->start_ns;
}

/* Under TCG nobody sees a doorbell being rung: no ring will ever ask what it led to */
static bool is_rung_unseen(const struct ivm_end *to)
{
	return to && to->kind == IVM_END_LINK && to->peer &&
	       to->peer->page.accel != IVM_ACCEL_KVM;
}

/*
 * Until its ring is known it waits.  A ring's record is late by as long as its vCPU was
 * kept from going on; those that wait longer than this many others have lost theirs.
 */
static void wait_for_ring(struct ivm_assemble *a, struct raised *r)
{
	GQueue *queue = unbound_of(a, &r->j);
	struct raised *oldest;

	g_queue_push_tail(queue, r);
	if (queue->length <= UNBOUND)
		return;
	oldest = g_queue_pop_head(queue);
	if (oldest->ended)
		a->stats.not_rings += oldest->j.outcome == IVM_O_DELIVERED;
	drop_raised(a, oldest);
}

/*
 * Did @by, which took @ring along, overlap with what led to @r?  A worker injects what
 * was signalled when KVM got the irqfd, while the QEMU that gave it raises what it had read
 * before.  What a read has found nobody had read before.
 */
static bool may_give_back(const struct raised *r, const struct raise *raise,
			  const struct ivm_journey *by, const struct ivm_journey *ring)
{
	uint64_t begin_ns = r->j.t_ns[IVM_P_UNMASK];

	if (ivm_seen(&r->j, IVM_P_WORK))
		begin_ns = r->j.t_ns[IVM_P_DEFER];
	else if (raise->is_read ? ivm_seen(ring, IVM_P_RECV) : !begin_ns)
		return false;
	return by->t_ns[IVM_P_ROUTE] > begin_ns && assemble_was_signalled(ring, raise->start_ns);
}

/* The newest ring of the newest interrupt that is under way and has several */
static struct ivm_journey *take_back_pending(struct ivm_assemble *a, const struct raised *r,
					     const struct raise *raise)
{
	const struct raise *last = assemble_raises(a, r->j.to_end, r->j.vector)->raise;
	struct raised *other;
	unsigned int i;

	for (i = 0; i < RAISES; i++) {
		other = last[i].id ? find_raised(a, last[i].id) : NULL;
		if (other && other->rings.length > 1)
			return may_give_back(r, raise, &other->j, other->rings.tail->data) ?
			       g_queue_pop_tail(&other->rings) : NULL;
	}
	return NULL;
}

/*
 * What was signalled raised this interrupt, and others have taken it all along: one of
 * them took too much.
 */
static void take_back(struct ivm_assemble *a, struct raised *r, const struct raise *raise)
{
	struct spare *spare = &assemble_raises(a, r->j.to_end, r->j.vector)->spare;
	struct ivm_journey *ring = take_back_pending(a, r, raise);

	if (!ring && spare->ring && may_give_back(r, raise, &spare->by, spare->ring)) {
		ring = spare->ring;
		spare->ring = NULL;
	}
	if (!ring)
		return;
	ring->flags |= IVM_J_CONTENDED;
	g_queue_push_tail(&r->rings, ring);
}

/* An interrupt was raised: for what was received and held of its vector */
static void begin_raised(struct ivm_assemble *a, const struct ivm_journey *j)
{
	const struct ivm_end *to = ivm_topology_end(a->topology, j->to_end);
	struct raise raise = { .id = j->id };
	struct raised *r;
	gint64 key = j->id;

	if (assemble_is_far(to)) {
		assemble_far_raised(a, to, j);
		return;
	}
	if (is_rung_unseen(to))
		return;
	r = g_new0(struct raised, 1);
	r->j = *j;
	r->upto_ns = j->t_ns[IVM_P_ACCEPT];
	g_queue_init(&r->rings);
	g_hash_table_insert(a->raised, g_memdup2(&key, sizeof(key)), r);
	if (to)
		take_waiting(a, to, r, &raise);
	if (g_queue_is_empty(&r->rings) && raise.start_ns)
		take_back(a, r, &raise);
	assemble_note_raise(a, j, &raise);
	if (g_queue_is_empty(&r->rings))
		wait_for_ring(a, r);
}

/* A ring that closed late was part of it. Return: false if it has ended. */
bool assemble_join_raised(struct ivm_assemble *a, struct ivm_journey *ring, uint64_t id)
{
	struct raised *r = find_raised(a, id);
	struct raise *raise;

	if (!r)
		return false;
	raise = assemble_find_raise(a, ring, id);
	if (raise)
		assemble_count_in(raise, ring);
	g_queue_remove(unbound_of(a, ring), r);
	assemble_queue_by_id(&r->rings, ring);
	if (r->ended)
		settle_raised(a, r);
	return true;
}

/* The oldest interrupt raised for nothing we knew, after this doorbell was rung */
static struct raised *take_unbound(struct ivm_assemble *a, const struct ivm_journey *ring)
{
	GQueue *queue = unbound_of(a, ring);
	GList *l;

	for (l = queue->head; l; l = l->next) {
		struct raised *r = l->data;

		if (assemble_was_signalled(ring, r->upto_ns))
			return r;
	}
	return NULL;
}

/* A doorbell closed without an accept; somebody may have raised it already */
static void close_ring(struct ivm_assemble *a, const struct ivm_journey *j)
{
	struct ivm_journey *ring = g_memdup2(j, sizeof(*j));
	struct raise *raise = assemble_raise_of(a, ring);
	struct raised *r = NULL;

	/* A read says how many it lacks; of others the oldest without any has lacked it longest */
	if (!assemble_is_unsent(ring) && !(raise && raise->is_read))
		r = take_unbound(a, ring);
	a->signal_seen |= ivm_seen(j, IVM_P_SIGNAL);
	if (!ring->to_end)
		assemble_free_settled(a, ring, IVM_O_UNSEEN);
	else if (r)
		assemble_join_raised(a, ring, r->j.id);
	else
		assemble_set_aside(a, ring);
}

/* One work item runs once for all that signalled before it did: they share its fate */
static void take_along(struct ivm_assemble *a, const struct ivm_journey *carrier)
{
	bool is_delivered = carrier->outcome == IVM_O_DELIVERED;
	struct raise raise = { .start_ns = carrier->t_ns[IVM_P_WORK] };
	g_auto(GQueue) others = G_QUEUE_INIT;
	struct ivm_journey *ring;

	assemble_take_deferred(a, carrier, &others);
	assemble_note_raise(a, carrier, &raise);
	while ((ring = g_queue_pop_head(&others))) {
		ring->t_ns[IVM_P_ROUTE] = carrier->t_ns[IVM_P_ROUTE];
		ring->t_ns[IVM_P_ACCEPT] = carrier->t_ns[IVM_P_ACCEPT];
		ring->to_vcpu = carrier->to_vcpu;
		ring->irq_vector = carrier->irq_vector;
		ring->into = is_delivered ? carrier->id : carrier->into;
		ring->flags |= carrier->flags & IVM_J_EARLY;
		assemble_counts_of(a, ring)->accepted++;
		assemble_free_settled(a, ring, is_delivered ? IVM_O_COALESCED : carrier->outcome);
	}
}

static void end_ring(struct ivm_assemble *a, struct ivm_journey *j)
{
	count_rung(a, j);
	a->signal_seen |= ivm_seen(j, IVM_P_SIGNAL);
	if (ivm_seen(j, IVM_P_WORK) && ivm_seen(j, IVM_P_ACCEPT))
		take_along(a, j);
	assemble_settle(a, j);
}

/* A journey ended, or what was raised did */
static void end(struct ivm_assemble *a, struct ivm_journey *j)
{
	if (j->flags & IVM_J_RAISED)
		end_raised(a, j);
	else
		end_ring(a, j);
}

void assemble_record(struct ivm_assemble *a, const struct ivm_journey_record *r)
{
	struct ivm_journey j = r->j;

	switch (r->kind) {
	case IVM_REC_ENDED:
		end(a, &j);
		break;
	case IVM_REC_CLOSED:
		count_rung(a, &j);
		close_ring(a, &j);
		break;
	case IVM_REC_SENT:
		count_rung(a, &j);
		if (j.to_end)
			assemble_push_sent(a, g_memdup2(&j, sizeof(j)));
		else
			assemble_settle_as(a, &j, IVM_O_UNSEEN);
		break;
	case IVM_REC_RAISED:
		begin_raised(a, &j);
		break;
	}
}

/**
 * ivm_assemble_lost() - rings whose records found no room
 * @a: the assembler
 * @key: whose
 * @lost: how many, and what became of them
 *
 * What waited for somebody else when its record was lost has no known end.
 */
void ivm_assemble_lost(struct ivm_assemble *a, const struct ivm_lost_key *key,
		       const struct ivm_lost_rings *lost)
{
	const struct ivm_journey j = {
		.from_end = key->from_end, .to_end = lost->to_end,
		.vector = key->vector, .irq_vector = lost->irq_vector,
	};
	struct ivm_counts *c = assemble_counts_of(a, &j);

	c->rung += lost->rung;
	c->accepted += lost->accepted;
	c->posted += lost->posted;
	c->delivered += lost->outcome[IVM_O_DELIVERED];
	c->coalesced += lost->outcome[IVM_O_COALESCED];
	c->masked += lost->outcome[IVM_O_MASKED];
	c->dropped += lost->outcome[IVM_O_DROPPED];
	c->unfinished += lost->outcome[IVM_O_UNFINISHED];
	c->unseen += lost->outcome[IVM_O_UNSEEN];
}

/* What was pending in a slot of the programs when the recording was over */
void assemble_finish_pending(struct ivm_assemble *a, struct ivm_slot *s)
{
	enum ivm_outcome outcome = assemble_outcome_accepted(a, &s->head);

	if (s->taken.id)
		end(a, &s->taken);
	s->newest.into = 0;
	s->newest.outcome = s->head.outcome = outcome;
	if (s->newest.id)
		end(a, &s->newest);
	if (s->head.id)
		end(a, &s->head);
}

/* Raised interrupts that never ended, or that no ring was found for */
void assemble_finish_raised(struct ivm_assemble *a)
{
	g_autoptr(GList) all = g_hash_table_get_values(a->raised);
	GHashTableIter it;
	gpointer raises;
	GList *l;

	for (l = all; l; l = l->next) {
		struct raised *r = l->data;

		if (g_queue_is_empty(&r->rings)) {
			a->stats.not_rings += r->j.outcome == IVM_O_DELIVERED;
			drop_raised(a, r);
			continue;
		}
		r->j.outcome = assemble_outcome_accepted(a, &r->j);
		settle_raised(a, r);
	}
	g_hash_table_iter_init(&it, a->raises);
	while (g_hash_table_iter_next(&it, NULL, &raises))
		settle_spare(a, &((struct raises *)raises)->spare);
}
