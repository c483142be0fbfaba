// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Following the lanes.
 *
 * Shared memory is read with pread(), never mapped, and only through copies:
 * guests may write to it, or lie in it, at any time.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "stamps_local.h"

#define MSEC_NS			1000000ull
#define SAMPLE_NS		(100 * MSEC_NS)
#define VCPUS_READ_NS		(1000 * MSEC_NS)
#define QUIET_NS		(50 * MSEC_NS)	/* until a lane without news is read again */
#define CHUNK_STAMPS		4096u
#define MAX_POLL_STAMPS		(1u << 20)	/* of one lane: a guest must not keep us busy */
#define MAX_WRITERS		64u		/* vCPUs in the middle of a stamp */
#define FIRST_PAIRS		3		/* a bound takes that many */

static void lane_free(gpointer p)
{
	struct lane *lane = p;

	if (lane->fd >= 0)
		close(lane->fd);
	g_free(lane);
}

struct ivm_stamps *ivm_stamps_new(const struct ivm_topology *topology, struct ivm_vcpus *vcpus)
{
	struct ivm_stamps *s = g_new0(struct ivm_stamps, 1);

	s->topology = topology;
	s->vcpus = vcpus;
	s->clock = ivm_guest_clock_new();
	s->lanes = g_ptr_array_new_with_free_func(lane_free);
	s->lane_by_end = g_hash_table_new(NULL, NULL);
	return s;
}

void ivm_stamps_free(struct ivm_stamps *s)
{
	if (!s)
		return;
	g_hash_table_destroy(s->lane_by_end);
	g_ptr_array_unref(s->lanes);
	ivm_guest_clock_free(s->clock);
	g_free(s);
}

struct lane *ivm_stamps_lane(const struct ivm_stamps *s, uint32_t end_id)
{
	return g_hash_table_lookup(s->lane_by_end, GUINT_TO_POINTER(end_id));
}

/* ---- clocks ---- */

static void note_clock(void *arg, const struct ivm_vcpu_seen *vcpu)
{
	struct ivm_stamps *s = arg;
	const struct ivm_vm *vm = ivm_topology_vm(s->topology, vcpu->tgid);

	if (vm && vcpu->has_tsc)
		ivm_guest_clock_saw(s->clock, vm->id, vcpu->vcpu_id, ivm_now_ns(), &vcpu->tsc);
}

static void read_vcpus(struct ivm_stamps *s)
{
	g_autoptr(GArray) tgids = g_array_new(FALSE, FALSE, sizeof(pid_t));
	guint i;

	s->vcpus_read_ns = ivm_now_ns();
	for (i = 0; i < s->lanes->len; i++) {
		const struct lane *lane = g_ptr_array_index(s->lanes, i);

		if (lane->ring.stamps && !lane->end->vm->dead)
			g_array_append_val(tgids, lane->end->vm->tgid);
	}
	/* What cannot be read stays unknown, and its stamps are counted as dropped */
	if (tgids->len && s->vcpus)
		ivm_vcpus_read(s->vcpus, (pid_t *)(void *)tgids->data, tgids->len, note_clock, s);
}

static void look_at_clocks(struct ivm_stamps *s)
{
	uint64_t now = ivm_now_ns();

	if (now - s->sampled_ns >= SAMPLE_NS) {
		s->sampled_ns = now;
		ivm_guest_clock_sample(s->clock);
	}
	if (now - s->vcpus_read_ns >= VCPUS_READ_NS)
		read_vcpus(s);
}

void ivm_stamps_event(struct ivm_stamps *s, const struct ivm_event *event)
{
	const struct ivm_vm *vm = ivm_topology_vm(s->topology, (pid_t)event->tgid);

	if (vm)
		ivm_guest_clock_changed(s->clock, vm->id, event->c, event->t_ns, event->a);
}

/* ---- lanes ---- */

/* Descriptor of BAR2's memory in the owner's table: what its link page says, checked */
static int open_shmem(const struct ivm_end *end, uint64_t *inode)
{
	static const char wanted[] = "/memfd:" IVM_SHMEM_NAME " (deleted)";
	g_autofree char *path = g_strdup_printf("/proc/%d/fd/%d", (int)end->vm->tgid,
						end->page.shmem_fd);
	g_autofree char *target = g_file_read_link(path, NULL);
	struct stat st;
	int fd;

	if (g_strcmp0(target, wanted))
		return -ENOENT;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || (uint64_t)st.st_size != end->page.shmem_bytes) {
		close(fd);
		return -EINVAL;
	}
	*inode = st.st_ino;
	return fd;
}

static bool has_shmem(const struct ivm_end *end)
{
	return !end->dead && !end->vm->dead && end->page.up && end->page.shmem_fd >= 0 &&
	       end->page.shmem_bytes >= 2 * sizeof(struct ivm_lane) &&
	       (end->page.version & 0xffff) >= 1;
}

static int read_exactly(int fd, void *to, size_t bytes, uint64_t offset)
{
	ssize_t got = pread(fd, to, bytes, (off_t)offset);

	if (got < 0)
		return -errno;
	return (size_t)got == bytes ? 0 : -EIO;
}

static int read_ring(const struct lane *lane, struct ivm_lane_ring *ring)
{
	struct ivm_lane header;
	int err = read_exactly(lane->fd, &header, sizeof(header), lane->offset);

	return err ? err : ivm_lane_check_ring(&header, lane->lane_bytes, ring);
}

/* What is in the lane already was written before anything was recorded */
static void skip_old(struct ivm_stamps *s, struct lane *lane)
{
	if (!read_ring(lane, &lane->ring)) {
		lane->wrote = true;
		lane->next = lane->ring.head;
		s->vcpus_read_ns = 0;
	} else {
		lane->ring.stamps = 0;
		lane->next = 0;
	}
}

static void add_lane(struct ivm_stamps *s, const struct ivm_end *end)
{
	struct lane *lane = g_new0(struct lane, 1);

	lane->end = end;
	lane->fd = open_shmem(end, &lane->inode);
	if (lane->fd < 0) {
		g_free(lane);
		return;
	}
	lane->generation = end->page.generation;
	lane->lane_bytes = end->page.shmem_bytes / 2;
	lane->offset = end->page.side == IVM_SIDE_SERVER ? 0 : lane->lane_bytes;
	g_ptr_array_add(s->lanes, lane);
	g_hash_table_insert(s->lane_by_end, GUINT_TO_POINTER(end->id), lane);
	skip_old(s, lane);
}

/* With each link-up the client takes the server's memory, perhaps another one */
static void refresh_lane(struct lane *lane)
{
	uint64_t inode;
	int fd;

	if (lane->generation == lane->end->page.generation)
		return;
	fd = open_shmem(lane->end, &inode);
	if (fd < 0)
		return;
	lane->generation = lane->end->page.generation;
	if (inode == lane->inode) {
		close(fd);
		return;
	}
	close(lane->fd);
	lane->fd = fd;
	lane->inode = inode;
	lane->ring.stamps = 0;
}

void ivm_stamps_follow(struct ivm_stamps *s)
{
	guint i;

	if (!s->recording || s->why_not)
		return;
	for (i = 0; i < s->topology->ends->len; i++) {
		const struct ivm_end *end = g_ptr_array_index(s->topology->ends, i);
		struct lane *lane;

		if (!has_shmem(end))
			continue;
		lane = ivm_stamps_lane(s, end->id);
		if (lane)
			refresh_lane(lane);
		else
			add_lane(s, end);
	}
}

void ivm_stamps_followed(struct ivm_stamps *s)
{
	uint64_t now = ivm_now_ns();
	guint i;

	for (i = 0; i < s->lanes->len; i++) {
		struct lane *lane = g_ptr_array_index(s->lanes, i);

		if (!lane->from_ns)
			lane->from_ns = now;
	}
}

/* ---- stamps ---- */

static int record_stamp(struct ivm_stamps *s, const struct lane *lane,
			const struct ivm_stamp *stamp)
{
	const struct ivm_recorded_stamp row = {
		.end = lane->end->id,
		.kind = stamp->kind,
		.vector = stamp->vector,
		.cookie = stamp->cookie,
		.tsc = stamp->tsc,
	};

	if ((stamp->kind != IVM_STAMP_RING && stamp->kind != IVM_STAMP_HANDLER) ||
	    stamp->vector >= IVM_LINKPAGE_VECTORS) {
		s->stats.dropped++;
		return 0;
	}
	return ivm_recording_add_stamp(s->recording, &row);
}

/* Stamps that may stay in the ring before a vCPU may be writing over them */
static uint64_t capacity(const struct ivm_lane_ring *ring)
{
	return ring->stamps - MIN(MAX_WRITERS, ring->stamps / 4);
}

/* Skips what the guest has written, or may be writing, over */
static void skip_overrun(struct ivm_stamps *s, struct lane *lane, uint64_t head)
{
	uint64_t behind = head - lane->next;

	if (behind <= capacity(&lane->ring))
		return;
	s->stats.overrun += behind - capacity(&lane->ring);
	lane->next = head - capacity(&lane->ring);
}

/*
 * One piece of the ring that does not wrap.  The head is read once more after
 * the stamps: only what was safe from being written over then was safe while it
 * was copied.
 */
static int read_piece(struct ivm_stamps *s, struct lane *lane, uint64_t end, bool *stop)
{
	struct ivm_stamp stamps[CHUNK_STAMPS];
	const struct ivm_lane_ring ring = lane->ring;
	uint64_t first = lane->next, at = first & (ring.stamps - 1);
	uint64_t count = MIN(MIN(end - first, CHUNK_STAMPS), ring.stamps - at);
	struct ivm_lane_ring now;
	uint64_t i;
	int err = 0;

	*stop = read_exactly(lane->fd, stamps, count * sizeof(stamps[0]),
			     lane->offset + ring.offset + at * sizeof(stamps[0])) ||
		read_ring(lane, &now) || now.offset != ring.offset ||
		now.stamps != ring.stamps || now.head < end;
	if (*stop)
		return 0;
	skip_overrun(s, lane, now.head);
	for (i = MIN(lane->next - first, count); i < count && !err; i++)
		err = record_stamp(s, lane, &stamps[i]);
	lane->next = MAX(lane->next, first + count);
	*stop = lane->next >= end;
	return err;
}

/* A guest that starts anew counts from 0 again: that is where we go on */
static bool is_restart(const struct lane *lane, const struct ivm_lane_ring *ring)
{
	return ring->stamps != lane->ring.stamps || ring->offset != lane->ring.offset ||
	       ring->head < lane->next;
}

static int drain_lane(struct ivm_stamps *s, struct lane *lane, uint64_t now)
{
	struct ivm_lane_ring ring;
	uint64_t end;
	bool stop;
	int err = 0;

	/* Thousands of links without traffic must cost next to nothing */
	if (lane->quiet_ns && now - lane->quiet_ns < QUIET_NS)
		return 0;
	lane->quiet_ns = now;
	if (read_ring(lane, &ring)) {
		lane->ring.stamps = 0;
		return 0;
	}
	if (is_restart(lane, &ring)) {
		lane->ring = ring;
		lane->next = 0;
		lane->wrote = true;
		s->vcpus_read_ns = 0;
	}
	lane->ring = ring;
	skip_overrun(s, lane, ring.head);
	end = MIN(ring.head, lane->next + MAX_POLL_STAMPS);
	if (lane->next != end)
		lane->quiet_ns = 0;
	for (stop = lane->next == end; !stop && !err; )
		err = read_piece(s, lane, end, &stop);
	return err;
}

/* @now: UINT64_MAX looks everywhere */
static int poll_lanes(struct ivm_stamps *s, uint64_t now)
{
	int err = 0;
	guint i;

	for (i = 0; i < s->lanes->len && !err; i++)
		err = drain_lane(s, g_ptr_array_index(s->lanes, i), now);
	return err;
}

int ivm_stamps_poll(struct ivm_stamps *s)
{
	if (!s->recording || s->why_not)
		return 0;
	look_at_clocks(s);
	return poll_lanes(s, ivm_now_ns());
}

static void sample_often(struct ivm_stamps *s)
{
	int i;

	for (i = 0; i < FIRST_PAIRS; i++) {
		ivm_guest_clock_sample(s->clock);
		usleep(1000);
	}
	s->sampled_ns = ivm_now_ns();
}

int ivm_stamps_start(struct ivm_stamps *s, struct ivm_recording *recording)
{
	s->recording = recording;
	s->why_not = ivm_guest_clock_why_not();
	/* A stamp whose journey is missing cannot be told from one that is wrong */
	if (recording && ivm_recording_is_selective(recording))
		s->why_not = "not every journey is kept";
	if (s->why_not || !recording)
		return 0;
	sample_often(s);
	ivm_stamps_follow(s);
	return ivm_stamps_poll(s);
}

int ivm_stamps_stop(struct ivm_stamps *s, uint64_t stopped_ns)
{
	int err;

	s->stopped_ns = stopped_ns;
	if (!s->recording || s->why_not)
		return 0;
	err = poll_lanes(s, UINT64_MAX);
	read_vcpus(s);
	sample_often(s);
	s->why_not = ivm_guest_clock_why_not();
	return err;
}

const struct ivm_stamps_stats *ivm_stamps_stats(const struct ivm_stamps *s)
{
	return &s->stats;
}

const char *ivm_stamps_why_not(const struct ivm_stamps *s)
{
	return s->why_not;
}
