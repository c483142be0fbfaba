// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * recordings FILE JOURNEYS: a recording as `record` would have written it.
 *
 * Two VMs, one link each way in direct mode, 25000 doorbells a second in each direction;
 * the receivers run, poll or sleep, and now and then something takes long.  A seed makes
 * it the same every time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include "tracer/recording.h"

#define PERIOD_NS	20000	/* between two doorbells of either direction */
#define START_NS	1000000000000ull

static uint64_t next_random(void)
{
	static uint64_t state = 88172645463325252ull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Around @ns; one in 500 takes up to a hundred times as long */
static uint64_t around(uint64_t ns)
{
	uint64_t r = next_random(), long_one = r % 500 ? 1 : 1 + r / 500 % 100;

	return (ns / 2 + (r >> 20) % ns) * long_one + 1;
}

static void stamp(struct ivm_journey *j, enum ivm_point point, uint64_t *t_ns, uint64_t ns)
{
	j->t_ns[point] = *t_ns += around(ns);
}

static struct ivm_journey make(uint64_t id)
{
	struct ivm_journey j = {
		.id = id, .cookie = (uint32_t)id, .from_end = 1 + id % 2, .to_end = 2 - id % 2,
		.irq_vector = 65, .mode = IVM_M_DIRECT, .configured = IVM_M_DIRECT,
		.outcome = IVM_O_DELIVERED,
	};
	uint64_t t_ns = START_NS + id * PERIOD_NS, state = next_random() % 4;

	stamp(&j, IVM_P_EXIT, &t_ns, 1);
	stamp(&j, IVM_P_DISPATCH, &t_ns, 1500);
	stamp(&j, IVM_P_SIGNAL, &t_ns, 400);
	stamp(&j, IVM_P_ROUTE, &t_ns, 300);
	stamp(&j, IVM_P_ACCEPT, &t_ns, 200);
	if (state == 0)
		stamp(&j, IVM_P_VCPU_EXIT, &t_ns, 1200);
	if (state > 1) {
		stamp(&j, IVM_P_VCPU_WAKE, &t_ns, 500);
		stamp(&j, IVM_P_VCPU_RUN, &t_ns, 9000);
	}
	if (state > 0)
		stamp(&j, IVM_P_UNHALT, &t_ns, 300);
	stamp(&j, IVM_P_INJECT, &t_ns, 700);
	stamp(&j, IVM_P_ENTRY, &t_ns, 300);
	return j;
}

static int fill(struct ivm_recording *r, uint64_t journeys)
{
	struct ivm_counts counts[2] = {
		{ .from_end = 1, .to_end = 2, .irq_vector = 65 },
		{ .from_end = 2, .to_end = 1, .irq_vector = 65 },
	};
	struct ivm_journey j;
	uint64_t id;
	int err = 0;

	for (id = 1; id <= journeys && !err; id++) {
		struct ivm_counts *c;

		j = make(id);
		c = &counts[j.from_end - 1];
		c->rung++;
		c->accepted++;
		c->delivered++;
		err = ivm_recording_add_journey(r, &j);
	}
	for (id = 0; id < 2 && !err; id++)
		err = ivm_recording_add_counts(r, &counts[id]);
	return err;
}

int main(int argc, char **argv)
{
	struct ivm_recording *r;
	int err;

	if (argc != 3) {
		fputs("usage: recordings FILE JOURNEYS\n", stderr);
		return 1;
	}
	err = ivm_recording_create(argv[1], &r);
	if (!err) {
		ivm_recording_set(r, "backend", "bpf");
		ivm_recording_set_u64(r, "duration_ns", strtoull(argv[2], NULL, 0) * PERIOD_NS);
		err = fill(r, strtoull(argv[2], NULL, 0));
		if (!err)
			err = ivm_recording_finish(r);
		ivm_recording_close(r);
	}
	if (err)
		fprintf(stderr, "recordings: %s: %s\n", argv[1], strerror(-err));
	return err != 0;
}
