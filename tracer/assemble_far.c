// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Rings whose doorbells are on another host: what is seen of them here.
 *
 * The receiving QEMU handles the messages of one read in their order, and raises
 * one interrupt for each, unless the vector is held.  So if a read is followed
 * by as many interrupts as it brought RINGs, the n-th is the n-th; if not, it is
 * not known which one is which.  Whoever joins the two halves finds in the
 * sender's which vector each had, and need not believe it.
 */
#include "assemble_local.h"

struct arrival {
	struct ivm_journey j;
	bool is_placed;			/* j.seq is final */
	bool has_ended;
};

/* Does this end take rings of a peer whose doorbells nobody sees here? */
bool assemble_is_far(const struct ivm_end *to)
{
	return to && to->kind == IVM_END_LINK && !to->peer && to->page.up &&
	       to->page.mode_rx == IVM_MODE_QEMU;
}

static struct arrival *find(struct ivm_assemble *a, uint64_t id)
{
	gint64 key = id;

	return g_hash_table_lookup(a->arrivals, &key);
}

static void tell_if_complete(struct ivm_assemble *a, struct arrival *arrival)
{
	gint64 key = arrival->j.id;
	int err = 0;

	if (!arrival->is_placed || !arrival->has_ended)
		return;
	if (a->arrival)
		err = a->arrival(a->arg, &arrival->j);
	if (err && !a->err)
		a->err = err;
	g_hash_table_remove(a->arrivals, &key);
}

/* All that this read led to has been raised */
static void place(struct ivm_assemble *a, struct far *far)
{
	guint i, n = far->arrivals ? far->arrivals->len : 0;
	bool is_certain = far->first && n == far->last - far->first + 1;

	for (i = 0; i < n; i++) {
		struct arrival *arrival = g_ptr_array_index(far->arrivals, i);

		arrival->is_placed = true;
		if (is_certain) {
			arrival->j.seq = far->first + i;
			arrival->j.t_ns[IVM_P_RECV] = far->recv_ns;
		}
		tell_if_complete(a, arrival);
	}
	if (n)
		g_ptr_array_set_size(far->arrivals, 0);
}

/* Another connection: its RINGs count from 1 */
void assemble_far_reset(struct ivm_assemble *a, struct far *far)
{
	place(a, far);
	far->first = 0;
}

/* A read of the socket brought RINGs */
void assemble_far_receive(struct ivm_assemble *a, struct stream *stream,
			  const struct ivm_event *e)
{
	struct far *far = &stream->far;

	place(a, far);
	far->first = e->a;
	far->last = e->b;
	far->recv_ns = e->t_ns;
}

/* An interrupt of a link vector was raised */
void assemble_far_raised(struct ivm_assemble *a, const struct ivm_end *to,
			 const struct ivm_journey *j)
{
	struct far *far = &assemble_stream(a, to)->far;
	struct arrival *arrival = g_new0(struct arrival, 1);
	gint64 key = j->id;

	arrival->j = *j;
	arrival->j.seq = 0;
	g_hash_table_insert(a->arrivals, g_memdup2(&key, sizeof(key)), arrival);
	/* Raised before the read was over: something else, or of an earlier one */
	if (!far->first || j->t_ns[IVM_P_ACCEPT] < far->recv_ns) {
		arrival->is_placed = true;
		return;
	}
	if (!far->arrivals)
		far->arrivals = g_ptr_array_new();
	g_ptr_array_add(far->arrivals, arrival);
}

/* Return: was it an arrival? */
bool assemble_far_ended(struct ivm_assemble *a, const struct ivm_journey *j)
{
	struct arrival *arrival = find(a, j->id);
	uint64_t seq, recv_ns;

	if (!arrival)
		return false;
	seq = arrival->j.seq;
	recv_ns = arrival->j.t_ns[IVM_P_RECV];
	arrival->j = *j;
	arrival->j.seq = seq;
	arrival->j.t_ns[IVM_P_RECV] = recv_ns;
	arrival->has_ended = true;
	tell_if_complete(a, arrival);
	return true;
}

void assemble_far_finish(struct ivm_assemble *a)
{
	GHashTableIter iter;
	gpointer stream;

	g_hash_table_iter_init(&iter, a->streams);
	while (g_hash_table_iter_next(&iter, NULL, &stream))
		place(a, &((struct stream *)stream)->far);
}
