/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a guest's TSC to the host's CLOCK_MONOTONIC, with a bound on the error.
 *
 * Two steps.  A vCPU's TSC is the host's, scaled and shifted; KVM knows both
 * numbers, and they may change while a guest runs.  The host's TSC becomes
 * CLOCK_MONOTONIC between two sampled pairs of both clocks.
 *
 * The bound is made of what was observed: half the time a pair took to read,
 * and how far the pairs around are off a straight line.  CPUs whose TSCs differ
 * add nothing: the kernel reads CLOCK_MONOTONIC through the TSC of the CPU it
 * runs on, so a stamp and an event of one CPU are off by the same.
 */
#ifndef IVM_GUEST_CLOCK_H
#define IVM_GUEST_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct ivm_guest_clock;

/* What KVM does to the TSC for one vCPU */
struct ivm_tsc_view {
	uint64_t offset;	/* added, modulo 2^64, after scaling */
	uint64_t ratio;		/* fixed point with @ratio_bits; 0: not scaled */
	unsigned int ratio_bits;
};

struct ivm_guest_clock *ivm_guest_clock_new(void);
void ivm_guest_clock_free(struct ivm_guest_clock *c);

/**
 * ivm_guest_clock_why_not() - can guest stamps become host time here?
 *
 * Return: NULL if so, else the reason.
 */
const char *ivm_guest_clock_why_not(void);

/**
 * ivm_guest_clock_sample() - reads both clocks, as closely as it can
 * @c: the clock
 *
 * Call it before the first stamp, every 100 ms or so, and after the last one.
 */
void ivm_guest_clock_sample(struct ivm_guest_clock *c);

/**
 * ivm_guest_clock_add_pair() - one reading of CLOCK_MONOTONIC between two of the TSC
 * @c: the clock
 * @before: TSC
 * @t_ns: CLOCK_MONOTONIC
 * @after: TSC
 *
 * Later than all pairs before, or it is ignored.
 */
void ivm_guest_clock_add_pair(struct ivm_guest_clock *c, uint64_t before, uint64_t t_ns,
			      uint64_t after);

/**
 * ivm_guest_clock_saw() - a vCPU's view of the TSC, as read at some time
 * @c: the clock
 * @vm: its number
 * @vcpu_id: of the vCPU
 * @t_ns: when it was read, CLOCK_MONOTONIC; never earlier than the time before
 * @view: what was read
 *
 * A view that differs from the one before holds from @t_ns on; between the two
 * readings nothing is known, unless ivm_guest_clock_changed() tells when.
 */
void ivm_guest_clock_saw(struct ivm_guest_clock *c, uint32_t vm, uint32_t vcpu_id, uint64_t t_ns,
			 const struct ivm_tsc_view *view);

/**
 * ivm_guest_clock_changed() - KVM wrote a vCPU's offset
 * @c: the clock
 * @vm: its number
 * @vcpu_id: of the vCPU
 * @t_ns: of the event, while the vCPU was outside the guest
 * @offset: the new one
 */
void ivm_guest_clock_changed(struct ivm_guest_clock *c, uint32_t vm, uint32_t vcpu_id,
			     uint64_t t_ns, uint64_t offset);

/**
 * ivm_guest_clock_to_host() - a guest's TSC as host time
 * @c: the clock
 * @vm: its number
 * @vcpu_id: that read the TSC
 * @tsc: the guest's
 * @t_ns: set to CLOCK_MONOTONIC
 * @err_ns: set to how far @t_ns may be off, either way
 *
 * Return: 0; -ENODATA if the vCPU's view is not known; -ERANGE if the time is
 * not between two samples; -EAGAIN if the view changed so close by that the
 * time is none or ambiguous.
 */
int ivm_guest_clock_to_host(const struct ivm_guest_clock *c, uint32_t vm, uint32_t vcpu_id,
			    uint64_t tsc, uint64_t *t_ns, uint64_t *err_ns);

#endif /* IVM_GUEST_CLOCK_H */
