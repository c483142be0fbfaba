// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The least that a tracer has to do at the hooks of a direct journey, one step
 * after another: what each of them costs there, where caches are as a guest and
 * KVM have left them.
 */
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "bpf/journey.h"
#include "steps.h"

#define KVM_TRACE_MMIO_WRITE	2

char LICENSE[] SEC("license") = "GPL";

const volatile __u32 step;

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct ivm_journey_record);
} tasks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} records SEC(".maps");

/* @ends: a journey's record is handed over once */
static __always_inline void take_steps(int ends)
{
	struct ivm_journey_record *mine;
	__u64 now_ns;

	if (step < STEP_CLOCK)
		return;
	now_ns = bpf_ktime_get_ns();
	if (step < STEP_STORAGE)
		return;
	mine = bpf_task_storage_get(&tasks, bpf_get_current_task_btf(), NULL,
				    BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!mine)
		return;
	mine->t_ns = now_ns;
	if (step >= STEP_RECORD && ends)
		bpf_ringbuf_output(&records, mine, sizeof(*mine), BPF_RB_NO_WAKEUP);
}

/* Filtered as the tracer does it: by arguments alone */
SEC("tp_btf/kvm_mmio")
int kvm_mmio(__u64 *ctx)
{
	if (ctx[2] != IVM_APIC_EOI || (__u32)ctx[0] != KVM_TRACE_MMIO_WRITE)
		take_steps(0);
	return 0;
}

SEC("tp_btf/kvm_msi_set_irq")
int kvm_msi_set_irq(__u64 *ctx)
{
	take_steps(0);
	return 0;
}

SEC("tp_btf/kvm_apic_accept_irq")
int kvm_apic_accept_irq(__u64 *ctx)
{
	take_steps(0);
	return 0;
}

SEC("tp_btf/kvm_eoi")
int kvm_eoi(__u64 *ctx)
{
	if ((__s32)ctx[1] >= 0)
		take_steps(1);
	return 0;
}
