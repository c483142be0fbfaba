/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events and topology as text, one line each: docs/replay.md.
 *
 * The writer streams what a session saw; the reader hands it to an assembler
 * again, from a file that anybody may have written.  Both know nothing of BPF,
 * recordings or reports.
 */
#ifndef IVM_REPLAY_H
#define IVM_REPLAY_H

#include <stdint.h>
#include <stdio.h>

#include "../bpf/event.h"
#include "topology.h"

#define IVM_REPLAY_MAGIC	"ivmtrace-events"
#define IVM_REPLAY_VERSION	1

/* Bounds of what a file may ask memory for */
#define IVM_REPLAY_LINE_BYTES	4096
#define IVM_REPLAY_VMS		4096
#define IVM_REPLAY_VCPUS	65536
#define IVM_REPLAY_ENDS		4096

/* ---- reading ---- */

/*
 * What a file says, in the order in which it says it.  Each returns 0 or
 * -errno, which ends the reading; one that is NULL is skipped.
 */
struct ivm_replay_ops {
	int (*event)(void *arg, const struct ivm_event *event);
	/* All events so far have to be worked off now: the topology may change next */
	int (*settle)(void *arg);
	/* The topology has changed, as was found out at @t_ns */
	int (*changed)(void *arg, uint64_t t_ns);
	int (*arm)(void *arg, uint64_t t_ns);
	int (*stop)(void *arg, uint64_t t_ns);
	int (*meta)(void *arg, const char *key, const char *value);
	int (*hook)(void *arg, const char *name, const char *state, uint64_t fired,
		    uint64_t missed, uint64_t run_ns);
	int (*lost)(void *arg, const char *source, uint64_t count);
};

/* Where and why a file was refused */
struct ivm_replay_error {
	unsigned long line;		/* from 1; 0: the file is not to blame */
	char why[256];
};

int ivm_replay_read(FILE *in, struct ivm_topology *topology, const struct ivm_replay_ops *ops,
		    void *arg, struct ivm_replay_error *error);

/* ---- writing ---- */

struct ivm_replay_writer;

struct ivm_replay_writer *ivm_replay_writer_new(FILE *out);
void ivm_replay_writer_free(struct ivm_replay_writer *w);

int ivm_replay_write_event(struct ivm_replay_writer *w, const struct ivm_event *event);
int ivm_replay_write_topology(struct ivm_replay_writer *w, const struct ivm_topology *topology,
			      uint64_t now_ns);
void ivm_replay_write_settle(struct ivm_replay_writer *w);
int ivm_replay_write_arm(struct ivm_replay_writer *w, uint64_t t_ns);
int ivm_replay_write_stop(struct ivm_replay_writer *w, uint64_t t_ns);
int ivm_replay_write_meta(struct ivm_replay_writer *w, const char *key, const char *value);
int ivm_replay_write_hook(struct ivm_replay_writer *w, const char *name, const char *state,
			  uint64_t fired, uint64_t missed, uint64_t run_ns);
int ivm_replay_write_lost(struct ivm_replay_writer *w, const char *source, uint64_t count);

#endif /* IVM_REPLAY_H */
