// SPDX-License-Identifier: GPL-2.0-or-later
/* From doorbells and descriptors to interrupts, with numbers that repeat. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../../tracer/wires.h"

#define BAR		0x80000000
#define MSI_ADDRESS	0xfee00000
#define MSI_DATA	0x28

static void add(GArray *records, struct ivm_irqfd_record r)
{
	g_array_append_val(records, r);
}

static void add_doorbell(GArray *records, uint32_t tgid, uint64_t address, int64_t value,
			 uint64_t eventfd)
{
	add(records, (struct ivm_irqfd_record){
		.kind = IVM_IRQFD_DOORBELL, .tgid = tgid, .address = address, .bytes = 4,
		.value = value < 0 ? 0 : value, .flags = value < 0 ? IVM_IRQFD_F_WILDCARD : 0,
		.eventfd = eventfd, .fd = -1 });
}

static void add_target(GArray *records, uint32_t tgid, uint64_t eventfd)
{
	add(records, (struct ivm_irqfd_record){
		.kind = IVM_IRQFD_TARGET, .tgid = tgid, .address = MSI_ADDRESS, .value = MSI_DATA,
		.route = IVM_IRQFD_ROUTE_MSI, .gsi = 24, .eventfd = eventfd, .fd = -1 });
}

static void add_holder(GArray *records, uint32_t tgid, int fd, uint64_t eventfd)
{
	add(records, (struct ivm_irqfd_record){
		.kind = IVM_IRQFD_HOLDER, .tgid = tgid, .fd = fd, .eventfd = eventfd });
}

static GArray *records_new(void)
{
	return g_array_new(FALSE, FALSE, sizeof(struct ivm_irqfd_record));
}

static struct ivm_wires *wires_of(GArray *records)
{
	struct ivm_wires *w = ivm_wires_new(records);

	g_array_unref(records);
	return w;
}

static void clones_are_told_apart(void **state)
{
	GArray *records = records_new();
	struct ivm_wires *w;
	uint32_t i;

	(void)state;
	/* Four VMs, alike in everything; 0 rings 1, 1 rings 0, 2 rings 3, 3 rings 2 */
	for (i = 0; i < 4; i++) {
		add_doorbell(records, 100 + i, BAR, -1, 0x1000 + (i ^ 1));
		add_target(records, 100 + i, 0x1000 + i);
		add_holder(records, 100 + i, 7, 0x1000 + i);
		add_holder(records, 100 + i, 8, 0x1000 + (i ^ 1));
	}
	w = wires_of(records);
	for (i = 0; i < 4; i++) {
		const struct ivm_irqfd_record *d = ivm_wires_doorbell(w, 100 + i, BAR, 5, 4);

		assert_non_null(d);
		assert_int_equal(ivm_wires_target(w, d->eventfd, 0)->tgid, 100 + (i ^ 1));
		assert_null(ivm_wires_target(w, d->eventfd, 1));
		assert_int_equal(ivm_wires_holder(w, 100 + i, 7)->eventfd, 0x1000 + i);
		assert_int_equal(ivm_wires_holder(w, 100 + i, 8)->eventfd, d->eventfd);
		assert_null(ivm_wires_holder(w, 100 + i, 9));
		assert_int_equal(ivm_wires_holder_of(w, d->eventfd, 0)->tgid, 100 + (i & 2));
		assert_int_equal(ivm_wires_holder_of(w, d->eventfd, 1)->tgid, 101 + (i & 2));
		assert_null(ivm_wires_holder_of(w, d->eventfd, 2));
	}
	assert_null(ivm_wires_doorbell(w, 104, BAR, 5, 4));
	assert_null(ivm_wires_doorbell(w, 100, BAR + 4, 5, 4));
	ivm_wires_free(w);
}

static void width_and_value_decide(void **state)
{
	GArray *records = records_new();
	struct ivm_irqfd_record port = {
		.kind = IVM_IRQFD_DOORBELL, .tgid = 100, .address = BAR + 8, .bytes = 4,
		.flags = IVM_IRQFD_F_WILDCARD, .bus = IVM_IRQFD_BUS_PIO, .eventfd = 9,
	};
	struct ivm_wires *w;

	(void)state;
	add_doorbell(records, 100, BAR + 12, 0x10000, 1);
	add_doorbell(records, 100, BAR + 12, 0x10001, 2);
	add_doorbell(records, 100, BAR + 12, 0x20000, 3);
	add(records, port);
	port.bytes = 0;
	port.address = BAR + 16;
	port.bus = IVM_IRQFD_BUS_MMIO;
	add(records, port);
	w = wires_of(records);
	assert_int_equal(ivm_wires_doorbell(w, 100, BAR + 12, 0x10000, 4)->eventfd, 1);
	assert_int_equal(ivm_wires_doorbell(w, 100, BAR + 12, 0x10001, 4)->eventfd, 2);
	assert_int_equal(ivm_wires_doorbell(w, 100, BAR + 12, 0x20000, 4)->eventfd, 3);
	assert_null(ivm_wires_doorbell(w, 100, BAR + 12, 0x20001, 4));
	assert_null(ivm_wires_doorbell(w, 100, BAR + 12, 0x10000, 2));
	/* A port of the same number is no memory; a doorbell without width takes any */
	assert_null(ivm_wires_doorbell(w, 100, BAR + 8, 0, 4));
	assert_int_equal(ivm_wires_doorbell(w, 100, BAR + 16, 77, 2)->eventfd, 9);
	ivm_wires_free(w);
}

struct seen {
	unsigned int calls;
	uint64_t doorbells;
	unsigned int without_doorbell;
	unsigned int without_target;
};

static void see(void *arg, const struct ivm_wire *wire)
{
	struct seen *seen = arg;

	seen->calls++;
	seen->without_doorbell += !wire->doorbell;
	seen->without_target += !wire->target;
	if (wire->doorbell) {
		seen->doorbells += wire->doorbell->value;
		assert_int_equal(wire->doorbell->eventfd, wire->eventfd);
	}
	if (wire->target)
		assert_int_equal(wire->target->eventfd, wire->eventfd);
}

static void every_way_is_listed_once(void **state)
{
	GArray *records = records_new();
	struct seen seen = {};
	struct ivm_wires *w;

	(void)state;
	/* Two peers ring one eventfd, which two VMs hear; one each without the other */
	add_doorbell(records, 100, BAR, 1, 5);
	add_doorbell(records, 101, BAR, 2, 5);
	add_target(records, 102, 5);
	add_target(records, 103, 5);
	add_doorbell(records, 104, BAR, 100, 6);
	add_target(records, 105, 7);
	/* The same VM, seen through a second descriptor */
	add_target(records, 105, 7);
	w = wires_of(records);
	ivm_wires_each(w, see, &seen);
	assert_int_equal(seen.calls, 6);
	assert_int_equal(seen.doorbells, 2 * (1 + 2) + 100);
	assert_int_equal(seen.without_doorbell, 1);
	assert_int_equal(seen.without_target, 1);
	assert_null(ivm_wires_target(w, 7, 1));
	ivm_wires_free(w);
}

static void messages_are_compared_as_kvm_does(void **state)
{
	struct ivm_irqfd_record r = {
		.address = 0x1fee00000, .value = MSI_DATA, .route = IVM_IRQFD_ROUTE_MSI,
	};

	(void)state;
	/* Without x2APIC format KVM leaves the upper half out of its event */
	assert_true(ivm_wires_msi_equal(&r, 0x1fee00000, MSI_DATA));
	assert_true(ivm_wires_msi_equal(&r, 0xfee00000, MSI_DATA));
	assert_false(ivm_wires_msi_equal(&r, 0x2fee00000, MSI_DATA));
	assert_false(ivm_wires_msi_equal(&r, 0xfee01000, MSI_DATA));
	assert_false(ivm_wires_msi_equal(&r, 0xfee00000, MSI_DATA + 1));
	r.route = IVM_IRQFD_ROUTE_IRQCHIP;
	assert_false(ivm_wires_msi_equal(&r, 0x1fee00000, MSI_DATA));
}

/* ---- link pages ---- */

struct link {
	struct ivm_topology *topology;
	struct ivm_end *end[2];
	char what[128];
};

static void take_what(void *arg, const struct ivm_end *end, uint32_t vector, const char *what)
{
	struct link *link = arg;

	assert_int_equal(vector, 0);
	assert_ptr_equal(end, link->end[0]);
	g_strlcpy(link->what, what, sizeof(link->what));
}

/* VM 100 rings VM 101 only */
static void link_up(struct link *link)
{
	struct ivm_linkpage page;
	int i;

	memset(link, 0, sizeof(*link));
	link->topology = ivm_topology_new();
	for (i = 0; i < 2; i++) {
		struct ivm_vm *vm = ivm_topology_add_vm(link->topology, 100 + i, 1, NULL);

		memset(&page, 0, sizeof(page));
		memset(page.peer_eventfd, 0xff, sizeof(page.peer_eventfd));
		page.link_id = 1;
		page.up = 1;
		page.accel = IVM_ACCEL_KVM;
		page.mode_tx = IVM_MODE_DIRECT;
		page.bar0_address = BAR;
		page.socket_fd = 10;
		page.vectors = i;
		page.peer_vectors = !i;
		page.peer_eventfd[0] = i ? -1 : 8;
		page.vector[0].eventfd = i ? 7 : -1;
		page.vector[0].flags = IVM_LP_VEC_IRQFD;
		page.vector[0].msi_address = MSI_ADDRESS;
		page.vector[0].msi_data = MSI_DATA;
		link->end[i] = ivm_topology_add_end(link->topology, vm, i, &page, 0);
	}
}

static void link_down(struct link *link)
{
	ivm_topology_free(link->topology);
}

/* What KVM has: the link as it should be, but for the parts left out or wrong */
static unsigned int check(struct link *link, bool doorbell, uint64_t doorbell_eventfd,
			  bool target, uint64_t holder_eventfd)
{
	GArray *records = records_new();
	unsigned int found;
	struct ivm_wires *w;

	if (doorbell)
		add_doorbell(records, 100, BAR + IVM_DOORBELL(0), -1, doorbell_eventfd);
	if (target)
		add_target(records, 101, 5);
	add_holder(records, 100, 8, holder_eventfd);
	add_holder(records, 101, 7, 5);
	w = wires_of(records);
	link->what[0] = 0;
	found = ivm_wires_check(w, link->topology, take_what, link);
	ivm_wires_free(w);
	return found;
}

static void pages_are_held_against_kvm(void **state)
{
	struct link link;

	(void)state;
	link_up(&link);
	assert_int_equal(check(&link, true, 5, true, 5), 0);
	assert_int_equal(check(&link, true, 6, true, 5), 1);
	assert_non_null(strstr(link.what, "another eventfd"));
	assert_int_equal(check(&link, false, 0, true, 5), 1);
	assert_non_null(strstr(link.what, "no ioeventfd"));
	assert_int_equal(check(&link, true, 5, false, 5), 1);
	assert_non_null(strstr(link.what, "no irqfd"));
	assert_int_equal(check(&link, true, 6, true, 6), 1);
	assert_non_null(strstr(link.what, "different eventfds"));
	link.end[1]->page.vector[0].msi_data++;
	assert_int_equal(check(&link, true, 5, true, 5), 1);
	assert_non_null(strstr(link.what, "another message"));
	link.end[1]->page.vector[0].msi_data--;
	link.end[1]->page.vector[0].flags = 0;
	assert_int_equal(check(&link, true, 5, true, 5), 1);
	assert_non_null(strstr(link.what, "does not know"));
	assert_int_equal(check(&link, true, 5, false, 5), 0);
	link.end[0]->page.mode_tx = IVM_MODE_IRQFD;
	assert_int_equal(check(&link, true, 5, false, 5), 1);
	assert_int_equal(check(&link, false, 5, false, 5), 0);
	link.end[1]->page.vector[0].eventfd = 9;
	assert_int_equal(check(&link, false, 5, false, 5), 1);
	assert_non_null(strstr(link.what, "no eventfd"));
	/* What is not KVM's has nothing in KVM */
	link.end[1]->page.accel = IVM_ACCEL_OTHER;
	assert_int_equal(check(&link, false, 5, false, 5), 0);
	link_down(&link);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clones_are_told_apart),
		cmocka_unit_test(width_and_value_decide),
		cmocka_unit_test(every_way_is_listed_once),
		cmocka_unit_test(messages_are_compared_as_kvm_does),
		cmocka_unit_test(pages_are_held_against_kvm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
