// SPDX-License-Identifier: GPL-2.0-or-later
/* ivshmem pairs out of KVM's tables, and whose journey a write to them begins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../../tracer/assemble.h"
#include "../../tracer/discover.h"
#include "../../tracer/ivshmem_ends.h"

/* Events are worked off so much later */
#define LAG_NS		700000000ull
#define BELL		0x8000000c
#define MSI_ADDRESS	0xfee00000
#define MSI_DATA	0x28
#define SEC_NS		1000000000ull
#define NO_VM		100		/* processes from here on have none */

struct fixture {
	struct ivm_topology *topology;
	struct ivm_ivshmem_ends *ends;
	GArray *records;
	pid_t gone;			/* a process that has ended */
	pid_t only;			/* follow this one only, 0 all */
	bool foreign;
	uint64_t now_ns;
};

static bool host_name(void *arg, pid_t tgid, char *name)
{
	struct fixture *f = arg;

	g_snprintf(name, IVM_VM_NAME_BYTES, "vm%d", tgid);
	return tgid != f->gone;
}

static bool host_follows(void *arg, pid_t from, pid_t to, const char *link)
{
	struct fixture *f = arg;

	assert_true(g_str_has_prefix(link, "ivshmem:vm") ||
		    g_str_has_prefix(link, "foreign:vm"));
	return !f->only || f->only == from || f->only == to;
}

static bool host_writes(void *arg, pid_t tgid, int fd, pid_t to)
{
	const struct fixture *f = arg;

	(void)fd;
	return f->foreign || (tgid < NO_VM && tgid != to);
}

static bool host_is_vm(void *arg, pid_t tgid)
{
	(void)arg;
	return tgid < NO_VM;
}

static struct ivm_vm *host_claim(void *arg, pid_t tgid)
{
	struct fixture *f = arg;
	struct ivm_vm *vm = ivm_topology_vm(f->topology, tgid);

	return vm ? vm : ivm_topology_add_vm(f->topology, tgid, 1, NULL);
}

static void set_up(struct fixture *f)
{
	const struct ivm_ivshmem_host host = {
		.name = host_name, .follows = host_follows, .writes = host_writes,
		.is_vm = host_is_vm, .claim = host_claim, .arg = f,
	};

	memset(f, 0, sizeof(*f));
	f->topology = ivm_topology_new();
	f->ends = ivm_ivshmem_ends_new(f->topology, &host);
	f->records = g_array_new(FALSE, FALSE, sizeof(struct ivm_irqfd_record));
	f->now_ns = SEC_NS;
}

static void tear_down(struct fixture *f)
{
	g_array_unref(f->records);
	ivm_ivshmem_ends_free(f->ends);
	ivm_topology_free(f->topology);
}

static void add_bell(struct fixture *f, pid_t tgid, uint32_t peer, uint32_t vector,
		     uint64_t eventfd)
{
	const struct ivm_irqfd_record r = {
		.kind = IVM_IRQFD_DOORBELL, .tgid = tgid, .address = BELL, .bytes = 4, .fd = -1,
		.value = peer << 16 | vector, .eventfd = eventfd,
	};

	g_array_append_val(f->records, r);
}

static void add_irqfd(struct fixture *f, pid_t tgid, uint32_t vector, uint64_t eventfd)
{
	const struct ivm_irqfd_record r = {
		.kind = IVM_IRQFD_TARGET, .tgid = tgid, .address = MSI_ADDRESS, .fd = -1,
		.value = MSI_DATA + vector, .route = IVM_IRQFD_ROUTE_MSI, .eventfd = eventfd,
	};

	g_array_append_val(f->records, r);
}

/* Peers 0, 1, ... of one server: eventfds are base + 16 * peer + vector */
static void add_server(struct fixture *f, const pid_t *tgids, uint32_t peers, uint32_t vectors,
		       uint64_t base)
{
	uint32_t from, to, v;

	for (from = 0; from < peers; from++)
		for (v = 0; v < vectors; v++) {
			for (to = 0; to < peers; to++)
				add_bell(f, tgids[from], to, v, base + 16 * to + v);
			add_irqfd(f, tgids[from], v, base + 16 * from + v);
		}
}

static void refresh(struct fixture *f)
{
	struct ivm_wires *w = ivm_wires_new(f->records);

	ivm_ivshmem_ends_refresh(f->ends, w, f->now_ns, f->now_ns - LAG_NS);
	ivm_wires_free(w);
}

static struct ivm_end *ring(struct fixture *f, pid_t tgid, uint32_t peer, uint32_t vector)
{
	const struct ivm_event e = {
		.type = IVM_EV_MMIO, .tgid = tgid, .tid = tgid, .a = BELL, .c = 4,
		.b = peer << 16 | vector, .t_ns = f->now_ns,
	};
	uint32_t found;
	struct ivm_end *end = ivm_topology_ring(f->topology, &e, &found);

	if (end)
		assert_int_equal(found, vector);
	return end;
}

static void clones_are_told_apart(void **state)
{
	const pid_t pairs[2][2] = { { 10, 11 }, { 20, 21 } };
	struct fixture f;
	int i;

	(void)state;
	set_up(&f);
	add_server(&f, pairs[0], 2, 2, 0x1000);
	add_server(&f, pairs[1], 2, 2, 0x2000);
	refresh(&f);
	for (i = 0; i < 2; i++) {
		struct ivm_end *a = ring(&f, pairs[i][0], 1, 1), *b = ring(&f, pairs[i][1], 0, 0);
		struct ivm_end *self = ring(&f, pairs[i][0], 0, 0);

		assert_non_null(a);
		assert_non_null(b);
		assert_int_equal(a->vm->tgid, pairs[i][0]);
		assert_int_equal(b->vm->tgid, pairs[i][1]);
		assert_ptr_equal(a->peer, b);
		assert_ptr_equal(b->peer, a);
		assert_int_equal(b->page.vectors, 2);
		assert_int_equal(b->page.vector[1].msi_data, MSI_DATA + 1);
		assert_string_equal(a->page.name, b->page.name);
		/* A device may ring itself: that is no one else's journey */
		assert_ptr_equal(self->peer, self);
		assert_ptr_not_equal(self, a);
	}
	assert_null(ring(&f, 10, 2, 0));
	assert_null(ring(&f, 12, 1, 0));
	i = f.topology->ends->len;
	assert_int_equal(i, 8);
	f.now_ns += SEC_NS;
	refresh(&f);
	assert_int_equal(f.topology->ends->len, i);
	tear_down(&f);
}

static void three_peers_are_three_pairs(void **state)
{
	const pid_t tgids[] = { 10, 11, 12 };
	struct fixture f;
	uint32_t from, to;

	(void)state;
	set_up(&f);
	add_server(&f, tgids, 3, 1, 0x1000);
	refresh(&f);
	for (from = 0; from < 3; from++)
		for (to = 0; to < 3; to++) {
			struct ivm_end *end = ring(&f, tgids[from], to, 0);

			assert_int_equal(end->vm->tgid, tgids[from]);
			assert_int_equal(end->peer->vm->tgid, tgids[to]);
			assert_ptr_equal(end->peer->peer, end);
		}
	tear_down(&f);
}

static void masked_vectors_stay(void **state)
{
	const pid_t tgids[] = { 10, 11 };
	struct fixture f;
	struct ivm_end *a, *b;
	guint i;

	(void)state;
	set_up(&f);
	add_server(&f, tgids, 2, 2, 0x1000);
	refresh(&f);
	a = ring(&f, 10, 1, 0);
	b = ring(&f, 11, 0, 0);
	/* VM 11 masks its vector 1: KVM has no irqfd for it */
	for (i = f.records->len; i-- > 0;) {
		const struct ivm_irqfd_record *r =
			&g_array_index(f.records, struct ivm_irqfd_record, i);

		if (r->kind == IVM_IRQFD_TARGET && r->tgid == 11 && r->eventfd == 0x1011)
			g_array_remove_index(f.records, i);
	}
	refresh(&f);
	assert_ptr_equal(ring(&f, 10, 1, 1), a);
	assert_ptr_equal(a->peer, b);
	assert_int_equal(b->page.vectors, 2);
	assert_true(b->page.vector[0].flags & IVM_LP_VEC_DELIVERABLE);
	assert_false(b->page.vector[1].flags & IVM_LP_VEC_DELIVERABLE);
	assert_int_equal(b->page.vector[1].msi_data, MSI_DATA + 1);
	tear_down(&f);
}

static void another_peer_of_that_number_is_another_end(void **state)
{
	const pid_t first[] = { 10, 11 }, second[] = { 10, 12 };
	struct fixture f;
	struct ivm_end *old, *new;

	(void)state;
	set_up(&f);
	add_server(&f, first, 2, 1, 0x1000);
	refresh(&f);
	old = ring(&f, 10, 1, 0);
	f.now_ns += SEC_NS;
	/* VM 11 is gone; 12 got its number, and even its eventfds' contexts */
	f.gone = 11;
	g_array_set_size(f.records, 0);
	add_server(&f, second, 2, 1, 0x1000);
	refresh(&f);
	new = ring(&f, 10, 1, 0);
	assert_ptr_not_equal(new, old);
	assert_int_equal(new->peer->vm->tgid, 12);
	/* Writes from before, worked off only now, went to the VM of before */
	f.now_ns -= 1;
	assert_ptr_equal(ring(&f, 10, 1, 0), old);
	assert_false(old->dead);
	f.now_ns += 1 + LAG_NS;
	refresh(&f);
	assert_true(old->dead);
	f.now_ns -= LAG_NS + 1;
	assert_null(ring(&f, 10, 1, 0));
	tear_down(&f);
}

static void only_what_is_asked_for_is_followed(void **state)
{
	const pid_t pairs[2][2] = { { 10, 11 }, { 20, 21 } };
	struct fixture f;

	(void)state;
	set_up(&f);
	f.only = 21;
	add_server(&f, pairs[0], 2, 1, 0x1000);
	add_server(&f, pairs[1], 2, 1, 0x2000);
	refresh(&f);
	assert_null(ring(&f, 10, 1, 0));
	assert_non_null(ring(&f, 20, 1, 0));
	assert_null(ivm_topology_vm(f.topology, 10));
	tear_down(&f);
}

static void others_are_not_ivshmem(void **state)
{
	const struct ivm_irqfd_record virtio = {
		.kind = IVM_IRQFD_DOORBELL, .tgid = 10, .address = 0xfe003000, .eventfd = 5,
		.flags = IVM_IRQFD_F_WILDCARD, .fd = -1,
	};
	struct fixture f;

	(void)state;
	set_up(&f);
	g_array_append_val(f.records, virtio);
	add_irqfd(&f, 11, 0, 5);
	/* A doorbell of no known way back: whom it reaches cannot be answered */
	add_bell(&f, 20, 1, 0, 6);
	add_irqfd(&f, 21, 0, 6);
	refresh(&f);
	assert_int_equal(f.topology->ends->len, 0);
	tear_down(&f);
}

static void add_holder(struct fixture *f, pid_t tgid, int fd, uint64_t eventfd)
{
	const struct ivm_irqfd_record r = {
		.kind = IVM_IRQFD_HOLDER, .tgid = tgid, .fd = fd, .eventfd = eventfd,
	};

	g_array_append_val(f->records, r);
}

/* ioeventfd=off: each VM holds the other's eventfds, and its own */
static void add_writers(struct fixture *f, const pid_t *tgids, uint64_t base)
{
	int from, to;

	for (from = 0; from < 2; from++) {
		add_irqfd(f, tgids[from], 0, base + from);
		for (to = 0; to < 2; to++)
			add_holder(f, tgids[from], 20 + to, base + to);
	}
}

/* Ends by descriptor are believed when they stay */
static void settle(struct fixture *f)
{
	refresh(f);
	f->now_ns += IVM_DISCOVER_SETTLE_NS;
	refresh(f);
}

static void descriptors_ring_where_no_doorbell_is_known(void **state)
{
	const pid_t pairs[2][2] = { { 10, 11 }, { 20, 21 } };
	struct ivm_end *a, *b;
	struct fixture f;
	uint32_t v;
	int i;

	(void)state;
	set_up(&f);
	add_writers(&f, pairs[0], 0x1000);
	add_writers(&f, pairs[1], 0x2000);
	refresh(&f);
	assert_int_equal(f.topology->ends->len, 0);
	settle(&f);
	assert_int_equal(f.topology->ends->len, 4);
	for (i = 0; i < 2; i++) {
		a = ivm_topology_eventfd(f.topology, pairs[i][0], 21, &v);
		b = ivm_topology_eventfd(f.topology, pairs[i][1], 20, &v);
		assert_ptr_equal(a->peer, b);
		assert_ptr_equal(b->peer, a);
		assert_int_equal(a->vm->tgid, pairs[i][0]);
		assert_int_equal(b->vm->tgid, pairs[i][1]);
		assert_int_equal(a->kind, IVM_END_IVSHMEM);
		assert_true(ivm_topology_writes(f.topology, pairs[i][0], 21));
		/* Its own eventfd is none of the device's rings */
		assert_false(ivm_topology_writes(f.topology, pairs[i][0], 20));
	}
	tear_down(&f);
}

static void anyone_may_be_a_writer(void **state)
{
	struct ivm_end *end;
	struct fixture f;
	uint32_t v;

	(void)state;
	set_up(&f);
	f.foreign = true;
	add_irqfd(&f, 10, 0, 5);
	add_holder(&f, 10, 7, 5);
	add_holder(&f, NO_VM, 8, 5);
	settle(&f);
	/* The VM's own process, and one that has no VM; that one hears nothing back */
	end = ivm_topology_eventfd(f.topology, 10, 7, &v);
	assert_ptr_equal(end->peer, end);
	assert_int_equal(end->kind, IVM_END_FOREIGN);
	end = ivm_topology_eventfd(f.topology, NO_VM, 8, &v);
	assert_int_equal(end->peer->vm->tgid, 10);
	assert_int_equal(end->peer->page.vectors, 1);
	assert_int_equal(end->page.vectors, 0);
	assert_int_equal(f.topology->ends->len, 3);
	/* Both ends stay as long as the writer has the descriptor, and no longer */
	f.now_ns += 2 * LAG_NS;
	settle(&f);
	assert_false(end->dead);
	assert_false(end->peer->dead);
	g_array_remove_index(f.records, 2);
	settle(&f);
	f.now_ns += LAG_NS;
	settle(&f);
	assert_true(end->dead);
	assert_null(ivm_topology_eventfd(f.topology, NO_VM, 8, &v));
	tear_down(&f);
}

static void a_descriptor_that_is_another_eventfd_now(void **state)
{
	struct fixture f;
	uint32_t v;

	(void)state;
	set_up(&f);
	f.foreign = true;
	add_irqfd(&f, 10, 0, 5);
	add_irqfd(&f, 11, 0, 6);
	add_holder(&f, NO_VM, 8, 5);
	settle(&f);
	assert_int_equal(ivm_topology_eventfd(f.topology, NO_VM, 8, &v)->peer->vm->tgid, 10);
	g_array_index(f.records, struct ivm_irqfd_record, 2).eventfd = 6;
	settle(&f);
	f.now_ns += LAG_NS;
	settle(&f);
	assert_int_equal(ivm_topology_eventfd(f.topology, NO_VM, 8, &v)->peer->vm->tgid, 11);
	tear_down(&f);
}

/* ---- journeys ---- */

static int count_journey(void *arg, const struct ivm_journey *j)
{
	struct ivm_journey *last = arg;

	*last = *j;
	return 0;
}

static void feed(struct ivm_assemble *a, uint64_t *t_ns, pid_t tid, int type, uint64_t x,
		 uint64_t y, uint32_t z)
{
	const struct ivm_event e = {
		.t_ns = ++*t_ns, .type = type, .tgid = tid, .tid = tid, .a = x, .b = y, .c = z,
	};

	ivm_assemble_event(a, &e);
}

/* Two pairs alike; in each, the first rings; the interrupts end in swapped order */
static void journeys_go_to_their_own_vm(void **state)
{
	const pid_t pairs[2][2] = { { 10, 11 }, { 20, 21 } };
	struct ivm_journey last = {};
	struct ivm_assemble *a;
	struct fixture f;
	uint64_t t_ns;
	int i, k;

	(void)state;
	set_up(&f);
	for (i = 0; i < 2; i++)
		add_server(&f, pairs[i], 2, 1, 0x1000 * (i + 1));
	refresh(&f);
	for (i = 0; i < 2; i++)
		for (k = 0; k < 2; k++)
			ivm_topology_set_vcpu(f.topology,
					      ivm_topology_vm(f.topology, pairs[i][k]), 0,
					      pairs[i][k]);
	a = ivm_assemble_new(f.topology, count_journey, &last);
	t_ns = f.now_ns;
	for (i = 0; i < 2; i++) {
		feed(a, &t_ns, pairs[i][0], IVM_EV_MMIO, BELL, 0x10000, 4);
		feed(a, &t_ns, pairs[i][0], IVM_EV_MSI, MSI_ADDRESS, MSI_DATA, 0);
		feed(a, &t_ns, pairs[i][0], IVM_EV_ACCEPT, 0, MSI_DATA, 0);
	}
	for (i = 1; i >= 0; i--) {
		feed(a, &t_ns, pairs[i][1], IVM_EV_EOI, MSI_DATA, 0, 0);
		ivm_assemble_run(a, UINT64_MAX);
		assert_int_equal(last.outcome, IVM_O_DELIVERED);
		assert_int_equal(last.mode, IVM_M_IVSHMEM);
		assert_int_equal(last.configured, IVM_M_IVSHMEM);
		assert_int_equal(ivm_topology_end(f.topology, last.from_end)->vm->tgid,
				 pairs[i][0]);
		assert_int_equal(ivm_topology_end(f.topology, last.to_end)->vm->tgid, pairs[i][1]);
	}
	ivm_assemble_finish(a);
	assert_int_equal(ivm_assemble_stats(a)->unmatched, 0);
	ivm_assemble_free(a);
	tear_down(&f);
}

/* Two writers, one after the other, in one message's VM each; the second write is its own */
static void writes_begin_journeys(void **state)
{
	struct ivm_journey last = {};
	struct ivm_assemble *a;
	struct fixture f;
	uint64_t t_ns;
	int i, vm;

	(void)state;
	set_up(&f);
	f.foreign = true;
	for (vm = 10; vm <= 11; vm++) {
		add_irqfd(&f, vm, 0, vm);
		add_holder(&f, NO_VM, vm, vm);
	}
	settle(&f);
	for (vm = 10; vm <= 11; vm++)
		ivm_topology_set_vcpu(f.topology, ivm_topology_vm(f.topology, vm), 0, vm);
	a = ivm_assemble_new(f.topology, count_journey, &last);
	t_ns = f.now_ns;
	for (i = 0; i < 4; i++) {
		vm = 10 + i % 2;
		feed(a, &t_ns, NO_VM, IVM_EV_WRITE, 0, 0, vm);
		feed(a, &t_ns, NO_VM, IVM_EV_MSI, MSI_ADDRESS, MSI_DATA, 0);
		feed(a, &t_ns, NO_VM, IVM_EV_ACCEPT, 0, MSI_DATA, 0);
		feed(a, &t_ns, vm, IVM_EV_EOI, MSI_DATA, 0, 0);
		ivm_assemble_run(a, UINT64_MAX);
		assert_int_equal(last.outcome, IVM_O_DELIVERED);
		assert_int_equal(last.id, i + 1);
		assert_int_equal(last.mode, IVM_M_FOREIGN);
		assert_int_equal(ivm_topology_end(f.topology, last.to_end)->vm->tgid, vm);
		assert_true(last.t_ns[IVM_P_SEND]);
		assert_false(last.t_ns[IVM_P_DISPATCH]);
	}
	/* The thread raises another one: a masked write is not to be had by its message */
	feed(a, &t_ns, NO_VM, IVM_EV_WRITE, 0, 0, 11);
	feed(a, &t_ns, NO_VM, IVM_EV_MSI, MSI_ADDRESS, MSI_DATA + 1, 0);
	feed(a, &t_ns, NO_VM, IVM_EV_ACCEPT, 0, MSI_DATA + 1, 0);
	last.id = 0;
	feed(a, &t_ns, 11, IVM_EV_EOI, MSI_DATA + 1, 0, 0);
	ivm_assemble_run(a, UINT64_MAX);
	assert_int_equal(last.id, 0);
	/* Two that raise nothing, as the vector is masked: both are counted */
	feed(a, &t_ns, NO_VM, IVM_EV_WRITE, 0, 0, 10);
	feed(a, &t_ns, NO_VM, IVM_EV_WRITE, 0, 0, 10);
	ivm_assemble_finish(a);
	assert_int_equal(ivm_assemble_counts(a)->len, 2);
	assert_int_equal(((struct ivm_counts *)g_ptr_array_index(ivm_assemble_counts(a), 0))->rung,
			 4);
	ivm_assemble_free(a);
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clones_are_told_apart),
		cmocka_unit_test(three_peers_are_three_pairs),
		cmocka_unit_test(masked_vectors_stay),
		cmocka_unit_test(another_peer_of_that_number_is_another_end),
		cmocka_unit_test(only_what_is_asked_for_is_followed),
		cmocka_unit_test(others_are_not_ivshmem),
		cmocka_unit_test(descriptors_ring_where_no_doorbell_is_known),
		cmocka_unit_test(anyone_may_be_a_writer),
		cmocka_unit_test(a_descriptor_that_is_another_eventfd_now),
		cmocka_unit_test(journeys_go_to_their_own_vm),
		cmocka_unit_test(writes_begin_journeys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
