// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Links that a tracer knows and that nobody uses.
 *
 *	links COUNT
 *
 * Two processes with COUNT link pages each, as two QEMUs with as many devices
 * would have them: memfds of that name, up, paired, each with a BAR0 of its own.
 * Everything that discovery does with a link it does with these.  Prints
 * "ready"; ends with stdin.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device/ivm-linkpage.h"
#include "device/ivm-regs.h"

#define MAX_LINKS	10000
#define VECTORS		4
#define BAR0_BASE	0xe0000000ull
#define FDS_BESIDES	64

static void fill_page(struct ivm_linkpage *page, uint32_t number, uint32_t side)
{
	int v;

	*page = (struct ivm_linkpage){
		.magic = IVM_LINKPAGE_MAGIC,
		.version = IVM_LINKPAGE_VERSION,
		.bytes = sizeof(*page),
		.link_id = ((uint64_t)getppid() << 32) + number + 1,
		.bar0_address = BAR0_BASE + (uint64_t)number * IVM_BAR0_BYTES,
		.generation = 1,
		.up = 1,
		.side = side,
		.accel = IVM_ACCEL_KVM,
		.mode_configured = IVM_MODE_DIRECT,
		.mode_tx = IVM_MODE_DIRECT,
		.mode_rx = IVM_MODE_DIRECT,
		.vectors = VECTORS,
		.peer_vectors = VECTORS,
		.socket_fd = -1,
	};
	snprintf(page->name, sizeof(page->name), "perf-idle-%u", number);
	for (v = 0; v < IVM_LINKPAGE_VECTORS; v++)
		page->vector[v].eventfd = page->peer_eventfd[v] = -1;
}

static int make_page(uint32_t number, uint32_t side)
{
	struct ivm_linkpage page;
	int fd = memfd_create(IVM_LINKPAGE_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	fill_page(&page, number, side);
	if (write(fd, &page, sizeof(page)) != (ssize_t)sizeof(page))
		return -EIO;
	return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) ? -errno : 0;
}

/* One "QEMU": all its pages, then nothing until it is killed */
static void be_owner(uint32_t links, uint32_t side, int ready_fd)
{
	struct rlimit limit = { links + FDS_BESIDES, links + FDS_BESIDES };
	uint32_t i;
	int err;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	err = setrlimit(RLIMIT_NOFILE, &limit) ? -errno : 0;
	for (i = 0; i < links && !err; i++)
		err = make_page(i, side);
	if (err)
		fprintf(stderr, "links: %u links: %s\n", links, strerror(-err));
	if (err || write(ready_fd, "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static int wait_ready(int fd)
{
	char byte;

	return read(fd, &byte, 1) == 1 && read(fd, &byte, 1) == 1 ? 0 : -1;
}

int main(int argc, char **argv)
{
	uint32_t links = argc == 2 ? strtoul(argv[1], NULL, 10) : 0, side;
	pid_t owner[2];
	int ready[2], ret;
	char text[64];

	if (!links || links > MAX_LINKS || pipe(ready)) {
		fprintf(stderr, "usage: links 1..%u\n", MAX_LINKS);
		return 1;
	}
	for (side = 0; side < 2; side++) {
		owner[side] = fork();
		if (!owner[side]) {
			close(ready[0]);
			be_owner(links, side, ready[1]);
		}
	}
	close(ready[1]);
	ret = wait_ready(ready[0]);
	if (!ret) {
		printf("ready\n");
		fflush(stdout);
		while (read(STDIN_FILENO, text, sizeof(text)) > 0)
			;
	}
	for (side = 0; side < 2; side++)
		if (owner[side] > 0)
			kill(owner[side], SIGKILL);
	while (wait(NULL) > 0)
		;
	return ret ? 1 : 0;
}
