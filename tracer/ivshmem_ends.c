// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ivshmem-doorbell, told by its doorbells.
 *
 * The device has one 32-bit doorbell register, at offset 12 of a page; the value
 * written is peer << 16 | vector, and KVM has an ioeventfd for each such value,
 * the device's own number among them.  Those of one peer make an end towards it:
 * their eventfds raise the peer's interrupts.  Which device of the peer that is,
 * and so which doorbell rings back, is told by the eventfds too: they are the
 * same as those that the peer's device has for its own number.
 */
#include <string.h>

#include "discover.h"
#include "ivshmem_ends.h"

#define BELL_OFFSET	12
#define PAGE_MASK	0xfffu

/* The doorbells of one device for one peer, in one VM */
struct bell {
	pid_t from;
	pid_t to;
	uint64_t address;
	uint32_t peer;
	uint64_t eventfd[IVM_LINKPAGE_VECTORS];		/* 0 none */
	const struct ivm_irqfd_record *target[IVM_LINKPAGE_VECTORS];	/* this reading's */
	uint32_t vectors;
	bool seen;			/* in this reading */
	uint64_t gone_ns;
	struct ivm_end *end;		/* NULL until followed */
};

struct ivm_ivshmem_ends {
	struct ivm_topology *topology;
	struct ivm_ivshmem_host host;
	GPtrArray *bells;		/* struct bell *, owned */
};

/**
 * ivm_ivshmem_ends_new() - nothing found yet
 * @topology: gets the ends
 * @host: copied
 *
 * Return: free with ivm_ivshmem_ends_free().
 */
struct ivm_ivshmem_ends *ivm_ivshmem_ends_new(struct ivm_topology *topology,
					      const struct ivm_ivshmem_host *host)
{
	struct ivm_ivshmem_ends *f = g_new0(struct ivm_ivshmem_ends, 1);

	f->topology = topology;
	f->host = *host;
	f->bells = g_ptr_array_new_with_free_func(g_free);
	return f;
}

/**
 * ivm_ivshmem_ends_free() - forgets everything but the topology
 * @f: may be NULL
 */
void ivm_ivshmem_ends_free(struct ivm_ivshmem_ends *f)
{
	if (!f)
		return;
	g_ptr_array_unref(f->bells);
	g_free(f);
}

/* ---- a reading ---- */

static bool is_bell(const struct ivm_irqfd_record *doorbell)
{
	return doorbell->bus == IVM_IRQFD_BUS_MMIO && doorbell->bytes == sizeof(uint32_t) &&
	       !(doorbell->flags & IVM_IRQFD_F_WILDCARD) &&
	       (doorbell->address & PAGE_MASK) == BELL_OFFSET &&
	       doorbell->value <= UINT32_MAX &&
	       (uint16_t)doorbell->value < IVM_LINKPAGE_VECTORS;
}

/* A number that is given to another VM makes another end */
static struct bell *find_bell(struct ivm_ivshmem_ends *f, const struct ivm_irqfd_record *doorbell,
			      pid_t to)
{
	struct bell *bell;
	guint i;

	for (i = f->bells->len; i-- > 0;) {
		bell = g_ptr_array_index(f->bells, i);
		if (bell->from == (pid_t)doorbell->tgid && bell->address == doorbell->address &&
		    bell->peer == doorbell->value >> 16 && (!to || bell->to == to))
			return bell;
	}
	if (!to)
		return NULL;
	bell = g_new0(struct bell, 1);
	bell->from = doorbell->tgid;
	bell->to = to;
	bell->address = doorbell->address;
	bell->peer = doorbell->value >> 16;
	g_ptr_array_add(f->bells, bell);
	return bell;
}

static void note(struct bell *bell, const struct ivm_wire *wire)
{
	uint16_t vector = wire->doorbell->value;

	bell->seen = true;
	bell->eventfd[vector] = wire->eventfd;
	bell->target[vector] = wire->target;
	bell->vectors = MAX(bell->vectors, vector + 1u);
}

static void note_target(void *arg, const struct ivm_wire *wire)
{
	if (wire->doorbell && wire->target && is_bell(wire->doorbell))
		note(find_bell(arg, wire->doorbell, wire->target->tgid), wire);
}

/* KVM has no irqfd while the vector is masked: the others say whose it is */
static void note_masked(void *arg, const struct ivm_wire *wire)
{
	struct bell *bell;

	if (!wire->doorbell || wire->target || !is_bell(wire->doorbell))
		return;
	bell = find_bell(arg, wire->doorbell, 0);
	if (bell)
		note(bell, wire);
}

static void forget_reading(struct ivm_ivshmem_ends *f)
{
	guint i;

	for (i = 0; i < f->bells->len; i++) {
		struct bell *bell = g_ptr_array_index(f->bells, i);

		bell->seen = false;
		bell->vectors = 0;
		memset(bell->eventfd, 0, sizeof(bell->eventfd));
		memset(bell->target, 0, sizeof(bell->target));
	}
}

static bool leads_to_same(const struct bell *a, const struct bell *b)
{
	uint32_t v;

	for (v = 0; v < MIN(a->vectors, b->vectors); v++)
		if (a->eventfd[v] && a->eventfd[v] == b->eventfd[v])
			return true;
	return false;
}

/* The doorbells that the device which @bell rings has for itself */
static struct bell *own_of_target(struct ivm_ivshmem_ends *f, const struct bell *bell)
{
	guint i;

	for (i = 0; i < f->bells->len; i++) {
		struct bell *own = g_ptr_array_index(f->bells, i);

		if (own->seen && own->from == bell->to && own->to == bell->to &&
		    leads_to_same(own, bell))
			return own;
	}
	return NULL;
}

/* The doorbells that ring back where @bell rings from */
static struct bell *find_opposite(struct ivm_ivshmem_ends *f, struct bell *bell)
{
	struct bell *there = own_of_target(f, bell);
	guint i;

	if (bell->from == bell->to)
		return there == bell ? bell : NULL;
	for (i = 0; there && i < f->bells->len; i++) {
		struct bell *back = g_ptr_array_index(f->bells, i);
		const struct bell *here;

		if (!back->seen || back->from != bell->to || back->to != bell->from ||
		    back->address != there->address)
			continue;
		here = own_of_target(f, back);
		if (here && here->address == bell->address)
			return back;
	}
	return NULL;
}

/* ---- ends ---- */

/* What a link page would say of the device that @back rings */
static void make_page(const struct bell *bell, const struct bell *back, const char *name,
		      struct ivm_linkpage *page)
{
	uint32_t v;

	memset(page, 0, sizeof(*page));
	memset(page->peer_eventfd, 0xff, sizeof(page->peer_eventfd));
	g_strlcpy(page->name, name, sizeof(page->name));
	page->up = 1;
	page->accel = IVM_ACCEL_KVM;
	page->bar0_address = IVM_LINKPAGE_NO_ADDR;
	page->socket_fd = -1;
	page->vectors = back->vectors;
	page->peer_vectors = bell->vectors;
	for (v = 0; v < back->vectors; v++) {
		const struct ivm_irqfd_record *target = back->target[v];

		page->vector[v].eventfd = -1;
		if (!target || target->route != IVM_IRQFD_ROUTE_MSI)
			continue;
		page->vector[v].msi_address = target->address;
		page->vector[v].msi_data = target->value;
		page->vector[v].flags = IVM_LP_VEC_DELIVERABLE | IVM_LP_VEC_IRQFD;
	}
}

/* A vector that is masked now keeps its message: an interrupt may still be under way */
static void keep_messages(const struct ivm_linkpage *old, struct ivm_linkpage *page)
{
	uint32_t v;

	for (v = 0; v < page->vectors; v++)
		if (!page->vector[v].msi_data && v < old->vectors) {
			page->vector[v].msi_address = old->vector[v].msi_address;
			page->vector[v].msi_data = old->vector[v].msi_data;
		}
}

static bool make_name(const struct ivm_ivshmem_ends *f, const struct bell *bell, char *name,
		      size_t name_bytes)
{
	char a[IVM_VM_NAME_BYTES], b[IVM_VM_NAME_BYTES];

	/* Both directions bear the same name */
	if (!f->host.name(f->host.arg, MIN(bell->from, bell->to), a) ||
	    !f->host.name(f->host.arg, MAX(bell->from, bell->to), b))
		return false;
	g_snprintf(name, name_bytes, "ivshmem:%s:%s", a, b);
	return true;
}

static void put_end(struct ivm_ivshmem_ends *f, struct bell *bell, const struct bell *back,
		    const char *name, uint64_t now_ns)
{
	g_autofree struct ivm_linkpage *page = g_new(struct ivm_linkpage, 1);
	struct ivm_vm *vm;

	make_page(bell, back, name, page);
	if (bell->end) {
		keep_messages(&bell->end->page, page);
		ivm_topology_update_end(f->topology, bell->end, page);
		return;
	}
	vm = f->host.claim(f->host.arg, bell->from);
	if (vm)
		bell->end = ivm_topology_add_ivshmem(f->topology, vm, bell->address, bell->peer,
						     page, now_ns);
}

static void follow(struct ivm_ivshmem_ends *f, struct bell *bell, uint64_t now_ns)
{
	struct bell *back = find_opposite(f, bell);
	char name[IVM_LINKPAGE_NAME_BYTES];

	if (!back || !make_name(f, bell, name, sizeof(name)) ||
	    !f->host.follows(f->host.arg, bell->from, bell->to, name))
		return;
	put_end(f, bell, back, name, now_ns);
	put_end(f, back, bell, name, now_ns);
	if (bell->end && back->end)
		ivm_topology_pair(bell->end, back->end);
}

static void drop_gone(struct ivm_ivshmem_ends *f, uint64_t now_ns)
{
	guint i = 0;

	while (i < f->bells->len) {
		struct bell *bell = g_ptr_array_index(f->bells, i);
		bool is_dead = bell->end && bell->end->dead;

		if (!is_dead && (!bell->gone_ns ||
				 now_ns - bell->gone_ns < IVM_DISCOVER_LINGER_NS)) {
			i++;
			continue;
		}
		if (bell->end)
			ivm_topology_end_gone(f->topology, bell->end);
		g_ptr_array_remove_index(f->bells, i);
	}
}

/**
 * ivm_ivshmem_ends_refresh() - brings the topology in line with a reading
 * @f: the finder
 * @wires: the reading
 * @now_ns: CLOCK_MONOTONIC
 */
void ivm_ivshmem_ends_refresh(struct ivm_ivshmem_ends *f, const struct ivm_wires *wires,
			      uint64_t now_ns)
{
	guint i;

	drop_gone(f, now_ns);
	forget_reading(f);
	ivm_wires_each(wires, note_target, f);
	ivm_wires_each(wires, note_masked, f);
	for (i = 0; i < f->bells->len; i++) {
		struct bell *bell = g_ptr_array_index(f->bells, i);

		if (bell->seen)
			bell->gone_ns = 0;
		else if (!bell->gone_ns)
			bell->gone_ns = now_ns;
		if (bell->seen)
			follow(f, bell, now_ns);
	}
	drop_gone(f, now_ns);
}

/**
 * ivm_ivshmem_ends_expire() - lets go of what has been gone for long enough
 * @f: the finder
 * @now_ns: CLOCK_MONOTONIC
 */
void ivm_ivshmem_ends_expire(struct ivm_ivshmem_ends *f, uint64_t now_ns)
{
	drop_gone(f, now_ns);
}
