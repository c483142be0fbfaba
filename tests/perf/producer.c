// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Puts journeys into the ring buffer of a running `ivmtrace record`.
 *
 *	producer PID RATE SECONDS
 *
 * Submits RATE journeys a second, a millisecond's worth at a time, and prints
 * "MADE LOST NS": how many, for how many there was no room, how long it took.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <glib.h>

#include "producer.h"
#include "producer.skel.h"
#include "tracer/clock.h"

#define RING_NAME	"events"
#define TICK_NS		1000000ull
#define MAX_CHUNK	8192
#define FIRST_ID	(1ull << 40)	/* out of the way of real journeys */

static int fail(const char *what)
{
	fprintf(stderr, "producer: %s: %s\n", what, strerror(errno));
	return -1;
}

static __u32 map_of_descriptor(const char *pid, const char *fd)
{
	g_autofree char *path = g_strdup_printf("/proc/%s/fdinfo/%s", pid, fd);
	g_autofree char *text = NULL;
	const char *at;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return 0;
	at = strstr(text, "\nmap_id:");
	return at ? strtoul(at + strlen("\nmap_id:"), NULL, 10) : 0;
}

static bool is_ring(int fd, __u32 *bytes)
{
	struct bpf_map_info info;
	__u32 size = sizeof(info);

	memset(&info, 0, sizeof(info));
	if (bpf_obj_get_info_by_fd(fd, &info, &size) || info.type != BPF_MAP_TYPE_RINGBUF ||
	    strcmp(info.name, RING_NAME))
		return false;
	*bytes = info.max_entries;
	return true;
}

/* The ring buffer that the session in this process reads; @bytes is its size */
static int find_ring(const char *pid, __u32 *bytes)
{
	g_autofree char *path = g_strdup_printf("/proc/%s/fdinfo", pid);
	DIR *dir = opendir(path);
	struct dirent *entry;
	int fd = -1;

	while (dir && fd < 0 && (entry = readdir(dir))) {
		__u32 id = map_of_descriptor(pid, entry->d_name);

		fd = id ? bpf_map_get_fd_by_id(id) : -1;
		if (fd >= 0 && !is_ring(fd, bytes)) {
			close(fd);
			fd = -1;
		}
	}
	if (dir)
		closedir(dir);
	if (fd < 0)
		errno = ESRCH;
	return fd;
}

static struct producer_bpf *load(const char *pid)
{
	struct producer_bpf *skel = producer_bpf__open();
	__u32 bytes = 0;
	int fd = find_ring(pid, &bytes), err;

	err = !skel || fd < 0;
	if (!err) {
		skel->rodata->wakeup_bytes = bytes / 4;
		err = bpf_map__reuse_fd(skel->maps.events, fd) || producer_bpf__load(skel);
	}
	if (fd >= 0)
		close(fd);
	if (!err)
		return skel;
	producer_bpf__destroy(skel);
	return NULL;
}

static int produce(struct producer_bpf *skel, uint64_t first_id, uint32_t count)
{
	struct produce args = { .first_id = first_id, .count = count };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &args, .ctx_size_in = sizeof(args));

	return bpf_prog_test_run_opts(bpf_program__fd(skel->progs.produce), &opts);
}

/* Falling behind is made up for: the rate is a mean */
static int run(struct producer_bpf *skel, uint64_t rate, uint64_t seconds)
{
	uint64_t start_ns = ivm_now_ns(), total = rate * seconds, made = 0, due, chunk, now_ns;
	const struct timespec tick = { .tv_nsec = TICK_NS };

	while (made < total) {
		due = (uint64_t)((double)(ivm_now_ns() - start_ns) * (double)rate / 1e9);
		chunk = MIN(MIN(due, total) - made, MAX_CHUNK);
		if (chunk && produce(skel, FIRST_ID + made, (uint32_t)chunk))
			return fail("cannot run the program");
		made += chunk;
		if (chunk < MAX_CHUNK)
			nanosleep(&tick, NULL);
	}
	now_ns = ivm_now_ns();
	printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", made, (uint64_t)skel->bss->lost,
	       now_ns - start_ns);
	return 0;
}

int main(int argc, char **argv)
{
	struct producer_bpf *skel;
	int err;

	if (argc != 4) {
		fprintf(stderr, "usage: producer PID RATE SECONDS\n");
		return 1;
	}
	skel = load(argv[1]);
	if (!skel) {
		fail("cannot load into the session of this process");
		return 1;
	}
	err = run(skel, strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
	producer_bpf__destroy(skel);
	return err ? 1 : 0;
}
