// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guests' lanes in a link's shared memory, as the host reads them.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "lane.h"

_Static_assert(sizeof(struct ivm_lane) == 0x40, "the guests' layout");
_Static_assert(sizeof(struct ivm_stamp) == 16, "the guests' layout");
_Static_assert(sizeof(struct ivm_delay) == 24, "the guests' layout");
_Static_assert(offsetof(struct ivm_result, steps) == IVM_RESULT_BYTES_MIN, "the guests' layout");

static bool fits(uint64_t offset, uint64_t length, uint64_t size)
{
	return offset <= size && length <= size - offset;
}

static int read_result(const char *lane, size_t lane_bytes, struct ivm_result *result,
		       const uint32_t **rtt)
{
	struct ivm_lane header;
	size_t bytes;

	memcpy(&header, lane, sizeof(header));
	if (header.magic != IVM_LANE_MAGIC)
		return -ENOENT;
	if (header.version != IVM_LANE_VERSION || header.bytes != lane_bytes ||
	    header.result_bytes < IVM_RESULT_BYTES_MIN)
		return -EBADMSG;
	/* An older guest knows fewer fields, a newer one more */
	bytes = header.result_bytes < sizeof(*result) ? header.result_bytes : sizeof(*result);
	if (!fits(header.result_off, bytes, lane_bytes))
		return -EBADMSG;
	memset(result, 0, sizeof(*result));
	memcpy(result, lane + header.result_off, bytes);
	if (result->magic != IVM_RESULT_MAGIC || result->version != IVM_RESULT_VERSION ||
	    result->vectors > 256 || result->rtt_off % sizeof(uint32_t))
		return -EBADMSG;
	result->error[sizeof(result->error) - 1] = '\0';
	if (result->rtt_max > result->rtt_count)
		result->rtt_max = (uint32_t)result->rtt_count;
	if (!fits(result->rtt_off, (uint64_t)result->rtt_max * sizeof(uint32_t), lane_bytes))
		return -EBADMSG;
	*rtt = result->rtt_max ? (const uint32_t *)(lane + result->rtt_off) : NULL;
	return 0;
}

int ivm_lane_find_result(const void *shmem, size_t bytes, uint32_t role,
			 struct ivm_result *result, const uint32_t **rtt)
{
	size_t lane_bytes = bytes / 2;
	int side, err, worst = -ENOENT;

	if (lane_bytes < sizeof(struct ivm_lane) || lane_bytes % 8)
		return -EBADMSG;
	for (side = 0; side < 2; side++) {
		err = read_result((const char *)shmem + side * lane_bytes, lane_bytes, result, rtt);
		if (!err && result->role == role)
			return 0;
		if (err == -EBADMSG)
			worst = err;
	}
	return worst;
}

const uint32_t *ivm_lane_find_samples(const void *shmem, size_t bytes, uint32_t role,
				      uint32_t offset, uint32_t max)
{
	size_t lane_bytes = bytes / 2;
	struct ivm_result result;
	const uint32_t *rtt;
	int side;

	if (!max || offset % sizeof(uint32_t) ||
	    !fits(offset, (uint64_t)max * sizeof(uint32_t), lane_bytes))
		return NULL;
	for (side = 0; side < 2; side++) {
		const char *lane = (const char *)shmem + side * lane_bytes;

		if (!read_result(lane, lane_bytes, &result, &rtt) && result.role == role)
			return (const uint32_t *)(const void *)(lane + offset);
	}
	return NULL;
}

int ivm_lane_check_ring(const struct ivm_lane *header, size_t lane_bytes,
			struct ivm_lane_ring *ring)
{
	uint64_t ring_bytes = (uint64_t)header->stamps * sizeof(struct ivm_stamp);

	if (header->magic != IVM_LANE_MAGIC || !(header->flags & IVM_LANE_STAMPS_ON))
		return -ENOENT;
	if (header->version != IVM_LANE_VERSION || header->bytes != lane_bytes ||
	    !header->stamps || header->stamps & (header->stamps - 1) ||
	    header->stamp_off < sizeof(*header) || header->stamp_off % 8 ||
	    !fits(header->stamp_off, ring_bytes, lane_bytes))
		return -EBADMSG;
	ring->offset = header->stamp_off;
	ring->stamps = header->stamps;
	ring->head = header->stamp_head;
	return 0;
}
