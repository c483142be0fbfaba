/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guests' own stamps: read from the shared memory of followed links, and joined
 * with the journeys at the end.
 *
 * A guest says in its lane when it rang and when its handler began, in its own
 * TSC (guest/ivm-shmem.h).  While recording, stamps are only copied into the
 * recording; the join at the end makes points `ring` and `isr` of them.
 */
#ifndef IVM_STAMPS_H
#define IVM_STAMPS_H

#include <stdint.h>

#include "../bpf/event.h"
#include "recording.h"
#include "topology.h"
#include "vcpus.h"

struct ivm_stamps_stats {
	uint64_t ring;		/* points found */
	uint64_t isr;
	uint64_t overrun;	/* stamps that the guest wrote over before they were read */
	uint64_t unmatched;	/* stamps without journey, journeys without stamp */
	uint64_t dropped;	/* host time not certain, or count and order disagree */
	uint64_t disordered;	/* contradict the vCPU's own points beyond the bound */
};

struct ivm_stamps;

/**
 * ivm_stamps_new() - follows the lanes of a topology's links
 * @topology: stays valid; may change between calls
 * @vcpus: asked for the TSCs of the guests; may be NULL
 *
 * Return: the stamps; free with ivm_stamps_free().
 */
struct ivm_stamps *ivm_stamps_new(const struct ivm_topology *topology, struct ivm_vcpus *vcpus);
void ivm_stamps_free(struct ivm_stamps *s);

/**
 * ivm_stamps_start() - from here on stamps are taken
 * @s: the stamps
 * @recording: takes them
 *
 * Just before doorbells begin to open journeys; then ivm_stamps_followed().
 *
 * Return: 0 or -errno of the recording.
 */
int ivm_stamps_start(struct ivm_stamps *s, struct ivm_recording *recording);

/**
 * ivm_stamps_follow() - finds the lanes of links that came up
 * @s: the stamps; if not started nothing happens
 *
 * Just before their doorbells begin to open journeys, because what a lane holds
 * when it is found is old; then ivm_stamps_followed().
 */
void ivm_stamps_follow(struct ivm_stamps *s);

/**
 * ivm_stamps_followed() - doorbells of all links found so far open journeys now
 * @s: the stamps
 */
void ivm_stamps_followed(struct ivm_stamps *s);

/**
 * ivm_stamps_poll() - takes what guests have written, looks at their clocks
 * @s: the stamps; if not started nothing happens
 *
 * Call it as often as possible: a guest that is faster writes over its stamps.
 *
 * Return: 0 or -errno of the recording.
 */
int ivm_stamps_poll(struct ivm_stamps *s);

/**
 * ivm_stamps_event() - KVM changed what a guest's TSC is
 * @s: the stamps
 * @event: IVM_EV_TSC_OFFSET
 */
void ivm_stamps_event(struct ivm_stamps *s, const struct ivm_event *event);

/**
 * ivm_stamps_stop() - the last look at lanes and clocks
 * @s: the stamps
 * @stopped_ns: when doorbells ceased to open journeys
 *
 * Return: 0 or -errno of the recording.
 */
int ivm_stamps_stop(struct ivm_stamps *s, uint64_t stopped_ns);

/**
 * ivm_stamps_join() - gives all recorded journeys their points `ring` and `isr`
 * @s: stopped
 *
 * Return: 0 or -errno of the recording.
 */
int ivm_stamps_join(struct ivm_stamps *s);

const struct ivm_stamps_stats *ivm_stamps_stats(const struct ivm_stamps *s);

/* Why no stamp is used although guests write some, or NULL */
const char *ivm_stamps_why_not(const struct ivm_stamps *s);

#endif /* IVM_STAMPS_H */
