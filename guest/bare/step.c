// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The receiver of the pattern "step".
 *
 * It knows when the next doorbell may come, because it asks for it.  So it can
 * hold that one up for a time which it measures itself, and write down.
 */
#include "apic.h"
#include "clock.h"
#include "console.h"
#include "hot.h"
#include "run.h"

#define HELD_CPU	1u	/* gets an INIT; route=other cpus=2 makes it the taker */

struct step {
	struct run *run;
	uint64_t number;	/* of the doorbell, from 1 */
	uint32_t vector;
	bool delayed;
	bool irqs_off;
};

static uint64_t rung(const struct step *step)
{
	const uint64_t *by_vector = step->run->lanes->peer_result->sent_by_vector;

	return __atomic_load_n(&by_vector[step->vector], __ATOMIC_ACQUIRE);
}

static uint64_t handled(const struct step *step)
{
	return __atomic_load_n(&hot.handled[step->vector], __ATOMIC_ACQUIRE);
}

/* With interrupts off there are no ticks to look at, and nothing that ends a sleep */
static void wait_rung(struct step *step, uint64_t before)
{
	while (rung(step) == before) {
		cpu_relax();
		if (rdtsc() > step->run->deadline)
			die("time is up, still waiting for doorbell %U", step->number);
		if (!step->irqs_off)
			run_check_alive(step->run, "a doorbell");
	}
}

static void wait_handled(struct step *step, uint64_t before)
{
	while (handled(step) == before) {
		run_check_alive(step->run, "an interrupt");
		irq_disable();
		run_doze(step->run);
	}
}

static void write_down(struct step *step, uint64_t begin_tsc)
{
	struct ivm_result *result = step->run->lanes->result;
	struct ivm_delay *delay = &step->run->lanes->delay[result->delay_count];

	if (result->delay_count++ < result->delay_max)
		*delay = (struct ivm_delay){
			.number = step->number,
			.kind = step->run->options->delay,
			.begin_tsc = begin_tsc,
			.end_tsc = rdtsc(),
		};
}

/* STATUS of a ring that was taken would raise another one at the end */
static void hold(struct step *step, uint32_t how)
{
	mailbox_clear_status(step->run->mailbox);
	mailbox_hold(step->run->mailbox, step->vector, how, true);
}

static void set_up(struct step *step)
{
	uint32_t delay = step->run->options->delay;

	step->irqs_off = delay == IVM_DELAY_IRQ_OFF;
	if (step->irqs_off)
		irq_disable();
	else if (delay == IVM_DELAY_INIT)
		apic_hold_cpu(HELD_CPU, true);
	else if (delay)
		hold(step, delay);
}

static void let_pass(struct step *step)
{
	uint32_t delay = step->run->options->delay;

	if (step->irqs_off)
		irq_enable();
	else if (delay == IVM_DELAY_INIT && step->delayed)
		apic_restart_cpu(HELD_CPU);
	else if (delay == IVM_DELAY_INIT)
		apic_hold_cpu(HELD_CPU, false);
	else if (delay)
		mailbox_hold(step->run->mailbox, step->vector, delay, false);
}

static void do_step(struct step *step)
{
	struct ivm_result *result = step->run->lanes->result;
	uint64_t rung_before = rung(step), handled_before = handled(step), begin_tsc;
	bool cut_off = step->delayed && step->run->options->delay == IVM_DELAY_INIT;

	set_up(step);
	__atomic_store_n(&result->steps, step->number, __ATOMIC_RELEASE);
	wait_rung(step, rung_before);
	begin_tsc = rdtsc();
	if (step->delayed)
		while (rdtsc() - begin_tsc < (uint64_t)step->run->options->delay_us *
		       clock_khz() / 1000)
			cpu_relax();
	if (step->run->options->delay)
		write_down(step, begin_tsc);
	let_pass(step);
	if (cut_off)
		result->cut_off++;
	else
		wait_handled(step, handled_before);
}

void step_receive(struct run *run)
{
	struct step step = { .run = run };
	uint64_t i;

	for (i = 0; i < run->total; i++) {
		step.number = i + 1;
		step.vector = i % run->options->vectors;
		step.delayed = i & 1;
		do_step(&step);
	}
}
