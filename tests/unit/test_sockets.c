// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Places of messages in a stream, against a real socket of this process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../device/ivm-link-proto.h"
#include "../../tracer/clock.h"
#include "../../tracer/sockets.h"

struct fixture {
	struct ivm_topology *topology;
	struct ivm_sockets *sockets;
	struct ivm_end *end[2];
	int fd[2];
	uint64_t now_ns;
};

static void fill_page(struct ivm_linkpage *page, int fd, uint64_t link_id)
{
	memset(page, 0, sizeof(*page));
	memset(page->peer_eventfd, 0xff, sizeof(page->peer_eventfd));
	page->bar0_address = IVM_LINKPAGE_NO_ADDR;
	page->link_id = link_id;
	page->socket_fd = fd;
	page->up = 1;
}

static int set_up(void **state)
{
	struct fixture *f = g_new0(struct fixture, 1);
	struct ivm_linkpage page;
	struct ivm_vm *vm;
	int i;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, f->fd), 0);
	f->topology = ivm_topology_new();
	f->sockets = ivm_sockets_new();
	vm = ivm_topology_add_vm(f->topology, getpid(), 1, "self");
	for (i = 0; i < 2; i++) {
		fill_page(&page, f->fd[i], 7);
		f->end[i] = ivm_topology_add_end(f->topology, vm, i + 1, &page, 0);
	}
	ivm_sockets_follow(f->sockets, f->topology);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	ivm_sockets_free(f->sockets);
	ivm_topology_free(f->topology);
	close(f->fd[0]);
	close(f->fd[1]);
	g_free(f);
	return 0;
}

static struct ivm_units call(struct fixture *f, bool sends, int64_t result)
{
	struct ivm_units units;

	ivm_sockets_enter(f->sockets, getpid(), f->fd[!sends], sends, f->now_ns++);
	ivm_sockets_leave(f->sockets, getpid(), f->fd[!sends], sends, f->now_ns++, result, &units);
	return units;
}

static struct ivm_units send_bytes(struct fixture *f, int64_t result)
{
	return call(f, true, result);
}

static struct ivm_units receive_bytes(struct fixture *f, int64_t result)
{
	return call(f, false, result);
}

#define assert_units(units_, first_, last_) do {		\
	struct ivm_units u = units_;				\
	assert_int_equal(u.first, first_);			\
	assert_int_equal(u.last, last_);			\
} while (0)

static uint64_t next_unit(struct fixture *f)
{
	return ivm_sockets_next(f->sockets, getpid(), f->fd[0]);
}

/* A look, and time goes on */
static void look(struct fixture *f)
{
	ivm_sockets_look(f->sockets);
	f->now_ns = ivm_now_ns();
}

/* The look counts with the first call after it */
static void place(struct fixture *f)
{
	look(f);
	assert_units(send_bytes(f, IVM_MSG_UNIT), 1, 1);
	assert_units(receive_bytes(f, IVM_MSG_UNIT), 1, 1);
}

static void nothing_is_known_before_a_look(void **state)
{
	struct fixture *f = *state;

	f->now_ns = ivm_now_ns();
	assert_units(send_bytes(f, IVM_MSG_UNIT), 0, 0);
	assert_units(receive_bytes(f, IVM_MSG_UNIT), 0, 0);
	assert_int_equal(next_unit(f), 0);
}

static void both_ends_number_alike(void **state)
{
	struct fixture *f = *state;

	place(f);
	assert_int_equal(next_unit(f), 2);
	assert_units(send_bytes(f, 3 * IVM_MSG_UNIT), 2, 4);
	assert_units(receive_bytes(f, IVM_MSG_UNIT), 2, 2);
	assert_units(receive_bytes(f, 2 * IVM_MSG_UNIT), 3, 4);
}

static void a_message_that_is_cut_counts_where_it_ends(void **state)
{
	struct fixture *f = *state;

	place(f);
	assert_units(send_bytes(f, 20), 2, 2);
	assert_units(receive_bytes(f, 20), 0, 0);
	assert_units(send_bytes(f, 12 + IVM_MSG_UNIT), 2, 3);
	assert_units(receive_bytes(f, 12 + IVM_MSG_UNIT), 2, 3);
}

static void a_refused_send_moves_nothing(void **state)
{
	struct fixture *f = *state;

	place(f);
	assert_units(send_bytes(f, -11), 0, 0);
	assert_int_equal(next_unit(f), 2);
}

static void data_in_the_queue_is_no_start(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(send(f->fd[0], "x", 1, 0), 1);
	look(f);
	assert_units(send_bytes(f, IVM_MSG_UNIT), 0, 0);
}

static void a_call_across_the_look_voids_it(void **state)
{
	struct fixture *f = *state;
	struct ivm_units units;
	uint64_t before_ns = ivm_now_ns();

	look(f);
	ivm_sockets_enter(f->sockets, getpid(), f->fd[0], true, before_ns);
	ivm_sockets_leave(f->sockets, getpid(), f->fd[0], true, f->now_ns++, IVM_MSG_UNIT, &units);
	assert_units(units, 0, 0);
	assert_units(receive_bytes(f, IVM_MSG_UNIT), 0, 0);
	look(f);
	assert_int_not_equal(send_bytes(f, IVM_MSG_UNIT).last, 0);
}

static void one_good_look_is_enough(void **state)
{
	struct fixture *f = *state;
	struct ivm_units units;
	uint64_t before_ns = ivm_now_ns();
	uint64_t between_ns;

	ivm_sockets_look(f->sockets);
	between_ns = ivm_now_ns();
	look(f);
	ivm_sockets_enter(f->sockets, getpid(), f->fd[0], true, before_ns);
	ivm_sockets_leave(f->sockets, getpid(), f->fd[0], true, between_ns, IVM_MSG_UNIT, &units);
	assert_units(units, 0, 0);
	ivm_sockets_enter(f->sockets, getpid(), f->fd[1], false, between_ns);
	ivm_sockets_leave(f->sockets, getpid(), f->fd[1], false, between_ns, IVM_MSG_UNIT, &units);
	assert_units(units, 0, 0);
	assert_units(send_bytes(f, IVM_MSG_UNIT), 2, 2);
	assert_units(receive_bytes(f, IVM_MSG_UNIT), 2, 2);
}

static void a_call_still_under_way_voids_it(void **state)
{
	struct fixture *f = *state;

	ivm_sockets_enter(f->sockets, getpid(), f->fd[1], false, ivm_now_ns());
	look(f);
	assert_units(send_bytes(f, IVM_MSG_UNIT), 0, 0);
}

static void a_call_that_began_unseen_voids_it(void **state)
{
	struct fixture *f = *state;
	struct ivm_units units;

	look(f);
	ivm_sockets_leave(f->sockets, getpid(), f->fd[0], true, f->now_ns++, IVM_MSG_UNIT, &units);
	assert_units(units, 0, 0);
	assert_units(send_bytes(f, IVM_MSG_UNIT), 0, 0);
}

static void after_a_loss_numbers_grow_on(void **state)
{
	struct fixture *f = *state;

	place(f);
	send_bytes(f, 5 * IVM_MSG_UNIT);
	ivm_sockets_unsure(f->sockets, 0);
	assert_units(send_bytes(f, IVM_MSG_UNIT), 0, 0);
	look(f);
	assert_units(send_bytes(f, IVM_MSG_UNIT), 8, 8);
	assert_units(receive_bytes(f, IVM_MSG_UNIT), 8, 8);
	assert_int_equal(ivm_sockets_misplaced(f->sockets), 0);
}

static void a_check_finds_what_went_by_untold(void **state)
{
	struct fixture *f = *state;

	place(f);
	send_bytes(f, IVM_MSG_UNIT);
	usleep(1100000);
	look(f);
	send_bytes(f, IVM_MSG_UNIT);
	assert_int_equal(ivm_sockets_misplaced(f->sockets), 1);
}

static void a_new_link_is_another_stream(void **state)
{
	struct fixture *f = *state;
	struct ivm_linkpage page;
	int i;

	place(f);
	for (i = 0; i < 2; i++) {
		fill_page(&page, f->fd[i], 8);
		ivm_topology_update_end(f->topology, f->end[i], &page);
	}
	ivm_sockets_follow(f->sockets, f->topology);
	assert_int_equal(next_unit(f), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_known_before_a_look),
		TEST(both_ends_number_alike),
		TEST(a_message_that_is_cut_counts_where_it_ends),
		TEST(a_refused_send_moves_nothing),
		TEST(data_in_the_queue_is_no_start),
		TEST(a_call_across_the_look_voids_it),
		TEST(one_good_look_is_enough),
		TEST(a_call_still_under_way_voids_it),
		TEST(a_call_that_began_unseen_voids_it),
		TEST(after_a_loss_numbers_grow_on),
		TEST(a_check_finds_what_went_by_untold),
		TEST(a_new_link_is_another_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
