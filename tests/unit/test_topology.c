// SPDX-License-Identifier: GPL-2.0-or-later
/* The topology's lookups, above all with numbers that repeat. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../../tracer/topology.h"

static void make_page(struct ivm_linkpage *page, uint64_t link_id, uint64_t bar0)
{
	memset(page, 0, sizeof(*page));
	memset(page->peer_eventfd, 0xff, sizeof(page->peer_eventfd));
	page->link_id = link_id;
	page->up = link_id != 0;
	page->bar0_address = bar0;
	page->socket_fd = 10;
	page->peer_eventfd[3] = 23;
}

static void clones_are_told_apart(void **state)
{
	struct ivm_topology *t = ivm_topology_new();
	struct ivm_end *end[2];
	struct ivm_linkpage page;
	uint32_t v;
	int i;

	(void)state;
	make_page(&page, 1, 0xfe000000);
	for (i = 0; i < 2; i++) {
		struct ivm_vm *vm = ivm_topology_add_vm(t, 1000 + i, 1, i ? "b" : "a");

		ivm_topology_set_vcpu(t, vm, 0, 2000 + i);
		end[i] = ivm_topology_add_end(t, vm, i, &page, 0);
	}
	for (i = 0; i < 2; i++) {
		assert_ptr_equal(ivm_topology_doorbell(t, 1000 + i, 0xfe001014, &v), end[i]);
		assert_int_equal(v, 5);
		assert_ptr_equal(ivm_topology_eventfd(t, 1000 + i, 23, &v), end[i]);
		assert_int_equal(v, 3);
		assert_ptr_equal(ivm_topology_socket(t, 1000 + i, 10), end[i]);
		assert_ptr_equal(ivm_topology_vcpu(t, 2000 + i)->vm, end[i]->vm);
		assert_ptr_equal(ivm_topology_vcpu_by_id(t, end[i]->vm, 0),
				 ivm_topology_vcpu(t, 2000 + i));
		assert_ptr_equal(end[i]->peer, end[!i]);
	}
	/* Registers are not doorbells, nor is the page of another process */
	assert_null(ivm_topology_doorbell(t, 1000, 0xfe000014, &v));
	assert_null(ivm_topology_doorbell(t, 1002, 0xfe001014, &v));
	assert_null(ivm_topology_eventfd(t, 1000, 24, &v));
	ivm_topology_free(t);
}

static void moved_bar_is_followed(void **state)
{
	struct ivm_topology *t = ivm_topology_new();
	struct ivm_vm *vm = ivm_topology_add_vm(t, 1, 1, NULL);
	struct ivm_linkpage page;
	struct ivm_end *end;
	uint32_t v;

	(void)state;
	make_page(&page, 0, IVM_LINKPAGE_NO_ADDR);
	end = ivm_topology_add_end(t, vm, 1, &page, 0);
	assert_null(ivm_topology_doorbell(t, 1, 0xfe001000, &v));
	page.bar0_address = 0xfe000000;
	ivm_topology_update_end(t, end, &page);
	assert_ptr_equal(ivm_topology_doorbell(t, 1, 0xfe001000, &v), end);
	page.bar0_address = 0x8000000000;
	ivm_topology_update_end(t, end, &page);
	assert_null(ivm_topology_doorbell(t, 1, 0xfe001000, &v));
	assert_ptr_equal(ivm_topology_doorbell(t, 1, 0x8000001000, &v), end);
	assert_string_equal(vm->name, "pid-1");
	ivm_topology_free(t);
}

static void reconnect_pairs_anew(void **state)
{
	struct ivm_topology *t = ivm_topology_new();
	struct ivm_vm *vm = ivm_topology_add_vm(t, 1, 1, NULL);
	struct ivm_linkpage page;
	struct ivm_end *end[3];
	int i;

	(void)state;
	/* Three devices in one QEMU, which has one page frame each */
	for (i = 0; i < 3; i++) {
		make_page(&page, i < 2 ? 7 : 0, 0x1000000 * (i + 1));
		end[i] = ivm_topology_add_end(t, vm, i, &page, 0);
	}
	assert_ptr_equal(end[0]->peer, end[1]);
	make_page(&page, 0, 0x2000000);
	ivm_topology_update_end(t, end[1], &page);
	assert_null(end[0]->peer);
	make_page(&page, 8, 0x1000000);
	ivm_topology_update_end(t, end[0], &page);
	make_page(&page, 8, 0x3000000);
	ivm_topology_update_end(t, end[2], &page);
	assert_ptr_equal(end[0]->peer, end[2]);
	assert_ptr_equal(end[2]->peer, end[0]);
	assert_null(end[1]->peer);
	ivm_topology_free(t);
}

/* A PID comes back as another VM: the dead one's numbers stay, its keys do not */
static void dead_vm_leaves_its_numbers(void **state)
{
	struct ivm_topology *t = ivm_topology_new();
	struct ivm_vm *vm = ivm_topology_add_vm(t, 1, 1, "old");
	struct ivm_linkpage page;
	struct ivm_end *old, *new;
	uint32_t v;

	(void)state;
	make_page(&page, 0, 0xfe000000);
	old = ivm_topology_add_end(t, vm, 1, &page, 0);
	ivm_topology_set_vcpu(t, vm, 0, 2);
	ivm_topology_vm_gone(t, vm);
	assert_null(ivm_topology_vm(t, 1));
	assert_null(ivm_topology_vcpu(t, 2));
	assert_null(ivm_topology_doorbell(t, 1, 0xfe001000, &v));
	assert_ptr_equal(ivm_topology_end(t, old->id), old);

	vm = ivm_topology_add_vm(t, 1, 2, "new");
	new = ivm_topology_add_end(t, vm, 2, &page, 0);
	assert_ptr_equal(ivm_topology_doorbell(t, 1, 0xfe001000, &v), new);
	assert_int_not_equal(new->id, old->id);
	ivm_topology_end_gone(t, old);
	assert_ptr_equal(ivm_topology_doorbell(t, 1, 0xfe001000, &v), new);
	ivm_topology_free(t);
}

static void vcpu_moves_to_another_thread(void **state)
{
	struct ivm_topology *t = ivm_topology_new();
	struct ivm_vm *vm = ivm_topology_add_vm(t, 1, 1, NULL);
	struct ivm_vcpu *vcpu = ivm_topology_set_vcpu(t, vm, 3, 10);

	(void)state;
	assert_ptr_equal(ivm_topology_set_vcpu(t, vm, 3, 11), vcpu);
	assert_null(ivm_topology_vcpu(t, 10));
	assert_ptr_equal(ivm_topology_vcpu(t, 11), vcpu);
	ivm_topology_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clones_are_told_apart),
		cmocka_unit_test(moved_bar_is_followed),
		cmocka_unit_test(reconnect_pairs_anew),
		cmocka_unit_test(dead_vm_leaves_its_numbers),
		cmocka_unit_test(vcpu_moves_to_another_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
