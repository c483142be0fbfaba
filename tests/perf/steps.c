// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the least costs that a tracer has to do at a journey's hooks.
 *
 *	steps ROUNDS MILLISECONDS
 *
 * Attaches the programs of each step in turn, so many times, and prints a line
 * "STEP HOOK RUNS NS" for each step and hook: run times as the kernel measures them.
 */
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

#include "steps.h"
#include "steps.skel.h"

#define HOOKS		4
#define SETTLE_MS	50
#define CONSUME_MS	20

static const char *const step_names[STEPS] = { "empty", "clock", "storage", "record" };

struct cost {
	uint64_t runs;
	uint64_t ns;
};

struct variant {
	struct steps_bpf *skel;
	struct ring_buffer *records;
	struct bpf_program *program[HOOKS];
	struct cost cost[HOOKS];
};

static int fail(const char *what)
{
	fprintf(stderr, "steps: %s: %s\n", what, strerror(errno));
	return -1;
}

static void pause_ms(unsigned int ms)
{
	const struct timespec t = { .tv_nsec = ms * 1000000 };

	nanosleep(&t, NULL);
}

static int ignore(void *arg, void *data, size_t bytes)
{
	(void)arg;
	(void)data;
	(void)bytes;
	return 0;
}

static int open_variant(struct variant *v, enum step step)
{
	v->skel = steps_bpf__open();
	if (!v->skel)
		return fail("cannot open the programs");
	v->skel->rodata->step = step;
	if (steps_bpf__load(v->skel))
		return fail("cannot load the programs");
	v->records = ring_buffer__new(bpf_map__fd(v->skel->maps.records), ignore, NULL, NULL);
	if (!v->records)
		return fail("cannot map the ring buffer");
	v->program[0] = v->skel->progs.kvm_mmio;
	v->program[1] = v->skel->progs.kvm_msi_set_irq;
	v->program[2] = v->skel->progs.kvm_apic_accept_irq;
	v->program[3] = v->skel->progs.kvm_eoi;
	return 0;
}

static void close_variant(struct variant *v)
{
	ring_buffer__free(v->records);
	steps_bpf__destroy(v->skel);
}

/* Adds what has been used since the kernel began to count, times @sign */
static int add_costs(struct variant *v, int sign)
{
	int i;

	for (i = 0; i < HOOKS; i++) {
		struct bpf_prog_info info;
		__u32 bytes = sizeof(info);

		memset(&info, 0, sizeof(info));
		if (bpf_obj_get_info_by_fd(bpf_program__fd(v->program[i]), &info, &bytes))
			return fail("cannot read run times");
		v->cost[i].runs += sign * info.run_cnt;
		v->cost[i].ns += sign * info.run_time_ns;
	}
	return 0;
}

static int measure(struct variant *v, unsigned int ms)
{
	unsigned int i;
	int err;

	if (steps_bpf__attach(v->skel))
		return fail("cannot attach the programs");
	pause_ms(SETTLE_MS);
	err = add_costs(v, -1);
	for (i = 0; i < ms; i += CONSUME_MS) {
		pause_ms(CONSUME_MS);
		ring_buffer__consume(v->records);
	}
	if (!err)
		err = add_costs(v, 1);
	steps_bpf__detach(v->skel);
	return err;
}

static void print_costs(const struct variant *v, enum step step)
{
	int i;

	for (i = 0; i < HOOKS; i++)
		printf("%s %s %" PRIu64 " %" PRIu64 "\n", step_names[step],
		       bpf_program__name(v->program[i]), v->cost[i].runs, v->cost[i].ns);
}

int main(int argc, char **argv)
{
	unsigned int rounds = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
	unsigned int ms = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	static struct variant variants[STEPS];
	int stats_fd, err = 0;
	unsigned int i;

	if (!rounds || !ms) {
		fprintf(stderr, "usage: steps ROUNDS MILLISECONDS\n");
		return 1;
	}
	stats_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
	if (stats_fd < 0)
		err = fail("cannot enable BPF statistics");
	for (i = 0; i < STEPS && !err; i++)
		err = open_variant(&variants[i], i);
	for (i = 0; i < rounds * STEPS && !err; i++)
		err = measure(&variants[i % STEPS], ms);
	for (i = 0; i < STEPS; i++) {
		if (!err)
			print_costs(&variants[i], i);
		close_variant(&variants[i]);
	}
	if (stats_fd >= 0)
		close(stats_fd);
	return err ? 1 : 0;
}
