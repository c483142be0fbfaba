/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Common to all hooks: the filter, the counters, the way to user space.
 */
#ifndef IVM_COMMON_BPF_H
#define IVM_COMMON_BPF_H

#include <linux/types.h>
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

/* For headers shared with QEMU, which has these types */
typedef __u8 uint8_t;
typedef __u16 uint16_t;
typedef __s32 int32_t;
typedef __u32 uint32_t;
typedef __u64 uint64_t;

#include "kernel.h"
#include "compat.bpf.h"
#include "state.bpf.h"

/* Set before loading, constant from then on */
const volatile __u64 irqfd_inject_address;	/* 0: deferred work cannot be told */
const volatile __u32 kvm_exit_reason_first;	/* up to 5.15: (reason, vcpu, isa) */
const volatile __u32 kvm_inj_virq_args = 1;	/* 3 from 6.0 on */
const volatile __u64 wakeup_bytes;		/* wake the reader when so much waits */
const volatile __u32 max_slots = IVM_MAX_SLOTS;
const volatile bool streams;			/* hand each event on, assemble nothing */
const volatile bool counts_all;			/* hooks count for any thread: doctor's probe */

/* Nothing is seen until all hooks are attached and user space sets this */
volatile __u32 armed;

/* From here on no doorbell opens a journey; what is under way may end */
volatile __u32 stopping;

/*
 * Counts the changes of the maps that user space fills.  What a thread keeps of a
 * row is as good as the row while this is as it was before that was read.
 */
volatile __u32 follow_generation = 1;

/* Somebody writes to eventfds without a doorbell that we know */
volatile __u32 writers_known;

/* A doorbell that should stay in the kernel went up to its QEMU */
volatile __u32 fallback_seen;

/* kvm_inj_virq fires here: a kvm_eoi is the guest's acknowledgement */
__u32 inject_seen;

/* kvm_msi_set_irq fires here: what has no route is a timer or an IPI */
__u32 route_seen;

static __always_inline void count(__u32 what)
{
	__u64 *counter = bpf_map_lookup_elem(&counts, &what);

	if (counter)
		__sync_fetch_and_add(counter, 1);
}

/*
 * The reader sleeps on a timer and is woken early only by a filling buffer: a
 * wake-up per record would disturb just what is measured.
 */
static __always_inline __u64 submit_flags(void)
{
	if (bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) >= wakeup_bytes)
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

static __always_inline struct ivm_hook_count *hook_count(__u32 id)
{
	return bpf_map_lookup_elem(&hook_counts, &id);
}

static __always_inline void count_fired(__u32 id)
{
	struct ivm_hook_count *count = hook_count(id);

	if (count)
		count->fired++;
}

static __always_inline struct ivm_task *task_of(struct task_struct *task)
{
	return bpf_task_storage_get(&tasks, task, NULL, 0);
}

/* The current thread if it is followed: the first question of each hook */
static __always_inline struct ivm_task *begin(__u32 id)
{
	struct ivm_task *me;

	if (!armed)
		return NULL;
	me = task_of(bpf_get_current_task_btf());
	if (me || counts_all)
		count_fired(id);
	return me;
}

static __always_inline bool is_vcpu(const struct ivm_task *task)
{
	return task && task->vcpu;
}

/* Where hard IRQ context matters: it is not the thread's doing then */
static __always_inline bool may_be_hardirq(__u8 type)
{
	return type == IVM_EV_MSI || type == IVM_EV_ACCEPT || type == IVM_EV_APICV_ACCEPT ||
	       type == IVM_EV_IPI || type == IVM_EV_WAKING || type == IVM_EV_SIGNAL ||
	       type == IVM_EV_QUEUE_WORK;
}

static __always_inline void make_event(struct ivm_event *e, const struct ivm_task *me,
				       __u64 now_ns, __u8 type, __u64 a, __u64 b, __u32 c)
{
	e->t_ns = now_ns;
	e->a = a;
	e->b = b;
	e->tgid = me->tgid;
	/* Who assembles here knows the thread by its storage */
	e->tid = streams ? (__u32)bpf_get_current_pid_tgid() : 0;
	e->c = c;
	e->cpu = bpf_get_smp_processor_id();
	e->type = type;
	e->flags = may_be_hardirq(type) && in_hardirq() ? IVM_EV_F_HARDIRQ : 0;
}

/* Hands the event itself to user space */
static __always_inline void stream(__u32 id, const struct ivm_event *e)
{
	struct ivm_event *copy = bpf_ringbuf_reserve(&events, sizeof(*copy), 0);
	struct ivm_hook_count *count;

	if (copy) {
		*copy = *e;
		bpf_ringbuf_submit(copy, submit_flags());
		return;
	}
	count = hook_count(id);
	if (count)
		__sync_fetch_and_add(&count->lost, 1);
}

/* @condition: of @ctx alone, and true for all that may matter to somebody */
#define IVM_TRACEPOINT_IF(name, condition)				\
static __always_inline void on_##name(__u64 *ctx, __u64 now_ns);	\
SEC("tp_btf/" #name)							\
int name##_btf(__u64 *ctx)						\
{									\
	if (condition)							\
		on_##name(ctx, bpf_ktime_get_ns());			\
	return 0;							\
}									\
static __always_inline void on_##name(__u64 *ctx, __u64 now_ns)

#define IVM_TRACEPOINT(name) IVM_TRACEPOINT_IF(name, true)

/*
 * To the kernel 0 means that nobody else shall see the event: perf(1) beside us
 * would get none.  Raw programs have no such say.
 */
#define IVM_SYSCALL(name, record)					\
static __always_inline void on_##name(record *ctx, __u64 now_ns);	\
SEC("tp/syscalls/" #name)						\
int name##_tp(record *ctx)						\
{									\
	on_##name(ctx, bpf_ktime_get_ns());				\
	return 1;							\
}									\
static __always_inline void on_##name(record *ctx, __u64 now_ns)

#endif /* IVM_COMMON_BPF_H */
