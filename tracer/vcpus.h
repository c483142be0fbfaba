/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which thread runs which vCPU.
 */
#ifndef IVM_TRACER_VCPUS_H
#define IVM_TRACER_VCPUS_H

#include <stdint.h>
#include <sys/types.h>

struct ivm_vcpus;

/**
 * ivm_vcpu_fn - one vCPU that has run
 * @arg: as given to ivm_vcpus_read()
 * @tgid: its QEMU
 * @tid: the thread that runs it
 * @vcpu_id: APIC id on x86
 */
typedef void (*ivm_vcpu_fn)(void *arg, pid_t tgid, pid_t tid, uint32_t vcpu_id);

struct ivm_vcpus *ivm_vcpus_open(void);
void ivm_vcpus_close(struct ivm_vcpus *v);
int ivm_vcpus_read(struct ivm_vcpus *v, const pid_t *tgids, unsigned int count, ivm_vcpu_fn fn,
		   void *arg);
const char *ivm_vcpus_source(const struct ivm_vcpus *v);

#endif /* IVM_TRACER_VCPUS_H */
