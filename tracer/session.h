/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tracing session: a source of events, discovery and assembly under one roof.
 *
 *	open     finds out which hooks this kernel allows, loads and attaches
 *	         them, and looks for VMs and links; nothing is recorded yet
 *	arm      from this instant on doorbells open journeys
 *	poll     call it often: consumes events, follows the host's changes, hands
 *	         each finished journey to the recording
 *	stop     no further journeys; lets those under way end (1 s), detaches
 *	finish   writes topology, counts, hooks and losses into the recording
 *	close    frees everything; safe at any point
 *
 * One session may see many VMs come and go: `bench` runs all its modes in one.
 * Functions return 0 or -errno and print nothing; ivm_session_why() says in
 * the user's words what went wrong.
 */
#ifndef IVM_SESSION_H
#define IVM_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "assemble.h"
#include "hooks.h"
#include "recording.h"
#include "source.h"
#include "topology.h"

#define IVM_SESSION_BUFFER_BYTES	(64u << 20)
#define IVM_SESSION_DRAIN_NS		1000000000ull

/* Where events come from */
enum ivm_backend {
	IVM_BACKEND_AUTO,		/* BPF; tracefs where this host refuses BPF */
	IVM_BACKEND_BPF,
	IVM_BACKEND_TRACEFS,
};

/* Names of --backend, in this order; ends with NULL */
extern const char *const ivm_backend_names[];

/* What to follow; zeroed means everything with the defaults */
struct ivm_session_opts {
	uint64_t buffer_bytes;		/* of the ring buffer, 0 = default; rounded up */
	pid_t pid;			/* only links with an end in this QEMU, 0 = all */
	pid_t parent;			/* only QEMUs that this process started, 0 = all */
	const char *link;		/* only links of this name; * and ? are wildcards */
	const char *vm;			/* only links with an end in this VM: name or number */
	enum ivm_backend backend;
	bool probes;			/* hooks count for any thread: doctor looks */
	bool wires;			/* also use what KVM has bound to eventfds: finds
					 * ivshmem-doorbell pairs, checks link pages */
	bool foreign;			/* ... and all others that write to such eventfds */
	bool context;			/* collect what happens on the VMs' threads (context.h) */
	uint64_t profile_hz;		/* sample their threads so often (profile.h); 0 no */
	uint64_t stop_over_ns;		/* a journey longer than that: see ivm_session_over() */
	FILE *raw;			/* takes every event and what it is about, as docs/replay.md
					 * says; stays the caller's; NULL: nobody wants them */
};

/* Where records were lost; all zero in a good recording */
struct ivm_session_lost {
	struct ivm_source_lost source;
	uint64_t page;			/* link page snapshots that never became consistent */
	uint64_t contradictions;	/* times link pages and KVM's tables stayed apart */
};

struct ivm_session;

/* Who wants to know of journeys when they end, whether they are recorded or not */
struct ivm_session_watcher {
	void (*journey)(void *arg, const struct ivm_journey *journey);
	/* Those coalesced into journey @into, which was never delivered, met this end */
	void (*fate)(void *arg, uint64_t into, enum ivm_outcome outcome);
	void *arg;
};

/**
 * ivm_session_open() - loads and attaches all hooks this kernel allows
 * @opts: what to follow; copied, but @opts->link and @opts->vm must stay valid
 * @session: set to the session, also on failure if there is something to say
 *	     with ivm_session_why(); close it in any case
 *
 * Return: 0; -EPERM without the permission; -EXDEV outside the host's PID
 * namespace; -EOPNOTSUPP if a hook that counting needs is missing; another
 * -errno.
 */
int ivm_session_open(const struct ivm_session_opts *opts, struct ivm_session **session);

/**
 * ivm_session_arm() - starts recording
 * @s: an open session
 * @recording: takes the journeys from now on; NULL keeps only the counts
 *
 * Return: 0 or -errno.
 */
int ivm_session_arm(struct ivm_session *s, struct ivm_recording *recording);

/**
 * ivm_session_watch() - tell somebody of each journey
 * @s: a session, not armed yet
 * @watcher: copied; called from ivm_session_poll() and ivm_session_stop()
 */
void ivm_session_watch(struct ivm_session *s, const struct ivm_session_watcher *watcher);

/**
 * ivm_session_yield() - the caller preempts nobody from here on
 *
 * Whoever watches must not take the CPU from those it watches: one that is
 * scheduled as a batch job preempts nobody when it wakes up, and what it has to
 * read waits in buffers.  Children inherit it.
 */
void ivm_session_yield(void);

/**
 * ivm_session_poll() - works off what has happened
 * @s: a session
 * @timeout_ms: how long to wait for events at the most
 *
 * Call it at least every 100 ms while armed, or the ring buffer overflows.
 *
 * Return: 0 (also when interrupted by a signal) or -errno, of the recording too.
 */
int ivm_session_poll(struct ivm_session *s, int timeout_ms);

/**
 * ivm_session_rescan() - looks for VMs and links now, not at the next interval
 * @s: a session
 *
 * Until a link is found its doorbells are not claimed: call this before
 * letting traffic start that must be counted from its first doorbell.
 *
 * Return: 0 or -errno.
 */
int ivm_session_rescan(struct ivm_session *s);

/**
 * ivm_session_links() - links that are up and followed, both ends known
 * @s: a session
 *
 * Return: how many.
 */
unsigned int ivm_session_links(const struct ivm_session *s);

/**
 * ivm_session_ends() - living link ends that are followed, up or down
 * @s: a session
 *
 * Return: how many.
 */
unsigned int ivm_session_ends(const struct ivm_session *s);

/**
 * ivm_session_over() - was there a journey longer than @stop_over_ns?
 * @s: a session
 *
 * Return: how long the first such one took, 0 if there was none.
 */
uint64_t ivm_session_over(const struct ivm_session *s);

/**
 * ivm_session_stop() - ends recording
 * @s: an armed session
 *
 * Doorbells from here on open no journey.  Polls for IVM_SESSION_DRAIN_NS so
 * that those in flight can end, then detaches all hooks and decides the rest.
 *
 * Return: 0 or -errno.
 */
int ivm_session_stop(struct ivm_session *s);

/**
 * ivm_session_finish() - writes what is known only at the end
 * @s: a stopped session
 * @recording: not finished yet; the caller finishes and closes it
 *
 * Host and clock facts, topology, hooks with their states and counters,
 * counts per vector and losses.
 *
 * Return: 0 or -errno.
 */
int ivm_session_finish(struct ivm_session *s, struct ivm_recording *recording);

/**
 * ivm_session_rig() - what kind of host this is
 *
 * Return: "lab" where the CPU itself is emulated by QEMU's TCG, so that times
 * compare only with each other; else "native".
 */
const char *ivm_session_rig(void);

/**
 * ivm_session_close() - detaches and frees
 * @s: may be NULL
 */
void ivm_session_close(struct ivm_session *s);

/**
 * ivm_session_why() - the reason of the last failure
 * @s: may be NULL
 *
 * Return: text without final stop, valid until the next call; never NULL.
 */
const char *ivm_session_why(const struct ivm_session *s);

/**
 * ivm_session_backend() - where the events come from
 * @s: a session, may have failed to open
 *
 * Return: "bpf" or "tracefs"; "none" if the session did not open.
 */
const char *ivm_session_backend(const struct ivm_session *s);

/**
 * ivm_session_fallback() - why it is not BPF
 * @s: a session
 *
 * Return: the reason, without final stop, if tracefs was taken because this host
 * refuses BPF; else NULL.
 */
const char *ivm_session_fallback(const struct ivm_session *s);

/**
 * ivm_session_hooks() - the hooks with their states; counters as of now
 * @s: a session
 *
 * Return: an array of IVM_HOOKS entries, indexed by enum ivm_hook_id.
 */
const struct ivm_hook *ivm_session_hooks(struct ivm_session *s);

/**
 * ivm_session_probed() - the probe VM ran while armed: hooks that it must have
 * passed and that did not fire are silent on this host
 * @s: an armed session
 */
void ivm_session_probed(struct ivm_session *s);

/**
 * ivm_session_vcpu_source() - how vCPU threads are told here
 * @s: a session
 *
 * Return: "iter", "debugfs" or "names"; "none" if the session did not open.
 */
const char *ivm_session_vcpu_source(const struct ivm_session *s);

/**
 * ivm_session_has_wires() - does the host show what KVM has bound to eventfds?
 * @s: a session opened with wires
 *
 * Return: true if ivshmem-doorbell can be found and link pages be checked.
 */
bool ivm_session_has_wires(const struct ivm_session *s);

const struct ivm_topology *ivm_session_topology(const struct ivm_session *s);
const struct ivm_assemble *ivm_session_assemble(const struct ivm_session *s);
void ivm_session_lost(struct ivm_session *s, struct ivm_session_lost *lost);

/**
 * ivm_session_check() - the causes for which --strict refuses a recording
 * @s: a stopped session
 * @fn: called with one line a cause, NULL to count only
 * @arg: handed to @fn
 *
 * Return: the number of causes, 0 if the recording is complete.
 */
unsigned int ivm_session_check(struct ivm_session *s, void (*fn)(void *arg, const char *cause),
			       void *arg);

#endif /* IVM_SESSION_H */
