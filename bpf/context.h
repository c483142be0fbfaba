/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What else happened on the threads of followed VMs: the intervals that
 * `record --context` collects and `explain` looks at.  Compiled for BPF and
 * for user space.
 */
#ifndef IVM_CONTEXT_H
#define IVM_CONTEXT_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define IVM_COMM_BYTES	16

enum ivm_context_kind {
	IVM_CTX_NONE,
	IVM_CTX_OFF_CPU,	/* from one sched_switch of the thread to the next */
	IVM_CTX_IRQ,		/* the host took an interrupt on the thread */
	IVM_CTX_SOFTIRQ,	/* ... and worked off a softirq */
	IVM_CTX_SYSCALL,	/* main loop: a system call that is no poll */
	IVM_CTX_LOOP,		/* main loop: from a poll's return to the next poll */
	IVM_CTX_USER,		/* vCPU: from a KVM_RUN's return to the next one */
	IVM_CTX_FAULT,		/* vCPU: a guest page was not mapped; has no length */
	IVM_CTX_KINDS
};

#define IVM_CONTEXT_KIND_NAMES						\
	{ "none", "off-cpu", "irq", "softirq", "syscall", "loop",	\
	  "user", "fault" }

/* Why the scheduler took a thread off its CPU */
enum ivm_off_state {
	IVM_OFF_NONE,
	IVM_OFF_RUNNABLE,	/* preempted */
	IVM_OFF_ASLEEP,
	IVM_OFF_BLOCKED,	/* uninterruptible */
	IVM_OFF_STOPPED,	/* SIGSTOP, or a debugger */
	IVM_OFF_STATES
};

#define IVM_OFF_STATE_NAMES \
	{ "none", "runnable", "asleep", "blocked", "stopped" }

struct ivm_interval {
	__u64 begin_ns;			/* CLOCK_MONOTONIC */
	__u64 end_ns;
	__u64 wake_ns;			/* OFF_CPU: sched_waking, 0 if it was runnable */
	__u64 number;			/* IRQ, vector, softirq, call; FAULT: guest address */
	__u32 tgid;
	__u32 tid;
	__u32 next_tid;			/* OFF_CPU: who got its CPU, 0 idle */
	__u32 last_tid;			/* OFF_CPU: who had the CPU that it came back on */
	__u32 waker_tid;
	__s32 fd;			/* SYSCALL: its first argument */
	__u16 cpu;			/* that it began on */
	__u16 to_cpu;			/* ... ended on */
	__u8 kind;			/* enum ivm_context_kind */
	__u8 state;			/* enum ivm_off_state */
	__u8 zero[2];
	char next[IVM_COMM_BYTES];	/* IRQ: the handler's name */
	char last[IVM_COMM_BYTES];
	char waker[IVM_COMM_BYTES];
};

_Static_assert(sizeof(struct ivm_interval) == 112, "no holes, one layout on both sides");

#define IVM_CTX_MAX_THREADS	65536
#define IVM_CTX_POLL_CALLS	6

#define IVM_CTX_VCPU	(1u << 0)
#define IVM_CTX_MAIN	(1u << 1)	/* QEMU's main loop */

/* A thread that is followed; all but the first two is the programs' own */
struct ivm_ctx_thread {
	__u32 tgid;
	__u32 kind;			/* IVM_CTX_VCPU, IVM_CTX_MAIN */
	__u64 off_ns;
	__u64 wake_ns;
	__u64 irq_ns;
	__u64 softirq_ns;
	__u64 call_ns;
	__u64 call;
	__u64 polled_ns;		/* the last poll returned */
	__u64 user_ns;			/* the last KVM_RUN returned */
	__u32 next_tid;
	__u32 waker_tid;
	__s32 fd;
	__u16 cpu;
	__u8 state;
	__u8 zero;
	char next[IVM_COMM_BYTES];
	char waker[IVM_COMM_BYTES];
};

#endif /* IVM_CONTEXT_H */
