// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The rules of docs/journey.md on random hosts.
 *
 * A simulated host has VMs, links, threads and the interrupt request registers
 * of its vCPUs.  Its threads take turns at random, so it knows what became of
 * each doorbell, and emits what the hooks would have seen of it.  The assembler
 * sees the events alone and has to find the same:
 *
 *   - every doorbell is counted once, and its counts close;
 *   - the counts are the true ones;
 *   - each journey ends where its own doorbell's interrupt did, wherever the
 *     host shows that (a doorbell is told by its value, which is unique);
 *   - rows add up to totals to the nanosecond;
 *   - when events are lost nothing disappears, and a journey that is paired
 *     wrongly does not come without a sign of the loss.
 *
 * IVM_SEED=N tries one seed, IVM_STREAMS=N so many of them.  A stream that fails
 * is made shorter as long as it fails, and printed as a file of events.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../reports/breakdown.h"
#include "../../tracer/assemble.h"
#include "../../tracer/recording.h"
#include "../../tracer/replay.h"

#define MAX_VMS		4
#define MAX_VCPUS	3
#define MAX_LINKS	3
#define VECTORS		2
#define BAR0(n)		(0xfe000000u + 0x4000 * (n))
#define IDT_BASE	0x41
#define MSIX_TABLE	0xfd000000u
#define SOCKET_MESSAGES	3		/* then it is full */
#define EAGAIN_RESULT	((uint64_t)-11)
#define INIT_MODE	0x500
#define DEFAULT_STREAMS	3000

/* What may happen on a host; a failing one is tried without each of them */
enum feature {
	F_STANDIN = 1 << 0,		/* no exit, entry or inject: kvm_eoi at delivery */
	F_RACE = 1 << 1,		/* the bit is set a while after the accept */
	F_DEFER = 1 << 2,
	F_MASK = 1 << 3,
	F_TIMER = 1 << 4,		/* accepts of the very vectors, by no doorbell */
	F_INIT = 1 << 5,
	F_SLEEP = 1 << 6,
	F_FULL = 1 << 7,		/* sockets get full */
	F_CUT = 1 << 8,			/* ends in mid-flight */
	F_BEYOND = 1 << 9,		/* doorbells that the peer does not have */
	F_FLOOD = 1 << 10,
	F_KILL = 1 << 11,		/* a VM ends, last of all */
	F_ALL = (1 << 12) - 1,
	F_REFUSED = 1 << 12,		/* no irqfd: QEMU reads the eventfd; a test of its own */
};

/* ---- the host ---- */

enum ring_state {
	RING_UNDER_WAY,
	RING_HELD,
	RING_ACCEPTED,
	RING_DELIVERED,
	RING_COALESCED,
	RING_DROPPED,
};

/* The truth of one doorbell; its number is its cookie */
struct ring {
	enum ring_state state;
	struct sim_end *from;
	uint32_t vector;
	uint64_t dispatch_ns;
	uint64_t accept_ns;
	uint64_t end_ns;
	bool is_racy;			/* the host does not show which of two it was */
	bool is_shared;			/* several became one interrupt: any may stand for it */
};

/* One bit of an interrupt request register, and whose doorbells have set it */
struct bit {
	GPtrArray *rings;
	guint busy;			/* the last ones are accepted and have not set it yet */
	bool was_racy;
};

struct message {
	uint64_t seq;
	uint32_t vector;
	GPtrArray *rings;
};

struct sim_vector {
	bool is_masked;
	bool work_is_queued;
	bool work_runs;
	bool is_refused;		/* KVM gave it no irqfd */
	GPtrArray *heard;		/* in its eventfd then, not read yet */
	GPtrArray *held;
	GPtrArray *work;
	GPtrArray *unsent;		/* on the way to this vector, held by the sender's device */
	uint32_t vcpu;			/* that it is for */
	uint8_t irq_vector;
};

struct sim_end {
	struct ivm_end *end;
	struct sim_vm *vm;
	struct sim_end *peer;
	uint32_t mode;
	struct sim_vector vector[VECTORS];
	GQueue socket;			/* struct message, to be read by this end */
	uint64_t next_seq;		/* of what this end sends */
	bool is_blocked;		/* a send failed, and nothing was flushed since */
};

struct thread {
	struct sim_vm *vm;		/* NULL: a kernel worker */
	uint32_t tid;
	uint32_t cpu;
	int vcpu;			/* -1: QEMU's main loop, or a worker */
	GQueue ops;
	bool in_guest;
	bool is_asleep;
	bool is_woken;
	struct sim_end *work_end;
	uint32_t work_vector;
};

struct sim_vm {
	struct ivm_vm *vm;
	int vcpus;
	struct thread *loop;
	struct thread *vcpu[MAX_VCPUS];
	struct bit bits[MAX_VCPUS][MAX_LINKS * 2 * VECTORS];
	GPtrArray *ends;
	struct thread *bql;		/* who holds QEMU's lock, NULL nobody */
};

struct sim {
	GRand *random;
	unsigned int features;
	unsigned int rings_left;
	bool shows_routes;
	uint64_t now_ns;
	struct ivm_topology *topology;
	GArray *events;
	GPtrArray *rings;		/* struct ring, by cookie - 1 */
	GPtrArray *threads;
	GPtrArray *ends;
	struct sim_vm vms[MAX_VMS];
	int vm_count;
	GQueue works;			/* struct sim_vector's ends, waiting for a worker */
};

enum op_kind {
	OP_EMIT,
	OP_DISPATCH,
	OP_LOCK,
	OP_UNLOCK,
	OP_SEND,
	OP_SIGNAL,
	OP_FAST,
	OP_ROUTE,
	OP_ACCEPT,
	OP_SET,
	OP_TAKE,
	OP_ENTER,
	OP_SLEEP,
	OP_MASK,
	OP_INIT,
	OP_RECEIVE,
	OP_RAISE,
	OP_READ,
	OP_FLUSH,
	OP_WORK,
	OP_WORK_END,
};

struct op {
	enum op_kind kind;
	struct ivm_event event;
	struct sim_end *end;		/* the receiving one, but of DISPATCH */
	uint32_t vector;
	GPtrArray *rings;		/* owned */
	bool by_qemu;
};

static unsigned int pick(struct sim *s, unsigned int n)
{
	return g_rand_int_range(s->random, 0, n);
}

static bool chance(struct sim *s, unsigned int percent)
{
	return pick(s, 100) < percent;
}

static bool has(const struct sim *s, enum feature f)
{
	return s->features & f;
}

static void op_free(gpointer p)
{
	struct op *op = p;

	if (op->rings)
		g_ptr_array_unref(op->rings);
	g_free(op);
}

/* The next thing that @t does */
static struct op *first(struct thread *t, enum op_kind kind, struct sim_end *end, uint32_t vector)
{
	struct op *op = g_new0(struct op, 1);

	op->kind = kind;
	op->end = end;
	op->vector = vector;
	g_queue_push_head(&t->ops, op);
	return op;
}

static struct op *then(struct thread *t, enum op_kind kind, struct sim_end *end, uint32_t vector)
{
	struct op *op = first(t, kind, end, vector);

	g_queue_push_tail(&t->ops, g_queue_pop_head(&t->ops));
	return op;
}

static uint64_t emit(struct sim *s, const struct thread *t, enum ivm_event_type type, uint64_t a,
		     uint64_t b, uint32_t c)
{
	struct ivm_event e = { .t_ns = s->now_ns += 1 + pick(s, 900), .a = a, .b = b, .c = c,
			       .tgid = t->vm ? (uint32_t)t->vm->vm->tgid : t->tid,
			       .tid = t->tid, .cpu = t->cpu, .type = type };

	if (has(s, F_STANDIN) && (type == IVM_EV_EXIT || type == IVM_EV_ENTRY))
		return e.t_ns;
	if (has(s, F_STANDIN) && type == IVM_EV_INJ) {
		e.type = IVM_EV_EOI;
		e.b = 0;
	}
	g_array_append_val(s->events, e);
	return e.t_ns;
}

static struct bit *bit_of(struct sim_end *end, uint32_t vector)
{
	struct sim_vector *v = &end->vector[vector];

	return &end->vm->bits[v->vcpu][v->irq_vector - IDT_BASE];
}

static uint32_t fd_of(const struct sim_end *end, uint32_t vector)
{
	return 20 + end->end->id * VECTORS + vector;
}

/* The receiver's own descriptor of the same eventfd */
static uint32_t heard_fd_of(const struct sim_end *end, uint32_t vector)
{
	return 100 + end->end->id * VECTORS + vector;
}

static uint64_t msi_address(const struct sim_end *end, uint32_t vector)
{
	return 0xfee00000u | (end->vector[vector].vcpu << 12);
}

/* ---- interrupts ---- */

/* Everything from the route on, as @t's next steps; takes over @rings */
static void raise_rings(struct thread *t, struct sim_end *end, uint32_t vector, GPtrArray *rings,
			bool by_qemu)
{
	first(t, OP_SET, end, vector);
	first(t, OP_ACCEPT, end, vector)->rings = rings;
	first(t, OP_ROUTE, end, vector)->by_qemu = by_qemu;
}

static void wake(struct sim *s, struct thread *by, struct thread *sleeper)
{
	if (!sleeper->is_asleep || sleeper->is_woken)
		return;
	emit(s, by, IVM_EV_WAKING, sleeper->tid, 0, 0);
	sleeper->is_woken = true;
}

static void set_bit(struct sim *s, struct thread *t, struct sim_end *end, uint32_t vector)
{
	struct bit *bit = bit_of(end, vector);
	struct thread *target = end->vm->vcpu[end->vector[vector].vcpu];

	bit->busy = 0;
	wake(s, t, target);
	if (target->in_guest && chance(s, 50))
		emit(s, t, IVM_EV_IPI, target->cpu, 0, 0);
}

static void accept_rings(struct sim *s, struct thread *t, struct op *op)
{
	struct sim_vector *v = &op->end->vector[op->vector];
	struct bit *bit = bit_of(op->end, op->vector);
	uint64_t now_ns = emit(s, t, IVM_EV_ACCEPT, v->vcpu, v->irq_vector, 0);
	guint i;

	for (i = 0; i < op->rings->len; i++) {
		struct ring *ring = g_ptr_array_index(op->rings, i);

		ring->accept_ns = now_ns;
		ring->state = RING_ACCEPTED;
		ring->is_racy = bit->was_racy;
		ring->is_shared = op->rings->len > 1;
		g_ptr_array_add(bit->rings, ring);
	}
	bit->busy = has(s, F_RACE) && chance(s, 50) ? op->rings->len : 0;
	if (!bit->busy)
		set_bit(s, t, op->end, op->vector);
}

/*
 * The guest takes one of its interrupts.  While a bit is not set yet its accept
 * has been seen all the same: from then on nobody can tell which of the two
 * an end point belonged to, only how many there were.
 */
static void take_bit(struct sim *s, struct thread *t, struct bit *bit, uint8_t irq_vector)
{
	uint64_t now_ns = emit(s, t, IVM_EV_INJ, irq_vector, 0, 0);
	GPtrArray *rest = g_ptr_array_new();
	guint i;

	for (i = 0; i < bit->rings->len; i++) {
		struct ring *ring = g_ptr_array_index(bit->rings, i);

		if (i + bit->busy >= bit->rings->len) {
			bit->was_racy = true;
			g_ptr_array_add(rest, ring);
			continue;
		}
		ring->state = i ? RING_COALESCED : RING_DELIVERED;
		ring->end_ns = now_ns;
	}
	g_ptr_array_unref(bit->rings);
	bit->rings = rest;
	for (i = 0; bit->was_racy && i < s->rings->len; i++) {
		struct ring *ring = g_ptr_array_index(s->rings, i);

		if (ring->from && ring->vector < VECTORS &&
		    bit_of(ring->from->peer, ring->vector) == bit)
			ring->is_racy = true;
	}
}

static bool is_set(const struct bit *bit)
{
	return bit->rings->len > bit->busy;
}

static int pending_bit(struct sim *s, const struct thread *t)
{
	unsigned int start = pick(s, MAX_LINKS * 2 * VECTORS);
	unsigned int i;

	for (i = 0; i < MAX_LINKS * 2 * VECTORS; i++) {
		unsigned int at = (start + i) % (MAX_LINKS * 2 * VECTORS);

		if (is_set(&t->vm->bits[t->vcpu][at]))
			return at;
	}
	return -1;
}

static void take(struct sim *s, struct thread *t)
{
	int at = pending_bit(s, t);

	if (at >= 0)
		take_bit(s, t, &t->vm->bits[t->vcpu][at], IDT_BASE + at);
}

/* INIT takes what is pending with it */
static void init_vcpu(struct sim *s, struct thread *t, uint32_t vcpu)
{
	unsigned int i;
	guint r;

	for (i = 0; i < MAX_LINKS * 2 * VECTORS; i++)
		if (t->vm->bits[vcpu][i].busy)
			return;
	emit(s, t, IVM_EV_ACCEPT, vcpu, 0, INIT_MODE);
	for (i = 0; i < MAX_LINKS * 2 * VECTORS; i++) {
		struct bit *bit = &t->vm->bits[vcpu][i];

		for (r = 0; r < bit->rings->len; r++)
			((struct ring *)g_ptr_array_index(bit->rings, r))->state = RING_DROPPED;
		g_ptr_array_set_size(bit->rings, 0);
	}
}

/* ---- doorbells ---- */

static void hold(struct ring *ring, GPtrArray *held)
{
	ring->state = RING_HELD;
	g_ptr_array_add(held, ring);
}

/* Rings become one interrupt, the oldest first */
static GPtrArray *take_all(GPtrArray **rings)
{
	GPtrArray *taken = *rings;

	*rings = g_ptr_array_new();
	return taken;
}

static GPtrArray *just(struct ring *ring)
{
	GPtrArray *rings = g_ptr_array_new();

	g_ptr_array_add(rings, ring);
	return rings;
}

/* The eventfd is signalled: KVM injects, defers, or QEMU finds it in the eventfd */
static void signal_end(struct sim *s, struct thread *t, struct op *op)
{
	struct sim_vector *v = &op->end->vector[op->vector];
	struct ring *ring = g_ptr_array_index(op->rings, 0);
	uint64_t work = 0xff000000u + op->end->end->id * VECTORS + op->vector;

	if (v->is_refused) {
		g_ptr_array_add(v->heard, ring);
		return;
	}
	if (v->is_masked) {
		hold(ring, v->held);
		return;
	}
	if (!v->work_is_queued && !(has(s, F_DEFER) && chance(s, 20))) {
		raise_rings(t, op->end, op->vector, just(ring), false);
		return;
	}
	g_ptr_array_add(v->work, ring);
	if (v->work_is_queued)
		return;
	v->work_is_queued = true;
	emit(s, t, IVM_EV_QUEUE_WORK, work, 0, 0);
	op = then(g_ptr_array_index(s->threads, 0), OP_WORK, op->end, op->vector);
	op->event.a = work;
}

static void run_work(struct sim *s, struct thread *t, struct op *op)
{
	struct sim_vector *v = &op->end->vector[op->vector];

	emit(s, t, IVM_EV_WORK_START, op->event.a, 0, 0);
	v->work_is_queued = false;
	v->work_runs = true;
	first(t, OP_WORK_END, op->end, op->vector)->event.a = op->event.a;
	raise_rings(t, op->end, op->vector, take_all(&v->work), false);
}

static void push_message(struct sim_end *to, uint64_t seq, uint32_t vector, GPtrArray *rings)
{
	struct message *m = g_new0(struct message, 1);

	m->seq = seq;
	m->vector = vector;
	m->rings = rings;
	g_queue_push_tail(&to->socket, m);
}

static void send_return(struct thread *t, uint32_t fd, uint64_t result)
{
	first(t, OP_EMIT, NULL, 0)->event = (struct ivm_event) {
		.type = IVM_EV_SENDMSG_RET, .a = result, .c = fd
	};
}

/* The device writes the socket, unless it is full or was and has not been flushed */
static void send_ring(struct sim *s, struct thread *t, struct op *op)
{
	struct sim_end *from = op->end->peer;
	struct ring *ring = g_ptr_array_index(op->rings, 0);
	uint32_t fd = from->end->page.socket_fd;

	if (from->is_blocked) {
		hold(ring, op->end->vector[op->vector].unsent);
		return;
	}
	emit(s, t, IVM_EV_SENDMSG, from->next_seq, from->next_seq, fd);
	if (has(s, F_FULL) && op->end->socket.length >= SOCKET_MESSAGES) {
		from->is_blocked = true;
		hold(ring, op->end->vector[op->vector].unsent);
		send_return(t, fd, EAGAIN_RESULT);
		return;
	}
	push_message(op->end, from->next_seq++, op->vector, just(ring));
	wake(s, t, op->end->vm->loop);
	send_return(t, fd, 32);
}

/*
 * What a full socket made the device hold leaves from the main loop, vector by
 * vector.  Which vector a message is for cannot be seen: there is room for all.
 */
static void flush(struct sim *s, struct thread *t, struct op *op)
{
	struct sim_end *to = op->end;
	uint32_t fd = to->peer->end->page.socket_fd;
	uint32_t v;

	for (v = 0; v < VECTORS; v++)
		if (to->vector[v].unsent->len)
			break;
	if (v == VECTORS) {
		to->peer->is_blocked = false;
		return;
	}
	emit(s, t, IVM_EV_SENDMSG, to->peer->next_seq, to->peer->next_seq, fd);
	push_message(to, to->peer->next_seq++, v, take_all(&to->vector[v].unsent));
	wake(s, t, to->vm->loop);
	first(t, OP_FLUSH, to, 0);
	send_return(t, fd, 32);
}

/* The main loop has read some messages: they are handled one by one */
static void receive(struct sim *s, struct thread *t, struct op *op)
{
	unsigned int most = 1 + pick(s, 3);
	unsigned int count = MIN(most, op->end->socket.length);
	uint64_t first_seq = ((struct message *)g_queue_peek_head(&op->end->socket))->seq;
	g_autoptr(GPtrArray) messages = g_ptr_array_new();
	guint i;

	for (i = 0; i < count; i++)
		g_ptr_array_add(messages, g_queue_pop_head(&op->end->socket));
	emit(s, t, IVM_EV_RECVMSG, first_seq, first_seq + count - 1, op->end->end->page.socket_fd);
	for (i = count; i > 0; i--) {
		struct message *m = g_ptr_array_index(messages, i - 1);

		first(t, OP_RAISE, op->end, m->vector)->rings = m->rings;
		g_free(m);
	}
}

/* QEMU has it: raised, or held by the mask */
static void raise_message(struct thread *t, struct op *op)
{
	struct sim_vector *v = &op->end->vector[op->vector];
	guint i;

	if (!v->is_masked) {
		raise_rings(t, op->end, op->vector, g_ptr_array_ref(op->rings), true);
		return;
	}
	for (i = 0; i < op->rings->len; i++)
		hold(g_ptr_array_index(op->rings, i), v->held);
}

static GPtrArray *take_heard(struct sim *s, struct thread *t, struct op *op)
{
	struct sim_vector *v = &op->end->vector[op->vector];

	emit(s, t, IVM_EV_READ, v->heard->len, 0, heard_fd_of(op->end, op->vector));
	return take_all(&v->heard);
}

static void hold_all(struct sim_vector *v, GPtrArray *rings)
{
	guint i;

	for (i = 0; i < rings->len; i++)
		hold(g_ptr_array_index(rings, i), v->held);
	g_ptr_array_unref(rings);
}

/* The main loop reads an eventfd: once for all that is in it */
static void read_eventfd(struct sim *s, struct thread *t, struct op *op)
{
	struct sim_vector *v = &op->end->vector[op->vector];

	if (!v->heard->len)
		return;
	if (v->is_masked)
		hold_all(v, take_heard(s, t, op));
	else
		raise_rings(t, op->end, op->vector, take_heard(s, t, op), true);
}

/* The guest masks, or unmasks: then its QEMU raises what was held, on this thread */
static void toggle_mask(struct sim *s, struct thread *t, struct op *op)
{
	struct sim_vector *v = &op->end->vector[op->vector];

	v->is_masked = !v->is_masked;
	/* It tries again to give the eventfd to KVM, and empties it first */
	if (!v->is_masked && v->heard->len)
		hold_all(v, take_heard(s, t, op));
	if (!v->is_masked && v->held->len)
		raise_rings(t, op->end, op->vector, take_all(&v->held), true);
}

static void dispatch(struct sim *s, struct thread *t, struct op *op)
{
	struct sim_end *from = op->end;
	struct ring *ring = g_new0(struct ring, 1);
	struct op *next;

	g_ptr_array_add(s->rings, ring);
	ring->vector = op->vector;
	ring->from = from;
	ring->dispatch_ns = emit(s, t, IVM_EV_MMIO,
				 from->end->page.bar0_address + IVM_DOORBELL(op->vector),
				 s->rings->len, 4);
	if (op->vector >= VECTORS) {
		ring->state = RING_DROPPED;
		return;
	}
	if (from->mode == IVM_MODE_DIRECT) {
		first(t, OP_FAST, from, op->vector);
		next = first(t, OP_SIGNAL, from->peer, op->vector);
	} else {
		first(t, OP_UNLOCK, NULL, 0);
		next = first(t, from->mode == IVM_MODE_QEMU ? OP_SEND : OP_SIGNAL, from->peer,
			     op->vector);
		/*
		 * Whether one that waits for QEMU's lock while the device flushes was
		 * held before or after that cannot be seen: let it not wait then.
		 */
		if (!has(s, F_FULL))
			first(t, OP_LOCK, NULL, 0);
		first(t, OP_EMIT, NULL, 0)->event = (struct ivm_event) {
			.type = IVM_EV_USER_EXIT, .a = 6
		};
		if (has(s, F_FULL))
			first(t, OP_LOCK, NULL, 0);
	}
	next->rings = just(ring);
}

static void signal_ring(struct sim *s, struct thread *t, struct op *op)
{
	if (op->end->mode == IVM_MODE_DIRECT) {
		emit(s, t, IVM_EV_SIGNAL, 0xffff, op->end->end->id, 0);
	} else {
		emit(s, t, IVM_EV_WRITE, 0, 0, fd_of(op->end->peer, op->vector));
		emit(s, t, IVM_EV_EVENTFD_WRITE, 0xffff, op->end->end->id, 0);
	}
	signal_end(s, t, op);
}

/* ---- threads ---- */

static void run_op(struct sim *s, struct thread *t, struct op *op)
{
	const struct ivm_event *e = &op->event;

	switch (op->kind) {
	case OP_EMIT:
		emit(s, t, e->type, e->a, e->b, e->c);
		g_array_index(s->events, struct ivm_event, s->events->len - 1).flags |= e->flags;
		break;
	case OP_DISPATCH:
		dispatch(s, t, op);
		break;
	case OP_LOCK:
		t->vm->bql = t;
		break;
	case OP_UNLOCK:
		t->vm->bql = NULL;
		break;
	case OP_SEND:
		send_ring(s, t, op);
		break;
	case OP_SIGNAL:
		signal_ring(s, t, op);
		break;
	case OP_FAST:
		if (chance(s, 50))
			emit(s, t, IVM_EV_FAST_MMIO, 0, 0, 0);
		break;
	case OP_ROUTE:
		s->shows_routes = true;
		emit(s, t, IVM_EV_MSI,
		     msi_address(op->end, op->vector) & (op->by_qemu ? 0xfffff : ~0ull),
		     op->end->vector[op->vector].irq_vector, 0);
		break;
	case OP_ACCEPT:
		accept_rings(s, t, op);
		break;
	case OP_SET:
		if (bit_of(op->end, op->vector)->busy)
			set_bit(s, t, op->end, op->vector);
		break;
	case OP_TAKE:
		take(s, t);
		break;
	case OP_ENTER:
		emit(s, t, IVM_EV_ENTRY, 0, 0, 0);
		t->in_guest = true;
		break;
	case OP_SLEEP:
		if (pending_bit(s, t) >= 0)
			break;
		emit(s, t, IVM_EV_SWITCH_OUT, 0, 0, 0);
		t->is_asleep = true;
		break;
	case OP_MASK:
		toggle_mask(s, t, op);
		break;
	case OP_INIT:
		init_vcpu(s, t, op->vector);
		break;
	case OP_RECEIVE:
		receive(s, t, op);
		break;
	case OP_RAISE:
		raise_message(t, op);
		break;
	case OP_READ:
		read_eventfd(s, t, op);
		break;
	case OP_FLUSH:
		flush(s, t, op);
		break;
	case OP_WORK:
		run_work(s, t, op);
		break;
	case OP_WORK_END:
		emit(s, t, IVM_EV_WORK_END, e->a, 0, 0);
		op->end->vector[op->vector].work_runs = false;
		break;
	}
}

/*
 * One interrupt at a time is on its way into a bit, one thread has QEMU's lock,
 * and an irqfd is only detached when its work is done.
 */
static bool must_wait(const struct thread *t)
{
	const struct op *op = g_queue_peek_head((GQueue *)&t->ops);
	const struct sim_vector *v;

	if (!op)
		return false;
	if (op->kind == OP_LOCK)
		return t->vm->bql;
	if (op->kind == OP_MASK) {
		v = &op->end->vector[op->vector];
		return v->work_is_queued || v->work_runs;
	}
	return op->kind == OP_ACCEPT && bit_of(op->end, op->vector)->busy;
}

static void leave(struct sim *s, struct thread *t)
{
	t->in_guest = false;
	emit(s, t, IVM_EV_EXIT, 0x400, 2, 0);
}

static void enter(struct thread *t)
{
	then(t, OP_TAKE, NULL, 0);
	then(t, OP_ENTER, NULL, 0);
}

/* A timer of no vCPU that links ring, with a vector that they have */
static void expire_timer(struct sim *s, struct thread *t)
{
	/* Before the first route nobody knows that this host shows them */
	if (has(s, F_REFUSED) && !s->shows_routes)
		return;
	then(t, OP_EMIT, NULL, 0)->event = (struct ivm_event) {
		.type = IVM_EV_ACCEPT, .a = MAX_VCPUS + t->vcpu,
		.b = IDT_BASE + pick(s, 2 * VECTORS),
		.flags = chance(s, 50) ? IVM_EV_F_HARDIRQ : 0
	};
}

static void ring_one(struct sim *s, struct thread *t)
{
	struct sim_end *from;
	uint32_t vector;

	if (!t->vm->ends->len || !s->rings_left)
		return;
	from = g_ptr_array_index(t->vm->ends, pick(s, t->vm->ends->len));
	vector = has(s, F_BEYOND) && chance(s, 3) ? VECTORS + pick(s, 3) : pick(s, VECTORS);
	s->rings_left--;
	leave(s, t);
	then(t, OP_DISPATCH, from, vector);
	if (has(s, F_TIMER) && chance(s, 20))
		expire_timer(s, t);
	enter(t);
}

static void mask_one(struct sim *s, struct thread *t, struct sim_end *end, uint32_t vector)
{
	leave(s, t);
	then(t, OP_EMIT, NULL, 0)->event = (struct ivm_event) {
		.type = IVM_EV_MMIO, .a = MSIX_TABLE, .c = 4
	};
	then(t, OP_EMIT, NULL, 0)->event = (struct ivm_event) {
		.type = IVM_EV_USER_EXIT, .a = 6
	};
	then(t, OP_LOCK, NULL, 0);
	then(t, OP_MASK, end, vector);
	then(t, OP_UNLOCK, NULL, 0);
	enter(t);
	(void)s;
}

static void mask_any(struct sim *s, struct thread *t)
{
	if (t->vm->ends->len)
		mask_one(s, t, g_ptr_array_index(t->vm->ends, pick(s, t->vm->ends->len)),
			 pick(s, VECTORS));
}


static void decide_in_guest(struct sim *s, struct thread *t)
{
	unsigned int what = pick(s, 100);

	if (pending_bit(s, t) >= 0) {
		if (has(s, F_FLOOD) && chance(s, 80))
			return;
		leave(s, t);
		enter(t);
	} else if (what < 40) {
		ring_one(s, t);
	} else if (what < 50 && has(s, F_SLEEP)) {
		leave(s, t);
		then(t, OP_SLEEP, NULL, 0);
	} else if (what < 54 && has(s, F_MASK)) {
		mask_any(s, t);
	} else if (what < 60 && has(s, F_TIMER)) {
		leave(s, t);
		expire_timer(s, t);
		enter(t);
	} else if (what < 61 && has(s, F_INIT) && t->vm->vcpus > 1) {
		leave(s, t);
		then(t, OP_INIT, NULL, (t->vcpu + 1) % t->vm->vcpus);
		enter(t);
	}
}

static void decide_vcpu(struct sim *s, struct thread *t)
{
	if (t->is_asleep) {
		if (!t->is_woken)
			return;
		t->is_asleep = t->is_woken = false;
		emit(s, t, IVM_EV_SWITCH_IN, 0, 0, 0);
		emit(s, t, IVM_EV_UNHALT, 1000, 1, 1);
		enter(t);
	} else if (t->in_guest) {
		decide_in_guest(s, t);
	} else {
		enter(t);
	}
}

/* What a busy main loop has not come to read yet gets more */
static void decide_read(struct sim *s, struct thread *t, struct sim_end *end)
{
	uint32_t vector = has(s, F_REFUSED) ? pick(s, VECTORS) : 0;

	if (!end->vector[vector].heard->len || !chance(s, 30))
		return;
	t->is_asleep = t->is_woken = false;
	then(t, OP_LOCK, NULL, 0);
	then(t, OP_READ, end, vector);
	then(t, OP_UNLOCK, NULL, 0);
}

static void decide_loop(struct sim *s, struct thread *t)
{
	guint i;

	if (t->is_asleep && t->is_woken) {
		t->is_asleep = t->is_woken = false;
		emit(s, t, IVM_EV_SWITCH_IN, 0, 0, 0);
	}
	for (i = 0; i < t->vm->ends->len && !t->ops.length; i++) {
		struct sim_end *end = g_ptr_array_index(t->vm->ends, i);

		if (end->socket.length && !t->is_asleep) {
			then(t, OP_LOCK, NULL, 0);
			then(t, OP_RECEIVE, end, 0);
			then(t, OP_UNLOCK, NULL, 0);
		} else if (end->is_blocked &&
			   end->peer->socket.length + VECTORS <= SOCKET_MESSAGES) {
			t->is_asleep = t->is_woken = false;
			then(t, OP_LOCK, NULL, 0);
			then(t, OP_FLUSH, end->peer, 0);
			then(t, OP_UNLOCK, NULL, 0);
		} else {
			decide_read(s, t, end);
		}
	}
	if (!t->ops.length && !t->is_asleep && has(s, F_SLEEP) && chance(s, 50)) {
		emit(s, t, IVM_EV_SWITCH_OUT, 0, 0, 0);
		t->is_asleep = true;
	}
}

static void run_thread(struct sim *s, struct thread *t)
{
	struct op *op;

	if (must_wait(t))
		return;
	op = g_queue_pop_head(&t->ops);
	if (op) {
		run_op(s, t, op);
		op_free(op);
	} else if (t->vcpu >= 0) {
		decide_vcpu(s, t);
	} else if (t->vm) {
		decide_loop(s, t);
	}
}

/* ---- building and running a host ---- */

static struct thread *add_thread(struct sim *s, struct sim_vm *vm, uint32_t tid, int vcpu)
{
	struct thread *t = g_new0(struct thread, 1);

	t->vm = vm;
	t->tid = tid;
	t->cpu = tid % 7;
	t->vcpu = vcpu;
	t->in_guest = vcpu >= 0;
	g_ptr_array_add(s->threads, t);
	return t;
}

static void add_vm(struct sim *s)
{
	struct sim_vm *vm = &s->vms[s->vm_count];
	pid_t tgid = 100 * (1 + s->vm_count++);
	int v;
	unsigned int i;

	vm->vm = ivm_topology_add_vm(s->topology, tgid, 1, NULL);
	vm->vcpus = 1 + pick(s, MAX_VCPUS);
	vm->ends = g_ptr_array_new();
	vm->loop = add_thread(s, vm, tgid, -1);
	for (v = 0; v < MAX_VCPUS; v++)
		for (i = 0; i < MAX_LINKS * 2 * VECTORS; i++)
			vm->bits[v][i].rings = g_ptr_array_new();
	for (v = 0; v < vm->vcpus; v++) {
		vm->vcpu[v] = add_thread(s, vm, tgid + 1 + v, v);
		ivm_topology_set_vcpu(s->topology, vm->vm, v, tgid + 1 + v);
	}
}

/* Ends of different VMs are clones of each other; those of one VM differ */
static struct sim_end *add_end(struct sim *s, struct sim_vm *vm, uint32_t mode)
{
	struct sim_end *end = g_new0(struct sim_end, 1);
	uint32_t v;

	end->vm = vm;
	end->mode = mode;
	end->next_seq = 1;
	for (v = 0; v < VECTORS; v++) {
		end->vector[v].vcpu = pick(s, vm->vcpus);
		end->vector[v].irq_vector = IDT_BASE + vm->ends->len * VECTORS + v;
		end->vector[v].is_refused = mode != IVM_MODE_QEMU && has(s, F_REFUSED) &&
					    chance(s, 30);
		end->vector[v].heard = g_ptr_array_new();
		end->vector[v].held = g_ptr_array_new();
		end->vector[v].work = g_ptr_array_new();
		end->vector[v].unsent = g_ptr_array_new();
	}
	g_ptr_array_add(vm->ends, end);
	g_ptr_array_add(s->ends, end);
	return end;
}

static void describe_end(struct sim *s, struct sim_end *end, uint64_t link_id, uint32_t side)
{
	struct ivm_linkpage page = { .magic = IVM_LINKPAGE_MAGIC, .version = IVM_LINKPAGE_VERSION,
				     .bytes = sizeof(page), .link_id = link_id, .up = 1,
				     .side = side, .accel = IVM_ACCEL_KVM };
	uint32_t id = s->topology->ends->len + 1, v;

	page.bar0_address = BAR0(end->vm->ends->len);
	page.mode_configured = page.mode_tx = page.mode_rx = end->mode;
	page.vectors = page.peer_vectors = VECTORS;
	page.socket_fd = end->mode == IVM_MODE_QEMU ? (int)(8 + end->vm->ends->len) : -1;
	g_snprintf(page.name, sizeof(page.name), "link%u", (unsigned int)link_id);
	for (v = 0; v < IVM_LINKPAGE_VECTORS; v++)
		page.peer_eventfd[v] = page.vector[v].eventfd = -1;
	for (v = 0; v < VECTORS; v++) {
		page.vector[v].msi_address = msi_address(end, v);
		page.vector[v].msi_data = end->vector[v].irq_vector;
		page.vector[v].flags = IVM_LP_VEC_DELIVERABLE;
		page.vector[v].flags |= end->vector[v].is_refused ? IVM_LP_VEC_QEMU_FALLBACK :
								    IVM_LP_VEC_IRQFD;
		page.vector[v].eventfd = 100 + id * VECTORS + v;
		if (end->mode == IVM_MODE_IRQFD)
			page.peer_eventfd[v] = 20 + id * VECTORS + v;
	}
	end->end = ivm_topology_add_end(s->topology, end->vm->vm, id, &page, 0);
}

static void add_link(struct sim *s, uint64_t link_id)
{
	static const uint32_t modes[] = { IVM_MODE_QEMU, IVM_MODE_IRQFD, IVM_MODE_DIRECT };
	uint32_t mode = modes[pick(s, G_N_ELEMENTS(modes))];
	struct sim_end *a = add_end(s, &s->vms[pick(s, s->vm_count)], mode);
	struct sim_end *b;

	describe_end(s, a, link_id, 0);
	b = add_end(s, &s->vms[pick(s, s->vm_count)], mode);
	describe_end(s, b, link_id, 1);
	a->peer = b;
	b->peer = a;
}

static void sim_free(struct sim *s);

static struct sim *sim_new(uint32_t seed, unsigned int features, unsigned int rings)
{
	struct sim *s = g_new0(struct sim, 1);
	int i;

	s->random = g_rand_new_with_seed(seed);
	s->features = features;
	s->rings_left = rings;
	s->now_ns = 1000;
	s->topology = ivm_topology_new();
	s->events = g_array_new(FALSE, FALSE, sizeof(struct ivm_event));
	s->rings = g_ptr_array_new_with_free_func(g_free);
	s->threads = g_ptr_array_new_with_free_func(g_free);
	s->ends = g_ptr_array_new();
	add_thread(s, NULL, 7, -1);
	for (i = 2 + pick(s, MAX_VMS - 1); i > 0; i--)
		add_vm(s);
	for (i = 1 + pick(s, MAX_LINKS); i > 0; i--)
		add_link(s, i);
	return s;
}

static bool is_quiet(const struct sim *s)
{
	guint i;
	int v;
	unsigned int b;

	for (i = 0; i < s->threads->len; i++)
		if (((struct thread *)g_ptr_array_index(s->threads, i))->ops.length)
			return false;
	for (i = 0; i < s->ends->len; i++) {
		const struct sim_end *end = g_ptr_array_index(s->ends, i);

		if (end->socket.length || end->is_blocked)
			return false;
		for (b = 0; b < VECTORS; b++)
			if (end->vector[b].heard->len)
				return false;
	}
	for (i = 0; i < (guint)s->vm_count; i++)
		for (v = 0; v < s->vms[i].vcpus; v++)
			for (b = 0; b < MAX_LINKS * 2 * VECTORS; b++)
				if (s->vms[i].bits[v][b].rings->len)
					return false;
	return true;
}

static void run_some(struct sim *s)
{
	run_thread(s, g_ptr_array_index(s->threads, pick(s, s->threads->len)));
}

/* The link pages as they are read last */
static void publish_masks(struct sim *s)
{
	guint i;
	uint32_t v;

	for (i = 0; i < s->ends->len; i++) {
		struct sim_end *end = g_ptr_array_index(s->ends, i);
		struct ivm_linkpage page = end->end->page;

		for (v = 0; v < VECTORS; v++)
			if (end->vector[v].is_masked)
				page.vector[v].flags = 0;
		ivm_topology_update_end(s->topology, end->end, &page);
	}
}

static void sim_run(struct sim *s)
{
	unsigned int features = s->features;
	unsigned int steps;

	/* Ringing is what most steps are for: more than that many are no progress */
	for (steps = 0; s->rings_left && steps < 100000; steps++)
		run_some(s);
	s->rings_left = 0;
	if (has(s, F_CUT))
		return;
	s->features &= ~(unsigned int)(F_FLOOD | F_SLEEP | F_MASK | F_TIMER | F_INIT);
	for (steps = 0; !is_quiet(s) && steps < 200000; steps++)
		run_some(s);
	s->features = features;
	assert_true(is_quiet(s));
}

static void message_free(gpointer p)
{
	struct message *m = p;

	g_ptr_array_unref(m->rings);
	g_free(m);
}

static void sim_free(struct sim *s)
{
	guint i;
	int v;
	unsigned int b;

	for (i = 0; i < s->threads->len; i++)
		g_queue_clear_full(&((struct thread *)g_ptr_array_index(s->threads, i))->ops,
				   op_free);
	for (i = 0; i < s->ends->len; i++) {
		struct sim_end *end = g_ptr_array_index(s->ends, i);

		g_queue_clear_full(&end->socket, message_free);
		for (b = 0; b < VECTORS; b++) {
			g_ptr_array_unref(end->vector[b].heard);
			g_ptr_array_unref(end->vector[b].held);
			g_ptr_array_unref(end->vector[b].work);
			g_ptr_array_unref(end->vector[b].unsent);
		}
		g_free(end);
	}
	for (i = 0; i < (guint)s->vm_count; i++) {
		g_ptr_array_unref(s->vms[i].ends);
		for (v = 0; v < MAX_VCPUS; v++)
			for (b = 0; b < MAX_LINKS * 2 * VECTORS; b++)
				g_ptr_array_unref(s->vms[i].bits[v][b].rings);
	}
	g_ptr_array_unref(s->threads);
	g_ptr_array_unref(s->ends);
	g_ptr_array_unref(s->rings);
	g_array_unref(s->events);
	ivm_topology_free(s->topology);
	g_rand_free(s->random);
	g_free(s);
}

/* ---- what the assembler made of it ---- */

struct outcome {
	struct ivm_assemble *a;
	GArray *journeys;
};

static int keep(void *arg, const struct ivm_journey *j)
{
	g_array_append_val((GArray *)arg, *j);
	return 0;
}

/* What a recording does with those that a lost carrier took along */
static int change(void *arg, uint64_t into, enum ivm_outcome outcome)
{
	GArray *journeys = arg;
	guint i;

	for (i = 0; i < journeys->len; i++) {
		struct ivm_journey *j = &g_array_index(journeys, struct ivm_journey, i);

		if (j->outcome == IVM_O_COALESCED && j->into == into)
			j->outcome = outcome;
	}
	return 0;
}

/* @run_every: events are worked off in portions of so many */
static struct outcome assemble(const struct sim *s, const GArray *events, guint run_every)
{
	struct outcome o = { .journeys = g_array_new(FALSE, FALSE, sizeof(struct ivm_journey)) };
	guint i;

	o.a = ivm_assemble_new(s->topology, keep, o.journeys);
	ivm_assemble_on_fate(o.a, change);
	for (i = 0; i < events->len; i++) {
		const struct ivm_event *e = &g_array_index(events, struct ivm_event, i);

		ivm_assemble_event(o.a, e);
		if (i % run_every == 0)
			ivm_assemble_run(o.a, e->t_ns);
	}
	return o;
}

static void finish(struct sim *s, struct outcome *o)
{
	ivm_assemble_run(o->a, UINT64_MAX);
	publish_masks(s);
	if (has(s, F_KILL))
		ivm_topology_vm_gone(s->topology, s->vms[0].vm);
	assert_int_equal(ivm_assemble_finish(o->a), 0);
}

static void outcome_clear(struct outcome *o)
{
	ivm_assemble_free(o->a);
	g_array_unref(o->journeys);
}

/* ---- comparing ---- */

static char why[512];

static bool wrong(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static bool wrong(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);
	return false;
}

/* Each doorbell once, each with its outcome, and the counts say what the journeys say */
static bool closes(const struct outcome *o)
{
	g_autoptr(GHashTable) ids = g_hash_table_new(g_int64_hash, g_int64_equal);
	const GPtrArray *rows = ivm_assemble_counts(o->a);
	uint64_t rung = 0, settled = 0;
	guint i;

	for (i = 0; i < rows->len; i++) {
		const struct ivm_counts *c = g_ptr_array_index(rows, i);

		rung += c->rung;
		settled += c->delivered + c->coalesced + c->masked + c->dropped + c->unfinished;
		if (c->rung !=
		    c->delivered + c->coalesced + c->masked + c->dropped + c->unfinished)
			return wrong("end %u vector %u: counts do not close", c->from_end,
				     c->vector);
	}
	for (i = 0; i < o->journeys->len; i++) {
		struct ivm_journey *j = &g_array_index(o->journeys, struct ivm_journey, i);

		if (j->outcome == IVM_O_PENDING)
			return wrong("journey %" PRIu64 " has no outcome", (uint64_t)j->id);
		if (!g_hash_table_add(ids, &j->id))
			return wrong("journey %" PRIu64 " comes twice", (uint64_t)j->id);
	}
	if (rung != o->journeys->len || rung != settled)
		return wrong("%" PRIu64 " rung, %u journeys", rung, o->journeys->len);
	return true;
}

struct sums {
	uint64_t rung;
	uint64_t delivered;
	uint64_t coalesced;
	uint64_t dropped;
	uint64_t left;
	uint64_t under_way;		/* of these; may be part of a past interrupt */
};

static bool is_for_the_dead(const struct sim *s, const struct ring *ring)
{
	return has(s, F_KILL) && ring->vector < VECTORS && ring->from->peer->vm == &s->vms[0];
}

static struct sums true_sums(const struct sim *s, const struct ivm_counts *c)
{
	struct sums sums = { 0 };
	guint i;

	for (i = 0; i < s->rings->len; i++) {
		const struct ring *ring = g_ptr_array_index(s->rings, i);

		if (ring->from->end->id != c->from_end || ring->vector != c->vector)
			continue;
		sums.rung++;
		sums.delivered += ring->state == RING_DELIVERED;
		sums.coalesced += ring->state == RING_COALESCED;
		if (ring->state == RING_DROPPED ||
		    (ring->state < RING_DELIVERED && is_for_the_dead(s, ring)))
			sums.dropped++;
		else
			sums.left += ring->state < RING_DELIVERED;
		sums.under_way += ring->state == RING_UNDER_WAY;
	}
	return sums;
}

static bool counts_are_true(const struct sim *s, const struct outcome *o)
{
	const GPtrArray *rows = ivm_assemble_counts(o->a);
	uint64_t rung = 0;
	guint i;

	for (i = 0; i < rows->len; i++) {
		const struct ivm_counts *c = g_ptr_array_index(rows, i);
		struct sums sums = true_sums(s, c);

		rung += sums.rung;
		if (c->rung != sums.rung || c->delivered != sums.delivered ||
		    c->coalesced < sums.coalesced ||
		    c->coalesced > sums.coalesced + sums.under_way ||
		    c->dropped != sums.dropped || c->coalesced + c->masked + c->unfinished !=
							  sums.coalesced + sums.left)
			return wrong("end %u vector %u: rung %" PRIu64 " (%" PRIu64 ") delivered %"
				     PRIu64 " (%" PRIu64 ") coalesced %" PRIu64 " (%" PRIu64
				     ") dropped %" PRIu64 " (%" PRIu64 ") masked %" PRIu64
				     " + unfinished %" PRIu64 " (%" PRIu64 "); the truth in ()",
				     c->from_end, c->vector, c->rung, sums.rung, c->delivered,
				     sums.delivered, c->coalesced, sums.coalesced, c->dropped,
				     sums.dropped, c->masked, c->unfinished, sums.left);
		if (!has(s, F_CUT) && c->unfinished)
			return wrong("end %u vector %u: %" PRIu64 " unfinished on a quiet host",
				     c->from_end, c->vector, c->unfinished);
	}
	if (rung != s->rings->len)
		return wrong("%u rung, %" PRIu64 " counted", s->rings->len, rung);
	return true;
}

static uint64_t end_of(const struct ivm_journey *j)
{
	return j->t_ns[IVM_P_INJECT] ? j->t_ns[IVM_P_INJECT] : j->t_ns[IVM_P_EOI_STANDIN];
}

/* Did this doorbell's journey go where the doorbell went? */
static bool is_paired_right(const struct ring *ring, const struct ivm_journey *j)
{
	if (j->t_ns[IVM_P_DISPATCH] != ring->dispatch_ns)
		return wrong("doorbell %u: not its dispatch", j->cookie);
	if (j->t_ns[IVM_P_ACCEPT] && j->t_ns[IVM_P_ACCEPT] != ring->accept_ns)
		return wrong("doorbell %u: accept at %" PRIu64 ", in truth at %" PRIu64, j->cookie,
			     (uint64_t)j->t_ns[IVM_P_ACCEPT], ring->accept_ns);
	if (j->outcome == IVM_O_DELIVERED && end_of(j) != ring->end_ns)
		return wrong("doorbell %u: ends at %" PRIu64 ", in truth at %" PRIu64, j->cookie,
			     end_of(j), ring->end_ns);
	return true;
}

static bool is_true(const struct ring *ring, const struct ivm_journey *j)
{
	static const enum ivm_mode modes[] = {
		[IVM_MODE_QEMU] = IVM_M_QEMU,
		[IVM_MODE_IRQFD] = IVM_M_IRQFD,
		[IVM_MODE_DIRECT] = IVM_M_DIRECT,
	};
	int p;
	uint64_t last_ns = 0;

	if (!is_paired_right(ring, j))
		return false;
	if (ring->is_shared && (j->outcome == IVM_O_DELIVERED || j->outcome == IVM_O_COALESCED))
		return ring->state == RING_DELIVERED || ring->state == RING_COALESCED;
	if ((j->outcome == IVM_O_DELIVERED) != (ring->state == RING_DELIVERED) ||
	    (j->outcome == IVM_O_COALESCED) != (ring->state == RING_COALESCED))
		return wrong("doorbell %u: outcome %u, in truth %d", j->cookie, j->outcome,
			     ring->state);
	if (j->flags & IVM_J_CONTENDED)
		return wrong("doorbell %u: contended, and nothing was", j->cookie);
	if (ring->state >= RING_ACCEPTED && ring->state != RING_DROPPED &&
	    j->mode != modes[ring->from->mode])
		return wrong("doorbell %u: mode %u, in truth %u", j->cookie, j->mode,
			     modes[ring->from->mode]);
	for (p = 0; p < IVM_POINTS; p++) {
		if (j->t_ns[p] && j->t_ns[p] < last_ns)
			return wrong("doorbell %u: points out of order", j->cookie);
		last_ns = MAX(last_ns, j->t_ns[p]);
	}
	return true;
}

static const struct ring *ring_of(const struct sim *s, const struct ivm_journey *j)
{
	if (!j->cookie || j->cookie > s->rings->len)
		return NULL;
	return g_ptr_array_index(s->rings, j->cookie - 1);
}

static bool journeys_are_true(const struct sim *s, const struct outcome *o)
{
	guint i;

	for (i = 0; i < o->journeys->len; i++) {
		const struct ivm_journey *j = &g_array_index(o->journeys, struct ivm_journey, i);
		const struct ring *ring = ring_of(s, j);

		if (!ring)
			return wrong("a doorbell %u that nobody rang", j->cookie);
		if (!ring->is_racy && ring->state != RING_UNDER_WAY && !is_true(ring, j))
			return false;
	}
	return true;
}

/* Nothing was lost here, so nothing may seem to be */
static bool nothing_is_lost(const struct outcome *o)
{
	const struct ivm_assemble_stats *st = ivm_assemble_stats(o->a);

	if (st->unmatched || st->before_start || st->disordered || st->late || st->stream_gaps)
		return wrong("%" PRIu64 " unmatched, %" PRIu64 " before start, %" PRIu64
			     " disordered, %" PRIu64 " late, %" PRIu64 " gaps", st->unmatched,
			     st->before_start, st->disordered, st->late, st->stream_gaps);
	return true;
}

static bool stream_is_true(struct sim *s, guint run_every)
{
	struct outcome o = assemble(s, s->events, run_every);
	bool ok;

	finish(s, &o);
	ok = closes(&o) && counts_are_true(s, &o) && journeys_are_true(s, &o) &&
	     nothing_is_lost(&o);
	outcome_clear(&o);
	return ok;
}

/* ---- lost events ---- */

/* Does the report say that something is missing? */
static bool shows_loss(const struct outcome *o)
{
	const struct ivm_assemble_stats *st = ivm_assemble_stats(o->a);
	const GPtrArray *rows = ivm_assemble_counts(o->a);
	uint64_t unfinished = 0;
	guint i;

	for (i = 0; i < rows->len; i++)
		unfinished += ((struct ivm_counts *)g_ptr_array_index(rows, i))->unfinished;
	return unfinished || st->unmatched || st->before_start || st->not_rings ||
	       st->disordered || st->stream_gaps;
}

static bool is_doorbell(const struct ivm_event *e)
{
	return e->type == IVM_EV_MMIO && e->a != MSIX_TABLE;
}

static guint count_doorbells(const GArray *events)
{
	guint i, count = 0;

	for (i = 0; i < events->len; i++)
		count += is_doorbell(&g_array_index(events, struct ivm_event, i));
	return count;
}

/* Some doorbell's journey that did not go where the doorbell went, or NULL */
static const struct ivm_journey *wrong_pairing(const struct sim *s, const struct outcome *o)
{
	guint i;

	for (i = 0; i < o->journeys->len; i++) {
		const struct ivm_journey *j = &g_array_index(o->journeys, struct ivm_journey, i);
		const struct ring *ring = ring_of(s, j);

		if (ring && !ring->is_racy && j->outcome == IVM_O_DELIVERED &&
		    !(j->flags & IVM_J_CONTENDED) && !is_paired_right(ring, j))
			return j;
	}
	return NULL;
}

/*
 * Every doorbell that was seen is there.  If one event was lost, and no more, then
 * whatever went wrong by that does not look complete.
 */
static bool loss_is_told(struct sim *s, const GArray *events, bool is_one)
{

	struct outcome o = assemble(s, events, 1000);
	bool ok;

	finish(s, &o);
	ok = closes(&o);
	if (ok && o.journeys->len != count_doorbells(events))
		ok = wrong("%u doorbells, %u journeys", count_doorbells(events),
			   o.journeys->len);
	if (ok && is_one && !shows_loss(&o))
		ok = !wrong_pairing(s, &o);
	outcome_clear(&o);
	return ok;
}

/*
 * An end point that is not seen looks as if the next one of its bit had taken its
 * rings along; a ring that is not seen to be accepted, as if it were masked or
 * waited for a worker.  There only the source can tell that it lost something.
 */
static bool is_missed(const struct sim *s, uint8_t type)
{
	if (type == IVM_EV_INJ || type == IVM_EV_EOI || has(s, F_MASK))
		return false;
	/* Without exits and entries a doorbell seems open until the next one is rung */
	if (has(s, F_STANDIN) && type == IVM_EV_MMIO)
		return false;
	return !has(s, F_DEFER) || (type != IVM_EV_MSI && type != IVM_EV_ACCEPT);
}

static GArray *lose(struct sim *s, unsigned int permille)
{
	GArray *left = g_array_new(FALSE, FALSE, sizeof(struct ivm_event));
	guint i;

	g_array_append_vals(left, s->events->data, s->events->len);
	i = left->len ? pick(s, left->len) : 0;
	if (!permille && left->len && is_missed(s, g_array_index(left, struct ivm_event, i).type))
		g_array_remove_index(left, i);
	for (i = left->len; i > 0; i--)
		if (pick(s, 1000) < permille)
			g_array_remove_index(left, i - 1);
	return left;
}

/* ---- a stream that failed ---- */

static void print_stream(const struct sim *s, const GArray *events)
{
	struct ivm_replay_writer *w = ivm_replay_writer_new(stderr);
	guint i;

	ivm_replay_write_topology(w, s->topology, 0);
	for (i = 0; i < events->len; i++)
		ivm_replay_write_event(w, &g_array_index(events, struct ivm_event, i));
	ivm_replay_writer_free(w);
}

static void print_truth(const struct sim *s)
{
	static const char *const states[] = { "under way", "held", "accepted", "delivered",
					      "coalesced", "dropped" };
	guint i;

	for (i = 0; i < s->rings->len; i++) {
		const struct ring *ring = g_ptr_array_index(s->rings, i);

		fprintf(stderr, "# doorbell 0x%x: end %u vector %u, dispatch %" PRIu64
			", accept %" PRIu64 ", end %" PRIu64 ": %s%s\n", i + 1,
			ring->from->end->id, ring->vector, ring->dispatch_ns, ring->accept_ns,
			ring->end_ns, states[ring->state], ring->is_racy ? ", racy" : "");
	}
}

static bool seed_is_true(uint32_t seed, unsigned int features, unsigned int rings)
{
	struct sim *s = sim_new(seed, features, rings);
	bool ok;

	sim_run(s);
	ok = stream_is_true(s, 1 + seed % 50);
	sim_free(s);
	return ok;
}

/* The fewest doorbells and the simplest host that still fail */
static void shrink(uint32_t seed, unsigned int *features, unsigned int *rings)
{
	unsigned int bit, fewer;

	for (bit = 1; bit < F_ALL; bit <<= 1)
		if ((*features & bit) && !seed_is_true(seed, *features & ~bit, *rings))
			*features &= ~bit;
	for (fewer = 1; fewer < *rings; fewer++)
		if (!seed_is_true(seed, *features, fewer))
			*rings = fewer;
}

static void fail_seed(uint32_t seed, unsigned int features, unsigned int rings)
{
	struct sim *s;

	shrink(seed, &features, &rings);
	s = sim_new(seed, features, rings);
	sim_run(s);
	stream_is_true(s, 1 + seed % 50);
	fprintf(stderr, "# IVM_SEED=%u: %s\n", seed, why);
	print_truth(s);
	print_stream(s, s->events);
	sim_free(s);
	fail_msg("IVM_SEED=%u (features 0x%x, %u doorbells): %s", seed, features, rings, why);
}

/* ---- tests ---- */

static unsigned int number_of(const char *name, unsigned int otherwise)
{
	const char *text = getenv(name);

	return text ? (unsigned int)strtoul(text, NULL, 0) : otherwise;
}

static void for_each_seed(void (*fn)(uint32_t seed, unsigned int features, unsigned int rings))
{
	uint32_t seed = number_of("IVM_SEED", 1);
	uint32_t count = getenv("IVM_SEED") ? 1 : number_of("IVM_STREAMS", DEFAULT_STREAMS);

	for (; count; seed++, count--) {
		GRand *r = g_rand_new_with_seed(seed ^ 0x5eed);
		unsigned int features = g_rand_int(r) & g_rand_int_range(r, 0, F_ALL + 1);

		fn(seed, features, 1 + g_rand_int_range(r, 0, 40));
		g_rand_free(r);
	}
}

/* Drops events as long as the rest still fails: one after the other is enough here */
static void shrink_events(struct sim *s, GArray *events, bool is_one)
{
	struct ivm_event e;
	guint i;

	for (i = events->len; i > 0 && !is_one; i--) {
		e = g_array_index(events, struct ivm_event, i - 1);
		g_array_remove_index(events, i - 1);
		if (loss_is_told(s, events, is_one))
			g_array_insert_val(events, i - 1, e);
	}
	loss_is_told(s, events, is_one);
}

/* Most often one event is lost, else some of a hundred */
static void check_loss(uint32_t seed, unsigned int features, unsigned int rings)
{
	struct sim *s = sim_new(seed, features & F_ALL & ~(unsigned int)F_KILL, rings);
	g_autoptr(GArray) events = NULL;
	bool is_one = seed % 4;
	guint i;

	sim_run(s);
	events = lose(s, is_one ? 0 : 1 + pick(s, 100));
	if (!loss_is_told(s, events, is_one)) {
		shrink_events(s, events, is_one);
		for (i = 0; is_one && i < events->len; i++)
			if (memcmp(&g_array_index(events, struct ivm_event, i),
				   &g_array_index(s->events, struct ivm_event, i),
				   sizeof(struct ivm_event)))
				break;
		fprintf(stderr, "# IVM_SEED=%u: %s; lost is the event at %" PRIu64 "\n", seed,
			why, (uint64_t)g_array_index(s->events, struct ivm_event, i).t_ns);
		print_truth(s);
		print_stream(s, is_one ? s->events : events);
		fail_msg("IVM_SEED=%u (features 0x%x, %u doorbells): %s", seed, features, rings,
			 why);
	}
	sim_free(s);
}

static void check_truth(uint32_t seed, unsigned int features, unsigned int rings)
{
	if (!seed_is_true(seed, features, rings))
		fail_seed(seed, features, rings);
}

static void check_all(uint32_t seed, unsigned int features, unsigned int rings)
{
	check_truth(seed, features & F_ALL, rings);
}

static void journeys_are_what_happened(void **state)
{
	(void)state;
	for_each_seed(check_all);
}

/*
 * Only the main loop's reads are followed: what comes between a vCPU's own, when it unmasks,
 * and its route is taken for part of it.  Sockets have the other test.
 */
static void check_reads(uint32_t seed, unsigned int features, unsigned int rings)
{
	check_truth(seed, (features & ~(unsigned int)(F_CUT | F_MASK | F_FULL)) | F_REFUSED, rings);
}

static void reads_are_told_apart(void **state)
{
	(void)state;
	for_each_seed(check_reads);
}

static void losses_are_told(void **state)
{
	(void)state;
	for_each_seed(check_loss);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(journeys_are_what_happened),
		cmocka_unit_test(reads_are_told_apart),
		cmocka_unit_test(losses_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
