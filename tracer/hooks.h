/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which hooks this kernel allows, and the best way to each.
 *
 * Never decided by the kernel's version: by BTF, and by trying.
 */
#ifndef IVM_TRACER_HOOKS_H
#define IVM_TRACER_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/types.h>

#include "../bpf/hooks.h"

struct bpf_object;
struct bpf_link;
struct btf;

enum ivm_hook_state {
	IVM_HOOK_ABSENT,	/* this host has no such point, or refuses it */
	IVM_HOOK_TRACEPOINT,
	IVM_HOOK_TP_BTF,
	IVM_HOOK_FENTRY,
	IVM_HOOK_KPROBE,
	IVM_HOOK_UNUSED,	/* could be attached, but no link has needed it */
	IVM_HOOK_SILENT,	/* attached, but does not fire where it must */
	IVM_HOOK_STATES
};

struct ivm_hook {
	const char *name;	/* tracepoint or function */
	const char *system;	/* the tracepoint's group; "func" for functions */
	const char *target;	/* function attached to, if it is not @name */
	const char *gives;	/* point or facts that come from it */
	const char *loss;	/* what a report lacks without it */
	bool required;		/* without it nothing can be counted */
	bool in_irq;		/* what an interrupt does there matters, too */
	enum ivm_hook_state state;	/* how it was attached; never SILENT */
	bool silent;		/* attached, and known not to fire here */
	struct bpf_link *link;
	int prog_fd;		/* -1 if absent */
	uint64_t fired;		/* ran while armed, for a followed thread */
	uint64_t lost;		/* events for which the ring buffer had no room */
	uint64_t missed;	/* runs the kernel skipped: in an interrupt of another run */
	uint64_t runs;		/* timed ones: 0 unless kernel.bpf_stats_enabled is set */
	uint64_t run_ns;	/* ... and how long they took */
};

/* What the running kernel says about itself */
struct ivm_kernel {
	struct btf *vmlinux;
	struct btf *kvm;		/* of module kvm, NULL if built in or not loaded */
	int kvm_btf_fd;			/* -1 likewise */
	bool kvm_exit_reason_first;	/* prototype of kvm_exit up to 5.15 */
	unsigned int inj_virq_args;	/* of kvm_inj_virq */
	uint64_t irqfd_inject;		/* address, 0 unknown */
	const char *signal_function;	/* eventfd_signal[_mask], NULL neither */
	uint64_t per_cpu_offsets;	/* address of the array, 0 unknown */
	uint64_t preempt_count;		/* per-CPU address of ... */
	bool preempt_count_is_hot;	/* ... pcpu_hot, not __preempt_count */
	int tracefs_fd;			/* its root directory, -1 none */
};

int ivm_kernel_open(struct ivm_kernel *kernel);
void ivm_kernel_close(struct ivm_kernel *kernel);
int ivm_kernel_tracepoint_args(const struct ivm_kernel *kernel, const char *name);

void ivm_hooks_init(struct ivm_hook hooks[IVM_HOOKS]);
void ivm_hooks_select(const struct ivm_kernel *kernel, struct bpf_object *object,
		      const bool without_btf[IVM_HOOKS]);
bool ivm_hooks_refuse_btf(bool without_btf[IVM_HOOKS], const char *program);
void ivm_hooks_attach(struct ivm_hook hooks[IVM_HOOKS], const struct ivm_kernel *kernel,
		      struct bpf_object *object, const bool wanted[IVM_HOOKS]);
void ivm_hooks_detach(struct ivm_hook hooks[IVM_HOOKS]);
int ivm_hooks_read(struct ivm_hook hooks[IVM_HOOKS], int counts_map_fd);
uint64_t ivm_hooks_missed(const struct ivm_hook hooks[IVM_HOOKS]);
const char *ivm_hooks_missing(const struct ivm_hook hooks[IVM_HOOKS]);

const char *ivm_hook_state_name(enum ivm_hook_state state);
const char *ivm_hook_shown(const struct ivm_hook *hook);

#endif /* IVM_TRACER_HOOKS_H */
