// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two bare guests that play ping-pong over QEMU's ivshmem-doorbell.
 *
 *	foreign-pair on|off COUNT VECTORS
 *
 * "on" and "off" are the device's property ioeventfd.  Prints "ready PONG PING",
 * the pids of both QEMUs; a line on stdin lets them begin.  Prints "done SENT
 * HANDLED SENT HANDLED", by pong and by ping in their own counting; at the next
 * line on stdin, or its end, they leave.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include "tracer/error.h"
#include "tracer/rig.h"

#define POLL_MS		50
#define LIMIT_S		120
#define WARMUP		10

static int rig_error(const struct ivm_rig *rig)
{
	return ivm_fail("%s", ivm_rig_why(rig));
}

static int reach(struct ivm_rig *rig, enum ivm_rig_state state)
{
	while (ivm_rig_state(rig) < state)
		if (ivm_rig_poll(rig, POLL_MS))
			return rig_error(rig);
	return 0;
}

static void wait_for_line(void)
{
	int c;

	fflush(stdout);
	do
		c = getchar();
	while (c != '\n' && c != EOF);
}

static int tell_results(struct ivm_rig *rig)
{
	struct ivm_rig_result result;
	int i;

	printf("done");
	for (i = 0; i < IVM_RIG_ENDS; i++) {
		if (ivm_rig_result(rig, i, &result))
			return rig_error(rig);
		printf(" %" PRIu64 " %" PRIu64, result.guest.sent, result.guest.handled);
		ivm_rig_result_clear(&result);
	}
	printf("\n");
	return 0;
}

static int play(struct ivm_rig *rig)
{
	int err = reach(rig, IVM_RIG_READY);

	if (err)
		return err;
	printf("ready %d %d\n", (int)ivm_rig_pid(rig, IVM_RIG_PONG),
	       (int)ivm_rig_pid(rig, IVM_RIG_PING));
	wait_for_line();
	if (ivm_rig_go(rig))
		return rig_error(rig);
	err = reach(rig, IVM_RIG_DONE);
	if (!err)
		err = tell_results(rig);
	if (!err)
		wait_for_line();
	return err;
}

int main(int argc, char **argv)
{
	struct ivm_rig_opts opts = {
		.link = "foreign", .pattern = "pingpong", .warmup = WARMUP, .timeout_s = LIMIT_S,
	};
	g_autofree char *why = NULL;
	struct ivm_rig *rig = NULL;
	int err;

	if (argc != 4) {
		fprintf(stderr, "usage: foreign-pair on|off COUNT VECTORS\n");
		return 1;
	}
	opts.ioeventfd = !strcmp(argv[1], "on");
	opts.count = atoi(argv[2]);
	opts.vectors = atoi(argv[3]);
	err = ivm_rig_find(NULL, NULL, &opts.paths, &why);
	if (err)
		ivm_fail("%s", why);
	if (!err) {
		err = ivm_rig_start(&opts, &rig);
		err = err ? rig_error(rig) : play(rig);
		ivm_rig_close(rig);
	}
	ivm_rig_paths_clear(&opts.paths);
	return err ? 1 : 0;
}
