// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Marks over a datagram socket of the abstract namespace.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "marks.h"

#define PREFIX	"ivmtrace-mark-"

static const char taken[] = "taken", refused[] = "refused";

bool ivm_mark_name_ok(const char *name)
{
	const char *p;

	if (!*name || strlen(name) >= IVM_MARK_NAME_BYTES || !g_utf8_validate(name, -1, NULL))
		return false;
	for (p = name; *p; p++)
		if (g_ascii_iscntrl(*p))
			return false;
	return true;
}

static socklen_t address_of(pid_t pid, struct sockaddr_un *address)
{
	int bytes;

	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	bytes = snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1, PREFIX "%d",
			 (int)pid);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)bytes);
}

int ivm_marks_listen(void)
{
	struct sockaddr_un address;
	socklen_t bytes = address_of(getpid(), &address);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1, err;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&address, bytes)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static bool may_mark(struct msghdr *message)
{
	const struct cmsghdr *control = CMSG_FIRSTHDR(message);
	struct ucred who;

	if (!control || control->cmsg_level != SOL_SOCKET ||
	    control->cmsg_type != SCM_CREDENTIALS)
		return false;
	memcpy(&who, CMSG_DATA(control), sizeof(who));
	return who.uid == 0 || who.uid == geteuid();
}

int ivm_marks_take(int fd, char name[static IVM_MARK_NAME_BYTES])
{
	char control[CMSG_SPACE(sizeof(struct ucred))];
	struct sockaddr_un from;
	struct iovec text = { name, IVM_MARK_NAME_BYTES - 1 };
	struct msghdr message = {
		.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &text,
		.msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control),
	};
	ssize_t bytes;
	bool ok;

	do {
		bytes = recvmsg(fd, &message, MSG_DONTWAIT);
		if (bytes < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		name[bytes] = 0;
		ok = may_mark(&message) && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) &&
		     strlen(name) == (size_t)bytes && ivm_mark_name_ok(name);
		/* Who does not wait for the answer does not need it */
		sendto(fd, ok ? taken : refused, strlen(ok ? taken : refused), MSG_DONTWAIT,
		       (struct sockaddr *)&from, message.msg_namelen);
		message.msg_namelen = sizeof(from);
		message.msg_controllen = sizeof(control);
	} while (!ok);
	return 1;
}

/* ---- sending ---- */

GArray *ivm_marks_find(void)
{
	GArray *found = g_array_new(FALSE, FALSE, sizeof(pid_t));
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	const char *name;
	char *end;
	pid_t pid;
	int i;

	if (!g_file_get_contents("/proc/net/unix", &text, NULL, NULL))
		return found;
	lines = g_strsplit(text, "\n", -1);
	for (i = 0; lines[i]; i++) {
		name = strstr(lines[i], " @" PREFIX);
		if (!name)
			continue;
		pid = (pid_t)strtol(name + strlen(" @" PREFIX), &end, 10);
		if (pid > 0 && !*end)
			g_array_append_val(found, pid);
	}
	return found;
}

static int wait_for_answer(int fd, int timeout_ms)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	char answer[16] = "";
	int n;

	n = poll(&wait, 1, timeout_ms);
	if (n <= 0)
		return n ? -errno : -ETIMEDOUT;
	if (recv(fd, answer, sizeof(answer) - 1, 0) < 0)
		return -errno;
	return strcmp(answer, taken) ? -EPERM : 0;
}

int ivm_mark_send(pid_t pid, const char *name, int timeout_ms)
{
	struct sockaddr_un to, own = { .sun_family = AF_UNIX };
	socklen_t bytes = address_of(pid, &to);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err = 0;

	if (fd < 0)
		return -errno;
	/* A name of the kernel's choice, for the answer; connected, so that no other answers */
	if (bind(fd, (struct sockaddr *)&own, sizeof(own.sun_family)) ||
	    connect(fd, (struct sockaddr *)&to, bytes) ||
	    send(fd, name, strlen(name), MSG_DONTWAIT) < 0)
		err = -errno;
	if (!err)
		err = wait_for_answer(fd, timeout_ms);
	close(fd);
	return err;
}
