/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where events come from: one source under each session.
 *
 * A source attaches to the host's hooks, hands what they see to its session
 * and says what was lost.  It neither discovers nor interprets: the session
 * tells it what to follow, and puts events in order and together.
 */
#ifndef IVM_TRACER_SOURCE_H
#define IVM_TRACER_SOURCE_H

#include <stdint.h>

#include "../bpf/journey.h"
#include "hooks.h"
#include "topology.h"

#define IVM_SOURCE_WHY_BYTES	512

/* A hook may lose its (virtual) CPU for so long between its clock and its event */
#define IVM_SOURCE_HOLDBACK_NS	300000000ull

/* Where a source lost events; all zero in a good recording */
struct ivm_source_lost {
	uint64_t ringbuf;		/* no room in the ring buffer */
	uint64_t map;			/* a BPF map was full */
	uint64_t recursion;		/* a program was skipped: it ran on this CPU already */
	uint64_t overrun;		/* no room in a CPU's tracefs buffer */
	uint64_t switches;		/* a CPU's switches of followed threads do not join up */
	uint64_t unplaced;		/* messages of a link's socket without a number */
	uint64_t unmatched;		/* see struct ivm_assemble_stats */
	uint64_t before_start;
};

struct ivm_source_opts {
	uint64_t buffer_bytes;		/* rounded up as the source needs it */
	struct ivm_hook *hooks;		/* initialized; their states and counters are set */
	bool streams;			/* hand all events over, assemble nothing in the kernel */
	bool counts_all;		/* hooks count for any thread */
	void (*take_event)(void *arg, const struct ivm_event *event);
	void (*take_record)(void *arg, const struct ivm_journey_record *record);
	void (*take_slot)(void *arg, const struct ivm_slot *slot, uint64_t purge_ns);
	void (*take_lost)(void *arg, const struct ivm_lost_key *key,
			  const struct ivm_lost_rings *lost);
	void *arg;			/* for the callbacks */
};

struct ivm_source_ops;

/* The part that all sources have; each embeds it as its first member */
struct ivm_source {
	const struct ivm_source_ops *ops;
	struct ivm_source_opts opts;
	uint64_t complete_ns;		/* no event older than that will still be handed over */
	char why[IVM_SOURCE_WHY_BYTES];	/* the reason of the last failure */
};

/**
 * struct ivm_source_ops - a way to get events
 * @name: as recordings and reports call it
 * @new: allocates one; @opts is copied by the caller
 * @open: attaches all hooks this host allows.  No event is handed over before
 *	  @arm.  -EPERM if this user may not, -EOPNOTSUPP if a hook that counting
 *	  needs is missing
 * @follow: brings what is followed in line with the topology, which stays valid
 * @arm: events count from this instant on
 * @poll: waits at most @timeout_ms, hands over the events there are, nearly in
 *	  order of time, and sets @complete_ns.  -EINTR is no failure and not
 *	  returned
 * @stop: doorbells from here on open no journey; may be NULL
 * @flush: hands over what is left in the programs' states, after @disarm and the
 *	   last @poll; may be NULL
 * @disarm: detaches all hooks; what they saw is still handed over by @poll
 * @read_hooks: brings the hooks' counters up to date
 * @lost: adds up what was lost so far
 * @map: descriptor of one of the programs' maps, -ENOENT if there is none such;
 *	 NULL if no programs assemble journeys
 * @close: frees everything; safe after a failed @open
 *
 * Return, where int: 0, or -errno with the reason in @why.
 */
struct ivm_source_ops {
	const char *name;
	struct ivm_source *(*new)(void);
	int (*open)(struct ivm_source *source);
	int (*follow)(struct ivm_source *source, const struct ivm_topology *topology);
	void (*arm)(struct ivm_source *source);
	int (*poll)(struct ivm_source *source, int timeout_ms);
	void (*stop)(struct ivm_source *source);
	void (*disarm)(struct ivm_source *source);
	int (*flush)(struct ivm_source *source);
	void (*read_hooks)(struct ivm_source *source);
	void (*lost)(struct ivm_source *source, struct ivm_source_lost *lost);
	int (*map)(struct ivm_source *source, const char *name);
	void (*close)(struct ivm_source *source);
};

extern const struct ivm_source_ops ivm_source_bpf;
extern const struct ivm_source_ops ivm_source_tracefs;

int ivm_source_fail(struct ivm_source *source, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif /* IVM_TRACER_SOURCE_H */
