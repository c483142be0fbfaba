// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ivm_mailbox: the link going up and down, the lanes, the stamps.
 *
 * The interrupt of LINK_VECTOR says that something changed; all looking and
 * telling is done by one work.  A session of two drivers outlives its link: what
 * lies in the rings when the link goes down is still there when it comes back.
 */
#include <linux/kobject.h>
#include <linux/timex.h>

#include "ivm_mailbox.h"
#include "ivm_trace.h"

#define RETRY_MAX_MS	64	/* between looks at a peer that has not answered */

/* ---- stamps ---- */

/*
 * A reader must never see a hole, and no CPU may wait for another one here: its
 * host may have taken the CPU away in the middle of a stamp.  So whoever finds
 * that nothing is being written publishes all that was.
 */
static void publish_stamps(struct ivm_dev *ivm, u64 written)
{
	struct ivm_lane *lane = ivm->own;
	u64 head, *at = &lane->stamp_head;

	if (written != (u64)atomic64_read_acquire(&ivm->stamps_begun))
		return;
	head = READ_ONCE(*at);
	while (le64_to_cpu((__force __le64)head) < written) {
		u64 new = (__force u64)cpu_to_le64(written);
		u64 was = cmpxchg64(at, head, new);

		if (was == head)
			break;
		head = was;
	}
}

/**
 * ivm_stamp() - leave a stamp for the host's tracer in our lane
 * @ivm: the device
 * @kind: IVM_STAMP_*
 * @cookie: of the doorbell, or how many interrupts its vector has had
 * @vector: of the doorbell or interrupt
 * @tsc: when it was
 *
 * With interrupts off, or a stamp would stay open for the time of one.
 */
void ivm_stamp(struct ivm_dev *ivm, u32 kind, u32 cookie, u32 vector, u64 tsc)
{
	struct ivm_stamp *stamp;
	u64 index;

	if (!READ_ONCE(ivm->stamping))
		return;
	index = atomic64_inc_return_relaxed(&ivm->stamps_begun) - 1;
	stamp = ivm->own + ivm->layout.stamp_off +
		(index & (ivm->layout.stamps - 1)) * sizeof(*stamp);
	stamp->cookie = (__force u32)cpu_to_le32(cookie);
	stamp->vector = (__force u16)cpu_to_le16(vector);
	stamp->kind = (__force u16)cpu_to_le16(kind);
	stamp->tsc = (__force u64)cpu_to_le64(tsc);
	publish_stamps(ivm, atomic64_inc_return(&ivm->stamps_written));
}

/* ---- our lane ---- */

/* Until a link has come up once, and if its memory is replaced, nothing of us is there */
static bool lane_is_there(struct ivm_dev *ivm)
{
	const struct ivm_lane_session *session = ivm->own + ivm->layout.session_off;
	struct ivm_layout there;
	int err = ivm_layout_read(&there, ivm->own, ivm->layout.lane_bytes);

	return ivm->lane_ready && (!err || err == -EOPNOTSUPP) &&
	       READ_ONCE(session->epoch) == (__force u32)cpu_to_le32(ivm->chan[0].ring.epoch) &&
	       there.vectors == ivm->layout.vectors && there.ctl_off == ivm->layout.ctl_off &&
	       there.session_off == ivm->layout.session_off &&
	       there.slot_off == ivm->layout.slot_off && there.slots == ivm->layout.slots &&
	       there.slot_bytes == ivm->layout.slot_bytes;
}

static void make_lane(struct ivm_dev *ivm)
{
	struct ivm_chan *chan;
	u32 i;

	WRITE_ONCE(ivm->stamping, false);
	ivm_lane_publish(ivm->own, &ivm->layout);
	atomic64_set(&ivm->stamps_begun, 0);
	atomic64_set(&ivm->stamps_written, 0);
	for (i = 0; i < ivm->channels; i++) {
		chan = &ivm->chan[i];
		mutex_lock(&chan->rx_mutex);
		ivm_chan_reset(chan, true);
		mutex_unlock(&chan->rx_mutex);
	}
	ivm->lane_ready = true;
	WRITE_ONCE(ivm->stamping, ivm->layout.stamps != 0);
}

/* ---- the link ---- */

/* PEER_READY is 0 with the link down, and for a moment behind each link-up */
static void read_link(struct ivm_dev *ivm)
{
	u32 link = ivm->link;

	do {
		ivm->link = ivm_read(ivm, IVM_REG_LINK);
		ivm->features = ivm_read(ivm, IVM_REG_FEATURES);
		ivm->mode = ivm_read(ivm, IVM_REG_MODE);
		WRITE_ONCE(ivm->peer_vectors, ivm_read(ivm, IVM_REG_PEER_VECTORS));
		ivm->peer_ready = ivm_read(ivm, IVM_REG_PEER_READY) & IVM_READY;
	} while (ivm_read(ivm, IVM_REG_LINK) != ivm->link);
	if (ivm->link != link)
		ivm->ready_seen = false;
}

/* Return: whether all that can be connected is */
static bool sync_channels(struct ivm_dev *ivm)
{
	bool settled = true;
	struct ivm_chan *chan;
	u32 i;

	for (i = 0; i < ivm->channels; i++) {
		chan = &ivm->chan[i];
		mutex_lock(&chan->rx_mutex);
		if (ivm->peer_ready)
			settled &= ivm_chan_sync(chan) || i >= ivm->peer_vectors;
		else if (ivm->ready_seen)
			ivm_chan_reset(chan, true);
		mutex_unlock(&chan->rx_mutex);
	}
	ivm->ready_seen = ivm->peer_ready;
	return settled;
}

static void tell(struct ivm_dev *ivm)
{
	bool up = ivm->link & IVM_LINK_UP;
	char state[32], mode[32];
	char *envp[] = { state, mode, NULL };
	u32 i;

	snprintf(state, sizeof(state), "IVM_LINK=%s", up ? "up" : "down");
	snprintf(mode, sizeof(mode), "IVM_MODE=%s",
		 ivm_mode_name(ivm->mode >> IVM_MODE_TX_SHIFT & IVM_MODE_FIELD));
	trace_ivm_mailbox_link(ivm->number, ivm->link, ivm->mode, ivm->peer_ready);
	dev_dbg(&ivm->dev, "link %s, mode %04x, peer %sready\n", up ? "up" : "down", ivm->mode,
		ivm->peer_ready ? "" : "not ");
	kobject_uevent_env(&ivm->dev.kobj, KOBJ_CHANGE, envp);
	sysfs_notify(&ivm->dev.kobj, NULL, "link");
	for (i = 0; i < ivm->channels; i++) {
		ivm->chan[i].reported &= up;
		ivm_chan_hold_again(&ivm->chan[i]);
	}
}

static void look_at_link(struct ivm_dev *ivm)
{
	u32 link = ivm->link, ready = ivm->peer_ready, i;
	bool settled = true, up;

	read_link(ivm);
	up = (ivm->link & IVM_LINK_UP) && (ivm->features & IVM_FEATURE_SHMEM) && ivm->shmem;
	WRITE_ONCE(ivm->up, false);
	if (up && !lane_is_there(ivm))
		make_lane(ivm);
	if (ivm->link & IVM_LINK_UP)
		ivm_write(ivm, IVM_REG_READY, IVM_READY);
	if (up)
		settled = sync_channels(ivm);
	WRITE_ONCE(ivm->up, up);
	if (link != ivm->link || ready != ivm->peer_ready)
		tell(ivm);
	for (i = 0; i < ivm->channels; i++)
		ivm_chan_wake(&ivm->chan[i]);

	ivm->retry_ms = settled || !ivm->peer_ready ? 0 :
			clamp(2 * ivm->retry_ms, 1u, (unsigned int)RETRY_MAX_MS);
	if (ivm->retry_ms)
		queue_delayed_work(system_highpri_wq, &ivm->link_work,
				   msecs_to_jiffies(ivm->retry_ms));
}

static void link_work(struct work_struct *work)
{
	struct ivm_dev *ivm = container_of(to_delayed_work(work), struct ivm_dev, link_work);

	down_read(&ivm->alive);
	if (!ivm->dead)
		look_at_link(ivm);
	up_read(&ivm->alive);
}

void ivm_link_init(struct ivm_dev *ivm)
{
	INIT_DELAYED_WORK(&ivm->link_work, link_work);
}

/* Have the work look, now; from any context */
void ivm_link_kick(struct ivm_dev *ivm)
{
	mod_delayed_work(system_highpri_wq, &ivm->link_work, 0);
}

/* Nobody uses the device any more: tell the peer */
void ivm_link_stop(struct ivm_dev *ivm)
{
	struct ivm_chan *chan;
	u32 i;

	cancel_delayed_work_sync(&ivm->link_work);
	WRITE_ONCE(ivm->stamping, false);
	for (i = 0; ivm->lane_ready && i < ivm->channels; i++) {
		chan = &ivm->chan[i];
		mutex_lock(&chan->rx_mutex);
		spin_lock_irq(&chan->tx_lock);
		ivm_ring_close(&chan->ring);
		spin_unlock_irq(&chan->tx_lock);
		mutex_unlock(&chan->rx_mutex);
	}
	ivm_write(ivm, IVM_REG_LINK_VECTOR, IVM_LINK_VECTOR_NONE);
	ivm_write(ivm, IVM_REG_READY, 0);
}
