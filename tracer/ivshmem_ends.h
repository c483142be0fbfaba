/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ends that have no link page, found in what KVM has bound to eventfds: pairs
 * of QEMU's ivshmem-doorbell, and others that write to an irqfd's eventfd.
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
 * @writes: are writes of this process to that descriptor to be followed?  It raises an
 *	    interrupt of @to, and no doorbell of the process leads there
 * @is_vm: has this process a VM?
 * @claim: the VM of a process, added to the topology if it is not there; NULL if it is gone
 * @arg: for all of them
 */
struct ivm_ivshmem_host {
	bool (*name)(void *arg, pid_t tgid, char *name);
	bool (*follows)(void *arg, pid_t from, pid_t to, const char *link);
	bool (*writes)(void *arg, pid_t tgid, int fd, pid_t to);
	bool (*is_vm)(void *arg, pid_t tgid);
	struct ivm_vm *(*claim)(void *arg, pid_t tgid);
	void *arg;
};

struct ivm_ivshmem_ends;

struct ivm_ivshmem_ends *ivm_ivshmem_ends_new(struct ivm_topology *topology,
					      const struct ivm_ivshmem_host *host);
void ivm_ivshmem_ends_free(struct ivm_ivshmem_ends *f);
bool ivm_ivshmem_ends_refresh(struct ivm_ivshmem_ends *f, const struct ivm_wires *wires,
			      uint64_t now_ns, uint64_t settled_ns);
void ivm_ivshmem_ends_expire(struct ivm_ivshmem_ends *f, uint64_t settled_ns);

#endif /* IVM_TRACER_IVSHMEM_ENDS_H */
