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

#endif /* IVM_LANE_READER_H */
