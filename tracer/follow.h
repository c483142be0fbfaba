/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the BPF programs are to follow: their maps, in line with the topology.
 */
#ifndef IVM_FOLLOW_H
#define IVM_FOLLOW_H

#include <stdint.h>

#include "topology.h"

struct ivmtrace_bpf;
struct ivm_follow;

struct ivm_follow *ivm_follow_new(struct ivmtrace_bpf *skel);
void ivm_follow_free(struct ivm_follow *f);
int ivm_follow_sync(struct ivm_follow *f, const struct ivm_topology *t, const char **full_map);
void ivm_follow_recycle(struct ivm_follow *f, void (*flush)(void *arg, uint32_t index), void *arg);
uint32_t ivm_follow_vcpus(const struct ivm_follow *f);

#endif /* IVM_FOLLOW_H */
