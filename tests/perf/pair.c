// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A pair of bare guests that keeps exchanging doorbells, and how far it is.
 *
 *	pair LINK MODE PATTERN
 *
 * Prints "running PONG PING", the pids of both QEMUs, when traffic flows; then,
 * for each line on stdin, a line "NS SENT RETURNED TAKEN": CLOCK_MONOTONIC, the
 * doorbells that ping has rung, the interrupts that ping has taken (the round
 * trips, in pingpong) and those that pong has.  Ends with stdin.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#include "tracer/clock.h"
#include "tracer/error.h"
#include "tracer/rig.h"

#define FOREVER_COUNT	1000000000u
#define FOREVER_S	86400
#define SHMEM_BYTES	(1u << 20)
#define POLL_MS		100

static int rig_error(const struct ivm_rig *rig)
{
	return ivm_fail("%s", ivm_rig_why(rig));
}

static int start(struct ivm_rig *rig)
{
	while (ivm_rig_state(rig) < IVM_RIG_READY)
		if (ivm_rig_poll(rig, POLL_MS))
			return rig_error(rig);
	if (ivm_rig_go(rig))
		return rig_error(rig);
	printf("running %d %d\n", (int)ivm_rig_pid(rig, IVM_RIG_PONG),
	       (int)ivm_rig_pid(rig, IVM_RIG_PING));
	return 0;
}

static int tell(struct ivm_rig *rig)
{
	uint64_t now_ns = ivm_now_ns(), sent, returned, taken, answers;

	if (ivm_rig_progress(rig, IVM_RIG_PING, &sent, &returned) ||
	    ivm_rig_progress(rig, IVM_RIG_PONG, &answers, &taken))
		return rig_error(rig);
	printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", now_ns, sent, returned, taken);
	return 0;
}

/* One answer a line; 1 at the end of stdin */
static int take_input(struct ivm_rig *rig)
{
	char text[64];
	ssize_t i, bytes = read(STDIN_FILENO, text, sizeof(text));
	int err = 0;

	for (i = 0; i < bytes && !err; i++)
		if (text[i] == '\n')
			err = tell(rig);
	return err ? err : bytes <= 0;
}

static int serve(struct ivm_rig *rig)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	int ret = start(rig);

	while (!ret) {
		fflush(stdout);
		if (poll(&input, 1, POLL_MS) > 0)
			ret = take_input(rig);
		if (!ret && ivm_rig_poll(rig, 0))
			ret = rig_error(rig);
		if (!ret && ivm_rig_state(rig) != IVM_RIG_RUNNING)
			ret = ivm_fail("the guests have come to their end");
	}
	return ret < 0 ? ret : 0;
}

int main(int argc, char **argv)
{
	struct ivm_rig_opts opts = { .count = FOREVER_COUNT, .vectors = 1, .timeout_s = FOREVER_S,
				     .shmem_bytes = SHMEM_BYTES };
	g_autofree char *why = NULL;
	struct ivm_rig *rig = NULL;
	int err;

	if (argc != 4) {
		fprintf(stderr, "usage: pair LINK MODE PATTERN\n");
		return 1;
	}
	opts.link = argv[1];
	opts.mode = argv[2];
	opts.pattern = argv[3];
	err = ivm_rig_find(NULL, NULL, &opts.paths, &why);
	if (err)
		ivm_fail("%s", why);
	if (!err) {
		err = ivm_rig_start(&opts, &rig);
		err = err ? rig_error(rig) : serve(rig);
		ivm_rig_close(rig);
	}
	ivm_rig_paths_clear(&opts.paths);
	return err ? 1 : 0;
}
