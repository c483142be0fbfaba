// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where journeys wait for their next event, and how they leave.
 */
#include <string.h>

#include "assemble_local.h"

struct thread *assemble_thread(struct ivm_assemble *a, uint32_t tid)
{
	struct thread *t = g_hash_table_lookup(a->threads, GUINT_TO_POINTER(tid));

	if (!t) {
		t = g_new0(struct thread, 1);
		t->pending = g_ptr_array_new();
		g_hash_table_insert(a->threads, GUINT_TO_POINTER(tid), t);
	}
	return t;
}

struct slot *assemble_slot(struct ivm_assemble *a, const struct ivm_vm *vm, uint32_t vcpu_id,
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

/* A new connection counts from 1; what was in the old one's socket went with it */
static void reset_stream(struct ivm_assemble *a, struct stream *stream, uint64_t link_id)
{
	struct ivm_journey *j;

	while ((j = g_queue_pop_head(&stream->sent)) || (j = g_queue_pop_head(&stream->unsent)))
		assemble_free_settled(a, j, IVM_O_DROPPED);
	stream->sent_upto = stream->received_upto = 0;
	memset(stream->flush, 0, sizeof(stream->flush));
	assemble_far_reset(a, &stream->far);
	stream->link_id = link_id;
}

struct stream *assemble_stream(struct ivm_assemble *a, const struct ivm_end *to)
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

struct ivm_counts *assemble_counts_of(struct ivm_assemble *a, const struct ivm_journey *j)
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

struct thread *assemble_receiver(struct ivm_assemble *a, const struct ivm_journey *j)
{
	const struct ivm_end *to = ivm_topology_end(a->topology, j->to_end);
	const struct ivm_vcpu *vcpu;

	if (!to)
		return NULL;
	vcpu = ivm_topology_vcpu_by_id(a->topology, to->vm, j->to_vcpu);
	return vcpu ? assemble_thread(a, vcpu->tid) : NULL;
}

/* Journeys are told by number: by now the pointer may be another's */
struct ivm_journey *assemble_find_id(const GQueue *queue, uint64_t id)
{
	GList *l;

	for (l = queue->tail; l; l = l->prev)
		if (((struct ivm_journey *)l->data)->id == id)
			return l->data;
	return NULL;
}

static bool raises_same(const struct ivm_linkpage_vector *a, const struct ivm_linkpage_vector *b)
{
	return a->msi_data && a->msi_data == b->msi_data && a->msi_address == b->msi_address;
}

/*
 * What waits for a vector waits for its message.  A device has an end towards each
 * of its peers, and all of them receive on the same vectors.
 */
static gpointer target_key(struct ivm_assemble *a, uint32_t to_end, uint32_t vector)
{
	const struct ivm_end *to = ivm_topology_end(a->topology, to_end);
	uint32_t v;
	guint i;

	if (!to || to->kind == IVM_END_LINK || vector >= to->page.vectors)
		return vector_key(to_end, vector);
	for (i = 0; i + 1 < to_end; i++) {
		const struct ivm_end *end = g_ptr_array_index(a->topology->ends, i);

		if (end->vm != to->vm || end->dead || end->kind == IVM_END_LINK)
			continue;
		for (v = 0; v < end->page.vectors; v++)
			if (raises_same(&end->page.vector[v], &to->page.vector[vector]))
				return vector_key(end->id, v);
	}
	return vector_key(to_end, vector);
}

GQueue *assemble_held(struct ivm_assemble *a, uint32_t to_end, uint32_t vector, bool create)
{
	gpointer key = target_key(a, to_end, vector);
	GQueue *held = g_hash_table_lookup(a->held, key);

	if (!held && create) {
		held = g_queue_new();
		g_hash_table_insert(a->held, key, held);
	}
	return held;
}

/* Zeroed before the first one */
struct raises *assemble_raises(struct ivm_assemble *a, uint32_t to_end, uint32_t vector)
{
	gpointer key = vector_key(to_end, vector);
	struct raises *raises = g_hash_table_lookup(a->raises, key);

	if (!raises) {
		raises = g_new0(struct raises, 1);
		g_hash_table_insert(a->raises, key, raises);
	}
	return raises;
}

static gint by_id(gconstpointer x, gconstpointer y, gpointer unused)
{
	const struct ivm_journey *a = x, *b = y;

	(void)unused;
	return a->id < b->id ? -1 : a->id > b->id;
}

void assemble_queue_by_id(GQueue *queue, struct ivm_journey *j)
{
	g_queue_insert_sorted(queue, j, by_id, NULL);
}

/* A work item or a flush may put one aside after a younger one */
void assemble_hold(struct ivm_assemble *a, struct ivm_journey *j)
{
	assemble_queue_by_id(assemble_held(a, j->to_end, j->vector, true), j);
}

static void keep_error(struct ivm_assemble *a, int err)
{
	if (err && !a->err)
		a->err = err;
}

/* Its carrier is still under way: remember whom its fate concerns */
static void follow(struct ivm_assemble *a, const struct ivm_journey *j, struct ivm_counts *c)
{
	gint64 key = j->into;
	GHashTable *counts = g_hash_table_lookup(a->followers, &key);
	gsize had;

	if (!counts) {
		counts = g_hash_table_new(g_direct_hash, g_direct_equal);
		g_hash_table_insert(a->followers, g_memdup2(&key, sizeof(key)), counts);
	}
	had = GPOINTER_TO_SIZE(g_hash_table_lookup(counts, c));
	g_hash_table_insert(counts, c, GSIZE_TO_POINTER(had + 1));
}

/* A carrier ended: what was coalesced into one that did not arrive did not either */
static void settle_followers(struct ivm_assemble *a, const struct ivm_journey *carrier)
{
	gint64 key = carrier->id;
	GHashTable *counts = g_hash_table_lookup(a->followers, &key);
	GHashTableIter it;
	gpointer c, many;

	if (!counts)
		return;
	g_hash_table_iter_init(&it, counts);
	while (carrier->outcome != IVM_O_DELIVERED && g_hash_table_iter_next(&it, &c, &many)) {
		uint64_t *counter = ivm_counts_outcome(c, carrier->outcome);

		((struct ivm_counts *)c)->coalesced -= GPOINTER_TO_SIZE(many);
		if (counter)
			*counter += GPOINTER_TO_SIZE(many);
	}
	if (carrier->outcome != IVM_O_DELIVERED && a->fate)
		keep_error(a, a->fate(a->arg, carrier->id, carrier->outcome));
	g_hash_table_remove(a->followers, &key);
}

/* Counts the journey and hands it to the caller */
void assemble_settle(struct ivm_assemble *a, struct ivm_journey *j)
{
	struct ivm_counts *c = assemble_counts_of(a, j);
	uint64_t *counter = ivm_counts_outcome(c, j->outcome);

	ivm_check_order(j);
	if (j->flags & IVM_J_DISORDERED)
		a->stats.disordered++;
	if (counter)
		(*counter)++;
	c->disordered += j->outcome == IVM_O_DELIVERED && (j->flags & IVM_J_DISORDERED);
	keep_error(a, a->fn(a->arg, j));
	if (j->flags & IVM_J_EARLY)
		follow(a, j, c);
	else if (j->outcome != IVM_O_COALESCED)
		settle_followers(a, j);
}

void assemble_settle_as(struct ivm_assemble *a, struct ivm_journey *j, enum ivm_outcome outcome)
{
	j->outcome = outcome;
	assemble_settle(a, j);
}

/* The same for one that waited on its own */
void assemble_free_settled(struct ivm_assemble *a, struct ivm_journey *j,
			   enum ivm_outcome outcome)
{
	assemble_settle_as(a, j, outcome);
	g_free(j);
}

/* It is in the receiver's APIC: only the end of its VM can cut it off */
enum ivm_outcome assemble_outcome_accepted(struct ivm_assemble *a, const struct ivm_journey *j)
{
	const struct ivm_end *to = ivm_topology_end(a->topology, j->to_end);

	return to && to->vm->dead ? IVM_O_DROPPED : IVM_O_UNFINISHED;
}
