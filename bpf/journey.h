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
	IVM_P_WAKE,
	IVM_P_RUN,
	IVM_P_RECV,
	IVM_P_SIGNAL,
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
	{ "ring", "exit", "dispatch", "user", "send", "wake", "run",	\
	  "recv", "signal", "unmask", "defer", "work", "route",		\
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
	__u32 cookie;
	__u32 from_end;			/* link end that rang */
	__u32 to_end;			/* link end that receives */
	__u16 vector;			/* of the link */
	__u16 irq_vector;		/* IDT vector in the receiver, 0 unknown */
	__u16 from_vcpu;
	__u16 to_vcpu;
	__u8 mode;			/* enum ivm_mode, observed */
	__u8 configured;		/* enum ivm_mode, the link's setting */
	__u8 outcome;			/* enum ivm_outcome */
	__u8 flags;			/* IVM_J_* */
};

static inline int ivm_seen(const struct ivm_journey *j, enum ivm_point p)
{
	return j->t_ns[p] != 0;
}

/* The first of a repeated event counts */
static inline void ivm_stamp_first(struct ivm_journey *j, enum ivm_point p, __u64 t_ns)
{
	if (!j->t_ns[p])
		j->t_ns[p] = t_ns;
}

/* Is a point after @p already stamped?  Then @p was not on the way. */
static inline int ivm_overtaken(const struct ivm_journey *j, enum ivm_point p)
{
	int i;

	for (i = p + 1; i < IVM_POINTS; i++)
		if (j->t_ns[i])
			return 1;
	return 0;
}

/*
 * Points of two threads that run at the same time (the signaller's kick, the
 * receiver's own exit) may overtake each other: one that comes too late did
 * not cause what follows and is left out.
 */
static inline void ivm_stamp_concurrent(struct ivm_journey *j, enum ivm_point p, __u64 t_ns)
{
	if (!j->t_ns[p] && !ivm_overtaken(j, p))
		j->t_ns[p] = t_ns;
}

/* Flags a journey whose points are out of order; its latency is not counted */
static inline void ivm_check_order(struct ivm_journey *j)
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
static inline enum ivm_receiver_state ivm_receiver_state(const struct ivm_journey *j)
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

#define IVM_KVM_EXIT_IO		2	/* uapi KVM_EXIT_IO */
#define IVM_KVM_EXIT_MMIO	6	/* uapi KVM_EXIT_MMIO */

/**
 * ivm_sender_open() - a doorbell write was dispatched on this thread
 * @s: the thread; its former doorbell must be closed
 * @e: the kvm_mmio event
 * @id: number of the journey, unique in the recording
 */
static inline void ivm_sender_open(struct ivm_sender *s, const struct ivm_event *e, __u64 id)
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
static inline void ivm_sender_write(struct ivm_sender *s, const struct ivm_event *e, __u64 id)
{
	static const struct ivm_journey none;

	s->open = none;
	s->open.id = id;
	s->open.t_ns[IVM_P_EXIT] = s->exit_ns;
	s->open.t_ns[IVM_P_SEND] = e->t_ns;
	s->route_ns = 0;
}

/* KVM did not go up to QEMU with this doorbell: an ioeventfd took it */
static inline void ivm_note_kernel_path(struct ivm_journey *j)
{
	if (j->mode == IVM_M_UNKNOWN && !ivm_seen(j, IVM_P_USER))
		j->mode = IVM_M_DIRECT;
}

/* kvm_apic_accept_irq names the vector and comes right after its route */
static inline enum ivm_sender_action ivm_sender_accept(struct ivm_sender *s,
						       const struct ivm_event *e)
{
	struct ivm_journey *j = &s->open;

	if (!j->id || (e->flags & IVM_EV_F_HARDIRQ) || e->b != j->irq_vector)
		return IVM_S_NONE;
	/* A fan-out accepts once for each target: the first one carries the journey */
	if (ivm_seen(j, IVM_P_ACCEPT))
		return IVM_S_NONE;
	if (s->route_ns) {
		if ((s->msi_data & 0xff) != e->b)
			return IVM_S_NONE;
		j->t_ns[IVM_P_ROUTE] = s->route_ns;
	}
	j->t_ns[IVM_P_ACCEPT] = e->t_ns;
	j->to_vcpu = (__u16)e->a;
	ivm_note_kernel_path(j);
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
static inline enum ivm_sender_action ivm_sender_step(struct ivm_sender *s,
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
static inline enum ivm_stream_action ivm_stream_step(struct ivm_journey *j,
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
		if (ivm_seen(j, IVM_P_WAKE))
			ivm_stamp_first(j, IVM_P_RUN, e->t_ns);
		break;
	case IVM_EV_RECVMSG:
		j->t_ns[IVM_P_RECV] = e->t_ns;
		return IVM_ST_RECEIVED;
	}
	return IVM_ST_NONE;
}

/* ---- receiver ---- */

/* Exit reasons that mean "the guest can take interrupts again" */
#define IVM_VMX_EXIT_INTERRUPT_WINDOW	7
#define IVM_SVM_EXIT_VINTR		0x64

static inline int ivm_is_window_exit(const struct ivm_event *e)
{
	return (e->b == 1 && e->a == IVM_VMX_EXIT_INTERRUPT_WINDOW) ||
	       (e->b == 2 && e->a == IVM_SVM_EXIT_VINTR);
}

/* What a receive step found out */
enum ivm_receive_action {
	IVM_RX_NONE,
	IVM_RX_DONE,		/* nothing more can be stamped: record it */
	IVM_RX_POSTED,		/* hardware delivers it with this entry */
	IVM_RX_UNSEEN,		/* posted into a running guest: no end to see */
};

/* Was the vCPU outside the guest at some time since the accept? */
static inline int ivm_was_outside(const struct ivm_journey *j)
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
 * Return: IVM_RX_DONE once the guest has left again after taking it;
 * IVM_RX_POSTED and IVM_RX_UNSEEN where virtual APIC hardware delivers.
 */
static inline enum ivm_receive_action ivm_receive_step(struct ivm_journey *j,
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
		if (!ended && is_posted)
			return IVM_RX_UNSEEN;
		if (!ended && ivm_is_window_exit(e))
			j->t_ns[IVM_P_WINDOW] = e->t_ns;
		else
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
			return IVM_RX_POSTED;
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
static inline enum ivm_receive_action ivm_receive_end(struct ivm_journey *j,
						      const struct ivm_event *e)
{
	j->outcome = IVM_O_DELIVERED;
	if (e->type == IVM_EV_INJ) {
		j->t_ns[IVM_P_INJECT] = e->t_ns;
		return IVM_RX_NONE;
	}
	j->t_ns[IVM_P_EOI_STANDIN] = e->t_ns;
	j->flags |= IVM_J_APPROX;
	return IVM_RX_DONE;
}

#endif /* IVM_JOURNEY_H */
