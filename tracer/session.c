// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Lifecycle, discovery, order and assembly, over whatever source of events.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "context.h"
#include "discover.h"
#include "environment.h"
#include "irqfds.h"
#include "profile.h"
#include "replay.h"
#include "session.h"
#include "slowest.h"
#include "source.h"
#include "stamps.h"
#include "vcpus.h"

#define MSEC_NS		1000000ull
#define SCAN_NS		(100 * MSEC_NS)
#define RUN_NS		(100 * MSEC_NS)
#define DRAIN_ALONE_NS	(100 * MSEC_NS)	/* when no VM is left that could end anything */

const char *const ivm_backend_names[] = { "auto", "bpf", "tracefs", NULL };

struct ivm_session {
	struct ivm_session_opts opts;
	struct ivm_hook hooks[IVM_HOOKS];
	struct ivm_source *source;
	struct ivm_vcpus *vcpus;
	struct ivm_irqfds *irqfds;	/* NULL: not used */
	struct ivm_discover *discover;
	struct ivm_topology *topology;
	struct ivm_assemble *assemble;
	struct ivm_stamps *stamps;
	struct ivm_environment *environment;
	uint64_t environment_of;	/* version of the topology it was read at */
	struct ivm_context *context;	/* NULL: not collected */
	struct ivm_profile *profile;	/* NULL: not sampled */
	struct ivm_recording *recording;
	struct ivm_session_watcher watcher;
	struct ivm_replay_writer *raw;	/* NULL: nobody wants the events */
	GArray *held;			/* struct ivm_event by time, not complete yet */
	uint64_t ran_ns;
	uint64_t settled_ns;		/* events stamped before it were worked off */
	uint64_t scanned_ns;
	uint64_t armed_ns;
	uint64_t stopped_ns;
	uint64_t delivered[IVM_MODES];
	uint64_t injected;		/* delivered journeys that must have been injected */
	uint64_t mode_mismatches;
	uint64_t served;		/* journeys that went by a QEMU for lack of an irqfd */
	uint64_t over_ns;		/* the first journey longer than opts.stop_over_ns */
	bool stopped;
	char start[32];			/* ISO 8601, of arming */
	char why[IVM_SOURCE_WHY_BYTES];
	char fallback[IVM_SOURCE_WHY_BYTES];	/* why BPF was not taken, "" if it was */
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

/* The first journey that is too long is what the caller waits for */
static void check_span(struct ivm_session *s, const struct ivm_journey *j)
{
	uint64_t begin_ns, end_ns;

	if (s->over_ns || j->outcome != IVM_O_DELIVERED || j->flags & IVM_J_DISORDERED ||
	    !ivm_journey_span(j, &begin_ns, &end_ns))
		return;
	if (end_ns - begin_ns > s->opts.stop_over_ns)
		s->over_ns = end_ns - begin_ns;
}

static uint32_t vcpu_tid(const struct ivm_topology *t, const struct ivm_end *end, uint32_t vcpu_id)
{
	const struct ivm_vcpu *vcpu = end ? ivm_topology_vcpu_by_id(t, end->vm, vcpu_id) : NULL;

	return vcpu ? (uint32_t)vcpu->tid : 0;
}

/* For those who look at threads: all around this journey is polled before they settle it */
static void pass_on(struct ivm_session *s, const struct ivm_journey *j)
{
	const struct ivm_end *from = ivm_topology_end(s->topology, j->from_end);
	const struct ivm_end *to = ivm_topology_end(s->topology, j->to_end);
	const struct ivm_actors actors = {
		.from_tid = vcpu_tid(s->topology, from, j->from_vcpu),
		.from_pid = from ? (uint32_t)from->vm->tgid : 0,
		.to_tid = vcpu_tid(s->topology, to, j->to_vcpu),
		.to_pid = to ? (uint32_t)to->vm->tgid : 0,
	};

	if (s->context)
		ivm_context_journey(s->context, j, &actors);
	if (s->profile)
		ivm_profile_journey(s->profile, j, &actors);
}

static int take_journey(void *arg, const struct ivm_journey *j)
{
	struct ivm_session *s = arg;

	if (s->opts.stop_over_ns)
		check_span(s, j);
	if (s->context || s->profile)
		pass_on(s, j);
	if (j->outcome == IVM_O_DELIVERED && j->mode < IVM_MODES) {
		s->delivered[j->mode]++;
		if (!(j->flags & IVM_J_POSTED))
			s->injected++;
	}
	if (j->mode != IVM_M_UNKNOWN && j->configured != IVM_M_UNKNOWN && j->mode != j->configured)
		s->mode_mismatches++;
	s->served += ivm_was_served(j);
	if (s->watcher.journey)
		s->watcher.journey(s->watcher.arg, j);
	return s->recording ? ivm_recording_add_journey(s->recording, j) : 0;
}

static int take_arrival(void *arg, const struct ivm_journey *j)
{
	struct ivm_session *s = arg;

	return s->recording ? ivm_recording_add_arrival(s->recording, j) : 0;
}

/* Events come nearly in order: the place is close to the end */
static void take_event(void *arg, const struct ivm_event *e)
{
	struct ivm_session *s = arg;
	guint at = s->held->len;

	if (e->type == IVM_EV_TSC_OFFSET)
		ivm_stamps_event(s->stamps, e);
	while (at && g_array_index(s->held, struct ivm_event, at - 1).t_ns > e->t_ns)
		at--;
	g_array_insert_vals(s->held, at, e, 1);
}

static void take_record(void *arg, const struct ivm_journey_record *r)
{
	struct ivm_session *s = arg;

	ivm_assemble_record(s->assemble, r);
}

static void take_slot(void *arg, const struct ivm_slot *slot, uint64_t purge_ns)
{
	struct ivm_session *s = arg;

	ivm_assemble_slot(s->assemble, slot, purge_ns);
}

static void take_lost(void *arg, const struct ivm_lost_key *key,
		      const struct ivm_lost_rings *lost)
{
	struct ivm_session *s = arg;

	ivm_assemble_lost(s->assemble, key, lost);
}

static int take_fate(void *arg, uint64_t into, enum ivm_outcome outcome)
{
	struct ivm_session *s = arg;

	if (s->watcher.fate)
		s->watcher.fate(s->watcher.arg, into, outcome);
	return s->recording ? ivm_recording_set_fate(s->recording, into, outcome) : 0;
}

/* Works off all events stamped before @until_ns */
static int run_until(struct ivm_session *s, uint64_t until_ns)
{
	int err = 0;
	guint i;

	for (i = 0; i < s->held->len; i++) {
		const struct ivm_event *e = &g_array_index(s->held, struct ivm_event, i);

		if (e->t_ns >= until_ns)
			break;
		ivm_assemble_event(s->assemble, e);
		if (s->raw && !err)
			err = ivm_replay_write_event(s->raw, e);
	}
	if (i)
		g_array_remove_range(s->held, 0, i);
	if (s->raw)
		ivm_replay_write_settle(s->raw);
	return err ? err : ivm_assemble_run(s->assemble, until_ns);
}

/* Its reason is ours */
static int source_result(struct ivm_session *s, int err)
{
	if (err)
		g_strlcpy(s->why, s->source->why, sizeof(s->why));
	return err;
}

/* Before the events that it explains */
static int write_topology(struct ivm_session *s, uint64_t now_ns)
{
	return s->raw ? ivm_replay_write_topology(s->raw, s->topology, now_ns) : 0;
}

static int scan(struct ivm_session *s, bool everything)
{
	uint64_t now = ivm_now_ns();
	int err;

	if (!everything && now - s->scanned_ns < SCAN_NS)
		return 0;
	s->scanned_ns = now;
	err = ivm_discover_scan(s->discover, now, s->armed_ns ? s->settled_ns : now, everything);
	if (err)
		return fail(s, err, "cannot look for VMs in /proc");
	err = write_topology(s, now);
	if (err)
		return fail(s, err, "cannot write the events");
	if (s->environment_of != s->topology->version) {
		s->environment_of = s->topology->version;
		ivm_environment_follow(s->environment, s->topology, false);
	}
	/* A stamp may come the moment its journey begins */
	ivm_stamps_follow(s->stamps);
	err = source_result(s, s->source->ops->follow(s->source, s->topology));
	if (!err && s->context && ivm_context_follow(s->context, s->topology))
		err = fail(s, -ENOSPC, "too many threads for --context");
	if (s->profile)
		ivm_profile_follow(s->profile, s->topology);
	ivm_stamps_followed(s->stamps);
	return err;
}

/* ---- opening ---- */

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

static int open_source(struct ivm_session *s, const struct ivm_source_ops *ops)
{
	s->source = ops->new();
	s->source->ops = ops;
	s->source->opts = (struct ivm_source_opts) {
		.buffer_bytes = s->opts.buffer_bytes ? s->opts.buffer_bytes :
						       IVM_SESSION_BUFFER_BYTES,
		.hooks = s->hooks,
		.streams = s->opts.raw != NULL,
		.counts_all = s->opts.probes,
		.take_event = take_event,
		.take_record = take_record,
		.take_slot = take_slot,
		.take_lost = take_lost,
		.arg = s,
	};
	return source_result(s, ops->open(s->source));
}

/* Where this host refuses BPF, or knows too little of it, another way may be open */
static int open_any_source(struct ivm_session *s)
{
	int err, refused;

	if (s->opts.backend == IVM_BACKEND_TRACEFS)
		return open_source(s, &ivm_source_tracefs);
	refused = open_source(s, &ivm_source_bpf);
	if (s->opts.backend == IVM_BACKEND_BPF || !refused || refused == -ENOMEM)
		return refused;
	g_strlcpy(s->fallback, s->why, sizeof(s->fallback));
	s->source->ops->close(s->source);
	ivm_hooks_init(s->hooks);
	err = open_source(s, &ivm_source_tracefs);
	if (!err)
		return 0;
	/* Who may neither is told about the better one */
	g_strlcpy(s->why, s->fallback, sizeof(s->why));
	s->fallback[0] = 0;
	return refused;
}

static int open_context(struct ivm_session *s)
{
	const char *why;
	int err;

	if (!s->opts.context)
		return 0;
	err = ivm_context_open(&s->context, &why);
	return err ? fail(s, err, "%s", why) : 0;
}

static int open_profile(struct ivm_session *s)
{
	const char *why;
	int err;

	if (!s->opts.profile_hz)
		return 0;
	if (s->opts.raw)
		return fail(s, -EOPNOTSUPP, "--profile: with --raw no journey is assembled in the "
			    "kernel, and nobody knows there whom to sample");
	err = ivm_profile_open(s->source, s->opts.profile_hz, &s->profile, &why);
	return err ? fail(s, err, "%s", why) : 0;
}

static int open_parts(struct ivm_session *s)
{
	struct ivm_discover_filter filter = {
		.pid = s->opts.pid,
		.parent = s->opts.parent,
		.link = s->opts.link,
		.vm = s->opts.vm,
		.foreign = s->opts.foreign,
	};
	int err;

	err = check_namespace(s);
	if (!err)
		err = open_any_source(s);
	if (!err)
		err = open_context(s);
	if (!err)
		err = open_profile(s);
	if (err)
		return err;
	s->vcpus = ivm_vcpus_open();
	s->topology = ivm_topology_new();
	s->environment = ivm_environment_new();
	s->discover = ivm_discover_new(s->topology, s->vcpus, &filter);
	if (s->opts.wires) {
		s->irqfds = ivm_irqfds_open();
		ivm_discover_use_irqfds(s->discover, s->irqfds);
	}
	if (s->opts.foreign && !ivm_session_has_wires(s))
		return fail(s, -EOPNOTSUPP, "this host does not show what KVM has bound to "
			    "eventfds, which --irqfd needs: BPF iterators (Linux 5.17 with BTF) "
			    "and root");
	s->assemble = ivm_assemble_new(s->topology, take_journey, s);
	ivm_assemble_on_fate(s->assemble, take_fate);
	ivm_assemble_on_arrival(s->assemble, take_arrival);
	s->stamps = ivm_stamps_new(s->topology, s->vcpus);
	s->held = g_array_new(FALSE, FALSE, sizeof(struct ivm_event));
	return scan(s, true);
}

int ivm_session_open(const struct ivm_session_opts *opts, struct ivm_session **session)
{
	struct ivm_session *s = g_new0(struct ivm_session, 1);

	*session = s;
	s->opts = *opts;
	if (opts->raw)
		s->raw = ivm_replay_writer_new(opts->raw);
	ivm_hooks_init(s->hooks);
	return open_parts(s);
}

/* ---- running ---- */

void ivm_session_yield(void)
{
	const struct sched_param none = {};

	/* Not being allowed to is no reason to fail */
	if (sched_getscheduler(0) == SCHED_OTHER)
		sched_setscheduler(0, SCHED_BATCH, &none);
}

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
	err = ivm_stamps_start(s->stamps, recording);
	if (err)
		return fail(s, err, "cannot write the recording");
	stamp_start(s);
	ivm_environment_read_host(s->environment, "");
	s->armed_ns = ivm_now_ns();
	if (s->raw)
		ivm_replay_write_arm(s->raw, s->armed_ns);
	if (s->context)
		ivm_context_arm(s->context);
	if (s->profile)
		ivm_profile_arm(s->profile, recording);
	s->source->ops->arm(s->source);
	ivm_stamps_followed(s->stamps);
	return 0;
}

void ivm_session_watch(struct ivm_session *s, const struct ivm_session_watcher *watcher)
{
	s->watcher = *watcher;
}

/* Topology first: the events to be worked off may be of a link just found */
static int work_off(struct ivm_session *s)
{
	uint64_t now = ivm_now_ns();
	int err = scan(s, false);

	if (!err && !s->stopped)
		err = ivm_stamps_poll(s->stamps);
	if (err || now - s->ran_ns < RUN_NS)
		return err;
	s->ran_ns = now;
	err = run_until(s, s->source->complete_ns);
	s->settled_ns = s->source->complete_ns;
	return err ? fail(s, err, "cannot write the recording") : 0;
}

int ivm_session_poll(struct ivm_session *s, int timeout_ms)
{
	int err = source_result(s, s->source->ops->poll(s->source, timeout_ms));

	/* What happened around a journey has to be there before it is worked off */
	if (!err && s->context && ivm_context_poll(s->context))
		err = fail(s, -EIO, "cannot read the intervals of --context");
	if (!err && s->profile && ivm_profile_poll(s->profile))
		err = fail(s, -EIO, "cannot take the samples of --profile");
	return err ? err : work_off(s);
}

int ivm_session_rescan(struct ivm_session *s)
{
	return scan(s, true);
}

uint64_t ivm_session_over(const struct ivm_session *s)
{
	return s->over_ns;
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

		paired += !end->dead && end->peer && end->peer != end;
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
		s->hooks[must[i].id].silent = must[i].passed && !s->hooks[must[i].id].fired;
	for (i = 0; i < IVM_HOOKS; i++)
		if (i == IVM_HOOK_KVM_EXIT || i == IVM_HOOK_KVM_ENTRY ||
		    i == IVM_HOOK_KVM_MSI_SET_IRQ)
			s->hooks[i].silent = all && !s->hooks[i].fired;
	for (i = 0; i < IVM_HOOKS; i++)
		s->hooks[i].silent &= s->hooks[i].state != IVM_HOOK_ABSENT;
}

/* All events are in: what is still in flight now has met its fate */
static int settle(struct ivm_session *s)
{
	uint64_t now = ivm_now_ns();
	int err = source_result(s, s->source->ops->poll(s->source, 0));

	if (!err)
		err = run_until(s, UINT64_MAX);
	/* Nothing is left to be worked off, so nobody needs the gone any more */
	if (!err)
		err = ivm_discover_scan(s->discover, now, UINT64_MAX, true);
	if (!err)
		err = ivm_discover_scan(s->discover, now, UINT64_MAX, false);
	if (!err && s->source->ops->flush)
		err = source_result(s, s->source->ops->flush(s->source));
	if (!err)
		err = write_topology(s, now);
	if (!err)
		err = ivm_assemble_finish(s->assemble);
	return err && !s->why[0] ? fail(s, err, "cannot write the recording") : err;
}

int ivm_session_stop(struct ivm_session *s)
{
	int err;

	s->stopped_ns = ivm_now_ns();
	ivm_assemble_stop(s->assemble, s->stopped_ns);
	if (s->raw)
		ivm_replay_write_stop(s->raw, s->stopped_ns);
	if (s->source->ops->stop)
		s->source->ops->stop(s->source);
	err = drain(s);
	if (!err)
		err = ivm_stamps_stop(s->stamps, s->stopped_ns);
	s->source->ops->disarm(s->source);
	if (s->context) {
		ivm_context_disarm(s->context);
		ivm_context_poll(s->context);
	}
	if (s->profile) {
		ivm_profile_disarm(s->profile);
		ivm_profile_poll(s->profile);
	}
	s->stopped = true;
	ivm_environment_follow(s->environment, s->topology, true);
	if (!err)
		err = settle(s);
	s->source->ops->read_hooks(s->source);
	find_silent(s);
	return err;
}

/* ---- results ---- */

void ivm_session_lost(struct ivm_session *s, struct ivm_session_lost *lost)
{
	ivm_session_hooks(s);
	s->source->ops->lost(s->source, &lost->source);
	lost->page = ivm_discover_stats(s->discover)->torn;
	lost->contradictions = ivm_discover_stats(s->discover)->contradictions;
}

const char *ivm_session_rig(void)
{
	g_autofree char *cpuinfo = NULL;

	if (!g_file_get_contents("/proc/cpuinfo", &cpuinfo, NULL, NULL))
		return "native";
	return strstr(cpuinfo, "QEMU TCG CPU") ? "lab" : "native";
}

/* The recording and the raw events say the same of the host */
static int put_meta(struct ivm_session *s, struct ivm_recording *r, const char *key,
		    const char *value)
{
	int err = ivm_recording_set(r, key, value);

	return err || !s->raw ? err : ivm_replay_write_meta(s->raw, key, value);
}

static int record_host(struct ivm_session *s, struct ivm_recording *r)
{
	struct utsname host;
	int err;

	uname(&host);
	err = put_meta(s, r, "kernel", host.release);
	if (!err)
		err = put_meta(s, r, "arch", host.machine);
	if (!err)
		err = put_meta(s, r, "rig", ivm_session_rig());
	if (!err)
		err = put_meta(s, r, "backend", s->source->ops->name);
	if (!err)
		err = ivm_recording_set(r, "clock", "monotonic");
	if (!err)
		err = put_meta(s, r, "vcpu_source", ivm_vcpus_source(s->vcpus));
	if (!err && ivm_stamps_why_not(s->stamps))
		err = put_meta(s, r, "stamps_unused", ivm_stamps_why_not(s->stamps));
	if (!err)
		err = put_meta(s, r, "start", s->start);
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
		err = ivm_recording_add_hook(r, hook->name, ivm_hook_shown(hook), hook->fired,
					     hook->missed + hook->lost, hook->run_ns);
		if (!err && s->raw)
			err = ivm_replay_write_hook(s->raw, hook->name, ivm_hook_shown(hook),
						    hook->fired, hook->missed + hook->lost,
						    hook->run_ns);
	}
	return err;
}

struct lost_row {
	const char *source;
	uint64_t count;
};

/* What was lost on the way to the assembler, which counts what did not fit by itself */
static int record_lost(struct ivm_session *s, struct ivm_recording *r)
{
	struct ivm_session_lost lost;
	unsigned int i;
	int err = 0;

	ivm_session_lost(s, &lost);
	const struct lost_row rows[] = {
		{ "ringbuf", lost.source.ringbuf },
		{ "map", lost.source.map },
		{ "recursion", lost.source.recursion },
		{ "overrun", lost.source.overrun },
		{ "switches", lost.source.switches },
		{ "unplaced", lost.source.unplaced },
		{ "link_page", lost.page },
		{ "contradictions", lost.contradictions },
		{ "unmatched", lost.source.unmatched },
		{ "before_start", lost.source.before_start },
	};

	for (i = 0; i < G_N_ELEMENTS(rows) && !err; i++) {
		err = ivm_recording_add_lost(r, rows[i].source, rows[i].count);
		if (!err && s->raw)
			err = ivm_replay_write_lost(s->raw, rows[i].source, rows[i].count);
	}
	return err;
}

static int record_lost_stamps(struct ivm_session *s, struct ivm_recording *r)
{
	const struct ivm_stamps_stats *stamps = ivm_stamps_stats(s->stamps);
	const struct lost_row rows[] = {
		{ "stamp_overrun", stamps->overrun },
		{ "stamp_unmatched", stamps->unmatched },
		{ "stamp_dropped", stamps->dropped },
		{ "stamp_disordered", stamps->disordered },
	};
	unsigned int i;
	int err = 0;

	for (i = 0; i < G_N_ELEMENTS(rows) && !err; i++)
		err = ivm_recording_add_lost(r, rows[i].source, rows[i].count);
	return err;
}

int ivm_session_finish(struct ivm_session *s, struct ivm_recording *recording)
{
	int err;

	err = record_host(s, recording);
	if (!err)
		err = ivm_stamps_join(s->stamps);
	if (!err)
		err = ivm_recording_add_topology(recording, s->topology);
	if (!err)
		err = ivm_environment_write(s->environment, recording);
	if (!err)
		err = record_hooks(s, recording);
	if (!err)
		err = ivm_recording_add_assembly(recording, s->assemble);
	if (!err)
		err = record_lost(s, recording);
	if (!err)
		err = record_lost_stamps(s, recording);
	if (!err && s->context)
		err = ivm_context_write(s->context, recording);
	if (!err && s->profile)
		err = ivm_profile_write(s->profile, recording);
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
	const struct ivm_stamps_stats *stamps = ivm_stamps_stats(s->stamps);
	const GPtrArray *counts = ivm_assemble_counts(s->assemble);
	struct causes c = { .fn = fn, .arg = arg };
	struct ivm_session_lost lost;
	uint64_t unfinished = 0;
	guint i;

	for (i = 0; i < counts->len; i++)
		unfinished += ((struct ivm_counts *)g_ptr_array_index(counts, i))->unfinished;
	ivm_session_lost(s, &lost);
	cause(&c, lost.source.ringbuf,
	      "events lost: the ring buffer was full (-m makes it larger)");
	cause(&c, lost.source.map, "events lost: a BPF map was full");
	cause(&c, lost.source.recursion, "events lost: a program was skipped by the kernel");
	cause(&c, lost.source.overrun,
	      "events lost: a CPU's tracefs buffer was full (-m makes it larger)");
	if (s->profile)
		cause(&c, ivm_profile_lost(s->profile), "samples found no room");
	cause(&c, lost.source.switches, "context switches were left out by tracefs");
	cause(&c, lost.source.unplaced, "messages of a link's socket could not be told apart");
	cause(&c, lost.page, "link page snapshots lost: the owner kept writing");
	cause(&c, lost.contradictions, "contradictions between link pages and what KVM has bound "
	      "to eventfds: see 'ivmtrace list --irqfd'");
	cause(&c, stats->late, "events came too late to be put in order");
	cause(&c, stats->stream_gaps, "messages of a link's socket were not seen");
	cause(&c, stats->unmatched + lost.source.unmatched,
	      "interrupts of links could not be matched to a doorbell");
	cause(&c, stats->disordered, "journeys are disordered");
	cause(&c, stamps->overrun, "guest stamps lost: the guests wrote over them");
	cause(&c, stamps->unmatched, "guest stamps or journeys have no counterpart");
	cause(&c, stamps->dropped, "guest stamps could not be told in host time");
	cause(&c, stamps->disordered, "guest stamps contradict the host's events");
	cause(&c, unfinished, "journeys did not finish");
	cause(&c, s->mode_mismatches, "journeys took another way than the link's mode says");
	cause(&c, s->served, "journeys waited for the receiving QEMU: KVM refused it an irqfd");
	return c.count;
}

const struct ivm_hook *ivm_session_hooks(struct ivm_session *s)
{
	if (s->armed_ns && !s->stopped)
		s->source->ops->read_hooks(s->source);
	return s->hooks;
}

void ivm_session_probed(struct ivm_session *s)
{
	static const enum ivm_hook_id passed[] = {
		IVM_HOOK_KVM_EXIT, IVM_HOOK_KVM_ENTRY, IVM_HOOK_KVM_MMIO, IVM_HOOK_KVM_PIO,
		IVM_HOOK_KVM_USERSPACE_EXIT, IVM_HOOK_KVM_MSI_SET_IRQ,
		IVM_HOOK_KVM_APIC_ACCEPT_IRQ, IVM_HOOK_KVM_INJ_VIRQ, IVM_HOOK_EVENTFD_SIGNAL,
		IVM_HOOK_EVENTFD_WRITE, IVM_HOOK_WRITE, IVM_HOOK_SENDMSG, IVM_HOOK_SENDMSG_RET,
		IVM_HOOK_RECVMSG, IVM_HOOK_RECVMSG_RET, IVM_HOOK_READ, IVM_HOOK_READ_RET,
	};
	unsigned int i;

	ivm_session_hooks(s);
	for (i = 0; i < G_N_ELEMENTS(passed); i++) {
		struct ivm_hook *hook = &s->hooks[passed[i]];

		hook->silent = hook->state != IVM_HOOK_ABSENT && !hook->fired;
	}
}

const char *ivm_session_backend(const struct ivm_session *s)
{
	return s->vcpus ? s->source->ops->name : "none";
}

const char *ivm_session_fallback(const struct ivm_session *s)
{
	return s->fallback[0] ? s->fallback : NULL;
}

bool ivm_session_has_wires(const struct ivm_session *s)
{
	return s->irqfds && ivm_irqfds_available(s->irqfds);
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
	if (s->source)
		s->source->ops->close(s->source);
	ivm_context_close(s->context);
	ivm_profile_close(s->profile);
	ivm_stamps_free(s->stamps);
	ivm_replay_writer_free(s->raw);
	ivm_assemble_free(s->assemble);
	ivm_discover_free(s->discover);
	ivm_irqfds_close(s->irqfds);
	ivm_vcpus_close(s->vcpus);
	ivm_environment_free(s->environment);
	ivm_topology_free(s->topology);
	if (s->held)
		g_array_unref(s->held);
	g_free(s);
}
