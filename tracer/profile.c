// SPDX-License-Identifier: GPL-2.0-or-later
/* The BPF object that samples, its perf events, and what becomes of its samples */
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <glib.h>

#include "../bpf/profile.h"
#include "clock.h"
#include "profile.h"
#include "profile.skel.h"
#include "profile_join.h"
#include "symbols.h"

#define SETTLE_NS	50000000ull	/* a program may have been interrupted so long */

struct ivm_profile {
	struct profile_bpf *skel;
	struct ring_buffer *samples;
	GPtrArray *links;		/* struct bpf_link, one a CPU */
	const char *event;		/* as perf list(1) calls it */
	uint64_t hz;
	struct ivm_symbols *symbols;
	struct ivm_profile_join *join;
	struct ivm_recording *recording;
	uint64_t version;		/* of the topology */
	uint64_t unknown;		/* samples whose stack found no room */
};

static int take_sample(void *arg, void *data, size_t bytes)
{
	const struct ivm_sample *sample = data;
	struct ivm_profile *p = arg;
	struct ivm_taken_sample taken = {};

	if (bytes < sizeof(*sample))
		return 0;
	taken.t_ns = sample->t_ns;
	taken.journey = sample->journey;
	taken.tid = sample->tid;
	taken.stack = ivm_symbols_stack(p->symbols, sample);
	if (taken.stack)
		ivm_profile_join_sample(p->join, &taken);
	else
		p->unknown++;
	return 0;
}

static int take_hop(void *arg, const struct ivm_taken_sample *sample, const struct ivm_journey *j,
		    enum ivm_point from, enum ivm_point to, enum ivm_sample_thread thread)
{
	struct ivm_profile *p = arg;
	const struct ivm_recorded_sample recorded = {
		.journey = j,
		.from = from,
		.to = to,
		.thread = thread,
		.tid = sample->tid,
		.stack = sample->stack,
		.t_ns = sample->t_ns,
	};

	return p->recording ? ivm_recording_add_sample(p->recording, &recorded) : 0;
}

/* ---- opening ---- */

static int share_maps(struct profile_bpf *skel, struct ivm_source *source)
{
	int tasks, vcpus;

	if (!source->ops->map)
		return -EOPNOTSUPP;
	tasks = source->ops->map(source, "tasks");
	vcpus = source->ops->map(source, "vcpus");
	if (tasks < 0 || vcpus < 0)
		return -ENOENT;
	if (bpf_map__reuse_fd(skel->maps.tasks, tasks) ||
	    bpf_map__reuse_fd(skel->maps.vcpus, vcpus))
		return -errno;
	return 0;
}

static int load(struct ivm_profile *p, struct ivm_source *source)
{
	int err;

	p->skel = profile_bpf__open();
	if (!p->skel)
		return -errno;
	err = share_maps(p->skel, source);
	if (!err)
		err = profile_bpf__load(p->skel);
	if (err)
		return err;
	p->samples = ring_buffer__new(bpf_map__fd(p->skel->maps.samples), take_sample, p, NULL);
	return p->samples ? 0 : -errno;
}

static int open_event(uint32_t type, uint64_t config, uint64_t hz, int cpu)
{
	struct perf_event_attr attr = {
		.type = type,
		.config = config,
		.size = sizeof(attr),
		.freq = 1,
		.sample_freq = hz,
		.exclude_guest = type == PERF_TYPE_HARDWARE,
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* A CPU that is offline is no failure */
static int attach_cpu(struct ivm_profile *p, uint32_t type, uint64_t config, int cpu)
{
	int fd = open_event(type, config, p->hz, cpu);
	struct bpf_link *link;

	if (fd < 0)
		return fd == -ENODEV ? 0 : fd;
	link = bpf_program__attach_perf_event(p->skel->progs.take_sample, fd);
	if (!link) {
		close(fd);
		return -errno;
	}
	g_ptr_array_add(p->links, link);
	return 0;
}

static int attach_event(struct ivm_profile *p, uint32_t type, uint64_t config)
{
	int err = 0, cpu, cpus = libbpf_num_possible_cpus();

	g_ptr_array_set_size(p->links, 0);
	for (cpu = 0; cpu < cpus && !err; cpu++)
		err = attach_cpu(p, type, config, cpu);
	if (!err && !p->links->len)
		err = -ENODEV;
	return err;
}

/* Cycles also see what runs with interrupts off, where there is a counter */
static int attach(struct ivm_profile *p)
{
	int err = attach_event(p, PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES);

	p->event = "cycles";
	if (err) {
		err = attach_event(p, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK);
		p->event = "cpu-clock";
	}
	return err;
}

static void free_link(gpointer link)
{
	bpf_link__destroy(link);
}

int ivm_profile_open(struct ivm_source *source, uint64_t hz, struct ivm_profile **profile,
		     const char **why)
{
	struct ivm_profile *p = g_new0(struct ivm_profile, 1);
	int err;

	*profile = p;
	p->hz = hz;
	p->links = g_ptr_array_new_with_free_func(free_link);
	p->symbols = ivm_symbols_new();
	p->join = ivm_profile_join_new(take_hop, p);
	err = load(p, source);
	*why = "--profile needs the bpf backend, which assembles journeys in the kernel, and a "
	       "kernel that lets perf events run BPF programs (5.15)";
	if (err)
		return err;
	err = attach(p);
	*why = err == -EINVAL ?
	       "--profile: no CPU can be sampled so often, see kernel.perf_event_max_sample_rate" :
	       "--profile: this host refuses perf events";
	return err;
}

void ivm_profile_close(struct ivm_profile *p)
{
	if (!p)
		return;
	g_ptr_array_unref(p->links);
	ring_buffer__free(p->samples);
	profile_bpf__destroy(p->skel);
	ivm_symbols_free(p->symbols);
	ivm_profile_join_free(p->join);
	g_free(p);
}

/* ---- running ---- */

void ivm_profile_follow(struct ivm_profile *p, const struct ivm_topology *t)
{
	if (p->version != t->version)
		ivm_symbols_forget_processes(p->symbols);
	p->version = t->version;
}

void ivm_profile_arm(struct ivm_profile *p, struct ivm_recording *recording)
{
	p->recording = recording;
	p->skel->bss->armed = 1;
}

void ivm_profile_disarm(struct ivm_profile *p)
{
	p->skel->bss->armed = 0;
	g_ptr_array_set_size(p->links, 0);
}

/**
 * ivm_profile_poll() - takes what was sampled
 * @p: armed, or disarmed since
 *
 * Return: 0 or -errno, of the recording too.
 */
int ivm_profile_poll(struct ivm_profile *p)
{
	uint64_t now_ns = ivm_now_ns();
	int err = ring_buffer__consume(p->samples);

	return err < 0 ? err : ivm_profile_join_settle(p->join, now_ns - SETTLE_NS);
}

void ivm_profile_journey(struct ivm_profile *p, const struct ivm_journey *j,
			 const struct ivm_actors *actors)
{
	ivm_profile_join_journey(p->join, j, actors);
}

/* Samples for which there was no room */
uint64_t ivm_profile_lost(const struct ivm_profile *p)
{
	return p->skel->bss->lost + p->unknown;
}

static int write_stack(void *arg, uint32_t stack, const char *frames)
{
	return ivm_recording_add_stack(arg, stack, frames);
}

static int write_counts(struct ivm_profile *p, struct ivm_recording *recording)
{
	struct ivm_profile_counts counts;
	int err;

	ivm_profile_join_counts(p->join, &counts);
	err = ivm_recording_set(recording, "profile_event", p->event);
	if (!err)
		err = ivm_recording_set_u64(recording, "profile_hz", p->hz);
	if (!err)
		err = ivm_recording_set_u64(recording, "profile_samples", counts.taken);
	if (!err)
		err = ivm_recording_set_u64(recording, "profile_outside", counts.outside);
	if (!err)
		err = ivm_recording_add_lost(recording, "profile", ivm_profile_lost(p));
	return err ? err : ivm_recording_add_lost(recording, "profile_cut", counts.cut);
}

/**
 * ivm_profile_write() - what is known only at the end
 * @p: disarmed and polled, all journeys known
 * @recording: not finished yet
 *
 * Return: 0 or -errno.
 */
int ivm_profile_write(struct ivm_profile *p, struct ivm_recording *recording)
{
	int err = ivm_profile_join_settle(p->join, UINT64_MAX);

	if (!err)
		err = write_counts(p, recording);
	return err ? err : ivm_symbols_each(p->symbols, write_stack, recording);
}
