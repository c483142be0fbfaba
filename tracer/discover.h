/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finding VMs and links on this host, without any configuration.
 *
 * Looks through /proc for processes that hold a KVM VM or a link page, keeps a
 * topology up to date with them, and notices when they go.  PIDs are those of
 * the initial PID namespace, as the kernel's events name them.
 */
#ifndef IVM_TRACER_DISCOVER_H
#define IVM_TRACER_DISCOVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "topology.h"

/* A link that is coming up is seen in parts for so long at most */
#define IVM_DISCOVER_SETTLE_NS	50000000ull

struct ivm_irqfds;
struct ivm_vcpus;

/* Zeroed means everything; links count if either of their ends fits */
struct ivm_discover_filter {
	pid_t pid;
	pid_t parent;		/* of the QEMU */
	const char *link;	/* name, with * and ? as wildcards */
	const char *vm;		/* name or number */
	bool all_vms;		/* also VMs without a link */
	bool foreign;		/* also whoever else writes to an irqfd's eventfd */
};

struct ivm_discover_stats {
	uint64_t unreadable;	/* times a process's descriptors were not ours to see */
	uint64_t torn;		/* pages without a snapshot for a second: never consistent */
	uint64_t refused;	/* link pages that failed validation */
	const char *refused_why;	/* of the last one */
	pid_t refused_pid;
	uint64_t contradictions;	/* times KVM's tables and a link's pages stayed apart */
	char contradiction[160];	/* the last one */
};

struct ivm_discover;

struct ivm_discover *ivm_discover_new(struct ivm_topology *topology, struct ivm_vcpus *vcpus,
				      const struct ivm_discover_filter *filter);
void ivm_discover_use_irqfds(struct ivm_discover *d, struct ivm_irqfds *irqfds);
void ivm_discover_free(struct ivm_discover *d);
int ivm_discover_scan(struct ivm_discover *d, uint64_t now_ns, uint64_t settled_ns,
		      bool everything);
const struct ivm_discover_stats *ivm_discover_stats(const struct ivm_discover *d);

#endif /* IVM_TRACER_DISCOVER_H */
