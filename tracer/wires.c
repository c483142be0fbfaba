// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who signals which eventfd, and which interrupt that is.
 *
 * Doorbells of cloned VMs have the same address, their interrupts the same
 * message, their descriptors the same number.  The eventfd's context in the
 * kernel is the one thing that differs, and what all lookups go through.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wires.h"

struct ivm_wires {
	GArray *doorbells;		/* struct ivm_irqfd_record, by eventfd */
	GArray *targets;		/* by eventfd */
	GArray *holders;		/* by eventfd */
	GHashTable *holder_by_fd;	/* record in @holders, hashed by (tgid, fd) */
	GHashTable *doorbells_at;	/* (tgid, address) -> GArray of index into @doorbells */
};

struct place {
	uint64_t at;
	pid_t tgid;
};

static guint place_hash(gconstpointer p)
{
	const struct place *place = p;

	return (place->at ^ (uint64_t)place->tgid << 32) * UINT64_C(0x9e3779b97f4a7c15) >> 32;
}

static gboolean place_equal(gconstpointer x, gconstpointer y)
{
	const struct place *a = x, *b = y;

	return a->at == b->at && a->tgid == b->tgid;
}

static struct place *place_new(pid_t tgid, uint64_t at)
{
	struct place *place = g_new(struct place, 1);

	place->at = at;
	place->tgid = tgid;
	return place;
}

/* Order within one eventfd: the same from reading to reading */
static gint by_eventfd(gconstpointer x, gconstpointer y)
{
	const struct ivm_irqfd_record *a = x, *b = y;

	if (a->eventfd != b->eventfd)
		return a->eventfd < b->eventfd ? -1 : 1;
	if (a->tgid != b->tgid)
		return a->tgid < b->tgid ? -1 : 1;
	if (a->address != b->address)
		return a->address < b->address ? -1 : 1;
	if (a->value != b->value)
		return a->value < b->value ? -1 : 1;
	return a->gsi != b->gsi ? (a->gsi < b->gsi ? -1 : 1) : a->fd - b->fd;
}

static struct ivm_irqfd_record *record_at(const GArray *records, guint i)
{
	return &g_array_index(records, struct ivm_irqfd_record, i);
}

/* A VM whose descriptor its process holds twice was walked twice */
static void sort_unique(GArray *records)
{
	guint i = 1;

	g_array_sort(records, by_eventfd);
	while (i < records->len)
		if (!memcmp(record_at(records, i - 1), record_at(records, i),
			    sizeof(struct ivm_irqfd_record)))
			g_array_remove_index(records, i);
		else
			i++;
}

static void index_all(struct ivm_wires *w)
{
	guint i;

	for (i = 0; i < w->holders->len; i++) {
		struct ivm_irqfd_record *r = record_at(w->holders, i);

		g_hash_table_insert(w->holder_by_fd, place_new(r->tgid, r->fd), r);
	}
	for (i = 0; i < w->doorbells->len; i++) {
		const struct ivm_irqfd_record *r = record_at(w->doorbells, i);
		struct place at = { .at = r->address, .tgid = r->tgid };
		GArray *there = g_hash_table_lookup(w->doorbells_at, &at);

		if (!there) {
			there = g_array_new(FALSE, FALSE, sizeof(guint));
			g_hash_table_insert(w->doorbells_at, place_new(r->tgid, r->address), there);
		}
		g_array_append_val(there, i);
	}
}

static void array_free(gpointer array)
{
	g_array_unref(array);
}

/**
 * ivm_wires_new() - makes a reading searchable
 * @records: struct ivm_irqfd_record; copied
 *
 * Return: free with ivm_wires_free().
 */
struct ivm_wires *ivm_wires_new(const GArray *records)
{
	struct ivm_wires *w = g_new0(struct ivm_wires, 1);
	guint i;

	w->doorbells = g_array_new(FALSE, FALSE, sizeof(struct ivm_irqfd_record));
	w->targets = g_array_new(FALSE, FALSE, sizeof(struct ivm_irqfd_record));
	w->holders = g_array_new(FALSE, FALSE, sizeof(struct ivm_irqfd_record));
	w->holder_by_fd = g_hash_table_new_full(place_hash, place_equal, g_free, NULL);
	w->doorbells_at = g_hash_table_new_full(place_hash, place_equal, g_free, array_free);
	for (i = 0; i < records->len; i++) {
		const struct ivm_irqfd_record *r = record_at(records, i);

		/* The fast bus has a second entry of what is on the MMIO bus already */
		if (r->kind == IVM_IRQFD_DOORBELL && r->bus <= IVM_IRQFD_BUS_PIO)
			g_array_append_vals(w->doorbells, r, 1);
		else if (r->kind == IVM_IRQFD_TARGET)
			g_array_append_vals(w->targets, r, 1);
		else if (r->kind == IVM_IRQFD_HOLDER)
			g_array_append_vals(w->holders, r, 1);
	}
	sort_unique(w->doorbells);
	sort_unique(w->targets);
	sort_unique(w->holders);
	index_all(w);
	return w;
}

/**
 * ivm_wires_free() - frees
 * @w: may be NULL
 */
void ivm_wires_free(struct ivm_wires *w)
{
	if (!w)
		return;
	g_hash_table_destroy(w->holder_by_fd);
	g_hash_table_destroy(w->doorbells_at);
	g_array_unref(w->doorbells);
	g_array_unref(w->targets);
	g_array_unref(w->holders);
	g_free(w);
}

/* The first record of @eventfd in a sorted table, or where it would be */
static guint lower_bound(const GArray *records, uint64_t eventfd)
{
	guint low = 0, high = records->len;

	while (low < high) {
		guint middle = low + (high - low) / 2;

		if (record_at(records, middle)->eventfd < eventfd)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct ivm_irqfd_record *nth_of(const GArray *records, uint64_t eventfd,
					     unsigned int nth)
{
	guint i = lower_bound(records, eventfd) + nth;

	return i < records->len && record_at(records, i)->eventfd == eventfd
		? record_at(records, i) : NULL;
}

/**
 * ivm_wires_target() - an interrupt that an eventfd raises
 * @w: the wires
 * @eventfd: its context
 * @nth: from 0; up to Linux 6.14 one eventfd may raise several VMs' interrupts
 *
 * Return: the irqfd, or NULL.
 */
const struct ivm_irqfd_record *ivm_wires_target(const struct ivm_wires *w, uint64_t eventfd,
						unsigned int nth)
{
	return nth_of(w->targets, eventfd, nth);
}

/**
 * ivm_wires_doorbell_of() - a doorbell that signals an eventfd
 * @w: the wires
 * @eventfd: its context
 * @nth: from 0
 *
 * Return: the ioeventfd, or NULL.
 */
const struct ivm_irqfd_record *ivm_wires_doorbell_of(const struct ivm_wires *w, uint64_t eventfd,
						     unsigned int nth)
{
	return nth_of(w->doorbells, eventfd, nth);
}

/**
 * ivm_wires_holder_of() - a descriptor of an eventfd
 * @w: the wires
 * @eventfd: its context
 * @nth: from 0
 *
 * Return: who has it open, or NULL.
 */
const struct ivm_irqfd_record *ivm_wires_holder_of(const struct ivm_wires *w, uint64_t eventfd,
						   unsigned int nth)
{
	return nth_of(w->holders, eventfd, nth);
}

/**
 * ivm_wires_holder() - which eventfd a descriptor is
 * @w: the wires
 * @tgid: the process
 * @fd: its descriptor
 *
 * Return: the record, or NULL if it was none when the tables were read.
 */
const struct ivm_irqfd_record *ivm_wires_holder(const struct ivm_wires *w, pid_t tgid, int fd)
{
	const struct place at = { .at = fd, .tgid = tgid };

	return g_hash_table_lookup(w->holder_by_fd, &at);
}

/**
 * ivm_wires_doorbell() - which eventfd a guest's write signals
 * @w: the wires
 * @tgid: the process whose guest wrote
 * @address: guest physical
 * @value: written
 * @bytes: width of the write
 *
 * As KVM decides it: a doorbell with a value takes that value only, one with a
 * width that width only.
 *
 * Return: the doorbell, or NULL if this write goes up to QEMU.
 */
const struct ivm_irqfd_record *ivm_wires_doorbell(const struct ivm_wires *w, pid_t tgid,
						  uint64_t address, uint64_t value,
						  uint32_t bytes)
{
	const struct place at = { .at = address, .tgid = tgid };
	const GArray *there = g_hash_table_lookup(w->doorbells_at, &at);
	guint i;

	for (i = 0; there && i < there->len; i++) {
		const struct ivm_irqfd_record *r =
			record_at(w->doorbells, g_array_index(there, guint, i));

		if (r->bus == IVM_IRQFD_BUS_MMIO && (!r->bytes || r->bytes == bytes) &&
		    (r->flags & IVM_IRQFD_F_WILDCARD || r->value == value))
			return r;
	}
	return NULL;
}

static void each_doorbell(const struct ivm_wires *w, struct ivm_wire *wire, ivm_wire_fn fn,
			  void *arg)
{
	unsigned int nth = 0;

	do {
		wire->doorbell = nth_of(w->doorbells, wire->eventfd, nth++);
		if (wire->doorbell || nth == 1)
			fn(arg, wire);
	} while (wire->doorbell);
}

/**
 * ivm_wires_each() - every way to an interrupt, and doorbells that raise none
 * @w: the wires
 * @fn: called for each
 * @arg: for @fn
 */
void ivm_wires_each(const struct ivm_wires *w, ivm_wire_fn fn, void *arg)
{
	guint i;

	for (i = 0; i < w->targets->len; i++) {
		const struct ivm_irqfd_record *r = record_at(w->targets, i);
		struct ivm_wire wire = {
			.eventfd = r->eventfd, .eventfd_id = r->eventfd_id, .target = r,
		};

		each_doorbell(w, &wire, fn, arg);
	}
	for (i = 0; i < w->doorbells->len; i++) {
		const struct ivm_irqfd_record *r = record_at(w->doorbells, i);
		const struct ivm_wire wire = {
			.eventfd = r->eventfd, .eventfd_id = r->eventfd_id, .doorbell = r,
		};

		if (!ivm_wires_target(w, r->eventfd, 0))
			fn(arg, &wire);
	}
}

/**
 * ivm_wires_msi_equal() - is this the message that an irqfd sends?
 * @target: the irqfd
 * @address: of the message; upper half 0 where KVM does not look at it
 * @data: of the message
 *
 * Return: true if it is.
 */
bool ivm_wires_msi_equal(const struct ivm_irqfd_record *target, uint64_t address, uint64_t data)
{
	return target->route == IVM_IRQFD_ROUTE_MSI &&
	       (uint32_t)target->address == (uint32_t)address &&
	       (!(address >> 32) || !(target->address >> 32) ||
		target->address >> 32 == address >> 32) &&
	       (uint32_t)target->value == (uint32_t)data;
}

/* ---- link pages against KVM ---- */

static const struct ivm_irqfd_record *target_in(const struct ivm_wires *w, uint64_t eventfd,
						pid_t tgid)
{
	const struct ivm_irqfd_record *target;
	unsigned int nth;

	for (nth = 0; (target = ivm_wires_target(w, eventfd, nth)); nth++)
		if ((pid_t)target->tgid == tgid)
			return target;
	return NULL;
}

/* What contradicts the pages about a doorbell of @end, NULL if nothing does */
static const char *contradiction(const struct ivm_wires *w, const struct ivm_end *end,
				 uint32_t vector)
{
	const struct ivm_linkpage_vector *v = &end->peer->page.vector[vector];
	pid_t from = end->vm->tgid, to = end->peer->vm->tgid;
	const struct ivm_irqfd_record *ours, *theirs, *doorbell, *target;

	ours = ivm_wires_holder(w, from, end->page.peer_eventfd[vector]);
	theirs = ivm_wires_holder(w, to, v->eventfd);
	if (!ours || !theirs)
		return "a descriptor in a link page is no eventfd";
	if (ours->eventfd != theirs->eventfd)
		return "the two ends' descriptors are different eventfds";
	doorbell = ivm_wires_doorbell(w, from, end->page.bar0_address + IVM_DOORBELL(vector), 0,
				      sizeof(uint32_t));
	if (doorbell && doorbell->eventfd != ours->eventfd)
		return "the doorbell signals another eventfd";
	if (!doorbell && end->page.mode_tx == IVM_MODE_DIRECT &&
	    end->page.bar0_address != IVM_LINKPAGE_NO_ADDR)
		return "mode is direct, but KVM has no ioeventfd for the doorbell";
	if (doorbell && end->page.mode_tx != IVM_MODE_DIRECT)
		return "mode is not direct, but KVM has an ioeventfd for the doorbell";
	target = target_in(w, ours->eventfd, to);
	if (!target != !(v->flags & IVM_LP_VEC_IRQFD))
		return target ? "an irqfd is attached that the link page does not know"
			      : "KVM has no irqfd for the peer's eventfd";
	if (target && !ivm_wires_msi_equal(target, v->msi_address, v->msi_data))
		return "the irqfd sends another message than the link page says";
	return NULL;
}

/**
 * ivm_wires_check() - do KVM's tables say the same as the link pages?
 * @w: the wires, read after the pages of @t
 * @t: the topology
 * @fn: called for each contradiction; NULL to count only
 * @arg: for @fn
 *
 * A guest that is setting up its interrupts just now contradicts for a moment.
 *
 * Return: the number of doorbells that differ.
 */
unsigned int ivm_wires_check(const struct ivm_wires *w, const struct ivm_topology *t,
			     ivm_wires_mismatch_fn fn, void *arg)
{
	unsigned int found = 0;
	const char *what;
	uint32_t v;
	guint i;

	for (i = 0; i < t->ends->len; i++) {
		const struct ivm_end *end = g_ptr_array_index(t->ends, i);

		if (end->kind != IVM_END_LINK || end->dead || !end->peer ||
		    end->page.accel != IVM_ACCEL_KVM ||
		    end->peer->page.accel != IVM_ACCEL_KVM)
			continue;
		for (v = 0; v < MIN(end->page.peer_vectors, IVM_LINKPAGE_VECTORS); v++) {
			if (end->page.peer_eventfd[v] < 0)
				continue;
			what = contradiction(w, end, v);
			if (!what)
				continue;
			found++;
			if (fn)
				fn(arg, end, v, what);
		}
	}
	return found;
}
