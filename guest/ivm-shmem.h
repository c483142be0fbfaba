/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared memory (BAR2) as the guests use it; the device does not look.
 *
 * Lane s is the s-th half of BAR2 and is written only by side s.  A lane
 * starts with a struct ivm_lane; everything else is found through its offsets,
 * which count from the start of the lane.  All of it is untrusted by whoever
 * reads it from the other side or from the host.
 *
 * Little-endian, naturally aligned.  The includer provides the uintN_t types.
 */
#ifndef IVM_SHMEM_H
#define IVM_SHMEM_H

#define IVM_LANE_MAGIC		0x4c4d5649	/* the bytes "IVML" */
#define IVM_LANE_VERSION	1
#define IVM_LANE_STAMPS_ON	(1u << 0)

struct ivm_lane {
	uint32_t magic;		/* 0x00, stored last */
	uint32_t version;	/* 0x04 */
	uint32_t bytes;		/* 0x08 size of the lane */
	uint32_t flags;		/* 0x0c IVM_LANE_* */
	uint32_t ctl_off;	/* 0x10 struct ivm_lane_ctl[vectors], 0 none */
	uint32_t slot_off;	/* 0x14 messages, 0 none */
	uint32_t slot_bytes;	/* 0x18 */
	uint32_t slots;		/* 0x1c per vector, power of two */
	uint32_t vectors;	/* 0x20 */
	uint32_t stamp_off;	/* 0x24 struct ivm_stamp[stamps], 0 none */
	uint32_t stamps;	/* 0x28 power of two */
	uint32_t session_off;	/* 0x2c struct ivm_lane_session[vectors], 0 none */
	uint64_t stamp_head;	/* 0x30 stamps complete, stored with release after them */
	uint32_t result_off;	/* 0x38 struct ivm_result of a benchmark, 0 none */
	uint32_t result_bytes;	/* 0x3c */
};

/* Messages I produced on my ring v, messages I consumed from the peer's */
struct ivm_lane_ctl {
	uint32_t tx_head;
	uint32_t rx_tail;
};

/*
 * Who is at a ring's ends.  Indices count only while both ends agree: my epoch
 * is the peer's echo, and the peer's epoch mine.  An end that starts a ring anew
 * stores epoch 0, then zeroes its ctl and event, then stores a new epoch; an end
 * that sees a new epoch zeroes its own ctl and event before it echoes it.
 */
struct ivm_lane_session {
	uint32_t epoch;		/* of my end of channel v, 0 while it is being reset */
	uint32_t echo;		/* the peer's epoch that my ctl belongs to */
	uint32_t event;		/* ring me once your rx_tail has passed this index */
	uint32_t reserved;
};

struct ivm_lane_slot {
	uint32_t bytes;		/* of payload in this slot */
	uint32_t flags;		/* IVM_SLOT_* */
};

#define IVM_SLOT_CONTINUED	(1u << 0)	/* the message goes on in the next slot */

#define IVM_STAMP_RING		1	/* cookie = the doorbell's value */
#define IVM_STAMP_HANDLER	2	/* cookie = running count of the vector */

struct ivm_stamp {
	uint32_t cookie;
	uint16_t vector;
	uint16_t kind;		/* IVM_STAMP_* */
	uint64_t tsc;
};

/* What a benchmark guest found, read back by the host */
#define IVM_RESULT_MAGIC	0x524d5649	/* the bytes "IVMR" */
#define IVM_RESULT_VERSION	1

#define IVM_RESULT_SETUP	0	/* state: not started */
#define IVM_RESULT_RUNNING	1
#define IVM_RESULT_DONE		2	/* counts below are final */
#define IVM_RESULT_FAILED	3	/* see error */

#define IVM_ROLE_PING		1
#define IVM_ROLE_PONG		2
#define IVM_ROLE_SELFTEST	3
#define IVM_ROLE_BOTH		4	/* of its own lane: ping; of the other: pong */

#define IVM_PATTERN_PINGPONG	1
#define IVM_PATTERN_FLOOD	2
#define IVM_PATTERN_BURST	3
#define IVM_PATTERN_RATE	4
#define IVM_PATTERN_STEP	5
#define IVM_PATTERN_MESSAGES	6

/* What the receiver of a step did to the doorbell it had asked for, measured by itself */
#define IVM_DELAY_IRQ_OFF	1	/* interrupts off */
#define IVM_DELAY_MASK		2	/* held by MASK */
#define IVM_DELAY_MSIX_MASK	3	/* held by the MSI-X table */
#define IVM_DELAY_INIT		4	/* the CPU that was to take it got an INIT */

struct ivm_delay {
	uint32_t number;	/* of the sender's doorbell, from 1 */
	uint32_t kind;		/* IVM_DELAY_* */
	uint64_t begin_tsc;	/* the doorbell was seen to have been rung */
	uint64_t end_tsc;	/* just before it was let through */
};

struct ivm_result {
	uint32_t magic;
	uint32_t version;
	uint32_t state;		/* IVM_RESULT_*, stored last with release */
	uint32_t role;		/* IVM_ROLE_* */
	uint32_t pattern;	/* IVM_PATTERN_* */
	uint32_t vectors;	/* link vectors in use */
	uint32_t warmup;	/* doorbells rung before the samples */
	uint32_t mode;		/* IVM_REG_MODE as the guest read it, 0 ivshmem */
	uint64_t sent;		/* doorbells rung, warm-up included */
	uint64_t handled;	/* handler entries of link vectors */
	uint64_t rtt_count;	/* round trips measured, warm-up excluded */
	uint32_t rtt_off;	/* uint32_t TSC ticks[rtt_max], from the lane's start */
	uint32_t rtt_max;	/* samples beyond are counted, not kept */
	uint32_t vcpus;		/* vCPUs that take link vectors */
	uint32_t checks;	/* selftest: checks made */
	uint32_t failures;	/* selftest: checks failed */
	uint32_t tsc_khz;	/* TSC ticks per ms as this guest measured, 0 unknown */
	char error[64];		/* NUL-terminated; first failure */
	uint64_t sent_by_vector[256];
	uint64_t handled_by_vector[256];
	/* From here on only if the lane's result_bytes say so: see IVM_RESULT_BYTES_MIN */
	uint64_t steps;		/* doorbells asked for, pattern step */
	uint64_t noise_timers;	/* timer interrupts beside the link's, all CPUs */
	uint64_t noise_ipis;
	uint64_t moves;		/* how often each vector was given another CPU or IDT vector */
	uint64_t cut_off;	/* doorbells whose CPU got an INIT */
	uint64_t delay_count;	/* delays made */
	uint32_t delay_off;	/* struct ivm_delay[delay_max], from the lane's start */
	uint32_t delay_max;	/* delays beyond are counted, not kept */
	/* What the guest's own kernel adds: uint32_t TSC ticks, as rtt_off */
	uint32_t leave_off, leave_max;	/* from write() to the doorbell */
	uint32_t enter_off, enter_max;	/* from the handler's entry to the message in user space */
};

#define IVM_RESULT_BYTES_MIN	0x1090	/* up to handled_by_vector, as first laid out */

#endif /* IVM_SHMEM_H */
