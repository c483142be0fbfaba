/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What threads do while they have an interrupt under way: `record --profile`.
 *
 * Needs the programs of source_bpf.c: their states say which thread to sample.
 */
#ifndef IVM_TRACER_PROFILE_H
#define IVM_TRACER_PROFILE_H

#include <stdint.h>

#include "../bpf/journey.h"
#include "recording.h"
#include "source.h"
#include "topology.h"

#define IVM_PROFILE_HZ		997
#define IVM_PROFILE_MAX_HZ	20000

struct ivm_profile;

/* 0 or -errno; @why then says in the user's words what is missing; close it in any case */
int ivm_profile_open(struct ivm_source *source, uint64_t hz, struct ivm_profile **profile,
		     const char **why);
void ivm_profile_close(struct ivm_profile *p);
void ivm_profile_follow(struct ivm_profile *p, const struct ivm_topology *t);
void ivm_profile_arm(struct ivm_profile *p, struct ivm_recording *recording);
void ivm_profile_disarm(struct ivm_profile *p);
int ivm_profile_poll(struct ivm_profile *p);
void ivm_profile_journey(struct ivm_profile *p, const struct ivm_journey *j,
			 const struct ivm_actors *actors);
uint64_t ivm_profile_lost(const struct ivm_profile *p);
int ivm_profile_write(struct ivm_profile *p, struct ivm_recording *recording);

#endif /* IVM_TRACER_PROFILE_H */
