/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Samples of what a thread was doing while it had an interrupt under way:
 * `record --profile`.  Compiled for BPF and for user space.
 */
#ifndef IVM_PROFILE_H
#define IVM_PROFILE_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define IVM_SAMPLE_KERNEL_FRAMES	64
#define IVM_SAMPLE_CHUNK_BYTES		1024	/* read at once: all of it or nothing */
#define IVM_SAMPLE_STACK_BYTES		(8 * IVM_SAMPLE_CHUNK_BYTES)

/* The user's registers as the kernel saved them: struct pt_regs, user_pt_regs */
#if defined(__aarch64__) || defined(__TARGET_ARCH_arm64)
#define IVM_SAMPLE_REGS			34
#else
#define IVM_SAMPLE_REGS			21
#endif

struct ivm_sample {
	__u64 t_ns;			/* CLOCK_MONOTONIC */
	__u64 journey;			/* that this thread carries, 0 none or not known here */
	__u32 tgid;
	__u32 tid;
	__u32 kernel_frames;		/* 0 if it ran in user space */
	__u32 stack_bytes;		/* of its user stack, 0: a kernel thread */
	__u64 regs[IVM_SAMPLE_REGS];
	__u64 kernel[IVM_SAMPLE_KERNEL_FRAMES];	/* innermost first */
	__u8 stack[IVM_SAMPLE_STACK_BYTES];	/* from the stack pointer upwards */
};

_Static_assert(sizeof(struct ivm_sample) % 8 == 0, "no holes, one layout on both sides");

#endif /* IVM_PROFILE_H */
