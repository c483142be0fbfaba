// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the tracer costs those it looks at.
 */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <glib.h>

#include "clock.h"
#include "own_cost.h"
#include "session.h"

#define PAIRS		12
#define PROBED_BLOCKS	2
#define MSEC_NS		1000000ull
#define SETTLE_NS	(200 * MSEC_NS)
#define BLOCK_NS	(400 * MSEC_NS)
#define POLL_MS		20		/* as `record` does */
#define SEED		1

struct hook_cost {
	uint64_t runs;
	uint64_t run_ns;
};

struct measuring {
	struct ivm_rig *rig;
	const struct ivm_own_cost_opts *opts;
	char *scratch;			/* recordings that nobody keeps */
	char **why;
	struct ivm_session *session;	/* of the block under way, NULL without */
	struct ivm_recording *recording;
	double log_ratio[PAIRS];
	double plain_ns[PAIRS + 1];	/* round trips without the tracer */
	struct hook_cost hooks[IVM_HOOKS];
	const char *hook_names[IVM_HOOKS];
	uint64_t probed_journeys;
};

static int fail(struct measuring *m, int err, const char *why)
{
	if (!*m->why)
		*m->why = g_strdup(why);
	return err;
}

/* ---- blocks ---- */

static int pass(struct measuring *m, uint64_t ns)
{
	uint64_t end = ivm_now_ns() + ns;
	int err = 0;

	while (!err && ivm_now_ns() < end) {
		if (m->opts->cancelled())
			return fail(m, -ECANCELED, "interrupted");
		err = ivm_rig_poll(m->rig, m->session ? 0 : POLL_MS);
		if (err)
			return fail(m, err, ivm_rig_why(m->rig));
		if (m->session)
			err = ivm_session_poll(m->session, POLL_MS);
		if (err)
			return fail(m, err, ivm_session_why(m->session));
	}
	return err;
}

/* Round trips that the guests have made, and the doorbells these took */
static int count(struct measuring *m, uint64_t *round_trips, uint64_t *doorbells)
{
	uint64_t answers, taken;
	int err;

	err = ivm_rig_progress(m->rig, IVM_RIG_PING, doorbells, round_trips);
	if (!err)
		err = ivm_rig_progress(m->rig, IVM_RIG_PONG, &answers, &taken);
	if (err)
		return fail(m, err, ivm_rig_why(m->rig));
	*doorbells += answers;
	return 0;
}

/* Mean round trip in steady state */
static int measure(struct measuring *m, double *rtt_ns, uint64_t *doorbells)
{
	uint64_t before, after, rung_before, rung_after, start_ns, ns;
	int err;

	start_ns = ivm_now_ns();
	err = count(m, &before, &rung_before);
	if (!err)
		err = pass(m, BLOCK_NS);
	ns = ivm_now_ns() - start_ns;
	if (!err)
		err = count(m, &after, &rung_after);
	if (err)
		return err;
	if (after == before)
		return fail(m, -ETIMEDOUT, "the guests stood still while the tracer's own cost "
			    "was measured");
	*rtt_ns = (double)ns / (double)(after - before);
	*doorbells = rung_after - rung_before;
	return 0;
}

static int plain_block(struct measuring *m, double *rtt_ns)
{
	uint64_t doorbells;
	int err = pass(m, SETTLE_NS);

	return err ? err : measure(m, rtt_ns, &doorbells);
}

static int begin_session(struct measuring *m)
{
	const struct ivm_session_opts opts = {
		.buffer_bytes = m->opts->buffer_bytes,
		.parent = m->opts->parent,
	};
	int err;

	err = ivm_session_open(&opts, &m->session);
	if (err)
		return fail(m, err, ivm_session_why(m->session));
	if (!ivm_session_links(m->session))
		return fail(m, -ENOENT, "the link whose tracing was to be measured is not found");
	err = ivm_recording_create(m->scratch, &m->recording);
	if (err)
		return fail(m, err, "cannot create a scratch recording");
	err = ivm_session_arm(m->session, m->recording);
	return err ? fail(m, err, ivm_session_why(m->session)) : pass(m, SETTLE_NS);
}

static void end_session(struct measuring *m)
{
	ivm_session_close(m->session);
	ivm_recording_close(m->recording);
	m->session = NULL;
	m->recording = NULL;
}

static int traced_block(struct measuring *m, double *rtt_ns)
{
	uint64_t doorbells;
	int err = begin_session(m);

	if (!err)
		err = measure(m, rtt_ns, &doorbells);
	end_session(m);
	return err;
}

static void add_hooks(struct measuring *m, int sign)
{
	const struct ivm_hook *hooks = ivm_session_hooks(m->session);
	int i;

	for (i = 0; i < IVM_HOOKS; i++) {
		m->hooks[i].runs += sign * hooks[i].runs;
		m->hooks[i].run_ns += sign * hooks[i].run_ns;
		m->hook_names[i] = hooks[i].name;
	}
}

/* Run times are only kept while somebody holds the statistics open */
static int probed_block(struct measuring *m)
{
	uint64_t doorbells = 0;
	double rtt_ns;
	int stats_fd = -1, err;

	err = begin_session(m);
	if (!err) {
		stats_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
		if (stats_fd < 0)
			err = fail(m, -errno, "this kernel does not measure the run time of BPF "
				   "programs");
	}
	if (!err) {
		add_hooks(m, -1);
		err = measure(m, &rtt_ns, &doorbells);
		add_hooks(m, 1);
	}
	m->probed_journeys += doorbells;
	if (stats_fd >= 0)
		close(stats_fd);
	end_session(m);
	return err;
}

/* Each block with the tracer is compared with the two around it */
static int run_blocks(struct measuring *m)
{
	double rtt_ns;
	int i, err;

	err = plain_block(m, &m->plain_ns[0]);
	for (i = 0; i < PAIRS && !err; i++) {
		err = traced_block(m, &rtt_ns);
		if (!err)
			err = plain_block(m, &m->plain_ns[i + 1]);
		if (!err)
			m->log_ratio[i] = log(rtt_ns) -
					  (log(m->plain_ns[i]) + log(m->plain_ns[i + 1])) / 2;
	}
	for (i = 0; i < PROBED_BLOCKS && !err; i++)
		err = probed_block(m);
	return err;
}

/* ---- results ---- */

static int record(struct measuring *m, struct ivm_recording *recording)
{
	struct ivm_own_cost cost = {
		.mode = m->opts->mode,
		.blocks = PAIRS,
		.effect = ivm_estimate_ratio(m->log_ratio, PAIRS, SEED),
		.rtt_ns = ivm_estimate_mean(m->plain_ns, PAIRS + 1),
		.probed_journeys = m->probed_journeys,
	};
	int i, err;

	err = ivm_recording_add_own_cost(recording, &cost);
	for (i = 0; i < IVM_HOOKS && !err; i++)
		if (m->hooks[i].runs)
			err = ivm_recording_add_probe_cost(recording, cost.mode, m->hook_names[i],
							   m->hooks[i].runs, m->hooks[i].run_ns);
	return err ? fail(m, err, "cannot write the recording") : 0;
}

int ivm_own_cost_measure(struct ivm_rig *rig, const struct ivm_own_cost_opts *opts,
			 struct ivm_recording *recording, char **why)
{
	struct measuring m = { .rig = rig, .opts = opts, .why = why };
	int err = 0;

	*why = NULL;
	m.scratch = g_strdup_printf("%s.own-cost", opts->path);
	if (ivm_rig_go(rig))
		err = fail(&m, -EIO, ivm_rig_why(rig));
	if (!err)
		err = pass(&m, SETTLE_NS);
	if (!err)
		err = run_blocks(&m);
	if (!err)
		err = record(&m, recording);
	g_free(m.scratch);
	return err;
}
