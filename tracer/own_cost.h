/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tracer costs those it looks at, measured in one run.
 *
 * Blocks with a session that records stand between blocks without one, while
 * two guests play ping-pong.  How long the probes run is measured in blocks of
 * their own, because asking the kernel for it costs, too.
 */
#ifndef IVM_OWN_COST_H
#define IVM_OWN_COST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "estimate.h"
#include "recording.h"
#include "rig.h"

struct ivm_own_cost_opts {
	const char *mode;		/* of the rig, for the recording */
	const char *path;		/* beside which scratch recordings are written */
	uint64_t buffer_bytes;
	pid_t parent;			/* follow only what this process started */
	bool (*cancelled)(void);
};

/**
 * ivm_own_cost_measure() - what following a rig costs it
 * @rig: ready, in ping-pong, with far more doorbells to ring than can be rung
 *	 while this goes on; is running afterwards
 * @opts: how to follow it
 * @recording: gets the result
 * @why: on failure set to what failed; free with g_free()
 *
 * No other session may be open.  Takes half a minute.
 *
 * Return: 0, -ECANCELED or another -errno.
 */
int ivm_own_cost_measure(struct ivm_rig *rig, const struct ivm_own_cost_opts *opts,
			 struct ivm_recording *recording, char **why);

#endif /* IVM_OWN_COST_H */
