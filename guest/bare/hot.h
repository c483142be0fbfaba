/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What runs once per doorbell, on both the sending and the receiving side.
 *
 * Only irq_link() and ring_locked() use this, with interrupts off on their own
 * CPU.  A vector that moves between CPUs is counted by both.
 */
#ifndef IVM_BARE_HOT_H
#define IVM_BARE_HOT_H

#include "cpu.h"
#include "../ivm-shmem.h"

struct hot {
	uintptr_t doorbell;		/* address of vector 0's doorbell */
	uint32_t doorbell_stride;	/* to the next vector's, 0 if they share one */
	uint32_t doorbell_value;	/* ivshmem: plus the vector */
	uint32_t value_is_cookie;
	uint32_t reply;			/* pong: answer every interrupt on its vector */
	uint32_t wake_cpu0;		/* CPU 0 waits for what other CPUs take */
	uint32_t cookie;		/* of the newest doorbell */
	uint32_t stamp_mask;		/* stamps - 1 */
	uint64_t stamp_next;		/* stamps begun */
	uint64_t stamp_written;		/* stamps finished; lane->stamp_head follows */
	struct ivm_stamp *stamp;	/* NULL: stamps off */
	struct ivm_lane *lane;
	struct ivm_result *result;
	uint64_t *handled;		/* by vector, in the lane of the end that takes them */
	uint64_t irq_tsc;		/* at entry of the newest link interrupt */
};

extern struct hot hot;

/*
 * A reader must never see a hole, and a CPU must never wait for another one:
 * its host may have taken the CPU away in the middle of a stamp.  So whoever
 * finds that nothing is being written publishes all that was.
 */
static inline void stamp_publish(void)
{
	uint64_t written = __atomic_add_fetch(&hot.stamp_written, 1, __ATOMIC_ACQ_REL);
	uint64_t head;

	if (written != __atomic_load_n(&hot.stamp_next, __ATOMIC_ACQUIRE))
		return;
	head = __atomic_load_n(&hot.lane->stamp_head, __ATOMIC_RELAXED);
	while (head < written &&
	       !__atomic_compare_exchange_n(&hot.lane->stamp_head, &head, written, false,
					    __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

static inline void stamp_write(uint32_t kind, uint32_t cookie, uint32_t vector, uint64_t tsc)
{
	uint64_t index = __atomic_fetch_add(&hot.stamp_next, 1, __ATOMIC_RELAXED);
	struct ivm_stamp *stamp = &hot.stamp[index & hot.stamp_mask];

	stamp->tsc = tsc;
	stamp->cookie = cookie;
	stamp->vector = vector;
	stamp->kind = kind;
	stamp_publish();
}

/*
 * Ring one doorbell, with interrupts off so that cookies reach the device in
 * order.  The stamp is written after the store, so that nothing stands between
 * the clock and the doorbell.
 *
 * Return: TSC just before the doorbell.
 */
static inline uint64_t ring_locked(uint32_t vector)
{
	uint32_t cookie = __atomic_add_fetch(&hot.cookie, 1, __ATOMIC_RELAXED);
	uint32_t value = hot.value_is_cookie ? cookie : hot.doorbell_value + vector;
	uintptr_t doorbell = hot.doorbell + hot.doorbell_stride * vector;
	uint64_t tsc = rdtsc();

	mmio_write32(doorbell, value);
	hot.result->sent_by_vector[vector]++;
	if (hot.stamp)
		stamp_write(IVM_STAMP_RING, cookie, vector, tsc);
	return tsc;
}

#endif /* IVM_BARE_HOT_H */
