// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ivm-bare: a guest that does nothing but ring doorbells and take interrupts.
 *
 * Started with -kernel; the command line says what to do (options.c), the
 * result lies in the shared memory (ivm-shmem.h), the serial line tells a person, and
 * the bench that runs it, how far it is.
 */
#include "apic.h"
#include "boot.h"
#include "clock.h"
#include "console.h"
#include "hot.h"
#include "lane.h"
#include "layout.h"
#include "mailbox.h"
#include "options.h"
#include "selftest.h"
#include "serial.h"
#include "traffic.h"
#include "wait.h"

static bool host_said_go(void *opaque)
{
	(void)opaque;
	return serial_has_input();
}

/* Pairs of (CPU, IDT vector) for all vectors of the device */
static uint32_t choose_cpus(uint32_t wanted, uint32_t vectors)
{
	uint32_t needed = (vectors + IDT_LINK_COUNT - 1) / IDT_LINK_COUNT;

	if (wanted && wanted < needed)
		die("cpus=%u: %u vectors need %u", wanted, vectors, needed);
	return wanted ? wanted : needed;
}

static uint32_t choose_vectors(const struct mailbox *mailbox, uint32_t wanted)
{
	uint32_t both = mailbox->vectors < mailbox->peer_vectors ? mailbox->vectors :
								   mailbox->peer_vectors;

	if (wanted > both)
		die("vectors=%u: this end has %u, the peer %u", wanted, mailbox->vectors,
		    mailbox->peer_vectors);
	return wanted ? wanted : both;
}

static void wait_gate(const struct options *options)
{
	console_print("ivm-bare: ready\n");
	if (options->gate && !wait_until(host_said_go, NULL, options->timeout_s))
		die("timeout waiting for the gate");
}

/*
 * Both ends of a link in one machine.  What the second device takes is counted
 * in its own lane; the only stamps are those of the rings.
 */
static void run_both(struct mailbox *from, struct options *options)
{
	static struct lanes from_lanes, to_lanes;
	static struct mailbox to;

	mailbox_find(&to, options->device, 1);
	mailbox_wait_link(&to, options->timeout_s);
	mailbox_wait_link(from, options->timeout_s);
	options->vectors = choose_vectors(from, options->vectors);
	lanes_init(&to_lanes, &to, options, IVM_ROLE_PONG);
	lanes_init(&from_lanes, from, options, IVM_ROLE_PING);
	hot.handled = to_lanes.result->handled_by_vector;
	from_lanes.result->mode = to_lanes.result->mode = mailbox_mode(from);
	mailbox_setup_interrupts(&to, options);
	lanes_publish(&to_lanes);
	lanes_publish(&from_lanes);
	mailbox_set_ready(&to, true);
	mailbox_announce(from, options->timeout_s);
	lanes_wait_peer(&from_lanes, options->timeout_s);
	lanes_wait_peer(&to_lanes, options->timeout_s);

	wait_gate(options);
	traffic_both(&from_lanes, &to_lanes, options);
	mailbox_clear_status(&to);
	console_print("ivm-bare: done sent=%U handled=%U\n", from_lanes.result->sent,
		      to_lanes.result->handled);
}

static void run_role(struct mailbox *mailbox, struct options *options)
{
	static struct lanes lanes;

	mailbox_wait_link(mailbox, options->timeout_s);
	options->vectors = choose_vectors(mailbox, options->vectors);
	lanes_init(&lanes, mailbox, options, options->role);
	lanes.result->mode = mailbox_mode(mailbox);
	hot.reply = options->role == IVM_ROLE_PONG && options->pattern == IVM_PATTERN_PINGPONG;
	mailbox_setup_interrupts(mailbox, options);
	lanes_publish(&lanes);
	mailbox_announce(mailbox, options->timeout_s);
	lanes_wait_peer(&lanes, options->timeout_s);
	if (options->noise_hz)
		apic_start_noise(&mailbox->layout, options->noise_hz);

	wait_gate(options);
	if (options->role == IVM_ROLE_PING)
		traffic_ping(&lanes, options);
	else
		traffic_pong(&lanes, mailbox, options);
	mailbox_clear_status(mailbox);
	console_print("ivm-bare: done sent=%U handled=%U\n", lanes.result->sent,
		      lanes.result->handled);
}

void bare_main(void)
{
	static struct ivm_result no_lane_yet;
	static struct mailbox mailbox;
	static struct options options;

	hot.result = &no_lane_yet;
	hot.handled = no_lane_yet.handled_by_vector;
	serial_init();
	options_parse(boot_command_line(), &options);
	clock_init();
	apic_init();
	hot.cookie = options.cookie;
	mailbox_find(&mailbox, options.device, 0);
	options.cpus = choose_cpus(options.cpus, mailbox.vectors);
	apic_start_cpus(options.cpus);
	if (options.role == IVM_ROLE_SELFTEST)
		selftest_run(&mailbox, &options);
	else if (options.role == IVM_ROLE_BOTH)
		run_both(&mailbox, &options);
	else
		run_role(&mailbox, &options);
	if (options.hold && !wait_until(host_said_go, NULL, options.timeout_s))
		die("timeout waiting to be let go");
	machine_reset();
}
