/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Facts that kernels keep in different places.
 *
 * Every branch a kernel does not have is dead code there: the verifier never
 * sees it, because existence is a constant once libbpf has relocated it.
 */
#ifndef IVM_COMPAT_BPF_H
#define IVM_COMPAT_BPF_H

#include "kernel.h"

#define IVM_ISA_VMX	1
#define IVM_ISA_SVM	2
#define IVM_NO_REASON	(~0ull)
#define IVM_HARDIRQ_MASK 0x000f0000	/* of the preemption count, on all x86 kernels */

/*
 * Per-CPU variables by their addresses in kallsyms.  A __ksym would be simpler,
 * but refuses to load where BTF knows the variable and kallsyms does not.
 */
const volatile __u64 per_cpu_offsets;		/* the array; 0 unknown */
const volatile __u64 preempt_count_symbol;	/* of __preempt_count or pcpu_hot */
const volatile __u32 preempt_count_is_hot;	/* the latter */

static __always_inline bool in_hardirq(void)
{
	__u64 address = preempt_count_symbol;
	struct pcpu_hot *hot = NULL;
	__u64 offset = 0;
	int count = 0;

	if (!per_cpu_offsets || !preempt_count_symbol)
		return false;
	if (preempt_count_is_hot) {
		if (!bpf_core_field_exists(hot->preempt_count))
			return false;
		address += bpf_core_field_offset(struct pcpu_hot, preempt_count);
	}
	bpf_probe_read_kernel(&offset, sizeof(offset),
			      (void *)(per_cpu_offsets + 8 * bpf_get_smp_processor_id()));
	bpf_probe_read_kernel(&count, sizeof(count), (void *)(address + offset));
	return count & IVM_HARDIRQ_MASK;
}

static __always_inline __u64 vmx_exit_reason(const void *vcpu)
{
	const struct vcpu_vmx___u32 *plain = vcpu;
	const struct vcpu_vmx___union *wrapped = vcpu;
	const struct vcpu_vmx___vt *common = vcpu;

	if (bpf_core_field_exists(common->vt))
		return BPF_CORE_READ(common, vt.exit_reason.full);
	if (bpf_core_field_exists(wrapped->exit_reason))
		return BPF_CORE_READ(wrapped, exit_reason.full);
	if (bpf_core_field_exists(plain->exit_reason))
		return BPF_CORE_READ(plain, exit_reason);
	return IVM_NO_REASON;
}

static __always_inline __u64 svm_exit_reason(const void *vcpu)
{
	const struct vcpu_svm *svm = vcpu;

	if (bpf_core_field_exists(svm->vmcb))
		return BPF_CORE_READ(svm, vmcb, control.exit_code);
	return IVM_NO_REASON;
}

/* struct kvm_vcpu is the first member of either vendor's vCPU */
static __always_inline __u64 exit_reason(const void *vcpu, __u32 isa)
{
	/* Some verifiers take any pointer of a tracepoint for one that may be NULL */
	if (!vcpu)
		return IVM_NO_REASON;
	if (isa == IVM_ISA_SVM)
		return svm_exit_reason(vcpu);
	if (isa == IVM_ISA_VMX)
		return vmx_exit_reason(vcpu);
	return IVM_NO_REASON;
}

/* Is a task that is being switched out still runnable? */
static __always_inline bool task_runnable(struct task_struct *task)
{
	struct task_struct___state *old = (void *)task;

	if (bpf_core_field_exists(task->__state))
		return BPF_CORE_READ(task, __state) == 0;
	return BPF_CORE_READ(old, state) == 0;
}

#endif /* IVM_COMPAT_BPF_H */
