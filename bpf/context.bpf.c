// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What happened to the threads of followed VMs besides interrupts between them.
 *
 * Its own object, because only `record --context` pays for it: it looks at each
 * switch, wake-up, host interrupt and system call of the host and keeps those of
 * threads in the map `threads`.  An interval is handed on when it has ended.
 * Nothing is interpreted here; reports/explain.c does that.
 */
#include <linux/types.h>
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "kernel.h"
#include "context.h"

#define TASK_INTERRUPTIBLE	0x1
#define TASK_UNINTERRUPTIBLE	0x2
#define TASK_STOPPED_OR_TRACED	0xc
#define MAX_FDS			(1u << 20)	/* what fs.nr_open allows by default */
#define KVM_RUN			0xae80
#define PAGE_FAULT_RESERVED	0x8

char LICENSE[] SEC("license") = "GPL";

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct task_struct___comm {
	char comm[IVM_COMM_BYTES];
};

struct irqaction {
	const char *name;
};

#pragma clang attribute pop

/* Set before loading; numbers of system calls differ between architectures */
const volatile __u64 poll_calls[IVM_CTX_POLL_CALLS];
const volatile __u64 ioctl_call;
const volatile __u64 min_ns = 2000;	/* shorter ones but OFF_CPU explain nothing */

volatile __u32 armed;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, IVM_CTX_MAX_THREADS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct ivm_ctx_thread);
} threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} intervals SEC(".maps");

__u64 lost;		/* intervals for which there was no room */

static __always_inline struct ivm_ctx_thread *find(__u32 tid)
{
	return armed && tid ? bpf_map_lookup_elem(&threads, &tid) : NULL;
}

static __always_inline __u32 my_tid(void)
{
	return bpf_get_current_pid_tgid();
}

/* Zeroed, for the caller to complete and to submit; NULL counts as lost */
static __always_inline struct ivm_interval *begin(const struct ivm_ctx_thread *t, __u32 tid,
						  __u8 kind, __u64 begin_ns, __u64 end_ns)
{
	struct ivm_interval *i = bpf_ringbuf_reserve(&intervals, sizeof(*i), 0);

	if (!i) {
		__sync_fetch_and_add(&lost, 1);
		return NULL;
	}
	__builtin_memset(i, 0, sizeof(*i));
	i->begin_ns = begin_ns;
	i->end_ns = end_ns;
	i->tgid = t->tgid;
	i->tid = tid;
	i->fd = -1;
	i->cpu = i->to_cpu = bpf_get_smp_processor_id();
	i->kind = kind;
	return i;
}

/* The reader comes by on a timer: a wake-up would disturb what is measured */
static __always_inline void submit(struct ivm_interval *i)
{
	bpf_ringbuf_submit(i, BPF_RB_NO_WAKEUP);
}

static __always_inline bool matters(__u64 begin_ns, __u64 end_ns)
{
	return begin_ns && end_ns - begin_ns >= min_ns;
}

/* ---- the scheduler ---- */

static __always_inline void copy_comm(char *to, struct task_struct *task)
{
	bpf_probe_read_kernel_str(to, IVM_COMM_BYTES,
				  &((struct task_struct___comm *)task)->comm);
}

static __always_inline __u64 state_of(struct task_struct *task)
{
	if (bpf_core_field_exists(task->__state))
		return BPF_CORE_READ(task, __state);
	return BPF_CORE_READ((struct task_struct___state *)task, state);
}

static __always_inline __u8 off_state(bool preempted, __u64 state)
{
	if (preempted || !state)
		return IVM_OFF_RUNNABLE;
	if (state & TASK_STOPPED_OR_TRACED)
		return IVM_OFF_STOPPED;
	return state & TASK_UNINTERRUPTIBLE ? IVM_OFF_BLOCKED : IVM_OFF_ASLEEP;
}

static __always_inline void goes(struct ivm_ctx_thread *t, __u64 now_ns, __u8 state,
				 struct task_struct *next, __u32 next_tid)
{
	t->off_ns = now_ns;
	t->wake_ns = 0;
	t->waker_tid = 0;
	t->state = state;
	t->cpu = bpf_get_smp_processor_id();
	t->next_tid = next_tid;
	copy_comm(t->next, next);
}

static __always_inline void comes(struct ivm_ctx_thread *t, __u32 tid, __u64 now_ns,
				  struct task_struct *prev, __u32 prev_tid)
{
	struct ivm_interval *i;

	if (!t->off_ns)
		return;
	i = begin(t, tid, IVM_CTX_OFF_CPU, t->off_ns, now_ns);
	t->off_ns = 0;
	if (!i)
		return;
	i->cpu = t->cpu;
	i->state = t->state;
	/* A waker on another CPU may have read the clock first, and be the later one here */
	if (t->wake_ns)
		i->wake_ns = t->wake_ns < i->begin_ns ? i->begin_ns :
			     t->wake_ns > now_ns ? now_ns : t->wake_ns;
	i->next_tid = t->next_tid;
	__builtin_memcpy(i->next, t->next, IVM_COMM_BYTES);
	i->last_tid = prev_tid;
	copy_comm(i->last, prev);
	if (t->wake_ns) {
		i->waker_tid = t->waker_tid;
		__builtin_memcpy(i->waker, t->waker, IVM_COMM_BYTES);
	}
	submit(i);
}

SEC("tp_btf/sched_switch")
int switched(__u64 *ctx)
{
	__u64 now_ns = bpf_ktime_get_ns();
	struct task_struct *prev = (void *)ctx[1], *next = (void *)ctx[2];
	__u32 prev_tid = BPF_CORE_READ(prev, pid), next_tid = BPF_CORE_READ(next, pid);
	struct ivm_ctx_thread *t = find(prev_tid);

	if (t)
		goes(t, now_ns, off_state(ctx[0], state_of(prev)), next, next_tid);
	t = find(next_tid);
	if (t)
		comes(t, next_tid, now_ns, prev, prev_tid);
	return 0;
}

SEC("tp_btf/sched_waking")
int waking(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	struct ivm_ctx_thread *t = find(BPF_CORE_READ(task, pid));

	if (!t || t->wake_ns)
		return 0;
	t->wake_ns = bpf_ktime_get_ns();
	t->waker_tid = my_tid();
	bpf_get_current_comm(t->waker, sizeof(t->waker));
	return 0;
}

/* ---- what the host does with the CPU meanwhile ---- */

static __always_inline void enter_irq(void)
{
	struct ivm_ctx_thread *t = find(my_tid());

	if (t)
		t->irq_ns = bpf_ktime_get_ns();
}

static __always_inline struct ivm_interval *leave_irq(__u64 number)
{
	struct ivm_ctx_thread *t = find(my_tid());
	__u64 now_ns = bpf_ktime_get_ns(), begin_ns;
	struct ivm_interval *i;

	if (!t)
		return NULL;
	begin_ns = t->irq_ns;
	t->irq_ns = 0;
	if (!matters(begin_ns, now_ns))
		return NULL;
	i = begin(t, my_tid(), IVM_CTX_IRQ, begin_ns, now_ns);
	if (i)
		i->number = number;
	return i;
}

SEC("tp_btf/irq_handler_entry")
int irq_entry(__u64 *ctx)
{
	enter_irq();
	return 0;
}

SEC("tp_btf/irq_handler_exit")
int irq_exit(__u64 *ctx)
{
	struct irqaction *action = (void *)ctx[1];
	struct ivm_interval *i = leave_irq((__u32)ctx[0]);

	if (!i)
		return 0;
	bpf_probe_read_kernel_str(i->next, sizeof(i->next), BPF_CORE_READ(action, name));
	submit(i);
	return 0;
}

/* Interrupts of the local APIC pass no irq_handler */
#define VECTOR(vector_name)						\
SEC("tp_btf/" #vector_name "_entry")					\
int vector_name##_entry(__u64 *ctx)					\
{									\
	enter_irq();							\
	return 0;							\
}									\
SEC("tp_btf/" #vector_name "_exit")					\
int vector_name##_exit(__u64 *ctx)					\
{									\
	struct ivm_interval *i = leave_irq((__u32)ctx[0]);		\
									\
	if (!i)								\
		return 0;						\
	__builtin_memcpy(i->next, #vector_name, sizeof(#vector_name) < IVM_COMM_BYTES ?	\
			 sizeof(#vector_name) : IVM_COMM_BYTES - 1);	\
	submit(i);							\
	return 0;							\
}

VECTOR(local_timer)
VECTOR(reschedule)
VECTOR(call_function)
VECTOR(call_function_single)
VECTOR(irq_work)

SEC("tp_btf/softirq_entry")
int softirq_begins(__u64 *ctx)
{
	struct ivm_ctx_thread *t = find(my_tid());

	if (t)
		t->softirq_ns = bpf_ktime_get_ns();
	return 0;
}

SEC("tp_btf/softirq_exit")
int softirq_ends(__u64 *ctx)
{
	struct ivm_ctx_thread *t = find(my_tid());
	__u64 now_ns = bpf_ktime_get_ns(), begin_ns;
	struct ivm_interval *i;

	if (!t)
		return 0;
	begin_ns = t->softirq_ns;
	t->softirq_ns = 0;
	if (!matters(begin_ns, now_ns))
		return 0;
	i = begin(t, my_tid(), IVM_CTX_SOFTIRQ, begin_ns, now_ns);
	if (!i)
		return 0;
	i->number = (__u32)ctx[0];
	submit(i);
	return 0;
}

/* ---- QEMU ---- */

static __always_inline bool is_poll(__u64 call)
{
	int n;

	for (n = 0; n < IVM_CTX_POLL_CALLS; n++)
		if (call == poll_calls[n])
			return true;
	return false;
}

/* An interval of the calling thread that ends now */
static __always_inline void end_interval(const struct ivm_ctx_thread *t, __u8 kind,
					 __u64 begin_ns, __u64 now_ns)
{
	struct ivm_interval *i;

	if (!matters(begin_ns, now_ns))
		return;
	i = begin(t, my_tid(), kind, begin_ns, now_ns);
	if (!i)
		return;
	if (kind == IVM_CTX_SYSCALL) {
		i->number = t->call;
		i->fd = t->fd;
	}
	submit(i);
}

static __always_inline __u64 argument(const void *from)
{
	__u64 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), from);
	return value;
}

/* Some calls' first argument is a pointer */
static __always_inline __s32 descriptor(__u64 first)
{
	return first < MAX_FDS ? (__s32)first : -1;
}

SEC("tp_btf/sys_enter")
int call_begins(__u64 *ctx)
{
	struct ivm_ctx_thread *t = find(my_tid());
	struct pt_regs *regs = (void *)ctx[0];
	__u64 now_ns = bpf_ktime_get_ns();

	if (!t)
		return 0;
	if (t->kind & IVM_CTX_MAIN) {
		t->call = ctx[1];
		t->call_ns = now_ns;
		t->fd = descriptor(argument(&PT_REGS_PARM1(regs)));
		if (is_poll(t->call)) {
			end_interval(t, IVM_CTX_LOOP, t->polled_ns, now_ns);
			t->polled_ns = 0;
		}
	} else if (ctx[1] == ioctl_call && argument(&PT_REGS_PARM2(regs)) == KVM_RUN) {
		end_interval(t, IVM_CTX_USER, t->user_ns, now_ns);
		t->user_ns = 0;
	}
	return 0;
}

SEC("tp_btf/sys_exit")
int call_ends(__u64 *ctx)
{
	struct ivm_ctx_thread *t = find(my_tid());
	__u64 now_ns = bpf_ktime_get_ns();

	if (!t || !(t->kind & IVM_CTX_MAIN) || !t->call_ns)
		return 0;
	if (is_poll(t->call))
		t->polled_ns = now_ns;
	else
		end_interval(t, IVM_CTX_SYSCALL, t->call_ns, now_ns);
	t->call_ns = 0;
	return 0;
}

SEC("tp_btf/kvm_userspace_exit")
int leaves_kernel(__u64 *ctx)
{
	struct ivm_ctx_thread *t = find(my_tid());

	if (t)
		t->user_ns = bpf_ktime_get_ns();
	return 0;
}

/* A page that is known to be MMIO faults so each time, where KVM has no other way */
static __always_inline void guest_fault(__u64 address, __u64 error)
{
	struct ivm_ctx_thread *t = find(my_tid());
	__u64 now_ns = bpf_ktime_get_ns();
	struct ivm_interval *i;

	if (!t || error & PAGE_FAULT_RESERVED)
		return;
	i = begin(t, my_tid(), IVM_CTX_FAULT, now_ns, now_ns);
	if (!i)
		return;
	i->number = address;
	submit(i);
}

SEC("tp_btf/kvm_page_fault")
int page_fault(__u64 *ctx)
{
	guest_fault(ctx[1], ctx[2]);
	return 0;
}

/* Up to 6.0 it has no vCPU */
SEC("tp_btf/kvm_page_fault")
int page_fault_old(__u64 *ctx)
{
	guest_fault(ctx[0], ctx[1]);
	return 0;
}
