// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A process that is no VM and raises a VM's interrupts.
 *
 *	foreign-writer PID FD COUNT
 *
 * Takes process PID's descriptor FD, an eventfd, says "ready", and at a line on
 * stdin writes to it COUNT times, a millisecond apart; at the next one it ends.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAUSE_US	1000

static int take_descriptor(pid_t pid, int fd)
{
	int process = syscall(SYS_pidfd_open, pid, 0);

	return process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, fd, 0);
}

static void wait_for_line(void)
{
	int c;

	fflush(stdout);
	do
		c = getchar();
	while (c != '\n' && c != EOF);
}

int main(int argc, char **argv)
{
	const uint64_t one = 1;
	long left;
	int fd;

	if (argc != 4) {
		fprintf(stderr, "usage: foreign-writer PID FD COUNT\n");
		return 1;
	}
	fd = take_descriptor(atoi(argv[1]), atoi(argv[2]));
	if (fd < 0) {
		perror("foreign-writer: cannot take the descriptor");
		return 1;
	}
	printf("ready %d\n", (int)getpid());
	wait_for_line();
	for (left = atol(argv[3]); left; left--) {
		if (write(fd, &one, sizeof(one)) != sizeof(one)) {
			perror("foreign-writer: cannot write");
			return 1;
		}
		usleep(PAUSE_US);
	}
	printf("done\n");
	wait_for_line();
	return 0;
}
