/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one clock of a recording: what bpf_ktime_get_ns() reads, too. */
#ifndef IVM_CLOCK_H
#define IVM_CLOCK_H

#include <stdint.h>
#include <time.h>

#define IVM_NSEC_PER_SEC	1000000000ull

/* CLOCK_MONOTONIC in ns */
static inline uint64_t ivm_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * IVM_NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

#endif /* IVM_CLOCK_H */
