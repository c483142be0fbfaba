/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which thread runs which vCPU, and what its TSC is to the host's.
 */
#ifndef IVM_TRACER_VCPUS_H
#define IVM_TRACER_VCPUS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "guest_clock.h"

struct ivm_vcpus;

/* One vCPU that has run */
struct ivm_vcpu_seen {
	pid_t tgid;		/* its QEMU */
	pid_t tid;		/* the thread that runs it */
	uint32_t vcpu_id;	/* APIC id on x86 */
	bool has_tsc;		/* @tsc is known */
	struct ivm_tsc_view tsc;
};

typedef void (*ivm_vcpu_fn)(void *arg, const struct ivm_vcpu_seen *vcpu);

struct ivm_vcpus *ivm_vcpus_open(void);
void ivm_vcpus_close(struct ivm_vcpus *v);
int ivm_vcpus_read(struct ivm_vcpus *v, const pid_t *tgids, unsigned int count, ivm_vcpu_fn fn,
		   void *arg);
const char *ivm_vcpus_source(const struct ivm_vcpus *v);

#endif /* IVM_TRACER_VCPUS_H */
