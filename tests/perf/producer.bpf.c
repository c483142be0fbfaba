// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Journeys that never were, on the record path of a real session: reserve,
 * fill and submit as the tracer's own programs do.
 */
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "bpf/journey.h"
#include "producer.h"

#define LINKS		16
#define JITTER_MASK	1023		/* ns */

char LICENSE[] SEC("license") = "GPL";

const volatile __u64 wakeup_bytes;

/* Replaced by the ring buffer of the session */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} events SEC(".maps");

__u64 lost;

static __always_inline __u64 submit_flags(void)
{
	if (bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) >= wakeup_bytes)
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

/* What the native rig observes of an interrupt to a sleeping receiver */
static __always_inline void fill(struct ivm_journey *j, __u64 id, __u64 now_ns)
{
	__u64 begin_ns = now_ns - 30000 - (id & JITTER_MASK);
	__u32 link = id % LINKS;

	j->id = id;
	j->cookie = id;
	j->from_end = 2 * link + 1;
	j->to_end = 2 * link + 2;
	j->irq_vector = 40;
	j->mode = IVM_M_DIRECT;
	j->configured = IVM_M_DIRECT;
	j->outcome = IVM_O_DELIVERED;
	j->flags = IVM_J_APPROX;
	j->t_ns[IVM_P_DISPATCH] = begin_ns;
	j->t_ns[IVM_P_ROUTE] = begin_ns + 800;
	j->t_ns[IVM_P_ACCEPT] = begin_ns + 1200;
	j->t_ns[IVM_P_VCPU_WAKE] = begin_ns + 1600;
	j->t_ns[IVM_P_VCPU_RUN] = begin_ns + 20000;
	j->t_ns[IVM_P_UNHALT] = begin_ns + 21000;
	j->t_ns[IVM_P_EOI_STANDIN] = now_ns;
}

static long produce_one(__u32 i, __u64 *first_id)
{
	struct ivm_journey_record *r = bpf_ringbuf_reserve(&events, sizeof(*r), 0);
	__u64 now_ns = bpf_ktime_get_ns();

	if (!r) {
		__sync_fetch_and_add(&lost, 1);
		return 0;
	}
	__builtin_memset(r, 0, sizeof(*r));
	r->t_ns = now_ns;
	r->kind = IVM_REC_ENDED;
	fill(&r->j, *first_id + i, now_ns);
	bpf_ringbuf_submit(r, submit_flags());
	return 0;
}

SEC("syscall")
int produce(struct produce *args)
{
	__u64 first_id = args->first_id;

	bpf_loop(args->count, produce_one, &first_id, 0);
	return 0;
}
