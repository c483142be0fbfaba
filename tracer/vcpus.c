// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which thread runs which vCPU: asked of the kernel, best source first.
 *
 *   iter      a BPF iterator over open files reads struct kvm_vcpu
 *   debugfs   kvm/<tid>-<fd>/vcpuN/pid, from 6.0 on x86
 *   names     QEMU's "CPU N/KVM" threads, if it runs with debug-threads=on;
 *             N is QEMU's index, which is the APIC id only without gaps.
 *             Tells nothing about TSCs
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <glib.h>

#include "../bpf/hooks.h"
#include "vcpu.skel.h"
#include "vcpus.h"

#define KVM_DEBUGFS "/sys/kernel/debug/kvm"

struct ivm_vcpus {
	struct vcpu_bpf *skel;
	struct bpf_link *link;		/* NULL: no iterators on this host */
	const char *source;
	unsigned int ratio_bits;	/* of the CPU's TSC scaling: 32 on AMD, 48 on Intel */
};

/* An iterator says the ratio, but not its format: that is the CPU maker's */
static unsigned int cpu_ratio_bits(void)
{
	g_autofree char *cpuinfo = NULL;

	if (!g_file_get_contents("/proc/cpuinfo", &cpuinfo, NULL, NULL))
		return 0;
	return strstr(cpuinfo, "GenuineIntel") ? 48 : 32;
}

/**
 * ivm_vcpus_open() - finds out how vCPUs can be told here
 *
 * Return: never NULL; close with ivm_vcpus_close().
 */
struct ivm_vcpus *ivm_vcpus_open(void)
{
	struct ivm_vcpus *v = g_new0(struct ivm_vcpus, 1);

	v->ratio_bits = cpu_ratio_bits();
	v->skel = vcpu_bpf__open_and_load();
	if (v->skel)
		v->link = bpf_program__attach_iter(v->skel->progs.vcpu_files, NULL);
	if (v->link)
		v->source = "iter";
	else if (!access(KVM_DEBUGFS, R_OK | X_OK))
		v->source = "debugfs";
	else
		v->source = "names";
	return v;
}

/**
 * ivm_vcpus_close() - frees
 * @v: may be NULL
 */
void ivm_vcpus_close(struct ivm_vcpus *v)
{
	if (!v)
		return;
	bpf_link__destroy(v->link);
	vcpu_bpf__destroy(v->skel);
	g_free(v);
}

/**
 * ivm_vcpus_source() - how vCPUs are found on this host
 * @v: open
 *
 * Return: "iter", "debugfs" or "names".
 */
const char *ivm_vcpus_source(const struct ivm_vcpus *v)
{
	return v->source;
}

static bool is_asked_for(const pid_t *tgids, unsigned int count, pid_t tgid)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		if (tgids[i] == tgid)
			return true;
	return false;
}

/* KVM without scaling says 1.0 in a format of no fraction bits */
static void set_ratio(struct ivm_tsc_view *tsc, uint64_t ratio, unsigned int bits)
{
	tsc->ratio = ratio > 1 ? ratio : 0;
	tsc->ratio_bits = tsc->ratio ? bits : 0;
}

static void tell_file(const struct ivm_vcpus *v, const struct ivm_file *file, ivm_vcpu_fn fn,
		      void *arg)
{
	struct ivm_vcpu_seen vcpu = {
		.tgid = file->tgid,
		.tid = file->tid,
		.vcpu_id = file->vcpu_id,
		.has_tsc = file->tsc_ratio,	/* never 0 where the kernel has the field */
		.tsc.offset = file->tsc_offset,
	};

	set_ratio(&vcpu.tsc, file->tsc_ratio, v->ratio_bits);
	fn(arg, &vcpu);
}

static int read_iterator(struct ivm_vcpus *v, const pid_t *tgids, unsigned int count,
			 ivm_vcpu_fn fn, void *arg)
{
	struct ivm_file files[64];
	ssize_t bytes, i;
	int fd, err = 0;

	fd = bpf_iter_create(bpf_link__fd(v->link));
	if (fd < 0)
		return -errno;
	while ((bytes = read(fd, files, sizeof(files))) != 0) {
		if (bytes < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (bytes < 0) {
			err = -errno;
			break;
		}
		for (i = 0; i < bytes / (ssize_t)sizeof(files[0]); i++)
			if (files[i].tid && is_asked_for(tgids, count, files[i].tgid))
				tell_file(v, &files[i], fn, arg);
	}
	close(fd);
	return err;
}

static pid_t tgid_of(pid_t tid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/status", tid);
	g_autofree char *text = NULL;
	const char *line;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return 0;
	line = strstr(text, "\nTgid:");
	return line ? atoi(line + strlen("\nTgid:")) : 0;
}

static bool read_number(const char *dir, const char *name, int64_t *value)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);
	g_autofree char *text = NULL;
	char *end;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return false;
	*value = g_ascii_strtoll(text, &end, 10);
	return end != text;
}

static void tell_directory(const char *dir, pid_t tgid, uint32_t vcpu_id, ivm_vcpu_fn fn, void *arg)
{
	struct ivm_vcpu_seen vcpu = { .tgid = tgid, .vcpu_id = vcpu_id };
	int64_t tid, offset, ratio, bits;

	if (!read_number(dir, "pid", &tid) || tid <= 0)
		return;
	vcpu.tid = (pid_t)tid;
	vcpu.has_tsc = read_number(dir, "tsc-offset", &offset);
	if (vcpu.has_tsc)
		vcpu.tsc.offset = (uint64_t)offset;
	/* There only if the CPU can scale */
	if (read_number(dir, "tsc-scaling-ratio", &ratio) &&
	    read_number(dir, "tsc-scaling-ratio-frac-bits", &bits) && bits > 0 && bits < 64)
		set_ratio(&vcpu.tsc, (uint64_t)ratio, (unsigned int)bits);
	fn(arg, &vcpu);
}

static void read_debugfs_vm(const char *vm, pid_t tgid, ivm_vcpu_fn fn, void *arg)
{
	g_autofree char *path = g_strdup_printf(KVM_DEBUGFS "/%s", vm);
	DIR *dir = opendir(path);
	struct dirent *entry;
	unsigned int vcpu_id;

	while (dir && (entry = readdir(dir))) {
		g_autofree char *vcpu = NULL;

		if (sscanf(entry->d_name, "vcpu%u", &vcpu_id) != 1)
			continue;
		vcpu = g_build_filename(path, entry->d_name, NULL);
		tell_directory(vcpu, tgid, vcpu_id, fn, arg);
	}
	if (dir)
		closedir(dir);
}

/* The directory bears the thread that created the VM, of whatever process */
static int read_debugfs(const pid_t *tgids, unsigned int count, ivm_vcpu_fn fn, void *arg)
{
	DIR *dir = opendir(KVM_DEBUGFS);
	struct dirent *entry;
	pid_t tgid;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		tgid = atoi(entry->d_name) > 0 ? tgid_of(atoi(entry->d_name)) : 0;
		if (tgid && is_asked_for(tgids, count, tgid))
			read_debugfs_vm(entry->d_name, tgid, fn, arg);
	}
	closedir(dir);
	return 0;
}

static void read_thread_names(pid_t tgid, ivm_vcpu_fn fn, void *arg)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/task", tgid);
	DIR *dir = opendir(path);
	struct dirent *entry;
	unsigned int index;
	char tail;

	while (dir && (entry = readdir(dir))) {
		g_autofree char *file = g_strdup_printf("%s/%s/comm", path, entry->d_name);
		g_autofree char *text = NULL;

		if (g_file_get_contents(file, &text, NULL, NULL) &&
		    sscanf(text, "CPU %u/KVM%c", &index, &tail) == 2 && tail == '\n')
			fn(arg, &(struct ivm_vcpu_seen){ .tgid = tgid, .vcpu_id = index,
							 .tid = atoi(entry->d_name) });
	}
	if (dir)
		closedir(dir);
}

/**
 * ivm_vcpus_read() - reports all vCPUs of some processes that have run so far
 * @v: open
 * @tgids: the processes
 * @count: of @tgids
 * @fn: called for each vCPU
 * @arg: for @fn
 *
 * Return: 0 or -errno.
 */
int ivm_vcpus_read(struct ivm_vcpus *v, const pid_t *tgids, unsigned int count, ivm_vcpu_fn fn,
		   void *arg)
{
	unsigned int i;

	if (v->link)
		return read_iterator(v, tgids, count, fn, arg);
	if (!strcmp(v->source, "debugfs"))
		return read_debugfs(tgids, count, fn, arg);
	for (i = 0; i < count; i++)
		read_thread_names(tgids[i], fn, arg);
	return 0;
}
