// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Preloaded into a QEMU: burns CPU at a known place of each message's way, for
 * profile.t.  BURN says where: "recv", before the main loop reads a socket, or
 * "send", before a thread writes one.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define ROUNDS	4000000		/* a few ms */

static int burns_at(const char *place)
{
	const char *where = getenv("BURN");

	return where && !strcmp(where, place);
}

static __attribute__((noipa)) void burn_before_recv(void)
{
	volatile unsigned int i;

	for (i = 0; i < ROUNDS; i++)
		;
}

static __attribute__((noipa)) void burn_before_send(void)
{
	volatile unsigned int i;

	for (i = 0; i < ROUNDS; i++)
		;
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	static ssize_t (*next)(int, struct msghdr *, int);

	if (!next)
		next = dlsym(RTLD_NEXT, "recvmsg");
	if (burns_at("recv"))
		burn_before_recv();
	return next(fd, msg, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	static ssize_t (*next)(int, const struct msghdr *, int);

	if (!next)
		next = dlsym(RTLD_NEXT, "sendmsg");
	if (burns_at("send"))
		burn_before_send();
	return next(fd, msg, flags);
}
