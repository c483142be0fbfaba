// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Events from tracefs, for hosts that refuse BPF.
 *
 * The kernel records more than is asked for; the same filters as in the BPF
 * programs (bpf/ivmtrace.bpf.c) are applied here, to records in order of time.
 * What a socket carries cannot be read: messages are told by their place
 * (sockets.h).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/btf.h>
#include <glib.h>

#include "clock.h"
#include "records.h"
#include "sockets.h"
#include "source.h"
#include "tracefs.h"
#include "tracefs_reader.h"

#define MSEC_NS		1000000ull
#define FIRST_LOOKS	20
#define FIRST_LOOK_US	1000
#define STRANGER_NS	(1000 * MSEC_NS)	/* a number may be another thread's then */

#define KVM_TRACE_MMIO_WRITE	2
#define IVM_NO_ADDRESS		(~0ull)
#define SWITCH_STATE_MASK	0xff	/* sched_switch sets a higher bit if preempted */

/* A thread of a followed VM */
struct task {
	uint32_t tgid;
	bool scheduled;		/* a vCPU or the main loop: the scheduler matters */
	bool open;		/* a doorbell may be open on it */
	int fd;			/* of the socket call it is in, -1 none */
	bool sends_ring;	/* ... a send by an open doorbell */
	int heard_fd;		/* of the eventfd that it reads, -1 none */
};

struct tracefs_source {
	struct ivm_source base;
	struct ivm_kernel kernel;
	struct ivm_reader *reader;
	struct ivm_sockets *sockets;
	const struct ivm_topology *topology;
	GHashTable *vms;		/* tgids followed */
	GHashTable *tasks;		/* tid -> struct task */
	GHashTable *strangers;		/* tids of other processes */
	uint64_t strangers_ns;		/* since when they were collected */
	GHashTable *works;		/* irqfd_inject items that a followed VM queued */
	GHashTable *workers;		/* tid of the kworker that runs one -> item */
	GArray *on_cpu;			/* thread that each CPU switched to last, 0 none or idle */
	uint64_t overrun;
	uint64_t switches;
	uint64_t unplaced;
	bool armed;
	bool from_file;			/* this host knows nothing of its threads */
	uint64_t armed_ns;		/* what was recorded before only serves to find places */
};

#define fail(s, ...) ivm_source_fail(&(s)->base, __VA_ARGS__)

static struct tracefs_source *of(struct ivm_source *source)
{
	return (struct tracefs_source *)source;
}

/* ---- threads ---- */

static struct task *find_task(const struct tracefs_source *s, uint32_t tid)
{
	return g_hash_table_lookup(s->tasks, GUINT_TO_POINTER(tid));
}

static bool is_followed(const struct tracefs_source *s, uint32_t tgid)
{
	return g_hash_table_contains(s->vms, GUINT_TO_POINTER(tgid));
}

static struct task *add_task(struct tracefs_source *s, uint32_t tgid, uint32_t tid)
{
	struct task *task = find_task(s, tid);

	/* A thread number may have been another process's before */
	if (!task || task->tgid != tgid) {
		task = g_new0(struct task, 1);
		task->tgid = tgid;
		task->fd = task->heard_fd = -1;
		g_hash_table_insert(s->tasks, GUINT_TO_POINTER(tid), task);
	}
	return task;
}

static uint32_t read_tgid(uint32_t tid)
{
	g_autofree char *path = g_strdup_printf("/proc/%u/status", tid);
	g_autofree char *text = NULL;
	const char *line;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return 0;
	line = strstr(text, "\nTgid:");
	return line ? strtoul(line + strlen("\nTgid:"), NULL, 10) : 0;
}

/* Records name a thread, not its process */
static struct task *resolve(struct tracefs_source *s, uint32_t tid)
{
	struct task *task = find_task(s, tid);
	uint32_t tgid;

	if (task || s->from_file || g_hash_table_contains(s->strangers, GUINT_TO_POINTER(tid)))
		return task;
	tgid = read_tgid(tid);
	if (is_followed(s, tgid))
		return add_task(s, tgid, tid);
	g_hash_table_add(s->strangers, GUINT_TO_POINTER(tid));
	return NULL;
}

static bool is_scheduled(const struct tracefs_source *s, uint32_t tid)
{
	const struct task *task = find_task(s, tid);

	return task && task->scheduled;
}

/* ---- what each hook's record becomes ---- */

static void emit_for(struct tracefs_source *s, const struct ivm_record *r, uint8_t type,
		     uint32_t tgid, uint32_t tid, uint64_t a, uint64_t b, uint32_t c)
{
	const struct ivm_event event = {
		.t_ns = r->t_ns,
		.a = a,
		.b = b,
		.tgid = tgid,
		.tid = tid,
		.c = c,
		.cpu = r->cpu,
		.type = type,
		.flags = r->hardirq ? IVM_EV_F_HARDIRQ : 0,
	};

	if (r->t_ns < s->armed_ns)
		return;
	s->base.opts.hooks[r->hook].fired += !s->base.opts.counts_all;
	s->base.opts.take_event(s->base.opts.arg, &event);
}

static void emit(struct tracefs_source *s, const struct ivm_record *r, uint8_t type, uint64_t a,
		 uint64_t b, uint32_t c)
{
	emit_for(s, r, type, r->tgid, r->tid, a, b, c);
}

/* The current thread, which has just proved to be a vCPU */
static struct task *vcpu_task(struct tracefs_source *s, const struct ivm_record *r)
{
	struct task *task = find_task(s, r->tid);

	if (task)
		task->scheduled = true;
	return task;
}

static bool has_doorbell_open(const struct tracefs_source *s, uint32_t tid)
{
	const struct task *task = find_task(s, tid);

	return task && task->open;
}

static bool is_worker(const struct tracefs_source *s, uint32_t tid)
{
	return g_hash_table_contains(s->workers, GUINT_TO_POINTER(tid));
}

/* May this thread be carrying an interrupt to a followed VM? */
static bool may_signal(const struct tracefs_source *s, const struct ivm_record *r)
{
	return is_followed(s, r->tgid) || is_worker(s, r->tid);
}

static void on_exit_guest(struct tracefs_source *s, const struct ivm_record *r)
{
	struct task *task = vcpu_task(s, r);

	if (!task)
		return;
	task->open = false;
	emit(s, r, IVM_EV_EXIT, (uint32_t)r->args[0], (uint32_t)r->args[1], 0);
}

static void on_entry(struct tracefs_source *s, const struct ivm_record *r)
{
	struct task *task = vcpu_task(s, r);

	if (!task)
		return;
	task->open = false;
	emit(s, r, IVM_EV_ENTRY, 0, 0, 0);
}

static void on_mmio(struct tracefs_source *s, const struct ivm_record *r)
{
	bool is_write = r->args[0] == KVM_TRACE_MMIO_WRITE;
	uint32_t bytes = r->args[1];
	uint64_t address = r->args[2], value = r->args[3];
	struct task *task = vcpu_task(s, r);
	bool rings;

	if (!task)
		return;
	rings = is_write && ivm_topology_has_doorbell(s->topology, r->tgid, address);
	if (!rings && !task->open)
		return;
	task->open = rings;
	if (bytes < sizeof(value))
		value &= (1ull << (bytes * 8)) - 1;
	emit(s, r, IVM_EV_MMIO, is_write ? address : IVM_NO_ADDRESS, is_write ? value : 0, bytes);
}

static void on_pio(struct tracefs_source *s, const struct ivm_record *r)
{
	struct task *task = find_task(s, r->tid);

	if (!task || !task->open)
		return;
	task->open = false;
	emit(s, r, IVM_EV_PIO, r->args[0] ? r->args[1] : IVM_NO_ADDRESS, 0, r->args[2]);
}

static void on_fast_mmio(struct tracefs_source *s, const struct ivm_record *r)
{
	if (ivm_topology_has_doorbell(s->topology, r->tgid, r->args[0]))
		emit(s, r, IVM_EV_FAST_MMIO, r->args[0], 0, 0);
}

static void on_user_exit(struct tracefs_source *s, const struct ivm_record *r)
{
	if (has_doorbell_open(s, r->tid))
		emit(s, r, IVM_EV_USER_EXIT, (uint32_t)r->args[0], (uint32_t)r->args[1], 0);
}

static void on_msi(struct tracefs_source *s, const struct ivm_record *r)
{
	if (may_signal(s, r))
		emit(s, r, IVM_EV_MSI, r->args[0], r->args[1], 0);
}

static void on_set_irq(struct tracefs_source *s, const struct ivm_record *r)
{
	if (has_doorbell_open(s, r->tid) || is_worker(s, r->tid))
		emit(s, r, IVM_EV_SET_IRQ, (uint32_t)r->args[0], (uint32_t)r->args[1],
		     r->args[2]);
}

static void on_accept(struct tracefs_source *s, const struct ivm_record *r)
{
	if (may_signal(s, r))
		emit(s, r, IVM_EV_ACCEPT, (uint32_t)r->args[0], (uint8_t)r->args[1],
		     (uint16_t)r->args[2]);
}

static void on_apicv_accept(struct tracefs_source *s, const struct ivm_record *r)
{
	if (may_signal(s, r))
		emit(s, r, IVM_EV_APICV_ACCEPT, (uint32_t)r->args[0], (uint8_t)r->args[1],
		     (uint16_t)r->args[2]);
}

static void on_unhalt(struct tracefs_source *s, const struct ivm_record *r)
{
	if (vcpu_task(s, r))
		emit(s, r, IVM_EV_UNHALT, r->args[0], r->args[1], r->args[2]);
}

static void on_inj(struct tracefs_source *s, const struct ivm_record *r)
{
	if (vcpu_task(s, r))
		emit(s, r, IVM_EV_INJ, (uint32_t)r->args[0],
		     (r->args[1] ? 1 : 0) | (r->args[2] ? 2 : 0), 0);
}

static void on_eoi(struct tracefs_source *s, const struct ivm_record *r)
{
	if (vcpu_task(s, r))
		emit(s, r, IVM_EV_EOI, (int64_t)(int32_t)r->args[0], 0, 0);
}

static void on_tsc_offset(struct tracefs_source *s, const struct ivm_record *r)
{
	if (is_followed(s, r->tgid))
		emit(s, r, IVM_EV_TSC_OFFSET, r->args[0], r->args[1], r->args[2]);
}

static void on_waking(struct tracefs_source *s, const struct ivm_record *r)
{
	if (is_scheduled(s, r->args[0]))
		emit(s, r, IVM_EV_WAKING, (uint32_t)r->args[0], 0, 0);
}

static void on_switch(struct tracefs_source *s, const struct ivm_record *r)
{
	uint32_t prev = r->args[0], next = r->args[1];

	if (is_scheduled(s, prev))
		emit_for(s, r, IVM_EV_SWITCH_OUT, find_task(s, prev)->tgid, prev, next,
			 !(r->args[2] & SWITCH_STATE_MASK), 0);
	if (is_scheduled(s, next))
		emit_for(s, r, IVM_EV_SWITCH_IN, find_task(s, next)->tgid, next, prev, 0, 0);
}

static void on_ipi(struct tracefs_source *s, const struct ivm_record *r)
{
	if (may_signal(s, r))
		emit(s, r, IVM_EV_IPI, (uint32_t)r->args[0], r->args[1], 0);
}

static void on_queue_work(struct tracefs_source *s, const struct ivm_record *r)
{
	gint64 work = r->args[0];

	if (!s->kernel.irqfd_inject || r->args[1] != s->kernel.irqfd_inject ||
	    !is_followed(s, r->tgid))
		return;
	g_hash_table_add(s->works, g_memdup2(&work, sizeof(work)));
	emit(s, r, IVM_EV_QUEUE_WORK, work, 0, 0);
}

static void on_work_start(struct tracefs_source *s, const struct ivm_record *r)
{
	gint64 work = r->args[0];

	if (!g_hash_table_remove(s->works, &work))
		return;
	g_hash_table_add(s->workers, GUINT_TO_POINTER(r->tid));
	emit(s, r, IVM_EV_WORK_START, work, 0, 0);
}

static void on_work_end(struct tracefs_source *s, const struct ivm_record *r)
{
	if (g_hash_table_remove(s->workers, GUINT_TO_POINTER(r->tid)))
		emit(s, r, IVM_EV_WORK_END, r->args[0], 0, 0);
}

static void on_write(struct tracefs_source *s, const struct ivm_record *r)
{
	struct task *task = find_task(s, r->tid);

	if (!task)
		return;
	/* The eventfd of a link's doorbell, or one that is all there is to see */
	if (!task->open && !ivm_topology_writes(s->topology, task->tgid, r->args[0]))
		return;
	task->open = true;
	emit(s, r, IVM_EV_WRITE, 0, 0, r->args[0]);
}

static void on_signal(struct tracefs_source *s, const struct ivm_record *r)
{
	if (has_doorbell_open(s, r->tid))
		emit(s, r, IVM_EV_SIGNAL, r->args[0], (uint32_t)r->args[1], 0);
}

static void on_eventfd_write(struct tracefs_source *s, const struct ivm_record *r)
{
	if (has_doorbell_open(s, r->tid))
		emit(s, r, IVM_EV_EVENTFD_WRITE, r->args[0], (uint32_t)r->args[1], 0);
}

/* The main loop of a receiver without irqfd; what the read finds cannot be seen here */
static void on_read(struct tracefs_source *s, const struct ivm_record *r)
{
	struct task *task = find_task(s, r->tid);
	uint32_t vector;

	if (task && r->tid == r->tgid &&
	    ivm_topology_heard(s->topology, r->tgid, r->args[0], &vector))
		task->heard_fd = r->args[0];
}

static void on_read_ret(struct tracefs_source *s, const struct ivm_record *r)
{
	struct task *task = find_task(s, r->tid);

	if (!task || task->heard_fd < 0)
		return;
	if (r->args[0] == sizeof(uint64_t))
		emit(s, r, IVM_EV_READ, 0, 0, task->heard_fd);
	task->heard_fd = -1;
}

/* ---- the links' sockets ---- */

static bool is_link_socket(const struct tracefs_source *s, uint32_t tgid, int fd)
{
	return ivm_topology_socket(s->topology, tgid, fd) != NULL;
}

static struct task *enter_call(struct tracefs_source *s, const struct ivm_record *r, bool sends)
{
	struct task *task = find_task(s, r->tid);

	if (!task)
		return NULL;
	task->fd = r->args[0];
	task->sends_ring = false;
	ivm_sockets_enter(s->sockets, r->tgid, task->fd, sends, r->t_ns);
	return task;
}

/*
 * The device sends a RING right from the doorbell's access, and only if nothing
 * waits before it: a send by a thread with a doorbell open is that message.
 */
static void on_sendmsg(struct tracefs_source *s, const struct ivm_record *r)
{
	struct task *task = enter_call(s, r, true);
	uint64_t unit;

	if (!task || !task->open || !is_link_socket(s, r->tgid, task->fd))
		return;
	unit = ivm_sockets_next(s->sockets, r->tgid, task->fd);
	s->unplaced += !unit && r->t_ns >= s->armed_ns;
	task->sends_ring = true;
	emit(s, r, IVM_EV_SENDMSG, unit, unit, task->fd);
}

/*
 * What is sent otherwise is known only now: by the main loop, held RINGs; by a
 * vCPU, a message about its driver.
 */
static void note_other_send(struct tracefs_source *s, const struct ivm_record *r, int fd,
			    const struct ivm_units *units)
{
	bool rings = r->tid == r->tgid;

	if (units->last)
		emit(s, r, IVM_EV_SENDMSG, rings ? units->first : 0, units->last, fd);
}

/* Return: the descriptor, or -1 if the call began unseen or is none of a link's */
static int leave_call(struct tracefs_source *s, const struct ivm_record *r, bool sends,
		      struct ivm_units *units)
{
	struct task *task = find_task(s, r->tid);
	int fd;

	if (!task)
		return -1;
	fd = task->fd;
	task->fd = -1;
	if (fd < 0) {
		ivm_sockets_unsure(s->sockets, r->tgid);
		return -1;
	}
	ivm_sockets_leave(s->sockets, r->tgid, fd, sends, r->t_ns, r->args[0], units);
	return is_link_socket(s, r->tgid, fd) ? fd : -1;
}

static void on_sendmsg_ret(struct tracefs_source *s, const struct ivm_record *r)
{
	struct ivm_units units;
	int fd = leave_call(s, r, true, &units);

	if (fd < 0)
		return;
	if (!find_task(s, r->tid)->sends_ring)
		note_other_send(s, r, fd, &units);
	emit(s, r, IVM_EV_SENDMSG_RET, r->args[0], 0, fd);
}

static void on_recvmsg(struct tracefs_source *s, const struct ivm_record *r)
{
	enter_call(s, r, false);
}

static void on_recvmsg_ret(struct tracefs_source *s, const struct ivm_record *r)
{
	struct ivm_units units;
	int fd = leave_call(s, r, false, &units);

	if (fd >= 0 && (int64_t)r->args[0] > 0)
		emit(s, r, IVM_EV_RECVMSG, units.first, units.last, fd);
}

/* ---- which records are asked for ---- */

/* Of the scheduler's records most are nobody's; the others are needed to know */
enum keep {
	KEEP_ALL,
	KEEP_FOLLOWED,		/* ran on a thread of a followed VM */
	KEEP_WOKEN,		/* args[0] is one */
	KEEP_SWITCHED,		/* args[0] or args[1] is one */
};

static const struct {
	const char *fields[IVM_RECORD_ARGS];
	void (*handle)(struct tracefs_source *s, const struct ivm_record *r);
	enum keep keep;
	const char *filter;
} wanted[IVM_HOOKS] = {
	[IVM_HOOK_KVM_EXIT] = { { "exit_reason", "isa" }, on_exit_guest, KEEP_FOLLOWED, NULL },
	[IVM_HOOK_KVM_ENTRY] = { { NULL }, on_entry, KEEP_FOLLOWED, NULL },
	[IVM_HOOK_KVM_MMIO] = { { "type", "len", "gpa", "val" }, on_mmio, KEEP_FOLLOWED, NULL },
	[IVM_HOOK_KVM_PIO] = { { "rw", "port", "size" }, on_pio, KEEP_FOLLOWED, NULL },
	[IVM_HOOK_KVM_FAST_MMIO] = { { "gpa|fast_mmio" }, on_fast_mmio, KEEP_FOLLOWED, NULL },
	[IVM_HOOK_KVM_USERSPACE_EXIT] = { { "reason", "errno" }, on_user_exit, KEEP_FOLLOWED,
		NULL },
	[IVM_HOOK_KVM_MSI_SET_IRQ] = { { "address", "data" }, on_msi, KEEP_ALL, NULL },
	[IVM_HOOK_KVM_SET_IRQ] = { { "gsi", "level", "irq_source_id" }, on_set_irq, KEEP_ALL,
		NULL },
	[IVM_HOOK_KVM_APIC_ACCEPT_IRQ] = { { "apicid", "vec", "dm" }, on_accept, KEEP_ALL, NULL },
	[IVM_HOOK_KVM_APICV_ACCEPT_IRQ] = { { "apicid", "vec", "dm" }, on_apicv_accept, KEEP_ALL,
		NULL },
	[IVM_HOOK_KVM_VCPU_WAKEUP] = { { "ns", "waited", "valid" }, on_unhalt, KEEP_FOLLOWED,
		NULL },
	[IVM_HOOK_KVM_INJ_VIRQ] = { { "vector|irq", "soft", "reinjected" }, on_inj, KEEP_FOLLOWED,
		NULL },
	[IVM_HOOK_KVM_EOI] = { { "vector" }, on_eoi, KEEP_FOLLOWED, NULL },
	[IVM_HOOK_KVM_WRITE_TSC_OFFSET] = { { "next_tsc_offset", "previous_tsc_offset",
		"vcpu_id" }, on_tsc_offset, KEEP_FOLLOWED, NULL },
	[IVM_HOOK_SCHED_WAKING] = { { "pid" }, on_waking, KEEP_WOKEN, NULL },
	[IVM_HOOK_SCHED_SWITCH] = { { "prev_pid", "next_pid", "prev_state" }, on_switch,
		KEEP_SWITCHED, NULL },
	[IVM_HOOK_IPI_SEND_CPU] = { { "cpu", "callback" }, on_ipi, KEEP_ALL, NULL },
	[IVM_HOOK_QUEUE_WORK] = { { "work", "function" }, on_queue_work, KEEP_FOLLOWED, NULL },
	[IVM_HOOK_WORK_START] = { { "work" }, on_work_start, KEEP_ALL, NULL },
	[IVM_HOOK_WORK_END] = { { "work" }, on_work_end, KEEP_ALL, NULL },
	/* To an eventfd always eight bytes are written */
	[IVM_HOOK_WRITE] = { { "fd" }, on_write, KEEP_FOLLOWED, "count == 8" },
	[IVM_HOOK_SENDMSG] = { { "fd" }, on_sendmsg, KEEP_FOLLOWED, NULL },
	[IVM_HOOK_SENDMSG_RET] = { { "ret" }, on_sendmsg_ret, KEEP_FOLLOWED, NULL },
	[IVM_HOOK_RECVMSG] = { { "fd" }, on_recvmsg, KEEP_FOLLOWED, NULL },
	[IVM_HOOK_RECVMSG_RET] = { { "ret" }, on_recvmsg_ret, KEEP_FOLLOWED, NULL },
	[IVM_HOOK_READ] = { { "fd" }, on_read, KEEP_FOLLOWED, "vlen == 1" },
	[IVM_HOOK_READ_RET] = { { "ret" }, on_read_ret, KEEP_FOLLOWED, NULL },
	[IVM_HOOK_EVENTFD_SIGNAL] = { { "ctx", "id" }, on_signal, KEEP_FOLLOWED, NULL },
	[IVM_HOOK_EVENTFD_WRITE] = { { "ctx", "id" }, on_eventfd_write, KEEP_FOLLOWED, NULL },
};

/*
 * What a CPU switches away from is what it switched to before.  Some kernels
 * leave records out and count none of them.
 */
static void check_switch(struct tracefs_source *s, const struct ivm_record *r)
{
	uint32_t prev = r->args[0], *running;

	if (r->cpu >= s->on_cpu->len)
		g_array_set_size(s->on_cpu, r->cpu + 1);
	running = &g_array_index(s->on_cpu, uint32_t, r->cpu);
	if (*running != prev && r->t_ns >= s->armed_ns && s->armed_ns)
		s->switches += is_scheduled(s, prev) + is_scheduled(s, *running);
	*running = r->args[1];
}

static bool keep_record(void *arg, struct ivm_record *r)
{
	struct tracefs_source *s = arg;
	const struct task *task;

	s->base.opts.hooks[r->hook].fired += s->base.opts.counts_all;
	if (r->hook == IVM_HOOK_SCHED_SWITCH)
		check_switch(s, r);
	task = resolve(s, r->tid);
	r->tgid = task ? task->tgid : 0;
	if (wanted[r->hook].keep == KEEP_WOKEN || wanted[r->hook].keep == KEEP_SWITCHED)
		return find_task(s, r->args[0]) ||
		       (wanted[r->hook].keep == KEEP_SWITCHED && find_task(s, r->args[1]));
	return r->tgid || wanted[r->hook].keep == KEEP_ALL;
}

static void take_record(void *arg, const struct ivm_record *r)
{
	wanted[r->hook].handle(arg, r);
}

/* ---- attaching ---- */

/* Offset of a member in bytes, -1 if BTF does not know it */
static int offset_of(const struct btf *btf, const char *type_name, const char *member)
{
	const struct btf_type *type;
	int i, id;

	id = btf ? btf__find_by_name_kind(btf, type_name, BTF_KIND_STRUCT) : -ENOENT;
	if (id < 0)
		return -1;
	type = btf__type_by_id(btf, id);
	for (i = 0; i < btf_vlen(type); i++) {
		const char *name = btf__name_by_offset(btf, btf_members(type)[i].name_off);

		if (!strcmp(name, member))
			return btf_member_bit_offset(type, i) / 8;
	}
	return -1;
}

/* eventfd_signal[_mask](ctx, ...) */
static int probe_signal(struct tracefs_source *s)
{
	int id = offset_of(s->kernel.vmlinux, "eventfd_ctx", "id");
	g_autofree char *arguments = id < 0 ?
		g_strdup("ctx=$arg1:x64") :
		g_strdup_printf("ctx=$arg1:x64 id=+%d($arg1):s32", id);

	if (!s->kernel.signal_function)
		return -ENOENT;
	return ivm_reader_probe(s->reader, IVM_HOOK_EVENTFD_SIGNAL, s->kernel.signal_function,
				arguments, wanted[IVM_HOOK_EVENTFD_SIGNAL].fields);
}

/* eventfd_write(file, ...), whose context is the file's private data */
static int probe_write(struct tracefs_source *s)
{
	int data = offset_of(s->kernel.vmlinux, "file", "private_data");
	int id = offset_of(s->kernel.vmlinux, "eventfd_ctx", "id");
	g_autofree char *arguments = NULL;

	if (data < 0 || id < 0)
		return -ENOENT;
	arguments = g_strdup_printf("ctx=+%d($arg1):x64 id=+%d(+%d($arg1)):s32", data, id, data);
	return ivm_reader_probe(s->reader, IVM_HOOK_EVENTFD_WRITE, "eventfd_write", arguments,
				wanted[IVM_HOOK_EVENTFD_WRITE].fields);
}

static void attach_hook(struct tracefs_source *s, enum ivm_hook_id id)
{
	struct ivm_hook *hook = &s->base.opts.hooks[id];
	g_autofree char *filter = g_strdup(wanted[id].filter);
	int err;

	if (id == IVM_HOOK_EVENTFD_SIGNAL || id == IVM_HOOK_EVENTFD_WRITE) {
		err = id == IVM_HOOK_EVENTFD_SIGNAL ? probe_signal(s) : probe_write(s);
		hook->state = err ? IVM_HOOK_ABSENT : IVM_HOOK_KPROBE;
		if (!err && id == IVM_HOOK_EVENTFD_SIGNAL &&
		    strcmp(s->kernel.signal_function, hook->name))
			hook->target = s->kernel.signal_function;
		return;
	}
	if (id == IVM_HOOK_QUEUE_WORK)
		filter = g_strdup_printf("function == 0x%" PRIx64, s->kernel.irqfd_inject);
	err = ivm_reader_enable(s->reader, id, hook->system, hook->name, wanted[id].fields, filter);
	hook->state = err ? IVM_HOOK_ABSENT : IVM_HOOK_TRACEPOINT;
}

static struct ivm_source *tracefs_new(void)
{
	struct tracefs_source *s = g_new0(struct tracefs_source, 1);

	s->sockets = ivm_sockets_new();
	s->vms = g_hash_table_new(NULL, NULL);
	s->tasks = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	s->strangers = g_hash_table_new(NULL, NULL);
	s->works = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	s->workers = g_hash_table_new(NULL, NULL);
	s->on_cpu = g_array_new(FALSE, TRUE, sizeof(uint32_t));
	return &s->base;
}

static int tracefs_open(struct ivm_source *source)
{
	struct tracefs_source *s = of(source);
	const char *missing;
	int id, err;

	ivm_kernel_open(&s->kernel);
	if (s->kernel.tracefs_fd < 0)
		return fail(s, -EPERM, "no permission to use tracefs here; run as root");
	err = ivm_reader_open(s->kernel.tracefs_fd, source->opts.buffer_bytes, &s->reader);
	if (err == -ENOMEM)
		return fail(s, err, "no memory for buffers of %llu MiB; try a smaller -m",
			    (unsigned long long)source->opts.buffer_bytes >> 20);
	if (err)
		return fail(s, err, "cannot make an instance of tracefs: %s", strerror(-err));
	for (id = 0; id < IVM_HOOKS; id++)
		attach_hook(s, id);
	missing = ivm_hooks_missing(source->opts.hooks);
	if (missing)
		return fail(s, -EOPNOTSUPP, "tracefs has no %s, without which nothing can be "
			    "counted; see 'ivmtrace doctor'", missing);
	return 0;
}

static void tracefs_close(struct ivm_source *source)
{
	struct tracefs_source *s = of(source);

	ivm_reader_close(s->reader);
	ivm_sockets_free(s->sockets);
	g_hash_table_destroy(s->vms);
	g_hash_table_destroy(s->tasks);
	g_hash_table_destroy(s->strangers);
	g_hash_table_destroy(s->works);
	g_hash_table_destroy(s->workers);
	g_array_unref(s->on_cpu);
	ivm_kernel_close(&s->kernel);
	g_free(s);
}

/* ---- running ---- */

static gboolean is_gone(gpointer tid, gpointer task, gpointer s)
{
	(void)tid;
	return !is_followed(s, ((struct task *)task)->tgid);
}

static void forget_strangers(struct tracefs_source *s, bool now)
{
	uint64_t now_ns = ivm_now_ns();

	if (!now && now_ns - s->strangers_ns < STRANGER_NS)
		return;
	g_hash_table_remove_all(s->strangers);
	s->strangers_ns = now_ns;
}

/* Before the first doorbell counts, or its message could have no number */
static void find_places(struct tracefs_source *s)
{
	int i;

	for (i = 0; i < FIRST_LOOKS && ivm_sockets_searching(s->sockets); i++) {
		ivm_sockets_look(s->sockets);
		g_usleep(FIRST_LOOK_US);
	}
}

static int tracefs_follow(struct ivm_source *source, const struct ivm_topology *topology)
{
	struct tracefs_source *s = of(source);
	guint vms = g_hash_table_size(s->vms);
	guint i;

	s->topology = topology;
	g_hash_table_remove_all(s->vms);
	for (i = 0; i < topology->ends->len; i++) {
		const struct ivm_end *end = g_ptr_array_index(topology->ends, i);

		if (end->dead)
			continue;
		g_hash_table_add(s->vms, GUINT_TO_POINTER(end->vm->tgid));
		add_task(s, end->vm->tgid, end->vm->tgid)->scheduled = true;
	}
	for (i = 0; i < topology->vcpus->len; i++) {
		const struct ivm_vcpu *vcpu = g_ptr_array_index(topology->vcpus, i);

		if (!vcpu->vm->dead && is_followed(s, vcpu->vm->tgid))
			add_task(s, vcpu->vm->tgid, vcpu->tid)->scheduled = true;
	}
	g_hash_table_foreach_remove(s->tasks, is_gone, s);
	forget_strangers(s, g_hash_table_size(s->vms) != vms);
	if (ivm_sockets_follow(s->sockets, topology) && s->armed)
		find_places(s);
	return 0;
}

static void tracefs_arm(struct ivm_source *source)
{
	struct tracefs_source *s = of(source);


	ivm_reader_start(s->reader);
	s->armed = true;
	find_places(s);
	s->armed_ns = ivm_now_ns();
}

/* Places in the streams are void once a call may be missing */
static void check_overrun(struct tracefs_source *s)
{
	uint64_t overrun = ivm_reader_overrun(s->reader);

	if (overrun != s->overrun)
		ivm_sockets_unsure(s->sockets, 0);
	s->overrun = overrun;
}

static int tracefs_poll(struct ivm_source *source, int timeout_ms)
{
	const struct timespec timeout = {
		.tv_sec = timeout_ms / 1000,
		.tv_nsec = timeout_ms % 1000 * MSEC_NS,
	};
	struct tracefs_source *s = of(source);
	uint64_t now;
	int err;

	/* Not woken by records: that would disturb just what is measured */
	if (timeout_ms > 0)
		nanosleep(&timeout, NULL);
	now = ivm_now_ns();
	err = ivm_reader_read(s->reader, keep_record, s);
	if (err)
		return fail(s, err, "cannot read tracefs");
	check_overrun(s);
	if (s->armed)
		ivm_sockets_look(s->sockets);
	source->complete_ns = s->armed ? now - IVM_SOURCE_HOLDBACK_NS : UINT64_MAX;
	ivm_reader_drain(s->reader, source->complete_ns, take_record, s);
	return 0;
}

static void tracefs_disarm(struct ivm_source *source)
{
	of(source)->armed = false;
	ivm_reader_stop(of(source)->reader);
}

/* They are counted as records are read */
static void tracefs_read_hooks(struct ivm_source *source)
{
	(void)source;
}

static void tracefs_lost(struct ivm_source *source, struct ivm_source_lost *lost)
{
	const struct tracefs_source *s = of(source);

	memset(lost, 0, sizeof(*lost));
	lost->overrun = s->overrun;
	lost->switches = s->switches;
	lost->unplaced = s->unplaced + ivm_sockets_misplaced(s->sockets);
}

const struct ivm_source_ops ivm_source_tracefs = {
	.name = "tracefs",
	.new = tracefs_new,
	.open = tracefs_open,
	.follow = tracefs_follow,
	.arm = tracefs_arm,
	.poll = tracefs_poll,
	.disarm = tracefs_disarm,
	.read_hooks = tracefs_read_hooks,
	.lost = tracefs_lost,
	.close = tracefs_close,
};

/* ---- records out of files ---- */

const char *const *ivm_records_fields(enum ivm_hook_id hook)
{
	return wanted[hook].fields;
}

const char *ivm_records_filter(enum ivm_hook_id hook)
{
	return wanted[hook].filter;
}

struct ivm_source *ivm_records_new(struct ivm_hook *hooks,
				   void (*take_event)(void *arg, const struct ivm_event *event),
				   void *arg)
{
	struct ivm_source *source = tracefs_new();
	struct tracefs_source *s = of(source);

	source->ops = &ivm_source_tracefs;
	source->opts = (struct ivm_source_opts) {
		.hooks = hooks,
		.take_event = take_event,
		.arg = arg,
	};
	s->kernel.tracefs_fd = s->kernel.kvm_btf_fd = -1;
	s->kernel.irqfd_inject = IVM_RECORDS_INJECT;
	s->from_file = true;
	return source;
}

void ivm_records_follow(struct ivm_source *source, const struct ivm_topology *topology)
{
	tracefs_follow(source, topology);
	ivm_sockets_begin(of(source)->sockets);
}

void ivm_records_add(struct ivm_source *source, struct ivm_record *r)
{
	if (keep_record(source, r))
		take_record(source, r);
}
