// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ivm guest: one end of a benchmark, as 'ivmtrace bench' runs it.
 *
 * Takes the words that the bare guest takes (docs/bare-guest.md), says what it
 * says on the console, and leaves the same result in the shared memory.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "ivm.h"
#include "ivm-regs.h"

#define MESSAGE_BYTES	16
#define QUIET_NS	(500 * 1000000ull)	/* nothing more arrives after this long */

struct guest {
	struct options options;
	uint32_t role, pattern, vectors;
	bool gate, hold;
	uint64_t total;
	struct device *devices;		/* one for each vector */
	struct ivm_stats *before;
	struct round round;
};

static int end(const char *why)
{
	printf("ivm-linux: failed: %s\n", why);
	fflush(stdout);
	return EXIT_ERROR;
}

static int end_errno(const char *what, int err)
{
	char text[200];

	snprintf(text, sizeof(text), "%s: %s", what, strerror(err));
	return end(text);
}

/* ---- words ---- */

static int parse_word(struct guest *g, const char *word)
{
	uint64_t timeout_s = 0;

	if (!strcmp(word, "role=ping"))
		g->role = IVM_ROLE_PING;
	else if (!strcmp(word, "role=pong"))
		g->role = IVM_ROLE_PONG;
	else if (!strcmp(word, "pattern=pingpong"))
		g->pattern = IVM_PATTERN_PINGPONG;
	else if (!strcmp(word, "pattern=flood"))
		g->pattern = IVM_PATTERN_FLOOD;
	else if (!strcmp(word, "pattern=messages"))
		g->pattern = IVM_PATTERN_MESSAGES;
	else if (!strcmp(word, "gate"))
		g->gate = true;
	else if (!strcmp(word, "hold"))
		g->hold = true;
	else if (sscanf(word, "count=%" SCNu64, &g->options.count) != 1 &&
		 sscanf(word, "warmup=%" SCNu64, &g->options.warmup) != 1 &&
		 sscanf(word, "vectors=%" SCNu32, &g->vectors) != 1 &&
		 sscanf(word, "timeout=%" SCNu64, &timeout_s) != 1 &&
		 strncmp(word, "cookie=", 7) && strcmp(word, "device=ivm"))
		return -EINVAL;
	if (timeout_s)
		g->options.timeout_ns = timeout_s * NS_PER_S;
	return 0;
}

static int parse_words(struct guest *g)
{
	int i;

	g->role = IVM_ROLE_PONG;
	g->pattern = IVM_PATTERN_PINGPONG;
	g->vectors = 1;
	for (i = 0; i < g->options.operand_count; i++)
		if (parse_word(g, g->options.operands[i]))
			return end(g->options.operands[i]);
	if (!g->options.count || !g->vectors || g->vectors > IVM_MAX_VECTORS)
		return end("count or vectors is out of range");
	g->total = g->options.count + g->options.warmup;
	return 0;
}

static int wait_gate(bool wanted, const char *word)
{
	char byte;

	printf("ivm-linux: %s\n", word);
	fflush(stdout);
	return wanted && read(STDIN_FILENO, &byte, 1) != 1 ? end("the console was closed") : 0;
}

/* ---- traffic ---- */

static int open_all(struct guest *g)
{
	uint32_t v;

	g->devices = calloc(g->vectors, sizeof(*g->devices));
	g->before = calloc(g->vectors, sizeof(*g->before));
	if (!g->devices || !g->before || round_init(&g->round, g->options.count))
		return end("no memory");
	for (v = 0; v < g->vectors; v++)
		if (device_open(&g->devices[v], &g->options, v) ||
		    device_wait_connected(&g->devices[v], &g->options))
			return end("the device, the link or the peer is not there");
	return 0;
}

static int read_counts(struct guest *g, struct ivm_stats *stats)
{
	uint32_t v;

	for (v = 0; v < g->vectors; v++)
		if (device_stats(&g->devices[v], v, &stats[v]))
			return end_errno("counters", errno);
	return 0;
}

static int ping(struct guest *g)
{
	struct message *message = message_new();
	uint64_t i, tsc;
	char flood[MESSAGE_BYTES] = { 0 };
	int err = message ? 0 : -ENOMEM;

	for (i = 0; i < g->total && !err; i++) {
		struct device *device = &g->devices[i % g->vectors];

		err = g->pattern == IVM_PATTERN_FLOOD ?
		      send_message(device, flood, sizeof(flood), &tsc) :
		      one_trip(device, message, MESSAGE_BYTES, i, g->options.timeout_ns,
			       &g->round, i >= g->options.warmup);
	}
	free(message);
	return err ? end_errno("ping", -err) : 0;
}

static int answer(struct guest *g, struct device *device, bool timed)
{
	char buffer[MESSAGE_BYTES];
	uint64_t got_tsc, sent_tsc;
	struct ivm_stats stats;
	int bytes, err;

	bytes = receive_message(device, buffer, sizeof(buffer), g->options.timeout_ns, &got_tsc);
	if (bytes < 0 || g->pattern == IVM_PATTERN_FLOOD)
		return bytes < 0 ? bytes : 0;
	err = device_stats(device, device->info.channel, &stats);
	if (timed && !err && stats.irq_tsc < got_tsc)
		samples_add(&g->round.irq_user, got_tsc - stats.irq_tsc);
	err = send_message(device, buffer, (uint32_t)bytes, &sent_tsc);
	if (!err && timed && !device_stats(device, device->info.channel, &stats) &&
	    stats.ring_tsc > sent_tsc)
		samples_add(&g->round.send_ring, stats.ring_tsc - sent_tsc);
	return err;
}

static int pong(struct guest *g)
{
	uint64_t i;
	int err = 0;

	for (i = 0; i < g->total && !err; i++)
		err = answer(g, &g->devices[i % g->vectors], i >= g->options.warmup);
	return err ? end_errno("pong", -err) : 0;
}

/* Both ends send and receive at the same time, messages of any length */
static int messages(struct guest *g)
{
	struct options o = g->options;
	int err;

	o.channels = g->vectors;
	o.count = (g->total + g->vectors - 1) / g->vectors;
	err = exchange_messages(&o);
	if (err == -EBADMSG)
		return end("not every message arrived once, in order and as it was sent");
	return err ? end_errno("messages", -err) : 0;
}

static int make_traffic(struct guest *g)
{
	if (g->pattern == IVM_PATTERN_MESSAGES)
		return messages(g);
	return g->role == IVM_ROLE_PING ? ping(g) : pong(g);
}

/* An interrupt may come after its message, or after the last one */
static int wait_quiet(struct guest *g, struct ivm_stats *after)
{
	const struct timespec pause = { .tv_nsec = QUIET_NS };
	uint64_t sum, newest = UINT64_MAX;
	uint32_t v;

	for (;;) {
		if (read_counts(g, after))
			return EXIT_ERROR;
		for (sum = 0, v = 0; v < g->vectors; v++)
			sum += after[v].irqs + after[v].rung;
		if (sum == newest)
			return 0;
		newest = sum;
		nanosleep(&pause, NULL);
	}
}

/* ---- result ---- */

static int put(struct guest *g, uint32_t offset, const void *data, uint32_t bytes)
{
	struct ivm_result_part part = { .offset = offset, .bytes = bytes,
					.data = (uintptr_t)data };

	return ioctl(g->devices[0].fd, IVM_IOC_RESULT, &part) ? end_errno("result", errno) : 0;
}

/* What there is room for; ticks beyond 32 bits are the largest that fits */
static int put_samples(struct guest *g, const struct samples *samples, uint32_t *at,
		       uint32_t *offset, uint32_t *max)
{
	const struct ivm_info *info = &g->devices[0].info;
	uint64_t room = (info->result_bytes - *at) / sizeof(uint32_t), i;
	uint64_t count = samples->count < room ? samples->count : room;
	uint32_t *ticks = calloc(count ? count : 1, sizeof(*ticks));
	int err;

	if (!ticks)
		return end("no memory");
	for (i = 0; i < count; i++)
		ticks[i] = samples->ticks[i] > UINT32_MAX ? UINT32_MAX :
							    (uint32_t)samples->ticks[i];
	*offset = info->result_off + *at;
	*max = (uint32_t)count;
	err = put(g, *at, ticks, (uint32_t)(count * sizeof(*ticks)));
	*at += (uint32_t)(count * sizeof(*ticks));
	free(ticks);
	return err;
}

static void count_all(const struct guest *g, const struct ivm_stats *after,
		      struct ivm_result *result)
{
	uint32_t v;

	for (v = 0; v < g->vectors; v++) {
		result->sent_by_vector[v] = after[v].rung - g->before[v].rung;
		result->handled_by_vector[v] = after[v].irqs - g->before[v].irqs;
		result->sent += result->sent_by_vector[v];
		result->handled += result->handled_by_vector[v];
	}
}

/* The state comes last: it declares the rest final */
static int leave_result(struct guest *g, const struct ivm_stats *after)
{
	struct ivm_result result = {
		.magic = IVM_RESULT_MAGIC,
		.version = IVM_RESULT_VERSION,
		.state = IVM_RESULT_RUNNING,
		.role = g->role,
		.pattern = g->pattern,
		.vectors = g->vectors,
		.warmup = (uint32_t)g->options.warmup,
		.mode = g->devices[0].info.mode,
		.rtt_count = g->round.rtt.count,
		.vcpus = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN),
		.tsc_khz = g->devices[0].info.tsc_khz,
	};
	const uint32_t done = IVM_RESULT_DONE;
	uint32_t at = sizeof(result);
	int err;

	count_all(g, after, &result);
	err = put_samples(g, &g->round.rtt, &at, &result.rtt_off, &result.rtt_max);
	if (!err)
		err = put_samples(g, &g->round.send_ring, &at, &result.leave_off,
				  &result.leave_max);
	if (!err)
		err = put_samples(g, &g->round.irq_user, &at, &result.enter_off,
				  &result.enter_max);
	if (!err)
		err = put(g, 0, &result, sizeof(result));
	if (!err)
		err = put(g, offsetof(struct ivm_result, state), &done, sizeof(done));
	return err;
}

static int run(struct guest *g)
{
	struct ivm_stats *after = calloc(g->vectors, sizeof(*after));
	struct ivm_result sum = { 0 };
	char done[80];
	int err;

	/* Before the gate: behind it the other end may be first, and be heard already */
	err = after ? read_counts(g, g->before) : end("no memory");
	if (!err)
		err = wait_gate(g->gate, "ready");
	if (!err)
		err = make_traffic(g);
	if (!err)
		err = wait_quiet(g, after);
	if (!err)
		err = leave_result(g, after);
	if (!err) {
		count_all(g, after, &sum);
		snprintf(done, sizeof(done), "done sent=%" PRIu64 " handled=%" PRIu64, sum.sent,
			 sum.handled);
		err = wait_gate(g->hold, done);
	}
	free(after);
	return err;
}

int run_guest(const struct options *options)
{
	struct guest g = { .options = *options };
	int err;

	err = parse_words(&g);
	if (!err)
		err = open_all(&g);
	return err ? err : run(&g);
}
