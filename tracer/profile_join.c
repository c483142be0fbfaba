// SPDX-License-Identifier: GPL-2.0-or-later
/* Which hop of which journey a sample fell in */
#include <string.h>

#include <glib.h>

#include "profile_join.h"

#define UNSORTED_NS	10000000ull	/* samples come so nearly in order */
#define MAX_HOPS	8		/* of one sample: many messages may wait for one thread */

struct pending {
	struct ivm_journey j;
	struct ivm_actors actors;
	uint64_t begin_ns, end_ns;
};

struct ivm_profile_join {
	struct ivm_taken_sample *ring;
	uint64_t added;			/* the last one is ring[(added - 1) % size] */
	GQueue pending;			/* struct pending, in the order they came */
	uint64_t outside;		/* of those that left the ring */
	uint64_t cut;
	ivm_profile_hop_fn fn;
	void *arg;
};

struct ivm_profile_join *ivm_profile_join_new(ivm_profile_hop_fn fn, void *arg)
{
	struct ivm_profile_join *p = g_new0(struct ivm_profile_join, 1);

	p->ring = g_new(struct ivm_taken_sample, IVM_PROFILE_SAMPLES);
	g_queue_init(&p->pending);
	p->fn = fn;
	p->arg = arg;
	return p;
}

void ivm_profile_join_free(struct ivm_profile_join *p)
{
	if (!p)
		return;
	g_queue_clear_full(&p->pending, g_free);
	g_free(p->ring);
	g_free(p);
}

static struct ivm_taken_sample *at(const struct ivm_profile_join *p, uint64_t n)
{
	return &p->ring[n % IVM_PROFILE_SAMPLES];
}

static uint64_t oldest(const struct ivm_profile_join *p)
{
	return p->added > IVM_PROFILE_SAMPLES ? p->added - IVM_PROFILE_SAMPLES : 0;
}

/**
 * ivm_profile_join_sample() - a thread was sampled
 * @p: joins
 * @sample: copied; come nearly in order of time
 */
void ivm_profile_join_sample(struct ivm_profile_join *p, const struct ivm_taken_sample *sample)
{
	struct ivm_taken_sample *place = at(p, p->added);

	if (p->added >= IVM_PROFILE_SAMPLES && !place->found)
		p->outside++;
	*place = *sample;
	place->found = 0;
	p->added++;
}

/* The first that may have been taken at @t_ns or later */
static uint64_t first_after(const struct ivm_profile_join *p, uint64_t t_ns)
{
	uint64_t low = oldest(p), high = p->added, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (at(p, middle)->t_ns + UNSORTED_NS < t_ns)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/**
 * ivm_profile_join_journey() - a journey has ended
 * @p: joins
 * @j: copied; only delivered ones have hops
 * @actors: its threads
 *
 * Samples of it may still come until ivm_profile_join_settle().
 */
void ivm_profile_join_journey(struct ivm_profile_join *p, const struct ivm_journey *j,
			      const struct ivm_actors *actors)
{
	struct pending *pending;
	uint64_t begin_ns = 0, end_ns = 0;
	int i;

	if (j->outcome != IVM_O_DELIVERED || j->flags & IVM_J_DISORDERED)
		return;
	for (i = 0; i < IVM_POINTS; i++) {
		if (!j->t_ns[i])
			continue;
		if (!begin_ns)
			begin_ns = j->t_ns[i];
		end_ns = j->t_ns[i];
	}
	pending = g_new(struct pending, 1);
	pending->j = *j;
	pending->actors = *actors;
	pending->begin_ns = begin_ns;
	pending->end_ns = end_ns;
	g_queue_push_tail(&p->pending, pending);
}

/* Who had to act for the journey to reach point @to; IVM_SAMPLE_THREADS: not this thread */
static enum ivm_sample_thread acting(const struct ivm_taken_sample *s, const struct ivm_journey *j,
				     const struct ivm_actors *a, enum ivm_point to)
{
	bool carries = s->journey == j->id;

	switch (to) {
	case IVM_P_DISPATCH:
	case IVM_P_USER:
	case IVM_P_SEND:
	case IVM_P_WAKE:
	case IVM_P_SIGNAL:
	case IVM_P_DEFER:
		return carries ? IVM_SAMPLE_SENDER : IVM_SAMPLE_THREADS;
	case IVM_P_RUN:
	case IVM_P_RECV:
		return s->tid == a->to_pid ? IVM_SAMPLE_LOOP : IVM_SAMPLE_THREADS;
	case IVM_P_ROUTE:
	case IVM_P_ACCEPT:
	case IVM_P_KICK:
	case IVM_P_VCPU_WAKE:
		if (carries)
			return ivm_seen(j, IVM_P_WORK) ? IVM_SAMPLE_WORKER : IVM_SAMPLE_SENDER;
		return s->tid == a->to_pid ? IVM_SAMPLE_LOOP : IVM_SAMPLE_THREADS;
	case IVM_P_UNMASK:
	case IVM_P_VCPU_EXIT:
	case IVM_P_VCPU_RUN:
	case IVM_P_UNHALT:
	case IVM_P_WINDOW:
	case IVM_P_INJECT:
	case IVM_P_EOI_STANDIN:
	case IVM_P_ENTRY:
		return s->tid == a->to_tid ? IVM_SAMPLE_RECEIVER : IVM_SAMPLE_THREADS;
	default:
		return IVM_SAMPLE_THREADS;
	}
}

/* The hop of @j that @t_ns is in: its end, and its begin in @from */
static enum ivm_point find_hop(const struct ivm_journey *j, uint64_t t_ns, enum ivm_point *from)
{
	enum ivm_point to;
	bool begun = false;

	for (to = 0; to < IVM_POINTS; to++) {
		if (!j->t_ns[to])
			continue;
		if (begun && t_ns < j->t_ns[to])
			return to;
		if (t_ns < j->t_ns[to])
			break;
		*from = to;
		begun = true;
	}
	return IVM_POINTS;
}

static int settle_sample(struct ivm_profile_join *p, const struct pending *pending,
			 struct ivm_taken_sample *s)
{
	enum ivm_point from = IVM_POINTS, to = find_hop(&pending->j, s->t_ns, &from);
	enum ivm_sample_thread thread;

	if (to == IVM_POINTS || s->found == MAX_HOPS)
		return 0;
	thread = acting(s, &pending->j, &pending->actors, to);
	if (thread == IVM_SAMPLE_THREADS)
		return 0;
	s->found++;
	return p->fn(p->arg, s, &pending->j, from, to, thread);
}

static int settle(struct ivm_profile_join *p, const struct pending *pending)
{
	uint64_t i, first = oldest(p);
	int err = 0;

	if (first && at(p, first)->t_ns > pending->begin_ns)
		p->cut++;
	for (i = first_after(p, pending->begin_ns); i < p->added && !err; i++) {
		if (at(p, i)->t_ns > pending->end_ns + UNSORTED_NS)
			break;
		err = settle_sample(p, pending, at(p, i));
	}
	return err;
}

/**
 * ivm_profile_join_settle() - all samples until some time have come
 * @p: joins
 * @until_ns: that time
 *
 * Return: 0, or what the callback returned.
 */
int ivm_profile_join_settle(struct ivm_profile_join *p, uint64_t until_ns)
{
	struct pending *pending;
	int err = 0;

	while (!err && (pending = g_queue_peek_head(&p->pending)) && pending->end_ns < until_ns) {
		err = settle(p, pending);
		g_free(g_queue_pop_head(&p->pending));
	}
	return err;
}

void ivm_profile_join_counts(const struct ivm_profile_join *p, struct ivm_profile_counts *counts)
{
	uint64_t i;

	counts->taken = p->added;
	counts->outside = p->outside;
	counts->cut = p->cut;
	for (i = oldest(p); i < p->added; i++)
		counts->outside += !at(p, i)->found;
}
