// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Message rings in a link's shared memory.
 */
#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/string.h>
#include <asm/barrier.h>
#include <asm/byteorder.h>
#endif

#include "ivm_ring.h"

#define CTL_OFF		0x100
#define PAGE		4096u		/* the result area is aligned to it */
#define MIN_SLOT_BYTES	32u
#define MIN_SLOTS	4u
#define NO_EVENT	0xffffffffu	/* passed only when indices wrap */

static u32 load(const void *at)
{
	return le32_to_cpu((__force __le32)READ_ONCE(*(const u32 *)at));
}

static void store(void *at, u32 value)
{
	WRITE_ONCE(*(u32 *)at, (__force u32)cpu_to_le32(value));
}

static u32 field(const void *lane, size_t offset)
{
	return load((const u8 *)lane + offset);
}

static void set_field(void *lane, size_t offset, u32 value)
{
	store((u8 *)lane + offset, value);
}

/* ---- layout ---- */

static u32 align_up(u32 value, u32 unit)
{
	return (value + unit - 1) / unit * unit;
}

/* Slots of a ring of @bytes, which is a power of two */
static void plan_ring(struct ivm_layout *l, u32 bytes)
{
	l->slot_bytes = IVM_RING_SLOT_BYTES;
	if (bytes / l->slot_bytes < 4 * MIN_SLOTS)
		l->slot_bytes = bytes / (4 * MIN_SLOTS);
	if (l->slot_bytes < MIN_SLOT_BYTES)
		l->slot_bytes = MIN_SLOT_BYTES;
	l->slots = min(bytes / l->slot_bytes, (u32)IVM_RING_MAX_SLOTS);
	if (l->slots < MIN_SLOTS)
		l->slots = l->slot_bytes = l->slot_off = 0;
}

int ivm_layout_plan(struct ivm_layout *l, u32 lane_bytes, u32 vectors, bool stamps)
{
	u32 used, end, room;

	memset(l, 0, sizeof(*l));
	if (!vectors || vectors > 256 || lane_bytes < 4 * PAGE)
		return -EINVAL;
	l->lane_bytes = lane_bytes;
	l->vectors = vectors;
	l->ctl_off = CTL_OFF;
	l->session_off = CTL_OFF + vectors * (u32)sizeof(struct ivm_lane_ctl);
	used = align_up(l->session_off + vectors * (u32)sizeof(struct ivm_lane_session), PAGE);

	/* Stamps have the second half; what is left is shared by results and messages */
	end = lane_bytes;
	if (stamps) {
		end /= 2;
		l->stamp_off = end;
		l->stamps = rounddown_pow_of_two(end / (u32)sizeof(struct ivm_stamp));
	}
	l->result_off = used;
	l->result_bytes = (end - used) / 2 / PAGE * PAGE;
	l->slot_off = used + l->result_bytes;
	room = (end - l->slot_off) / vectors;
	plan_ring(l, room ? rounddown_pow_of_two(room) : 0);
	return 0;
}

static bool fits(u32 offset, u64 bytes, u32 lane_bytes)
{
	return offset >= sizeof(struct ivm_lane) && offset % 4 == 0 && offset <= lane_bytes &&
	       bytes <= lane_bytes - offset;
}

int ivm_layout_read(struct ivm_layout *l, const void *lane, u32 lane_bytes)
{
	if (field(lane, offsetof(struct ivm_lane, magic)) != IVM_LANE_MAGIC)
		return -ENOENT;
	virt_rmb();
	if (field(lane, offsetof(struct ivm_lane, version)) != IVM_LANE_VERSION)
		return -EPROTO;
	memset(l, 0, sizeof(*l));
	l->lane_bytes = field(lane, offsetof(struct ivm_lane, bytes));
	l->vectors = field(lane, offsetof(struct ivm_lane, vectors));
	l->ctl_off = field(lane, offsetof(struct ivm_lane, ctl_off));
	l->session_off = field(lane, offsetof(struct ivm_lane, session_off));
	l->slot_off = field(lane, offsetof(struct ivm_lane, slot_off));
	l->slot_bytes = field(lane, offsetof(struct ivm_lane, slot_bytes));
	l->slots = field(lane, offsetof(struct ivm_lane, slots));
	if (!l->slots || !l->session_off)
		return -EOPNOTSUPP;

	if (l->lane_bytes != lane_bytes || !l->vectors || l->vectors > 256 ||
	    !is_power_of_2(l->slots) || l->slots < MIN_SLOTS || l->slots > IVM_RING_MAX_SLOTS ||
	    l->slot_bytes < MIN_SLOT_BYTES || l->slot_bytes > IVM_RING_SLOT_BYTES ||
	    l->slot_bytes % 8)
		return -EBADMSG;
	if (!fits(l->ctl_off, (u64)l->vectors * sizeof(struct ivm_lane_ctl), lane_bytes) ||
	    !fits(l->session_off, (u64)l->vectors * sizeof(struct ivm_lane_session), lane_bytes) ||
	    !fits(l->slot_off, (u64)l->vectors * l->slots * l->slot_bytes, lane_bytes))
		return -EBADMSG;
	return 0;
}

void ivm_lane_publish(void *lane, const struct ivm_layout *l)
{
	set_field(lane, offsetof(struct ivm_lane, magic), 0);
	virt_wmb();
	set_field(lane, offsetof(struct ivm_lane, version), IVM_LANE_VERSION);
	set_field(lane, offsetof(struct ivm_lane, bytes), l->lane_bytes);
	set_field(lane, offsetof(struct ivm_lane, flags), l->stamps ? IVM_LANE_STAMPS_ON : 0);
	set_field(lane, offsetof(struct ivm_lane, ctl_off), l->ctl_off);
	set_field(lane, offsetof(struct ivm_lane, slot_off), l->slot_off);
	set_field(lane, offsetof(struct ivm_lane, slot_bytes), l->slot_bytes);
	set_field(lane, offsetof(struct ivm_lane, slots), l->slots);
	set_field(lane, offsetof(struct ivm_lane, vectors), l->vectors);
	set_field(lane, offsetof(struct ivm_lane, stamp_off), l->stamp_off);
	set_field(lane, offsetof(struct ivm_lane, stamps), l->stamps);
	set_field(lane, offsetof(struct ivm_lane, session_off), l->session_off);
	set_field(lane, offsetof(struct ivm_lane, stamp_head), 0);
	set_field(lane, offsetof(struct ivm_lane, stamp_head) + 4, 0);
	set_field(lane, offsetof(struct ivm_lane, result_off), l->result_bytes ? l->result_off : 0);
	set_field(lane, offsetof(struct ivm_lane, result_bytes), l->result_bytes);
	virt_wmb();
	set_field(lane, offsetof(struct ivm_lane, magic), IVM_LANE_MAGIC);
}

/* ---- sessions ---- */

static size_t ctl(const struct ivm_layout *l, u32 channel)
{
	return l->ctl_off + channel * sizeof(struct ivm_lane_ctl);
}

static size_t session(const struct ivm_layout *l, u32 channel)
{
	return l->session_off + channel * sizeof(struct ivm_lane_session);
}

#define OWN_CTL(r, name)	(ctl((r)->own_layout, (r)->channel) + \
				 offsetof(struct ivm_lane_ctl, name))
#define PEER_CTL(r, name)	(ctl(&(r)->peer_layout, (r)->channel) + \
				 offsetof(struct ivm_lane_ctl, name))
#define OWN_SESSION(r, name)	(session((r)->own_layout, (r)->channel) + \
				 offsetof(struct ivm_lane_session, name))
#define PEER_SESSION(r, name)	(session(&(r)->peer_layout, (r)->channel) + \
				 offsetof(struct ivm_lane_session, name))

static u8 *own_slot(const struct ivm_ring *r, u32 index)
{
	const struct ivm_layout *l = r->own_layout;

	return (u8 *)r->own + l->slot_off +
	       ((size_t)r->channel * l->slots + (index & (l->slots - 1))) * l->slot_bytes;
}

static const void *peer_slot(const struct ivm_ring *r, u32 index)
{
	const struct ivm_layout *l = &r->peer_layout;

	return (const u8 *)r->peer + l->slot_off +
	       ((size_t)r->channel * l->slots + (index & (l->slots - 1))) * l->slot_bytes;
}

static u32 count_unread(const struct ivm_ring *r)
{
	u32 i, count = 0;

	for (i = r->tx_tail; i != r->tx_head; i++)
		if (!(load(own_slot(r, i) + offsetof(struct ivm_lane_slot, flags)) &
		      IVM_SLOT_CONTINUED))
			count++;
	return count;
}

static void note_tail(struct ivm_ring *r)
{
	u32 tail = field(r->peer, PEER_CTL(r, rx_tail));

	if (tail - r->tx_tail <= r->tx_head - r->tx_tail)
		r->tx_tail = tail;
}

/* Return: the messages that were on their way */
static u32 zero(struct ivm_ring *r)
{
	u32 lost = count_unread(r);

	r->tx_head = r->tx_tail = r->rx_tail = 0;
	set_field(r->own, OWN_CTL(r, tx_head), 0);
	set_field(r->own, OWN_CTL(r, rx_tail), 0);
	set_field(r->own, OWN_SESSION(r, event), NO_EVENT);
	virt_wmb();
	return lost;
}

/* Whether the peer's indices are of the session this end knows: going on, or closed */
static bool is_session_of(const struct ivm_ring *r, u32 epoch)
{
	return r->peer_epoch && (epoch == r->peer_epoch || !epoch);
}

void ivm_ring_close(struct ivm_ring *r)
{
	r->connected = false;
	set_field(r->own, OWN_SESSION(r, epoch), 0);
}

u32 ivm_ring_reset(struct ivm_ring *r, u32 epoch)
{
	u32 lost;

	if (is_session_of(r, field(r->peer, PEER_SESSION(r, epoch))))
		note_tail(r);
	r->connected = false;
	set_field(r->own, OWN_SESSION(r, epoch), 0);
	virt_wmb();
	lost = zero(r);
	r->epoch = epoch;
	set_field(r->own, OWN_SESSION(r, epoch), epoch);
	return lost;
}

bool ivm_ring_sync(struct ivm_ring *r, u32 *lost)
{
	u32 epoch;

	*lost = 0;
	r->connected = false;
	if (!r->peer || r->channel >= r->peer_layout.vectors)
		return false;
	epoch = field(r->peer, PEER_SESSION(r, epoch));
	if (!epoch) {
		note_tail(r);
		return false;
	}
	virt_rmb();
	if (epoch != r->peer_epoch) {
		*lost = zero(r);
		r->peer_epoch = epoch;
	}
	/* Again each time: whoever can write our lane may have done so */
	set_field(r->own, OWN_SESSION(r, epoch), r->epoch);
	set_field(r->own, OWN_SESSION(r, echo), epoch);
	r->connected = field(r->peer, PEER_SESSION(r, echo)) == r->epoch;
	virt_rmb();
	return r->connected;
}

/* What was read before belongs to the session both ends are in */
static bool still_connected(const struct ivm_ring *r)
{
	virt_rmb();
	return r->connected && field(r->peer, PEER_SESSION(r, epoch)) == r->peer_epoch &&
	       field(r->peer, PEER_SESSION(r, echo)) == r->epoch;
}

/* ---- sending ---- */

static u32 payload(const struct ivm_layout *l)
{
	return l->slot_bytes - (u32)sizeof(struct ivm_lane_slot);
}

u32 ivm_ring_max(const struct ivm_layout *l)
{
	return l->slots ? l->slots / 2 * payload(l) : 0;
}

/* Read how far the peer has got */
static int look(struct ivm_ring *r)
{
	u32 tail;

	if (!r->connected)
		return -ENOTCONN;
	tail = field(r->peer, PEER_CTL(r, rx_tail));
	if (!still_connected(r)) {
		if (!field(r->peer, PEER_SESSION(r, epoch)))
			note_tail(r);
		return -ENOTCONN;
	}
	if (tail - r->tx_tail > r->tx_head - r->tx_tail)
		return -EBADMSG;
	r->tx_tail = tail;
	return 0;
}

/*
 * Ask to be rung once the peer has passed @event, then look again: it may have
 * been passed before the peer could see the wish.
 */
static int arm(struct ivm_ring *r, u32 event)
{
	set_field(r->own, OWN_SESSION(r, event), event);
	virt_mb();
	return look(r);
}

static int wait_for_room(struct ivm_ring *r, u32 slots)
{
	u32 size = r->own_layout->slots, tail;
	int err = look(r);

	while (!err && size - (r->tx_head - r->tx_tail) < slots) {
		tail = r->tx_tail;
		/* Not at every slot: half of what is under way, so that a flood rings rarely */
		err = arm(r, tail + (r->tx_head - tail) / 2);
		if (!err && r->tx_tail == tail)
			err = -EAGAIN;
	}
	return err;
}

static void write_slots(struct ivm_ring *r, const u8 *data, u32 bytes)
{
	u32 head = r->tx_head, room = payload(r->own_layout), part;
	u8 *slot;

	do {
		slot = own_slot(r, head++);
		part = min(bytes, room);
		memcpy(slot + sizeof(struct ivm_lane_slot), data, part);
		store(slot + offsetof(struct ivm_lane_slot, bytes), part);
		store(slot + offsetof(struct ivm_lane_slot, flags),
		      bytes > part ? IVM_SLOT_CONTINUED : 0);
		data += part;
		bytes -= part;
	} while (bytes);
	r->tx_head = head;
}

int ivm_ring_send(struct ivm_ring *r, const void *data, u32 bytes)
{
	u32 slots;
	int err;

	if (!bytes || bytes > ivm_ring_max(r->own_layout))
		return -EMSGSIZE;
	slots = (bytes + payload(r->own_layout) - 1) / payload(r->own_layout);
	err = wait_for_room(r, slots);
	if (err)
		return err;
	write_slots(r, data, bytes);
	virt_wmb();
	set_field(r->own, OWN_CTL(r, tx_head), r->tx_head);
	return 0;
}

int ivm_ring_room(struct ivm_ring *r)
{
	return wait_for_room(r, r->own_layout->slots / 2);
}

int ivm_ring_pending(struct ivm_ring *r, u32 head)
{
	int err = look(r);

	while (!err && (s32)(head - r->tx_tail) > 0) {
		u32 tail = r->tx_tail;

		err = arm(r, head - 1);
		if (!err && r->tx_tail == tail)
			err = -EAGAIN;
	}
	return err;
}

/* ---- receiving ---- */

/* Return: 0 and how many slots have come, or -errno */
static int arrived(const struct ivm_ring *r, u32 *count)
{
	u32 head;

	if (!r->connected)
		return -ENOTCONN;
	head = field(r->peer, PEER_CTL(r, tx_head));
	if (!still_connected(r))
		return -ENOTCONN;
	*count = head - r->rx_tail;
	if (*count > r->peer_layout.slots)
		return -EBADMSG;
	return *count ? 0 : -EAGAIN;
}

/* Return: 0 and the message, or -EBADMSG */
static int copy_message(const struct ivm_ring *r, u32 count, u8 *data, u32 size, u32 *bytes,
			u32 *slots)
{
	u32 part, flags, room = payload(&r->peer_layout), total = 0, i = 0;
	const u8 *slot;

	do {
		if (i == count)
			return -EBADMSG;
		slot = peer_slot(r, r->rx_tail + i++);
		part = load(slot + offsetof(struct ivm_lane_slot, bytes));
		flags = load(slot + offsetof(struct ivm_lane_slot, flags));
		if (!part || part > room || part > size - total || flags & ~IVM_SLOT_CONTINUED)
			return -EBADMSG;
		memcpy(data + total, slot + sizeof(struct ivm_lane_slot), part);
		total += part;
	} while (flags & IVM_SLOT_CONTINUED);
	*bytes = total;
	*slots = i;
	return 0;
}

int ivm_ring_peek(const struct ivm_ring *r, void *data, u32 size, u32 *bytes, u32 *slots)
{
	u32 count;
	int err = arrived(r, &count);

	if (!err)
		err = copy_message(r, count, data, size, bytes, slots);
	/* A peer that started anew meanwhile has not sent nonsense */
	if ((!err || err == -EBADMSG) && !still_connected(r))
		return -ENOTCONN;
	return err;
}

bool ivm_ring_readable(const struct ivm_ring *r)
{
	u32 count;

	return arrived(r, &count) != -EAGAIN;
}

bool ivm_ring_consume(struct ivm_ring *r, u32 slots)
{
	u32 old = r->rx_tail, event;

	r->rx_tail += slots;
	/* What was copied must have been before the peer may overwrite it */
	virt_mb();
	set_field(r->own, OWN_CTL(r, rx_tail), r->rx_tail);
	virt_mb();
	event = field(r->peer, PEER_SESSION(r, event));
	return r->rx_tail - event - 1 < r->rx_tail - old;
}
