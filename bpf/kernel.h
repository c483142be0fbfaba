/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The few kernel types and fields that the programs look at, for CO-RE.
 *
 * Not a vmlinux.h: the machine that builds may run another kernel than the one
 * that is traced, and KVM's types may live in modules.  libbpf finds each field
 * in the running kernel's BTF by name; what a ___flavour declares may be absent.
 */
#ifndef IVM_KERNEL_H
#define IVM_KERNEL_H

#include <linux/types.h>
#include <stdbool.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct mm_struct;

struct task_struct {
	int pid;
	int tgid;
	unsigned int __state;
	struct mm_struct *mm;
};

/* Before 5.14 */
struct task_struct___state {
	volatile long state;
};

struct upid {
	int nr;
};

struct pid {
	struct upid numbers[1];
};

struct super_block {
	unsigned long s_magic;
};

struct inode {
	struct super_block *i_sb;
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct qstr d_name;
};

struct path {
	struct dentry *dentry;
};

struct file {
	void *private_data;
	struct inode *f_inode;
	struct path f_path;
};

struct eventfd_ctx {
	int id;
};

struct work_struct {
	void *func;
};

struct list_head {
	struct list_head *next, *prev;
};

struct kvm {
	struct mm_struct *mm;
	struct list_head ioeventfds;
	struct {
		struct list_head items;
	} irqfds;
};

struct kvm_vcpu_arch {
	__u64 l1_tsc_offset;		/* 5.14 and later have these two, on x86 */
	__u64 l1_tsc_scaling_ratio;
};

struct kvm_vcpu {
	struct kvm *kvm;
	int vcpu_id;
	struct pid *pid;
	struct kvm_vcpu_arch arch;
};

/* What KVM_IOEVENTFD and KVM_IRQFD make */
struct _ioeventfd {
	struct list_head list;
	__u64 addr;
	int length;
	struct eventfd_ctx *eventfd;
	__u64 datamatch;
	__u8 bus_idx;
	bool wildcard;
};

struct seqcount {
	unsigned int sequence;
};

typedef struct seqcount seqcount_t;

struct seqcount_spinlock {
	seqcount_t seqcount;
};

typedef struct seqcount_spinlock seqcount_spinlock_t;

struct kvm_kernel_irq_routing_entry {
	__u32 type;
	union {
		struct {
			__u32 address_lo;
			__u32 address_hi;
			__u32 data;
		} msi;
	};
};

struct kvm_kernel_irqfd {
	struct kvm_kernel_irq_routing_entry irq_entry;
	seqcount_spinlock_t irq_entry_sc;
	int gsi;
	void *resampler;
	struct eventfd_ctx *eventfd;
	struct list_head list;
	struct work_struct inject;
};

/* Where the exit reason is: it moved twice on VMX */
struct vcpu_vmx___u32 {
	__u32 exit_reason;
};

union vmx_exit_reason {
	__u32 full;
};

struct vcpu_vmx___union {
	union vmx_exit_reason exit_reason;
};

struct vcpu_vt {
	union vmx_exit_reason exit_reason;
};

struct vcpu_vmx___vt {
	struct vcpu_vt vt;
};

struct vmcb_control_area {
	__u32 exit_code;
};

struct vmcb {
	struct vmcb_control_area control;
};

struct vcpu_svm {
	struct vmcb *vmcb;
};

/* 6.2 to 6.14 keep the preemption count there */
struct pcpu_hot {
	int preempt_count;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

#pragma clang attribute pop

/* User space ABI, the same everywhere on 64-bit */
struct ivm_user_iovec {
	__u64 base;
	__u64 bytes;
};

struct ivm_user_msghdr {
	__u64 name;
	__u64 name_bytes;
	__u64 iov;
	__u64 iov_count;
};

#endif /* IVM_KERNEL_H */
