// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The topology's tables and their lookups.
 *
 * Links whose VMs look alike have equal doorbell addresses, descriptor numbers
 * and vcpu_ids: every key therefore carries the process or the VM.
 */
#include <string.h>

#include "topology.h"

#define DOORBELL_PAGE_SHIFT	12

static guint pair_hash(gconstpointer key)
{
	/* g_int64_hash() folds equal low halves together: spread them first */
	uint64_t x = *(const uint64_t *)key * UINT64_C(0x9e3779b97f4a7c15);

	return x >> 32;
}

static uint64_t *pair_key(uint64_t *key, uint32_t high, uint64_t low)
{
	/* Page frames need up to 40 bits; PIDs and VM ids have 22 at the most */
	*key = (uint64_t)high << 40 ^ low;
	return key;
}

static void *pair_get(GHashTable *table, uint32_t high, uint64_t low)
{
	uint64_t key;

	return g_hash_table_lookup(table, pair_key(&key, high, low));
}

static void pair_put(GHashTable *table, uint32_t high, uint64_t low, void *value)
{
	uint64_t *key = g_new(uint64_t, 1);

	g_hash_table_insert(table, pair_key(key, high, low), value);
}

/* Removes (high, low) only if it still means @value: numbers are reused */
static void pair_drop(GHashTable *table, uint32_t high, uint64_t low, void *value)
{
	uint64_t key;

	if (pair_get(table, high, low) == value)
		g_hash_table_remove(table, pair_key(&key, high, low));
}

static GHashTable *pair_table_new(void)
{
	return g_hash_table_new_full(pair_hash, g_int64_equal, g_free, NULL);
}

/**
 * ivm_topology_new() - an empty topology
 *
 * Return: the topology; free with ivm_topology_free().
 */
struct ivm_topology *ivm_topology_new(void)
{
	struct ivm_topology *t = g_new0(struct ivm_topology, 1);

	t->vms = g_ptr_array_new_with_free_func(g_free);
	t->vcpus = g_ptr_array_new_with_free_func(g_free);
	t->ends = g_ptr_array_new_with_free_func(g_free);
	t->vcpu_by_tid = g_hash_table_new(g_direct_hash, g_direct_equal);
	t->vcpu_by_id = pair_table_new();
	t->end_by_doorbell = pair_table_new();
	t->end_by_bell = pair_table_new();
	t->vector_by_eventfd = pair_table_new();
	t->vector_by_heard = pair_table_new();
	t->end_by_socket = pair_table_new();
	return t;
}

/**
 * ivm_topology_free() - frees a topology and all that was found
 * @t: may be NULL
 */
void ivm_topology_free(struct ivm_topology *t)
{
	if (!t)
		return;
	g_hash_table_destroy(t->vcpu_by_tid);
	g_hash_table_destroy(t->vcpu_by_id);
	g_hash_table_destroy(t->end_by_doorbell);
	g_hash_table_destroy(t->end_by_bell);
	g_hash_table_destroy(t->vector_by_eventfd);
	g_hash_table_destroy(t->vector_by_heard);
	g_hash_table_destroy(t->end_by_socket);
	g_ptr_array_unref(t->ends);
	g_ptr_array_unref(t->vcpus);
	g_ptr_array_unref(t->vms);
	g_free(t);
}

/**
 * ivm_topology_add_vm() - a VM was found
 * @t: the topology
 * @tgid: its QEMU
 * @start_ticks: start time of that process
 * @name: as the user named it, or NULL
 *
 * Return: the VM, owned by @t.
 */
struct ivm_vm *ivm_topology_add_vm(struct ivm_topology *t, pid_t tgid, uint64_t start_ticks,
				   const char *name)
{
	struct ivm_vm *vm = g_new0(struct ivm_vm, 1);

	vm->id = t->vms->len + 1;
	vm->tgid = tgid;
	vm->start_ticks = start_ticks;
	if (name && *name)
		g_strlcpy(vm->name, name, sizeof(vm->name));
	else
		g_snprintf(vm->name, sizeof(vm->name), "pid-%d", tgid);
	g_ptr_array_add(t->vms, vm);
	t->version++;
	return vm;
}

/**
 * ivm_topology_set_vcpu() - names the thread that runs a vCPU
 * @t: the topology
 * @vm: its VM
 * @vcpu_id: APIC id on x86
 * @tid: the thread; may change when KVM_RUN moves to another one
 *
 * Return: the vCPU, owned by @t.
 */
struct ivm_vcpu *ivm_topology_set_vcpu(struct ivm_topology *t, struct ivm_vm *vm, uint32_t vcpu_id,
				       pid_t tid)
{
	struct ivm_vcpu *vcpu = ivm_topology_vcpu_by_id(t, vm, vcpu_id);

	t->version += !vcpu || vcpu->tid != tid;
	if (!vcpu) {
		vcpu = g_new0(struct ivm_vcpu, 1);
		vcpu->vm = vm;
		vcpu->vcpu_id = vcpu_id;
		vm->vcpus++;
		g_ptr_array_add(t->vcpus, vcpu);
		pair_put(t->vcpu_by_id, vm->id, vcpu_id, vcpu);
	} else if (vcpu->tid != tid && ivm_topology_vcpu(t, vcpu->tid) == vcpu) {
		g_hash_table_remove(t->vcpu_by_tid, GINT_TO_POINTER(vcpu->tid));
	}
	vcpu->tid = tid;
	g_hash_table_insert(t->vcpu_by_tid, GINT_TO_POINTER(tid), vcpu);
	return vcpu;
}

static void *eventfd_value(const struct ivm_end *end, uint32_t vector)
{
	return GSIZE_TO_POINTER((gsize)end->id << 16 | vector);
}

static uint64_t doorbell_frame(const struct ivm_end *end)
{
	return (end->page.bar0_address + IVM_DOORBELL_BASE) >> DOORBELL_PAGE_SHIFT;
}

static void index_bell(struct ivm_topology *t, struct ivm_end *end)
{
	uint64_t frame = end->bell_address >> DOORBELL_PAGE_SHIFT;

	end->next_at_bell = pair_get(t->end_by_bell, end->vm->tgid, frame);
	pair_put(t->end_by_bell, end->vm->tgid, frame, end);
}

static void unindex_bell(struct ivm_topology *t, struct ivm_end *end)
{
	uint64_t frame = end->bell_address >> DOORBELL_PAGE_SHIFT;
	struct ivm_end *at = pair_get(t->end_by_bell, end->vm->tgid, frame);

	if (at == end && end->next_at_bell)
		pair_put(t->end_by_bell, end->vm->tgid, frame, end->next_at_bell);
	else
		pair_drop(t->end_by_bell, end->vm->tgid, frame, end);
	while (at && at->next_at_bell != end)
		at = at->next_at_bell;
	if (at)
		at->next_at_bell = end->next_at_bell;
	end->next_at_bell = NULL;
}

static void index_end(struct ivm_topology *t, struct ivm_end *end)
{
	const struct ivm_linkpage *page = &end->page;
	uint32_t v;

	if (end->bell_address != IVM_LINKPAGE_NO_ADDR)
		index_bell(t, end);
	if (page->bar0_address != IVM_LINKPAGE_NO_ADDR)
		pair_put(t->end_by_doorbell, end->vm->tgid, doorbell_frame(end), end);
	if (page->socket_fd >= 0)
		pair_put(t->end_by_socket, end->vm->tgid, page->socket_fd, end);
	for (v = 0; v < IVM_LINKPAGE_VECTORS; v++)
		if (page->peer_eventfd[v] >= 0)
			pair_put(t->vector_by_eventfd, end->vm->tgid, page->peer_eventfd[v],
				 eventfd_value(end, v));
	for (v = 0; v < page->vectors && end->kind == IVM_END_LINK; v++)
		if (page->vector[v].eventfd >= 0)
			pair_put(t->vector_by_heard, end->vm->tgid, page->vector[v].eventfd,
				 eventfd_value(end, v));
}

static void unindex_end(struct ivm_topology *t, struct ivm_end *end)
{
	const struct ivm_linkpage *page = &end->page;
	uint32_t v;

	if (end->bell_address != IVM_LINKPAGE_NO_ADDR)
		unindex_bell(t, end);
	if (page->bar0_address != IVM_LINKPAGE_NO_ADDR)
		pair_drop(t->end_by_doorbell, end->vm->tgid, doorbell_frame(end), end);
	if (page->socket_fd >= 0)
		pair_drop(t->end_by_socket, end->vm->tgid, page->socket_fd, end);
	for (v = 0; v < IVM_LINKPAGE_VECTORS; v++)
		if (page->peer_eventfd[v] >= 0)
			pair_drop(t->vector_by_eventfd, end->vm->tgid, page->peer_eventfd[v],
				  eventfd_value(end, v));
	for (v = 0; v < page->vectors && end->kind == IVM_END_LINK; v++)
		if (page->vector[v].eventfd >= 0)
			pair_drop(t->vector_by_heard, end->vm->tgid, page->vector[v].eventfd,
				  eventfd_value(end, v));
}

static void part(struct ivm_end *end)
{
	if (end->peer)
		end->peer->peer = NULL;
	end->peer = NULL;
}

/* Two ends belong together while both are up under the same random id */
static void pair_up(struct ivm_topology *t, struct ivm_end *end)
{
	guint i;

	part(end);
	if (!end->page.up || !end->page.link_id)
		return;
	for (i = 0; i < t->ends->len; i++) {
		struct ivm_end *other = g_ptr_array_index(t->ends, i);

		if (other == end || other->dead || other->peer || !other->page.up ||
		    other->page.link_id != end->page.link_id)
			continue;
		other->peer = end;
		end->peer = other;
		return;
	}
}

static struct ivm_end *add_end(struct ivm_topology *t, struct ivm_end end)
{
	struct ivm_end *added = g_memdup2(&end, sizeof(end));

	added->id = t->ends->len + 1;
	g_ptr_array_add(t->ends, added);
	index_end(t, added);
	t->version++;
	return added;
}

/**
 * ivm_topology_add_end() - a link end was found
 * @t: the topology
 * @vm: whose device it is
 * @page_inode: of its link page's memfd, the end's identity
 * @page: a consistent, validated snapshot
 * @now_ns: CLOCK_MONOTONIC; rings are claimed from here on
 *
 * Return: the end, owned by @t.
 */
struct ivm_end *ivm_topology_add_end(struct ivm_topology *t, struct ivm_vm *vm,
				     uint64_t page_inode, const struct ivm_linkpage *page,
				     uint64_t now_ns)
{
	struct ivm_end *end = add_end(t, (struct ivm_end){
		.kind = IVM_END_LINK, .vm = vm, .page_inode = page_inode, .page = *page,
		.bell_address = IVM_LINKPAGE_NO_ADDR, .observed_from_ns = now_ns });

	pair_up(t, end);
	t->version++;
	return end;
}

/**
 * ivm_topology_add_wired() - an end without a link page was found
 * @t: the topology
 * @vm: whose device it is
 * @kind: not a link
 * @bell_address: of its doorbell, IVM_LINKPAGE_NO_ADDR if it writes to eventfds
 * @bell_peer: whom it rings
 * @page: its name, its vectors, and its descriptors of the peer's eventfds
 * @now_ns: CLOCK_MONOTONIC; rings are claimed from here on
 *
 * Return: the end, owned by @t.
 */
struct ivm_end *ivm_topology_add_wired(struct ivm_topology *t, struct ivm_vm *vm,
				       enum ivm_end_kind kind, uint64_t bell_address,
				       uint32_t bell_peer, const struct ivm_linkpage *page,
				       uint64_t now_ns)
{
	return add_end(t, (struct ivm_end){
		.kind = kind, .vm = vm, .page = *page, .bell_address = bell_address,
		.bell_peer = bell_peer, .observed_from_ns = now_ns });
}

/**
 * ivm_topology_pair() - two ends without link pages ring each other
 * @t: the topology
 * @a: one
 * @b: the other; may be @a
 */
void ivm_topology_pair(struct ivm_topology *t, struct ivm_end *a, struct ivm_end *b)
{
	if (a->peer == b)
		return;
	t->version++;
	part(a);
	part(b);
	a->peer = b;
	b->peer = a;
}

/* Everything but the sequence and the counters behind the slow fields */
static bool page_changed(const struct ivm_linkpage *a, const struct ivm_linkpage *b)
{
	size_t from = offsetof(struct ivm_linkpage, link_id);
	size_t to = offsetof(struct ivm_linkpage, mask);

	return memcmp((const char *)a + from, (const char *)b + from, to - from) != 0;
}

/**
 * ivm_topology_update_end() - takes over a newer snapshot of a link page
 * @t: the topology
 * @end: whose page it is
 * @page: the snapshot
 */
void ivm_topology_update_end(struct ivm_topology *t, struct ivm_end *end,
			     const struct ivm_linkpage *page)
{
	bool changed = page_changed(&end->page, page);
	bool repair = changed && (end->page.link_id != page->link_id || end->page.up != page->up);

	t->version += changed || end->page.seq != page->seq;
	if (changed)
		unindex_end(t, end);
	end->page = *page;
	if (changed)
		index_end(t, end);
	if (repair)
		pair_up(t, end);
}

/**
 * ivm_topology_end_gone() - a link end disappeared; its number stays
 * @t: the topology
 * @end: the end
 */
void ivm_topology_end_gone(struct ivm_topology *t, struct ivm_end *end)
{
	if (end->dead)
		return;
	unindex_end(t, end);
	part(end);
	end->dead = true;
	t->version++;
}

static gboolean is_of_vm(gpointer key, gpointer value, gpointer vm)
{
	(void)key;
	return ((struct ivm_vcpu *)value)->vm == vm;
}

/**
 * ivm_topology_vm_gone() - a VM ended; it, its vCPUs and ends keep their numbers
 * @t: the topology
 * @vm: the VM
 */
void ivm_topology_vm_gone(struct ivm_topology *t, struct ivm_vm *vm)
{
	guint i;

	vm->dead = true;
	t->version++;
	g_hash_table_foreach_remove(t->vcpu_by_tid, is_of_vm, vm);
	for (i = 0; i < t->ends->len; i++) {
		struct ivm_end *end = g_ptr_array_index(t->ends, i);

		if (end->vm == vm)
			ivm_topology_end_gone(t, end);
	}
}

/**
 * ivm_topology_vm() - the VM that a QEMU process runs
 * @t: the topology
 * @tgid: the process
 *
 * Return: the living VM, or NULL.
 */
struct ivm_vm *ivm_topology_vm(const struct ivm_topology *t, pid_t tgid)
{
	guint i;

	for (i = 0; i < t->vms->len; i++) {
		struct ivm_vm *vm = g_ptr_array_index(t->vms, i);

		if (vm->tgid == tgid && !vm->dead)
			return vm;
	}
	return NULL;
}

/**
 * ivm_topology_vcpu() - the vCPU that a thread runs
 * @t: the topology
 * @tid: the thread
 *
 * Return: the vCPU, or NULL.
 */
struct ivm_vcpu *ivm_topology_vcpu(const struct ivm_topology *t, pid_t tid)
{
	return g_hash_table_lookup(t->vcpu_by_tid, GINT_TO_POINTER(tid));
}

/**
 * ivm_topology_vcpu_by_id() - a VM's vCPU by its APIC id
 * @t: the topology
 * @vm: the VM
 * @vcpu_id: as tracepoints print it
 *
 * Return: the vCPU, or NULL.
 */
struct ivm_vcpu *ivm_topology_vcpu_by_id(const struct ivm_topology *t, const struct ivm_vm *vm,
					 uint32_t vcpu_id)
{
	return pair_get(t->vcpu_by_id, vm->id, vcpu_id);
}

/**
 * ivm_topology_end() - a link end by its number
 * @t: the topology
 * @end_id: from 1
 *
 * Return: the end, dead or alive, or NULL.
 */
struct ivm_end *ivm_topology_end(const struct ivm_topology *t, uint32_t end_id)
{
	if (!end_id || end_id > t->ends->len)
		return NULL;
	return g_ptr_array_index(t->ends, end_id - 1);
}

/**
 * ivm_topology_doorbell() - whose doorbell a guest address is
 * @t: the topology
 * @tgid: the process whose guest wrote there
 * @address: guest physical
 * @vector: set to the doorbell's number, which may be beyond the peer's
 *
 * Return: the sending end, or NULL if it is no doorbell of a link.
 */
struct ivm_end *ivm_topology_doorbell(const struct ivm_topology *t, pid_t tgid, uint64_t address,
				      uint32_t *vector)
{
	*vector = (address & ((1u << DOORBELL_PAGE_SHIFT) - 1)) / sizeof(uint32_t);
	return pair_get(t->end_by_doorbell, tgid, address >> DOORBELL_PAGE_SHIFT);
}

/**
 * ivm_topology_has_doorbell() - may a write to this address ring?
 * @t: the topology
 * @tgid: the process whose guest wrote there
 * @address: guest physical
 *
 * Return: true if a followed doorbell is in that page, whatever the value.
 */
bool ivm_topology_has_doorbell(const struct ivm_topology *t, pid_t tgid, uint64_t address)
{
	uint64_t frame = address >> DOORBELL_PAGE_SHIFT;

	return pair_get(t->end_by_doorbell, tgid, frame) || pair_get(t->end_by_bell, tgid, frame);
}

/* Which of the ends at one doorbell register a value is for */
static struct ivm_end *find_bell(struct ivm_end *first, const struct ivm_event *e)
{
	struct ivm_end *end, *found = NULL;

	for (end = first; end; end = end->next_at_bell)
		if (end->bell_address == e->a && end->bell_peer == (uint32_t)e->b >> 16 &&
		    end->observed_from_ns <= e->t_ns &&
		    (!found || end->observed_from_ns > found->observed_from_ns))
			found = end;
	return found;
}

/**
 * ivm_topology_ring() - whose doorbell a guest's write rings
 * @t: the topology
 * @e: the write, a kvm_mmio event
 * @vector: set to the doorbell's number, which may be beyond the peer's
 *
 * Where a device's peers change, a write from before is for the peer of before.
 *
 * Return: the sending end, or NULL if it is no doorbell.
 */
struct ivm_end *ivm_topology_ring(const struct ivm_topology *t, const struct ivm_event *e,
				  uint32_t *vector)
{
	struct ivm_end *bell = pair_get(t->end_by_bell, e->tgid, e->a >> DOORBELL_PAGE_SHIFT);

	if (!bell)
		return ivm_topology_doorbell(t, e->tgid, e->a, vector);
	*vector = (uint16_t)e->b;
	return find_bell(bell, e);
}

static struct ivm_end *vector_at(const struct ivm_topology *t, GHashTable *table, pid_t tgid,
				 int fd, uint32_t *vector)
{
	gsize value = GPOINTER_TO_SIZE(pair_get(table, tgid, fd));

	*vector = value & 0xffff;
	return ivm_topology_end(t, value >> 16);
}

/**
 * ivm_topology_eventfd() - which of the peer's doorbells a descriptor rings
 * @t: the topology
 * @tgid: the process
 * @fd: its descriptor
 * @vector: set to the peer's vector
 *
 * Return: the sending end, or NULL.
 */
struct ivm_end *ivm_topology_eventfd(const struct ivm_topology *t, pid_t tgid, int fd,
				     uint32_t *vector)
{
	return vector_at(t, t->vector_by_eventfd, tgid, fd, vector);
}

/**
 * ivm_topology_heard() - which of its own doorbells a receiver hears on a descriptor
 * @t: the topology
 * @tgid: the process
 * @fd: its descriptor
 * @vector: set to its vector
 *
 * Return: the receiving end, or NULL.
 */
struct ivm_end *ivm_topology_heard(const struct ivm_topology *t, pid_t tgid, int fd,
				   uint32_t *vector)
{
	return vector_at(t, t->vector_by_heard, tgid, fd, vector);
}

/**
 * ivm_topology_writes() - does a journey begin with a write to this descriptor?
 * @t: the topology
 * @tgid: the process
 * @fd: its descriptor
 *
 * Return: true if it is an eventfd of an end without a doorbell that KVM knows.
 */
bool ivm_topology_writes(const struct ivm_topology *t, pid_t tgid, int fd)
{
	uint32_t vector;
	const struct ivm_end *end = ivm_topology_eventfd(t, tgid, fd, &vector);

	return end && ivm_end_writes(end);
}

/**
 * ivm_topology_socket() - whose link a socket carries
 * @t: the topology
 * @tgid: the process
 * @fd: its descriptor
 *
 * Return: the end in that process, or NULL.
 */
struct ivm_end *ivm_topology_socket(const struct ivm_topology *t, pid_t tgid, int fd)
{
	return pair_get(t->end_by_socket, tgid, fd);
}
