// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the host kernel shows of an interrupt between VMs, as a stream of events.
 *
 * Each hook has one on_<hook>() and thin entry points for every way in which it
 * can be attached; user space loads the best one this kernel allows.  Events
 * are filtered here, by the maps that discovery fills, and not interpreted:
 * journeys are put together in user space.  The clock is read first thing, so
 * that an event's time does not depend on how long its filter takes.
 */
#include <linux/types.h>
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "kernel.h"
#include "compat.bpf.h"
#include "event.h"
#include "hooks.h"

typedef __u8 uint8_t;
typedef __u16 uint16_t;
typedef __u32 uint32_t;
typedef __u64 uint64_t;
#include "../device/ivm-link-proto.h"

#define PAGE_SHIFT		12
#define KVM_TRACE_MMIO_WRITE	2
#define IVM_NO_ADDRESS		(~0ull)
#define IVM_SOCKET_UNITS	128	/* QEMU reads 4 KiB at a time */

char LICENSE[] SEC("license") = "GPL";

/* Set before loading, constant from then on */
const volatile __u64 irqfd_inject_address;	/* 0: deferred work cannot be told */
const volatile __u32 kvm_exit_reason_first;	/* up to 5.15: (reason, vcpu, isa) */
const volatile __u32 kvm_inj_virq_args = 1;	/* 3 from 6.0 on */
const volatile __u64 wakeup_bytes;		/* wake the reader when so much waits */

/* Nothing is emitted until all hooks are attached and user space sets this */
volatile __u32 armed;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);		/* user space sets the real size */
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, IVM_HOOKS);
	__type(key, __u32);
	__type(value, struct ivm_hook_count);
} hook_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, IVM_LOST_SOURCES);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

/* Processes whose interrupts are followed */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u32);
} vms SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, __u32);
	__type(value, struct ivm_thread);
} threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct ivm_doorbell_key);
	__type(value, __u32);
} doorbells SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct ivm_socket_key);
	__type(value, struct ivm_socket);
} sockets SEC(".maps");

/* Work items that a followed thread queued, and the kworkers that run them */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u32);
} works SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u64);
} workers SEC(".maps");

/* ---- common to all hooks ---- */

/* What a hook knows before it has looked at its arguments */
struct hook {
	__u64 now_ns;
	struct ivm_hook_count *count;
	__u32 tgid;
	__u32 tid;
};

static __always_inline bool hook_begin(struct hook *h, __u64 now_ns, __u32 id)
{
	__u64 pid_tgid;

	if (!armed)
		return false;
	h->count = bpf_map_lookup_elem(&hook_counts, &id);
	if (!h->count)
		return false;
	h->count->fired++;
	pid_tgid = bpf_get_current_pid_tgid();
	h->now_ns = now_ns;
	h->tgid = pid_tgid >> 32;
	h->tid = (__u32)pid_tgid;
	return true;
}

static __always_inline void count_lost(__u32 source)
{
	__u64 *count = bpf_map_lookup_elem(&lost, &source);

	if (count)
		(*count)++;
}

/*
 * The reader sleeps on a timer and is woken early only by a filling buffer: a
 * wake-up per event would disturb just what is measured.
 */
static __always_inline __u64 submit_flags(void)
{
	if (bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) >= wakeup_bytes)
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

/* Where hard IRQ context matters: it is not the thread's doing then */
static __always_inline bool may_be_hardirq(__u8 type)
{
	return type == IVM_EV_MSI || type == IVM_EV_ACCEPT || type == IVM_EV_APICV_ACCEPT ||
	       type == IVM_EV_IPI || type == IVM_EV_WAKING || type == IVM_EV_SIGNAL ||
	       type == IVM_EV_QUEUE_WORK;
}

static __always_inline void emit_for(struct hook *h, __u8 type, __u32 tgid, __u32 tid,
				     __u64 a, __u64 b, __u32 c)
{
	struct ivm_event *e;

	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		h->count->lost++;
		return;
	}
	e->t_ns = h->now_ns;
	e->a = a;
	e->b = b;
	e->tgid = tgid;
	e->tid = tid;
	e->c = c;
	e->cpu = bpf_get_smp_processor_id();
	e->type = type;
	e->flags = may_be_hardirq(type) && in_hardirq() ? IVM_EV_F_HARDIRQ : 0;
	h->count->emitted++;
	bpf_ringbuf_submit(e, submit_flags());
}

static __always_inline void emit(struct hook *h, __u8 type, __u64 a, __u64 b, __u32 c)
{
	emit_for(h, type, h->tgid, h->tid, a, b, c);
}

static __always_inline bool is_followed(__u32 tgid)
{
	return bpf_map_lookup_elem(&vms, &tgid) != NULL;
}

static __always_inline struct ivm_thread *find_thread(__u32 tid)
{
	return bpf_map_lookup_elem(&threads, &tid);
}

/* The current thread, which has just proved to be a vCPU */
static __always_inline struct ivm_thread *vcpu_thread(struct hook *h)
{
	struct ivm_thread *thread = find_thread(h->tid);
	struct ivm_thread fresh = { .kind = IVM_THREAD_VCPU, .tgid = h->tgid, .fd = -1 };

	/* A thread number may have been another process's before */
	if (thread && thread->tgid == h->tgid)
		return thread;
	if (!is_followed(h->tgid))
		return NULL;
	if (bpf_map_update_elem(&threads, &h->tid, &fresh, BPF_ANY)) {
		count_lost(IVM_LOST_MAP);
		return NULL;
	}
	return find_thread(h->tid);
}

static __always_inline bool has_doorbell_open(__u32 tid)
{
	struct ivm_thread *thread = find_thread(tid);

	return thread && thread->open;
}

static __always_inline bool is_worker(__u32 tid)
{
	return bpf_map_lookup_elem(&workers, &tid) != NULL;
}

/* May this thread be carrying an interrupt to a followed VM? */
static __always_inline bool may_signal(struct hook *h)
{
	return is_followed(h->tgid) || is_worker(h->tid);
}

#define IVM_TRACEPOINT(name)						\
static __always_inline void on_##name(__u64 *ctx, __u64 now_ns);	\
SEC("tp_btf/" #name)							\
int name##_btf(__u64 *ctx)						\
{									\
	on_##name(ctx, bpf_ktime_get_ns());				\
	return 0;							\
}									\
SEC("raw_tp/" #name)							\
int name##_raw(__u64 *ctx)						\
{									\
	on_##name(ctx, bpf_ktime_get_ns());				\
	return 0;							\
}									\
static __always_inline void on_##name(__u64 *ctx, __u64 now_ns)

/* ---- the vCPU: leaving and entering the guest ---- */

static __always_inline void vcpu_left(struct hook *h, __u64 reason, __u32 isa)
{
	struct ivm_thread *thread = vcpu_thread(h);

	if (!thread)
		return;
	thread->open = 0;
	emit(h, IVM_EV_EXIT, reason, isa, 0);
}

IVM_TRACEPOINT(kvm_exit)
{
	struct hook h;
	__u32 isa;

	if (!hook_begin(&h, now_ns, IVM_HOOK_KVM_EXIT))
		return;
	if (kvm_exit_reason_first) {
		isa = ctx[2];
		vcpu_left(&h, (__u32)ctx[0], isa);
	} else {
		isa = ctx[1];
		vcpu_left(&h, exit_reason((void *)ctx[0], isa), isa);
	}
}

/* The same layout in all kernels so far; checked against tracefs before use */
struct kvm_exit_record {
	__u64 common;
	__u32 exit_reason;
	__u32 pad;
	__u64 guest_rip;
	__u32 isa;
};

SEC("tp/kvm/kvm_exit")
int kvm_exit_tp(struct kvm_exit_record *ctx)
{
	struct hook h;

	if (hook_begin(&h, bpf_ktime_get_ns(), IVM_HOOK_KVM_EXIT))
		vcpu_left(&h, ctx->exit_reason, ctx->isa);
	return 0;
}

IVM_TRACEPOINT(kvm_entry)
{
	struct ivm_thread *thread;
	struct hook h;

	if (!hook_begin(&h, now_ns, IVM_HOOK_KVM_ENTRY))
		return;
	thread = vcpu_thread(&h);
	if (!thread)
		return;
	thread->open = 0;
	emit(&h, IVM_EV_ENTRY, 0, 0, 0);
}

IVM_TRACEPOINT(kvm_userspace_exit)
{
	struct hook h;

	if (hook_begin(&h, now_ns, IVM_HOOK_KVM_USERSPACE_EXIT) && has_doorbell_open(h.tid))
		emit(&h, IVM_EV_USER_EXIT, (__u32)ctx[0], (__u32)ctx[1], 0);
}

IVM_TRACEPOINT(kvm_vcpu_wakeup)
{
	struct hook h;

	if (hook_begin(&h, now_ns, IVM_HOOK_KVM_VCPU_WAKEUP) && vcpu_thread(&h))
		emit(&h, IVM_EV_UNHALT, ctx[0], (__u8)ctx[1], (__u8)ctx[2]);
}

/* ---- the doorbell ---- */

static __always_inline bool is_doorbell(__u32 tgid, __u64 address)
{
	struct ivm_doorbell_key key = { .frame = address >> PAGE_SHIFT, .tgid = tgid };

	return bpf_map_lookup_elem(&doorbells, &key) != NULL;
}

/*
 * The first @bytes at @from.  Sizes are constants, because the verifier cannot
 * follow a computed one; what was read beyond is cut off.
 */
static __always_inline __u64 read_value(const void *from, __u32 bytes)
{
	__u64 value = 0;

	if (!from || !bytes)
		return 0;
	if (bpf_probe_read_kernel(&value, 8, from) && bpf_probe_read_kernel(&value, 4, from))
		return 0;
	if (bytes < 8)
		value &= (1ull << (bytes * 8)) - 1;
	return value;
}

IVM_TRACEPOINT(kvm_mmio)
{
	bool is_write = (__u32)ctx[0] == KVM_TRACE_MMIO_WRITE;
	struct ivm_thread *thread;
	__u64 address = ctx[2];
	__u32 bytes = ctx[1];
	struct hook h;
	bool rings;

	if (!hook_begin(&h, now_ns, IVM_HOOK_KVM_MMIO))
		return;
	thread = vcpu_thread(&h);
	if (!thread)
		return;
	rings = is_write && is_doorbell(h.tgid, address);
	if (!rings && !thread->open)
		return;
	thread->open = rings;
	emit(&h, IVM_EV_MMIO, is_write ? address : IVM_NO_ADDRESS,
	     is_write ? read_value((void *)ctx[3], bytes) : 0, bytes);
}

/* No doorbell of ours is a port: this only ends one that is open */
IVM_TRACEPOINT(kvm_pio)
{
	bool is_out = (__u32)ctx[0];
	struct ivm_thread *thread;
	struct hook h;

	if (!hook_begin(&h, now_ns, IVM_HOOK_KVM_PIO))
		return;
	thread = find_thread(h.tid);
	if (!thread || !thread->open)
		return;
	thread->open = 0;
	emit(&h, IVM_EV_PIO, is_out ? (__u32)ctx[1] : IVM_NO_ADDRESS, 0, ctx[2]);
}

IVM_TRACEPOINT(kvm_fast_mmio)
{
	struct hook h;

	if (hook_begin(&h, now_ns, IVM_HOOK_KVM_FAST_MMIO) && is_doorbell(h.tgid, ctx[0]))
		emit(&h, IVM_EV_FAST_MMIO, ctx[0], 0, 0);
}

/* ---- from the doorbell to the local APIC ---- */

IVM_TRACEPOINT(kvm_msi_set_irq)
{
	struct hook h;

	if (hook_begin(&h, now_ns, IVM_HOOK_KVM_MSI_SET_IRQ) && may_signal(&h))
		emit(&h, IVM_EV_MSI, ctx[0], ctx[1], 0);
}

IVM_TRACEPOINT(kvm_set_irq)
{
	struct hook h;

	if (hook_begin(&h, now_ns, IVM_HOOK_KVM_SET_IRQ) &&
	    (has_doorbell_open(h.tid) || is_worker(h.tid)))
		emit(&h, IVM_EV_SET_IRQ, (__u32)ctx[0], (__u32)ctx[1], (__u32)ctx[2]);
}

IVM_TRACEPOINT(kvm_apic_accept_irq)
{
	struct hook h;

	if (hook_begin(&h, now_ns, IVM_HOOK_KVM_APIC_ACCEPT_IRQ) && may_signal(&h))
		emit(&h, IVM_EV_ACCEPT, (__u32)ctx[0], (__u8)ctx[3], (__u16)ctx[1]);
}

IVM_TRACEPOINT(kvm_apicv_accept_irq)
{
	struct hook h;

	if (hook_begin(&h, now_ns, IVM_HOOK_KVM_APICV_ACCEPT_IRQ) && may_signal(&h))
		emit(&h, IVM_EV_APICV_ACCEPT, (__u32)ctx[0], (__u8)ctx[3], (__u16)ctx[1]);
}

IVM_TRACEPOINT(ipi_send_cpu)
{
	struct hook h;

	if (hook_begin(&h, now_ns, IVM_HOOK_IPI_SEND_CPU) && may_signal(&h))
		emit(&h, IVM_EV_IPI, (__u32)ctx[0], ctx[2], 0);
}

static __always_inline void signalled(__u64 now_ns, __u32 id, __u8 type, void *eventfd)
{
	struct eventfd_ctx *context = eventfd;
	struct hook h;

	if (hook_begin(&h, now_ns, id) && has_doorbell_open(h.tid))
		emit(&h, type, (__u64)context, (__u32)BPF_CORE_READ(context, id), 0);
}

/* Attached to eventfd_signal_mask where the kernel has no eventfd_signal */
SEC("fentry/eventfd_signal")
int eventfd_signal_fentry(__u64 *ctx)
{
	signalled(bpf_ktime_get_ns(), IVM_HOOK_EVENTFD_SIGNAL, IVM_EV_SIGNAL, (void *)ctx[0]);
	return 0;
}

SEC("kprobe/eventfd_signal")
int eventfd_signal_kprobe(struct pt_regs *ctx)
{
	signalled(bpf_ktime_get_ns(), IVM_HOOK_EVENTFD_SIGNAL, IVM_EV_SIGNAL,
		  (void *)PT_REGS_PARM1(ctx));
	return 0;
}

static __always_inline void *file_data(void *pointer)
{
	struct file *file = pointer;

	return BPF_CORE_READ(file, private_data);
}

SEC("fentry/eventfd_write")
int eventfd_write_fentry(__u64 *ctx)
{
	signalled(bpf_ktime_get_ns(), IVM_HOOK_EVENTFD_WRITE, IVM_EV_EVENTFD_WRITE,
		  file_data((void *)ctx[0]));
	return 0;
}

SEC("kprobe/eventfd_write")
int eventfd_write_kprobe(struct pt_regs *ctx)
{
	signalled(bpf_ktime_get_ns(), IVM_HOOK_EVENTFD_WRITE, IVM_EV_EVENTFD_WRITE,
		  file_data((void *)PT_REGS_PARM1(ctx)));
	return 0;
}

/* ---- interrupts that KVM could not inject at once ---- */

static __always_inline bool is_irqfd_inject(struct work_struct *work)
{
	return irqfd_inject_address &&
	       (__u64)BPF_CORE_READ(work, func) == irqfd_inject_address;
}

IVM_TRACEPOINT(workqueue_queue_work)
{
	__u64 work = ctx[2];
	__u32 one = 1;
	struct hook h;

	if (!hook_begin(&h, now_ns, IVM_HOOK_QUEUE_WORK) ||
	    !is_irqfd_inject((void *)work) || !is_followed(h.tgid))
		return;
	if (bpf_map_update_elem(&works, &work, &one, BPF_ANY))
		count_lost(IVM_LOST_MAP);
	emit(&h, IVM_EV_QUEUE_WORK, work, 0, 0);
}

IVM_TRACEPOINT(workqueue_execute_start)
{
	__u64 work = ctx[0];
	struct hook h;

	if (!hook_begin(&h, now_ns, IVM_HOOK_WORK_START) ||
	    !is_irqfd_inject((void *)work) || bpf_map_delete_elem(&works, &work))
		return;
	if (bpf_map_update_elem(&workers, &h.tid, &work, BPF_ANY))
		count_lost(IVM_LOST_MAP);
	emit(&h, IVM_EV_WORK_START, work, 0, 0);
}

/* The item may be freed by now: only its address is used */
IVM_TRACEPOINT(workqueue_execute_end)
{
	struct hook h;

	if (hook_begin(&h, now_ns, IVM_HOOK_WORK_END) &&
	    !bpf_map_delete_elem(&workers, &h.tid))
		emit(&h, IVM_EV_WORK_END, ctx[0], 0, 0);
}

/* ---- the receiver ---- */

IVM_TRACEPOINT(kvm_inj_virq)
{
	__u64 flags = 0;
	struct hook h;

	if (!hook_begin(&h, now_ns, IVM_HOOK_KVM_INJ_VIRQ) || !vcpu_thread(&h))
		return;
	if (kvm_inj_virq_args > 1)
		flags = !!(__u8)ctx[1] | !!(__u8)ctx[2] << 1;
	emit(&h, IVM_EV_INJ, (__u32)ctx[0], flags, 0);
}

IVM_TRACEPOINT(kvm_eoi)
{
	struct hook h;

	if (hook_begin(&h, now_ns, IVM_HOOK_KVM_EOI) && vcpu_thread(&h))
		emit(&h, IVM_EV_EOI, (__s64)(__s32)ctx[1], 0, 0);
}

IVM_TRACEPOINT(kvm_write_tsc_offset)
{
	struct hook h;

	if (hook_begin(&h, now_ns, IVM_HOOK_KVM_WRITE_TSC_OFFSET) && is_followed(h.tgid))
		emit(&h, IVM_EV_TSC_OFFSET, ctx[2], ctx[1], (__u32)ctx[0]);
}

/* ---- the scheduler, for vCPUs and the threads that read a link's socket ---- */

IVM_TRACEPOINT(sched_waking)
{
	struct task_struct *woken = (void *)ctx[0];
	struct hook h;
	__u32 tid;

	if (!hook_begin(&h, now_ns, IVM_HOOK_SCHED_WAKING))
		return;
	tid = BPF_CORE_READ(woken, pid);
	if (find_thread(tid))
		emit(&h, IVM_EV_WAKING, tid, 0, 0);
}

IVM_TRACEPOINT(sched_switch)
{
	struct task_struct *prev = (void *)ctx[1];
	struct task_struct *next = (void *)ctx[2];
	struct ivm_thread *thread;
	__u32 prev_tid, next_tid;
	struct hook h;

	if (!hook_begin(&h, now_ns, IVM_HOOK_SCHED_SWITCH))
		return;
	prev_tid = BPF_CORE_READ(prev, pid);
	next_tid = BPF_CORE_READ(next, pid);
	thread = find_thread(prev_tid);
	if (thread)
		emit_for(&h, IVM_EV_SWITCH_OUT, thread->tgid, prev_tid, next_tid,
			 (__u8)ctx[0] || task_runnable(prev), 0);
	thread = find_thread(next_tid);
	if (thread)
		emit_for(&h, IVM_EV_SWITCH_IN, thread->tgid, next_tid, prev_tid, 0, 0);
}

/* ---- QEMU's system calls ---- */

struct sys_enter_record {
	__u64 common;
	__s64 id;
	__u64 args[6];
};

struct sys_exit_record {
	__u64 common;
	__s64 id;
	__s64 ret;
};

/* A doorbell's write can only be to the peer's eventfd, which user space knows */
SEC("tp/syscalls/sys_enter_write")
int sys_enter_write_tp(struct sys_enter_record *ctx)
{
	__u64 now_ns = bpf_ktime_get_ns();
	struct hook h;

	if (hook_begin(&h, now_ns, IVM_HOOK_WRITE) && has_doorbell_open(h.tid))
		emit(&h, IVM_EV_WRITE, 0, 0, ctx->args[0]);
	return 0;
}

struct rings {
	__u64 first;
	__u64 last;
};

static __always_inline void add_ring(struct rings *rings, __u64 sequence)
{
	if (!sequence)
		return;
	if (!rings->first)
		rings->first = sequence;
	rings->last = sequence;
}

/* The sequence of the RING at @from, 0 if it is another message */
static __always_inline __u64 read_ring(__u64 from)
{
	struct ivm_msg_ring ring;

	if (bpf_probe_read_user(&ring, sizeof(ring), (void *)from))
		return 0;
	if (ring.header.magic != IVM_MSG_MAGIC || ring.header.type != IVM_MSG_RING)
		return 0;
	return ring.sequence;
}

/*
 * Which RINGs are in @bytes of the stream at @from.  A message that was cut by
 * the last call counts where it ends; its header was kept in @socket.
 */
static __always_inline void read_rings(const struct ivm_socket *socket, __u32 direction,
				       __u64 from, __u64 bytes, struct rings *rings)
{
	__u64 rest = (IVM_MSG_UNIT - socket->part_bytes[direction]) % IVM_MSG_UNIT;
	int i;

	if (rest > bytes)
		return;
	if (rest)
		add_ring(rings, socket->part_seq[direction]);
	from += rest;
	bytes -= rest;
	for (i = 0; i < IVM_SOCKET_UNITS && bytes >= IVM_MSG_UNIT; i++) {
		add_ring(rings, read_ring(from));
		from += IVM_MSG_UNIT;
		bytes -= IVM_MSG_UNIT;
	}
}

/* @bytes of the stream went by: keep the header of a message that was cut */
static __always_inline void advance(struct ivm_socket *socket, __u32 direction, __u64 from,
				    __u64 bytes)
{
	__u32 had = socket->part_bytes[direction];
	__u32 cut = (had + bytes) % IVM_MSG_UNIT;

	if (cut >= sizeof(struct ivm_msg_ring) - 8 && cut <= bytes)
		socket->part_seq[direction] = read_ring(from + bytes - cut);
	else if (cut <= bytes)
		socket->part_seq[direction] = 0;
	socket->part_bytes[direction] = cut;
}

static __always_inline bool first_iovec(__u64 msg, struct ivm_user_iovec *iov)
{
	struct ivm_user_msghdr header;

	return msg && !bpf_probe_read_user(&header, sizeof(header), (void *)msg) &&
	       header.iov_count &&
	       !bpf_probe_read_user(iov, sizeof(*iov), (void *)header.iov);
}

static __always_inline struct ivm_socket *find_socket(__u32 tgid, __s32 fd)
{
	struct ivm_socket_key key = { .tgid = tgid, .fd = fd };

	return bpf_map_lookup_elem(&sockets, &key);
}

/* The socket call that the thread is about to make, if it is one of a link's */
static __always_inline struct ivm_socket *socket_call(struct hook *h,
						      struct sys_enter_record *ctx,
						      struct ivm_thread **thread)
{
	struct ivm_socket *socket;

	*thread = find_thread(h->tid);
	if (!*thread)
		return NULL;
	socket = find_socket(h->tgid, ctx->args[0]);
	if (!socket)
		return NULL;
	(*thread)->fd = ctx->args[0];
	(*thread)->msg = ctx->args[1];
	return socket;
}

/* ... and the one it comes back from */
static __always_inline struct ivm_socket *socket_return(struct hook *h, __s32 *fd, __u64 *msg)
{
	struct ivm_thread *thread = find_thread(h->tid);

	if (!thread || thread->fd < 0)
		return NULL;
	*fd = thread->fd;
	*msg = thread->msg;
	thread->fd = -1;
	return find_socket(h->tgid, *fd);
}

SEC("tp/syscalls/sys_enter_sendmsg")
int sys_enter_sendmsg_tp(struct sys_enter_record *ctx)
{
	__u64 now_ns = bpf_ktime_get_ns();
	struct ivm_user_iovec iov = {};
	struct ivm_thread *thread;
	struct ivm_socket *socket;
	struct rings rings = {};
	struct hook h;

	if (!hook_begin(&h, now_ns, IVM_HOOK_SENDMSG))
		return 0;
	socket = socket_call(&h, ctx, &thread);
	if (!socket)
		return 0;
	if (first_iovec(thread->msg, &iov))
		read_rings(socket, 0, iov.base, iov.bytes, &rings);
	emit(&h, IVM_EV_SENDMSG, rings.first, rings.last, thread->fd);
	return 0;
}

SEC("tp/syscalls/sys_exit_sendmsg")
int sys_exit_sendmsg_tp(struct sys_exit_record *ctx)
{
	__u64 now_ns = bpf_ktime_get_ns();
	struct ivm_user_iovec iov = {};
	struct ivm_socket *socket;
	struct hook h;
	__u64 msg;
	__s32 fd;

	if (!hook_begin(&h, now_ns, IVM_HOOK_SENDMSG_RET))
		return 0;
	socket = socket_return(&h, &fd, &msg);
	if (!socket)
		return 0;
	if (ctx->ret > 0 && first_iovec(msg, &iov))
		advance(socket, 0, iov.base, ctx->ret);
	emit(&h, IVM_EV_SENDMSG_RET, ctx->ret, 0, fd);
	return 0;
}

SEC("tp/syscalls/sys_enter_recvmsg")
int sys_enter_recvmsg_tp(struct sys_enter_record *ctx)
{
	__u64 now_ns = bpf_ktime_get_ns();
	struct ivm_thread *thread;
	struct hook h;

	if (hook_begin(&h, now_ns, IVM_HOOK_RECVMSG))
		socket_call(&h, ctx, &thread);
	return 0;
}

SEC("tp/syscalls/sys_exit_recvmsg")
int sys_exit_recvmsg_tp(struct sys_exit_record *ctx)
{
	__u64 now_ns = bpf_ktime_get_ns();
	struct ivm_user_iovec iov = {};
	struct ivm_socket *socket;
	struct rings rings = {};
	struct hook h;
	__u64 msg;
	__s32 fd;

	if (!hook_begin(&h, now_ns, IVM_HOOK_RECVMSG_RET))
		return 0;
	socket = socket_return(&h, &fd, &msg);
	if (!socket || ctx->ret <= 0)
		return 0;
	if (first_iovec(msg, &iov)) {
		read_rings(socket, 1, iov.base, ctx->ret, &rings);
		advance(socket, 1, iov.base, ctx->ret);
	}
	emit(&h, IVM_EV_RECVMSG, rings.first, rings.last, fd);
	return 0;
}
