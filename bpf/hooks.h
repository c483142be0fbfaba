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
	IVM_HOOK(READ,			sys_enter_preadv2,	syscalls)	\
	IVM_HOOK(READ_RET,		sys_exit_preadv2,	syscalls)	\
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
	__u64 fired;		/* ran while armed, for a followed thread */
	__u64 lost;		/* events for which the ring buffer had no room */
};

/* Counted by the programs where no hook is to blame: index into the map `counts` */
enum ivm_bpf_count {
	IVM_LOST_MAP,		/* a map was full, or storage could not be had */
	IVM_LOST_RECORDS,	/* journeys for which the ring buffer had no room */
	IVM_COUNT_UNMATCHED,	/* ends of a slot where nothing was pending */
	IVM_COUNT_BEFORE_START,	/* ends of a link vector that has accepted nothing yet */
	IVM_BPF_COUNTS
};

/* ---- maps that user space fills: what to follow ---- */

#define IVM_THREAD_VCPU	(1u << 0)
#define IVM_THREAD_LOOP	(1u << 1)	/* reads the link's socket, and eventfds */

/* A thread of a followed VM; an iterator turns it into task storage */
struct ivm_claim {
	__u32 tgid;		/* tells a reused thread number */
	__u32 kind;		/* IVM_THREAD_* */
	__u32 vcpu;		/* index into `vcpus`, 0 none */
};

struct ivm_doorbell_key {
	__u64 frame;		/* guest page frame */
	__u32 tgid;
	__u32 zero;
};

/* Where the doorbells of that page lead */
struct ivm_doorbell {
	__u32 from_end;		/* 0: an ivshmem-doorbell, see struct ivm_bell_key */
	__u32 to_end;		/* 0 while the link is down */
	__u32 to_tgid;
	__u16 vectors;		/* that the peer accepts */
	__u8 configured;	/* enum ivm_mode */
	__u8 zero;
};

/*
 * ivshmem-doorbell has one register: the written value says whom it rings in its
 * upper half, and the vector in the lower one.
 */
struct ivm_bell_key {
	__u64 address;
	__u32 tgid;
	__u32 peer;
};

/* An eventfd that somebody writes to without a doorbell that we know; by struct ivm_fd_key */
struct ivm_writer {
	__u64 msi_address;	/* what its irqfd sends */
	__u32 msi_data;
	__u32 from_end;
	__u32 to_end;
	__u32 to_tgid;
	__u16 vector;
	__u8 mode;		/* enum ivm_mode */
	__u8 zero[5];
};

struct ivm_vcpu_key {
	__u32 tgid;
	__u32 vcpu_id;
};

/* A descriptor of a followed process */
struct ivm_fd_key {
	__u32 tgid;
	__s32 fd;
};

/* One vector of a link end */
struct ivm_target {
	__u32 end;
	__u32 vector;
};

/*
 * The message that raises a vector.  QEMU hands a device's own MSI to KVM
 * without the base of the APIC's region: it is left out of @address here.
 */
#define IVM_MSI_ADDRESS_BASE	0xfff00000ull

struct ivm_message_key {
	__u64 address;
	__u32 data;
	__u32 tgid;
};

struct ivm_message {
	struct ivm_target target;
	__u32 page;		/* its end's, see struct ivm_page_key; 0: it has none */
};

/* A link page of a followed process: numbered from 1, in any order */
struct ivm_page_key {
	__u32 tgid;
	__u32 number;
};

/* Where its owner has it mapped, and what we know of it */
struct ivm_page {
	__u64 address;
	__u32 end;
	__u32 vectors;
	__u32 seq;		/* of the snapshot that `messages` was filled from */
	__u32 zero;
};

/* A link's socket; all but @end is the programs' own */
struct ivm_socket {
	__u64 part_seq[2];	/* RING whose header came or went with the last call */
	__u32 part_bytes[2];	/* ... and how much of that message; [0] out, [1] in */
	__u32 end;
	__u32 zero;
};

struct ivm_vector_key {
	__u32 vcpu;		/* index into `vcpus` */
	__u32 irq_vector;
};

#define IVM_MAX_VCPUS	8192
#define IVM_MAX_SLOTS	16384

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
