// SPDX-License-Identifier: GPL-2.0-or-later
/* The BPF object that looks at followed threads, and what becomes of its intervals */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <glib.h>

#include "clock.h"
#include "context.h"
#include "context.skel.h"
#include "hooks.h"
#include "slowest.h"

#define SETTLE_NS	50000000ull	/* a program may have been interrupted so long */

struct ivm_context {
	struct context_bpf *skel;
	struct ring_buffer *intervals;
	struct ivm_slowest *slowest;
	GHashTable *threads;		/* tid -> tgid, as the map has them */
	uint64_t version;		/* of the topology */
};

static int take_interval(void *arg, void *data, size_t bytes)
{
	struct ivm_context *c = arg;

	if (bytes >= sizeof(struct ivm_interval))
		ivm_slowest_interval(c->slowest, data);
	return 0;
}

/* No two architectures have all of them */
static void set_calls(struct context_bpf *skel)
{
	static const long polls[IVM_CTX_POLL_CALLS] = {
		SYS_ppoll,
		SYS_epoll_pwait,
#ifdef SYS_poll
		SYS_poll,
#else
		SYS_ppoll,
#endif
#ifdef SYS_epoll_wait
		SYS_epoll_wait,
#else
		SYS_ppoll,
#endif
		SYS_pselect6,
#ifdef SYS_epoll_pwait2
		SYS_epoll_pwait2,
#else
		SYS_ppoll,
#endif
	};
	unsigned int i;

	for (i = 0; i < IVM_CTX_POLL_CALLS; i++)
		skel->rodata->poll_calls[i] = (unsigned long)polls[i];
	skel->rodata->ioctl_call = SYS_ioctl;
}

/* A tracepoint that this kernel has not explains nothing; the others still do */
static int select_programs(struct context_bpf *skel, bool all)
{
	struct bpf_program *program, *other;
	struct ivm_kernel kernel;
	const char *name;
	int err, args;

	err = ivm_kernel_open(&kernel);
	if (!err) {
		bpf_object__for_each_program(program, skel->obj) {
			name = strchr(bpf_program__section_name(program), '/');
			args = name ? ivm_kernel_tracepoint_args(&kernel, name + 1) : -1;
			bpf_program__set_autoload(program, args >= 0 &&
						  (all || program == skel->progs.switched ||
						   program == skel->progs.waking));
		}
		args = ivm_kernel_tracepoint_args(&kernel, "kvm_page_fault");
		other = args == 3 ? skel->progs.page_fault_old : skel->progs.page_fault;
		bpf_program__set_autoload(other, false);
	}
	ivm_kernel_close(&kernel);
	return err;
}

static int attach(struct context_bpf *skel)
{
	struct bpf_program *program;
	struct bpf_link **link;
	size_t i;

	for (i = 0; i < (size_t)skel->skeleton->prog_cnt; i++) {
		program = *skel->skeleton->progs[i].prog;
		link = skel->skeleton->progs[i].link;
		if (bpf_program__autoload(program))
			*link = bpf_program__attach(program);
	}
	return skel->links.switched && skel->links.waking ? 0 : -EOPNOTSUPP;
}

static int load_programs(struct ivm_context *c, bool all)
{
	int err;

	context_bpf__destroy(c->skel);
	c->skel = context_bpf__open();
	if (!c->skel)
		return -errno;
	set_calls(c->skel);
	err = select_programs(c->skel, all);
	if (!err)
		err = context_bpf__load(c->skel);
	return err ? err : attach(c->skel);
}

static int load(struct ivm_context *c)
{
	/* The verifier's dislike of one program fails all: the scheduler says most */
	int err = load_programs(c, true);

	if (err)
		err = load_programs(c, false);
	if (err)
		return err;
	c->intervals = ring_buffer__new(bpf_map__fd(c->skel->maps.intervals), take_interval, c,
					NULL);
	return c->intervals ? 0 : -errno;
}

int ivm_context_open(struct ivm_context **context, const char **why)
{
	struct ivm_context *c = g_new0(struct ivm_context, 1);
	int err;

	c->slowest = ivm_slowest_new();
	c->threads = g_hash_table_new(NULL, NULL);
	err = load(c);
	if (err) {
		*why = "--context needs BPF on typed tracepoints, which this host refuses";
		ivm_context_close(c);
		return err;
	}
	*context = c;
	return 0;
}

void ivm_context_close(struct ivm_context *c)
{
	if (!c)
		return;
	ring_buffer__free(c->intervals);
	context_bpf__destroy(c->skel);
	ivm_slowest_free(c->slowest);
	g_hash_table_destroy(c->threads);
	g_free(c);
}

/* ---- whom it looks at ---- */

static int claim(struct ivm_context *c, GHashTable *wanted, pid_t tgid, pid_t tid, uint32_t kind)
{
	struct ivm_ctx_thread thread = { .tgid = (uint32_t)tgid, .kind = kind };
	int fd = bpf_map__fd(c->skel->maps.threads);
	__u32 key = (__u32)tid;

	g_hash_table_insert(wanted, GINT_TO_POINTER(tid), GINT_TO_POINTER(tgid));
	if (g_hash_table_lookup(c->threads, GINT_TO_POINTER(tid)) == GINT_TO_POINTER(tgid))
		return 0;
	return bpf_map_update_elem(fd, &key, &thread, BPF_ANY) ? -errno : 0;
}

static void forget_gone(struct ivm_context *c, GHashTable *wanted)
{
	GHashTableIter i;
	gpointer tid;
	__u32 key;

	g_hash_table_iter_init(&i, c->threads);
	while (g_hash_table_iter_next(&i, &tid, NULL)) {
		key = GPOINTER_TO_UINT(tid);
		if (!g_hash_table_contains(wanted, tid))
			bpf_map_delete_elem(bpf_map__fd(c->skel->maps.threads), &key);
	}
}

/**
 * ivm_context_follow() - brings the threads in line with the topology
 * @c: open
 * @t: the topology
 *
 * Return: 0 or -errno.
 */
int ivm_context_follow(struct ivm_context *c, const struct ivm_topology *t)
{
	GHashTable *wanted;
	int err = 0;
	guint i;

	if (c->version == t->version)
		return 0;
	wanted = g_hash_table_new(NULL, NULL);
	for (i = 0; i < t->ends->len && !err; i++) {
		const struct ivm_end *end = g_ptr_array_index(t->ends, i);

		if (!end->dead)
			err = claim(c, wanted, end->vm->tgid, end->vm->tgid, IVM_CTX_MAIN);
	}
	for (i = 0; i < t->vcpus->len && !err; i++) {
		const struct ivm_vcpu *vcpu = g_ptr_array_index(t->vcpus, i);

		if (!vcpu->vm->dead)
			err = claim(c, wanted, vcpu->vm->tgid, vcpu->tid, IVM_CTX_VCPU);
	}
	forget_gone(c, wanted);
	g_hash_table_destroy(c->threads);
	c->threads = wanted;
	c->version = t->version;
	return err;
}

/* ---- running ---- */

void ivm_context_arm(struct ivm_context *c)
{
	c->skel->bss->armed = 1;
}

void ivm_context_disarm(struct ivm_context *c)
{
	c->skel->bss->armed = 0;
	context_bpf__detach(c->skel);
}

int ivm_context_poll(struct ivm_context *c)
{
	uint64_t now_ns = ivm_now_ns();
	int err = ring_buffer__consume(c->intervals);

	ivm_slowest_settle(c->slowest, now_ns - SETTLE_NS);
	return err < 0 ? err : 0;
}

void ivm_context_journey(struct ivm_context *c, const struct ivm_journey *j,
			 const struct ivm_actors *actors)
{
	ivm_slowest_journey(c->slowest, j, actors);
}

int ivm_context_write(struct ivm_context *c, struct ivm_recording *recording)
{
	int err = ivm_recording_add_lost(recording, "context", c->skel->bss->lost);

	if (!err)
		err = ivm_recording_set(recording, "context", "on");
	ivm_slowest_settle(c->slowest, UINT64_MAX);
	return err ? err : ivm_slowest_write(c->slowest, recording);
}
