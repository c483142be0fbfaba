/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One event as a BPF program hands it to user space.
 *
 * An event is what a hook saw, nothing interpreted: which journey it belongs
 * to is decided by the state machine (journey.h) and the topology.  Compiled
 * for BPF and for user space.
 */
#ifndef IVM_EVENT_H
#define IVM_EVENT_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

/*
 * @tid/@tgid name the thread the event is about: the one that ran the hook,
 * but for SWITCH_IN/SWITCH_OUT, where it is the thread switched.
 */
enum ivm_event_type {
	IVM_EV_NONE,
	IVM_EV_EXIT,		/* kvm_exit: a = exit reason, ~0 unknown; b = isa (1 VMX, 2 SVM) */
	IVM_EV_ENTRY,		/* kvm_entry */
	IVM_EV_MMIO,		/* kvm_mmio: a = guest address, ~0 if read; b = value, c = bytes */
	IVM_EV_PIO,		/* kvm_pio: a = port, ~0 if read; c = bytes of one item */
	IVM_EV_FAST_MMIO,	/* kvm_fast_mmio: a = guest address; after the signal */
	IVM_EV_USER_EXIT,	/* kvm_userspace_exit: a = KVM_EXIT_*, b = errno */
	IVM_EV_WRITE,		/* write(2) enters: c = fd */
	IVM_EV_SENDMSG,		/* sendmsg/sendto/write of a link socket enters: c = fd,
				 * a = first RING sequence in the buffer, b = last; 0 none */
	IVM_EV_SENDMSG_RET,	/* ... returns: c = fd, a = bytes or -errno */
	IVM_EV_RECVMSG,		/* recvmsg/read of a link socket returns data: c = fd,
				 * a = first RING sequence, b = last; 0 none */
	IVM_EV_READ,		/* a QEMU's main loop has emptied the eventfd of a vector of its
				 * own: c = fd, a = signals that were in it, 0 unknown */
	IVM_EV_SIGNAL,		/* eventfd_signal[_mask]: a = eventfd_ctx, b = eventfd id */
	IVM_EV_EVENTFD_WRITE,	/* eventfd_write: a = eventfd_ctx, b = eventfd id */
	IVM_EV_MSI,		/* kvm_msi_set_irq: a = address, b = data */
	IVM_EV_SET_IRQ,		/* kvm_set_irq: a = gsi, b = level, c = source */
	IVM_EV_ACCEPT,		/* kvm_apic_accept_irq: a = vcpu_id, b = IDT vector, c = dm */
	IVM_EV_APICV_ACCEPT,	/* kvm_apicv_accept_irq: same; posted */
	IVM_EV_WAKING,		/* sched_waking: a = woken tid */
	IVM_EV_SWITCH_IN,	/* sched_switch to @tid: a = previous tid */
	IVM_EV_SWITCH_OUT,	/* sched_switch away: a = next tid, b = 1 if still runnable */
	IVM_EV_IPI,		/* ipi_send_cpu: a = target cpu, b = callback */
	IVM_EV_UNHALT,		/* kvm_vcpu_wakeup: a = ns halted, b = 1 if it slept, c = valid */
	IVM_EV_INJ,		/* kvm_inj_virq: a = vector, b = soft | reinjected << 1 */
	IVM_EV_EOI,		/* kvm_eoi: a = vector, ~0 none */
	IVM_EV_QUEUE_WORK,	/* workqueue_queue_work of irqfd_inject: a = work */
	IVM_EV_WORK_START,	/* workqueue_execute_start of irqfd_inject: a = work */
	IVM_EV_WORK_END,	/* workqueue_execute_end of irqfd_inject: a = work */
	IVM_EV_TSC_OFFSET,	/* kvm_write_tsc_offset: a = new offset, b = old, c = vcpu_id */
	IVM_EV_TYPES,
	IVM_EV_RECORD		/* no hook's: a struct ivm_journey_record at a waits for its turn */
};

#define IVM_EV_F_HARDIRQ	(1u << 0)	/* the hook ran in hard IRQ context */

struct ivm_event {
	__u64 t_ns;		/* CLOCK_MONOTONIC, taken first thing in the program */
	__u64 a;
	__u64 b;
	__u32 tgid;		/* in the initial PID namespace */
	__u32 tid;
	__u32 c;
	__u16 cpu;
	__u8 type;		/* enum ivm_event_type */
	__u8 flags;		/* IVM_EV_F_* */
};

_Static_assert(sizeof(struct ivm_event) == 40, "no holes, one layout on both sides");

#endif /* IVM_EVENT_H */
