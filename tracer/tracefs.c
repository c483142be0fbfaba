// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tracefs, whether it is mounted or not.
 *
 * Many hosts do not mount it.  We then use a mount of our own that is attached
 * nowhere, so that nobody else sees a change; libbpf would need a path.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <glib.h>
#include <linux/perf_event.h>

#include "tracefs.h"

static int open_mounted(void)
{
	static const char *const roots[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
	unsigned int i;
	int fd;

	for (i = 0; i < G_N_ELEMENTS(roots); i++) {
		fd = open(roots[i], O_DIRECTORY | O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && !faccessat(fd, "events", R_OK | X_OK, 0))
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -1;
}

/* Mounted, but attached nowhere: gone with the descriptor */
static int open_detached(void)
{
	int fs = fsopen("tracefs", FSOPEN_CLOEXEC);
	int fd = -1;

	if (fs < 0)
		return -1;
	if (!fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		fd = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	close(fs);
	return fd;
}

/**
 * ivm_tracefs_open() - tracefs on this host
 *
 * Return: a descriptor of its root directory, or -1.
 */
int ivm_tracefs_open(void)
{
	int fd = open_mounted();

	return fd >= 0 ? fd : open_detached();
}

/**
 * ivm_tracefs_read() - one of the files of an event
 * @tracefs_fd: the root directory, may be -1
 * @system: the event's group
 * @event: its name
 * @file: "id" or "format"
 *
 * Return: its text, to be freed with g_free(), or NULL.
 */
char *ivm_tracefs_read(int tracefs_fd, const char *system, const char *event, const char *file)
{
	g_autofree char *path = g_strdup_printf("events/%s/%s/%s", system, event, file);
	g_autoptr(GString) text = g_string_new(NULL);
	char buffer[4096];
	ssize_t bytes;
	int fd;

	fd = tracefs_fd < 0 ? -1 : openat(tracefs_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	while ((bytes = read(fd, buffer, sizeof(buffer))) > 0)
		g_string_append_len(text, buffer, bytes);
	close(fd);
	return bytes < 0 ? NULL : g_strdup(text->str);
}

/**
 * ivm_tracefs_attach() - attaches a program to a classic tracepoint
 * @tracefs_fd: the root directory, may be -1
 * @system: the event's group
 * @event: its name
 * @program: loaded
 *
 * Return: the link, or NULL.
 */
struct bpf_link *ivm_tracefs_attach(int tracefs_fd, const char *system, const char *event,
				    struct bpf_program *program)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr) };
	g_autofree char *id = ivm_tracefs_read(tracefs_fd, system, event, "id");
	struct bpf_link *link;
	int fd;

	if (!id)
		return NULL;
	attr.config = strtoull(id, NULL, 10);
	/* One event on any CPU: the program hangs on the tracepoint, not on the event */
	fd = syscall(__NR_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return NULL;
	link = bpf_program__attach_perf_event(program, fd);
	if (!link)
		close(fd);
	return link;
}
