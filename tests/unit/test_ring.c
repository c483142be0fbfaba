// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The message rings of the Linux driver, both ends in one process: order and
 * content, no wake-up that is owed and not given, ends that come and go, and
 * lanes that somebody else writes garbage into.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../guest/linux/ivm_ring.c"

#define LANE_BYTES	0x8000u
#define CHANNELS	2u
#define MESSAGES	20000u
#define FUZZ_ROUNDS	200000u

struct end {
	void *lane;
	struct ivm_layout layout;
	struct ivm_ring ring;
};

struct link {
	struct end end[2];
	u64 state;
};

static u32 next(struct link *l)
{
	l->state ^= l->state << 13;
	l->state ^= l->state >> 7;
	l->state ^= l->state << 17;
	return (u32)(l->state >> 16);
}

static void start_end(struct link *l, int i, u32 channel, u32 epoch)
{
	struct end *end = &l->end[i];

	assert_int_equal(ivm_layout_plan(&end->layout, LANE_BYTES, CHANNELS, true), 0);
	ivm_lane_publish(end->lane, &end->layout);
	end->ring = (struct ivm_ring){ .own = end->lane, .peer = l->end[!i].lane,
				       .own_layout = &end->layout, .channel = channel };
	ivm_ring_reset(&end->ring, epoch);
}

static bool sync_end(struct link *l, int i, u32 *lost)
{
	struct ivm_layout layout;

	*lost = 0;
	if (ivm_layout_read(&layout, l->end[!i].lane, LANE_BYTES))
		return false;
	l->end[i].ring.peer_layout = layout;
	return ivm_ring_sync(&l->end[i].ring, lost);
}

static void connect_ends(struct link *l)
{
	u32 lost;

	sync_end(l, 0, &lost);
	assert_true(sync_end(l, 1, &lost));
	assert_true(sync_end(l, 0, &lost));
}

/* Each lane is an allocation of its own, so that ASan sees who leaves it */
static int setup(void **state)
{
	struct link *l = calloc(1, sizeof(*l));

	l->state = 88172645463325252ull;
	l->end[0].lane = calloc(1, LANE_BYTES);
	l->end[1].lane = calloc(1, LANE_BYTES);
	start_end(l, 0, 1, 100);
	start_end(l, 1, 1, 200);
	*state = l;
	return 0;
}

static int teardown(void **state)
{
	struct link *l = *state;

	free(l->end[0].lane);
	free(l->end[1].lane);
	free(l);
	return 0;
}

static void check_plan(u32 lane_bytes, u32 vectors, bool stamps)
{
	struct ivm_layout plan, read;
	void *lane = calloc(1, lane_bytes);

	assert_int_equal(ivm_layout_plan(&plan, lane_bytes, vectors, stamps), 0);
	assert_true((u64)plan.stamp_off + (u64)plan.stamps * 16 <= lane_bytes);
	assert_true((u64)plan.result_off + plan.result_bytes <= lane_bytes);
	assert_true((u64)plan.slot_off + (u64)vectors * plan.slots * plan.slot_bytes <=
		    (plan.stamps ? plan.stamp_off : lane_bytes));
	ivm_lane_publish(lane, &plan);
	assert_int_equal(ivm_layout_read(&read, lane, lane_bytes), plan.slots ? 0 : -EOPNOTSUPP);
	free(lane);
}

static void every_plan_fits(void **state)
{
	static const u32 sizes[] = { 0x8000, 0x10000, 0x80000, 0x1000000 };
	static const u32 vectors[] = { 1, 2, 3, 64, 255, 256 };
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (j = 0; j < sizeof(vectors) / sizeof(vectors[0]); j++) {
			check_plan(sizes[i], vectors[j], true);
			check_plan(sizes[i], vectors[j], false);
		}
}

static void fill(u8 *message, u32 number, u32 bytes)
{
	u32 i;

	for (i = 0; i < bytes; i++)
		message[i] = (u8)(number * 31 + i);
}

static u32 length_of(u32 number, u32 max)
{
	return 1 + number * 2654435761u % max;
}

/* Random turns; the sender, once told to wait, does nothing before it is rung */
static void messages_arrive_in_order(void **state)
{
	struct link *l = *state;
	struct ivm_ring *tx = &l->end[0].ring, *rx = &l->end[1].ring;
	u8 sent[IVM_RING_MAX_MESSAGE], got[IVM_RING_MAX_MESSAGE];
	u32 out = 0, in = 0, bytes, slots, max = ivm_ring_max(&l->end[0].layout), waits = 0;
	bool waiting = false;

	connect_ends(l);
	while (in < MESSAGES) {
		if (next(l) % 2 && !waiting && out < MESSAGES) {
			bytes = length_of(out, max);
			fill(sent, out, bytes);
			waiting = ivm_ring_send(tx, sent, bytes) == -EAGAIN;
			waits += waiting;
			out += !waiting;
		} else if (!ivm_ring_peek(rx, got, sizeof(got), &bytes, &slots)) {
			assert_int_equal(bytes, length_of(in, max));
			fill(sent, in++, bytes);
			assert_memory_equal(got, sent, bytes);
			if (ivm_ring_consume(rx, slots))
				waiting = false;
		} else {
			/* Nothing is under way: a sender that still waits was forgotten */
			assert_false(waiting && in == out);
		}
	}
	assert_true(waits > 100);
	assert_int_equal(ivm_ring_pending(tx, tx->tx_head), 0);
}

static void a_message_has_limits(void **state)
{
	struct link *l = *state;
	struct ivm_ring *tx = &l->end[0].ring;
	u32 max = ivm_ring_max(&l->end[0].layout);
	u8 message[IVM_RING_MAX_MESSAGE + 1] = { 0 };

	assert_int_equal(ivm_ring_send(tx, message, 1), -ENOTCONN);
	connect_ends(l);
	assert_int_equal(ivm_ring_send(tx, message, 0), -EMSGSIZE);
	assert_int_equal(ivm_ring_send(tx, message, max + 1), -EMSGSIZE);
	assert_int_equal(ivm_ring_send(tx, message, max), 0);
	assert_int_equal(ivm_ring_send(tx, message, max), 0);
	assert_int_equal(ivm_ring_send(tx, message, max), -EAGAIN);
}

/* The peer has taken 2 of 5 and is gone: 3 are lost, and known to be */
static void what_was_lost_is_counted(void **state)
{
	struct link *l = *state;
	struct ivm_ring *tx = &l->end[0].ring, *rx = &l->end[1].ring;
	u8 message[16] = { 1 };
	u32 i, bytes, slots, lost;

	connect_ends(l);
	for (i = 0; i < 5; i++)
		assert_int_equal(ivm_ring_send(tx, message, sizeof(message)), 0);
	for (i = 0; i < 2; i++) {
		assert_int_equal(ivm_ring_peek(rx, message, sizeof(message), &bytes, &slots), 0);
		ivm_ring_consume(rx, slots);
	}
	ivm_ring_close(rx);
	assert_int_equal(ivm_ring_send(tx, message, sizeof(message)), -ENOTCONN);
	assert_false(sync_end(l, 0, &lost));
	assert_int_equal(lost, 0);
	start_end(l, 1, 1, 201);
	sync_end(l, 0, &lost);
	assert_int_equal(lost, 3);
	connect_ends(l);
	assert_int_equal(ivm_ring_send(tx, message, sizeof(message)), 0);
	assert_int_equal(ivm_ring_peek(rx, message, sizeof(message), &bytes, &slots), 0);
}

static void bad_indices_are_refused(void **state)
{
	struct link *l = *state;
	struct ivm_ring *tx = &l->end[0].ring, *rx = &l->end[1].ring;
	u8 message[16] = { 1 };
	u32 bytes, slots;

	connect_ends(l);
	assert_int_equal(ivm_ring_send(tx, message, sizeof(message)), 0);
	set_field(l->end[0].lane, OWN_CTL(tx, tx_head), 1u << 31);
	assert_int_equal(ivm_ring_peek(rx, message, sizeof(message), &bytes, &slots), -EBADMSG);
	set_field(l->end[1].lane, OWN_CTL(rx, rx_tail), 2);
	assert_int_equal(ivm_ring_send(tx, message, sizeof(message)), -EBADMSG);
}

static void bad_slots_are_refused(void **state)
{
	static const struct { u32 bytes, flags; } bad[] = {
		{ 0, 0 }, { 249, 0 }, { 0xffffffff, 0 }, { 16, 2 }, { 16, IVM_SLOT_CONTINUED },
	};
	struct link *l = *state;
	struct ivm_ring *tx = &l->end[0].ring, *rx = &l->end[1].ring;
	u8 message[16] = { 1 }, *slot = own_slot(tx, 0);
	u32 bytes, slots;
	size_t i;

	connect_ends(l);
	assert_int_equal(ivm_ring_send(tx, message, sizeof(message)), 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		store(slot, bad[i].bytes);
		store(slot + 4, bad[i].flags);
		assert_int_equal(ivm_ring_peek(rx, message, sizeof(message), &bytes, &slots),
				 -EBADMSG);
	}
	store(slot, 17);
	store(slot + 4, 0);
	assert_int_equal(ivm_ring_peek(rx, message, sizeof(message), &bytes, &slots), -EBADMSG);
}

/* As the driver does it */
static void recover(struct link *l, int i, int err)
{
	u32 lost;

	if (err == -EBADMSG)
		ivm_ring_reset(&l->end[i].ring, next(l) | 1);
	if (err == -EBADMSG || err == -ENOTCONN)
		sync_end(l, i, &lost);
}

static void use_both(struct link *l)
{
	u8 message[IVM_RING_MAX_MESSAGE] = { 0 };
	u32 bytes, slots;
	int i, err;

	for (i = 0; i < 2; i++) {
		recover(l, i, ivm_ring_send(&l->end[i].ring, message,
					    1 + next(l) % ivm_ring_max(&l->end[i].layout)));
		err = ivm_ring_peek(&l->end[i].ring, message, sizeof(message), &bytes, &slots);
		if (!err)
			ivm_ring_consume(&l->end[i].ring, slots);
		recover(l, i, err);
	}
}

/* Nothing but the lanes is touched (ASan), and afterwards the ends find each other again */
static void garbage_does_no_harm(void **state)
{
	struct link *l = *state;
	u32 i, offset, lost;
	bool first, second = false;

	connect_ends(l);
	for (i = 0; i < FUZZ_ROUNDS; i++) {
		offset = next(l) % 4 ? next(l) % 0x180 : next(l) % LANE_BYTES;
		if (next(l) % 3 == 0)
			set_field(l->end[next(l) % 2].lane, offset & ~3u,
				  next(l) % 2 ? next(l) : next(l) % 300);
		use_both(l);
	}
	for (i = 0; i < 2; i++)
		ivm_lane_publish(l->end[i].lane, &l->end[i].layout);
	for (i = 0; i < 2000; i++)
		use_both(l);
	first = sync_end(l, 0, &lost);
	second = sync_end(l, 1, &lost);
	assert_true(first && second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_plan_fits),
		cmocka_unit_test_setup_teardown(messages_arrive_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(a_message_has_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_lost_is_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_indices_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_slots_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(garbage_does_no_harm, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
