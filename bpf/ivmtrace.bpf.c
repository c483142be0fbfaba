// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the host kernel shows of an interrupt between VMs.
 *
 * Each hook has one on_<hook>(); user space attaches the best entry point this
 * kernel allows.  The clock is read first thing, so that the time of an event
 * does not depend on how long its filter takes.  A hook looks at the storage of
 * its thread, which only followed threads have, makes an event of what it sees,
 * and hands that to the state machine (assemble.bpf.h) or, with --raw, to user
 * space.
 */
#include "assemble.bpf.h"
#include "socket.bpf.h"

#define KVM_TRACE_MMIO_WRITE	2
#define IVM_NO_ADDRESS		(~0ull)

char LICENSE[] SEC("license") = "GPL";

/* ---- the vCPU: leaving and entering the guest ---- */

/* An exit, an entry or another access: the doorbell of before is done with */
static __always_inline void sender_leaves(struct ivm_task *me, const struct ivm_event *e)
{
	me->accepted_id = 0;
	if (ivm_sender_step(&me->sender, e) == IVM_S_CLOSE)
		close_open(me, e);
}

/* Only who has something pending wants to know why the guest was left */
static __always_inline void exit_facts(__u64 *ctx, struct ivm_event *e)
{
	if (kvm_exit_reason_first) {
		e->a = (__u32)ctx[0];
		e->b = (__u32)ctx[2];
	} else {
		e->b = (__u32)ctx[1];
		e->a = exit_reason((void *)ctx[0], e->b);
	}
}

IVM_TRACEPOINT(kvm_exit)
{
	struct ivm_task *me = begin(IVM_HOOK_KVM_EXIT);
	struct ivm_vcpu_state *v;
	struct ivm_event e;

	if (!is_vcpu(me))
		return;
	make_event(&e, me, now_ns, IVM_EV_EXIT, IVM_NO_REASON, 0, 0);
	me->is_open = 0;
	if (streams) {
		exit_facts(ctx, &e);
		stream(IVM_HOOK_KVM_EXIT, &e);
		return;
	}
	sender_leaves(me, &e);
	v = find_vcpu(me->vcpu);
	if (!v)
		return;
	v->cpu = e.cpu;
	entering_event(v, &e);
	if (has_pending(v))
		exit_facts(ctx, &e);
	vcpu_event(v, &e, VCPU_EXIT);
}

IVM_TRACEPOINT(kvm_entry)
{
	struct ivm_task *me = begin(IVM_HOOK_KVM_ENTRY);
	struct ivm_vcpu_state *v;
	struct ivm_event e;

	if (!is_vcpu(me))
		return;
	make_event(&e, me, now_ns, IVM_EV_ENTRY, 0, 0, 0);
	me->is_open = 0;
	if (streams) {
		stream(IVM_HOOK_KVM_ENTRY, &e);
		return;
	}
	sender_leaves(me, &e);
	v = find_vcpu(me->vcpu);
	if (!v)
		return;
	entering_event(v, &e);
	if (has_pending(v))
		stamp_pending(v, &e);
}

/* Events of the thread that holds a doorbell open */
static __always_inline void sender_event(struct ivm_task *me, __u32 id, struct ivm_event *e)
{
	if (streams)
		stream(id, e);
	else
		ivm_sender_step(&me->sender, e);
}

static __always_inline bool has_open(const struct ivm_task *me)
{
	return me && (streams ? me->is_open : me->sender.open.id != 0);
}

IVM_TRACEPOINT(kvm_userspace_exit)
{
	struct ivm_task *me = begin(IVM_HOOK_KVM_USERSPACE_EXIT);
	struct ivm_event e;

	if (!has_open(me))
		return;
	if (me->sender.open.configured == IVM_M_DIRECT && !fallback_seen)
		fallback_seen = 1;
	make_event(&e, me, now_ns, IVM_EV_USER_EXIT, (__u32)ctx[0], (__u32)ctx[1], 0);
	sender_event(me, IVM_HOOK_KVM_USERSPACE_EXIT, &e);
}

IVM_TRACEPOINT(kvm_vcpu_wakeup)
{
	struct ivm_task *me = begin(IVM_HOOK_KVM_VCPU_WAKEUP);
	struct ivm_vcpu_state *v;
	struct ivm_event e;

	if (!is_vcpu(me))
		return;
	make_event(&e, me, now_ns, IVM_EV_UNHALT, ctx[0], (__u8)ctx[1], (__u8)ctx[2]);
	if (streams) {
		stream(IVM_HOOK_KVM_VCPU_WAKEUP, &e);
		return;
	}
	v = find_vcpu(me->vcpu);
	if (v)
		vcpu_event(v, &e, VCPU_UNHALT);
}

/* ---- the doorbell ---- */

/* A thread rings the doorbells of one page mostly */
static __always_inline struct ivm_doorbell *find_doorbell(struct ivm_task *me, __u64 address)
{
	struct ivm_doorbell_key key = { .frame = address >> IVM_PAGE_SHIFT, .tgid = me->tgid };
	struct ivm_known *known = &me->known;
	__u32 generation = follow_generation;
	struct ivm_doorbell *bell;

	if (known->bell_generation == generation && known->page.frame == key.frame &&
	    known->page.tgid == key.tgid)
		return &known->bell;
	bell = bpf_map_lookup_elem(&doorbells, &key);
	if (!bell)
		return NULL;
	known->page = key;
	known->bell = *bell;
	known->bell_generation = generation;
	return &known->bell;
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

/* A write of another size or place is none: the device ignores it */
static __always_inline bool rings(const struct ivm_event *e)
{
	return e->c == sizeof(__u32) && e->a % sizeof(__u32) == 0 && !stopping;
}

/* Looked at before the clock: it may be every other access */
static __always_inline bool is_end_of_interrupt(const __u64 *ctx)
{
	return ctx[2] == IVM_APIC_EOI && (__u32)ctx[0] == KVM_TRACE_MMIO_WRITE && !counts_all;
}

IVM_TRACEPOINT_IF(kvm_mmio, !is_end_of_interrupt(ctx))
{
	struct ivm_task *me = begin(IVM_HOOK_KVM_MMIO);
	bool is_write = (__u32)ctx[0] == KVM_TRACE_MMIO_WRITE;
	struct ivm_doorbell *bell = NULL;
	__u64 address = ctx[2];
	__u32 bytes = ctx[1];
	struct ivm_event e;
	__u32 was_open;

	if (!is_vcpu(me))
		return;
	if (is_write) {
		me->access_ns = now_ns;
		bell = find_doorbell(me, address);
	}
	was_open = me->is_open;
	me->is_open = bell != NULL;
	if (!bell && !(streams ? was_open : has_open(me) || me->accepted_id))
		return;
	make_event(&e, me, now_ns, IVM_EV_MMIO, is_write ? address : IVM_NO_ADDRESS,
		   bell ? read_value((void *)ctx[3], bytes) : 0, bytes);
	if (streams) {
		stream(IVM_HOOK_KVM_MMIO, &e);
		return;
	}
	sender_leaves(me, &e);
	if (bell && rings(&e))
		open_doorbell(me, bell, &e);
}

/* No doorbell of ours is a port: this only ends one that is open */
IVM_TRACEPOINT(kvm_pio)
{
	struct ivm_task *me = begin(IVM_HOOK_KVM_PIO);
	bool is_out = (__u32)ctx[0];
	struct ivm_event e;
	bool was_open;

	if (!is_vcpu(me))
		return;
	me->accepted_id = 0;
	if (is_out)
		me->access_ns = now_ns;
	was_open = has_open(me);
	me->is_open = 0;
	if (!was_open)
		return;
	make_event(&e, me, now_ns, IVM_EV_PIO, is_out ? (__u32)ctx[1] : IVM_NO_ADDRESS, 0, ctx[2]);
	if (streams)
		stream(IVM_HOOK_KVM_PIO, &e);
	else
		sender_leaves(me, &e);
}

IVM_TRACEPOINT(kvm_fast_mmio)
{
	struct ivm_task *me = begin(IVM_HOOK_KVM_FAST_MMIO);
	struct ivm_event e;

	if (!me || !find_doorbell(me, ctx[0]))
		return;
	make_event(&e, me, now_ns, IVM_EV_FAST_MMIO, ctx[0], 0, 0);
	sender_event(me, IVM_HOOK_KVM_FAST_MMIO, &e);
}

/* ---- from the doorbell to the local APIC ---- */

IVM_TRACEPOINT(kvm_msi_set_irq)
{
	struct ivm_task *me = begin(IVM_HOOK_KVM_MSI_SET_IRQ);
	struct ivm_event e;

	if (!me)
		return;
	make_event(&e, me, now_ns, IVM_EV_MSI, ctx[0], ctx[1], 0);
	if (!streams && (e.flags & IVM_EV_F_HARDIRQ))
		return;
	route_seen = 1;
	me->copies_tgid = 0;
	sender_event(me, IVM_HOOK_KVM_MSI_SET_IRQ, &e);
}

IVM_TRACEPOINT(kvm_set_irq)
{
	struct ivm_task *me = begin(IVM_HOOK_KVM_SET_IRQ);
	struct ivm_event e;

	if (!me || !streams || !(me->is_open || me->work_ns))
		return;
	make_event(&e, me, now_ns, IVM_EV_SET_IRQ, (__u32)ctx[0], (__u32)ctx[1], (__u32)ctx[2]);
	stream(IVM_HOOK_KVM_SET_IRQ, &e);
}

IVM_TRACEPOINT(kvm_apic_accept_irq)
{
	struct ivm_task *me = begin(IVM_HOOK_KVM_APIC_ACCEPT_IRQ);
	struct ivm_event e;

	if (!me)
		return;
	make_event(&e, me, now_ns, IVM_EV_ACCEPT, (__u32)ctx[0], (__u8)ctx[3], (__u16)ctx[1]);
	if (streams)
		stream(IVM_HOOK_KVM_APIC_ACCEPT_IRQ, &e);
	else if (!(e.flags & IVM_EV_F_HARDIRQ))
		accept(me, &e);
}

IVM_TRACEPOINT(kvm_apicv_accept_irq)
{
	struct ivm_task *me = begin(IVM_HOOK_KVM_APICV_ACCEPT_IRQ);
	struct ivm_event e;

	if (!me)
		return;
	make_event(&e, me, now_ns, IVM_EV_APICV_ACCEPT, (__u32)ctx[0], (__u8)ctx[3],
		   (__u16)ctx[1]);
	if (streams)
		stream(IVM_HOOK_KVM_APICV_ACCEPT_IRQ, &e);
	else if (me->accepted_id)
		posted(me);
}

IVM_TRACEPOINT(ipi_send_cpu)
{
	struct ivm_task *me = begin(IVM_HOOK_IPI_SEND_CPU);
	struct ivm_event e;

	if (!me || !(streams || me->accepted_id))
		return;
	make_event(&e, me, now_ns, IVM_EV_IPI, (__u32)ctx[0], ctx[2], 0);
	if (streams)
		stream(IVM_HOOK_IPI_SEND_CPU, &e);
	else if (!e.b && !(e.flags & IVM_EV_F_HARDIRQ))
		kick(me, &e);
}

/* As a number: the verifier has rules of its own for what is done to a typed pointer */
static __always_inline __u64 untyped(const __u64 *argument)
{
	__u64 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), argument);
	return value;
}

static __always_inline void signalled(__u64 now_ns, __u32 id, __u8 type, void *eventfd)
{
	struct eventfd_ctx *context = eventfd;
	struct ivm_task *me = begin(id);
	struct ivm_event e;

	if (!has_open(me))
		return;
	make_event(&e, me, now_ns, type, (__u64)context, (__u32)BPF_CORE_READ(context, id), 0);
	sender_event(me, id, &e);
}

/* Attached to eventfd_signal_mask where the kernel has no eventfd_signal */
SEC("fentry/eventfd_signal")
int eventfd_signal_fentry(__u64 *ctx)
{
	signalled(bpf_ktime_get_ns(), IVM_HOOK_EVENTFD_SIGNAL, IVM_EV_SIGNAL,
		  (void *)untyped(&ctx[0]));
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
	struct ivm_task *me = begin(IVM_HOOK_QUEUE_WORK);
	__u64 work = untyped(&ctx[2]);
	struct ivm_event e;

	if (!me || !is_irqfd_inject((void *)work))
		return;
	make_event(&e, me, now_ns, IVM_EV_QUEUE_WORK, work, 0, 0);
	if (streams)
		stream(IVM_HOOK_QUEUE_WORK, &e);
	defer(me, &e);
}

/* Kworkers are not followed until they run such an item */
IVM_TRACEPOINT(workqueue_execute_start)
{
	__u64 key = untyped(&ctx[0]);
	struct ivm_work *work;
	struct ivm_task *me;
	struct ivm_event e;

	if (!armed || !is_irqfd_inject((void *)key))
		return;
	work = bpf_map_lookup_elem(&works, &key);
	if (!work)
		return;
	count_fired(IVM_HOOK_WORK_START);
	me = bpf_task_storage_get(&tasks, bpf_get_current_task_btf(), NULL,
				  BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!me) {
		count(IVM_LOST_MAP);
		return;
	}
	make_event(&e, me, now_ns, IVM_EV_WORK_START, key, 0, 0);
	start_work(me, work, &e);
	if (streams)
		stream(IVM_HOOK_WORK_START, &e);
	bpf_map_delete_elem(&works, &key);
}

/* The item may be freed by now: only its address is used */
IVM_TRACEPOINT(workqueue_execute_end)
{
	struct ivm_task *me = begin(IVM_HOOK_WORK_END);
	struct ivm_event e;

	if (!me || !me->work_ns)
		return;
	make_event(&e, me, now_ns, IVM_EV_WORK_END, untyped(&ctx[0]), 0, 0);
	if (streams)
		stream(IVM_HOOK_WORK_END, &e);
	else
		sender_leaves(me, &e);
	me->work_ns = 0;
	me->defer_ns = 0;
}

/* ---- the receiver ---- */

IVM_TRACEPOINT(kvm_inj_virq)
{
	struct ivm_task *me = begin(IVM_HOOK_KVM_INJ_VIRQ);
	struct ivm_vcpu_state *v;
	__u64 again = 0;
	struct ivm_event e;

	if (!is_vcpu(me))
		return;
	if (kvm_inj_virq_args > 1)
		again = !!(__u8)ctx[1] | !!(__u8)ctx[2] << 1;
	inject_seen = 1;
	make_event(&e, me, now_ns, IVM_EV_INJ, (__u32)ctx[0], again, 0);
	if (streams) {
		stream(IVM_HOOK_KVM_INJ_VIRQ, &e);
		return;
	}
	v = find_vcpu(me->vcpu);
	if (v && !again)
		end_point(me, v, &e);
}

/* Where kvm_eoi comes at delivery, that of the guest's own has no vector */
static __always_inline bool has_vector(const __u64 *ctx)
{
	return (__s32)ctx[1] >= 0 || streams || counts_all;
}

IVM_TRACEPOINT_IF(kvm_eoi, has_vector(ctx))
{
	struct ivm_task *me = begin(IVM_HOOK_KVM_EOI);
	__s64 irq_vector = (__s32)ctx[1];
	struct ivm_vcpu_state *v;
	struct ivm_event e;

	if (!is_vcpu(me))
		return;
	make_event(&e, me, now_ns, IVM_EV_EOI, irq_vector, 0, 0);
	if (streams) {
		stream(IVM_HOOK_KVM_EOI, &e);
		return;
	}
	v = find_vcpu(me->vcpu);
	if (v && !inject_seen && irq_vector >= 0 && irq_vector < 256)
		end_point(me, v, &e);
}

/* A vCPU's first offset is set before its thread is known: discovery reads that one */
IVM_TRACEPOINT(kvm_write_tsc_offset)
{
	struct ivm_task *me = begin(IVM_HOOK_KVM_WRITE_TSC_OFFSET);
	struct ivm_event e;

	if (!me)
		return;
	make_event(&e, me, now_ns, IVM_EV_TSC_OFFSET, ctx[2], ctx[1], (__u32)ctx[0]);
	stream(IVM_HOOK_KVM_WRITE_TSC_OFFSET, &e);
}

/* ---- the scheduler, for vCPUs and the threads that read a link's socket ---- */

/* Inside the send of a RING, and it is the peer's reader that wakes */
static __always_inline void note_wake(const struct ivm_task *woken, const struct ivm_event *e)
{
	struct ivm_task *me = task_of(bpf_get_current_task_btf());

	if (me && me->is_sending && me->sender.open.id && me->to_tgid == woken->tgid)
		ivm_stream_step(&me->sender.open, e);
}

static __always_inline void wake(struct ivm_task *woken, const struct ivm_event *e)
{
	struct ivm_vcpu_state *v = find_vcpu(woken->vcpu);

	if (v)
		vcpu_event(v, e, VCPU_WAKING);
	if (!(woken->kind & IVM_THREAD_LOOP))
		return;
	ivm_reader_step(&woken->reader, e);
	note_wake(woken, e);
}

IVM_TRACEPOINT(sched_waking)
{
	struct task_struct *task = (void *)ctx[0];
	struct ivm_task *woken;
	struct ivm_event e;

	if (!armed)
		return;
	woken = task_of(task);
	if (!woken)
		return;
	count_fired(IVM_HOOK_SCHED_WAKING);
	make_event(&e, woken, now_ns, IVM_EV_WAKING, 0, 0, 0);
	if (!streams) {
		wake(woken, &e);
		return;
	}
	e.a = BPF_CORE_READ(task, pid);
	e.tgid = bpf_get_current_pid_tgid() >> 32;
	stream(IVM_HOOK_SCHED_WAKING, &e);
}

static __always_inline void switched_in(struct ivm_task *task, const struct ivm_event *e)
{
	struct ivm_vcpu_state *v = find_vcpu(task->vcpu);

	ivm_reader_step(&task->reader, e);
	if (!v)
		return;
	v->cpu = e->cpu;
	vcpu_event(v, e, VCPU_RUN);
}

IVM_TRACEPOINT(sched_switch)
{
	struct task_struct *next = (void *)ctx[2];
	struct ivm_task *task;
	struct ivm_event e;

	if (!armed)
		return;
	task = task_of(next);
	if (!task)
		return;
	count_fired(IVM_HOOK_SCHED_SWITCH);
	make_event(&e, task, now_ns, IVM_EV_SWITCH_IN, 0, 0, 0);
	if (!streams) {
		switched_in(task, &e);
		return;
	}
	e.tid = BPF_CORE_READ(next, pid);
	e.a = (__u32)bpf_get_current_pid_tgid();
	stream(IVM_HOOK_SCHED_SWITCH, &e);
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

/* Is it the open doorbell's eventfd?  Others are another device's. */
static __always_inline bool is_open_eventfd(const struct ivm_task *me, __s32 fd)
{
	struct ivm_fd_key key = { .tgid = me->tgid, .fd = fd };
	struct ivm_target *target = bpf_map_lookup_elem(&eventfds, &key);

	return target && target->end == me->sender.open.from_end &&
	       target->vector == me->sender.open.vector;
}

static __always_inline struct ivm_writer *find_writer(__s32 fd)
{
	struct ivm_fd_key key = { .tgid = bpf_get_current_pid_tgid() >> 32, .fd = fd };

	return armed && writers_known ? bpf_map_lookup_elem(&writers, &key) : NULL;
}

/* Any thread of a process may write: followed from its first write on */
static __always_inline struct ivm_task *writing_task(struct ivm_task *me)
{
	if (me)
		return me;
	me = bpf_task_storage_get(&tasks, bpf_get_current_task_btf(), NULL,
				  BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!me) {
		count(IVM_LOST_MAP);
		return NULL;
	}
	me->tgid = bpf_get_current_pid_tgid() >> 32;
	me->fd = -1;
	return me;
}

static __always_inline void write_begins(struct ivm_task *me, const struct ivm_writer *writer,
					 struct sys_enter_record *ctx, __u64 now_ns)
{
	struct ivm_event e;

	me = writing_task(me);
	if (!me || stopping)
		return;
	make_event(&e, me, now_ns, IVM_EV_WRITE, 0, 0, ctx->args[0]);
	me->is_open = 1;
	if (streams)
		stream(IVM_HOOK_WRITE, &e);
	else
		open_write(me, writer, &e);
}

IVM_SYSCALL(sys_enter_write, struct sys_enter_record)
{
	struct ivm_task *me = begin(IVM_HOOK_WRITE);
	struct ivm_writer *writer = find_writer(ctx->args[0]);
	struct ivm_event e;

	if (writer) {
		write_begins(me, writer, ctx, now_ns);
		return;
	}
	if (!has_open(me))
		return;
	make_event(&e, me, now_ns, IVM_EV_WRITE, 0, 0, ctx->args[0]);
	if (streams || is_open_eventfd(me, ctx->args[0]))
		sender_event(me, IVM_HOOK_WRITE, &e);
}

/* The socket call that the thread is about to make, if it is one of a link's */
static __always_inline struct ivm_socket *socket_call(struct ivm_task *me,
						      struct sys_enter_record *ctx)
{
	struct ivm_socket *socket = me ? find_socket(me->tgid, ctx->args[0]) : NULL;

	if (!socket)
		return NULL;
	me->fd = ctx->args[0];
	me->msg = ctx->args[1];
	return socket;
}

/* ... and the one it comes back from */
static __always_inline struct ivm_socket *socket_return(struct ivm_task *me)
{
	return me && me->fd >= 0 ? find_socket(me->tgid, me->fd) : NULL;
}

/* The open doorbell's RING goes into the socket, or another one that was held */
static __always_inline void send_ring(struct ivm_task *me, const struct ivm_socket *socket,
				      const struct ivm_event *e)
{
	if (me->sender.open.id && e->a && socket->end == me->sender.open.from_end) {
		ivm_sender_step(&me->sender, e);
		me->is_sending = 1;
	} else if (e->a) {
		stream(IVM_HOOK_SENDMSG, e);
	}
}

IVM_SYSCALL(sys_enter_sendmsg, struct sys_enter_record)
{
	struct ivm_task *me = begin(IVM_HOOK_SENDMSG);
	struct ivm_socket *socket = socket_call(me, ctx);
	struct ivm_user_iovec iov = {};
	struct rings rings = {};
	struct ivm_event e;

	if (!socket)
		return;
	if (first_iovec(me->msg, &iov))
		read_rings(socket, 0, iov.base, iov.bytes, &rings);
	make_event(&e, me, now_ns, IVM_EV_SENDMSG, rings.first, rings.last, me->fd);
	e.tid = (__u32)bpf_get_current_pid_tgid();
	if (streams)
		stream(IVM_HOOK_SENDMSG, &e);
	else
		send_ring(me, socket, &e);
}

/* The send is over: the RING is in the socket, or there was no room for it */
static __always_inline void end_send(struct ivm_task *me, const struct ivm_event *e)
{
	struct ivm_journey *j = &me->sender.open;

	if (!me->is_sending)
		return;
	me->is_sending = 0;
	if (!j->id)
		return;
	if (ivm_stream_step(j, e) == IVM_ST_HELD)
		emit_open(IVM_REC_CLOSED, me, e->t_ns);
	else
		emit_open(IVM_REC_SENT, me, j->t_ns[IVM_P_SEND]);
	j->id = 0;
}

IVM_SYSCALL(sys_exit_sendmsg, struct sys_exit_record)
{
	struct ivm_task *me = begin(IVM_HOOK_SENDMSG_RET);
	struct ivm_socket *socket = socket_return(me);
	struct ivm_user_iovec iov = {};
	struct ivm_event e;

	if (!socket)
		return;
	if (ctx->ret > 0 && first_iovec(me->msg, &iov))
		advance(socket, 0, iov.base, ctx->ret);
	make_event(&e, me, now_ns, IVM_EV_SENDMSG_RET, ctx->ret, 0, me->fd);
	me->fd = -1;
	if (streams)
		stream(IVM_HOOK_SENDMSG_RET, &e);
	else
		end_send(me, &e);
}

IVM_SYSCALL(sys_enter_recvmsg, struct sys_enter_record)
{
	socket_call(begin(IVM_HOOK_RECVMSG), ctx);
}

IVM_SYSCALL(sys_exit_recvmsg, struct sys_exit_record)
{
	struct ivm_task *me = begin(IVM_HOOK_RECVMSG_RET);
	struct ivm_socket *socket = socket_return(me);
	struct ivm_user_iovec iov = {};
	struct rings rings = {};
	struct ivm_event e;

	if (!socket)
		return;
	if (ctx->ret > 0 && first_iovec(me->msg, &iov)) {
		read_rings(socket, 1, iov.base, ctx->ret, &rings);
		advance(socket, 1, iov.base, ctx->ret);
	}
	make_event(&e, me, now_ns, IVM_EV_RECVMSG, rings.first, rings.last, me->fd);
	me->fd = -1;
	if (ctx->ret > 0)
		receive_rings(me, &e);
}

/* Does the process hear doorbells on this descriptor, as KVM does not? */
static __always_inline bool hears(const struct ivm_task *me, __s32 fd)
{
	struct ivm_fd_key key = { .tgid = me->tgid, .fd = fd };

	return bpf_map_lookup_elem(&heard, &key);
}

IVM_SYSCALL(sys_enter_preadv2, struct sys_enter_record)
{
	struct ivm_task *me = begin(IVM_HOOK_READ);

	if (!me || !(me->kind & IVM_THREAD_LOOP) || !hears(me, ctx->args[0]))
		return;
	me->fd = ctx->args[0];
	me->msg = ctx->args[1];
}

/* How many signals it has found there says exactly which rings it raises an interrupt for */
IVM_SYSCALL(sys_exit_preadv2, struct sys_exit_record)
{
	struct ivm_task *me = begin(IVM_HOOK_READ_RET);
	struct ivm_user_iovec iov = {};
	struct ivm_event e;
	__u64 signals = 0;

	if (!me || me->fd < 0 || !hears(me, me->fd))
		return;
	make_event(&e, me, now_ns, IVM_EV_READ, 0, 0, me->fd);
	me->fd = -1;
	if (ctx->ret != sizeof(signals))
		return;
	if (!bpf_probe_read_user(&iov, sizeof(iov), (void *)me->msg) &&
	    !bpf_probe_read_user(&signals, sizeof(signals), (void *)iov.base))
		e.a = signals;
	e.tid = (__u32)bpf_get_current_pid_tgid();
	stream(IVM_HOOK_READ_RET, &e);
}

/* ---- which threads are followed ---- */

/* Turns the claims of user space into storage, which only the kernel can make */
SEC("iter/task")
int claim_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct ivm_vcpu_state *v;
	struct ivm_claim *claim;
	struct ivm_task *found;
	__u32 tid;

	if (!task)
		return 0;
	tid = BPF_CORE_READ(task, pid);
	claim = bpf_map_lookup_elem(&claims, &tid);
	if (!claim || claim->tgid != (__u32)BPF_CORE_READ(task, tgid))
		return 0;
	found = bpf_task_storage_get(&tasks, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!found) {
		count(IVM_LOST_MAP);
		return 0;
	}
	if (!found->tgid)
		found->fd = -1;
	found->tgid = claim->tgid;
	found->kind = claim->kind;
	found->vcpu = claim->vcpu;
	v = find_vcpu(claim->vcpu);
	found->vcpu_id = v ? v->vcpu_id : 0;
	return 0;
}

/* What doorbells are still open when all hooks are detached */
SEC("iter/task")
int open_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct ivm_task *found;

	if (!task)
		return 0;
	found = bpf_task_storage_get(&tasks, task, NULL, 0);
	if (found && found->sender.open.id)
		bpf_seq_write(ctx->meta->seq, &found->sender.open, sizeof(found->sender.open));
	return 0;
}
