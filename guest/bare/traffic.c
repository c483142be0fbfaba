// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The two roles of a benchmark.
 *
 * Pong learns from the shared memory that ping is done, not from a doorbell,
 * so that every doorbell of a run is one of the counted ones.
 */
#include "apic.h"
#include "clock.h"
#include "console.h"
#include "hot.h"
#include "run.h"
#include "traffic.h"
#include "wait.h"

#define QUIET_TICKS	(100 / TICK_MS)	/* nothing more arrives after this long */
#define WATCH_MS	5ull		/* a peer that has a CPU is done long before */

static uint64_t handled_by(uint32_t vector)
{
	return __atomic_load_n(&hot.handled[vector], __ATOMIC_ACQUIRE);
}

static uint64_t peer_handled_by(const struct lanes *lanes, uint32_t vector)
{
	return __atomic_load_n(&lanes->peer_result->handled_by_vector[vector], __ATOMIC_ACQUIRE);
}

static uint64_t handled_total(void)
{
	uint64_t total = 0;
	uint32_t vector;

	for (vector = 0; vector < 256; vector++)
		total += handled_by(vector);
	return total;
}

void run_check_alive(struct run *run, const char *waiting_for)
{
	if (ticks() == run->last_look)
		return;
	run->last_look = ticks();
	if (rdtsc() > run->deadline)
		die("time is up, still waiting for %s", waiting_for);
	if (lanes_peer_state(run->lanes) == IVM_RESULT_FAILED)
		die("the peer failed");
}

void run_doze(const struct run *run)
{
	if (run->options->poll) {
		irq_enable();
		cpu_relax();
	} else {
		irq_enable_and_halt();
	}
}

static uint64_t ring(uint32_t vector)
{
	uint64_t tsc;

	irq_disable();
	tsc = ring_locked(vector);
	irq_enable();
	return tsc;
}

static void keep_sample(struct lanes *lanes, uint64_t tsc_ticks)
{
	struct ivm_result *result = lanes->result;

	if (result->rtt_count < result->rtt_max)
		lanes->rtt[result->rtt_count] = tsc_ticks > UINT32_MAX ?
						 UINT32_MAX : tsc_ticks;
	result->rtt_count++;
}

static void ping_pingpong(struct run *run)
{
	uint32_t vector = 0, vectors = run->options->vectors;
	uint64_t i, before, start;

	for (i = 0; i < run->total; i++) {
		irq_disable();
		before = handled_by(vector);
		start = ring_locked(vector);
		while (handled_by(vector) == before) {
			run_doze(run);
			run_check_alive(run, "an answer");
			irq_disable();
		}
		irq_enable();
		if (i >= run->options->warmup)
			keep_sample(run->lanes, hot.irq_tsc - start);
		if (++vector == vectors)
			vector = 0;
	}
}

static void ping_flood(struct run *run)
{
	uint32_t vector = 0, vectors = run->options->vectors;
	uint64_t i;

	for (i = 0; i < run->total; i++) {
		ring(vector);
		if (++vector == vectors)
			vector = 0;
		run_check_alive(run, "its own doorbells");
	}
}

/*
 * The receiver has nothing to answer with, so its lane is watched; on a host
 * where it needs this CPU to get on, only once a tick.
 */
static void watch(struct run *run, uint64_t patience_tsc)
{
	run_check_alive(run, "the peer to take a burst");
	if (rdtsc() < patience_tsc) {
		cpu_relax();
	} else {
		irq_disable();
		run_doze(run);
	}
}

static void wait_burst_handled(struct run *run, uint32_t first, uint32_t touched,
			       const uint64_t *before)
{
	uint64_t patience_tsc = rdtsc() + WATCH_MS * clock_khz();
	uint32_t i, vector = first;

	for (i = 0; i < touched; i++) {
		while (peer_handled_by(run->lanes, vector) == before[vector])
			watch(run, patience_tsc);
		if (++vector == run->options->vectors)
			vector = 0;
	}
}

static void ping_burst(struct run *run)
{
	static uint64_t before[256];
	uint32_t vector = 0, first, touched, rings, i, vectors = run->options->vectors;
	uint64_t left = run->total;

	for (; left; left -= rings) {
		rings = left < run->options->burst ? left : run->options->burst;
		touched = rings < vectors ? rings : vectors;
		first = vector;
		for (i = 0; i < rings; i++) {
			if (i < touched)
				before[vector] = peer_handled_by(run->lanes, vector);
			ring(vector);
			if (++vector == vectors)
				vector = 0;
		}
		wait_burst_handled(run, first, touched, before);
	}
}

static void ping_rate(struct run *run)
{
	uint64_t hz = (uint64_t)clock_khz() * 1000, start = rdtsc(), tick = clock_khz() * TICK_MS;
	uint32_t vector = 0, rate = run->options->rate_hz;
	uint64_t i, at, now;

	for (i = 0; i < run->total; i++) {
		at = start + i / rate * hz + i % rate * hz / rate;
		while ((now = rdtsc()) < at) {
			run_check_alive(run, "its next doorbell");
			irq_disable();
			if (at - now > 2 * tick)
				run_doze(run);
			else
				irq_enable();
		}
		ring(vector);
		if (++vector == run->options->vectors)
			vector = 0;
	}
}

/* The receiver asks for each; until it does there is time to sleep */
static void ping_step(struct run *run)
{
	uint32_t vector = 0;
	uint64_t i;

	for (i = 0; i < run->total; i++) {
		while (__atomic_load_n(&run->lanes->peer_result->steps, __ATOMIC_ACQUIRE) <= i) {
			run_check_alive(run, "the receiver to ask");
			irq_disable();
			run_doze(run);
		}
		ring(vector);
		if (++vector == run->options->vectors)
			vector = 0;
	}
}

/* Counts are written before the state that declares them final */
static void finish(struct lanes *lanes, uint64_t sent, uint64_t handled)
{
	struct ivm_result *result = lanes->result;

	result->sent = sent;
	result->handled = handled;
	apic_noise(&result->noise_timers, &result->noise_ipis);
	__atomic_store_n(&result->state, IVM_RESULT_DONE, __ATOMIC_RELEASE);
	if (lanes->unshared)
		mailbox_set_ready(lanes->unshared, false);
}

static uint32_t sent(const struct run *run)
{
	return hot.cookie - run->options->cookie;
}

static void begin(struct run *run, struct lanes *lanes, struct mailbox *mailbox,
		  const struct options *options)
{
	if (lanes->unshared && (options->pattern == IVM_PATTERN_BURST ||
				options->pattern == IVM_PATTERN_STEP))
		die("the link shares no memory: not with this pattern");
	*run = (struct run){
		.lanes = lanes,
		.mailbox = mailbox,
		.options = options,
		.total = (uint64_t)options->count + options->warmup,
		.deadline = deadline_in(options->timeout_s),
	};
	__atomic_store_n(&lanes->result->state, IVM_RESULT_RUNNING, __ATOMIC_RELEASE);
}

/* Until the peer is as far; its deadline may lie as far behind as ours */
static void wait_peer_done(struct run *run)
{
	uint32_t last_move = ticks();

	while (lanes_peer_state(run->lanes) != IVM_RESULT_DONE) {
		run_check_alive(run, "the peer to finish");
		if (run->mailbox && run->options->route == ROUTE_MOVING && ticks() != last_move) {
			mailbox_move(run->mailbox);
			run->lanes->result->moves++;
			last_move = ticks();
		}
		irq_disable();
		run_doze(run);
	}
}

static void ring_all(struct run *run)
{
	switch (run->options->pattern) {
	case IVM_PATTERN_PINGPONG:
		ping_pingpong(run);
		break;
	case IVM_PATTERN_FLOOD:
		ping_flood(run);
		break;
	case IVM_PATTERN_BURST:
		ping_burst(run);
		break;
	case IVM_PATTERN_RATE:
		ping_rate(run);
		break;
	case IVM_PATTERN_STEP:
		ping_step(run);
		break;
	}
}

void traffic_ping(struct lanes *lanes, const struct options *options)
{
	struct run run;

	hot.wake_cpu0 = options->cpus > 1 && !options->poll &&
			options->pattern == IVM_PATTERN_PINGPONG;
	begin(&run, lanes, NULL, options);
	ring_all(&run);
	finish(lanes, sent(&run), handled_total());
	wait_peer_done(&run);
}

static void wait_quiet(struct run *run)
{
	uint32_t last_change = ticks();
	uint64_t handled, newest = 0;

	while (ticks() - last_change < QUIET_TICKS) {
		irq_disable();
		run_doze(run);
		run_check_alive(run, "quiet");
		handled = handled_total();
		if (handled != newest)
			last_change = ticks();
		newest = handled;
	}
}

void traffic_pong(struct lanes *lanes, struct mailbox *mailbox, const struct options *options)
{
	struct run run;

	begin(&run, lanes, mailbox, options);
	if (options->pattern == IVM_PATTERN_STEP)
		step_receive(&run);
	wait_peer_done(&run);
	wait_quiet(&run);
	finish(lanes, sent(&run), handled_total());
}

void traffic_both(struct lanes *from, struct lanes *to, const struct options *options)
{
	struct run run;

	if (options->pattern == IVM_PATTERN_PINGPONG || options->pattern == IVM_PATTERN_STEP)
		die("role=both: not with this pattern");
	begin(&run, to, NULL, options);
	begin(&run, from, NULL, options);
	ring_all(&run);
	wait_quiet(&run);
	finish(from, sent(&run), 0);
	finish(to, 0, handled_total());
}
