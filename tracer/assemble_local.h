/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The assembler's own state, shared by its parts and by nobody else:
 *
 *   assemble.c          events in time order, who takes them, the end
 *   assemble_state.c    where journeys wait, and how they leave
 *   assemble_send.c     from the doorbell to the accept
 *   assemble_receive.c  from the accept to the guest
 *   assemble_record.c   what BPF programs have put together already
 *   assemble_far.c      ... for rings from another host
 */
#ifndef IVM_ASSEMBLE_LOCAL_H
#define IVM_ASSEMBLE_LOCAL_H

#include "assemble.h"

#define MSI_VECTOR(data)	((uint8_t)(data))

/* All that is known about one thread, whatever its part */
struct thread {
	struct ivm_sender sender;
	GPtrArray *pending;		/* struct slot * of this vCPU that have a head */
	struct ivm_journey entering;	/* taken by the guest, lacks its entry or its proof */
	struct stream *sending;		/* inside sendmsg() with the RING of ... */
	uint64_t sending_id;		/* ... this journey */
	struct slot *accepted;		/* where it handed over last ... */
	uint64_t accepted_id;		/* ... this journey, which may be gone by now */
	uint32_t cpu;			/* where it was last seen */
	uint32_t copies_for;		/* end whose MSI, routed here last, has several targets */
};

/* Accepted and pending on one (VM, vCPU, IDT vector) */
struct slot {
	struct ivm_slot s;
	uint64_t others;		/* accepts that no ring caused: LINK_VECTOR */
};

/* A sender's main loop sent what its device had held */
struct flush {
	uint64_t seq;			/* 0: there was none */
	uint64_t t_ns;
};

#define FLUSHES 8
#define RAISES 8

/* An interrupt that a BPF program saw raised, and the rings it carries */
struct raised {
	struct ivm_journey j;
	GQueue rings;			/* struct ivm_journey *, the carrier first */
	uint64_t upto_ns;		/* what was signalled later is not in it */
	bool ended;
};

/* What one read of a socket from another host brought, and what was raised since */
struct far {
	uint64_t first;			/* RINGs, 0 none yet */
	uint64_t last;
	uint64_t recv_ns;
	GPtrArray *arrivals;		/* struct arrival *, not known yet which they were */
};

/* One direction of a link's socket, by its receiving end */
struct stream {
	uint64_t link_id;		/* of the link-up that the rest belongs to */
	GQueue sent;			/* by sequence */
	GQueue received;
	GQueue unsent;			/* held by the sender's device: the socket was full;
					 * @seq is not theirs, but that of their flush */
	struct flush flush[FLUSHES];	/* the last ones, the newest first */
	uint64_t sent_upto;		/* highest sequence seen in a send */
	uint64_t received_upto;
	struct far far;
};

/* What a main loop has read from a vector's eventfd, and raised nothing for yet */
struct reading {
	uint64_t t_ns;			/* of the last read, 0 none */
	uint64_t signals;		/* UINT64_MAX: nobody knows how many */
	bool has_more;			/* than one read */
};

/* An interrupt that others than the doorbell that led to it may have been part of */
struct raise {
	uint64_t id;			/* of a struct raised that may be pending, 0 none */
	struct reading read;		/* a main loop's, if @is_read: it is for so much, no more */
	bool is_read;
	uint64_t start_ns;		/* what was signalled before then is in it, ... */
	uint64_t flush_ns;		/* ... and what was unsent before then */
	uint64_t route_ns;
	uint64_t accept_ns;
	uint16_t to_vcpu;
	uint16_t irq_vector;
	uint8_t mode;
};

/*
 * The newest ring that an interrupt which a BPF program saw raised took along, and
 * that interrupt: another one that lacks a ring may take it back.
 */
struct spare {
	struct ivm_journey *ring;	/* NULL: none */
	struct ivm_journey by;
	uint64_t into;
};

/* The last ones of a vector, the newest first */
struct raises {
	struct raise raise[RAISES];
	struct spare spare;
	struct reading reading;
	bool are_read;			/* its main loop has been seen to read the eventfd */
};

struct ivm_assemble {
	const struct ivm_topology *topology;
	ivm_journey_fn fn;
	ivm_fate_fn fate;		/* may be NULL */
	ivm_arrival_fn arrival;		/* may be NULL */
	void *arg;
	int err;			/* the first one of @fn and @fate */

	GArray *queue;			/* struct ivm_event, not worked off yet */
	uint64_t now_ns;		/* time of the last event worked off */
	uint64_t stop_ns;		/* no dispatch counts from here on */
	uint64_t last_id;
	bool inject_seen;		/* kvm_inj_virq fires on this host */
	bool route_seen;		/* kvm_msi_set_irq does */
	bool signal_seen;		/* eventfd_signal or eventfd_write does */

	GHashTable *threads;		/* tid -> struct thread */
	GHashTable *slots;		/* slot key -> struct slot */
	GHashTable *streams;		/* end id -> struct stream */
	GHashTable *works;		/* work item -> struct ivm_journey */
	GHashTable *held;		/* (end, vector) -> GQueue */
	GHashTable *raises;		/* (end, vector) -> struct raises */
	GHashTable *raised;		/* journey id -> struct raised */
	GHashTable *arrivals;		/* journey id -> struct arrival */
	GHashTable *unbound;		/* (end, vector) -> GQueue of struct raised, no ring yet */
	GHashTable *followers;		/* journey id -> (struct ivm_counts -> how many rings
					 * were coalesced into it before it ended) */
	GHashTable *counts;		/* (end, vector) -> struct ivm_counts */
	GPtrArray *count_rows;		/* the same, in order of appearance */
	struct ivm_assemble_stats stats;
};

/* assemble.c */
enum ivm_outcome assemble_outcome_accepted(struct ivm_assemble *a, const struct ivm_journey *j);

/* assemble_state.c */
struct thread *assemble_thread(struct ivm_assemble *a, uint32_t tid);
struct slot *assemble_slot(struct ivm_assemble *a, const struct ivm_vm *vm, uint32_t vcpu_id,
			   uint8_t irq_vector, bool create);
struct stream *assemble_stream(struct ivm_assemble *a, const struct ivm_end *to);
struct ivm_counts *assemble_counts_of(struct ivm_assemble *a, const struct ivm_journey *j);
struct thread *assemble_receiver(struct ivm_assemble *a, const struct ivm_journey *j);
struct ivm_journey *assemble_find_id(const GQueue *queue, uint64_t id);
GQueue *assemble_held(struct ivm_assemble *a, uint32_t to_end, uint32_t vector, bool create);
struct raises *assemble_raises(struct ivm_assemble *a, uint32_t to_end, uint32_t vector);
void assemble_queue_by_id(GQueue *queue, struct ivm_journey *j);
void assemble_hold(struct ivm_assemble *a, struct ivm_journey *j);
void assemble_settle(struct ivm_assemble *a, struct ivm_journey *j);
void assemble_settle_as(struct ivm_assemble *a, struct ivm_journey *j, enum ivm_outcome outcome);
void assemble_free_settled(struct ivm_assemble *a, struct ivm_journey *j,
			   enum ivm_outcome outcome);
enum ivm_outcome assemble_outcome_in_flight(struct ivm_assemble *a, const struct ivm_journey *j);

/* assemble_send.c */
struct ivm_journey *assemble_take_open(struct thread *t);
bool assemble_was_signalled(const struct ivm_journey *j, uint64_t before_ns);
bool assemble_was_flushed(const struct stream *stream, const struct ivm_journey *j);
void assemble_set_aside(struct ivm_assemble *a, struct ivm_journey *j);
void assemble_stamp_unmask(struct ivm_journey *j, uint64_t t_ns);
bool assemble_is_unsent(const struct ivm_journey *j);
void assemble_begin_raise(struct ivm_assemble *a, const struct ivm_end *to, uint32_t vector,
			  bool is_vcpu, uint64_t route_ns, struct raise *raise);
void assemble_take_waiting(struct ivm_assemble *a, const struct ivm_end *to, uint32_t vector,
			   GQueue *taken, struct raise *raise);
struct raise *assemble_find_raise(struct ivm_assemble *a, const struct ivm_journey *j,
				  uint64_t id);
struct raise *assemble_raise_of(struct ivm_assemble *a, const struct ivm_journey *j);
void assemble_count_in(struct raise *raise, struct ivm_journey *j);
void assemble_take_deferred(struct ivm_assemble *a, const struct ivm_journey *by,
			    GQueue *others);
void assemble_note_raise(struct ivm_assemble *a, const struct ivm_journey *j,
			 struct raise *raise);
struct stream *assemble_push_sent(struct ivm_assemble *a, struct ivm_journey *j);
void assemble_open_doorbell(struct ivm_assemble *a, struct thread *t, const struct ivm_event *e);
void assemble_start_work(struct ivm_assemble *a, struct thread *t, const struct ivm_event *e);
void assemble_finish_send(struct thread *t, const struct ivm_event *e);
void assemble_sender_event(struct ivm_assemble *a, struct thread *t, const struct ivm_event *e);
void assemble_wake_reader(struct ivm_assemble *a, struct thread *t, const struct ivm_event *e);
void assemble_run_reader(struct ivm_assemble *a, const struct ivm_event *e);
void assemble_receive_rings(struct ivm_assemble *a, const struct ivm_event *e);
void assemble_read_eventfd(struct ivm_assemble *a, const struct ivm_event *e);

/* assemble_receive.c */
void assemble_hand_over(struct ivm_assemble *a, struct thread *t, struct ivm_journey *j);
void assemble_note_other(struct ivm_assemble *a, const struct ivm_vm *vm,
			 const struct ivm_event *e);
void assemble_reset_vcpu(struct ivm_assemble *a, const struct ivm_event *e);
void assemble_end_event(struct ivm_assemble *a, const struct ivm_event *e);
void assemble_receiver_event(struct ivm_assemble *a, struct thread *rx, const struct ivm_event *e);
void assemble_kick(struct ivm_assemble *a, struct thread *t, const struct ivm_event *e);
void assemble_posted(struct ivm_assemble *a, struct thread *t);
void assemble_finish_slot(struct ivm_assemble *a, struct ivm_slot *s);

/* assemble_record.c */
void assemble_record(struct ivm_assemble *a, const struct ivm_journey_record *r);
bool assemble_join_raised(struct ivm_assemble *a, struct ivm_journey *ring, uint64_t id);
void assemble_finish_pending(struct ivm_assemble *a, struct ivm_slot *s);
void assemble_finish_raised(struct ivm_assemble *a);
void assemble_raised_free(gpointer raised);

/* assemble_far.c */
bool assemble_is_far(const struct ivm_end *to);
void assemble_far_receive(struct ivm_assemble *a, struct stream *stream,
			  const struct ivm_event *e);
void assemble_far_raised(struct ivm_assemble *a, const struct ivm_end *to,
			 const struct ivm_journey *j);
bool assemble_far_ended(struct ivm_assemble *a, const struct ivm_journey *j);
void assemble_far_reset(struct ivm_assemble *a, struct far *far);
void assemble_far_finish(struct ivm_assemble *a);

#endif /* IVM_ASSEMBLE_LOCAL_H */
