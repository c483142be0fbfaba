// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What happened in each hop of a journey.
 *
 * A hop has an actor: the thread that has to do something for the next point to
 * be reached.  What was observed on that thread takes its time from the hop,
 * one kind after the other, and nothing is counted twice.
 */
#include <string.h>

#include "explain.h"

static const char *const cause_names[IVM_CAUSES] = IVM_CAUSE_NAMES;
static const char *const softirqs[] = {
	"HI", "TIMER", "NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER",
	"RCU"
};

#define USUAL_MIN_COUNT	10

enum role {
	ROLE_SENDER,		/* the vCPU that rang */
	ROLE_READER,		/* the main loop that reads the link's socket */
	ROLE_WORKER,		/* a kworker: nobody looked at it */
	ROLE_RECEIVER,		/* the vCPU that takes the interrupt */
	ROLE_GUEST,		/* the receiving guest, which holds the vector */
};

struct span {
	uint64_t begin_ns, end_ns;
};

/* One hop while its time is given away */
struct hop {
	struct ivm_slow_journey *s;
	enum ivm_point from, to;
	enum role role;
	uint32_t tid;
	GArray *left;		/* struct span: not given away yet, in order */
};

const char *ivm_cause_name(enum ivm_cause_kind kind)
{
	return cause_names[kind];
}

/* ---- giving time away ---- */

/* Takes what is left between two instants; returns how much that was */
static uint64_t take(struct hop *h, uint64_t begin_ns, uint64_t end_ns)
{
	GArray *left = g_array_new(FALSE, FALSE, sizeof(struct span));
	uint64_t taken = 0;
	guint i;

	for (i = 0; i < h->left->len; i++) {
		const struct span all = g_array_index(h->left, struct span, i);
		const struct span before = { all.begin_ns, MIN(all.end_ns, begin_ns) };
		const struct span after = { MAX(all.begin_ns, end_ns), all.end_ns };
		const struct span met = { MAX(all.begin_ns, begin_ns), MIN(all.end_ns, end_ns) };

		if (met.end_ns <= met.begin_ns) {
			g_array_append_val(left, all);
			continue;
		}
		taken += met.end_ns - met.begin_ns;
		if (before.end_ns > before.begin_ns)
			g_array_append_val(left, before);
		if (after.end_ns > after.begin_ns)
			g_array_append_val(left, after);
	}
	g_array_unref(h->left);
	h->left = left;
	return taken;
}

static uint64_t left_ns(const struct hop *h)
{
	uint64_t sum = 0;
	guint i;

	for (i = 0; i < h->left->len; i++) {
		const struct span *span = &g_array_index(h->left, struct span, i);

		sum += span->end_ns - span->begin_ns;
	}
	return sum;
}

/* @text becomes the cause's; equal ones of several hops are one */
static void give(struct ivm_slow_journey *s, enum ivm_cause_kind kind, uint64_t ns, uint32_t tid,
		 char *text)
{
	const struct ivm_cause cause = { kind, ns, tid, text };
	struct ivm_cause *known;
	guint i;

	for (i = 0; ns && i < s->causes->len; i++) {
		known = &g_array_index(s->causes, struct ivm_cause, i);
		if (known->kind == kind && known->tid == tid && !strcmp(known->text, text)) {
			known->ns += ns;
			ns = 0;
		}
	}
	if (ns)
		g_array_append_val(s->causes, cause);
	else
		g_free(text);
}

/* ---- who acts ---- */

static bool seen(const struct hop *h, enum ivm_point p)
{
	return ivm_seen(&h->s->j, p);
}

static enum role signaller(const struct hop *h)
{
	if (seen(h, IVM_P_WORK))
		return ROLE_WORKER;
	if (seen(h, IVM_P_RECV) || seen(h, IVM_P_RUN))
		return ROLE_READER;
	/* What was held back is raised by the receiving vCPU when it lets go */
	return seen(h, IVM_P_UNMASK) ? ROLE_RECEIVER : ROLE_SENDER;
}

static enum role role_of(const struct hop *h)
{
	switch (h->to) {
	case IVM_P_WAKE:
	case IVM_P_RUN:
	case IVM_P_RECV:
		return ROLE_READER;
	case IVM_P_UNMASK:
		return ROLE_GUEST;
	case IVM_P_WORK:
		return ROLE_WORKER;
	case IVM_P_ROUTE:
	case IVM_P_ACCEPT:
	case IVM_P_KICK:
		return signaller(h);
	default:
		return h->to >= IVM_P_VCPU_EXIT ? ROLE_RECEIVER : ROLE_SENDER;
	}
}

static uint32_t tid_of(const struct hop *h)
{
	switch (h->role) {
	case ROLE_SENDER:
		return h->s->actors.from_tid;
	case ROLE_READER:
		return h->s->actors.to_pid;
	case ROLE_RECEIVER:
		return h->s->actors.to_tid;
	default:
		return 0;
	}
}

static char *who(const struct hop *h)
{
	switch (h->role) {
	case ROLE_READER:
		return g_strdup_printf("receiver's main loop (%u)", h->tid);
	case ROLE_RECEIVER:
		return g_strdup_printf("receiving vCPU %u (%u)", h->s->j.to_vcpu, h->tid);
	default:
		return g_strdup_printf("sending vCPU %u (%u)", h->s->j.from_vcpu, h->tid);
	}
}

/* ---- off the CPU ---- */

static bool is_idle(uint32_t tid, const char *comm)
{
	return !tid && comm[0];
}

static char *task(uint32_t tid, const char *comm)
{
	if (is_idle(tid, comm))
		return g_strdup("the idle CPU");
	return comm[0] ? g_strdup_printf("%s (%u)", comm, tid) : g_strdup("someone");
}

static char *moved(const struct ivm_interval *i)
{
	if (i->cpu == i->to_cpu)
		return g_strdup_printf("CPU %u", i->cpu);
	return g_strdup_printf("CPU %u, moved to CPU %u", i->cpu, i->to_cpu);
}

static void preempted(struct hop *h, const struct ivm_interval *i, uint64_t begin_ns)
{
	g_autofree char *name = who(h), *by = task(i->next_tid, i->next), *cpu = moved(i);
	bool migrated = g_str_has_prefix(i->next, "migration/");
	uint64_t ns = take(h, begin_ns, i->end_ns);

	if (migrated)
		give(h->s, IVM_CAUSE_MIGRATED, ns, h->tid,
		     g_strdup_printf("%s moved from CPU %u to CPU %u by %s", name, i->cpu,
				     i->to_cpu, by));
	else
		give(h->s, IVM_CAUSE_PREEMPTED, ns, h->tid,
		     g_strdup_printf("%s preempted by %s on %s", name, by, cpu));
}

/* Woken, and not running yet */
static void waits_for_cpu(struct hop *h, const struct ivm_interval *i)
{
	g_autofree char *name = who(h), *last = task(i->last_tid, i->last);
	uint64_t ns = take(h, i->wake_ns, i->end_ns);

	if (is_idle(i->last_tid, i->last))
		give(h->s, IVM_CAUSE_ASLEEP, ns, h->tid,
		     g_strdup_printf("%s was asleep: wake-up of the idle CPU %u", name,
				     i->to_cpu));
	else if (g_str_has_prefix(i->last, "migration/"))
		give(h->s, IVM_CAUSE_MIGRATED, ns, h->tid,
		     g_strdup_printf("%s moved to CPU %u by %s", name, i->to_cpu, last));
	else
		give(h->s, IVM_CAUSE_RUN_QUEUE, ns, h->tid,
		     g_strdup_printf("%s woken, waits for CPU %u behind %s", name, i->to_cpu,
				     last));
}

static void sleeps(struct hop *h, const struct ivm_interval *i, uint64_t until_ns)
{
	g_autofree char *name = who(h), *waker = task(i->waker_tid, i->waker);
	uint64_t ns = take(h, i->begin_ns, until_ns);

	if (i->state == IVM_OFF_STOPPED)
		give(h->s, IVM_CAUSE_STOPPED, ns, h->tid,
		     g_strdup_printf("%s stopped (signal or debugger) until %s", name, waker));
	else if (h->role == ROLE_READER && i->state == IVM_OFF_ASLEEP)
		give(h->s, IVM_CAUSE_NOT_SENT, ns, h->tid,
		     g_strdup_printf("%s waits in poll: nothing arrived before %s woke it", name,
				     waker));
	else if (h->role == ROLE_RECEIVER && i->state == IVM_OFF_ASLEEP)
		give(h->s, IVM_CAUSE_ASLEEP, ns, h->tid,
		     g_strdup_printf("%s asleep, woken by %s", name, waker));
	else
		give(h->s, IVM_CAUSE_BLOCKED, ns, h->tid,
		     g_strdup_printf("%s blocked (lock, I/O) until %s", name, waker));
}

static void off_cpu(struct hop *h, const struct ivm_interval *i)
{
	if (i->state == IVM_OFF_RUNNABLE) {
		preempted(h, i, i->begin_ns);
		return;
	}
	if (i->wake_ns)
		waits_for_cpu(h, i);
	sleeps(h, i, i->wake_ns ? i->wake_ns : i->end_ns);
}

/* ---- on the CPU, but with something else ---- */

static void host_irq(struct hop *h, const struct ivm_interval *i)
{
	g_autofree char *name = who(h);

	give(h->s, IVM_CAUSE_IRQ, take(h, i->begin_ns, i->end_ns), h->tid,
	     g_strdup_printf("host interrupt %s (%llu) on CPU %u under %s",
			     i->next[0] ? i->next : "?", (unsigned long long)i->number, i->cpu,
			     name));
}

static void host_softirq(struct hop *h, const struct ivm_interval *i)
{
	g_autofree char *name = who(h);
	const char *vector = i->number < G_N_ELEMENTS(softirqs) ? softirqs[i->number] : "?";

	give(h->s, IVM_CAUSE_SOFTIRQ, take(h, i->begin_ns, i->end_ns), h->tid,
	     g_strdup_printf("host softirq %s on CPU %u under %s", vector, i->cpu, name));
}

/* Before it comes to read our socket a main loop may be busy with others' descriptors */
static bool is_before_recv(const struct hop *h)
{
	return h->role == ROLE_READER && h->to <= IVM_P_RECV;
}

static void loop_call(struct hop *h, const struct ivm_explain_interval *x)
{
	g_autofree char *name = who(h), *on = NULL;

	if (!is_before_recv(h))
		return;
	if (x->i.fd >= 0)
		on = g_strdup_printf(" on descriptor %d%s%s", x->i.fd, x->fd_name ? " " : "",
				     x->fd_name ? x->fd_name : "");
	give(h->s, IVM_CAUSE_LOOP_BUSY, take(h, x->i.begin_ns, x->i.end_ns), h->tid,
	     g_strdup_printf("%s busy: system call %llu%s", name,
			     (unsigned long long)x->i.number, on ? on : ""));
}

static void loop_busy(struct hop *h, const struct ivm_interval *i)
{
	g_autofree char *name = who(h);

	if (is_before_recv(h))
		give(h->s, IVM_CAUSE_LOOP_BUSY, take(h, i->begin_ns, i->end_ns), h->tid,
		     g_strdup_printf("%s busy between system calls", name));
}

static void in_qemu(struct hop *h, const struct ivm_interval *i)
{
	g_autofree char *name = who(h);

	/* A sender is in QEMU because that is the way of its doorbell */
	if (h->role == ROLE_RECEIVER)
		give(h->s, IVM_CAUSE_IN_QEMU, take(h, i->begin_ns, i->end_ns), h->tid,
		     g_strdup_printf("%s in QEMU, not in the guest", name));
}

static void each(struct hop *h, enum ivm_context_kind kind)
{
	guint n;

	for (n = 0; n < h->s->intervals->len; n++) {
		const struct ivm_explain_interval *x =
			&g_array_index(h->s->intervals, struct ivm_explain_interval, n);

		if (x->i.kind != kind || x->i.tid != h->tid)
			continue;
		switch (kind) {
		case IVM_CTX_OFF_CPU:
			off_cpu(h, &x->i);
			break;
		case IVM_CTX_IRQ:
			host_irq(h, &x->i);
			break;
		case IVM_CTX_SOFTIRQ:
			host_softirq(h, &x->i);
			break;
		case IVM_CTX_SYSCALL:
			loop_call(h, x);
			break;
		case IVM_CTX_LOOP:
			loop_busy(h, &x->i);
			break;
		case IVM_CTX_USER:
			in_qemu(h, &x->i);
			break;
		default:
			break;
		}
	}
}

/* ---- what no interval tells ---- */

/*
 * The lower quartile: what the hop takes when nothing happens.  Not the median,
 * which is itself disturbed where every second journey is.  0: too few to know.
 */
static uint64_t usual_ns(const struct ivm_explain_group *g, enum ivm_point from,
			 enum ivm_point to)
{
	const struct ivm_hist *h = g->hop[from][to];

	return h && h->count >= USUAL_MIN_COUNT ? ivm_hist_percentile(h, 250) : 0;
}

/* Everything from a fault of the sender on, but for what the hop usually takes */
static void page_fault(struct hop *h, uint64_t usual)
{
	uint64_t at_ns = 0, ns;
	guint n;

	for (n = 0; n < h->s->intervals->len && !at_ns; n++) {
		const struct ivm_interval *i =
			&g_array_index(h->s->intervals, struct ivm_explain_interval, n).i;

		if (i->kind == IVM_CTX_FAULT && i->tid == h->tid &&
		    i->begin_ns >= h->s->j.t_ns[h->from] && i->begin_ns < h->s->j.t_ns[h->to])
			at_ns = i->begin_ns;
	}
	if (h->role != ROLE_SENDER || !at_ns || left_ns(h) <= usual)
		return;
	ns = MIN(left_ns(h) - usual, h->s->j.t_ns[h->to] - at_ns);
	give(h->s, IVM_CAUSE_PAGE_FAULT, take(h, h->s->j.t_ns[h->to] - ns, h->s->j.t_ns[h->to]),
	     h->tid, g_strdup("page fault on the doorbell: the host had not mapped its page"));
}

/* Is the receiver's guest all that is between these two points? */
static bool is_for_guest(const struct hop *h)
{
	return h->role == ROLE_RECEIVER && h->from >= IVM_P_ACCEPT &&
	       (h->to == IVM_P_WINDOW || h->to == IVM_P_INJECT || h->to == IVM_P_EOI_STANDIN ||
		h->to == IVM_P_ENTRY);
}

static void behind(struct hop *h)
{
	g_autofree char *name = who(h);

	if (h->role == ROLE_RECEIVER && h->from >= IVM_P_ACCEPT)
		give(h->s, IVM_CAUSE_BEHIND,
		     take(h, h->s->j.t_ns[IVM_P_ACCEPT], h->s->behind_ns), h->tid,
		     g_strdup_printf("%s took an earlier interrupt first", name));
}

/*
 * An interrupt window says that the guest had interrupts off.  Where KVM shows
 * none it is what is left: the vCPU did run, and did not take the interrupt.
 */
static void irqs_off(struct hop *h, uint64_t usual)
{
	const char *text = "guest had interrupts off (interrupt window)";
	uint64_t ns = left_ns(h);
	guint last = h->left->len - 1;

	if (!is_for_guest(h) || !h->left->len || ns <= usual)
		return;
	if (h->to != IVM_P_WINDOW) {
		if (!h->s->complete || ns - usual <= usual)
			return;
		text = "guest ran and did not take it: interrupts off, TPR or in service";
	}
	ns -= usual;
	while (ns) {
		const struct span span = g_array_index(h->left, struct span, last);
		uint64_t part = MIN(ns, span.end_ns - span.begin_ns);

		give(h->s, IVM_CAUSE_IRQS_OFF, take(h, span.end_ns - part, span.end_ns), h->tid,
		     g_strdup(text));
		ns -= part;
		last--;
	}
}

static void rest(struct hop *h, uint64_t usual)
{
	uint64_t ns = left_ns(h);

	give(h->s, IVM_CAUSE_USUAL, MIN(ns, usual), 0, g_strdup("what its hops usually take"));
	if (ns > usual)
		give(h->s, IVM_CAUSE_UNATTRIBUTED, ns - usual, 0, g_strdup("unattributed"));
}

static void explain_hop(const struct ivm_explain_group *g, struct hop *h)
{
	uint64_t usual = usual_ns(g, h->from, h->to);
	enum ivm_context_kind kind;

	h->role = role_of(h);
	h->tid = tid_of(h);
	if (h->to == IVM_P_UNMASK) {
		give(h->s, IVM_CAUSE_MASKED, left_ns(h), 0,
		     g_strdup("vector held by MASK, the MSI-X table or the function's mask"));
		return;
	}
	for (kind = IVM_CTX_OFF_CPU; h->tid && kind < IVM_CTX_FAULT; kind++)
		each(h, kind);
	behind(h);
	page_fault(h, usual);
	irqs_off(h, usual);
	rest(h, usual);
}

static gint by_length(gconstpointer a, gconstpointer b)
{
	const struct ivm_cause *x = a, *y = b;
	bool x_last = x->kind >= IVM_CAUSE_USUAL, y_last = y->kind >= IVM_CAUSE_USUAL;

	if (x_last != y_last)
		return x_last ? 1 : -1;
	if (x_last && x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->ns > y->ns ? -1 : x->ns < y->ns;
}

static void note_hop(struct ivm_slow_journey *s, const struct ivm_explain_group *g,
		     const struct hop *h, int64_t *most)
{
	uint64_t usual = usual_ns(g, h->from, h->to);
	int64_t excess = (int64_t)(s->j.t_ns[h->to] - s->j.t_ns[h->from]) - (int64_t)usual;

	if (excess <= *most)
		return;
	*most = excess;
	s->from = h->from;
	s->to = h->to;
	s->usual_ns = usual;
}

void ivm_explain_causes(const struct ivm_explain_group *g, struct ivm_slow_journey *s)
{
	struct hop h = { .s = s };
	int64_t most = 0;
	int i, last = -1;

	s->causes = g_array_new(FALSE, FALSE, sizeof(struct ivm_cause));
	for (i = IVM_P_EXIT; i <= IVM_P_ENTRY; i++) {
		if (!ivm_seen(&s->j, i))
			continue;
		if (last >= 0) {
			const struct span all = { s->j.t_ns[last], s->j.t_ns[i] };

			h.from = last;
			h.to = i;
			h.left = g_array_new(FALSE, FALSE, sizeof(struct span));
			g_array_append_val(h.left, all);
			explain_hop(g, &h);
			note_hop(s, g, &h, &most);
			g_array_unref(h.left);
		}
		last = i;
	}
	g_array_sort(s->causes, by_length);
}

const struct ivm_cause *ivm_explain_main(const struct ivm_slow_journey *s)
{
	const struct ivm_cause *first;

	if (!s->causes->len)
		return NULL;
	first = &g_array_index(s->causes, struct ivm_cause, 0);
	return first->kind < IVM_CAUSE_USUAL ? first : NULL;
}
