// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Events from BPF programs: the one owner of the BPF object, its maps and its
 * ring buffer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <glib.h>

#include "../bpf/state.h"
#include "clock.h"
#include "follow.h"
#include "ivmtrace.skel.h"
#include "source.h"

#define MIN_BUFFER_BYTES (1u << 16)

struct bpf_source {
	struct ivm_source base;
	struct ivm_kernel kernel;
	struct ivmtrace_bpf *skel;
	struct ring_buffer *events;
	struct ivm_follow *follow;
	bool disarmed;
};

#define fail(s, ...) ivm_source_fail(&(s)->base, __VA_ARGS__)

static struct bpf_source *of(struct ivm_source *source)
{
	return (struct bpf_source *)source;
}

static void flush_vcpu(void *source, uint32_t index);

/* Which modes the rings of a living end may go by: both while it is not settled */
static bool may_go_by(const struct ivm_end *end, uint32_t mode)
{
	if (end->dead || end->kind != IVM_END_LINK)
		return false;
	if (end->page.up)
		return end->page.mode_tx == mode || end->page.mode_rx == mode;
	return end->page.mode_configured == mode || end->page.mode_configured == IVM_MODE_AUTO;
}

/* Does its QEMU read eventfds, because KVM refused it irqfds? */
static bool serves(const struct ivm_end *end)
{
	uint32_t v;

	for (v = 0; v < end->page.vectors && !end->dead; v++)
		if (ivm_end_serves(end, v))
			return true;
	return false;
}

/* Hooks of system calls slow down those of the whole host: only while a link needs them */
static void find_wanted(struct bpf_source *s, const struct ivm_topology *t,
			bool wanted[IVM_HOOKS])
{
	bool all = s->base.opts.streams || s->base.opts.counts_all;
	bool writes = all || s->skel->bss->fallback_seen, sends = all, reads = all;
	guint i;

	for (i = 0; t && i < t->ends->len; i++) {
		const struct ivm_end *end = g_ptr_array_index(t->ends, i);

		sends |= may_go_by(end, IVM_MODE_QEMU);
		writes |= may_go_by(end, IVM_MODE_IRQFD) || (!end->dead && ivm_end_writes(end));
		reads |= serves(end);
	}
	for (i = 0; i < IVM_HOOKS; i++)
		wanted[i] = true;
	wanted[IVM_HOOK_WRITE] = writes;
	wanted[IVM_HOOK_SENDMSG] = wanted[IVM_HOOK_SENDMSG_RET] = sends;
	wanted[IVM_HOOK_RECVMSG] = wanted[IVM_HOOK_RECVMSG_RET] = sends;
	wanted[IVM_HOOK_READ] = wanted[IVM_HOOK_READ_RET] = reads;
}

static void attach_needed(struct bpf_source *s, const bool wanted[IVM_HOOKS], bool detach)
{
	struct ivm_hook *hooks = s->base.opts.hooks;
	bool now[IVM_HOOKS];
	int id;

	if (s->disarmed)
		return;
	for (id = 0; id < IVM_HOOKS; id++)
		now[id] = wanted[id] || (!detach && hooks[id].link);
	ivm_hooks_attach(hooks, &s->kernel, s->skel->obj, now);
}

/* Brings the maps in line with the topology */
static int bpf_follow(struct ivm_source *source, const struct ivm_topology *topology)
{
	struct bpf_source *s = of(source);
	bool wanted[IVM_HOOKS];
	const char *full_map;
	int err;

	/* A link's doorbells are claimed once all that its mode needs is attached */
	find_wanted(s, topology, wanted);
	attach_needed(s, wanted, false);
	ivm_follow_recycle(s->follow, flush_vcpu, s);
	err = ivm_follow_sync(s->follow, topology, &full_map);
	attach_needed(s, wanted, true);
	if (err && full_map)
		return fail(s, err, "too many VMs or links to follow: map %s is full", full_map);
	return err ? fail(s, err, "cannot look at the threads to follow") : 0;
}

/* ---- opening ---- */

/* The program that libbpf said it could not load */
static char refused_program[128];

/* libbpf's own messages would come before ours and name our internals */
static int take_message(enum libbpf_print_level level, const char *fmt, va_list args)
{
	char text[256];
	va_list copy;

	va_copy(copy, args);
	vsnprintf(text, sizeof(text), fmt, copy);
	va_end(copy);
	if (strstr(text, ": failed to load:"))
		sscanf(text, "libbpf: prog '%127[^']'", refused_program);
	if (getenv("IVM_LIBBPF_DEBUG"))
		return vfprintf(stderr, fmt, args);
	(void)level;
	return 0;
}

static int check_permission(struct bpf_source *s)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "ivm_try", "GPL", insns,
			       G_N_ELEMENTS(insns), NULL);

	if (fd >= 0) {
		close(fd);
		return 0;
	}
	if (errno == EPERM || errno == EACCES)
		return fail(s, -EPERM, "no permission to use BPF here; run as root, or with "
			    "CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE and CAP_SYS_ADMIN");
	return fail(s, -errno, "this kernel cannot load BPF programs");
}

static uint64_t buffer_bytes(const struct bpf_source *s)
{
	uint64_t bytes = MIN_BUFFER_BYTES;

	while (bytes < s->base.opts.buffer_bytes && bytes < 1u << 31)
		bytes <<= 1;
	return bytes;
}

/* IVM_LIMITS=VCPUS,SLOTS: for tests of what happens when they are used up */
static void set_limits(struct bpf_source *s)
{
	const char *limits = getenv("IVM_LIMITS");
	unsigned int vcpus, slots;

	if (!limits || sscanf(limits, "%u,%u", &vcpus, &slots) != 2)
		return;
	bpf_map__set_max_entries(s->skel->maps.vcpus, vcpus);
	bpf_map__set_max_entries(s->skel->maps.slots, slots);
	s->skel->rodata->max_slots = slots;
}

static int load_programs(struct bpf_source *s, const bool without_btf[IVM_HOOKS])
{
	int err;

	s->skel = ivmtrace_bpf__open();
	if (!s->skel)
		return -errno;
	bpf_map__set_max_entries(s->skel->maps.events, buffer_bytes(s));
	s->skel->rodata->irqfd_inject_address = s->kernel.irqfd_inject;
	s->skel->rodata->per_cpu_offsets = s->kernel.per_cpu_offsets;
	s->skel->rodata->preempt_count_symbol = s->kernel.preempt_count;
	s->skel->rodata->preempt_count_is_hot = s->kernel.preempt_count_is_hot;
	s->skel->rodata->kvm_exit_reason_first = s->kernel.kvm_exit_reason_first;
	s->skel->rodata->kvm_inj_virq_args = s->kernel.inj_virq_args;
	s->skel->rodata->wakeup_bytes = buffer_bytes(s) / 4;
	s->skel->rodata->streams = s->base.opts.streams;
	s->skel->rodata->counts_all = s->base.opts.counts_all;
	set_limits(s);
	ivm_hooks_select(&s->kernel, s->skel->obj, without_btf);
	err = ivmtrace_bpf__load(s->skel);
	if (err) {
		ivmtrace_bpf__destroy(s->skel);
		s->skel = NULL;
	}
	return err;
}

static int take_record(void *arg, void *data, size_t bytes)
{
	const struct ivm_source_opts *opts = &((const struct bpf_source *)arg)->base.opts;

	if (bytes >= sizeof(struct ivm_journey_record))
		opts->take_record(opts->arg, data);
	else if (bytes >= sizeof(struct ivm_event))
		opts->take_event(opts->arg, data);
	return 0;
}

static int load(struct bpf_source *s)
{
	bool without_btf[IVM_HOOKS] = {};
	int err;

	/* One program that this kernel's verifier dislikes fails all the others */
	do {
		refused_program[0] = 0;
		err = load_programs(s, without_btf);
	} while (err && ivm_hooks_refuse_btf(without_btf, refused_program));
	if (err == -ENOMEM)
		return fail(s, err, "no memory for a ring buffer of %llu MiB; try a smaller -m",
			    (unsigned long long)buffer_bytes(s) >> 20);
	if (err)
		return fail(s, err, "this kernel refuses the BPF programs: %s", strerror(-err));
	s->events = ring_buffer__new(bpf_map__fd(s->skel->maps.events), take_record, s, NULL);
	if (!s->events)
		return fail(s, -errno, "cannot map the ring buffer");
	s->follow = ivm_follow_new(s->skel);
	return s->follow ? 0 : fail(s, -errno, "this kernel has no BPF iterator over tasks");
}

static int attach(struct bpf_source *s)
{
	bool wanted[IVM_HOOKS];
	const char *missing;

	find_wanted(s, NULL, wanted);
	attach_needed(s, wanted, false);
	missing = ivm_hooks_missing(s->base.opts.hooks);
	if (!missing)
		return 0;
	if (access("/sys/module/kvm", F_OK))
		return fail(s, -EOPNOTSUPP, "KVM is not there: load its module (kvm_intel or "
			    "kvm_amd) first");
	return fail(s, -EOPNOTSUPP, "this host does not let us hook %s, without which nothing can "
		    "be counted; see 'ivmtrace doctor'", missing);
}

static struct ivm_source *bpf_new(void)
{
	struct bpf_source *s = g_new0(struct bpf_source, 1);

	return &s->base;
}

static int bpf_open(struct ivm_source *source)
{
	struct bpf_source *s = of(source);
	int err;

	libbpf_set_print(take_message);
	err = check_permission(s);
	if (err)
		return err;
	err = ivm_kernel_open(&s->kernel);
	if (err)
		return fail(s, err, "this kernel has no BTF (CONFIG_DEBUG_INFO_BTF)");
	err = load(s);
	return err ? err : attach(s);
}

static void bpf_close(struct ivm_source *source)
{
	struct bpf_source *s = of(source);

	ivm_hooks_detach(source->opts.hooks);
	ring_buffer__free(s->events);
	ivm_follow_free(s->follow);
	ivmtrace_bpf__destroy(s->skel);
	ivm_kernel_close(&s->kernel);
	g_free(s);
}

/* ---- running ---- */

static void bpf_arm(struct ivm_source *source)
{
	of(source)->skel->bss->armed = 1;
}

static int bpf_poll(struct ivm_source *source, int timeout_ms)
{
	struct bpf_source *s = of(source);
	int err = ring_buffer__poll(s->events, timeout_ms);

	source->complete_ns = ivm_now_ns() - IVM_SOURCE_HOLDBACK_NS;
	if (err < 0 && err != -EINTR)
		return fail(s, err, "cannot wait for events");
	/* The programs do not wake us for each event: there may be more */
	err = ring_buffer__consume(s->events);
	return err < 0 ? fail(s, err, "cannot read the ring buffer") : 0;
}

static void bpf_stop(struct ivm_source *source)
{
	of(source)->skel->bss->stopping = 1;
}

static void bpf_disarm(struct ivm_source *source)
{
	of(source)->skel->bss->armed = 0;
	of(source)->disarmed = true;
	ivm_hooks_detach(source->opts.hooks);
}

static void bpf_read_hooks(struct ivm_source *source)
{
	ivm_hooks_read(source->opts.hooks, bpf_map__fd(of(source)->skel->maps.hook_counts));
}

/* ---- what is left when all is over ---- */

static void flush_record(struct bpf_source *s, uint32_t kind, const struct ivm_journey *j)
{
	const struct ivm_journey_record r = { .t_ns = ivm_now_ns(), .kind = kind, .j = *j };

	if (j->id)
		s->base.opts.take_record(s->base.opts.arg, &r);
}

/* Doorbells that are still open on their threads */
static int flush_tasks(struct bpf_source *s)
{
	struct bpf_link *link = bpf_program__attach_iter(s->skel->progs.open_tasks, NULL);
	int fd = link ? bpf_iter_create(bpf_link__fd(link)) : -errno;
	struct ivm_journey j;
	ssize_t bytes = 0;

	while (fd >= 0 && (bytes = read(fd, &j, sizeof(j))) == (ssize_t)sizeof(j))
		flush_record(s, IVM_REC_CLOSED, &j);
	if (fd >= 0)
		close(fd);
	bpf_link__destroy(link);
	return fd < 0 || bytes ? fail(s, -EIO, "cannot read which doorbells are open") : 0;
}

static void flush_works(struct bpf_source *s)
{
	int fd = bpf_map__fd(s->skel->maps.works);
	__u64 key, *last = NULL;
	struct ivm_work work;

	while (!bpf_map_get_next_key(fd, last, &key)) {
		if (!bpf_map_lookup_elem(fd, &key, &work))
			flush_record(s, IVM_REC_CLOSED, &work.j);
		last = &key;
	}
}

static void flush_slot(struct bpf_source *s, __u32 index, uint64_t purge_ns)
{
	struct ivm_slot_state slot;

	if (index && !bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.slots), &index, &slot))
		s->base.opts.take_slot(s->base.opts.arg, &slot.s, purge_ns);
}

static void flush_vcpu(void *source, uint32_t index)
{
	struct bpf_source *s = source;
	struct ivm_vcpu_state v;
	unsigned int i;

	if (s->base.opts.streams)
		return;
	if (bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.vcpus), &index, &v))
		return;
	flush_record(s, IVM_REC_ENDED, &v.entering.j);
	for (i = 0; i < G_N_ELEMENTS(v.slot); i++)
		flush_slot(s, v.slot[i], v.purge_ns);
}

static void flush_lost(struct bpf_source *s)
{
	int fd = bpf_map__fd(s->skel->maps.lost_rings);
	struct ivm_lost_key key, *last = NULL;
	struct ivm_lost_rings lost;

	while (!bpf_map_get_next_key(fd, last, &key)) {
		if (!bpf_map_lookup_elem(fd, &key, &lost))
			s->base.opts.take_lost(s->base.opts.arg, &key, &lost);
		last = &key;
	}
}

static int bpf_flush(struct ivm_source *source)
{
	struct bpf_source *s = of(source);
	uint32_t index;

	if (source->opts.streams)
		return 0;
	flush_lost(s);
	flush_works(s);
	for (index = 1; index <= ivm_follow_vcpus(s->follow); index++)
		flush_vcpu(s, index);
	return flush_tasks(s);
}

static uint64_t read_count(struct bpf_source *s, __u32 what)
{
	uint64_t count = 0;

	bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.counts), &what, &count);
	return count;
}

static int bpf_map(struct ivm_source *source, const char *name)
{
	return bpf_object__find_map_fd_by_name(of(source)->skel->obj, name);
}

static void bpf_lost(struct ivm_source *source, struct ivm_source_lost *lost)
{
	const struct ivm_hook *hooks = source->opts.hooks;
	struct bpf_source *s = of(source);
	int i;

	memset(lost, 0, sizeof(*lost));
	for (i = 0; i < IVM_HOOKS; i++)
		lost->ringbuf += hooks[i].lost;
	lost->ringbuf += read_count(s, IVM_LOST_RECORDS);
	lost->recursion = ivm_hooks_missed(hooks);
	lost->map = read_count(s, IVM_LOST_MAP);
	lost->unmatched = read_count(s, IVM_COUNT_UNMATCHED);
	lost->before_start = read_count(s, IVM_COUNT_BEFORE_START);
}

const struct ivm_source_ops ivm_source_bpf = {
	.name = "bpf",
	.new = bpf_new,
	.open = bpf_open,
	.follow = bpf_follow,
	.arm = bpf_arm,
	.poll = bpf_poll,
	.stop = bpf_stop,
	.disarm = bpf_disarm,
	.flush = bpf_flush,
	.read_hooks = bpf_read_hooks,
	.lost = bpf_lost,
	.map = bpf_map,
	.close = bpf_close,
};
