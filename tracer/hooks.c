// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Choosing and attaching hooks.
 *
 * For each hook the object may hold one program per way of attaching, named
 * <hook>_<way>.  What BTF says decides what is worth loading, a trial load says
 * whether this host lets us, and the first way that attaches wins.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <glib.h>

#include "hooks.h"
#include "tracefs.h"

/* Best first: no other way is as cheap as the one above it */
static const struct {
	const char *suffix;
	enum ivm_hook_state state;
} ways[] = {
	{ "btf", IVM_HOOK_TP_BTF },
	{ "tp", IVM_HOOK_TRACEPOINT },
	{ "fentry", IVM_HOOK_FENTRY },
	{ "kprobe", IVM_HOOK_KPROBE },
};

#define IVM_HOOK_ENTRY(id, hook, group) [IVM_HOOK_##id] = { .name = #hook, .system = #group },
static const struct ivm_hook known[IVM_HOOKS] = {
	IVM_HOOK_LIST(IVM_HOOK_ENTRY)
};

static const struct {
	const char *gives;
	const char *loss;
	bool required;
} meaning[IVM_HOOKS] = {
	[IVM_HOOK_KVM_EXIT] = { "exit, vcpu_exit, window",
		"hops start at dispatch: the way out of the guest is not seen", false },
	[IVM_HOOK_KVM_ENTRY] = { "entry",
		"hops end at inject or its stand-in, not at guest entry", false },
	[IVM_HOOK_KVM_MMIO] = { "dispatch",
		"no doorbell is seen: nothing can be counted", true },
	[IVM_HOOK_KVM_PIO] = { "end of a doorbell's access",
		"a doorbell may be taken for open longer than it is", false },
	[IVM_HOOK_KVM_FAST_MMIO] = { "proof of the fast path",
		"doorbells without a length (not this device's) are not seen", false },
	[IVM_HOOK_KVM_USERSPACE_EXIT] = { "user",
		"dispatch..user and user..send are one hop", false },
	[IVM_HOOK_KVM_MSI_SET_IRQ] = { "route",
		"route is unknown; accept is checked by its vector alone", false },
	[IVM_HOOK_KVM_SET_IRQ] = { "facts about deferred interrupts",
		"GSIs of deferred interrupts are not shown", false },
	[IVM_HOOK_KVM_APIC_ACCEPT_IRQ] = { "accept",
		"no receiver is known: nothing can be counted", true },
	[IVM_HOOK_KVM_APICV_ACCEPT_IRQ] = { "accept of posted interrupts",
		"posted interrupts are not told from injected ones", false },
	[IVM_HOOK_KVM_VCPU_WAKEUP] = { "unhalt",
		"a polling receiver is not told from a sleeping one", false },
	[IVM_HOOK_KVM_INJ_VIRQ] = { "inject",
		"kvm_eoi stands in for the end of a journey, if it fires", false },
	[IVM_HOOK_KVM_EOI] = { "eoi, stand-in for inject",
		"no stand-in where kvm_inj_virq does not fire", false },
	[IVM_HOOK_KVM_WRITE_TSC_OFFSET] = { "guest clock changes",
		"guest stamps cannot be followed across a TSC write", false },
	[IVM_HOOK_SCHED_WAKING] = { "wake, vcpu_wake",
		"a sleeping receiver is not told from a running one", false },
	[IVM_HOOK_SCHED_SWITCH] = { "run, vcpu_run",
		"time to get a CPU is part of the hop around it", false },
	[IVM_HOOK_IPI_SEND_CPU] = { "kick",
		"accept..kick and kick..vcpu_exit are one hop", false },
	[IVM_HOOK_QUEUE_WORK] = { "defer",
		"deferred interrupts end as unfinished", false },
	[IVM_HOOK_WORK_START] = { "work",
		"deferred interrupts end as unfinished", false },
	[IVM_HOOK_WORK_END] = { "end of a deferred interrupt",
		"a kworker may be taken for busy longer than it is", false },
	[IVM_HOOK_WRITE] = { "send (irqfd); while a link needs it",
		"irqfd mode is not recognised, its send not timed", false },
	[IVM_HOOK_SENDMSG] = { "send (qemu); while a link needs it",
		"qemu mode is not recognised: its rings end as unfinished", false },
	[IVM_HOOK_SENDMSG_RET] = { "retries of a full socket",
		"a send that the socket refused is timed as sent", false },
	[IVM_HOOK_RECVMSG] = { "recv (qemu); while a link needs it",
		"qemu mode: the receiver's work is not matched to a ring", false },
	[IVM_HOOK_RECVMSG_RET] = { "recv (qemu); while a link needs it",
		"qemu mode: the receiver's work is not matched to a ring", false },
	[IVM_HOOK_READ] = { "recv (no irqfd); while a link needs it",
		"no recv there; a ring close to it may go with the wrong interrupt", false },
	[IVM_HOOK_READ_RET] = { "recv (no irqfd); while a link needs it",
		"no recv there; a ring close to it may go with the wrong interrupt", false },
	[IVM_HOOK_EVENTFD_SIGNAL] = { "signal (direct)",
		"dispatch..signal and signal..route are one hop", false },
	[IVM_HOOK_EVENTFD_WRITE] = { "signal (irqfd)",
		"send..signal and signal..route are one hop", false },
};

static const char *const state_names[IVM_HOOK_STATES] = {
	[IVM_HOOK_ABSENT] = "absent",
	[IVM_HOOK_TRACEPOINT] = "tracepoint",
	[IVM_HOOK_TP_BTF] = "tp_btf",
	[IVM_HOOK_FENTRY] = "fentry",
	[IVM_HOOK_KPROBE] = "kprobe",
	[IVM_HOOK_UNUSED] = "unused",
	[IVM_HOOK_SILENT] = "silent",
};

/**
 * ivm_hook_state_name() - a state as reports print it
 * @state: the state
 *
 * Return: the name.
 */
const char *ivm_hook_state_name(enum ivm_hook_state state)
{
	return state_names[state];
}

/**
 * ivm_hook_shown() - what reports say about a hook
 * @hook: the hook
 *
 * Return: "silent", or the name of how it is attached.
 */
const char *ivm_hook_shown(const struct ivm_hook *hook)
{
	return state_names[hook->silent ? IVM_HOOK_SILENT : hook->state];
}

/**
 * ivm_hooks_init() - the list of hooks, none attached
 * @hooks: to be filled
 */
void ivm_hooks_init(struct ivm_hook hooks[IVM_HOOKS])
{
	int i;

	memcpy(hooks, known, sizeof(known));
	for (i = 0; i < IVM_HOOKS; i++) {
		hooks[i].gives = meaning[i].gives;
		hooks[i].loss = meaning[i].loss;
		hooks[i].required = meaning[i].required;
		hooks[i].prog_fd = -1;
	}
	hooks[IVM_HOOK_SCHED_WAKING].in_irq = true;
	hooks[IVM_HOOK_SCHED_SWITCH].in_irq = true;
}

/* ---- what the kernel says about itself ---- */

static int open_module_btf(struct ivm_kernel *kernel, const char *module)
{
	struct bpf_btf_info info;
	char name[64];
	__u32 id = 0, size;
	int fd;

	while (!bpf_btf_get_next_id(id, &id)) {
		fd = bpf_btf_get_fd_by_id(id);
		if (fd < 0)
			continue;
		memset(&info, 0, sizeof(info));
		memset(name, 0, sizeof(name));
		info.name = (__u64)(uintptr_t)name;
		info.name_len = sizeof(name);
		size = sizeof(info);
		if (!bpf_obj_get_info_by_fd(fd, &info, &size) && info.kernel_btf &&
		    !strcmp(name, module)) {
			kernel->kvm = btf__load_from_kernel_by_id_split(id, kernel->vmlinux);
			kernel->kvm_btf_fd = fd;
			return kernel->kvm ? 0 : -errno;
		}
		close(fd);
	}
	return -ENOENT;
}

/* Arguments of a tracepoint, -ENOENT if BTF does not know it */
static int tracepoint_args(const struct btf *btf, const char *name)
{
	g_autofree char *type_name = g_strdup_printf("btf_trace_%s", name);
	const struct btf_type *type;
	int id;

	id = btf ? btf__find_by_name_kind(btf, type_name, BTF_KIND_TYPEDEF) : -ENOENT;
	if (id < 0)
		return -ENOENT;
	type = btf__type_by_id(btf, id);
	type = btf__type_by_id(btf, type->type);
	if (!type || !btf_is_ptr(type))
		return -ENOENT;
	type = btf__type_by_id(btf, type->type);
	if (!type || !btf_is_func_proto(type))
		return -ENOENT;
	/* The first one is the probe's private data */
	return btf_vlen(type) - 1;
}

/**
 * ivm_kernel_tracepoint_args() - how many arguments a tracepoint has, by BTF
 * @kernel: open
 * @name: of the tracepoint, of the kernel itself or of KVM
 *
 * Return: the number, or -ENOENT if BTF does not know it.
 */
int ivm_kernel_tracepoint_args(const struct ivm_kernel *kernel, const char *name)
{
	int args = tracepoint_args(kernel->vmlinux, name);

	return args < 0 ? tracepoint_args(kernel->kvm, name) : args;
}

static char *event_format(const struct ivm_kernel *kernel, const char *system, const char *name)
{
	return ivm_tracefs_read(kernel->tracefs_fd, system, name, "format");
}

/* Without BTF the record's format still tells the prototypes apart */
static unsigned int inj_virq_args(const struct ivm_kernel *kernel)
{
	g_autofree char *format = NULL;
	int args = ivm_kernel_tracepoint_args(kernel, "kvm_inj_virq");

	if (args > 0)
		return args;
	format = event_format(kernel, "kvm", "kvm_inj_virq");
	return format && strstr(format, "reinjected;") ? 3 : 1;
}

static void note_symbol(struct ivm_kernel *kernel, const char *symbol, const char *module,
			uint64_t address)
{
	/* Xen's privcmd has a function of that name, too: the module's is KVM's */
	if (!strcmp(symbol, "irqfd_inject")) {
		if (!strcmp(module, "[kvm]") || (!*module && !kernel->irqfd_inject))
			kernel->irqfd_inject = address;
		return;
	}
	if (*module)
		return;
	if (!strcmp(symbol, "eventfd_signal"))
		kernel->signal_function = "eventfd_signal";
	else if (!strcmp(symbol, "eventfd_signal_mask") && !kernel->signal_function)
		kernel->signal_function = "eventfd_signal_mask";
	else if (!strcmp(symbol, "__per_cpu_offset"))
		kernel->per_cpu_offsets = address;
	else if (!strcmp(symbol, "__preempt_count"))
		kernel->preempt_count = address;
	else if (!strcmp(symbol, "pcpu_hot") && !kernel->preempt_count) {
		kernel->preempt_count = address;
		kernel->preempt_count_is_hot = true;
	}
}

/* One pass over all symbols: there are 10^5 of them */
static void read_symbols(struct ivm_kernel *kernel)
{
	FILE *file = fopen("/proc/kallsyms", "re");
	char line[512], symbol[256], module[64];
	unsigned long long address;
	int fields;

	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		module[0] = 0;
		fields = sscanf(line, "%llx %*c %255s %63s", &address, symbol, module);
		if (fields >= 2)
			note_symbol(kernel, symbol, module, address);
	}
	fclose(file);
}

/**
 * ivm_kernel_open() - reads what decides about hooks
 * @kernel: to be filled; close with ivm_kernel_close(), also after a failure
 *
 * Return: 0, or -errno if the kernel has no BTF.
 */
int ivm_kernel_open(struct ivm_kernel *kernel)
{
	memset(kernel, 0, sizeof(*kernel));
	kernel->kvm_btf_fd = -1;
	kernel->tracefs_fd = ivm_tracefs_open();
	kernel->vmlinux = btf__load_vmlinux_btf();
	if (!kernel->vmlinux)
		return -errno;
	open_module_btf(kernel, "kvm");
	kernel->kvm_exit_reason_first = ivm_kernel_tracepoint_args(kernel, "kvm_exit") == 3;
	kernel->inj_virq_args = inj_virq_args(kernel);
	read_symbols(kernel);
	return 0;
}

/**
 * ivm_kernel_close() - frees what ivm_kernel_open() has read
 * @kernel: may be zeroed
 */
void ivm_kernel_close(struct ivm_kernel *kernel)
{
	btf__free(kernel->kvm);
	btf__free(kernel->vmlinux);
	if (kernel->kvm_btf_fd > 0)
		close(kernel->kvm_btf_fd);
	if (kernel->tracefs_fd > 0)
		close(kernel->tracefs_fd);
	memset(kernel, 0, sizeof(*kernel));
	kernel->kvm_btf_fd = -1;
	kernel->tracefs_fd = -1;
}

/* ---- what this host lets us do ---- */

/* Loads, and if @attach attaches for a moment, a program that does nothing */
static bool try_tracing(int btf_fd, int btf_id, enum bpf_attach_type type, bool attach)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = type,
		    .attach_btf_id = btf_id, .attach_btf_obj_fd = btf_fd);
	int fd, link_fd = 0;

	fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, "ivm_try", "GPL", insns, G_N_ELEMENTS(insns),
			   &opts);
	if (fd < 0)
		return false;
	if (attach) {
		link_fd = bpf_raw_tracepoint_open(NULL, fd);
		if (link_fd >= 0)
			close(link_fd);
	}
	close(fd);
	return link_fd >= 0;
}

static bool try_tp_btf(const struct ivm_kernel *kernel, const char *name)
{
	g_autofree char *type_name = g_strdup_printf("btf_trace_%s", name);
	int id = btf__find_by_name_kind(kernel->vmlinux, type_name, BTF_KIND_TYPEDEF);

	if (id > 0)
		return try_tracing(0, id, BPF_TRACE_RAW_TP, false);
	if (!kernel->kvm)
		return false;
	id = btf__find_by_name_kind(kernel->kvm, type_name, BTF_KIND_TYPEDEF);
	return id > 0 && try_tracing(kernel->kvm_btf_fd, id, BPF_TRACE_RAW_TP, false);
}

static const char *hook_target(const struct ivm_kernel *kernel, enum ivm_hook_id id)
{
	return id == IVM_HOOK_EVENTFD_SIGNAL ? kernel->signal_function : known[id].name;
}

static bool try_fentry(const struct ivm_kernel *kernel, const char *function)
{
	int id = function ? btf__find_by_name_kind(kernel->vmlinux, function, BTF_KIND_FUNC) : 0;

	return id > 0 && try_tracing(0, id, BPF_TRACE_FENTRY, true);
}

static bool is_worth_loading(const struct ivm_kernel *kernel, enum ivm_hook_id id,
			     enum ivm_hook_state way, bool use_btf)
{
	switch (way) {
	case IVM_HOOK_TP_BTF:
		return use_btf && try_tp_btf(kernel, known[id].name);
	case IVM_HOOK_TRACEPOINT:
		return true;
	case IVM_HOOK_FENTRY:
		return use_btf && try_fentry(kernel, hook_target(kernel, id));
	case IVM_HOOK_KPROBE:
		return hook_target(kernel, id) != NULL;
	default:
		return false;
	}
}

static struct bpf_program *find_program(struct bpf_object *object, enum ivm_hook_id id,
					const char *suffix)
{
	g_autofree char *name = g_strdup_printf("%s_%s", known[id].name, suffix);

	return bpf_object__find_program_by_name(object, name);
}

static void select_hook(const struct ivm_kernel *kernel, struct bpf_object *object,
			enum ivm_hook_id id, bool use_btf)
{
	struct bpf_program *program;
	bool found = false;
	unsigned int i;

	for (i = 0; i < G_N_ELEMENTS(ways); i++) {
		program = find_program(object, id, ways[i].suffix);
		if (!program)
			continue;
		if (!found && is_worth_loading(kernel, id, ways[i].state, use_btf)) {
			bpf_program__set_autoload(program, true);
			if (ways[i].state == IVM_HOOK_FENTRY)
				bpf_program__set_attach_target(program, 0, hook_target(kernel, id));
			found = true;
		} else {
			bpf_program__set_autoload(program, false);
		}
	}
}

/**
 * ivm_hooks_select() - picks the program to load for each hook
 * @kernel: the running kernel
 * @object: opened, not loaded
 * @without_btf: hooks whose programs are to do without BTF types
 */
void ivm_hooks_select(const struct ivm_kernel *kernel, struct bpf_object *object,
		      const bool without_btf[IVM_HOOKS])
{
	int id;

	for (id = 0; id < IVM_HOOKS; id++)
		select_hook(kernel, object, id, !without_btf[id]);
}

static bool needs_btf(enum ivm_hook_state way)
{
	return way == IVM_HOOK_TP_BTF || way == IVM_HOOK_FENTRY;
}

/**
 * ivm_hooks_refuse_btf() - the verifier refused a program: do without types
 * @without_btf: updated
 * @program: its name
 *
 * Return: true if there is another way to its hook, false if that was the last.
 */
bool ivm_hooks_refuse_btf(bool without_btf[IVM_HOOKS], const char *program)
{
	unsigned int i;
	int id;

	for (id = 0; id < IVM_HOOKS; id++) {
		for (i = 0; i < G_N_ELEMENTS(ways); i++) {
			g_autofree char *name = g_strdup_printf("%s_%s", known[id].name,
								ways[i].suffix);

			if (strcmp(name, program) || !needs_btf(ways[i].state) || without_btf[id])
				continue;
			without_btf[id] = true;
			return true;
		}
	}
	return false;
}

static struct bpf_link *attach_program(const struct ivm_kernel *kernel, enum ivm_hook_id id,
				       enum ivm_hook_state way, struct bpf_program *program)
{
	if (way == IVM_HOOK_KPROBE)
		return bpf_program__attach_kprobe(program, false, hook_target(kernel, id));
	if (way == IVM_HOOK_TRACEPOINT)
		return ivm_tracefs_attach(kernel->tracefs_fd, known[id].system, known[id].name,
					  program);
	return bpf_program__attach(program);
}

static void attach_hook(struct ivm_hook *hook, const struct ivm_kernel *kernel,
			struct bpf_object *object, enum ivm_hook_id id)
{
	struct bpf_program *program;
	const char *target;
	unsigned int i;

	for (i = 0; i < G_N_ELEMENTS(ways) && !hook->link; i++) {
		program = find_program(object, id, ways[i].suffix);
		if (!program || !bpf_program__autoload(program))
			continue;
		hook->link = attach_program(kernel, id, ways[i].state, program);
		if (!hook->link)
			continue;
		hook->state = ways[i].state;
		hook->prog_fd = bpf_program__fd(program);
		target = hook_target(kernel, id);
		if (strcmp(target, hook->name))
			hook->target = target;
	}
}

static void detach_hook(struct ivm_hook *hook)
{
	bpf_link__destroy(hook->link);
	hook->link = NULL;
}

/**
 * ivm_hooks_attach() - attaches what was loaded and is wanted, detaches the rest
 * @hooks: their states are set
 * @kernel: the running kernel
 * @object: loaded
 * @wanted: by hook
 *
 * A hook that cannot be attached stays absent; see ivm_hooks_missing().
 */
void ivm_hooks_attach(struct ivm_hook hooks[IVM_HOOKS], const struct ivm_kernel *kernel,
		      struct bpf_object *object, const bool wanted[IVM_HOOKS])
{
	int id;

	for (id = 0; id < IVM_HOOKS; id++) {
		if (!wanted[id]) {
			detach_hook(&hooks[id]);
			if (hooks[id].state == IVM_HOOK_ABSENT)
				hooks[id].state = IVM_HOOK_UNUSED;
		} else if (!hooks[id].link) {
			if (hooks[id].state == IVM_HOOK_UNUSED)
				hooks[id].state = IVM_HOOK_ABSENT;
			attach_hook(&hooks[id], kernel, object, id);
		}
	}
}

/**
 * ivm_hooks_detach() - detaches all hooks; states and counters stay
 * @hooks: the hooks
 */
void ivm_hooks_detach(struct ivm_hook hooks[IVM_HOOKS])
{
	int id;

	for (id = 0; id < IVM_HOOKS; id++)
		detach_hook(&hooks[id]);
}

static void read_program(struct ivm_hook *hook)
{
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);

	if (hook->prog_fd < 0 || bpf_obj_get_info_by_fd(hook->prog_fd, &info, &size))
		return;
	hook->missed = info.recursion_misses;
	hook->runs = info.run_cnt;
	hook->run_ns = info.run_time_ns;
}

/**
 * ivm_hooks_read() - brings the counters up to date
 * @hooks: the hooks
 * @counts_map_fd: of the per-CPU array hook_counts
 *
 * Return: 0 or -errno.
 */
int ivm_hooks_read(struct ivm_hook hooks[IVM_HOOKS], int counts_map_fd)
{
	int cpu, cpus = libbpf_num_possible_cpus();
	g_autofree struct ivm_hook_count *counts = NULL;
	__u32 id;

	if (cpus < 0)
		return cpus;
	counts = g_new0(struct ivm_hook_count, cpus);
	for (id = 0; id < IVM_HOOKS; id++) {
		struct ivm_hook *hook = &hooks[id];

		if (bpf_map_lookup_elem(counts_map_fd, &id, counts))
			return -errno;
		hook->fired = hook->lost = 0;
		for (cpu = 0; cpu < cpus; cpu++) {
			hook->fired += counts[cpu].fired;
			hook->lost += counts[cpu].lost;
		}
		read_program(hook);
	}
	return 0;
}

/**
 * ivm_hooks_missed() - events lost because a program was running already
 * @hooks: read
 *
 * The kernel skips a run that interrupts another one of the same program on
 * its CPU: always one in an interrupt.  At most hooks that is nothing to us,
 * because only what a thread itself does can belong to a journey.
 *
 * Return: how many events that may have mattered.
 */
uint64_t ivm_hooks_missed(const struct ivm_hook hooks[IVM_HOOKS])
{
	uint64_t sum = 0;
	int id;

	for (id = 0; id < IVM_HOOKS; id++)
		if (hooks[id].in_irq)
			sum += hooks[id].missed;
	return sum;
}

/**
 * ivm_hooks_missing() - is anything missing that counting needs?
 * @hooks: attached
 *
 * Return: what is missing, or NULL.
 */
const char *ivm_hooks_missing(const struct ivm_hook hooks[IVM_HOOKS])
{
	int id;

	for (id = 0; id < IVM_HOOKS; id++)
		if (hooks[id].required && hooks[id].state == IVM_HOOK_ABSENT)
			return hooks[id].name;
	if (hooks[IVM_HOOK_KVM_INJ_VIRQ].state == IVM_HOOK_ABSENT &&
	    hooks[IVM_HOOK_KVM_EOI].state == IVM_HOOK_ABSENT)
		return "kvm_inj_virq and kvm_eoi";
	return NULL;
}
