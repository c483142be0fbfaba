// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The BPF programs that a process has attached: what they cost, and empty ones
 * in their places.
 *
 *	probes
 *
 * Reads commands, one a line, and answers each with lines that end in "ok" or
 * in "error WHY":
 *
 *	clone PID	make an empty program for each program that PID has
 *			attached: same type, same hook; a line "TYPE HOOK" each
 *	attach, detach	the empty programs
 *	stats on, off	let the kernel measure the run time of all programs
 *	costs PID	a line "NAME RUNS NS" for each program that PID has attached
 *	costs		the same for the empty programs
 *
 * What an empty program costs is what a hook costs, whoever uses it.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <glib.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>

#include "tracer/tracefs.h"

#define HOOK_NAME_BYTES	128
#define BPF_PERF_EVENT_TRACEPOINT_TYPE	5	/* uapi BPF_PERF_EVENT_TRACEPOINT, since 6.6 */

/* struct bpf_link_info of newer headers: what is filled depends on the kernel */
struct link_info {
	__u32 type;
	__u32 id;
	__u32 prog_id;
	__u32 pad;
	union {
		struct {
			__aligned_u64 name;
			__u32 name_bytes;
		} raw;
		struct {
			__u32 type;
			__u32 pad;
			__aligned_u64 name;
			__u32 name_bytes;
		} perf;
		char room[64];
	};
};

struct probe {
	__u32 prog_id;
	enum bpf_prog_type type;
	char hook[HOOK_NAME_BYTES];
	int prog_fd;		/* of the empty program */
	int link_fd;		/* -1 while detached */
	int event_fd;		/* a tracepoint's perf event, -1 */
};

static GArray *empties;
static int stats_fd = -1;
static char why[256];

static int __attribute__((format(printf, 1, 2))) fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	return -EINVAL;
}

/* ---- what a process has attached ---- */

static int info_of_program(__u32 id, struct bpf_prog_info *info)
{
	__u32 bytes = sizeof(*info);
	int fd = bpf_prog_get_fd_by_id(id), err;

	if (fd < 0)
		return fail("program %u: %s", id, strerror(errno));
	memset(info, 0, sizeof(*info));
	err = bpf_obj_get_info_by_fd(fd, info, &bytes);
	if (err)
		err = fail("program %u: %s", id, strerror(errno));
	close(fd);
	return err;
}

static int read_link(__u32 id, struct link_info *info, char name[HOOK_NAME_BYTES])
{
	__u32 bytes = sizeof(*info);
	int fd = bpf_link_get_fd_by_id(id), err;

	if (fd < 0)
		return fail("link %u: %s", id, strerror(errno));
	memset(info, 0, sizeof(*info));
	memset(name, 0, HOOK_NAME_BYTES);
	err = bpf_obj_get_info_by_fd(fd, (struct bpf_link_info *)info, &bytes);
	if (!err && (info->type == BPF_LINK_TYPE_RAW_TRACEPOINT ||
		     info->type == BPF_LINK_TYPE_PERF_EVENT)) {
		__u32 type = info->type;

		/* A second call, now with room for the name */
		memset(info, 0, sizeof(*info));
		bytes = sizeof(*info);
		if (type == BPF_LINK_TYPE_RAW_TRACEPOINT) {
			info->raw.name = (__u64)(uintptr_t)name;
			info->raw.name_bytes = HOOK_NAME_BYTES;
		} else {
			info->perf.name = (__u64)(uintptr_t)name;
			info->perf.name_bytes = HOOK_NAME_BYTES;
		}
		err = bpf_obj_get_info_by_fd(fd, (struct bpf_link_info *)info, &bytes);
	}
	if (err)
		err = fail("link %u: %s", id, strerror(errno));
	close(fd);
	return err;
}

/* The number behind "link_id:" of one of its descriptors, 0 if it is no link */
static __u32 link_of_descriptor(const char *pid, const char *fd)
{
	g_autofree char *path = g_strdup_printf("/proc/%s/fdinfo/%s", pid, fd);
	g_autofree char *text = NULL;
	const char *at;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return 0;
	at = strstr(text, "\nlink_id:");
	return at ? strtoul(at + strlen("\nlink_id:"), NULL, 10) : 0;
}

/* Iterators are links too, but hook nothing */
static int note_link(GArray *probes, __u32 link_id)
{
	struct probe probe = { .prog_fd = -1, .link_fd = -1, .event_fd = -1 };
	struct link_info info;
	struct bpf_prog_info program;
	int err = read_link(link_id, &info, probe.hook);

	if (err || info.type == BPF_LINK_TYPE_ITER)
		return err;
	err = info_of_program(info.prog_id, &program);
	probe.prog_id = info.prog_id;
	probe.type = program.type;
	if (!err)
		g_array_append_val(probes, probe);
	return err;
}

static int find_probes(const char *pid, GArray *probes)
{
	g_autofree char *path = g_strdup_printf("/proc/%s/fdinfo", pid);
	struct dirent *entry;
	DIR *dir = opendir(path);
	int err = 0;

	if (!dir)
		return fail("%s: %s", path, strerror(errno));
	while (!err && (entry = readdir(dir))) {
		__u32 id = isdigit(entry->d_name[0]) ? link_of_descriptor(pid, entry->d_name) : 0;

		if (id)
			err = note_link(probes, id);
	}
	closedir(dir);
	if (!err && !probes->len)
		err = fail("process %s has no BPF program attached", pid);
	return err;
}

/* ---- empty programs in the same places ---- */

static int load_empty(struct probe *probe)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts);
	struct bpf_prog_info program;
	int err = info_of_program(probe->prog_id, &program);

	if (err)
		return err;
	if (probe->type == BPF_PROG_TYPE_TRACING) {
		if (!*probe->hook)
			return fail("program %u (%s): only tracepoints can be cloned",
				    probe->prog_id, program.name);
		opts.expected_attach_type = BPF_TRACE_RAW_TP;
		opts.attach_btf_id = program.attach_btf_id;
		/* Absent in the module's case only before 5.11 */
		if (program.attach_btf_obj_id)
			opts.attach_btf_obj_fd = bpf_btf_get_fd_by_id(program.attach_btf_obj_id);
	}
	probe->prog_fd = bpf_prog_load(probe->type, "empty", "GPL", insns, G_N_ELEMENTS(insns),
				       &opts);
	err = errno;
	if (opts.attach_btf_obj_fd > 0)
		close(opts.attach_btf_obj_fd);
	return probe->prog_fd < 0 ? fail("an empty program for %s: %s", probe->hook,
					 strerror(err)) : 0;
}

static const char *type_name(enum bpf_prog_type type)
{
	switch (type) {
	case BPF_PROG_TYPE_TRACING:
		return "tp_btf";
	case BPF_PROG_TYPE_RAW_TRACEPOINT:
		return "raw_tp";
	case BPF_PROG_TYPE_TRACEPOINT:
		return "tracepoint";
	default:
		return "other";
	}
}

static void detach_all(void)
{
	guint i;

	for (i = 0; i < empties->len; i++) {
		struct probe *probe = &g_array_index(empties, struct probe, i);

		if (probe->link_fd >= 0)
			close(probe->link_fd);
		if (probe->event_fd >= 0)
			close(probe->event_fd);
		probe->link_fd = probe->event_fd = -1;
	}
}

static void forget_all(void)
{
	guint i;

	detach_all();
	for (i = 0; i < empties->len; i++)
		if (g_array_index(empties, struct probe, i).prog_fd >= 0)
			close(g_array_index(empties, struct probe, i).prog_fd);
	g_array_set_size(empties, 0);
}

static int clone(const char *pid)
{
	int err;
	guint i;

	forget_all();
	err = find_probes(pid, empties);
	for (i = 0; i < empties->len && !err; i++) {
		struct probe *probe = &g_array_index(empties, struct probe, i);

		err = load_empty(probe);
		if (!err)
			printf("%s %s\n", type_name(probe->type), probe->hook);
	}
	return err;
}

/* Groups in which the tracer has classic tracepoints */
static char *tracepoint_id(int tracefs_fd, const char *event)
{
	static const char *const systems[] = { "syscalls", "kvm", "sched", "workqueue", "ipi" };
	char *id = NULL;
	unsigned int i;

	for (i = 0; i < G_N_ELEMENTS(systems) && !id; i++)
		id = ivm_tracefs_read(tracefs_fd, systems[i], event, "id");
	return id;
}

static int attach_tracepoint(struct probe *probe)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr) };
	int tracefs_fd = ivm_tracefs_open();
	g_autofree char *id = tracepoint_id(tracefs_fd, probe->hook);

	if (tracefs_fd >= 0)
		close(tracefs_fd);
	if (!id)
		return fail("no tracepoint %s", probe->hook);
	attr.config = strtoull(id, NULL, 10);
	probe->event_fd = syscall(__NR_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (probe->event_fd < 0)
		return fail("%s: %s", probe->hook, strerror(errno));
	probe->link_fd = bpf_link_create(probe->prog_fd, probe->event_fd, BPF_PERF_EVENT, NULL);
	return 0;
}

static int attach(struct probe *probe)
{
	int err = 0;

	if (probe->type == BPF_PROG_TYPE_TRACEPOINT)
		err = attach_tracepoint(probe);
	else
		probe->link_fd = bpf_raw_tracepoint_open(
			probe->type == BPF_PROG_TYPE_TRACING ? NULL : probe->hook, probe->prog_fd);
	if (!err && probe->link_fd < 0)
		err = fail("cannot attach to %s: %s", probe->hook, strerror(errno));
	return err;
}

static int attach_all(void)
{
	int err = 0;
	guint i;

	for (i = 0; i < empties->len && !err; i++)
		err = attach(&g_array_index(empties, struct probe, i));
	return err;
}

/* ---- costs ---- */

static int set_stats(bool on)
{
	if (stats_fd >= 0)
		close(stats_fd);
	stats_fd = on ? bpf_enable_stats(BPF_STATS_RUN_TIME) : -1;
	return on && stats_fd < 0 ? fail("cannot enable BPF statistics: %s", strerror(errno)) : 0;
}

static int print_cost(const struct probe *probe)
{
	struct bpf_prog_info info;
	__u32 bytes = sizeof(info);
	int err = 0;

	memset(&info, 0, sizeof(info));
	if (probe->prog_fd < 0)
		err = info_of_program(probe->prog_id, &info);
	else if (bpf_obj_get_info_by_fd(probe->prog_fd, &info, &bytes))
		err = fail("%s: %s", probe->hook, strerror(errno));
	if (!err)
		printf("%s %" PRIu64 " %" PRIu64 "\n", *probe->hook ? probe->hook : info.name,
		       (uint64_t)info.run_cnt, (uint64_t)info.run_time_ns);
	return err;
}

static int print_costs(const char *pid)
{
	g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(struct probe));
	GArray *probes = *pid ? found : empties;
	int err = *pid ? find_probes(pid, found) : 0;
	guint i;

	for (i = 0; i < probes->len && !err; i++)
		err = print_cost(&g_array_index(probes, struct probe, i));
	return err;
}

/* ---- commands ---- */

static int obey(const char *command, const char *operand)
{
	if (!strcmp(command, "clone"))
		return clone(operand);
	if (!strcmp(command, "attach"))
		return attach_all();
	if (!strcmp(command, "detach")) {
		detach_all();
		return 0;
	}
	if (!strcmp(command, "stats"))
		return set_stats(!strcmp(operand, "on"));
	if (!strcmp(command, "costs"))
		return print_costs(operand);
	return fail("no command '%s'", command);
}

int main(void)
{
	char line[256], command[32], operand[32];

	empties = g_array_new(FALSE, FALSE, sizeof(struct probe));
	while (fgets(line, sizeof(line), stdin)) {
		command[0] = operand[0] = 0;
		sscanf(line, "%31s %31s", command, operand);
		if (obey(command, operand))
			printf("error %s\n", why);
		else
			printf("ok\n");
		fflush(stdout);
	}
	forget_all();
	set_stats(false);
	g_array_unref(empties);
	return 0;
}
