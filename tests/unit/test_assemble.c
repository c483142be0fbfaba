// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The assembler against event streams written by hand.
 *
 * Two VMs with one link between them; VM 2 looks exactly like VM 1 (addresses,
 * vectors, vcpu_ids, descriptor numbers), as clones of one command line do.
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../../tracer/assemble.h"

#define BAR0		0xfebf0000u
#define DOORBELL(v)	(BAR0 + IVM_DOORBELL(v))
#define IRQ(v)		(0x40 + (v))
#define VECTORS		4

/* Threads: a VM's tgid is its main loop's tid */
#define A_MAIN		100
#define A_VCPU		101
#define B_MAIN		200
#define B_VCPU		201
#define KWORKER		7
#define SOCKET_FD	9
#define EVENTFD(v)	(20 + (v))
#define HEARD(v)	(40 + (v))	/* the receiver's own descriptor */

struct fixture {
	struct ivm_topology *topology;
	struct ivm_assemble *a;
	struct ivm_end *end[2];
	GArray *journeys;
	uint64_t now_ns;
};

static int keep(void *arg, const struct ivm_journey *j)
{
	g_array_append_val((GArray *)arg, *j);
	return 0;
}

/* What a recording does with those that a lost carrier took along */
static int change(void *arg, uint64_t into, enum ivm_outcome outcome)
{
	GArray *journeys = arg;
	guint i;

	for (i = 0; i < journeys->len; i++) {
		struct ivm_journey *j = &g_array_index(journeys, struct ivm_journey, i);

		if (j->outcome == IVM_O_COALESCED && j->into == into)
			j->outcome = outcome;
	}
	return 0;
}

static void make_page(struct ivm_linkpage *page, uint64_t link_id, uint32_t mode)
{
	int v;

	memset(page, 0, sizeof(*page));
	page->link_id = link_id;
	page->bar0_address = BAR0;
	page->up = 1;
	page->accel = IVM_ACCEL_KVM;
	page->mode_tx = page->mode_rx = page->mode_configured = mode;
	page->vectors = page->peer_vectors = VECTORS;
	page->socket_fd = SOCKET_FD;
	for (v = 0; v < IVM_LINKPAGE_VECTORS; v++)
		page->peer_eventfd[v] = v < VECTORS ? EVENTFD(v) : -1;
	for (v = 0; v < VECTORS; v++) {
		page->vector[v].msi_address = 0xfee00000;
		page->vector[v].msi_data = IRQ(v);
		page->vector[v].flags = IVM_LP_VEC_DELIVERABLE | IVM_LP_VEC_IRQFD;
		page->vector[v].eventfd = -1;
	}
}

static void add_pair(struct fixture *f, pid_t base, uint64_t link_id, uint32_t mode)
{
	struct ivm_linkpage page;
	int side;

	make_page(&page, link_id, mode);
	for (side = 0; side < 2; side++) {
		pid_t tgid = base + 100 * side;
		struct ivm_vm *vm = ivm_topology_add_vm(f->topology, tgid, 1, NULL);

		ivm_topology_set_vcpu(f->topology, vm, 0, tgid + 1);
		f->end[side] = ivm_topology_add_end(f->topology, vm, tgid, &page, 0);
	}
}

static struct fixture *fixture_new(uint32_t mode)
{
	struct fixture *f = g_new0(struct fixture, 1);

	f->topology = ivm_topology_new();
	f->journeys = g_array_new(FALSE, FALSE, sizeof(struct ivm_journey));
	f->a = ivm_assemble_new(f->topology, keep, f->journeys);
	ivm_assemble_on_fate(f->a, change);
	add_pair(f, A_MAIN, 0x1234, mode);
	return f;
}

static void fixture_free(struct fixture *f)
{
	ivm_assemble_free(f->a);
	ivm_topology_free(f->topology);
	g_array_unref(f->journeys);
	g_free(f);
}

static uint32_t tgid_of(uint32_t tid)
{
	return tid < 100 ? tid : tid / 100 * 100;
}

/* Queues one event 100 ns after the last one */
static uint64_t ev(struct fixture *f, uint32_t tid, enum ivm_event_type type, uint64_t a,
		   uint64_t b, uint32_t c)
{
	struct ivm_event e = {
		.t_ns = f->now_ns += 100, .a = a, .b = b, .c = c,
		.tgid = tgid_of(tid), .tid = tid, .cpu = tid % 2, .type = type,
	};

	ivm_assemble_event(f->a, &e);
	return e.t_ns;
}

static void finish(struct fixture *f)
{
	assert_int_equal(ivm_assemble_finish(f->a), 0);
}

static const struct ivm_journey *journey(struct fixture *f, guint i)
{
	assert_true(i < f->journeys->len);
	return &g_array_index(f->journeys, struct ivm_journey, i);
}

/* The row of (first end, vector 0), with rule 2 checked */
static const struct ivm_counts *counts(struct fixture *f)
{
	const GPtrArray *rows = ivm_assemble_counts(f->a);
	const struct ivm_counts *c;

	assert_true(rows->len > 0);
	c = g_ptr_array_index(rows, 0);
	assert_int_equal(c->rung, c->delivered + c->coalesced + c->masked + c->dropped +
				  c->unfinished);
	return c;
}

static void assert_hops(const struct ivm_journey *j, const uint64_t *want)
{
	int p;

	for (p = 0; p < IVM_POINTS; p++)
		assert_int_equal(j->t_ns[p], want[p]);
}

static uint64_t ring(struct fixture *f, uint32_t vector, uint32_t cookie)
{
	return ev(f, A_VCPU, IVM_EV_MMIO, DOORBELL(vector), cookie, 4);
}

static void route_accept(struct fixture *f, uint32_t tid, uint32_t vector)
{
	ev(f, tid, IVM_EV_MSI, 0xfee00000, IRQ(vector), 0);
	ev(f, tid, IVM_EV_ACCEPT, 0, IRQ(vector), 0);
}

static void direct_stamps_every_point(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_DIRECT);
	uint64_t want[IVM_POINTS] = { 0 };
	const struct ivm_journey *j;

	(void)state;
	ev(f, B_VCPU, IVM_EV_SWITCH_IN, 0, 0, 0);
	want[IVM_P_EXIT] = ev(f, A_VCPU, IVM_EV_EXIT, 0x400, 2, 0);
	want[IVM_P_DISPATCH] = ring(f, 1, 77);
	want[IVM_P_SIGNAL] = ev(f, A_VCPU, IVM_EV_SIGNAL, 0xffff, 5, 0);
	want[IVM_P_ROUTE] = ev(f, A_VCPU, IVM_EV_MSI, 0xfee00000, IRQ(1), 0);
	want[IVM_P_ACCEPT] = ev(f, A_VCPU, IVM_EV_ACCEPT, 0, IRQ(1), 0);
	want[IVM_P_KICK] = ev(f, A_VCPU, IVM_EV_IPI, B_VCPU % 2, 0, 0);
	want[IVM_P_VCPU_EXIT] = ev(f, B_VCPU, IVM_EV_EXIT, 0x60, 2, 0);
	ev(f, A_VCPU, IVM_EV_ENTRY, 0, 0, 0);
	want[IVM_P_INJECT] = ev(f, B_VCPU, IVM_EV_INJ, IRQ(1), 0, 0);
	want[IVM_P_ENTRY] = ev(f, B_VCPU, IVM_EV_ENTRY, 0, 0, 0);
	ev(f, B_VCPU, IVM_EV_EXIT, 0x78, 2, 0);
	assert_int_equal(ivm_assemble_run(f->a, UINT64_MAX), 0);

	j = journey(f, 0);
	assert_hops(j, want);
	assert_int_equal(j->mode, IVM_M_DIRECT);
	assert_int_equal(j->outcome, IVM_O_DELIVERED);
	assert_int_equal(j->cookie, 77);
	assert_int_equal(j->vector, 1);
	assert_int_equal(j->irq_vector, IRQ(1));
	assert_int_equal(j->from_end, f->end[0]->id);
	assert_int_equal(j->to_end, f->end[1]->id);
	assert_int_equal(ivm_receiver_state(j), IVM_R_RUNNING);
	assert_int_equal(counts(f)->rung, 1);
	assert_int_equal(counts(f)->delivered, 1);
	fixture_free(f);
}

static void end_of_interrupt_is_no_access(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_DIRECT);
	const struct ivm_journey *j;

	(void)state;
	ev(f, B_VCPU, IVM_EV_SWITCH_IN, 0, 0, 0);
	ring(f, 0, 1);
	ev(f, A_VCPU, IVM_EV_MMIO, IVM_APIC_EOI, 0, 4);
	route_accept(f, A_VCPU, 0);
	ev(f, A_VCPU, IVM_EV_MMIO, IVM_APIC_EOI, 0, 4);
	ev(f, A_VCPU, IVM_EV_IPI, B_VCPU % 2, 0, 0);
	ev(f, B_VCPU, IVM_EV_EOI, IRQ(0), 0, 0);
	assert_int_equal(ivm_assemble_run(f->a, UINT64_MAX), 0);

	j = journey(f, 0);
	assert_int_equal(j->outcome, IVM_O_DELIVERED);
	assert_int_equal(j->t_ns[IVM_P_DISPATCH], 200);
	assert_int_equal(j->t_ns[IVM_P_ACCEPT], 500);
	assert_int_equal(j->t_ns[IVM_P_KICK], 700);
	fixture_free(f);
}

static void irqfd_goes_up_to_qemu_and_down_by_write(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_IRQFD);
	const struct ivm_journey *j;

	(void)state;
	ring(f, 0, 1);
	ev(f, A_VCPU, IVM_EV_USER_EXIT, IVM_KVM_EXIT_MMIO, 0, 0);
	ev(f, A_VCPU, IVM_EV_WRITE, 0, 0, 3);	/* some other descriptor */
	ev(f, A_VCPU, IVM_EV_WRITE, 0, 0, EVENTFD(0));
	ev(f, A_VCPU, IVM_EV_EVENTFD_WRITE, 0xffff, 5, 0);
	route_accept(f, A_VCPU, 0);
	ev(f, A_VCPU, IVM_EV_WAKING, B_VCPU, 0, 0);
	ev(f, B_VCPU, IVM_EV_SWITCH_IN, 0, 0, 0);
	ev(f, B_VCPU, IVM_EV_UNHALT, 1000, 1, 1);
	ev(f, B_VCPU, IVM_EV_EOI, IRQ(0), 0, 0);
	assert_int_equal(ivm_assemble_run(f->a, UINT64_MAX), 0);

	/* No entry can follow a stand-in: recorded at once */
	j = journey(f, 0);
	assert_int_equal(j->mode, IVM_M_IRQFD);
	assert_int_equal(j->t_ns[IVM_P_SEND], 400);
	assert_int_equal(ivm_receiver_state(j), IVM_R_ASLEEP);
	assert_true(j->flags & IVM_J_APPROX);
	assert_int_equal(j->t_ns[IVM_P_EOI_STANDIN], 1100);
	assert_int_equal(j->t_ns[IVM_P_INJECT], 0);
	fixture_free(f);
}

static void qemu_passes_the_socket(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_QEMU);
	const struct ivm_journey *j;

	(void)state;
	ring(f, 2, 1);
	ev(f, A_VCPU, IVM_EV_USER_EXIT, IVM_KVM_EXIT_MMIO, 0, 0);
	ev(f, A_VCPU, IVM_EV_SENDMSG, 1, 1, SOCKET_FD);
	ev(f, A_VCPU, IVM_EV_WAKING, B_MAIN, 0, 0);
	ev(f, A_VCPU, IVM_EV_SENDMSG_RET, 32, 0, SOCKET_FD);
	ev(f, B_MAIN, IVM_EV_SWITCH_IN, 0, 0, 0);
	ev(f, B_MAIN, IVM_EV_RECVMSG, 1, 1, SOCKET_FD);
	/* QEMU's own MSIs come as an offset into the APIC's region */
	ev(f, B_MAIN, IVM_EV_MSI, 0, IRQ(2), 0);
	ev(f, B_MAIN, IVM_EV_ACCEPT, 0, IRQ(2), 0);
	ev(f, B_VCPU, IVM_EV_INJ, IRQ(2), 0, 0);
	finish(f);

	j = journey(f, 0);
	assert_int_equal(j->mode, IVM_M_QEMU);
	assert_int_equal(j->outcome, IVM_O_DELIVERED);
	assert_int_equal(j->t_ns[IVM_P_USER], 200);
	assert_int_equal(j->t_ns[IVM_P_SEND], 300);
	assert_int_equal(j->t_ns[IVM_P_WAKE], 400);
	assert_int_equal(j->t_ns[IVM_P_RUN], 600);
	assert_int_equal(j->t_ns[IVM_P_RECV], 700);
	assert_int_equal(j->t_ns[IVM_P_ROUTE], 800);
	assert_int_equal(ivm_assemble_stats(f->a)->stream_gaps, 0);
	fixture_free(f);
}

static void full_socket_holds_the_ring(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_QEMU);

	(void)state;
	ring(f, 0, 1);
	ev(f, A_VCPU, IVM_EV_USER_EXIT, IVM_KVM_EXIT_MMIO, 0, 0);
	ev(f, A_VCPU, IVM_EV_SENDMSG, 1, 1, SOCKET_FD);
	ev(f, A_VCPU, IVM_EV_SENDMSG_RET, -EAGAIN, 0, SOCKET_FD);
	ring(f, 0, 2);
	ev(f, A_VCPU, IVM_EV_USER_EXIT, IVM_KVM_EXIT_MMIO, 0, 0);
	/* Both go out later as one message with count 2 */
	ev(f, A_MAIN, IVM_EV_SENDMSG, 1, 1, SOCKET_FD);
	ev(f, A_MAIN, IVM_EV_SENDMSG_RET, 32, 0, SOCKET_FD);
	ev(f, B_MAIN, IVM_EV_RECVMSG, 1, 1, SOCKET_FD);
	route_accept(f, B_MAIN, 0);
	ev(f, B_VCPU, IVM_EV_INJ, IRQ(0), 0, 0);
	finish(f);

	assert_int_equal(counts(f)->delivered, 1);
	assert_int_equal(counts(f)->coalesced, 1);
	assert_int_equal(journey(f, 0)->mode, IVM_M_QEMU);
	assert_int_equal(journey(f, 1)->mode, IVM_M_QEMU);
	assert_int_equal(ivm_assemble_stats(f->a)->stream_gaps, 0);
	assert_int_equal(ivm_assemble_stats(f->a)->unmatched, 0);
	fixture_free(f);
}

static void stream_gap_is_counted(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_QEMU);

	(void)state;
	ring(f, 0, 1);
	ev(f, A_VCPU, IVM_EV_SENDMSG, 1, 1, SOCKET_FD);
	ev(f, B_MAIN, IVM_EV_RECVMSG, 1, 1, SOCKET_FD);
	ev(f, B_MAIN, IVM_EV_RECVMSG, 2, 4, SOCKET_FD);
	finish(f);
	assert_int_equal(ivm_assemble_stats(f->a)->stream_gaps, 3);
	fixture_free(f);
}

/* Its vCPUs are no threads that KVM knows: only its main loop is seen to send */
static void tcg_sends_unseen(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_QEMU);

	(void)state;
	f->end[0]->page.accel = IVM_ACCEL_OTHER;
	ev(f, A_MAIN, IVM_EV_SENDMSG, 1, 1, SOCKET_FD);
	ev(f, B_MAIN, IVM_EV_RECVMSG, 1, 3, SOCKET_FD);
	ev(f, A_MAIN, IVM_EV_SENDMSG, 5, 5, SOCKET_FD);
	finish(f);
	assert_int_equal(ivm_assemble_stats(f->a)->stream_gaps, 0);
	fixture_free(f);
}

static void set_link(struct fixture *f, uint64_t link_id)
{
	struct ivm_linkpage page;
	int side;

	make_page(&page, link_id, IVM_MODE_QEMU);
	page.up = link_id != 0;
	for (side = 0; side < 2; side++)
		ivm_topology_update_end(f->topology, f->end[side], &page);
}

/* Sequences start again at 1; what was in the old socket is cut off */
static void reconnect_starts_a_new_stream(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_QEMU);

	(void)state;
	ring(f, 0, 1);
	ev(f, A_VCPU, IVM_EV_SENDMSG, 8, 8, SOCKET_FD);
	assert_int_equal(ivm_assemble_run(f->a, UINT64_MAX), 0);
	set_link(f, 0);
	set_link(f, 0x9999);
	ring(f, 0, 2);
	ev(f, A_VCPU, IVM_EV_SENDMSG, 1, 1, SOCKET_FD);
	ev(f, B_MAIN, IVM_EV_RECVMSG, 1, 1, SOCKET_FD);
	route_accept(f, B_MAIN, 0);
	ev(f, B_VCPU, IVM_EV_INJ, IRQ(0), 0, 0);
	finish(f);
	assert_int_equal(counts(f)->dropped, 1);
	assert_int_equal(counts(f)->delivered, 1);
	assert_int_equal(ivm_assemble_stats(f->a)->stream_gaps, 0);
	fixture_free(f);
}

static void odd_access_is_no_doorbell(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_DIRECT);

	(void)state;
	ev(f, A_VCPU, IVM_EV_MMIO, DOORBELL(0), 1, 2);
	ev(f, A_VCPU, IVM_EV_MMIO, DOORBELL(0) + 2, 1, 4);
	ev(f, A_VCPU, IVM_EV_MMIO, BAR0, 1, 4);
	finish(f);
	assert_int_equal(ivm_assemble_counts(f->a)->len, 0);
	fixture_free(f);
}

static void rings_before_the_end_point_coalesce(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_DIRECT);
	int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		ring(f, 0, i + 1);
		route_accept(f, A_VCPU, 0);
	}
	ev(f, B_VCPU, IVM_EV_INJ, IRQ(0), 0, 0);
	finish(f);

	assert_int_equal(counts(f)->rung, 3);
	assert_int_equal(counts(f)->accepted, 3);
	assert_int_equal(counts(f)->delivered, 1);
	assert_int_equal(counts(f)->coalesced, 2);
	fixture_free(f);
}

/* accept is traced before the IRR bit is set: the second end is the newest ring's */
static void end_with_nothing_pending_takes_back(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_DIRECT);
	guint i, contended = 0;

	(void)state;
	for (i = 0; i < 3; i++) {
		ring(f, 0, i + 1);
		route_accept(f, A_VCPU, 0);
	}
	ev(f, B_VCPU, IVM_EV_INJ, IRQ(0), 0, 0);
	ev(f, B_VCPU, IVM_EV_ENTRY, 0, 0, 0);
	ev(f, B_VCPU, IVM_EV_EXIT, 0x60, 2, 0);
	ev(f, B_VCPU, IVM_EV_INJ, IRQ(0), 0, 0);
	finish(f);

	assert_int_equal(counts(f)->delivered, 2);
	assert_int_equal(counts(f)->coalesced, 1);
	assert_int_equal(ivm_assemble_stats(f->a)->unmatched, 0);
	for (i = 0; i < f->journeys->len; i++) {
		if (!(journey(f, i)->flags & IVM_J_CONTENDED))
			continue;
		contended++;
		assert_int_equal(journey(f, i)->cookie, 3);
	}
	assert_int_equal(contended, 1);
	fixture_free(f);
}

static void reinjection_is_no_second_end(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_DIRECT);

	(void)state;
	ring(f, 0, 1);
	route_accept(f, A_VCPU, 0);
	ev(f, B_VCPU, IVM_EV_INJ, IRQ(0), 0, 0);
	ev(f, B_VCPU, IVM_EV_INJ, IRQ(0), 1 << 1, 0);
	ev(f, B_VCPU, IVM_EV_INJ, IRQ(0), 1, 0);
	finish(f);
	assert_int_equal(counts(f)->delivered, 1);
	assert_int_equal(ivm_assemble_stats(f->a)->unmatched, 0);
	fixture_free(f);
}

static void unmatched_end_is_counted(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_DIRECT);

	(void)state;
	ev(f, B_VCPU, IVM_EV_INJ, IRQ(0), 0, 0);	/* rung before the recording */
	ev(f, B_VCPU, IVM_EV_INJ, 0xec, 0, 0);		/* a timer */
	ring(f, 0, 1);
	route_accept(f, A_VCPU, 0);
	ev(f, B_VCPU, IVM_EV_INJ, IRQ(0), 0, 0);
	ev(f, B_VCPU, IVM_EV_INJ, IRQ(0), 0, 0);	/* from nowhere */
	finish(f);
	assert_int_equal(ivm_assemble_stats(f->a)->before_start, 1);
	assert_int_equal(ivm_assemble_stats(f->a)->unmatched, 1);
	fixture_free(f);
}

/* An interrupt that QEMU raises by itself (LINK_VECTOR) has no doorbell */
static void link_vector_is_no_ring(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_DIRECT);

	(void)state;
	route_accept(f, B_MAIN, 3);
	ev(f, B_VCPU, IVM_EV_INJ, IRQ(3), 0, 0);
	finish(f);
	assert_int_equal(ivm_assemble_stats(f->a)->not_rings, 1);
	assert_int_equal(ivm_assemble_stats(f->a)->unmatched, 0);
	assert_int_equal(f->journeys->len, 0);
	fixture_free(f);
}

static void masked_ring_is_raised_later(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_DIRECT);

	(void)state;
	ring(f, 0, 1);
	ev(f, A_VCPU, IVM_EV_SIGNAL, 0xffff, 5, 0);
	ring(f, 0, 2);
	ev(f, A_VCPU, IVM_EV_ENTRY, 0, 0, 0);
	/* The receiver unmasks: its QEMU raises once for both */
	route_accept(f, B_VCPU, 0);
	ev(f, B_VCPU, IVM_EV_INJ, IRQ(0), 0, 0);
	finish(f);
	assert_int_equal(counts(f)->delivered, 1);
	assert_int_equal(counts(f)->coalesced, 1);
	assert_int_equal(counts(f)->masked, 0);
	assert_int_equal(journey(f, 0)->mode, IVM_M_DIRECT);
	assert_int_equal(journey(f, 1)->mode, IVM_M_DIRECT);
	fixture_free(f);
}

static void masked_to_the_end_is_masked(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_DIRECT);
	struct ivm_linkpage page;

	(void)state;
	make_page(&page, 0x1234, IVM_MODE_DIRECT);
	page.vector[0].flags = 0;
	ivm_topology_update_end(f->topology, f->end[1], &page);
	ring(f, 0, 1);
	finish(f);
	assert_int_equal(counts(f)->masked, 1);
	assert_int_equal(counts(f)->unfinished, 0);
	fixture_free(f);
}

static void lost_on_the_way_is_unfinished(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_DIRECT);

	(void)state;
	ring(f, 0, 1);
	route_accept(f, A_VCPU, 0);
	ring(f, 0, 2);
	finish(f);
	assert_int_equal(counts(f)->unfinished, 2);
	fixture_free(f);
}

static void beyond_the_peer_is_dropped(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_DIRECT);

	(void)state;
	ring(f, VECTORS, 1);
	finish(f);
	assert_int_equal(journey(f, 0)->outcome, IVM_O_DROPPED);
	fixture_free(f);
}

static void kworker_takes_the_doorbell_over(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_DIRECT);
	const struct ivm_journey *j;

	(void)state;
	ring(f, 0, 1);
	ev(f, A_VCPU, IVM_EV_QUEUE_WORK, 0xdead, 0, 0);
	ev(f, A_VCPU, IVM_EV_ENTRY, 0, 0, 0);
	ring(f, 0, 2);			/* the work is queued already */
	ev(f, A_VCPU, IVM_EV_ENTRY, 0, 0, 0);
	ev(f, KWORKER, IVM_EV_WORK_START, 0xdead, 0, 0);
	route_accept(f, KWORKER, 0);
	ev(f, KWORKER, IVM_EV_WORK_END, 0xdead, 0, 0);
	ev(f, B_VCPU, IVM_EV_INJ, IRQ(0), 0, 0);
	finish(f);
	assert_int_equal(counts(f)->rung, 2);
	assert_int_equal(counts(f)->delivered, 1);
	assert_int_equal(counts(f)->coalesced, 1);
	j = journey(f, journey(f, 0)->cookie == 1 ? 0 : 1);
	assert_int_equal(j->t_ns[IVM_P_DEFER], 200);
	assert_int_equal(j->t_ns[IVM_P_WORK], 600);
	fixture_free(f);
}

static void posted_to_a_halted_vcpu_ends_at_entry(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_DIRECT);

	(void)state;
	ring(f, 0, 1);
	route_accept(f, A_VCPU, 0);
	ev(f, A_VCPU, IVM_EV_APICV_ACCEPT, 0, IRQ(0), 0);
	ev(f, B_VCPU, IVM_EV_UNHALT, 10, 0, 1);
	ev(f, B_VCPU, IVM_EV_ENTRY, 0, 0, 0);
	ev(f, B_VCPU, IVM_EV_EXIT, 12, 1, 0);
	assert_int_equal(ivm_assemble_run(f->a, UINT64_MAX), 0);
	assert_int_equal(counts(f)->delivered, 1);
	assert_int_equal(counts(f)->posted, 1);
	assert_int_equal(journey(f, 0)->t_ns[IVM_P_ENTRY], 600);
	assert_int_equal(ivm_receiver_state(journey(f, 0)), IVM_R_POLLING);
	fixture_free(f);
}

static void posted_to_a_running_vcpu_has_no_end(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_DIRECT);

	(void)state;
	ring(f, 0, 1);
	route_accept(f, A_VCPU, 0);
	ev(f, A_VCPU, IVM_EV_APICV_ACCEPT, 0, IRQ(0), 0);
	ev(f, B_VCPU, IVM_EV_EXIT, 12, 1, 0);
	finish(f);
	assert_int_equal(journey(f, 0)->outcome, IVM_O_UNSEEN);
	fixture_free(f);
}

static void accept_of_something_else_is_not_ours(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_DIRECT);
	struct ivm_event e;

	(void)state;
	ring(f, 0, 1);
	/* A timer expires on this CPU meanwhile, with the very same vector */
	memset(&e, 0, sizeof(e));
	e.t_ns = f->now_ns + 1;
	e.b = IRQ(0);
	e.tid = A_VCPU;
	e.tgid = A_MAIN;
	e.type = IVM_EV_ACCEPT;
	e.flags = IVM_EV_F_HARDIRQ;
	ivm_assemble_event(f->a, &e);
	/* ... and the thread accepts another vector in process context */
	ev(f, A_VCPU, IVM_EV_ACCEPT, 0, 0xec, 0);
	finish(f);
	assert_int_equal(counts(f)->accepted, 0);
	fixture_free(f);
}

/* Clones: equal numbers everywhere, and the end of the one is not the other's */
static void equal_links_do_not_mix(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_DIRECT);
	guint i;

	(void)state;
	add_pair(f, 300, 0x5678, IVM_MODE_DIRECT);
	ring(f, 0, 1);
	ev(f, 301, IVM_EV_MMIO, DOORBELL(0), 2, 4);
	route_accept(f, A_VCPU, 0);
	route_accept(f, 301, 0);
	ev(f, 401, IVM_EV_INJ, IRQ(0), 0, 0);
	ev(f, B_VCPU, IVM_EV_INJ, IRQ(0), 0, 0);
	finish(f);
	assert_int_equal(f->journeys->len, 2);
	for (i = 0; i < 2; i++) {
		const struct ivm_journey *j = journey(f, i);

		assert_int_equal(j->from_end, j->cookie == 1 ? 1 : 3);
		assert_int_equal(j->to_end, j->cookie == 1 ? 2 : 4);
		assert_int_equal(j->t_ns[IVM_P_INJECT], j->cookie == 1 ? 800 : 700);
	}
	fixture_free(f);
}

static void events_are_sorted_and_late_ones_counted(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_DIRECT);
	struct ivm_event inject = { .t_ns = 400, .a = IRQ(0), .tgid = B_MAIN, .tid = B_VCPU,
				    .type = IVM_EV_INJ };

	(void)state;
	ivm_assemble_event(f->a, &inject);	/* its CPU was faster */
	ring(f, 0, 1);
	route_accept(f, A_VCPU, 0);
	assert_int_equal(ivm_assemble_run(f->a, 350), 0);
	assert_int_equal(f->journeys->len, 0);
	finish(f);
	assert_int_equal(counts(f)->delivered, 1);
	assert_int_equal(ivm_assemble_stats(f->a)->late, 0);
	fixture_free(f);
}

static void nothing_opens_after_stop(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_DIRECT);

	(void)state;
	ring(f, 0, 1);
	route_accept(f, A_VCPU, 0);
	ivm_assemble_stop(f->a, f->now_ns + 50);
	ring(f, 0, 2);
	ev(f, B_VCPU, IVM_EV_INJ, IRQ(0), 0, 0);
	ev(f, B_VCPU, IVM_EV_INJ, IRQ(0), 0, 0);
	finish(f);
	assert_int_equal(counts(f)->rung, 1);
	assert_int_equal(counts(f)->delivered, 1);
	assert_int_equal(ivm_assemble_stats(f->a)->unmatched, 0);
	fixture_free(f);
}

static int disk_full(void *arg, const struct ivm_journey *j)
{
	(void)arg;
	(void)j;
	return -ENOSPC;
}

/* A full disk must stop the recording, not vanish in it */
static void callback_errors_come_out(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_DIRECT);
	struct ivm_assemble *a = ivm_assemble_new(f->topology, disk_full, NULL);
	struct ivm_event e = { .t_ns = 1, .a = DOORBELL(VECTORS), .c = 4, .tgid = A_MAIN,
			       .tid = A_VCPU, .type = IVM_EV_MMIO };

	(void)state;
	ivm_assemble_event(a, &e);
	assert_int_equal(ivm_assemble_run(a, UINT64_MAX), -ENOSPC);
	ivm_assemble_free(a);
	fixture_free(f);
}

/*
 * Property: whatever comes in whatever order, each ring gets one outcome, the
 * counts close, and ids are unique.  Seeds are fixed: a failure repeats.
 */
static void random_event(struct fixture *f, GRand *r, uint32_t cookie)
{
	static const uint32_t tids[] = { A_MAIN, A_VCPU, B_MAIN, B_VCPU, KWORKER };
	uint32_t tid = tids[g_rand_int_range(r, 0, G_N_ELEMENTS(tids))];
	uint32_t v = g_rand_int_range(r, 0, VECTORS + 1);
	uint64_t any = g_rand_int_range(r, 0, 210);

	switch (g_rand_int_range(r, 0, 5)) {
	case 0:
		ring(f, v, cookie);
		break;
	case 1:
		route_accept(f, tid, v % VECTORS);
		break;
	case 2:
		ev(f, B_VCPU, g_rand_boolean(r) ? IVM_EV_INJ : IVM_EV_ENTRY, IRQ(v), 0, 0);
		break;
	default:
		ev(f, tid, g_rand_int_range(r, 1, IVM_EV_TYPES),
		   g_rand_boolean(r) ? IRQ(v) : any, g_rand_int_range(r, 0, 90),
		   g_rand_boolean(r) ? SOCKET_FD : EVENTFD(v % VECTORS));
	}
}

static uint64_t settled(struct fixture *f, uint64_t *rung)
{
	const GPtrArray *rows = ivm_assemble_counts(f->a);
	uint64_t sum = 0;
	guint i;

	*rung = 0;
	for (i = 0; i < rows->len; i++) {
		const struct ivm_counts *c = g_ptr_array_index(rows, i);

		*rung += c->rung;
		sum += c->delivered + c->coalesced + c->masked + c->dropped + c->unfinished;
	}
	return sum;
}

static void check_closed(struct fixture *f)
{
	g_autoptr(GHashTable) ids = g_hash_table_new(g_int64_hash, g_int64_equal);
	uint64_t rung, unseen = 0, sum = settled(f, &rung);
	guint i;

	for (i = 0; i < f->journeys->len; i++) {
		const struct ivm_journey *j = journey(f, i);

		assert_int_not_equal(j->outcome, IVM_O_PENDING);
		unseen += j->outcome == IVM_O_UNSEEN;
		assert_true(g_hash_table_add(ids, (gpointer)&j->id));
	}
	assert_true(rung > 0);
	assert_int_equal(rung, f->journeys->len);
	assert_int_equal(rung, sum + unseen);
}

static void random_streams_close_their_counts(void **state)
{
	static const uint32_t modes[] = { IVM_MODE_QEMU, IVM_MODE_IRQFD, IVM_MODE_DIRECT };
	uint32_t seed;

	(void)state;
	for (seed = 1; seed <= 300; seed++) {
		struct fixture *f = fixture_new(modes[seed % G_N_ELEMENTS(modes)]);
		GRand *r = g_rand_new_with_seed(seed);
		uint32_t i;

		for (i = 1; i <= 400; i++) {
			random_event(f, r, i);
			if (i % 50 == 0)
				ivm_assemble_run(f->a, f->now_ns - 1000);
		}
		finish(f);
		check_closed(f);
		g_rand_free(r);
		fixture_free(f);
	}
}

/* ---- what BPF programs have put together ---- */

/* A ring of vector 0 that has been written at @t_ns, as its programs would give it out */
static struct ivm_journey_record record(struct fixture *f, enum ivm_record_kind kind, uint64_t id,
					uint64_t t_ns)
{
	return (struct ivm_journey_record){
		.t_ns = t_ns + 50, .kind = kind,
		.j = { .id = id, .t_ns[IVM_P_DISPATCH] = t_ns - 20, .t_ns[IVM_P_SEND] = t_ns,
		       .from_end = f->end[0]->id, .to_end = f->end[1]->id, .mode = IVM_M_IRQFD,
		       .configured = IVM_M_IRQFD },
	};
}

/* Rings 2 and 3 are written before, ring 4 after a kworker injects for ring 1 at 1000 */
static const struct ivm_journey *by_worker(struct fixture *f, enum ivm_outcome outcome,
					   uint64_t into)
{
	struct ivm_journey_record carrier = record(f, IVM_REC_ENDED, 1, 100);
	struct ivm_journey_record ring;
	uint64_t id;

	for (id = 2; id <= 4; id++) {
		ring = record(f, IVM_REC_CLOSED, id, id < 4 ? 100 * id : 1010);
		ring.j.t_ns[IVM_P_DISPATCH] = 90 * id;
		ivm_assemble_record(f->a, &ring);
	}
	carrier.t_ns = 1200;
	carrier.j.t_ns[IVM_P_WORK] = 1000;
	carrier.j.t_ns[IVM_P_ROUTE] = 1001;
	carrier.j.t_ns[IVM_P_ACCEPT] = 1002;
	carrier.j.outcome = outcome;
	carrier.j.into = into;
	ivm_assemble_record(f->a, &carrier);
	assert_int_equal(ivm_assemble_run(f->a, UINT64_MAX), 0);
	assert_int_equal(f->journeys->len, 3);
	assert_int_equal(journey(f, 0)->id + journey(f, 1)->id + journey(f, 2)->id, 1 + 2 + 3);
	assert_int_equal(ivm_assemble_stats(f->a)->disordered, 0);
	return journey(f, 2);
}

static void kworker_takes_along_what_was_written_before(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_IRQFD);
	const struct ivm_journey *j = by_worker(f, IVM_O_DELIVERED, 0);

	(void)state;
	assert_int_equal(j->outcome, j->id == 1 ? IVM_O_DELIVERED : IVM_O_COALESCED);
	finish(f);
	assert_int_equal(counts(f)->coalesced, 2);
	assert_int_equal(counts(f)->unfinished, 1);
	fixture_free(f);
}

static void what_a_coalesced_kworker_takes_along_is_coalesced(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_IRQFD);
	guint i;

	(void)state;
	by_worker(f, IVM_O_COALESCED, 99);
	for (i = 0; i < 3; i++)
		assert_int_equal(journey(f, i)->into, 99);
	finish(f);
	assert_int_equal(counts(f)->coalesced, 3);
	assert_int_equal(counts(f)->unfinished, 1);
	fixture_free(f);
}

static void put_ring(struct fixture *f, uint64_t id, uint64_t t_ns, uint64_t close_ns)
{
	struct ivm_journey_record ring = record(f, IVM_REC_CLOSED, id, t_ns);

	ring.t_ns = close_ns;
	ivm_assemble_record(f->a, &ring);
}

static void put_read(struct fixture *f, uint64_t signals, uint64_t t_ns)
{
	const struct ivm_event e = {
		.t_ns = t_ns, .a = signals, .tgid = B_MAIN, .tid = B_MAIN, .c = HEARD(0),
		.type = IVM_EV_READ,
	};

	ivm_assemble_event(f->a, &e);
}

/* The main loop routes at @t_ns, and the interrupt arrives */
static void put_raised(struct fixture *f, uint64_t id, uint64_t t_ns)
{
	struct ivm_journey_record r = {
		.t_ns = t_ns + 1, .kind = IVM_REC_RAISED,
		.j = { .id = id, .t_ns[IVM_P_ROUTE] = t_ns, .t_ns[IVM_P_ACCEPT] = t_ns + 1,
		       .to_end = f->end[1]->id, .mode = IVM_M_QEMU, .flags = IVM_J_RAISED },
	};

	ivm_assemble_record(f->a, &r);
	r.kind = IVM_REC_ENDED;
	r.t_ns = t_ns + 20;
	r.j.t_ns[IVM_P_INJECT] = t_ns + 10;
	r.j.outcome = IVM_O_DELIVERED;
	ivm_assemble_record(f->a, &r);
}

/* QEMU or, with @work_ns, a kworker raises at @t_ns; it ends @lag_ns later */
static void put_overlapping(struct fixture *f, uint64_t id, uint64_t work_ns, uint64_t t_ns,
			    uint64_t lag_ns)
{
	struct ivm_journey_record r = {
		.t_ns = t_ns + 1, .kind = IVM_REC_RAISED,
		.j = { .id = id, .t_ns[IVM_P_ROUTE] = t_ns, .t_ns[IVM_P_ACCEPT] = t_ns + 1,
		       .to_end = f->end[1]->id, .flags = IVM_J_RAISED },
	};

	if (work_ns) {
		r.j.t_ns[IVM_P_DEFER] = work_ns - 20;
		r.j.t_ns[IVM_P_WORK] = work_ns;
	} else {
		r.j.t_ns[IVM_P_UNMASK] = 250;
	}
	ivm_assemble_record(f->a, &r);
	r.kind = IVM_REC_ENDED;
	r.t_ns = t_ns + lag_ns;
	r.j.t_ns[IVM_P_INJECT] = t_ns + 2;
	r.j.outcome = IVM_O_DELIVERED;
	ivm_assemble_record(f->a, &r);
}

/*
 * A vCPU has read the eventfd and gives it to KVM, which finds another signal there.  Two
 * rings, two interrupts: whichever comes first takes both, and gives one back.
 */
static void overlapping_raises(bool worker_first, uint64_t lag_ns)
{
	struct fixture *f = fixture_new(IVM_MODE_IRQFD);
	uint64_t qemu_ns = worker_first ? 360 : 340;
	guint i, contended = 0;

	put_ring(f, 1, 100, 150);
	put_ring(f, 2, 200, 250);
	put_overlapping(f, 3, 0, qemu_ns, lag_ns);
	put_overlapping(f, 4, 345, 350, lag_ns);
	finish(f);
	assert_int_equal(counts(f)->delivered, 2);
	assert_int_equal(counts(f)->accepted, 2);
	assert_int_equal(counts(f)->coalesced, 0);
	for (i = 0; i < 2; i++)
		contended += !!(journey(f, i)->flags & IVM_J_CONTENDED);
	assert_int_equal(contended, 1);
	assert_int_equal(ivm_assemble_stats(f->a)->not_rings, 0);
	assert_int_equal(ivm_assemble_stats(f->a)->disordered, 0);
	fixture_free(f);
}

static void one_of_two_interrupts_gives_a_ring_back(void **state)
{
	(void)state;
	overlapping_raises(false, 100);
	overlapping_raises(true, 100);
	/* The other one has ended by then */
	overlapping_raises(false, 5);
	overlapping_raises(true, 5);
}

/* ... but not to one that has nothing to do with it */
static void a_link_vector_takes_no_ring_back(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_IRQFD);

	(void)state;
	put_ring(f, 1, 100, 150);
	put_ring(f, 2, 200, 250);
	put_overlapping(f, 3, 0, 340, 100);
	put_raised(f, 4, 500);
	finish(f);
	assert_int_equal(counts(f)->delivered, 1);
	assert_int_equal(counts(f)->coalesced, 1);
	assert_int_equal(ivm_assemble_stats(f->a)->not_rings, 1);
	fixture_free(f);
}

static struct fixture *without_irqfd(void)
{
	struct fixture *f = fixture_new(IVM_MODE_IRQFD);
	struct ivm_linkpage page = f->end[1]->page;

	page.vector[0].flags = IVM_LP_VEC_DELIVERABLE | IVM_LP_VEC_QEMU_FALLBACK;
	page.vector[0].eventfd = HEARD(0);
	ivm_topology_update_end(f->topology, f->end[1], &page);
	return f;
}

/* Written after the first read, and before its route */
static void what_comes_after_the_read_is_the_next_ones(void **state)
{
	struct fixture *f = without_irqfd();

	(void)state;
	put_ring(f, 1, 100, 150);
	put_read(f, 1, 200);
	put_ring(f, 2, 300, 350);
	put_raised(f, 3, 400);
	put_read(f, 1, 500);
	put_raised(f, 4, 600);
	finish(f);
	assert_int_equal(counts(f)->delivered, 2);
	assert_int_equal(journey(f, 0)->t_ns[IVM_P_RECV], 200);
	assert_int_equal(journey(f, 1)->t_ns[IVM_P_RECV], 500);
	assert_int_equal(ivm_assemble_stats(f->a)->not_rings, 0);
	fixture_free(f);
}

/* Two of three, and the second one's doorbell closes late; the third is begun, not written */
static void a_read_takes_as_many_as_it_says(void **state)
{
	struct fixture *f = without_irqfd();

	(void)state;
	put_ring(f, 1, 100, 150);
	put_ring(f, 3, 190, 210);
	put_read(f, 2, 200);
	put_ring(f, 2, 180, 500);
	put_raised(f, 4, 300);
	put_read(f, 1, 520);
	put_raised(f, 5, 600);
	finish(f);
	assert_int_equal(counts(f)->delivered, 2);
	assert_int_equal(counts(f)->coalesced, 1);
	assert_int_equal(counts(f)->unfinished, 0);
	fixture_free(f);
}

/* Both doorbells close when both have arrived */
static void a_late_ring_goes_where_one_is_missing(void **state)
{
	struct fixture *f = without_irqfd();
	guint i;

	(void)state;
	put_read(f, 1, 200);
	put_raised(f, 3, 300);
	put_read(f, 1, 500);
	put_raised(f, 4, 600);
	put_ring(f, 1, 100, 1000);
	put_ring(f, 2, 400, 1100);
	finish(f);
	assert_int_equal(counts(f)->delivered, 2);
	for (i = 0; i < 2; i++)
		assert_int_equal(journey(f, i)->t_ns[IVM_P_RECV],
				 journey(f, i)->id == 1 ? 200 : 500);
	fixture_free(f);
}

/* A read that is not told how many it found may have taken one that the next one finds */
static void a_read_without_number_gives_one_back(void **state)
{
	struct fixture *f = without_irqfd();

	(void)state;
	f->end[0]->page.mode_tx = IVM_MODE_DIRECT;
	ring(f, 0, 1);
	ev(f, A_VCPU, IVM_EV_ENTRY, 0, 0, 0);
	ring(f, 0, 2);
	ev(f, A_VCPU, IVM_EV_ENTRY, 0, 0, 0);
	ev(f, B_MAIN, IVM_EV_READ, 0, 0, HEARD(0));
	route_accept(f, B_MAIN, 0);
	ev(f, B_VCPU, IVM_EV_INJ, IRQ(0), 0, 0);
	ev(f, B_MAIN, IVM_EV_READ, 0, 0, HEARD(0));
	route_accept(f, B_MAIN, 0);
	ev(f, B_VCPU, IVM_EV_INJ, IRQ(0), 0, 0);
	finish(f);
	assert_int_equal(counts(f)->delivered, 2);
	assert_true(journey(f, 1)->flags & IVM_J_CONTENDED);
	assert_int_equal(ivm_assemble_stats(f->a)->unmatched, 0);
	fixture_free(f);
}

/* ---- memory ---- */

#define MANY		20000u
#define GROWTH_BYTES	65536u	/* of MANY that were kept it would be a hundred times that */

/* A QEMU or a kworker raised vector 0 of end 1 under this number, and the guest took it */
static void raise_and_end(struct fixture *f, uint64_t id)
{
	struct ivm_journey_record r = {
		.kind = IVM_REC_RAISED, .t_ns = f->now_ns += 100,
		.j = { .id = id, .to_end = f->end[1]->id, .mode = IVM_M_QEMU,
		       .flags = IVM_J_RAISED, .t_ns[IVM_P_ROUTE] = f->now_ns,
		       .t_ns[IVM_P_ACCEPT] = f->now_ns },
	};

	ivm_assemble_record(f->a, &r);
	r.kind = IVM_REC_ENDED;
	r.t_ns = r.j.t_ns[IVM_P_INJECT] = f->now_ns += 100;
	r.j.outcome = IVM_O_DELIVERED;
	ivm_assemble_record(f->a, &r);
	assert_int_equal(ivm_assemble_run(f->a, UINT64_MAX), 0);
}

static void raise_many(struct fixture *f, uint64_t first)
{
	uint64_t i;

	for (i = 0; i < MANY; i++)
		raise_and_end(f, first + i);
}

/* Their doorbells are rung under TCG, or their records were lost */
static void check_raised(uint32_t peers_accel)
{
	struct fixture *f = fixture_new(IVM_MODE_QEMU);
	size_t before;

	f->end[0]->page.accel = peers_accel;
	raise_many(f, 1);
	before = mallinfo2().uordblks;
	raise_many(f, 1 + MANY);
	assert_in_range(mallinfo2().uordblks, 0, before + GROWTH_BYTES);
	finish(f);
	assert_int_equal(f->journeys->len, 0);
	assert_int_equal(ivm_assemble_stats(f->a)->not_rings, 2 * MANY);
	assert_int_equal(ivm_assemble_stats(f->a)->unmatched, 0);
	fixture_free(f);
}

static void raised_without_ring_take_no_memory(void **state)
{
	(void)state;
	check_raised(0);
	check_raised(IVM_ACCEL_KVM);
}

/* A ring whose record comes when much has been raised for others is still found */
static void a_late_ring_is_joined(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_IRQFD);
	struct ivm_journey_record ring;
	uint64_t id;

	(void)state;
	f->now_ns = 1000;
	for (id = 101; id <= 3000; id++)
		raise_and_end(f, id);
	ring = record(f, IVM_REC_CLOSED, 1, 900);
	ivm_assemble_record(f->a, &ring);
	assert_int_equal(ivm_assemble_run(f->a, UINT64_MAX), 0);
	assert_int_equal(f->journeys->len, 1);
	assert_int_equal(journey(f, 0)->outcome, IVM_O_DELIVERED);
	assert_int_equal(journey(f, 0)->t_ns[IVM_P_ACCEPT], 1100);
	fixture_free(f);
}

/* What a VM under TCG has read is over: nothing more of it will ever be seen */
static void read_under_tcg_is_settled(void **state)
{
	struct fixture *f = fixture_new(IVM_MODE_QEMU);
	struct ivm_journey_record sent;
	const struct ivm_counts *sums;

	(void)state;
	f->end[1]->page.accel = 0;
	sent = record(f, IVM_REC_SENT, 1, f->now_ns += 1000);
	sent.j.seq = 1;
	ivm_assemble_record(f->a, &sent);
	ev(f, B_MAIN, IVM_EV_RECVMSG, 1, 1, SOCKET_FD);
	assert_int_equal(ivm_assemble_run(f->a, UINT64_MAX), 0);
	assert_int_equal(f->journeys->len, 1);
	assert_int_equal(journey(f, 0)->outcome, IVM_O_UNSEEN);
	assert_true(journey(f, 0)->t_ns[IVM_P_RECV]);
	finish(f);
	sums = g_ptr_array_index(ivm_assemble_counts(f->a), 0);
	assert_int_equal(sums->rung, 1);
	assert_int_equal(sums->unseen, 1);
	fixture_free(f);
}

/* Another CPU accepts until this one gets to its slot: it was no cause of the end before */
static void end_is_not_of_a_later_accept(void **state)
{
	struct ivm_event e = { .type = IVM_EV_EOI, .t_ns = 200 };
	struct ivm_journey j = { .id = 1 }, ended, settled;
	struct ivm_slot slot = {};

	(void)state;
	j.t_ns[IVM_P_ACCEPT] = 100;
	ivm_slot_accept(&slot, &j, &settled);
	j = (struct ivm_journey){ .id = 2, .t_ns[IVM_P_ACCEPT] = 190 };
	ivm_slot_accept(&slot, &j, &settled);
	assert_int_equal(ivm_slot_end(&slot, &e, &ended, &settled), IVM_SLOT_ENDED);
	assert_int_equal(ended.id, 1);
	/* Its bit was set after the end, so the next end is its own */
	j = (struct ivm_journey){ .id = 3, .t_ns[IVM_P_ACCEPT] = 310 };
	ivm_slot_accept(&slot, &j, &settled);
	e.t_ns = 300;
	assert_int_equal(ivm_slot_end(&slot, &e, &ended, &settled), IVM_SLOT_ENDED);
	assert_int_equal(ended.id, 2);
	assert_true(ended.flags & IVM_J_CONTENDED);
	e.t_ns = 400;
	assert_int_equal(ivm_slot_end(&slot, &e, &ended, &settled), IVM_SLOT_ENDED);
	assert_int_equal(ended.id, 3);
	assert_false(ended.flags & IVM_J_CONTENDED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(direct_stamps_every_point),
		cmocka_unit_test(end_of_interrupt_is_no_access),
		cmocka_unit_test(irqfd_goes_up_to_qemu_and_down_by_write),
		cmocka_unit_test(qemu_passes_the_socket),
		cmocka_unit_test(full_socket_holds_the_ring),
		cmocka_unit_test(stream_gap_is_counted),
		cmocka_unit_test(tcg_sends_unseen),
		cmocka_unit_test(reconnect_starts_a_new_stream),
		cmocka_unit_test(odd_access_is_no_doorbell),
		cmocka_unit_test(rings_before_the_end_point_coalesce),
		cmocka_unit_test(end_with_nothing_pending_takes_back),
		cmocka_unit_test(reinjection_is_no_second_end),
		cmocka_unit_test(unmatched_end_is_counted),
		cmocka_unit_test(link_vector_is_no_ring),
		cmocka_unit_test(masked_ring_is_raised_later),
		cmocka_unit_test(masked_to_the_end_is_masked),
		cmocka_unit_test(lost_on_the_way_is_unfinished),
		cmocka_unit_test(beyond_the_peer_is_dropped),
		cmocka_unit_test(kworker_takes_the_doorbell_over),
		cmocka_unit_test(posted_to_a_halted_vcpu_ends_at_entry),
		cmocka_unit_test(posted_to_a_running_vcpu_has_no_end),
		cmocka_unit_test(accept_of_something_else_is_not_ours),
		cmocka_unit_test(equal_links_do_not_mix),
		cmocka_unit_test(events_are_sorted_and_late_ones_counted),
		cmocka_unit_test(nothing_opens_after_stop),
		cmocka_unit_test(callback_errors_come_out),
		cmocka_unit_test(random_streams_close_their_counts),
		cmocka_unit_test(kworker_takes_along_what_was_written_before),
		cmocka_unit_test(what_a_coalesced_kworker_takes_along_is_coalesced),
		cmocka_unit_test(one_of_two_interrupts_gives_a_ring_back),
		cmocka_unit_test(a_link_vector_takes_no_ring_back),
		cmocka_unit_test(what_comes_after_the_read_is_the_next_ones),
		cmocka_unit_test(a_read_takes_as_many_as_it_says),
		cmocka_unit_test(a_late_ring_goes_where_one_is_missing),
		cmocka_unit_test(a_read_without_number_gives_one_back),
		cmocka_unit_test(raised_without_ring_take_no_memory),
		cmocka_unit_test(a_late_ring_is_joined),
		cmocka_unit_test(read_under_tcg_is_settled),
		cmocka_unit_test(end_is_not_of_a_later_accept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
