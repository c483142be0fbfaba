// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Rings from another host: which interrupt came of which message, and when that
 * is not known.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../../tracer/assemble.h"

#define TGID		200
#define SOCKET_FD	9

struct fixture {
	struct ivm_topology *topology;
	struct ivm_assemble *a;
	struct ivm_end *end;
	GArray *arrivals;
	uint64_t now_ns;
};

static int no_journey(void *arg, const struct ivm_journey *j)
{
	(void)arg;
	(void)j;
	fail_msg("nothing was rung here");
	return 0;
}

static int keep(void *arg, const struct ivm_journey *j)
{
	g_array_append_val((GArray *)arg, *j);
	return 0;
}

static void make_page(struct ivm_linkpage *page, uint64_t link_id)
{
	memset(page, 0, sizeof(*page));
	memset(page->peer_eventfd, 0xff, sizeof(page->peer_eventfd));
	page->link_id = link_id;
	page->bar0_address = IVM_LINKPAGE_NO_ADDR;
	page->up = 1;
	page->accel = IVM_ACCEL_KVM;
	page->mode_tx = page->mode_rx = IVM_MODE_QEMU;
	page->vectors = page->peer_vectors = 4;
	page->socket_fd = SOCKET_FD;
}

static struct fixture *fixture_new(void)
{
	struct fixture *f = g_new0(struct fixture, 1);
	struct ivm_linkpage page;
	struct ivm_vm *vm;

	make_page(&page, 0x1234);
	f->topology = ivm_topology_new();
	vm = ivm_topology_add_vm(f->topology, TGID, 1, NULL);
	ivm_topology_set_vcpu(f->topology, vm, 0, TGID + 1);
	f->end = ivm_topology_add_end(f->topology, vm, 1, &page, 0);
	f->arrivals = g_array_new(FALSE, FALSE, sizeof(struct ivm_journey));
	f->a = ivm_assemble_new(f->topology, no_journey, f->arrivals);
	ivm_assemble_on_arrival(f->a, keep);
	return f;
}

static void fixture_free(struct fixture *f)
{
	ivm_assemble_free(f->a);
	ivm_topology_free(f->topology);
	g_array_unref(f->arrivals);
	g_free(f);
}

/* One read of the socket; returns when */
static uint64_t receive(struct fixture *f, uint64_t first, uint64_t last)
{
	struct ivm_event e = {
		.t_ns = f->now_ns += 100, .a = first, .b = last, .c = SOCKET_FD,
		.tgid = TGID, .tid = TGID, .type = IVM_EV_RECVMSG,
	};

	ivm_assemble_event(f->a, &e);
	return e.t_ns;
}

static struct ivm_journey_record record(struct fixture *f, enum ivm_record_kind kind, uint64_t id,
					uint16_t vector)
{
	struct ivm_journey_record r = { .t_ns = f->now_ns += 100, .kind = kind };

	r.j.id = id;
	r.j.to_end = f->end->id;
	r.j.vector = vector;
	r.j.mode = IVM_M_QEMU;
	r.j.flags = IVM_J_RAISED;
	r.j.t_ns[IVM_P_ACCEPT] = r.t_ns;
	return r;
}

static void raised(struct fixture *f, uint64_t id, uint16_t vector)
{
	struct ivm_journey_record r = record(f, IVM_REC_RAISED, id, vector);

	ivm_assemble_record(f->a, &r);
}

static void end(struct fixture *f, uint64_t id, uint16_t vector, enum ivm_outcome outcome)
{
	struct ivm_journey_record r = record(f, IVM_REC_ENDED, id, vector);

	r.j.outcome = outcome;
	r.j.t_ns[IVM_P_INJECT] = outcome == IVM_O_DELIVERED ? r.t_ns : 0;
	ivm_assemble_record(f->a, &r);
}

static void expect(struct fixture *f, guint i, uint64_t id, uint64_t seq, uint64_t recv_ns)
{
	const struct ivm_journey *j = &g_array_index(f->arrivals, struct ivm_journey, i);

	assert_true(i < f->arrivals->len);
	assert_int_equal(j->id, id);
	assert_int_equal(j->seq, seq);
	assert_int_equal(j->t_ns[IVM_P_RECV], recv_ns);
}

/* One by one, the last one known only at the end */
static void test_one_by_one(void **state)
{
	struct fixture *f = fixture_new();
	uint64_t first_ns, second_ns;

	(void)state;
	first_ns = receive(f, 1, 1);
	raised(f, 10, 0);
	end(f, 10, 0, IVM_O_DELIVERED);
	second_ns = receive(f, 2, 2);
	raised(f, 11, 1);
	end(f, 11, 1, IVM_O_DELIVERED);
	assert_int_equal(ivm_assemble_finish(f->a), 0);
	assert_int_equal(f->arrivals->len, 2);
	expect(f, 0, 10, 1, first_ns);
	expect(f, 1, 11, 2, second_ns);
	fixture_free(f);
}

/* As many interrupts as messages, whenever they end */
static void test_several_at_once(void **state)
{
	struct fixture *f = fixture_new();
	uint64_t recv_ns;

	(void)state;
	recv_ns = receive(f, 7, 9);
	raised(f, 10, 0);
	raised(f, 11, 1);
	raised(f, 12, 0);
	receive(f, 10, 10);
	end(f, 12, 0, IVM_O_COALESCED);
	end(f, 10, 0, IVM_O_DELIVERED);
	end(f, 11, 1, IVM_O_DELIVERED);
	assert_int_equal(ivm_assemble_finish(f->a), 0);
	assert_int_equal(f->arrivals->len, 3);
	expect(f, 0, 12, 9, recv_ns);
	expect(f, 1, 10, 7, recv_ns);
	expect(f, 2, 11, 8, recv_ns);
	fixture_free(f);
}

/* A vector was held, or QEMU raised one of its own: nobody knows which is which */
static void test_uncertain(void **state)
{
	struct fixture *f = fixture_new();

	(void)state;
	raised(f, 9, 0);
	end(f, 9, 0, IVM_O_DELIVERED);
	receive(f, 1, 2);
	raised(f, 10, 0);
	end(f, 10, 0, IVM_O_DELIVERED);
	receive(f, 3, 3);
	raised(f, 11, 0);
	raised(f, 12, 3);
	end(f, 11, 0, IVM_O_DELIVERED);
	end(f, 12, 3, IVM_O_DELIVERED);
	assert_int_equal(ivm_assemble_finish(f->a), 0);
	assert_int_equal(f->arrivals->len, 4);
	expect(f, 0, 9, 0, 0);
	expect(f, 1, 10, 0, 0);
	expect(f, 2, 11, 0, 0);
	expect(f, 3, 12, 0, 0);
	fixture_free(f);
}

/* Another connection counts from 1 again, and what came before is not of it */
static void test_another_connection(void **state)
{
	struct fixture *f = fixture_new();
	struct ivm_linkpage page;
	uint64_t recv_ns;

	(void)state;
	receive(f, 5, 6);
	raised(f, 10, 0);
	ivm_assemble_run(f->a, UINT64_MAX);
	make_page(&page, 0x5678);
	ivm_topology_update_end(f->topology, f->end, &page);
	recv_ns = receive(f, 1, 1);
	raised(f, 11, 0);
	end(f, 10, 0, IVM_O_DELIVERED);
	end(f, 11, 0, IVM_O_DELIVERED);
	assert_int_equal(ivm_assemble_finish(f->a), 0);
	assert_int_equal(f->arrivals->len, 2);
	expect(f, 0, 10, 0, 0);
	expect(f, 1, 11, 1, recv_ns);
	fixture_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_by_one),
		cmocka_unit_test(test_several_at_once),
		cmocka_unit_test(test_uncertain),
		cmocka_unit_test(test_another_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
