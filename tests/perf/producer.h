/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What producer.c tells producer.bpf.c in one call. */
#ifndef IVM_PERF_PRODUCER_H
#define IVM_PERF_PRODUCER_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

struct produce {
	__u64 first_id;		/* of the first journey */
	__u32 count;		/* of journeys */
	__u32 zero;
};

#endif /* IVM_PERF_PRODUCER_H */
