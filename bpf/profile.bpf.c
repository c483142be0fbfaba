// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What threads do while they have an interrupt under way, sampled.
 *
 * Its own object, because only `record --profile` pays for it: a perf event on
 * each CPU runs it.  Whether the thread it has interrupted has to do with a
 * journey is told by the states of the other programs (state.h), whose maps it
 * shares; which hop it was is known when the journey has ended.  The user's
 * stack is copied, not walked: most programs are built without frame pointers.
 */
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "kernel.h"
#include "state.h"
#include "profile.h"

char LICENSE[] SEC("license") = "GPL";

#if defined(__TARGET_ARCH_arm64)
#define REG_SP	31
#else
#define REG_SP	19
#endif

volatile __u32 armed;

__u64 lost;		/* samples for which there was no room */

/* These two belong to ivmtrace.bpf.c */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct ivm_task);
} tasks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, IVM_MAX_VCPUS);
	__type(key, __u32);
	__type(value, struct ivm_vcpu_state);
} vcpus SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} samples SEC(".maps");

/* Is something on its way into the guest of this thread? */
static __always_inline bool receives(const struct ivm_task *me)
{
	struct ivm_vcpu_state *v;
	__u32 index = me->vcpu;

	v = index ? bpf_map_lookup_elem(&vcpus, &index) : NULL;
	return v && (v->pending[0] | v->pending[1] | v->pending[2] | v->pending[3] |
		     v->entering.j.id);
}

static __always_inline void copy_user(struct ivm_sample *s, struct task_struct *task)
{
	void *regs = (void *)bpf_task_pt_regs(task);
	__u64 sp;
	int i;

	s->stack_bytes = 0;
	/* A kernel thread has neither; what is there is nobody's */
	if (!BPF_CORE_READ(task, mm) ||
	    bpf_probe_read_kernel(s->regs, sizeof(s->regs), regs)) {
		__builtin_memset(s->regs, 0, sizeof(s->regs));
		return;
	}
	sp = s->regs[REG_SP];
#pragma unroll
	for (i = 0; i < IVM_SAMPLE_STACK_BYTES / IVM_SAMPLE_CHUNK_BYTES; i++) {
		if (bpf_probe_read_user(s->stack + i * IVM_SAMPLE_CHUNK_BYTES,
					IVM_SAMPLE_CHUNK_BYTES,
					(void *)(sp + i * IVM_SAMPLE_CHUNK_BYTES)))
			return;
		s->stack_bytes += IVM_SAMPLE_CHUNK_BYTES;
	}
}

SEC("perf_event")
int take_sample(void *ctx)
{
	struct task_struct *task;
	struct ivm_sample *s;
	struct ivm_task *me;
	__u64 journey;
	long bytes;

	if (!armed)
		return 0;
	task = (void *)bpf_get_current_task_btf();
	me = bpf_task_storage_get(&tasks, task, NULL, 0);
	if (!me)
		return 0;
	journey = me->sender.open.id ? me->sender.open.id : me->accepted_id;
	/* Which message a main loop is at nobody knows: user space looks at the time */
	if (!journey && !(me->kind & IVM_THREAD_LOOP) && !receives(me))
		return 0;
	s = bpf_ringbuf_reserve(&samples, sizeof(*s), 0);
	if (!s) {
		__sync_fetch_and_add(&lost, 1);
		return 0;
	}
	s->t_ns = bpf_ktime_get_ns();
	s->journey = journey;
	s->tgid = bpf_get_current_pid_tgid() >> 32;
	s->tid = bpf_get_current_pid_tgid();
	bytes = bpf_get_stack(ctx, s->kernel, sizeof(s->kernel), 0);
	s->kernel_frames = bytes > 0 ? bytes / sizeof(s->kernel[0]) : 0;
	copy_user(s, task);
	/* The reader comes by on a timer: a wake-up would disturb what is measured */
	bpf_ringbuf_submit(s, BPF_RB_NO_WAKEUP);
	return 0;
}
