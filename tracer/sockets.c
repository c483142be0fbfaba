// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Places of messages in the streams between link ends.
 */
#define _GNU_SOURCE
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/sockios.h>

#include "clock.h"
#include "sockets.h"
#include "../device/ivm-link-proto.h"

#define CHECK_NS	1000000000ull	/* places that are known are checked so often */
#define LOOKS		32		/* of one way that wait to be judged */

/* A look that found both queues empty: it counts if no call overlaps it */
struct look {
	uint64_t from_ns;
	uint64_t to_ns;
};

/* One direction of a link while it is up */
struct way {
	uint64_t link_id;
	pid_t tgid[2];			/* sender's, receiver's */
	int fd[2];
	uint64_t bytes[2];		/* that went by since the common start */
	unsigned int calls[2];		/* of each under way */
	uint64_t entered_ns[2];		/* the oldest of these */
	bool placed;			/* there is a common start */
	bool wanted;
	uint64_t looked_ns;
	struct look looks[LOOKS];	/* in order of time */
	unsigned int look_count;
};

struct ivm_sockets {
	GPtrArray *ways;		/* struct way *, owned */
	GHashTable *way_of[2];		/* (tgid, fd) of the sender, of the receiver */
	uint64_t misplaced;
};

static gint64 key_of(pid_t tgid, int fd)
{
	return (gint64)tgid << 32 | (uint32_t)fd;
}

static struct way *find_way(const struct ivm_sockets *s, pid_t tgid, int fd, int side)
{
	gint64 key = key_of(tgid, fd);

	return g_hash_table_lookup(s->way_of[side], &key);
}

/**
 * ivm_sockets_new() - no socket is followed yet
 *
 * Return: free with ivm_sockets_free().
 */
struct ivm_sockets *ivm_sockets_new(void)
{
	struct ivm_sockets *s = g_new0(struct ivm_sockets, 1);
	int side;

	s->ways = g_ptr_array_new_with_free_func(g_free);
	for (side = 0; side < 2; side++)
		s->way_of[side] = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	return s;
}

/**
 * ivm_sockets_free() - frees
 * @s: may be NULL
 */
void ivm_sockets_free(struct ivm_sockets *s)
{
	if (!s)
		return;
	g_hash_table_destroy(s->way_of[0]);
	g_hash_table_destroy(s->way_of[1]);
	g_ptr_array_unref(s->ways);
	g_free(s);
}

/* ---- which sockets there are ---- */

static bool is_way(const struct way *w, const struct ivm_end *from, const struct ivm_end *to)
{
	return w->link_id == from->page.link_id && w->tgid[0] == from->vm->tgid &&
	       w->fd[0] == from->page.socket_fd && w->tgid[1] == to->vm->tgid &&
	       w->fd[1] == to->page.socket_fd;
}

/* Return: true if it is new */
static bool want_way(struct ivm_sockets *s, const struct ivm_end *from, const struct ivm_end *to)
{
	struct way *w;
	guint i;

	for (i = 0; i < s->ways->len; i++) {
		w = g_ptr_array_index(s->ways, i);
		if (is_way(w, from, to)) {
			w->wanted = true;
			return false;
		}
	}
	w = g_new0(struct way, 1);
	w->link_id = from->page.link_id;
	w->tgid[0] = from->vm->tgid;
	w->fd[0] = from->page.socket_fd;
	w->tgid[1] = to->vm->tgid;
	w->fd[1] = to->page.socket_fd;
	w->wanted = true;
	g_ptr_array_add(s->ways, w);
	return true;
}

static void index_ways(struct ivm_sockets *s)
{
	guint i;
	int side;

	for (side = 0; side < 2; side++) {
		g_hash_table_remove_all(s->way_of[side]);
		for (i = 0; i < s->ways->len; i++) {
			struct way *w = g_ptr_array_index(s->ways, i);
			gint64 key = key_of(w->tgid[side], w->fd[side]);

			g_hash_table_insert(s->way_of[side], g_memdup2(&key, sizeof(key)), w);
		}
	}
}

/**
 * ivm_sockets_follow() - follows the links that are up
 * @s: the sockets
 * @topology: with all of them
 *
 * What a link-up begins is another stream, though it may have the same
 * descriptors.
 *
 * Return: true if there are new ones.
 */
bool ivm_sockets_follow(struct ivm_sockets *s, const struct ivm_topology *topology)
{
	bool is_new = false;
	guint i;

	for (i = 0; i < s->ways->len; i++)
		((struct way *)g_ptr_array_index(s->ways, i))->wanted = false;
	for (i = 0; i < topology->ends->len; i++) {
		const struct ivm_end *from = g_ptr_array_index(topology->ends, i);
		const struct ivm_end *to = from->peer;

		if (!from->dead && to && from->page.socket_fd >= 0 && to->page.socket_fd >= 0)
			is_new |= want_way(s, from, to);
	}
	for (i = s->ways->len; i-- > 0;)
		if (!((struct way *)g_ptr_array_index(s->ways, i))->wanted)
			g_ptr_array_remove_index_fast(s->ways, i);
	index_ways(s);
	return is_new;
}

/* ---- looking for the common start ---- */

/* Return: bytes in that queue of another process's socket, or -1 */
static int queued_bytes(pid_t tgid, int fd, unsigned long which)
{
	int pidfd = syscall(SYS_pidfd_open, tgid, 0);
	int copy = pidfd < 0 ? -1 : syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	int bytes;

	if (copy < 0 || ioctl(copy, which, &bytes))
		bytes = -1;
	if (copy >= 0)
		close(copy);
	if (pidfd >= 0)
		close(pidfd);
	return bytes;
}

static void look(struct way *w)
{
	struct look found = { .from_ns = ivm_now_ns() };

	if (w->look_count == LOOKS || (w->placed && found.from_ns - w->looked_ns < CHECK_NS))
		return;
	w->looked_ns = found.from_ns;
	if (queued_bytes(w->tgid[0], w->fd[0], SIOCOUTQ) ||
	    queued_bytes(w->tgid[1], w->fd[1], SIOCINQ))
		return;
	found.to_ns = ivm_now_ns();
	w->looks[w->look_count++] = found;
}

/**
 * ivm_sockets_begin() - nothing is under way before the first call
 * @s: the sockets
 *
 * For calls out of a file, whose sockets cannot be looked at any more.
 */
void ivm_sockets_begin(struct ivm_sockets *s)
{
	guint i;

	for (i = 0; i < s->ways->len; i++)
		((struct way *)g_ptr_array_index(s->ways, i))->placed = true;
}

/**
 * ivm_sockets_look() - looks for instants at which nothing is under way
 * @s: the sockets; calls must be told from before now on
 */
void ivm_sockets_look(struct ivm_sockets *s)
{
	guint i;

	for (i = 0; i < s->ways->len; i++)
		look(g_ptr_array_index(s->ways, i));
}

static uint64_t units_begun(uint64_t bytes)
{
	return (bytes + IVM_MSG_UNIT - 1) / IVM_MSG_UNIT;
}

/* A call from @entered_ns to @left_ns voids the looks that it overlaps */
static void void_looks(struct way *w, uint64_t entered_ns, uint64_t left_ns)
{
	unsigned int i, kept = 0;

	for (i = 0; i < w->look_count; i++)
		if (w->looks[i].to_ns <= entered_ns || w->looks[i].from_ns >= left_ns)
			w->looks[kept++] = w->looks[i];
	w->look_count = kept;
}

/*
 * No call overlapped the look: all that had been sent by then had been received.
 * Numbers only grow, whatever was counted before.
 */
static void place(struct ivm_sockets *s, struct way *w)
{
	uint64_t units = units_begun(MAX(w->bytes[0], w->bytes[1]));

	if (w->placed && w->bytes[0] != w->bytes[1])
		s->misplaced++;
	if (!w->placed || w->bytes[0] != w->bytes[1])
		w->bytes[0] = w->bytes[1] = units * IVM_MSG_UNIT;
	w->placed = true;
	w->look_count = 0;
}

/* ---- calls ---- */

/**
 * ivm_sockets_enter() - a call on a link's socket begins
 * @s: the sockets
 * @tgid: who calls
 * @fd: the socket
 * @sends: else it receives
 * @t_ns: CLOCK_MONOTONIC; calls are told in order of time
 */
void ivm_sockets_enter(struct ivm_sockets *s, pid_t tgid, int fd, bool sends, uint64_t t_ns)
{
	struct way *w = find_way(s, tgid, fd, !sends);
	int side;

	if (!w)
		return;
	for (side = 0; side < 2; side++)
		if (w->calls[side])
			void_looks(w, w->entered_ns[side], UINT64_MAX);
	/* Nothing has moved since the first of those that are left */
	if (w->look_count && w->looks[0].to_ns <= t_ns)
		place(s, w);
	if (!w->calls[!sends]++)
		w->entered_ns[!sends] = t_ns;
}

/**
 * ivm_sockets_leave() - a call on a link's socket returns
 * @s: the sockets
 * @tgid: who called
 * @fd: the socket
 * @sends: else it received
 * @t_ns: CLOCK_MONOTONIC
 * @result: bytes, or -errno
 * @units: set to the messages that the call sent, also in part, or received the
 *	   end of
 */
void ivm_sockets_leave(struct ivm_sockets *s, pid_t tgid, int fd, bool sends, uint64_t t_ns,
		       int64_t result, struct ivm_units *units)
{
	struct way *w = find_way(s, tgid, fd, !sends);
	uint64_t before;

	*units = (struct ivm_units) {};
	if (!w)
		return;
	void_looks(w, w->calls[!sends] ? w->entered_ns[!sends] : 0, t_ns);
	/* It had begun before this link was followed */
	if (!w->calls[!sends])
		return;
	w->calls[!sends]--;
	if (result <= 0)
		return;
	before = w->bytes[!sends];
	w->bytes[!sends] += result;
	if (!w->placed)
		return;
	units->first = before / IVM_MSG_UNIT + 1;
	units->last = sends ? units_begun(before + result) : (before + result) / IVM_MSG_UNIT;
	if (units->last < units->first)
		*units = (struct ivm_units) {};
}

/**
 * ivm_sockets_next() - which message a send that begins now carries first
 * @s: the sockets
 * @tgid: who sends
 * @fd: the socket
 *
 * Return: its number, from 1; 0 if unknown.
 */
uint64_t ivm_sockets_next(const struct ivm_sockets *s, pid_t tgid, int fd)
{
	const struct way *w = find_way(s, tgid, fd, 0);

	return w && w->placed ? w->bytes[0] / IVM_MSG_UNIT + 1 : 0;
}

/**
 * ivm_sockets_searching() - is there a stream whose common start is not known?
 * @s: the sockets
 *
 * Return: true if another look may help.
 */
bool ivm_sockets_searching(const struct ivm_sockets *s)
{
	guint i;

	for (i = 0; i < s->ways->len; i++)
		if (!((struct way *)g_ptr_array_index(s->ways, i))->placed)
			return true;
	return false;
}

static bool is_of(const struct way *w, pid_t tgid)
{
	return !tgid || w->tgid[0] == tgid || w->tgid[1] == tgid;
}

/**
 * ivm_sockets_unsure() - calls may have gone by untold
 * @s: the sockets
 * @tgid: whose, 0 anybody's
 *
 * A new common start has to be found.
 */
void ivm_sockets_unsure(struct ivm_sockets *s, pid_t tgid)
{
	guint i;

	for (i = 0; i < s->ways->len; i++) {
		struct way *w = g_ptr_array_index(s->ways, i);

		if (!is_of(w, tgid))
			continue;
		w->look_count = 0;
		w->placed = false;
		w->calls[0] = w->calls[1] = 0;
	}
}

/**
 * ivm_sockets_misplaced() - times a check found that calls had gone by untold
 * @s: the sockets
 *
 * Return: how many.
 */
uint64_t ivm_sockets_misplaced(const struct ivm_sockets *s)
{
	return s->misplaced;
}
