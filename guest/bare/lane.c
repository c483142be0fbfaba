// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * This guest's lane: header, result, round-trip samples, then stamps in its
 * second half.
 */
#include "clock.h"
#include "console.h"
#include "hot.h"
#include "lane.h"
#include "wait.h"

#define RESULT_OFF	0x100
#define DELAY_OFF	((RESULT_OFF + sizeof(struct ivm_result) + 63) & -64ul)
#define MAX_DELAYS	256
#define RTT_OFF		(DELAY_OFF + MAX_DELAYS * sizeof(struct ivm_delay))
#define MAX_LANE_BYTES	0x40000000u	/* half of the largest 1 GiB fits a uint32_t too */

_Static_assert(offsetof(struct ivm_result, steps) == IVM_RESULT_BYTES_MIN, "the host's layout");
_Static_assert(sizeof(struct ivm_lane) <= RESULT_OFF, "the lane header overlaps the result");

static void init_header(struct ivm_lane *lane, uint32_t lane_bytes, const struct options *options,
			uint32_t vectors)
{
	__atomic_store_n(&lane->magic, 0, __ATOMIC_RELEASE);
	lane->version = IVM_LANE_VERSION;
	lane->bytes = lane_bytes;
	lane->flags = options->stamps ? IVM_LANE_STAMPS_ON : 0;
	lane->ctl_off = 0;
	lane->slot_off = 0;
	lane->slot_bytes = 0;
	lane->slots = 0;
	lane->vectors = vectors;
	lane->stamp_off = options->stamps ? lane_bytes / 2 : 0;
	lane->stamps = options->stamps ? lane_bytes / 2 / sizeof(struct ivm_stamp) : 0;
	lane->session_off = 0;
	lane->stamp_head = 0;
	lane->result_off = RESULT_OFF;
	lane->result_bytes = sizeof(struct ivm_result);
}

static void init_result(struct ivm_result *result, uint32_t lane_bytes,
			const struct options *options, uint32_t role)
{
	uint32_t i;

	*result = (struct ivm_result){
		.magic = IVM_RESULT_MAGIC,
		.version = IVM_RESULT_VERSION,
		.state = IVM_RESULT_SETUP,
		.role = role,
		.pattern = options->pattern,
		.vectors = options->vectors,
		.warmup = options->warmup,
		.rtt_off = RTT_OFF,
		.rtt_max = (lane_bytes / 2 - RTT_OFF) / sizeof(uint32_t),
		.vcpus = options->cpus,
		.tsc_khz = clock_khz(),
		.delay_off = DELAY_OFF,
		.delay_max = MAX_DELAYS,
	};
	for (i = 0; i < 256; i++) {
		result->sent_by_vector[i] = 0;
		result->handled_by_vector[i] = 0;
	}
}

void lanes_init(struct lanes *lanes, const struct mailbox *mailbox, const struct options *options,
		uint32_t role)
{
	if (mailbox->shmem.bytes / 2 < 2 * RTT_OFF || mailbox->shmem.bytes / 2 > MAX_LANE_BYTES)
		die("shared memory of %U bytes: too small or too large", mailbox->shmem.bytes);
	lanes->lane_bytes = mailbox->shmem.bytes / 2;
	lanes->own = (void *)(mailbox->shmem.address + mailbox->side * lanes->lane_bytes);
	lanes->peer = (void *)(mailbox->shmem.address + (mailbox->side ^ 1) * lanes->lane_bytes);
	lanes->peer_result = NULL;
	lanes->unshared = mailbox->unshared ? mailbox : NULL;
	lanes->result = (void *)((char *)lanes->own + RESULT_OFF);
	lanes->rtt = (void *)((char *)lanes->own + RTT_OFF);
	lanes->delay = (void *)((char *)lanes->own + DELAY_OFF);
	init_header(lanes->own, lanes->lane_bytes, options, options->vectors);
	init_result(lanes->result, lanes->lane_bytes, options, role);

	hot.lane = lanes->own;
	hot.result = lanes->result;
	hot.handled = lanes->result->handled_by_vector;
	if (options->stamps) {
		hot.stamp = (void *)((char *)lanes->own + lanes->own->stamp_off);
		hot.stamp_mask = lanes->own->stamps - 1;
	}
}

void lanes_publish(struct lanes *lanes)
{
	__atomic_store_n(&lanes->own->magic, IVM_LANE_MAGIC, __ATOMIC_RELEASE);
}

static bool peer_is_published(void *opaque)
{
	const struct lanes *lanes = opaque;

	return __atomic_load_n(&lanes->peer->magic, __ATOMIC_ACQUIRE) == IVM_LANE_MAGIC;
}

void lanes_wait_peer(struct lanes *lanes, uint32_t timeout_s)
{
	uint32_t offset;

	if (lanes->unshared)
		return;
	if (!wait_until(peer_is_published, lanes, timeout_s))
		die("the peer's lane did not appear");
	offset = *(const volatile uint32_t *)&lanes->peer->result_off;
	if (offset % 8 || offset < sizeof(struct ivm_lane) ||
	    offset > lanes->lane_bytes - sizeof(struct ivm_result))
		die("the peer's lane has no usable result");
	lanes->peer_result = (const void *)((const char *)lanes->peer + offset);
}

uint32_t lanes_peer_state(const struct lanes *lanes)
{
	if (lanes->unshared)
		return mailbox_peer_ready(lanes->unshared) ? IVM_RESULT_RUNNING : IVM_RESULT_DONE;
	return __atomic_load_n(&lanes->peer_result->state, __ATOMIC_ACQUIRE);
}
