/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hooks of ivmtrace: the one list that the BPF programs, attaching,
 * `doctor` and the recording share.
 *
 * IVM_HOOK(ID, name, system): @name is the tracepoint or function as reports
 * show it, @system the tracepoint's group, "func" for a function.
 */
#ifndef IVM_HOOKS_H
#define IVM_HOOKS_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define IVM_HOOK_LIST(IVM_HOOK)							\
	IVM_HOOK(KVM_EXIT,		kvm_exit,		kvm)		\
	IVM_HOOK(KVM_ENTRY,		kvm_entry,		kvm)		\
	IVM_HOOK(KVM_MMIO,		kvm_mmio,		kvm)		\
	IVM_HOOK(KVM_PIO,		kvm_pio,		kvm)		\
	IVM_HOOK(KVM_FAST_MMIO,		kvm_fast_mmio,		kvm)		\
	IVM_HOOK(KVM_USERSPACE_EXIT,	kvm_userspace_exit,	kvm)		\
	IVM_HOOK(KVM_MSI_SET_IRQ,	kvm_msi_set_irq,	kvm)		\
	IVM_HOOK(KVM_SET_IRQ,		kvm_set_irq,		kvm)		\
	IVM_HOOK(KVM_APIC_ACCEPT_IRQ,	kvm_apic_accept_irq,	kvm)		\
	IVM_HOOK(KVM_APICV_ACCEPT_IRQ,	kvm_apicv_accept_irq,	kvm)		\
	IVM_HOOK(KVM_VCPU_WAKEUP,	kvm_vcpu_wakeup,	kvm)		\
	IVM_HOOK(KVM_INJ_VIRQ,		kvm_inj_virq,		kvm)		\
	IVM_HOOK(KVM_EOI,		kvm_eoi,		kvm)		\
	IVM_HOOK(KVM_WRITE_TSC_OFFSET,	kvm_write_tsc_offset,	kvm)		\
	IVM_HOOK(SCHED_WAKING,		sched_waking,		sched)		\
	IVM_HOOK(SCHED_SWITCH,		sched_switch,		sched)		\
	IVM_HOOK(IPI_SEND_CPU,		ipi_send_cpu,		ipi)		\
	IVM_HOOK(QUEUE_WORK,		workqueue_queue_work,	workqueue)	\
	IVM_HOOK(WORK_START,		workqueue_execute_start, workqueue)	\
	IVM_HOOK(WORK_END,		workqueue_execute_end,	workqueue)	\
	IVM_HOOK(WRITE,			sys_enter_write,	syscalls)	\
	IVM_HOOK(SENDMSG,		sys_enter_sendmsg,	syscalls)	\
	IVM_HOOK(SENDMSG_RET,		sys_exit_sendmsg,	syscalls)	\
	IVM_HOOK(RECVMSG,		sys_enter_recvmsg,	syscalls)	\
	IVM_HOOK(RECVMSG_RET,		sys_exit_recvmsg,	syscalls)	\
	IVM_HOOK(EVENTFD_SIGNAL,	eventfd_signal,		func)		\
	IVM_HOOK(EVENTFD_WRITE,		eventfd_write,		func)

#define IVM_HOOK_ENUM(id, name, system)	IVM_HOOK_##id,
enum ivm_hook_id {
	IVM_HOOK_LIST(IVM_HOOK_ENUM)
	IVM_HOOKS
};
#undef IVM_HOOK_ENUM

/* Per CPU and hook; summed by user space */
struct ivm_hook_count {
	__u64 fired;		/* ran while armed, for any process */
	__u64 emitted;		/* ... and handed an event of a followed VM on */
	__u64 lost;		/* ... but the ring buffer had no room */
};

/* Sources of loss that belong to no single hook: index into the map `lost` */
enum ivm_lost_source {
	IVM_LOST_MAP,		/* an update of a map failed */
	IVM_LOST_SOURCES
};

/* Maps that user space fills: what to follow */
struct ivm_doorbell_key {
	__u64 frame;		/* guest page frame */
	__u32 tgid;
	__u32 zero;
};

/* A link's socket; the value is the programs' own */
struct ivm_socket_key {
	__u32 tgid;
	__s32 fd;
};

struct ivm_socket {
	__u64 part_seq[2];	/* RING whose header came or went with the last call */
	__u32 part_bytes[2];	/* ... and how much of that message; [0] out, [1] in */
};

#define IVM_THREAD_VCPU	(1u << 0)
#define IVM_THREAD_LOOP	(1u << 1)	/* reads the link's socket */

/* A thread of a followed VM.  @open and below are the programs' own. */
struct ivm_thread {
	__u32 kind;		/* IVM_THREAD_* */
	__u32 tgid;
	__u32 open;		/* a doorbell may be open on it */
	__s32 fd;		/* of the socket call it is in, -1 none */
	__u64 msg;		/* user address of that call's struct msghdr */
};

/* What the iterator over all open files reports */
#define IVM_FILE_VCPU	1

struct ivm_file {
	__u32 kind;		/* IVM_FILE_* */
	__u32 tgid;
	__u32 tid;		/* vCPU: the thread that last ran it, 0 none yet */
	__u32 vcpu_id;
	__u64 kvm;		/* tells VMs of one process apart */
	__u64 tsc_offset;	/* vCPU: guest TSC = offset + scaled host TSC */
	__u64 tsc_ratio;	/* vCPU: fixed point, 0 if this kernel has none */
};

#endif /* IVM_HOOKS_H */
