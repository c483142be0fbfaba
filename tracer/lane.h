/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guests' lanes in a link's shared memory, as the host reads them.
 *
 * Guest memory is untrusted and may change while it is read: everything is
 * copied first and checked in the copy.
 */
#ifndef IVM_LANE_READER_H
#define IVM_LANE_READER_H

#include <stddef.h>
#include <stdint.h>

#include "../guest/ivm-shmem.h"

/**
 * ivm_lane_find_result() - the result of the guest with a role
 * @shmem: the whole shared memory, both lanes
 * @bytes: its size
 * @role: IVM_ROLE_*
 * @result: set to a copy whose numbers are safe to use as sizes and indices
 * @rtt: set to result->rtt_max samples in @shmem, in TSC ticks; NULL if none
 *
 * result->rtt_max is cut to the samples that are there.
 *
 * Return: 0, -ENOENT if no lane has that role, -EBADMSG if one has but is
 * malformed.
 */
int ivm_lane_find_result(const void *shmem, size_t bytes, uint32_t role,
			 struct ivm_result *result, const uint32_t **rtt);

/**
 * ivm_lane_find_samples() - more samples of the guest with a role
 * @offset: from the lane's start, as its result says
 * @max: how many, as its result says
 *
 * Return: @max samples in @shmem, or NULL if there are none or they do not lie
 * within its lane.
 */
const uint32_t *ivm_lane_find_samples(const void *shmem, size_t bytes, uint32_t role,
				      uint32_t offset, uint32_t max);

/* A lane's ring of stamps, safe to use as offsets and sizes within the lane */
struct ivm_lane_ring {
	uint32_t offset;	/* of the first one, from the start of the lane */
	uint32_t stamps;	/* power of two */
	uint64_t head;		/* stamps written since the lane was made */
};

/**
 * ivm_lane_check_ring() - where a lane's stamps are
 * @header: a copy of the lane's header
 * @lane_bytes: size of the lane
 * @ring: set
 *
 * Return: 0, -ENOENT if there is no lane or it has no stamps, -EBADMSG if it is
 * malformed.
 */
int ivm_lane_check_ring(const struct ivm_lane *header, size_t lane_bytes,
			struct ivm_lane_ring *ring);

#endif /* IVM_LANE_READER_H */
