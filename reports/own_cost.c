// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the tracer cost by its own measure.
 *
 * A probe reads the clock first thing: what it does afterwards lies within the
 * hop that begins with its point.
 */
#include <string.h>

#include "own_cost.h"
#include "stat.h"

/* @mode NULL: in all of them */
static uint64_t ns_per_run(const GPtrArray *probes, const char *mode, const char *hook)
{
	uint64_t runs = 0, run_ns = 0;
	unsigned int i;

	for (i = 0; i < probes->len; i++) {
		const struct ivm_cost_probe *p = g_ptr_array_index(probes, i);

		if (strcmp(p->hook, hook) || (mode && strcmp(p->mode, mode)))
			continue;
		runs += p->runs;
		run_ns += p->run_ns;
	}
	return runs ? run_ns / runs : IVM_NS_UNKNOWN;
}

/**
 * ivm_cost_of_hook() - one run of the program at a hook, in all modes together
 * @probes: as loaded
 * @hook: its name
 *
 * Return: ns, or IVM_NS_UNKNOWN.
 */
uint64_t ivm_cost_of_hook(const GPtrArray *probes, const char *hook)
{
	return ns_per_run(probes, NULL, hook);
}

/* The hook whose program stamps a point */
static const char *hook_of(enum ivm_mode mode, enum ivm_point point)
{
	static const char *const hooks[IVM_POINTS] = {
		[IVM_P_EXIT] = "kvm_exit",
		[IVM_P_DISPATCH] = "kvm_mmio",
		[IVM_P_USER] = "kvm_userspace_exit",
		[IVM_P_WAKE] = "sched_waking",
		[IVM_P_RUN] = "sched_switch",
		[IVM_P_DEFER] = "workqueue_queue_work",
		[IVM_P_WORK] = "workqueue_execute_start",
		[IVM_P_ROUTE] = "kvm_msi_set_irq",
		[IVM_P_ACCEPT] = "kvm_apic_accept_irq",
		[IVM_P_KICK] = "ipi_send_cpu",
		[IVM_P_VCPU_EXIT] = "kvm_exit",
		[IVM_P_VCPU_WAKE] = "sched_waking",
		[IVM_P_VCPU_RUN] = "sched_switch",
		[IVM_P_UNHALT] = "kvm_vcpu_wakeup",
		[IVM_P_WINDOW] = "kvm_exit",
		[IVM_P_INJECT] = "kvm_inj_virq",
		[IVM_P_EOI_STANDIN] = "kvm_eoi",
		[IVM_P_ENTRY] = "kvm_entry",
		[IVM_P_EOI] = "kvm_eoi",
	};

	if (point == IVM_P_SEND)
		return mode == IVM_M_QEMU ? "sys_enter_sendmsg" : "sys_enter_write";
	if (point == IVM_P_RECV)
		return mode == IVM_M_QEMU ? "sys_exit_recvmsg" : "sys_exit_preadv2";
	if (point == IVM_P_SIGNAL)
		return mode == IVM_M_IRQFD ? "eventfd_write" : "eventfd_signal";
	return hooks[point];
}

/**
 * ivm_cost_within() - the probe whose run lies within a hop
 * @probes: as loaded
 * @mode: of the journeys
 * @from: where the hop begins
 *
 * Return: ns of one run in that mode, or IVM_NS_UNKNOWN.
 */
uint64_t ivm_cost_within(const GPtrArray *probes, enum ivm_mode mode, enum ivm_point from)
{
	static const char *const modes[] = IVM_MODE_NAMES;
	const char *hook = hook_of(mode, from);

	return hook ? ns_per_run(probes, modes[mode], hook) : IVM_NS_UNKNOWN;
}

/**
 * ivm_cost_dominates() - does a probe cost more than all the rest of a hop?
 * @probe_ns: as ivm_cost_within() returned it
 * @hop_ns: the hop's median
 *
 * Return: true only if both are known.
 */
bool ivm_cost_dominates(uint64_t probe_ns, uint64_t hop_ns)
{
	return probe_ns != IVM_NS_UNKNOWN && hop_ns != IVM_NS_UNKNOWN &&
	       (hop_ns <= probe_ns || hop_ns - probe_ns < probe_ns);
}
