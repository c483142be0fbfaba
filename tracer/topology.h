/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is on this host: VMs, their vCPU threads, and link ends.
 *
 * discover.c fills it from /proc, the link pages and BPF iterators; the
 * assembler only looks things up.  Nothing here opens or prints anything, so
 * tests build topologies by hand.  Entries are never freed while a recording
 * runs: a VM or an end that is gone is marked dead and keeps its number.
 */
#ifndef IVM_TOPOLOGY_H
#define IVM_TOPOLOGY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <glib.h>

#include "../bpf/event.h"
#include "../device/ivm-linkpage.h"
#include "../device/ivm-regs.h"

#define IVM_VM_NAME_BYTES	64

struct ivm_vm {
	uint32_t id;			/* from 1 */
	pid_t tgid;
	uint64_t start_ticks;		/* /proc/PID/stat field 22: tells reused PIDs */
	char name[IVM_VM_NAME_BYTES];	/* -name, else "pid-N" */
	unsigned int vcpus;		/* found so far */
	bool dead;
};

/* One vCPU thread.  vcpu_id is the APIC id on x86 and what tracepoints print. */
struct ivm_vcpu {
	struct ivm_vm *vm;
	uint32_t vcpu_id;
	pid_t tid;
};

enum ivm_end_kind {
	IVM_END_LINK,			/* ivm-mailbox: it tells by its link page */
	IVM_END_IVSHMEM,		/* ivshmem-doorbell: KVM's tables tell */
	IVM_END_FOREIGN,		/* whoever else writes to an irqfd's eventfd */
};

/* One end of a link: one device in one VM; towards one peer, if it has several */
struct ivm_end {
	uint32_t id;			/* from 1 */
	enum ivm_end_kind kind;
	struct ivm_vm *vm;
	struct ivm_end *peer;		/* NULL while down or not found; may be itself */
	struct ivm_linkpage page;	/* last consistent snapshot; else made up to say the same */
	uint64_t bell_address;		/* ivshmem: of the one doorbell register, or NO_ADDR */
	uint32_t bell_peer;		/* ... and whom this end rings, the value's upper half */
	struct ivm_end *next_at_bell;	/* another end with that register */
	uint64_t page_inode;		/* of the memfd: identity of the end */
	uint64_t observed_from_ns;	/* CLOCK_MONOTONIC when it was first claimed */
	bool dead;
};

/* Do this end's journeys begin with a write(2), as KVM knows no doorbell of it? */
static inline bool ivm_end_writes(const struct ivm_end *end)
{
	return end->kind != IVM_END_LINK && end->bell_address == IVM_LINKPAGE_NO_ADDR;
}

/*
 * KVM refused this vector an irqfd: its QEMU reads the eventfd, and raises once for all
 * that it finds there.
 */
static inline bool ivm_end_serves(const struct ivm_end *end, uint32_t vector)
{
	return end->kind == IVM_END_LINK && vector < end->page.vectors &&
	       (end->page.vector[vector].flags & IVM_LP_VEC_QEMU_FALLBACK);
}

struct ivm_topology {
	uint64_t version;		/* grows with each change */
	GPtrArray *vms;			/* struct ivm_vm *, owned */
	GPtrArray *vcpus;		/* struct ivm_vcpu *, owned */
	GPtrArray *ends;		/* struct ivm_end *, owned */
	GHashTable *vcpu_by_tid;	/* tid -> struct ivm_vcpu */
	GHashTable *vcpu_by_id;		/* (vm id, vcpu_id) -> struct ivm_vcpu */
	GHashTable *end_by_doorbell;	/* (tgid, page frame) -> struct ivm_end of a link */
	GHashTable *end_by_bell;	/* (tgid, page frame) -> first struct ivm_end of ivshmem */
	GHashTable *vector_by_eventfd;	/* (tgid, fd) -> end id << 16 | vector */
	GHashTable *vector_by_heard;	/* the same, by the receiver's own descriptor */
	GHashTable *end_by_socket;	/* (tgid, fd) -> struct ivm_end */
};

struct ivm_topology *ivm_topology_new(void);
void ivm_topology_free(struct ivm_topology *t);

struct ivm_vm *ivm_topology_add_vm(struct ivm_topology *t, pid_t tgid, uint64_t start_ticks,
				   const char *name);
struct ivm_vcpu *ivm_topology_set_vcpu(struct ivm_topology *t, struct ivm_vm *vm, uint32_t vcpu_id,
				       pid_t tid);
struct ivm_end *ivm_topology_add_end(struct ivm_topology *t, struct ivm_vm *vm,
				     uint64_t page_inode, const struct ivm_linkpage *page,
				     uint64_t now_ns);
struct ivm_end *ivm_topology_add_wired(struct ivm_topology *t, struct ivm_vm *vm,
				       enum ivm_end_kind kind, uint64_t bell_address,
				       uint32_t bell_peer, const struct ivm_linkpage *page,
				       uint64_t now_ns);
void ivm_topology_pair(struct ivm_topology *t, struct ivm_end *a, struct ivm_end *b);
void ivm_topology_update_end(struct ivm_topology *t, struct ivm_end *end,
			     const struct ivm_linkpage *page);
void ivm_topology_vm_gone(struct ivm_topology *t, struct ivm_vm *vm);
void ivm_topology_end_gone(struct ivm_topology *t, struct ivm_end *end);

struct ivm_vm *ivm_topology_vm(const struct ivm_topology *t, pid_t tgid);
struct ivm_vcpu *ivm_topology_vcpu(const struct ivm_topology *t, pid_t tid);
struct ivm_vcpu *ivm_topology_vcpu_by_id(const struct ivm_topology *t, const struct ivm_vm *vm,
					 uint32_t vcpu_id);
struct ivm_end *ivm_topology_end(const struct ivm_topology *t, uint32_t end_id);
struct ivm_end *ivm_topology_doorbell(const struct ivm_topology *t, pid_t tgid, uint64_t address,
				      uint32_t *vector);
bool ivm_topology_has_doorbell(const struct ivm_topology *t, pid_t tgid, uint64_t address);
struct ivm_end *ivm_topology_ring(const struct ivm_topology *t, const struct ivm_event *e,
				  uint32_t *vector);
struct ivm_end *ivm_topology_eventfd(const struct ivm_topology *t, pid_t tgid, int fd,
				     uint32_t *vector);
struct ivm_end *ivm_topology_heard(const struct ivm_topology *t, pid_t tgid, int fd,
				   uint32_t *vector);
bool ivm_topology_writes(const struct ivm_topology *t, pid_t tgid, int fd);
struct ivm_end *ivm_topology_socket(const struct ivm_topology *t, pid_t tgid, int fd);

#endif /* IVM_TOPOLOGY_H */
