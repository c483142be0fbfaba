// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which thread runs which vCPU: an iterator over all open files.
 *
 * Only the kernel knows which vCPU descriptor of a process belongs to which of
 * its VMs and which thread runs it.  Its own object, because hosts that refuse
 * iterators still allow the rest.
 */
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "kernel.h"
#include "hooks.h"

#define ANON_INODE_FS_MAGIC	0x09041934	/* uapi/linux/magic.h */

char LICENSE[] SEC("license") = "GPL";

static const char vcpu_prefix[] = "kvm-vcpu:";

/* By name, but only on the anonymous inode: no user can make such a file */
static __always_inline bool is_vcpu(struct file *file)
{
	const unsigned char *from;
	char name[sizeof(vcpu_prefix)] = {};
	unsigned int i;

	if (BPF_CORE_READ(file, f_inode, i_sb, s_magic) != ANON_INODE_FS_MAGIC)
		return false;
	from = BPF_CORE_READ(file, f_path.dentry, d_name.name);
	if (bpf_probe_read_kernel_str(name, sizeof(name), from) != sizeof(name))
		return false;
	for (i = 0; i < sizeof(vcpu_prefix) - 1; i++)
		if (name[i] != vcpu_prefix[i])
			return false;
	return true;
}

SEC("iter/task_file")
int vcpu_files(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct ivm_file found = {};
	struct kvm_vcpu *vcpu;
	struct pid *pid;

	if (!task || !file || !is_vcpu(file))
		return 0;
	vcpu = BPF_CORE_READ(file, private_data);
	pid = BPF_CORE_READ(vcpu, pid);
	found.kind = IVM_FILE_VCPU;
	found.tgid = BPF_CORE_READ(task, tgid);
	found.vcpu_id = BPF_CORE_READ(vcpu, vcpu_id);
	found.kvm = (__u64)BPF_CORE_READ(vcpu, kvm);
	if (bpf_core_field_exists(vcpu->arch.l1_tsc_scaling_ratio)) {
		found.tsc_offset = BPF_CORE_READ(vcpu, arch.l1_tsc_offset);
		found.tsc_ratio = BPF_CORE_READ(vcpu, arch.l1_tsc_scaling_ratio);
	}
	if (pid)
		found.tid = BPF_CORE_READ(pid, numbers[0].nr);
	bpf_seq_write(ctx->meta->seq, &found, sizeof(found));
	return 0;
}
