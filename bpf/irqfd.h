/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What KVM has bound to eventfds, one record for each binding.
 *
 * Compiled for BPF and for user space.
 */
#ifndef IVM_IRQFD_H
#define IVM_IRQFD_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

/* Items of one list of one VM that are looked at: more than a process may have open */
#define IVM_IRQFD_LIST_MAX	65536

enum ivm_irqfd_kind {
	IVM_IRQFD_DOORBELL = 1,	/* KVM_IOEVENTFD: a guest's write signals the eventfd */
	IVM_IRQFD_TARGET,	/* KVM_IRQFD: the eventfd raises an interrupt of a guest */
	IVM_IRQFD_HOLDER,	/* a process has the eventfd open as @fd */
	IVM_IRQFD_VM,		/* ends the records of a VM; @bytes: how many there were */
};

#define IVM_IRQFD_F_WILDCARD	(1u << 0)	/* doorbell: any value */
#define IVM_IRQFD_F_RESAMPLE	(1u << 1)	/* target: level triggered */
#define IVM_IRQFD_F_TORN	(1u << 2)	/* VM, target: changed while it was read */
#define IVM_IRQFD_F_CUT		(1u << 3)	/* VM: more than IVM_IRQFD_LIST_MAX */

/* enum kvm_bus of the kernel; the first two are all that QEMU's devices use on x86 */
#define IVM_IRQFD_BUS_MMIO	0
#define IVM_IRQFD_BUS_PIO	1

/* KVM_IRQ_ROUTING_*; 0: the GSI leads to none or to several pins */
#define IVM_IRQFD_ROUTE_IRQCHIP	1
#define IVM_IRQFD_ROUTE_MSI	2

struct ivm_irqfd_record {
	__u64 kvm;		/* struct kvm: tells VMs of one process apart */
	__u64 eventfd;		/* struct eventfd_ctx */
	__u64 address;		/* doorbell: guest address or port; target: of the MSI */
	__u64 value;		/* doorbell: the value written; target: MSI data */
	__u32 tgid;		/* of the VM, or of the holder */
	__s32 fd;		/* holder: its descriptor */
	__s32 eventfd_id;	/* as in /proc/PID/fdinfo/FD, -1 none */
	__u32 gsi;		/* target */
	__u32 bytes;		/* doorbell: width, 0 any */
	__u8 kind;		/* enum ivm_irqfd_kind */
	__u8 flags;		/* IVM_IRQFD_F_* */
	__u8 bus;		/* doorbell: IVM_IRQFD_BUS_* */
	__u8 route;		/* target: IVM_IRQFD_ROUTE_* */
	__u64 reserved;
};

_Static_assert(sizeof(struct ivm_irqfd_record) == 64, "no holes, one layout on both sides");

#endif /* IVM_IRQFD_H */
