// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ivm_mailbox: one channel, its two rings, its doorbell and its interrupt.
 */
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/timex.h>

#include "ivm_mailbox.h"
#include "ivm_trace.h"

void ivm_chan_init(struct ivm_dev *ivm, u32 index)
{
	struct ivm_chan *chan = &ivm->chan[index];

	chan->ivm = ivm;
	chan->index = index;
	init_waitqueue_head(&chan->wait);
	spin_lock_init(&chan->tx_lock);
	mutex_init(&chan->rx_mutex);
	mutex_init(&chan->hold_mutex);
	INIT_WORK(&chan->mbox_work, ivm_controller_work);
	chan->ring.channel = index;
	chan->ring.own = ivm->own;
	chan->ring.peer = ivm->peer;
	chan->ring.own_layout = &ivm->layout;
}

/**
 * ivm_chan_wake() - let everybody who waits on a channel look again
 * @chan: the channel
 *
 * Waiters take the count before they look and sleep only while it is the same,
 * so nothing that comes in between is missed.
 */
void ivm_chan_wake(struct ivm_chan *chan)
{
	atomic_inc(&chan->events);
	wake_up_interruptible_all(&chan->wait);
	if (READ_ONCE(chan->mbox))
		queue_work(system_highpri_wq, &chan->mbox_work);
}

/**
 * ivm_chan_ring() - ring the peer's doorbell
 * @chan: the channel
 * @tsc: set to the clock just before it
 *
 * The stamp is written after the doorbell, so that nothing stands between the
 * clock and it; without interrupts, so that nothing can.
 *
 * Return: the cookie it was rung with.
 */
u32 ivm_chan_ring(struct ivm_chan *chan, u64 *tsc)
{
	struct ivm_dev *ivm = chan->ivm;
	unsigned long flags;
	u32 cookie;

	local_irq_save(flags);
	cookie = atomic_inc_return(&ivm->cookie);
	*tsc = get_cycles();
	ivm_write(ivm, IVM_DOORBELL(chan->index), cookie);
	atomic64_inc(&chan->rung);
	ivm_stamp(ivm, IVM_STAMP_RING, cookie, chan->index, *tsc);
	local_irq_restore(flags);
	trace_ivm_doorbell_ring(ivm->number, chan->index, cookie, *tsc);
	return cookie;
}

/* ---- sessions ---- */

/* Messages that were accepted and will not be delivered: tell whoever sent them */
static void note_lost(struct ivm_chan *chan, u32 lost, bool corrupt)
{
	lockdep_assert_held(&chan->tx_lock);
	trace_ivm_message_drop(chan->ivm->number, chan->index, lost, corrupt);
	if (!lost)
		return;
	chan->failed += lost;
	errseq_set(&chan->error, -ECONNRESET);
	if (chan->mbox_busy && chan->mbox_status == -EINPROGRESS)
		chan->mbox_status = -ECONNRESET;
}

/* Only the first of a series is news */
static void report(struct ivm_chan *chan, const char *what)
{
	if (chan->reported)
		return;
	chan->reported = true;
	dev_warn(&chan->ivm->dev, "channel %u: %s; starting it anew\n", chan->index, what);
}

/**
 * ivm_chan_reset() - start a channel anew, from this side
 * @chan: the channel; rx_mutex is held
 * @forget_peer: what the peer said so far does not count either
 */
void ivm_chan_reset(struct ivm_chan *chan, bool forget_peer)
{
	unsigned long flags;
	u32 epoch, lost;

	lockdep_assert_held(&chan->rx_mutex);
	do {
		epoch = get_random_u32();
	} while (!epoch || epoch == chan->ring.epoch);

	spin_lock_irqsave(&chan->tx_lock, flags);
	lost = ivm_ring_reset(&chan->ring, epoch);
	if (forget_peer)
		chan->ring.peer_epoch = 0;
	note_lost(chan, lost, !forget_peer);
	spin_unlock_irqrestore(&chan->tx_lock, flags);
}

/* The peer's ring makes no sense */
static void reset_corrupt(struct ivm_chan *chan)
{
	u64 tsc;

	report(chan, "the peer's ring is corrupt");
	chan->resets++;
	ivm_chan_reset(chan, false);
	/* The peer has to start anew, too, and may be asleep */
	ivm_chan_ring(chan, &tsc);
	ivm_link_kick(chan->ivm);
}

/**
 * ivm_chan_sync() - agree with the peer on a session, if it is there
 * @chan: the channel; rx_mutex is held
 *
 * Return: true if messages can be exchanged, or never can be: there is nothing
 * to wait for.
 */
bool ivm_chan_sync(struct ivm_chan *chan)
{
	struct ivm_ring *ring = &chan->ring;
	struct ivm_layout layout;
	unsigned long flags;
	bool settled;
	u32 lost;
	int err;

	lockdep_assert_held(&chan->rx_mutex);
	if (xchg(&chan->tx_corrupt, false))
		reset_corrupt(chan);
	err = ivm_layout_read(&layout, ring->peer, chan->ivm->layout.lane_bytes);
	spin_lock_irqsave(&chan->tx_lock, flags);
	if (err) {
		ring->connected = false;
		settled = err == -EOPNOTSUPP;
	} else {
		ring->peer_layout = layout;
		settled = ivm_ring_sync(ring, &lost) || chan->index >= layout.vectors;
		if (lost)
			note_lost(chan, lost, false);
	}
	spin_unlock_irqrestore(&chan->tx_lock, flags);
	if (err == -EBADMSG || err == -EPROTO)
		report(chan, err == -EPROTO ? "the peer's lane is of another version" :
					      "the peer's lane is malformed");
	return settled;
}

/* ---- messages ---- */

static bool can_send(const struct ivm_chan *chan)
{
	return READ_ONCE(chan->ivm->up) && chan->index < READ_ONCE(chan->ivm->peer_vectors);
}

/*
 * The session has ended: what to do about it may sleep, so the link's work does
 * it.  Once only; while there is no session that work looks again by itself.
 */
static int check_tx(struct ivm_chan *chan, int err)
{
	if (err != -ENOTCONN && err != -EBADMSG)
		return err;
	if (chan->ring.connected) {
		chan->ring.connected = false;
		chan->tx_corrupt = err == -EBADMSG;
		ivm_link_kick(chan->ivm);
	}
	return -EAGAIN;
}

/**
 * ivm_chan_send_locked() - send one message
 * @chan: the channel; tx_lock is held
 * @data: the message
 * @bytes: its length, not 0
 *
 * Return: 0, -EAGAIN if not now, -EMSGSIZE.
 */
int ivm_chan_send_locked(struct ivm_chan *chan, const void *data, u32 bytes)
{
	u64 tsc;
	int err;

	lockdep_assert_held(&chan->tx_lock);
	if (!chan->ivm->layout.slots)
		return -EOPNOTSUPP;
	if (bytes > ivm_ring_max(&chan->ivm->layout))
		return -EMSGSIZE;
	if (!can_send(chan))
		return -EAGAIN;
	err = ivm_ring_send(&chan->ring, data, bytes);
	if (err == -EAGAIN)
		chan->full++;
	if (err)
		return check_tx(chan, err);
	chan->sent++;
	trace_ivm_message_send(chan->ivm->number, chan->index, bytes, chan->ring.tx_head);
	ivm_chan_ring(chan, &tsc);
	WRITE_ONCE(chan->ring_tsc, tsc);
	return 0;
}

int ivm_chan_send(struct ivm_chan *chan, const void *data, u32 bytes)
{
	unsigned long flags;
	int err;

	spin_lock_irqsave(&chan->tx_lock, flags);
	err = ivm_chan_send_locked(chan, data, bytes);
	spin_unlock_irqrestore(&chan->tx_lock, flags);
	return err;
}

bool ivm_chan_writable(struct ivm_chan *chan)
{
	unsigned long flags;
	int err = -EAGAIN;

	spin_lock_irqsave(&chan->tx_lock, flags);
	if (can_send(chan))
		err = check_tx(chan, ivm_ring_room(&chan->ring));
	spin_unlock_irqrestore(&chan->tx_lock, flags);
	return !err;
}

bool ivm_chan_readable(struct ivm_chan *chan)
{
	unsigned long flags;
	bool readable;

	spin_lock_irqsave(&chan->tx_lock, flags);
	readable = chan->ring.connected && ivm_ring_readable(&chan->ring);
	spin_unlock_irqrestore(&chan->tx_lock, flags);
	return readable;
}

int ivm_chan_receive_init(struct ivm_chan *chan)
{
	lockdep_assert_held(&chan->rx_mutex);
	if (!chan->rx_buf)
		chan->rx_buf = kvmalloc(IVM_RING_MAX_MESSAGE, GFP_KERNEL);
	return chan->rx_buf ? 0 : -ENOMEM;
}

/**
 * ivm_chan_peek() - the oldest message, copied to chan->rx_buf
 * @chan: the channel; rx_mutex is held
 * @bytes: set to its length
 * @slots: set to what ivm_chan_consume() wants to know
 *
 * Return: 0, -EAGAIN if there is none.
 */
int ivm_chan_peek(struct ivm_chan *chan, u32 *bytes, u32 *slots)
{
	bool was_connected = chan->ring.connected;
	int err;

	lockdep_assert_held(&chan->rx_mutex);
	err = ivm_ring_peek(&chan->ring, chan->rx_buf, IVM_RING_MAX_MESSAGE, bytes, slots);
	/* A peer that has just come, or come back, may have sent already */
	if (err == -ENOTCONN && chan->ivm->lane_ready) {
		if (ivm_chan_sync(chan) && chan->ring.connected)
			err = ivm_ring_peek(&chan->ring, chan->rx_buf, IVM_RING_MAX_MESSAGE,
					    bytes, slots);
		else if (was_connected)
			ivm_link_kick(chan->ivm);
	}
	if (err == -EBADMSG)
		reset_corrupt(chan);
	return err ? -EAGAIN : 0;
}

void ivm_chan_consume(struct ivm_chan *chan, u32 slots)
{
	u64 tsc;

	lockdep_assert_held(&chan->rx_mutex);
	chan->received++;
	if (ivm_ring_consume(&chan->ring, slots))
		ivm_chan_ring(chan, &tsc);
}

/* ---- holding interrupts ---- */

static void hold_by_device(struct ivm_chan *chan, bool on)
{
	u32 reg = IVM_REG_MASK(chan->index / 32), bit = BIT(chan->index % 32);
	u32 mask = ivm_read(chan->ivm, reg);

	ivm_write(chan->ivm, reg, on ? mask | bit : mask & ~bit);
	/*
	 * What was rung before is for whoever holds the vector to look for now;
	 * left in STATUS it would raise the vector once more when let go.
	 */
	if (on)
		ivm_write(chan->ivm, IVM_REG_STATUS(chan->index / 32), bit);
}

static void set_hold(struct ivm_chan *chan, enum ivm_hold hold)
{
	if (hold == chan->hold)
		return;
	if (chan->hold == IVM_HOLD_MSIX)
		enable_irq(chan->irq);
	if (hold == IVM_HOLD_MSIX)
		disable_irq(chan->irq);
	if (chan->hold == IVM_HOLD_DEVICE || hold == IVM_HOLD_DEVICE)
		hold_by_device(chan, hold == IVM_HOLD_DEVICE);
	chan->hold = hold;
	trace_ivm_irq_mask(chan->ivm->number, chan->index, hold != IVM_HOLD_NONE,
			   hold == IVM_HOLD_DEVICE);
}

/**
 * ivm_chan_hold_again() - hold by what can hold now, which changes with the link
 * @chan: the channel
 */
void ivm_chan_hold_again(struct ivm_chan *chan)
{
	bool by_device;

	mutex_lock(&chan->hold_mutex);
	by_device = ivm_read(chan->ivm, IVM_REG_FEATURES) & IVM_FEATURE_IRQ_CTRL;
	set_hold(chan, !chan->held ? IVM_HOLD_NONE : by_device ? IVM_HOLD_DEVICE : IVM_HOLD_MSIX);
	mutex_unlock(&chan->hold_mutex);
}

/**
 * ivm_chan_hold() - hold a channel's interrupts, or let them go
 * @chan: the channel
 * @on: hold them
 *
 * Return: 0, or -EBUSY if they are held already.
 */
int ivm_chan_hold(struct ivm_chan *chan, bool on)
{
	bool busy;

	mutex_lock(&chan->hold_mutex);
	busy = on && chan->held;
	chan->held = on;
	mutex_unlock(&chan->hold_mutex);
	ivm_chan_hold_again(chan);
	return busy ? -EBUSY : 0;
}

/**
 * ivm_chan_unhold() - let a channel's interrupts go for good, without alive held
 * @chan: the channel
 */
void ivm_chan_unhold(struct ivm_chan *chan)
{
	mutex_lock(&chan->hold_mutex);
	chan->held = false;
	set_hold(chan, IVM_HOLD_NONE);
	mutex_unlock(&chan->hold_mutex);
}
