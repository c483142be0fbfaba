// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Ends without a link page: ivshmem-doorbell, told by its doorbells or by its
 * descriptors, and, if asked for, whoever else writes to an irqfd's eventfd.
 *
 * The device has one 32-bit doorbell register, at offset 12 of a page; the value
 * written is peer << 16 | vector, and KVM has an ioeventfd for each such value,
 * the device's own number among them.  Those of one peer make an end towards it:
 * their eventfds raise the peer's interrupts.  Which device of the peer that is,
 * and so which doorbell rings back, is told by the eventfds too: they are the
 * same as those that the peer's device has for its own number.
 *
 * With ioeventfd=off KVM knows no doorbell, and QEMU writes to the eventfd.  So
 * does any other process that raises interrupts from user space.  All that is
 * known is who holds which eventfds of whom: these make an end, and its vectors
 * are numbered in the order of their GSI.
 */
#include <string.h>

#include "discover.h"
#include "ivshmem_ends.h"

#define BELL_OFFSET	12
#define PAGE_MASK	0xfffu

/* The doorbells of one device for one peer, in one VM; or all that a process can write to */
struct bell {
	pid_t from;
	pid_t to;
	uint64_t address;		/* IVM_LINKPAGE_NO_ADDR: written by descriptor */
	uint32_t peer;
	int fd[IVM_LINKPAGE_VECTORS];			/* of @from, -1 none */
	uint64_t eventfd[IVM_LINKPAGE_VECTORS];		/* 0 none */
	const struct ivm_irqfd_record *target[IVM_LINKPAGE_VECTORS];	/* this reading's */
	uint32_t vectors;
	uint64_t first_ns;
	bool seen;			/* in this reading */
	uint64_t gone_ns;
	struct ivm_end *end;		/* NULL until followed */
};

struct ivm_ivshmem_ends {
	struct ivm_topology *topology;
	struct ivm_ivshmem_host host;
	GPtrArray *bells;		/* struct bell *, owned */
	const struct ivm_wires *wires;	/* the reading under way */
	uint64_t now_ns;
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

static struct bell *add_bell(struct ivm_ivshmem_ends *f, pid_t from, pid_t to, uint64_t address,
			     uint32_t peer)
{
	struct bell *bell = g_new0(struct bell, 1);

	bell->from = from;
	bell->to = to;
	bell->address = address;
	bell->peer = peer;
	bell->first_ns = f->now_ns;
	memset(bell->fd, 0xff, sizeof(bell->fd));
	g_ptr_array_add(f->bells, bell);
	return bell;
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
	return to ? add_bell(f, doorbell->tgid, to, doorbell->address, doorbell->value >> 16)
		  : NULL;
}

/* QEMU has the peer's eventfds open too, and writes where KVM does not take a ring */
static int fd_of(const struct ivm_wires *wires, uint64_t eventfd, pid_t tgid)
{
	const struct ivm_irqfd_record *holder;
	unsigned int nth;

	for (nth = 0; (holder = ivm_wires_holder_of(wires, eventfd, nth)); nth++)
		if ((pid_t)holder->tgid == tgid)
			return holder->fd;
	return -1;
}

static void note(struct ivm_ivshmem_ends *f, struct bell *bell, const struct ivm_wire *wire)
{
	uint16_t vector = wire->doorbell->value;

	bell->seen = true;
	bell->fd[vector] = fd_of(f->wires, wire->eventfd, bell->from);
	bell->eventfd[vector] = wire->eventfd;
	bell->target[vector] = wire->target;
	bell->vectors = MAX(bell->vectors, vector + 1u);
}

static void note_target(void *arg, const struct ivm_wire *wire)
{
	if (wire->doorbell && wire->target && is_bell(wire->doorbell))
		note(arg, find_bell(arg, wire->doorbell, wire->target->tgid), wire);
}

/* KVM has no irqfd while the vector is masked: the others say whose it is */
static void note_masked(void *arg, const struct ivm_wire *wire)
{
	struct bell *bell;

	if (!wire->doorbell || wire->target || !is_bell(wire->doorbell))
		return;
	bell = find_bell(arg, wire->doorbell, 0);
	if (bell)
		note(arg, bell, wire);
}

static bool is_written(const struct bell *bell)
{
	return bell->address == IVM_LINKPAGE_NO_ADDR;
}

static struct bell *find_writer(struct ivm_ivshmem_ends *f, pid_t from, pid_t to)
{
	guint i;

	for (i = f->bells->len; i-- > 0;) {
		struct bell *bell = g_ptr_array_index(f->bells, i);

		if (is_written(bell) && bell->from == from && bell->to == to)
			return bell;
	}
	return add_bell(f, from, to, IVM_LINKPAGE_NO_ADDR, 0);
}

/* An eventfd keeps its number as long as it is there: its vector may be masked meanwhile */
static void note_writer(struct bell *bell, const struct ivm_irqfd_record *holder,
			const struct ivm_irqfd_record *target)
{
	uint32_t v = 0;

	while (v < bell->vectors && bell->eventfd[v] != holder->eventfd)
		v++;
	if (v == IVM_LINKPAGE_VECTORS)
		return;
	bell->seen = true;
	bell->vectors = MAX(bell->vectors, v + 1);
	bell->eventfd[v] = holder->eventfd;
	bell->fd[v] = holder->fd;
	bell->target[v] = target;
}

static bool rings_by_doorbell(const struct ivm_ivshmem_ends *f,
			      const struct ivm_irqfd_record *holder)
{
	const struct ivm_irqfd_record *doorbell;
	unsigned int nth;

	for (nth = 0; (doorbell = ivm_wires_doorbell_of(f->wires, holder->eventfd, nth)); nth++)
		if (doorbell->tgid == holder->tgid)
			return true;
	return false;
}

static void note_holders(struct ivm_ivshmem_ends *f, const struct ivm_irqfd_record *target)
{
	const struct ivm_irqfd_record *holder;
	unsigned int nth;

	for (nth = 0; (holder = ivm_wires_holder_of(f->wires, target->eventfd, nth)); nth++)
		if (!rings_by_doorbell(f, holder) &&
		    f->host.writes(f->host.arg, holder->tgid, holder->fd, target->tgid))
			note_writer(find_writer(f, holder->tgid, target->tgid), holder, target);
}

static void collect_target(void *arg, const struct ivm_wire *wire)
{
	GPtrArray *targets = arg;

	if (wire->target && (!targets->len ||
			     g_ptr_array_index(targets, targets->len - 1) != wire->target))
		g_ptr_array_add(targets, (gpointer)wire->target);
}

static gint by_gsi(gconstpointer x, gconstpointer y)
{
	const struct ivm_irqfd_record *a = *(const struct ivm_irqfd_record *const *)x;
	const struct ivm_irqfd_record *b = *(const struct ivm_irqfd_record *const *)y;

	return a->gsi < b->gsi ? -1 : a->gsi > b->gsi;
}

static void note_writers(struct ivm_ivshmem_ends *f)
{
	g_autoptr(GPtrArray) targets = g_ptr_array_new();
	guint i;

	ivm_wires_each(f->wires, collect_target, targets);
	g_ptr_array_sort(targets, by_gsi);
	for (i = 0; i < targets->len; i++)
		note_holders(f, g_ptr_array_index(targets, i));
}

static void forget_reading(struct ivm_ivshmem_ends *f)
{
	guint i;

	for (i = 0; i < f->bells->len; i++) {
		struct bell *bell = g_ptr_array_index(f->bells, i);

		bell->seen = false;
		memset(bell->target, 0, sizeof(bell->target));
		memset(bell->fd, 0xff, sizeof(bell->fd));
		if (is_written(bell))
			continue;
		bell->vectors = 0;
		memset(bell->eventfd, 0, sizeof(bell->eventfd));
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

		if (own->seen && !is_written(own) && own->from == bell->to && own->to == bell->to &&
		    leads_to_same(own, bell))
			return own;
	}
	return NULL;
}

/* The doorbells that ring back where @bell rings from */
static struct bell *find_opposite(struct ivm_ivshmem_ends *f, struct bell *bell)
{
	struct bell *there = is_written(bell) ? NULL : own_of_target(f, bell);
	struct bell *back;
	guint i;

	/* The way back may be another, or none: the end has to be there */
	if (is_written(bell)) {
		back = bell->from == bell->to ? bell : find_writer(f, bell->to, bell->from);
		back->seen = true;
		back->gone_ns = 0;
		return back;
	}
	if (bell->from == bell->to)
		return there == bell ? bell : NULL;
	for (i = 0; there && i < f->bells->len; i++) {
		const struct bell *here;

		back = g_ptr_array_index(f->bells, i);
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
	g_strlcpy(page->name, name, sizeof(page->name));
	page->up = 1;
	page->accel = IVM_ACCEL_KVM;
	page->bar0_address = IVM_LINKPAGE_NO_ADDR;
	page->socket_fd = -1;
	page->vectors = back->vectors;
	page->peer_vectors = bell->vectors;
	memcpy(page->peer_eventfd, bell->fd, sizeof(page->peer_eventfd));
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

/* Two VMs ring each other; anything else is not this device */
static bool is_foreign(const struct ivm_ivshmem_ends *f, const struct bell *bell)
{
	return is_written(bell) && (bell->from == bell->to ||
				    !f->host.is_vm(f->host.arg, bell->from) ||
				    !f->host.is_vm(f->host.arg, bell->to));
}

static bool make_name(const struct ivm_ivshmem_ends *f, const struct bell *bell, char *name,
		      size_t name_bytes)
{
	char a[IVM_VM_NAME_BYTES], b[IVM_VM_NAME_BYTES];

	const char *kind = is_foreign(f, bell) ? "foreign" : "ivshmem";

	/* Both directions bear the same name */
	if (!f->host.name(f->host.arg, MIN(bell->from, bell->to), a) ||
	    !f->host.name(f->host.arg, MAX(bell->from, bell->to), b))
		return false;
	g_snprintf(name, name_bytes, "%s:%s:%s", kind, a, b);
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
		bell->end = ivm_topology_add_wired(f->topology, vm,
						   is_foreign(f, bell) ? IVM_END_FOREIGN
								       : IVM_END_IVSHMEM,
						   bell->address, bell->peer, page, now_ns);
}

static void follow(struct ivm_ivshmem_ends *f, struct bell *bell, uint64_t now_ns)
{
	char name[IVM_LINKPAGE_NAME_BYTES];
	struct bell *back;

	/* The page of a link that is just coming up will claim its descriptors */
	if (is_written(bell) && now_ns - bell->first_ns < IVM_DISCOVER_SETTLE_NS)
		return;
	back = find_opposite(f, bell);
	if (!back || !make_name(f, bell, name, sizeof(name)) ||
	    !f->host.follows(f->host.arg, bell->from, bell->to, name))
		return;
	put_end(f, bell, back, name, now_ns);
	if (back != bell)
		put_end(f, back, bell, name, now_ns);
	if (bell->end && back->end)
		ivm_topology_pair(f->topology, bell->end, back->end);
}

static void drop_gone(struct ivm_ivshmem_ends *f, uint64_t settled_ns)
{
	guint i = 0;

	while (i < f->bells->len) {
		struct bell *bell = g_ptr_array_index(f->bells, i);
		bool is_dead = bell->end && bell->end->dead;

		if (!is_dead && (!bell->gone_ns || settled_ns < bell->gone_ns)) {
			i++;
			continue;
		}
		if (bell->end)
			ivm_topology_end_gone(f->topology, bell->end);
		g_ptr_array_remove_index(f->bells, i);
	}
}

static bool has_unsettled(const struct ivm_ivshmem_ends *f)
{
	guint i;

	for (i = 0; i < f->bells->len; i++) {
		const struct bell *bell = g_ptr_array_index(f->bells, i);

		if (bell->seen && is_written(bell) && bell->vectors &&
		    f->now_ns - bell->first_ns < IVM_DISCOVER_SETTLE_NS)
			return true;
	}
	return false;
}

/**
 * ivm_ivshmem_ends_refresh() - brings the topology in line with a reading
 * @f: the finder
 * @wires: the reading
 * @now_ns: CLOCK_MONOTONIC
 * @settled_ns: as for ivm_discover_scan()
 *
 * Return: true if some ends are believed only when they are still there
 * IVM_DISCOVER_SETTLE_NS later.
 */
bool ivm_ivshmem_ends_refresh(struct ivm_ivshmem_ends *f, const struct ivm_wires *wires,
			      uint64_t now_ns, uint64_t settled_ns)
{
	guint i;

	f->wires = wires;
	f->now_ns = now_ns;
	drop_gone(f, settled_ns);
	forget_reading(f);
	ivm_wires_each(wires, note_target, f);
	ivm_wires_each(wires, note_masked, f);
	note_writers(f);
	for (i = 0; i < f->bells->len; i++) {
		struct bell *bell = g_ptr_array_index(f->bells, i);

		if (bell->seen)
			bell->gone_ns = 0;
		else if (!bell->gone_ns)
			bell->gone_ns = now_ns;
		if (bell->seen)
			follow(f, bell, now_ns);
	}
	drop_gone(f, settled_ns);
	f->wires = NULL;
	return has_unsettled(f);
}

/**
 * ivm_ivshmem_ends_expire() - lets go of the gone that nobody needs any more
 * @f: the finder
 * @settled_ns: as for ivm_discover_scan()
 */
void ivm_ivshmem_ends_expire(struct ivm_ivshmem_ends *f, uint64_t settled_ns)
{
	drop_gone(f, settled_ns);
}
