// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writes garbage into one lane of a link's shared memory while guests use it.
 *
 *   linux-fuzz PID SIDE SECONDS SEED
 *
 * PID is a QEMU, SIDE the lane.  Most writes go where a receiver looks: header,
 * indices, sessions, the heads of slots; values are small, huge, or one bit off.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../guest/ivm-shmem.h"

static uint64_t state;

static uint64_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static int open_shmem(const char *pid)
{
	char dir[64], path[350], target[64];
	struct dirent *entry;
	ssize_t length;
	DIR *fds;
	int fd = -1;

	snprintf(dir, sizeof(dir), "/proc/%s/fd", pid);
	fds = opendir(dir);
	while (fds && fd < 0 && (entry = readdir(fds))) {
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		length = readlink(path, target, sizeof(target) - 1);
		if (length > 0 && !strncmp(target, "/memfd:ivm-shmem", 16))
			fd = open(path, O_RDWR | O_CLOEXEC);
	}
	if (fds)
		closedir(fds);
	return fd;
}

/* Somewhere in the lane; what its header says is a hint, masked to be safe */
static uint32_t choose_offset(const volatile struct ivm_lane *lane, uint32_t bytes)
{
	uint32_t offset, kind = (uint32_t)(next() % 16);

	if (kind == 0)
		offset = (uint32_t)(next() % 16) * 4;
	else if (kind < 5)
		offset = lane->ctl_off + (uint32_t)(next() % 16) * 4;
	else if (kind < 9)
		offset = lane->session_off + (uint32_t)(next() % 32) * 4;
	else if (kind < 14 && lane->slot_bytes)
		offset = lane->slot_off + (uint32_t)(next() % 512) * lane->slot_bytes +
			 (uint32_t)(next() % 2) * 4;
	else
		offset = (uint32_t)next();
	return offset % bytes & ~3u;
}

static uint32_t choose_value(uint32_t old)
{
	switch (next() % 5) {
	case 0:
		return old ^ 1u << next() % 32;
	case 1:
		return (uint32_t)next();
	case 2:
		return 0xffffffffu;
	case 3:
		return old + (uint32_t)(next() % 512) - 256;
	}
	return (uint32_t)(next() % 64);
}

int main(int argc, char **argv)
{
	const struct timespec pause = { .tv_nsec = 200000 };
	unsigned long writes = 0;
	volatile uint32_t *word;
	uint32_t lane_bytes;
	struct stat st;
	time_t end;
	char *map;
	int fd;

	if (argc != 5)
		return fprintf(stderr, "usage: linux-fuzz PID SIDE SECONDS SEED\n"), 1;
	fd = open_shmem(argv[1]);
	if (fd < 0 || fstat(fd, &st))
		return fprintf(stderr, "linux-fuzz: process %s has no shared memory\n", argv[1]), 1;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return perror("mmap"), 1;
	lane_bytes = (uint32_t)(st.st_size / 2);
	map += (size_t)(atoi(argv[2]) & 1) * lane_bytes;
	state = strtoull(argv[4], NULL, 0) | 1;
	for (end = time(NULL) + atoi(argv[3]); time(NULL) < end; writes++) {
		word = (volatile uint32_t *)(void *)(map + choose_offset((void *)map, lane_bytes));
		*word = choose_value(*word);
		nanosleep(&pause, NULL);
	}
	printf("%lu writes\n", writes);
	return 0;
}
