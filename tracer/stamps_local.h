/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What following the lanes (stamps.c) and joining (stamps_join.c) share. */
#ifndef IVM_STAMPS_LOCAL_H
#define IVM_STAMPS_LOCAL_H

#include <stdbool.h>

#include <glib.h>

#include "guest_clock.h"
#include "lane.h"
#include "stamps.h"

/* The lane of one link end */
struct lane {
	const struct ivm_end *end;
	int fd;				/* of the shared memory, ours */
	uint64_t inode;
	uint32_t generation;		/* of the link when @fd was opened */
	uint64_t offset;		/* of the lane in it */
	uint64_t lane_bytes;
	struct ivm_lane_ring ring;	/* as last read; no stamps while there is no lane */
	uint64_t next;			/* stamp to be read */
	uint64_t from_ns;		/* stamps and journeys from here on must match */
	uint64_t quiet_ns;		/* nothing new was there then; 0: it is busy */
	bool wrote;			/* it had stamps at some time */
	uint64_t ring_err_ns;		/* the widest bound of a stamp that was used */
	uint64_t isr_err_ns;
};

struct ivm_stamps {
	const struct ivm_topology *topology;
	struct ivm_vcpus *vcpus;
	struct ivm_guest_clock *clock;
	struct ivm_recording *recording;	/* NULL until started */
	GPtrArray *lanes;			/* struct lane *, owned */
	GHashTable *lane_by_end;		/* end id -> struct lane */
	uint64_t sampled_ns;
	uint64_t vcpus_read_ns;
	uint64_t stopped_ns;
	struct ivm_stamps_stats stats;
	const char *why_not;
};

struct lane *ivm_stamps_lane(const struct ivm_stamps *s, uint32_t end_id);

#endif /* IVM_STAMPS_LOCAL_H */
