/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journey of one interrupt: its points and the rules that stamp them.
 *
 * This is the one place that says which event becomes which point.  It is a
 * set of pure step functions over small structs: no maps, no atomics, no
 * clock, no allocation, so that BPF programs and user space compile the very
 * same rules.  Who owns the structs, finds them and orders the events is the
 * backend's business.
 *
 * Three state machines meet in a journey:
 *   struct ivm_sender   a thread that may have a doorbell open (a sending vCPU,
 *                       or a kworker that took the doorbell over)
 *   struct ivm_journey  what is carried from the one to the other
 *   ivm_receive_step()  the receiving vCPU, from accept to guest entry
 */
#ifndef IVM_JOURNEY_H
#define IVM_JOURNEY_H

#include "event.h"

/* BPF programs may call no function while they hold a lock (up to 6.13) */
#ifdef __bpf__
#define ivm_inline	static inline __attribute__((always_inline))
#else
#define ivm_inline	static inline
#endif

/*
 * Points in the order in which an interrupt passes them.  The table in
 * docs/journey.md has a row for each.  EOI stands twice in time: as the
 * stand-in for INJECT on a KVM that emits kvm_eoi at delivery it is
 * IVM_P_EOI_STANDIN, before the handler; a guest's own acknowledgement is
 * IVM_P_EOI.  Both are called "eoi".
 */
enum ivm_point {
	IVM_P_RING,
	IVM_P_EXIT,
	IVM_P_DISPATCH,
	IVM_P_USER,
	IVM_P_SEND,
	IVM_P_SIGNAL,
	IVM_P_WAKE,
	IVM_P_RUN,
	IVM_P_RECV,
	IVM_P_UNMASK,
	IVM_P_DEFER,
	IVM_P_WORK,
	IVM_P_ROUTE,
	IVM_P_ACCEPT,
	IVM_P_KICK,
	IVM_P_VCPU_EXIT,
	IVM_P_VCPU_WAKE,
	IVM_P_VCPU_RUN,
	IVM_P_UNHALT,
	IVM_P_WINDOW,
	IVM_P_INJECT,
	IVM_P_EOI_STANDIN,
	IVM_P_ENTRY,
	IVM_P_ISR,
	IVM_P_EOI,
	IVM_POINTS
};

#define IVM_POINT_NAMES							\
	{ "ring", "exit", "dispatch", "user", "send", "signal", "wake",	\
	  "run", "recv", "unmask", "defer", "work", "route",		\
	  "accept", "kick", "vcpu_exit", "vcpu_wake", "vcpu_run",	\
	  "unhalt", "window", "inject", "eoi", "entry", "isr", "eoi" }

/* Observed, never configured */
enum ivm_mode {
	IVM_M_UNKNOWN,
	IVM_M_QEMU,
	IVM_M_IRQFD,
	IVM_M_DIRECT,
	IVM_M_IVSHMEM,
	IVM_M_FOREIGN,
	IVM_MODES
};

#define IVM_MODE_NAMES \
	{ "unknown", "qemu", "irqfd", "direct", "ivshmem", "foreign" }

enum ivm_outcome {
	IVM_O_PENDING,		/* not decided yet; never recorded */
	IVM_O_DELIVERED,
	IVM_O_COALESCED,	/* an earlier ring's interrupt took it along */
	IVM_O_MASKED,		/* held at the end of the recording */
	IVM_O_DROPPED,		/* refused, without target, or cut off */
	IVM_O_UNFINISHED,	/* in flight after the drain */
	IVM_O_UNSEEN,		/* accepted where the end cannot be observed */
	IVM_OUTCOMES
};

#define IVM_OUTCOME_NAMES						\
	{ "pending", "delivered", "coalesced", "masked", "dropped",	\
	  "unfinished", "unseen" }

#define IVM_J_APPROX		(1u << 0)	/* the end is kvm_eoi at delivery */
#define IVM_J_POSTED		(1u << 1)	/* kvm_apicv_accept_irq was seen */
#define IVM_J_DISORDERED	(1u << 2)	/* a hop below zero */
#define IVM_J_CONTENDED		(1u << 3)	/* took back from a coalesced ring */
#define IVM_J_FASTMMIO		(1u << 4)	/* kvm_fast_mmio proved the path */
#define IVM_J_RAISED		(1u << 5)	/* begins at its route: a QEMU or a kworker raised
						 * it; which rings it carries is told by
						 * IVM_REC_RAISED */
#define IVM_J_EARLY		(1u << 6)	/* coalesced into @into, which had not ended yet */

/* State of the receiving vCPU, as the points of a journey tell it */
enum ivm_receiver_state {
	IVM_R_RUNNING,
	IVM_R_POLLING,
	IVM_R_ASLEEP,
	IVM_R_PREEMPTED,
	IVM_R_IRQ_WINDOW,
	IVM_R_STATES
};

#define IVM_RECEIVER_STATE_NAMES \
	{ "running", "polling", "asleep", "preempted", "irq-window" }

struct ivm_journey {
	__u64 id;			/* from 1, given at dispatch; 0 = none */
	__u64 t_ns[IVM_POINTS];		/* 0 = not observed */
	__u64 seq;			/* of the RING message, qemu mode */
	__u64 into;			/* coalesced: the journey that carried it, else 0 */
	__u32 cookie;
	__u32 from_end;			/* link end that rang */
	__u32 to_end;			/* link end that receives */
	__u16 vector;			/* of the link */
	__u16 irq_vector;		/* IDT vector in the receiver, 0 unknown */
	__u16 from_vcpu;
	__u16 to_vcpu;
	__u16 flags;			/* IVM_J_* */
	__u8 mode;			/* enum ivm_mode, observed */
	__u8 configured;		/* enum ivm_mode, the link's setting */
	__u8 outcome;			/* enum ivm_outcome */
	__u8 zero[7];
};

_Static_assert(sizeof(struct ivm_journey) % 8 == 0, "no holes, one layout on both sides");

ivm_inline int ivm_seen(const struct ivm_journey *j, enum ivm_point p)
{
	return j->t_ns[p] != 0;
}

/* In the modes of irqfds: its eventfd was read by a QEMU, because there was no irqfd */
ivm_inline int ivm_was_served(const struct ivm_journey *j)
{
	return (j->mode == IVM_M_IRQFD || j->mode == IVM_M_DIRECT) && ivm_seen(j, IVM_P_RECV);
}

/* The first of a repeated event counts */
ivm_inline void ivm_stamp_first(struct ivm_journey *j, enum ivm_point p, __u64 t_ns)
{
	if (!j->t_ns[p])
		j->t_ns[p] = t_ns;
}

/*
 * Is a point after @p already stamped?  Then @p was not on the way.  Without a
 * branch for each: @p is a constant, and verifiers follow all ways there are.
 */
ivm_inline int ivm_overtaken(const struct ivm_journey *j, enum ivm_point p)
{
	__u64 later = 0;
	int i;

	for (i = p + 1; i < IVM_POINTS; i++)
		later |= j->t_ns[i];
	return later != 0;
}

/* What the signaller or a waker did after @t_ns was not on the way to what @p is */
ivm_inline void ivm_drop_later(struct ivm_journey *j, enum ivm_point p, __u64 t_ns)
{
	int i;

	for (i = IVM_P_KICK; i < (int)p; i++)
		if (j->t_ns[i] > t_ns)
			j->t_ns[i] = 0;
}

/*
 * Points of two threads that run at the same time (the signaller's kick, the
 * receiver's own exit) may overtake each other, and so may the programs that
 * stamp them: one that came too late did not cause what follows and is left out.
 */
ivm_inline void ivm_stamp_concurrent(struct ivm_journey *j, enum ivm_point p, __u64 t_ns)
{
	if (j->t_ns[p] || ivm_overtaken(j, p))
		return;
	ivm_drop_later(j, p, t_ns);
	j->t_ns[p] = t_ns;
}

/* Flags a journey whose points are out of order; its latency is not counted */
ivm_inline void ivm_check_order(struct ivm_journey *j)
{
	__u64 last = 0;
	int i;

	for (i = 0; i < IVM_POINTS; i++) {
		if (!j->t_ns[i])
			continue;
		if (j->t_ns[i] < last)
			j->flags |= IVM_J_DISORDERED;
		last = j->t_ns[i];
	}
}

/* What the receiving vCPU was doing when the interrupt was accepted */
ivm_inline enum ivm_receiver_state ivm_receiver_state(const struct ivm_journey *j)
{
	if (ivm_seen(j, IVM_P_WINDOW))
		return IVM_R_IRQ_WINDOW;
	if (ivm_seen(j, IVM_P_VCPU_WAKE))
		return IVM_R_ASLEEP;
	if (ivm_seen(j, IVM_P_UNHALT))
		return IVM_R_POLLING;
	if (ivm_seen(j, IVM_P_VCPU_RUN))
		return IVM_R_PREEMPTED;
	return IVM_R_RUNNING;
}

/* ---- sender ---- */

/*
 * A doorbell is open on a thread from its dispatch to the thread's next exit,
 * entry or access.  @open.id is 0 when there is none.
 */
struct ivm_sender {
	struct ivm_journey open;
	__u64 exit_ns;			/* last kvm_exit, 0 after an entry */
	__u64 route_ns;			/* last kvm_msi_set_irq, with its message */
	__u64 msi_address;
	__u64 msi_data;
};

/* What the backend has to do after a sender step */
enum ivm_sender_action {
	IVM_S_NONE,
	IVM_S_CLOSE,		/* the open doorbell ended without an accept */
	IVM_S_ACCEPTED,		/* hand the open journey over to its receiver */
	IVM_S_SENT,		/* it is in the link's socket now: ivm_stream_step() */
	IVM_S_DEFERRED,		/* park it under the work item in e->a */
};

/*
 * The local APIC's end-of-interrupt register, which a guest without virtual APIC
 * hardware writes to once an interrupt.  No device sees that, and nothing is raised
 * by it: such a write is none of the accesses that end a doorbell.
 */
#define IVM_APIC_EOI		0xfee000b0ull

#define IVM_KVM_EXIT_IO		2	/* uapi KVM_EXIT_IO */
#define IVM_KVM_EXIT_MMIO	6	/* uapi KVM_EXIT_MMIO */

/**
 * ivm_sender_open() - a doorbell write was dispatched on this thread
 * @s: the thread; its former doorbell must be closed
 * @e: the kvm_mmio event
 * @id: number of the journey, unique in the recording
 */
ivm_inline void ivm_sender_open(struct ivm_sender *s, const struct ivm_event *e, __u64 id)
{
	static const struct ivm_journey none;

	s->open = none;
	s->open.id = id;
	s->open.cookie = (__u32)e->b;
	s->open.t_ns[IVM_P_EXIT] = s->exit_ns;
	s->open.t_ns[IVM_P_DISPATCH] = e->t_ns;
	s->route_ns = 0;
}

/**
 * ivm_sender_write() - a write(2) to an eventfd whose doorbell, if any, is not known
 * @s: the thread; its former doorbell must be closed
 * @e: the WRITE event
 * @id: number of the journey, unique in the recording
 */
ivm_inline void ivm_sender_write(struct ivm_sender *s, const struct ivm_event *e, __u64 id)
{
	static const struct ivm_journey none;

	s->open = none;
	s->open.id = id;
	s->open.t_ns[IVM_P_EXIT] = s->exit_ns;
	s->open.t_ns[IVM_P_SEND] = e->t_ns;
	s->route_ns = 0;
}

/**
 * ivm_sender_raise() - an interrupt that no doorbell of this thread caused
 * @s: the thread, no doorbell open; its last route leads to @e
 * @e: the accept
 * @id: number of the journey, unique in the recording
 */
ivm_inline void ivm_sender_raise(struct ivm_sender *s, const struct ivm_event *e, __u64 id)
{
	static const struct ivm_journey none;

	s->open = none;
	s->open.id = id;
	s->open.t_ns[IVM_P_ROUTE] = s->route_ns;
	s->open.t_ns[IVM_P_ACCEPT] = e->t_ns;
	s->open.to_vcpu = (__u16)e->a;
	s->open.irq_vector = (__u16)e->b;
	s->open.flags = IVM_J_RAISED;
}

/* KVM did not go up to QEMU with this doorbell: an ioeventfd took it */
ivm_inline void ivm_note_kernel_path(struct ivm_journey *j)
{
	if (j->mode == IVM_M_UNKNOWN && !ivm_seen(j, IVM_P_USER))
		j->mode = IVM_M_DIRECT;
}

#define IVM_DELIVERY_MODE	0x700		/* of kvm_apic_accept_irq; SDM vol. 3, 11.5.1 */
#define IVM_DELIVERY_INIT	0x500

#define IVM_MSI_DEST_LOGICAL	(1u << 2)	/* of the address; SDM vol. 3, 11.11.1 */
#define IVM_MSI_DEST_SHIFT	12
#define IVM_MSI_DEST_ALL	0xff

/* A message in logical mode, or to everybody, is accepted once for each target */
ivm_inline int ivm_has_copies(const struct ivm_sender *s)
{
	return (s->msi_address & IVM_MSI_DEST_LOGICAL) ||
	       ((s->msi_address >> IVM_MSI_DEST_SHIFT) & 0xff) == IVM_MSI_DEST_ALL;
}

/* Does the last message on this thread lead to this accept? */
ivm_inline int ivm_route_leads_to(const struct ivm_sender *s, const struct ivm_event *e)
{
	__u64 dest = (s->msi_address >> IVM_MSI_DEST_SHIFT) & 0xff;

	if (!s->route_ns || (s->msi_data & 0xff) != e->b)
		return 0;
	/* The upper bits are in the address's high half, with KVM's x2APIC format */
	dest |= (s->msi_address >> 32) & ~0xffull;
	return ivm_has_copies(s) || dest == e->a;
}

/*
 * kvm_apic_accept_irq names the vector and comes right after its route.  What
 * the link page says of the vector may be older than what the guest has set: it
 * counts only where the host shows no route.
 */
ivm_inline enum ivm_sender_action ivm_sender_accept(struct ivm_sender *s,
						       const struct ivm_event *e)
{
	struct ivm_journey *j = &s->open;

	if (!j->id || (e->flags & IVM_EV_F_HARDIRQ))
		return IVM_S_NONE;
	if (s->route_ns ? !ivm_route_leads_to(s, e) : e->b != j->irq_vector)
		return IVM_S_NONE;
	j->t_ns[IVM_P_ROUTE] = s->route_ns;
	j->t_ns[IVM_P_ACCEPT] = e->t_ns;
	j->irq_vector = (__u16)e->b;
	j->to_vcpu = (__u16)e->a;
	ivm_note_kernel_path(j);
	/* Up to QEMU and accepted on the very thread: it wrote the eventfd, seen or not */
	if (j->mode == IVM_M_UNKNOWN)
		j->mode = IVM_M_IRQFD;
	return IVM_S_ACCEPTED;
}

/**
 * ivm_sender_step() - an event on a thread that may have a doorbell open
 * @s: the thread
 * @e: an event with e->tid of this thread.  WRITE and SENDMSG only if
 *     the backend has found that descriptor to be this doorbell's
 *
 * Return: what the backend has to do with s->open, and must then clear.
 */
ivm_inline enum ivm_sender_action ivm_sender_step(struct ivm_sender *s,
						     const struct ivm_event *e)
{
	struct ivm_journey *j = &s->open;

	switch (e->type) {
	case IVM_EV_EXIT:
		s->exit_ns = e->t_ns;
		return j->id ? IVM_S_CLOSE : IVM_S_NONE;
	case IVM_EV_ENTRY:
		s->exit_ns = 0;
		return j->id ? IVM_S_CLOSE : IVM_S_NONE;
	case IVM_EV_MMIO:
	case IVM_EV_PIO:
	case IVM_EV_WORK_END:
		return j->id ? IVM_S_CLOSE : IVM_S_NONE;
	case IVM_EV_MSI:
		s->route_ns = e->t_ns;
		s->msi_address = e->a;
		s->msi_data = e->b;
		return IVM_S_NONE;
	case IVM_EV_ACCEPT:
		return ivm_sender_accept(s, e);
	}
	if (!j->id)
		return IVM_S_NONE;

	switch (e->type) {
	case IVM_EV_USER_EXIT:
		/* Another reason is a signal, not this access */
		if (e->a == IVM_KVM_EXIT_MMIO || e->a == IVM_KVM_EXIT_IO)
			ivm_stamp_first(j, IVM_P_USER, e->t_ns);
		break;
	case IVM_EV_FAST_MMIO:
		j->flags |= IVM_J_FASTMMIO;
		break;
	case IVM_EV_WRITE:
		ivm_stamp_first(j, IVM_P_SEND, e->t_ns);
		/* These are modes of their own, whichever way they go */
		if (j->mode != IVM_M_IVSHMEM && j->mode != IVM_M_FOREIGN)
			j->mode = IVM_M_IRQFD;
		break;
	case IVM_EV_SENDMSG:
		j->t_ns[IVM_P_SEND] = e->t_ns;
		j->seq = e->b;
		j->mode = IVM_M_QEMU;
		return IVM_S_SENT;
	case IVM_EV_SIGNAL:
	case IVM_EV_EVENTFD_WRITE:
		ivm_stamp_first(j, IVM_P_SIGNAL, e->t_ns);
		break;
	case IVM_EV_QUEUE_WORK:
		ivm_stamp_first(j, IVM_P_DEFER, e->t_ns);
		return IVM_S_DEFERRED;
	}
	return IVM_S_NONE;
}

/* ---- the link's socket, qemu mode ---- */

enum ivm_stream_action {
	IVM_ST_NONE,
	IVM_ST_HELD,		/* the socket was full: the device tries again */
	IVM_ST_RECEIVED,	/* the receiving QEMU has it */
};

/**
 * ivm_stream_step() - an event that concerns a RING message under way
 * @j: a journey sent and not received yet
 * @e: SENDMSG_RET of its own send; WAKING of the socket's reader inside that
 *     send; SWITCH_IN of the reader; or a RECVMSG that covers @j->seq
 *
 * Return: what became of it.
 */
ivm_inline enum ivm_stream_action ivm_stream_step(struct ivm_journey *j,
						     const struct ivm_event *e)
{
	switch (e->type) {
	case IVM_EV_SENDMSG_RET:
		if ((__s64)e->a > 0)
			break;
		j->t_ns[IVM_P_SEND] = 0;
		j->t_ns[IVM_P_WAKE] = 0;
		j->seq = 0;
		return IVM_ST_HELD;
	case IVM_EV_WAKING:
		ivm_stamp_first(j, IVM_P_WAKE, e->t_ns);
		break;
	case IVM_EV_SWITCH_IN:
		/* A reader that was not woken for this one was running already */
		if (ivm_seen(j, IVM_P_WAKE) && e->t_ns >= j->t_ns[IVM_P_WAKE])
			ivm_stamp_first(j, IVM_P_RUN, e->t_ns);
		break;
	case IVM_EV_RECVMSG:
		/* A wake-up that comes after the read was not on the way */
		if (j->t_ns[IVM_P_WAKE] > e->t_ns)
			j->t_ns[IVM_P_WAKE] = j->t_ns[IVM_P_RUN] = 0;
		j->t_ns[IVM_P_RECV] = e->t_ns;
		return IVM_ST_RECEIVED;
	}
	return IVM_ST_NONE;
}

/* ---- receiver ---- */

/* Exit reasons that mean "the guest can take interrupts again" */
#define IVM_VMX_EXIT_INTERRUPT_WINDOW	7
#define IVM_SVM_EXIT_VINTR		0x64

ivm_inline int ivm_is_window_exit(const struct ivm_event *e)
{
	return (e->b == 1 && e->a == IVM_VMX_EXIT_INTERRUPT_WINDOW) ||
	       (e->b == 2 && e->a == IVM_SVM_EXIT_VINTR);
}

/* What a receive step found out */
enum ivm_receive_action {
	IVM_RX_NONE,
	IVM_RX_DONE,		/* nothing more can be stamped: record it */
};

/* Was the vCPU outside the guest at some time since the accept? */
ivm_inline int ivm_was_outside(const struct ivm_journey *j)
{
	return ivm_seen(j, IVM_P_VCPU_EXIT) || ivm_seen(j, IVM_P_VCPU_WAKE) ||
	       ivm_seen(j, IVM_P_VCPU_RUN) || ivm_seen(j, IVM_P_UNHALT);
}

/**
 * ivm_receive_step() - an event of the receiving vCPU
 * @j: a journey accepted for that vCPU and not recorded yet
 * @e: an event of its thread; or WAKING of it; or an IPI to its CPU that
 *     @j's signaller sent
 *
 * Whether an INJ or EOI is *this* journey's end is for the backend to decide
 * (it takes the oldest pending one); see ivm_receive_end().
 *
 * Where virtual APIC hardware delivers, it does so with the next entry, if the
 * vCPU was outside the guest; else nothing on this host shows when.
 *
 * Return: IVM_RX_DONE once the guest has left again after taking it, or its end
 * was decided here.
 */
ivm_inline enum ivm_receive_action ivm_receive_step(struct ivm_journey *j,
						       const struct ivm_event *e)
{
	int ended = j->outcome == IVM_O_DELIVERED;
	int is_posted = j->flags & IVM_J_POSTED;

	switch (e->type) {
	case IVM_EV_IPI:
		ivm_stamp_concurrent(j, IVM_P_KICK, e->t_ns);
		break;
	case IVM_EV_EXIT:
		if (ended && ivm_seen(j, IVM_P_ENTRY))
			return IVM_RX_DONE;
		if (!ended && is_posted) {
			j->outcome = IVM_O_UNSEEN;
			return IVM_RX_DONE;
		}
		if (!ended && ivm_is_window_exit(e)) {
			ivm_drop_later(j, IVM_P_WINDOW, e->t_ns);
			j->t_ns[IVM_P_WINDOW] = e->t_ns;
			break;
		}
		ivm_stamp_concurrent(j, IVM_P_VCPU_EXIT, e->t_ns);
		break;
	case IVM_EV_WAKING:
		ivm_stamp_concurrent(j, IVM_P_VCPU_WAKE, e->t_ns);
		break;
	case IVM_EV_SWITCH_IN:
		ivm_stamp_concurrent(j, IVM_P_VCPU_RUN, e->t_ns);
		break;
	case IVM_EV_UNHALT:
		ivm_stamp_concurrent(j, IVM_P_UNHALT, e->t_ns);
		break;
	case IVM_EV_ENTRY:
		/* The last entry before the next exit carries the interrupt */
		if (ended) {
			j->t_ns[IVM_P_ENTRY] = e->t_ns;
		} else if (is_posted && ivm_was_outside(j)) {
			j->t_ns[IVM_P_ENTRY] = e->t_ns;
			j->outcome = IVM_O_DELIVERED;
			return IVM_RX_DONE;
		}
		break;
	}
	return IVM_RX_NONE;
}

/**
 * ivm_receive_end() - the guest takes this interrupt
 * @j: the oldest journey pending on (VM, vCPU, IDT vector)
 * @e: the INJ or, standing in for it, the EOI event
 *
 * Return: IVM_RX_DONE if no entry can follow (stand-in), else IVM_RX_NONE.
 */
ivm_inline enum ivm_receive_action ivm_receive_end(struct ivm_journey *j,
						      const struct ivm_event *e)
{
	j->outcome = IVM_O_DELIVERED;
	ivm_drop_later(j, IVM_P_INJECT, e->t_ns);
	if (e->type == IVM_EV_INJ) {
		j->t_ns[IVM_P_INJECT] = e->t_ns;
		return IVM_RX_NONE;
	}
	j->t_ns[IVM_P_EOI_STANDIN] = e->t_ns;
	j->flags |= IVM_J_APPROX;
	return IVM_RX_DONE;
}

/*
 * What is pending on one (VM, vCPU, IDT vector).  The interrupt request register
 * has one bit for it: whatever is accepted while it is set goes in with the
 * oldest.  Only three have to be kept: the oldest, the newest behind it, and the
 * newest one that an end point took along, whose bit may have been set after it.
 */
struct ivm_slot {
	struct ivm_journey head;	/* the oldest pending; id 0 = none, as below */
	struct ivm_journey newest;	/* the newest behind it */
	struct ivm_journey taken;	/* coalesced; can be taken back */
};

/* What a slot's functions found out, or-ed */
#define IVM_SLOT_ENDED		(1 << 0)	/* @ended met its end: to be recorded */
#define IVM_SLOT_SETTLED	(1 << 1)	/* @settled stays coalesced: to be recorded */

/**
 * ivm_slot_accept() - an interrupt is accepted for the slot
 * @s: the slot
 * @j: the journey; copied
 * @settled: set to a journey that is settled by this
 *
 * Return: IVM_SLOT_SETTLED or 0.
 */
ivm_inline int ivm_slot_accept(struct ivm_slot *s, const struct ivm_journey *j,
			       struct ivm_journey *settled)
{
	int found = 0;

	if (!s->head.id) {
		s->head = *j;
		return 0;
	}
	if (s->newest.id) {
		*settled = s->newest;
		settled->flags |= IVM_J_EARLY;
		settled->outcome = IVM_O_COALESCED;
		found = IVM_SLOT_SETTLED;
	}
	s->newest = *j;
	s->newest.into = s->head.id;
	return found;
}

/* The journey @id if it is pending there */
ivm_inline struct ivm_journey *ivm_slot_find(struct ivm_slot *s, __u64 id)
{
	if (s->head.id == id)
		return &s->head;
	return s->newest.id == id ? &s->newest : 0;
}

/* The head is gone, and took nobody along */
ivm_inline void ivm_slot_advance(struct ivm_slot *s)
{
	s->head.id = 0;
	if (!s->newest.id)
		return;
	s->head = s->newest;
	s->head.into = 0;
	s->newest.id = 0;
}

/* The one behind the head went in with it, unless it was accepted only now */
ivm_inline int ivm_slot_pass(struct ivm_slot *s, const struct ivm_event *e,
			     struct ivm_journey *settled)
{
	int found = 0;

	if (s->newest.id && s->newest.t_ns[IVM_P_ACCEPT] <= e->t_ns) {
		if (s->taken.id) {
			*settled = s->taken;
			found = IVM_SLOT_SETTLED;
		}
		s->taken = s->newest;
		s->taken.outcome = IVM_O_COALESCED;
		s->newest.id = 0;
	}
	ivm_slot_advance(s);
	return found;
}

/**
 * ivm_slot_step() - an event of the receiving vCPU, for what is pending
 * @s: the slot
 * @e: see ivm_receive_step()
 * @ended: set to a journey that ended by it
 * @settled: set to a journey that is settled by that
 *
 * Return: IVM_SLOT_* or-ed; call again after IVM_SLOT_ENDED, two can end.
 */
ivm_inline int ivm_slot_step(struct ivm_slot *s, const struct ivm_event *e,
			     struct ivm_journey *ended, struct ivm_journey *settled)
{
	if (!s->head.id || s->head.t_ns[IVM_P_ACCEPT] > e->t_ns ||
	    ivm_receive_step(&s->head, e) != IVM_RX_DONE)
		return 0;
	*ended = s->head;
	if (ended->outcome != IVM_O_UNSEEN)
		return IVM_SLOT_ENDED | ivm_slot_pass(s, e, settled);
	ivm_slot_advance(s);
	return IVM_SLOT_ENDED;
}

/**
 * ivm_slot_purge() - an INIT or a reset cleared what was pending
 * @s: the slot
 * @before_ns: when; later ones stay
 * @ended: set to one that was dropped by it
 *
 * Return: IVM_SLOT_ENDED: call again; 0 if nothing is left.
 */
ivm_inline int ivm_slot_purge(struct ivm_slot *s, __u64 before_ns, struct ivm_journey *ended)
{
	if (!s->head.id || s->head.t_ns[IVM_P_ACCEPT] >= before_ns)
		return 0;
	*ended = s->head;
	ended->outcome = IVM_O_DROPPED;
	ivm_slot_advance(s);
	return IVM_SLOT_ENDED;
}

/**
 * ivm_slot_end() - an interrupt of this slot reached its guest
 * @s: the slot
 * @e: the INJ or, standing in for it, the EOI event
 * @ended: set to the journey that ended there
 * @settled: set to a journey that is settled by that
 *
 * The oldest one pending caused it, unless it was accepted only after it: another
 * CPU may have done so until this one got here.  With none pending the newest one
 * was counted as coalesced too early: its accept came before the last end point,
 * but its bit was set after it.
 *
 * Return: IVM_SLOT_* or-ed, 0 if nothing of this slot was under way.
 */
ivm_inline int ivm_slot_end(struct ivm_slot *s, const struct ivm_event *e,
			    struct ivm_journey *ended, struct ivm_journey *settled)
{
	if (s->head.id && (s->head.t_ns[IVM_P_ACCEPT] <= e->t_ns || !s->taken.id)) {
		*ended = s->head;
		return IVM_SLOT_ENDED | ivm_slot_pass(s, e, settled);
	}
	if (!s->taken.id)
		return 0;
	*ended = s->taken;
	ended->into = 0;
	ended->flags |= IVM_J_CONTENDED;
	s->taken.id = 0;
	return IVM_SLOT_ENDED;
}

/* ---- the reader of a link's socket ---- */

/* A thread that reads sockets: its last wake-up and when it ran after it */
struct ivm_reader {
	__u64 woken_ns;
	__u64 run_ns;
};

ivm_inline void ivm_reader_step(struct ivm_reader *r, const struct ivm_event *e)
{
	if (e->type == IVM_EV_WAKING) {
		r->woken_ns = e->t_ns;
		r->run_ns = 0;
	} else if (e->type == IVM_EV_SWITCH_IN && r->woken_ns && !r->run_ns) {
		r->run_ns = e->t_ns;
	}
}

/* ---- what BPF programs hand to user space ---- */

enum ivm_record_kind {
	IVM_REC_NONE,
	IVM_REC_ENDED,		/* @j has its outcome: nothing can be added */
	IVM_REC_CLOSED,		/* @j's doorbell closed without an accept: held */
	IVM_REC_SENT,		/* @j is in the link's socket */
	IVM_REC_RAISED,		/* @j begins at its route: some ring waited for this */
	IVM_RECORDS
};

/* Rings of one doorbell whose records found no room: counted all the same */
struct ivm_lost_key {
	__u32 from_end;
	__u32 vector;
};

struct ivm_lost_rings {
	__u64 rung;
	__u64 accepted;
	__u64 posted;
	__u64 outcome[IVM_OUTCOMES];
	__u32 to_end;
	__u32 irq_vector;
};

struct ivm_journey_record {
	__u64 t_ns;		/* of the event that led to it */
	__u32 kind;		/* enum ivm_record_kind */
	__u32 zero;
	struct ivm_journey j;
};

#endif /* IVM_JOURNEY_H */
