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

enum ivm_hook_state {
	IVM_HOOK_ABSENT,	/* this host has no such point, or refuses it */
	IVM_HOOK_TRACEPOINT,
	IVM_HOOK_TP_BTF,
	IVM_HOOK_RAW_TP,
	IVM_HOOK_FENTRY,
	IVM_HOOK_KPROBE,
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
	enum ivm_hook_state state;	/* how it was attached; never SILENT */
	bool silent;		/* attached, and known not to fire here */
	uint64_t fired;		/* ran while armed */
	uint64_t emitted;	/* events of followed VMs */
	uint64_t lost;		/* events for which the ring buffer had no room */
	uint64_t missed;	/* runs the kernel skipped (recursion) */
};

const char *ivm_hook_state_name(enum ivm_hook_state state);
/* The state as reports print it: "silent" or how it is attached */
const char *ivm_hook_shown(const struct ivm_hook *hook);

#endif /* IVM_TRACER_HOOKS_H */
