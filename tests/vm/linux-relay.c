// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Stands between the two ends of a link and cuts it now and then.
 *
 *   linux-relay LISTEN CONNECT CUTS MILLISECONDS GATE
 *
 * Takes connections on LISTEN, makes one to CONNECT for each, and hands on
 * bytes and descriptors.  CUTS times it closes both, MILLISECONDS after both
 * ends began to talk and the file GATE is there; after that the link stays.
 * Prints "cut N" for each.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MAX_FDS		16
#define CHUNK		65536

static int open_socket(const char *path, int listens)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (listens && (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 1))) {
		perror(path);
		exit(1);
	}
	if (!listens && connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		return -1;
	}
	return fd;
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void close_passed(struct msghdr *message)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(message);
	int fds[MAX_FDS];
	size_t i, count;

	if (!c || c->cmsg_type != SCM_RIGHTS)
		return;
	count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(fds, CMSG_DATA(c), count * sizeof(int));
	for (i = 0; i < count; i++)
		close(fds[i]);
}

/* Return: 0, or -1 when one of them has closed */
static int hand_on(int from, int to)
{
	static char bytes[CHUNK];
	char control[CMSG_SPACE(MAX_FDS * sizeof(int))];
	struct iovec part = { .iov_base = bytes, .iov_len = sizeof(bytes) };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof(control) };
	ssize_t got = recvmsg(from, &message, MSG_CMSG_CLOEXEC), sent;

	if (got <= 0)
		return -1;
	part.iov_len = (size_t)got;
	while (part.iov_len) {
		sent = sendmsg(to, &message, MSG_NOSIGNAL);
		close_passed(&message);
		if (sent < 0)
			return -1;
		message.msg_control = NULL;
		message.msg_controllen = 0;
		part.iov_base = (char *)part.iov_base + sent;
		part.iov_len -= (size_t)sent;
	}
	return 0;
}

/* Until one end closes, or for so long once both have spoken.  Return: 1 if cut */
static int relay(int a, int b, long cut_ms, const char *gate)
{
	struct pollfd fds[] = { { .fd = a, .events = POLLIN }, { .fd = b, .events = POLLIN } };
	int spoken = 0, i;
	long end = 0;

	for (;;) {
		poll(fds, 2, 10);
		for (i = 0; i < 2; i++) {
			if (!fds[i].revents)
				continue;
			if (hand_on(fds[i].fd, fds[!i].fd))
				return 0;
			spoken |= 1 << i;
		}
		if (cut_ms && spoken == 3 && !end && !access(gate, F_OK))
			end = now_ms() + cut_ms;
		if (end && now_ms() > end)
			return 1;
	}
}

int main(int argc, char **argv)
{
	int cuts, done = 0, listener, a, b;
	const struct timespec pause = { .tv_nsec = 50000000 };

	if (argc != 6) {
		fprintf(stderr, "usage: linux-relay LISTEN CONNECT CUTS MILLISECONDS GATE\n");
		return 1;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	cuts = atoi(argv[3]);
	listener = open_socket(argv[1], 1);
	for (;;) {
		a = accept(listener, NULL, NULL);
		if (a < 0)
			return perror("accept"), 1;
		while ((b = open_socket(argv[2], 0)) < 0)
			nanosleep(&pause, NULL);
		if (relay(a, b, done < cuts ? atol(argv[4]) : 0, argv[5])) {
			printf("cut %d\n", ++done);
			fflush(stdout);
		}
		close(a);
		close(b);
	}
}
