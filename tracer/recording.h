/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Recordings: one SQLite file each (*.ivm), see docs/recording.md.
 *
 * The writer keeps everything in transactions of bounded size and takes the
 * final name only when it is finished, so that nobody ever finds half a
 * recording under it.  The reader opens read-only and checks application_id
 * and user_version first.
 */
#ifndef IVM_RECORDING_H
#define IVM_RECORDING_H

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

#include "../bpf/context.h"
#include "assemble.h"
#include "estimate.h"
#include "summary.h"

#define IVM_RECORDING_APPLICATION_ID	0x69766d74	/* "ivmt" */
#define IVM_RECORDING_VERSION		2		/* user_version */

struct ivm_recording;

/* Threads on whose behaviour a journey depends; 0 unknown */
struct ivm_actors {
	uint32_t from_tid;	/* vCPU that rings */
	uint32_t from_pid;	/* its QEMU, whose main loop has that number */
	uint32_t to_tid;	/* vCPU that receives */
	uint32_t to_pid;
};

/* A stamp as a guest wrote it */
struct ivm_recorded_stamp {
	uint32_t end;
	uint16_t kind;		/* IVM_STAMP_* */
	uint16_t vector;
	uint32_t cookie;
	uint64_t tsc;		/* the guest's */
};

/* The thread that a sample of a hop was taken on: what it does for that hop */
enum ivm_sample_thread {
	IVM_SAMPLE_SENDER,
	IVM_SAMPLE_LOOP,
	IVM_SAMPLE_WORKER,
	IVM_SAMPLE_RECEIVER,
	IVM_SAMPLE_THREADS
};

#define IVM_SAMPLE_THREAD_NAMES { "sender", "main-loop", "worker", "receiver" }

/* A sample of `record --profile` in a hop of a journey */
struct ivm_recorded_sample {
	const struct ivm_journey *journey;
	enum ivm_point from, to;
	enum ivm_sample_thread thread;
	uint32_t tid;
	uint32_t stack;
	uint64_t t_ns;
};

/* Which journeys stay in the file; all of them are counted and measured */
enum ivm_keep_policy {
	IVM_KEEP_ALL,
	IVM_KEEP_TAIL,		/* see ivm_summary_add() */
	IVM_KEEP_RATE,		/* the first ones rung in each second */
};

struct ivm_keep {
	enum ivm_keep_policy policy;
	uint64_t per_s;		/* IVM_KEEP_RATE */
	uint64_t max_bytes;	/* no more once the file has this size; 0 no limit */
};

/* Totals of a guest's own counting, as bench reads them from shared memory */
struct ivm_guest_result {
	const char *mode;		/* name as in the report */
	const char *link;		/* link name; NULL for a baseline */
	uint32_t from_end;		/* 0 for a baseline */
	uint32_t from_vm;
	uint16_t vector;
	uint64_t sent;
	uint64_t handled;		/* by the peer's handler */
	const uint64_t *rtt_ns;		/* samples, NULL if not measured */
	uint64_t rtt_count;		/* measured; >= number of samples kept */
	uint64_t rtt_samples;
};

/* The same traffic over another device */
struct ivm_baseline {
	const char *device;
	bool ioeventfd;
	const uint64_t *rtt_ns;
	uint64_t rtt_samples;
	uint64_t rtt_count;
};

/* What following the links of one mode costs them, see own_cost.h */
struct ivm_own_cost {
	const char *mode;
	uint32_t blocks;		/* with the tracer */
	struct ivm_estimate effect;	/* round trip with : without the tracer */
	double rtt_ns;			/* mean round trip without it */
	uint64_t probed_journeys;	/* rung while the probes' run time was measured */
};

int ivm_recording_create(const char *path, struct ivm_recording **recording);
int ivm_recording_set(struct ivm_recording *r, const char *key, const char *value);
int ivm_recording_set_u64(struct ivm_recording *r, const char *key, uint64_t value);
int ivm_recording_add_topology(struct ivm_recording *r, const struct ivm_topology *t);
int ivm_recording_add_hook(struct ivm_recording *r, const char *name, const char *state,
			   uint64_t fired, uint64_t missed, uint64_t run_ns);
int ivm_recording_add_fact(struct ivm_recording *r, uint32_t vm, const char *key,
			   const char *value);
int ivm_recording_add_lost(struct ivm_recording *r, const char *source, uint64_t count);
int ivm_recording_add_journey(struct ivm_recording *r, const struct ivm_journey *j);
int ivm_recording_merge(struct ivm_recording *r, const struct ivm_summary *from,
			const struct ivm_summary_map *map);
int ivm_recording_add_merged(struct ivm_recording *r, const struct ivm_journey *j);
void ivm_recording_left_out(struct ivm_recording *r, const char *keep, uint64_t journeys);
int ivm_recording_add_arrival(struct ivm_recording *r, const struct ivm_journey *j);
bool ivm_recording_is_selective(const struct ivm_recording *r);
int ivm_recording_keep(struct ivm_recording *r, const struct ivm_keep *keep);
int ivm_recording_mark(struct ivm_recording *r, const char *name, uint64_t t_ns);
int ivm_recording_set_fate(struct ivm_recording *r, uint64_t into, enum ivm_outcome outcome);
int ivm_recording_add_counts(struct ivm_recording *r, const struct ivm_counts *c);
int ivm_recording_add_assembly(struct ivm_recording *r, const struct ivm_assemble *a);
int ivm_recording_add_guest(struct ivm_recording *r, const struct ivm_guest_result *g);
int ivm_recording_add_guest_kernel(struct ivm_recording *r, const struct ivm_guest_result *g,
				   const char *hop, const uint64_t *ns, uint64_t samples);
int ivm_recording_add_baseline(struct ivm_recording *r, const struct ivm_baseline *b);
int ivm_recording_add_own_cost(struct ivm_recording *r, const struct ivm_own_cost *c);
int ivm_recording_add_probe_cost(struct ivm_recording *r, const char *mode, const char *hook,
				 uint64_t runs, uint64_t run_ns);
int ivm_recording_add_slow(struct ivm_recording *r, uint64_t journey,
			   const struct ivm_actors *actors, bool complete);
int ivm_recording_add_interval(struct ivm_recording *r, uint64_t journey,
			       const struct ivm_interval *i, const char *fd_name);
int ivm_recording_add_sample(struct ivm_recording *r, const struct ivm_recorded_sample *s);
int ivm_recording_add_stack(struct ivm_recording *r, uint32_t stack, const char *frames);
int ivm_recording_add_stamp(struct ivm_recording *r, const struct ivm_recorded_stamp *stamp);
int ivm_recording_set_point(struct ivm_recording *r, uint64_t journey, enum ivm_point point,
			    uint64_t t_ns);
int ivm_recording_add_stamp_bounds(struct ivm_recording *r, uint32_t end, uint64_t ring_err_ns,
				   uint64_t isr_err_ns);
/* To read what was added so far; whoever writes to it damages the recording */
sqlite3 *ivm_recording_db(struct ivm_recording *r);
/* Commits, renames the file to its final name; what had that name becomes NAME.old */
int ivm_recording_finish(struct ivm_recording *r);
/* Closes; a recording that was not finished is removed */
void ivm_recording_close(struct ivm_recording *r);

/* Opens for reading; @why is set to a static explanation on failure */
int ivm_recording_open(const char *path, sqlite3 **db, const char **why);

#endif /* IVM_RECORDING_H */
