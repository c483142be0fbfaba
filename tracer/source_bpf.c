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

#include "clock.h"
#include "ivmtrace.skel.h"
#include "source.h"

#define MIN_BUFFER_BYTES (1u << 16)

struct bpf_source {
	struct ivm_source base;
	struct ivm_kernel kernel;
	struct ivmtrace_bpf *skel;
	struct ring_buffer *events;
	GHashTable *pushed;		/* what is in the maps: struct entry, as a set */
};

#define fail(s, ...) ivm_source_fail(&(s)->base, __VA_ARGS__)

static struct bpf_source *of(struct ivm_source *source)
{
	return (struct bpf_source *)source;
}

/* ---- what the programs are to follow ---- */

/*
 * A row of one of the maps.  All up to @version is its identity: a new version
 * replaces a row that the programs keep state in.
 */
struct entry {
	int map_fd;
	uint32_t key_bytes;
	unsigned char key[16];
	uint32_t version;
	uint32_t value_bytes;
	unsigned char value[32];
	const char *map_name;
};

#define ENTRY_IDENTITY_BYTES offsetof(struct entry, value_bytes)

static guint entry_hash(gconstpointer p)
{
	const unsigned char *bytes = p;
	guint hash = 2166136261u;	/* FNV-1a */
	size_t i;

	for (i = 0; i < ENTRY_IDENTITY_BYTES; i++)
		hash = (hash ^ bytes[i]) * 16777619u;
	return hash;
}

static gboolean entry_equal(gconstpointer a, gconstpointer b)
{
	return !memcmp(a, b, ENTRY_IDENTITY_BYTES);
}

struct sync {
	struct bpf_source *s;
	GHashTable *wanted;
};

static void want(struct sync *sync, const struct bpf_map *map, const void *key,
		 const void *value, uint32_t version)
{
	struct entry *entry = g_new0(struct entry, 1);

	entry->map_fd = bpf_map__fd(map);
	entry->map_name = bpf_map__name(map);
	entry->key_bytes = bpf_map__key_size(map);
	entry->value_bytes = bpf_map__value_size(map);
	entry->version = version;
	memcpy(entry->key, key, entry->key_bytes);
	memcpy(entry->value, value, entry->value_bytes);
	g_hash_table_add(sync->wanted, entry);
}

static void want_thread(struct sync *sync, pid_t tgid, pid_t tid, uint32_t kind)
{
	struct ivm_thread thread = { .kind = kind, .tgid = tgid, .fd = -1 };
	__u32 key = tid;

	want(sync, sync->s->skel->maps.threads, &key, &thread, tgid);
}

static void want_vm(struct sync *sync, pid_t tgid)
{
	__u32 key = tgid, one = 1;

	want(sync, sync->s->skel->maps.vms, &key, &one, 0);
	want_thread(sync, tgid, tgid, IVM_THREAD_LOOP);
}

static void want_end(struct sync *sync, const struct ivm_end *end)
{
	struct ivm_socket socket = {};
	struct ivm_socket_key socket_key = {
		.tgid = end->vm->tgid,
		.fd = end->page.socket_fd,
	};
	struct ivm_doorbell_key doorbell_key = {
		.tgid = end->vm->tgid,
		.frame = (end->page.bar0_address + IVM_DOORBELL_BASE) >> 12,
	};
	__u32 one = 1;

	want_vm(sync, end->vm->tgid);
	/* With each link-up the stream starts anew, perhaps on the same descriptor */
	if (end->page.socket_fd >= 0)
		want(sync, sync->s->skel->maps.sockets, &socket_key, &socket,
		     end->page.generation);
	if (end->page.bar0_address != IVM_LINKPAGE_NO_ADDR)
		want(sync, sync->s->skel->maps.doorbells, &doorbell_key, &one, 0);
	doorbell_key.frame = end->bell_address >> 12;
	if (end->bell_address != IVM_LINKPAGE_NO_ADDR)
		want(sync, sync->s->skel->maps.doorbells, &doorbell_key, &one, 0);
}

static void want_all(struct sync *sync, const struct ivm_topology *t)
{
	guint i;

	for (i = 0; i < t->ends->len; i++) {
		const struct ivm_end *end = g_ptr_array_index(t->ends, i);

		if (!end->dead)
			want_end(sync, end);
	}
	for (i = 0; i < t->vcpus->len; i++) {
		const struct ivm_vcpu *vcpu = g_ptr_array_index(t->vcpus, i);

		if (!vcpu->vm->dead)
			want_thread(sync, vcpu->vm->tgid, vcpu->tid, IVM_THREAD_VCPU);
	}
}

static gboolean remove_unwanted(gpointer key, gpointer value, gpointer wanted)
{
	const struct entry *entry = key;

	(void)value;
	if (g_hash_table_contains(wanted, entry))
		return FALSE;
	bpf_map_delete_elem(entry->map_fd, entry->key);
	return TRUE;
}

static int push(struct bpf_source *s, const struct entry *entry)
{
	/* EEXIST: a program has found this thread before us, and keeps its state there */
	if (!bpf_map_update_elem(entry->map_fd, entry->key, entry->value, BPF_NOEXIST) ||
	    errno == EEXIST)
		return 0;
	return fail(s, -errno, "too many VMs or links to follow: map %s is full",
		    entry->map_name);
}

/* Brings the maps in line with the topology */
static int bpf_follow(struct ivm_source *source, const struct ivm_topology *topology)
{
	struct bpf_source *s = of(source);
	struct sync sync = { .s = s };
	GHashTableIter it;
	gpointer key;
	int err = 0;

	sync.wanted = g_hash_table_new_full(entry_hash, entry_equal, g_free, NULL);
	want_all(&sync, topology);
	g_hash_table_foreach_remove(s->pushed, remove_unwanted, sync.wanted);
	g_hash_table_iter_init(&it, sync.wanted);
	while (!err && g_hash_table_iter_next(&it, &key, NULL))
		if (!g_hash_table_contains(s->pushed, key))
			err = push(s, key);
	g_hash_table_destroy(s->pushed);
	s->pushed = sync.wanted;
	return err;
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
	const struct bpf_source *s = arg;

	if (bytes >= sizeof(struct ivm_event))
		s->base.opts.take_event(s->base.opts.arg, data);
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
	return 0;
}

static int attach(struct bpf_source *s)
{
	const char *missing;

	ivm_hooks_attach(s->base.opts.hooks, &s->kernel, s->skel->obj);
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

	s->pushed = g_hash_table_new_full(entry_hash, entry_equal, g_free, NULL);
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
	g_hash_table_destroy(s->pushed);
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

static void bpf_disarm(struct ivm_source *source)
{
	of(source)->skel->bss->armed = 0;
	ivm_hooks_detach(source->opts.hooks);
}

static void bpf_read_hooks(struct ivm_source *source)
{
	ivm_hooks_read(source->opts.hooks, bpf_map__fd(of(source)->skel->maps.hook_counts));
}

static uint64_t read_lost(struct bpf_source *s, __u32 source)
{
	int cpu, cpus = libbpf_num_possible_cpus();
	g_autofree uint64_t *counts = g_new0(uint64_t, MAX(cpus, 1));
	uint64_t sum = 0;

	if (bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.lost), &source, counts))
		return 0;
	for (cpu = 0; cpu < cpus; cpu++)
		sum += counts[cpu];
	return sum;
}

static void bpf_lost(struct ivm_source *source, struct ivm_source_lost *lost)
{
	const struct ivm_hook *hooks = source->opts.hooks;
	int i;

	memset(lost, 0, sizeof(*lost));
	for (i = 0; i < IVM_HOOKS; i++)
		lost->ringbuf += hooks[i].lost;
	lost->recursion = ivm_hooks_missed(hooks);
	lost->map = read_lost(of(source), IVM_LOST_MAP);
}

const struct ivm_source_ops ivm_source_bpf = {
	.name = "bpf",
	.new = bpf_new,
	.open = bpf_open,
	.follow = bpf_follow,
	.arm = bpf_arm,
	.poll = bpf_poll,
	.disarm = bpf_disarm,
	.read_hooks = bpf_read_hooks,
	.lost = bpf_lost,
	.close = bpf_close,
};
