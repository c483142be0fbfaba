/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the scheduler, host interrupts and QEMU do on the threads of followed
 * VMs, collected beside the journeys: `record --context`.
 *
 * Independent of where journeys come from (source.h); needs BPF with typed
 * tracepoints.
 */
#ifndef IVM_TRACER_CONTEXT_H
#define IVM_TRACER_CONTEXT_H

#include <stdint.h>

#include "../bpf/journey.h"
#include "recording.h"
#include "topology.h"

struct ivm_context;

/* 0 or -errno; @why then says in the user's words what is missing */
int ivm_context_open(struct ivm_context **context, const char **why);
void ivm_context_close(struct ivm_context *c);
int ivm_context_follow(struct ivm_context *c, const struct ivm_topology *t);
void ivm_context_arm(struct ivm_context *c);
void ivm_context_disarm(struct ivm_context *c);
int ivm_context_poll(struct ivm_context *c);
void ivm_context_journey(struct ivm_context *c, const struct ivm_journey *j,
			 const struct ivm_actors *actors);
int ivm_context_write(struct ivm_context *c, struct ivm_recording *recording);

#endif /* IVM_TRACER_CONTEXT_H */
