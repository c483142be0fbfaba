// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The one owner of the BPF object, its maps and its ring buffer.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "clock.h"
#include "discover.h"
#include "ivmtrace.skel.h"
#include "session.h"
#include "vcpus.h"

#define MSEC_NS		1000000ull
#define SCAN_NS		(100 * MSEC_NS)
#define RUN_NS		(100 * MSEC_NS)
#define HOLDBACK_NS	(300 * MSEC_NS)	/* a hook may lose its (virtual) CPU for so long
					 * between its clock and its event */
#define DRAIN_ALONE_NS	(100 * MSEC_NS)	/* when no VM is left that could end anything */
#define MIN_BUFFER_BYTES (1u << 16)

struct ivm_session {
	struct ivm_session_opts opts;
	struct ivm_kernel kernel;
	struct ivm_hook hooks[IVM_HOOKS];
	struct ivmtrace_bpf *skel;
	struct ring_buffer *events;
	struct ivm_vcpus *vcpus;
	struct ivm_discover *discover;
	struct ivm_topology *topology;
	struct ivm_assemble *assemble;
	struct ivm_recording *recording;
	GArray *held;			/* struct ivm_event by time, younger than HOLDBACK_NS */
	uint64_t ran_ns;
	GHashTable *pushed;		/* what is in the maps: struct entry, as a set */
	uint64_t scanned_ns;
	uint64_t armed_ns;
	uint64_t stopped_ns;
	uint64_t delivered[IVM_MODES];
	uint64_t injected;		/* delivered journeys that must have been injected */
	uint64_t mode_mismatches;
	bool stopped;
	char start[32];			/* ISO 8601, of arming */
	char why[512];
};

static int fail(struct ivm_session *s, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct ivm_session *s, int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(s->why, sizeof(s->why), fmt, args);
	va_end(args);
	return err;
}

/* ---- journeys ---- */

static int take_journey(void *arg, const struct ivm_journey *j)
{
	struct ivm_session *s = arg;

	if (j->outcome == IVM_O_DELIVERED && j->mode < IVM_MODES) {
		s->delivered[j->mode]++;
		if (!(j->flags & IVM_J_POSTED))
			s->injected++;
	}
	if (j->mode != IVM_M_UNKNOWN && j->configured != IVM_M_UNKNOWN && j->mode != j->configured)
		s->mode_mismatches++;
	return s->recording ? ivm_recording_add_journey(s->recording, j) : 0;
}

/* The ring buffer is nearly in order: the place is close to the end */
static int take_event(void *arg, void *data, size_t bytes)
{
	struct ivm_session *s = arg;
	const struct ivm_event *e = data;
	guint at = s->held->len;

	if (bytes < sizeof(*e))
		return 0;
	while (at && g_array_index(s->held, struct ivm_event, at - 1).t_ns > e->t_ns)
		at--;
	g_array_insert_vals(s->held, at, e, 1);
	return 0;
}

/* Works off all events stamped before @until_ns */
static int run_until(struct ivm_session *s, uint64_t until_ns)
{
	guint i;

	for (i = 0; i < s->held->len; i++) {
		const struct ivm_event *e = &g_array_index(s->held, struct ivm_event, i);

		if (e->t_ns >= until_ns)
			break;
		ivm_assemble_event(s->assemble, e);
	}
	if (i)
		g_array_remove_range(s->held, 0, i);
	return ivm_assemble_run(s->assemble, until_ns);
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
	struct ivm_session *s;
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

static int push(struct ivm_session *s, const struct entry *entry)
{
	/* EEXIST: a program has found this thread before us, and keeps its state there */
	if (!bpf_map_update_elem(entry->map_fd, entry->key, entry->value, BPF_NOEXIST) ||
	    errno == EEXIST)
		return 0;
	return fail(s, -errno, "too many VMs or links to follow: map %s is full",
		    entry->map_name);
}

/* Brings the maps in line with the topology */
static int sync_maps(struct ivm_session *s)
{
	struct sync sync = { .s = s };
	GHashTableIter it;
	gpointer key;
	int err = 0;

	sync.wanted = g_hash_table_new_full(entry_hash, entry_equal, g_free, NULL);
	want_all(&sync, s->topology);
	g_hash_table_foreach_remove(s->pushed, remove_unwanted, sync.wanted);
	g_hash_table_iter_init(&it, sync.wanted);
	while (!err && g_hash_table_iter_next(&it, &key, NULL))
		if (!g_hash_table_contains(s->pushed, key))
			err = push(s, key);
	g_hash_table_destroy(s->pushed);
	s->pushed = sync.wanted;
	return err;
}

static int scan(struct ivm_session *s, bool everything)
{
	uint64_t now = ivm_now_ns();
	int err;

	if (!everything && now - s->scanned_ns < SCAN_NS)
		return 0;
	s->scanned_ns = now;
	err = ivm_discover_scan(s->discover, now, everything);
	if (err)
		return fail(s, err, "cannot look for VMs in /proc");
	return sync_maps(s);
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

static int check_permission(struct ivm_session *s)
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

/* The kernel's events name processes as the initial PID namespace does */
static int check_namespace(struct ivm_session *s)
{
	static const char initial[] = "pid:[4026531836]";	/* PROC_PID_INIT_INO */
	char name[64];
	ssize_t bytes = readlink("/proc/self/ns/pid", name, sizeof(name) - 1);

	if (bytes < 0)
		return 0;
	name[bytes] = 0;
	if (!strcmp(name, initial))
		return 0;
	return fail(s, -EXDEV, "this is not the host's PID namespace; run ivmtrace on the "
		    "host, or in a container that shares its PIDs");
}

static uint64_t buffer_bytes(const struct ivm_session *s)
{
	uint64_t wanted = s->opts.buffer_bytes ? s->opts.buffer_bytes : IVM_SESSION_BUFFER_BYTES;
	uint64_t bytes = MIN_BUFFER_BYTES;

	while (bytes < wanted && bytes < 1u << 31)
		bytes <<= 1;
	return bytes;
}

static int load_programs(struct ivm_session *s, const bool without_btf[IVM_HOOKS])
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

static int load(struct ivm_session *s)
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
	s->events = ring_buffer__new(bpf_map__fd(s->skel->maps.events), take_event, s, NULL);
	if (!s->events)
		return fail(s, -errno, "cannot map the ring buffer");
	return 0;
}

static int attach(struct ivm_session *s)
{
	const char *missing;

	ivm_hooks_attach(s->hooks, &s->kernel, s->skel->obj);
	missing = ivm_hooks_missing(s->hooks);
	if (!missing)
		return 0;
	if (access("/sys/module/kvm", F_OK))
		return fail(s, -EOPNOTSUPP, "KVM is not there: load its module (kvm_intel or "
			    "kvm_amd) first");
	return fail(s, -EOPNOTSUPP, "this host does not let us hook %s, without which nothing can "
		    "be counted; see 'ivmtrace doctor'", missing);
}

static int open_parts(struct ivm_session *s)
{
	struct ivm_discover_filter filter = {
		.pid = s->opts.pid,
		.parent = s->opts.parent,
		.link = s->opts.link,
		.vm = s->opts.vm,
	};
	int err;

	err = check_permission(s);
	if (!err)
		err = check_namespace(s);
	if (err)
		return err;
	err = ivm_kernel_open(&s->kernel);
	if (err)
		return fail(s, err, "this kernel has no BTF (CONFIG_DEBUG_INFO_BTF)");
	err = load(s);
	if (err)
		return err;
	s->vcpus = ivm_vcpus_open();
	s->topology = ivm_topology_new();
	s->discover = ivm_discover_new(s->topology, s->vcpus, &filter);
	s->assemble = ivm_assemble_new(s->topology, take_journey, s);
	s->held = g_array_new(FALSE, FALSE, sizeof(struct ivm_event));
	s->pushed = g_hash_table_new_full(entry_hash, entry_equal, g_free, NULL);
	err = scan(s, true);
	return err ? err : attach(s);
}

int ivm_session_open(const struct ivm_session_opts *opts, struct ivm_session **session)
{
	struct ivm_session *s = g_new0(struct ivm_session, 1);

	*session = s;
	s->opts = *opts;
	libbpf_set_print(take_message);
	ivm_hooks_init(s->hooks);
	return open_parts(s);
}

/* ---- running ---- */

static void stamp_start(struct ivm_session *s)
{
	time_t now = time(NULL);
	struct tm utc;

	gmtime_r(&now, &utc);
	strftime(s->start, sizeof(s->start), "%Y-%m-%dT%H:%M:%SZ", &utc);
}

int ivm_session_arm(struct ivm_session *s, struct ivm_recording *recording)
{
	int err = scan(s, true);

	if (err)
		return err;
	s->recording = recording;
	stamp_start(s);
	s->armed_ns = ivm_now_ns();
	s->skel->bss->armed = 1;
	return 0;
}

static int consume(struct ivm_session *s)
{
	int err = ring_buffer__consume(s->events);

	return err < 0 ? fail(s, err, "cannot read the ring buffer") : 0;
}

/* Topology first: the events to be worked off may be of a link just found */
static int work_off(struct ivm_session *s)
{
	uint64_t now = ivm_now_ns();
	int err = consume(s);

	if (!err)
		err = scan(s, false);
	if (err || now - s->ran_ns < RUN_NS)
		return err;
	s->ran_ns = now;
	err = run_until(s, now - HOLDBACK_NS);
	return err ? fail(s, err, "cannot write the recording") : 0;
}

int ivm_session_poll(struct ivm_session *s, int timeout_ms)
{
	int err = ring_buffer__poll(s->events, timeout_ms);

	if (err < 0 && err != -EINTR)
		return fail(s, err, "cannot wait for events");
	return work_off(s);
}

int ivm_session_rescan(struct ivm_session *s)
{
	return scan(s, true);
}

unsigned int ivm_session_ends(const struct ivm_session *s)
{
	unsigned int ends = 0;
	guint i;

	for (i = 0; i < s->topology->ends->len; i++)
		ends += !((struct ivm_end *)g_ptr_array_index(s->topology->ends, i))->dead;
	return ends;
}

unsigned int ivm_session_links(const struct ivm_session *s)
{
	unsigned int paired = 0;
	guint i;

	for (i = 0; i < s->topology->ends->len; i++) {
		const struct ivm_end *end = g_ptr_array_index(s->topology->ends, i);

		paired += !end->dead && end->peer;
	}
	return paired / 2;
}

static uint64_t drain_ns(const struct ivm_session *s)
{
	return ivm_session_ends(s) ? IVM_SESSION_DRAIN_NS : DRAIN_ALONE_NS;
}

static int drain(struct ivm_session *s)
{
	int err = 0;

	while (!err && ivm_now_ns() - s->stopped_ns < drain_ns(s))
		err = ivm_session_poll(s, 20);
	return err;
}

/* Attached, and a journey that must pass there ended without it */
static void find_silent(struct ivm_session *s)
{
	uint64_t all = 0;
	const struct {
		enum ivm_hook_id id;
		uint64_t passed;
	} must[] = {
		{ IVM_HOOK_KVM_INJ_VIRQ, s->injected },
		{ IVM_HOOK_EVENTFD_SIGNAL, s->delivered[IVM_M_DIRECT] },
		{ IVM_HOOK_EVENTFD_WRITE, s->delivered[IVM_M_IRQFD] },
		{ IVM_HOOK_WRITE, s->delivered[IVM_M_IRQFD] },
		{ IVM_HOOK_KVM_USERSPACE_EXIT,
		  s->delivered[IVM_M_IRQFD] + s->delivered[IVM_M_QEMU] },
	};
	unsigned int i;

	for (i = 0; i < IVM_MODES; i++)
		all += s->delivered[i];
	for (i = 0; i < G_N_ELEMENTS(must); i++)
		s->hooks[must[i].id].silent = must[i].passed && !s->hooks[must[i].id].emitted;
	for (i = 0; i < IVM_HOOKS; i++)
		if (i == IVM_HOOK_KVM_EXIT || i == IVM_HOOK_KVM_ENTRY ||
		    i == IVM_HOOK_KVM_MSI_SET_IRQ)
			s->hooks[i].silent = all && !s->hooks[i].emitted;
	for (i = 0; i < IVM_HOOKS; i++)
		s->hooks[i].silent &= s->hooks[i].state != IVM_HOOK_ABSENT;
}

/* All events are in: what is still in flight now has met its fate */
static int settle(struct ivm_session *s)
{
	uint64_t now = ivm_now_ns();
	int err = consume(s);

	if (!err)
		err = run_until(s, UINT64_MAX);
	/* Nothing is left to be worked off, so nobody needs the gone any more */
	if (!err)
		err = ivm_discover_scan(s->discover, now, true);
	if (!err)
		err = ivm_discover_scan(s->discover, now + IVM_DISCOVER_LINGER_NS, false);
	if (!err)
		err = ivm_assemble_finish(s->assemble);
	return err && !s->why[0] ? fail(s, err, "cannot write the recording") : err;
}

int ivm_session_stop(struct ivm_session *s)
{
	int err;

	s->stopped_ns = ivm_now_ns();
	ivm_assemble_stop(s->assemble, s->stopped_ns);
	err = drain(s);
	s->skel->bss->armed = 0;
	ivm_hooks_detach(s->hooks);
	s->stopped = true;
	if (!err)
		err = settle(s);
	ivm_hooks_read(s->hooks, bpf_map__fd(s->skel->maps.hook_counts));
	find_silent(s);
	return err;
}

/* ---- results ---- */

static uint64_t read_lost(struct ivm_session *s, __u32 source)
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

void ivm_session_lost(struct ivm_session *s, struct ivm_session_lost *lost)
{
	const struct ivm_hook *hooks = ivm_session_hooks(s);
	int i;

	memset(lost, 0, sizeof(*lost));
	for (i = 0; i < IVM_HOOKS; i++)
		lost->ringbuf += hooks[i].lost;
	lost->recursion = ivm_hooks_missed(hooks);
	lost->map = read_lost(s, IVM_LOST_MAP);
	lost->page = ivm_discover_stats(s->discover)->torn;
}

const char *ivm_session_rig(void)
{
	g_autofree char *cpuinfo = NULL;

	if (!g_file_get_contents("/proc/cpuinfo", &cpuinfo, NULL, NULL))
		return "native";
	return strstr(cpuinfo, "QEMU TCG CPU") ? "lab" : "native";
}

static int record_host(struct ivm_session *s, struct ivm_recording *r)
{
	struct utsname host;
	int err;

	uname(&host);
	err = ivm_recording_set(r, "kernel", host.release);
	if (!err)
		err = ivm_recording_set(r, "arch", host.machine);
	if (!err)
		err = ivm_recording_set(r, "rig", ivm_session_rig());
	if (!err)
		err = ivm_recording_set(r, "backend", "bpf");
	if (!err)
		err = ivm_recording_set(r, "clock", "monotonic");
	if (!err)
		err = ivm_recording_set(r, "vcpu_source", ivm_vcpus_source(s->vcpus));
	if (!err)
		err = ivm_recording_set(r, "start", s->start);
	if (!err)
		err = ivm_recording_set_u64(r, "start_ns", s->armed_ns);
	if (!err)
		err = ivm_recording_set_u64(r, "duration_ns", s->stopped_ns - s->armed_ns);
	return err;
}

static int record_hooks(struct ivm_session *s, struct ivm_recording *r)
{
	const struct ivm_hook *hook;
	int i, err = 0;

	for (i = 0; i < IVM_HOOKS && !err; i++) {
		hook = &s->hooks[i];
		err = ivm_recording_add_hook(r, hook->name, ivm_hook_shown(hook), hook->emitted,
					     hook->missed + hook->lost, hook->run_ns);
	}
	return err;
}

static int record_lost(struct ivm_session *s, struct ivm_recording *r)
{
	const struct ivm_assemble_stats *stats = ivm_assemble_stats(s->assemble);
	struct ivm_session_lost lost;
	unsigned int i;
	int err = 0;

	ivm_session_lost(s, &lost);
	const struct {
		const char *source;
		uint64_t count;
	} rows[] = {
		{ "ringbuf", lost.ringbuf },
		{ "map", lost.map },
		{ "recursion", lost.recursion },
		{ "link_page", lost.page },
		{ "late", stats->late },
		{ "stream_gaps", stats->stream_gaps },
		{ "unmatched", stats->unmatched },
		{ "before_start", stats->before_start },
		{ "disordered", stats->disordered },
	};

	for (i = 0; i < G_N_ELEMENTS(rows) && !err; i++)
		err = ivm_recording_add_lost(r, rows[i].source, rows[i].count);
	return err;
}

static int record_counts(struct ivm_session *s, struct ivm_recording *r)
{
	const GPtrArray *counts = ivm_assemble_counts(s->assemble);
	int err = 0;
	guint i;

	for (i = 0; i < counts->len && !err; i++)
		err = ivm_recording_add_counts(r, g_ptr_array_index(counts, i));
	return err;
}

int ivm_session_finish(struct ivm_session *s, struct ivm_recording *recording)
{
	int err;

	err = record_host(s, recording);
	if (!err)
		err = ivm_recording_add_topology(recording, s->topology);
	if (!err)
		err = record_hooks(s, recording);
	if (!err)
		err = record_counts(s, recording);
	if (!err)
		err = record_lost(s, recording);
	return err ? fail(s, err, "cannot write the recording") : 0;
}

struct causes {
	void (*fn)(void *arg, const char *cause);
	void *arg;
	unsigned int count;
};

static void cause(struct causes *c, uint64_t count, const char *what)
{
	g_autofree char *text = NULL;

	if (!count)
		return;
	c->count++;
	text = g_strdup_printf("%llu %s", (unsigned long long)count, what);
	if (c->fn)
		c->fn(c->arg, text);
}

unsigned int ivm_session_check(struct ivm_session *s, void (*fn)(void *arg, const char *cause),
			       void *arg)
{
	const struct ivm_assemble_stats *stats = ivm_assemble_stats(s->assemble);
	const GPtrArray *counts = ivm_assemble_counts(s->assemble);
	struct causes c = { .fn = fn, .arg = arg };
	struct ivm_session_lost lost;
	uint64_t unfinished = 0;
	guint i;

	for (i = 0; i < counts->len; i++)
		unfinished += ((struct ivm_counts *)g_ptr_array_index(counts, i))->unfinished;
	ivm_session_lost(s, &lost);
	cause(&c, lost.ringbuf, "events lost: the ring buffer was full (-m makes it larger)");
	cause(&c, lost.map, "events lost: a BPF map was full");
	cause(&c, lost.recursion, "events lost: a program was skipped by the kernel");
	cause(&c, lost.page, "link page snapshots lost: the owner kept writing");
	cause(&c, stats->late, "events came too late to be put in order");
	cause(&c, stats->stream_gaps, "messages of a link's socket were not seen");
	cause(&c, stats->unmatched, "interrupts of links could not be matched to a doorbell");
	cause(&c, stats->disordered, "journeys are disordered");
	cause(&c, unfinished, "journeys did not finish");
	cause(&c, s->mode_mismatches, "journeys took another way than the link's mode says");
	return c.count;
}

const struct ivm_hook *ivm_session_hooks(struct ivm_session *s)
{
	if (s->skel && !s->stopped)
		ivm_hooks_read(s->hooks, bpf_map__fd(s->skel->maps.hook_counts));
	return s->hooks;
}

void ivm_session_probed(struct ivm_session *s)
{
	static const enum ivm_hook_id passed[] = {
		IVM_HOOK_KVM_EXIT, IVM_HOOK_KVM_ENTRY, IVM_HOOK_KVM_MMIO, IVM_HOOK_KVM_PIO,
		IVM_HOOK_KVM_USERSPACE_EXIT, IVM_HOOK_KVM_MSI_SET_IRQ,
		IVM_HOOK_KVM_APIC_ACCEPT_IRQ, IVM_HOOK_KVM_INJ_VIRQ, IVM_HOOK_EVENTFD_SIGNAL,
		IVM_HOOK_EVENTFD_WRITE, IVM_HOOK_WRITE, IVM_HOOK_SENDMSG, IVM_HOOK_SENDMSG_RET,
		IVM_HOOK_RECVMSG, IVM_HOOK_RECVMSG_RET,
	};
	unsigned int i;

	ivm_session_hooks(s);
	for (i = 0; i < G_N_ELEMENTS(passed); i++) {
		struct ivm_hook *hook = &s->hooks[passed[i]];

		hook->silent = hook->state != IVM_HOOK_ABSENT && !hook->fired;
	}
}

const char *ivm_session_vcpu_source(const struct ivm_session *s)
{
	return s->vcpus ? ivm_vcpus_source(s->vcpus) : "none";
}

const struct ivm_topology *ivm_session_topology(const struct ivm_session *s)
{
	return s->topology;
}

const struct ivm_assemble *ivm_session_assemble(const struct ivm_session *s)
{
	return s->assemble;
}

const char *ivm_session_why(const struct ivm_session *s)
{
	return s && s->why[0] ? s->why : "unknown reason";
}

void ivm_session_close(struct ivm_session *s)
{
	if (!s)
		return;
	ivm_hooks_detach(s->hooks);
	ring_buffer__free(s->events);
	ivm_assemble_free(s->assemble);
	ivm_discover_free(s->discover);
	ivm_vcpus_close(s->vcpus);
	ivm_topology_free(s->topology);
	if (s->held)
		g_array_unref(s->held);
	if (s->pushed)
		g_hash_table_destroy(s->pushed);
	ivmtrace_bpf__destroy(s->skel);
	ivm_kernel_close(&s->kernel);
	g_free(s);
}
