/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where journeys are while BPF programs put them together:
 *
 *   task.sender.open   from the dispatch until its thread moves on
 *   works              deferred to a kworker, by work item
 *   slots              accepted, pending on (VM, vCPU, IDT vector)
 *   vcpus[].entering   injected, until the guest has left again
 *
 * A slot is written by whoever accepts for it and by the vCPU: it has a lock.
 * All else belongs to one thread, which no other program of ours interrupts: in
 * hard IRQ context only sched_waking and sched_switch look at a followed thread.
 */
#ifndef IVM_STATE_H
#define IVM_STATE_H

#include <linux/bpf.h>

#include "hooks.h"
#include "journey.h"

/* What a thread has looked up last, by the value of `follow_generation` before that */
struct ivm_known {
	struct ivm_doorbell_key page;
	struct ivm_doorbell bell;
	struct ivm_vcpu_key receiver;
	__u32 vcpu;			/* @receiver's index into `vcpus` */
	__u32 bell_generation;
	__u32 vcpu_generation;
};

/* A followed thread.  That it has this storage is the filter of all hooks. */
struct ivm_task {
	__u32 tgid;
	__u32 kind;			/* IVM_THREAD_* */
	__u32 vcpu;			/* index into `vcpus`, 0 none */
	__s32 fd;			/* of the system call it is in, -1 none */
	__u64 msg;			/* user address of its struct msghdr, or its struct iovec */
	__u32 is_sending;		/* ... which carries @sender.open */
	__u32 is_open;			/* a doorbell is open, whoever assembles */
	__u32 to_tgid;			/* where @sender.open leads */
	__u32 copies_tgid;		/* its last route has further targets, there */
	__u32 accepted_vcpu;		/* where it handed over last ... */
	__u32 accepted_slot;
	__u64 accepted_id;		/* ... this journey */
	__u64 access_ns;		/* its guest's last write to a device */
	__u32 work_eventfd_id;		/* kworker: whose irqfd it injects */
	__u32 vcpu_id;			/* of @vcpu */
	__u64 defer_ns;			/* kworker: the item it runs was queued, ... */
	__u64 work_ns;			/* ... and began; 0 none */
	__u64 msi_address;		/* the message of the eventfd that it wrote to */
	__u32 msi_data;
	__u32 is_write;			/* @sender.open began with that write */
	struct ivm_reader reader;
	struct ivm_known known;
	struct ivm_sender sender;
	struct ivm_journey_record spare; /* settled by an accept, on its way out */
};

enum vcpu_event {
	VCPU_EXIT,
	VCPU_WAKING,
	VCPU_RUN,
	VCPU_UNHALT,
	VCPU_EVENTS
};

struct ivm_vcpu_state {
	__u64 pending[4];		/* IDT vectors whose slot has a head */
	__u64 last_ns[VCPU_EVENTS];
	__u32 vcpu_id;
	__u32 cpu;			/* where it was last seen */
	__u64 purge_ns;			/* INIT: nothing accepted before is pending any more */
	__u32 slot[256];		/* index into `slots` by IDT vector, 0 none */
	struct ivm_journey_record entering;
	struct ivm_journey_record leaving; /* on their way out */
	struct ivm_journey_record settled;
};

struct ivm_slot_state {
	struct bpf_spin_lock lock;
	__u32 others;			/* accepts since the last end that no ring caused */
	__u64 ends;			/* end points so far */
	struct ivm_slot s;
};

/* A work item that injects, and the doorbell that queued it if there was one */
struct ivm_work {
	__u32 tgid;			/* whose irqfd it is, as far as known */
	__u32 eventfd_id;		/* of that irqfd's eventfd */
	__u64 defer_ns;
	struct ivm_journey j;
};

#endif /* IVM_STATE_H */
