/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The user-space assembler: a stream of events in, journeys out.
 *
 * Events may come slightly out of time order (each CPU stamps for itself):
 * they are held back and sorted.  The rules themselves are in bpf/journey.h.
 */
#ifndef IVM_ASSEMBLE_H
#define IVM_ASSEMBLE_H

#include "../bpf/journey.h"
#include "counts.h"
#include "topology.h"

struct ivm_assemble_stats {
	uint64_t events;
	uint64_t unmatched;	/* ends of a link vector that nothing was pending for */
	uint64_t before_start;	/* ... of rings from before the recording */
	uint64_t not_rings;	/* ends that the receiving QEMU caused by itself: LINK_VECTOR */
	uint64_t disordered;
	uint64_t late;		/* events that came after the hold-back had let time pass */
	uint64_t stream_gaps;	/* RING messages seen at one end of the socket only */
};

/**
 * ivm_journey_fn - a journey ended
 * @arg: as given to ivm_assemble_new()
 * @journey: valid during the call
 *
 * Return: 0, or -errno, which ivm_assemble_*() then hands on.
 */
typedef int (*ivm_journey_fn)(void *arg, const struct ivm_journey *journey);

/**
 * ivm_fate_fn - journeys reported as coalesced met another end
 * @arg: as given to ivm_assemble_new()
 * @into: their carrier, which was never delivered
 * @outcome: what they are instead
 *
 * Return: 0, or -errno, which ivm_assemble_*() then hands on.
 */
typedef int (*ivm_fate_fn)(void *arg, uint64_t into, enum ivm_outcome outcome);

/**
 * ivm_arrival_fn - an interrupt that a RING from another host led to ended
 * @arg: as given to ivm_assemble_new()
 * @arrival: from IVM_P_RECV on, with its outcome; @seq 0 if it is not certain which RING
 *	it was
 *
 * Return: 0, or -errno, which ivm_assemble_*() then hands on.
 */
typedef int (*ivm_arrival_fn)(void *arg, const struct ivm_journey *arrival);

struct ivm_assemble;

struct ivm_assemble *ivm_assemble_new(const struct ivm_topology *topology, ivm_journey_fn fn,
				      void *arg);
void ivm_assemble_free(struct ivm_assemble *a);

void ivm_assemble_on_fate(struct ivm_assemble *a, ivm_fate_fn fate);
void ivm_assemble_on_arrival(struct ivm_assemble *a, ivm_arrival_fn arrival);

/* Queues one event */
void ivm_assemble_event(struct ivm_assemble *a, const struct ivm_event *event);

/* Takes what BPF programs have put together: queues it, or works it off at once */
void ivm_assemble_record(struct ivm_assemble *a, const struct ivm_journey_record *record);

/* ... and what was pending there when they were detached */
void ivm_assemble_slot(struct ivm_assemble *a, const struct ivm_slot *slot, uint64_t purge_ns);

/* ... and rings of whose records there is only the number */
void ivm_assemble_lost(struct ivm_assemble *a, const struct ivm_lost_key *key,
		       const struct ivm_lost_rings *lost);

/* Works off, in time order, all queued events stamped before @until_ns */
int ivm_assemble_run(struct ivm_assemble *a, uint64_t until_ns);

/* From here on no doorbell opens a journey; what is under way may end */
void ivm_assemble_stop(struct ivm_assemble *a, uint64_t now_ns);

/* Works off what is left and gives every open journey its outcome */
int ivm_assemble_finish(struct ivm_assemble *a);

/* struct ivm_counts per (from_end, vector); owned by the assembler */
const GPtrArray *ivm_assemble_counts(const struct ivm_assemble *a);
const struct ivm_assemble_stats *ivm_assemble_stats(const struct ivm_assemble *a);

#endif /* IVM_ASSEMBLE_H */
