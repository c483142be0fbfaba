/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pairs of QEMU's ivshmem-doorbell, which has no link page: found in what KVM
 * has bound to eventfds.
 */
#ifndef IVM_TRACER_IVSHMEM_ENDS_H
#define IVM_TRACER_IVSHMEM_ENDS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "topology.h"
#include "wires.h"

/**
 * struct ivm_ivshmem_host - what the finder asks discovery
 * @name: writes a VM's name into IVM_VM_NAME_BYTES bytes; false if it is no process any more
 * @follows: are links of this name between these VMs to be followed?
 * @claim: the VM of a process, added to the topology if it is not there; NULL if it is gone
 * @arg: for all of them
 */
struct ivm_ivshmem_host {
	bool (*name)(void *arg, pid_t tgid, char *name);
	bool (*follows)(void *arg, pid_t from, pid_t to, const char *link);
	struct ivm_vm *(*claim)(void *arg, pid_t tgid);
	void *arg;
};

struct ivm_ivshmem_ends;

struct ivm_ivshmem_ends *ivm_ivshmem_ends_new(struct ivm_topology *topology,
					      const struct ivm_ivshmem_host *host);
void ivm_ivshmem_ends_free(struct ivm_ivshmem_ends *f);
void ivm_ivshmem_ends_refresh(struct ivm_ivshmem_ends *f, const struct ivm_wires *wires,
			      uint64_t now_ns);
void ivm_ivshmem_ends_expire(struct ivm_ivshmem_ends *f, uint64_t now_ns);

#endif /* IVM_TRACER_IVSHMEM_ENDS_H */
