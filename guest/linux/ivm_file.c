// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ivm_mailbox: /dev/ivmN.
 *
 * A file is bound to one channel, at its first use.  Several may share one:
 * each message goes to one of the readers, a write is one message, never mixed
 * with another.  Nobody sleeps with the device held, so it can go at any time;
 * whoever slept then gets ENODEV.
 */
#include <linux/fs.h>
#include <linux/nospec.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "ivm_mailbox.h"
#include "ivm_trace.h"
#include "ivm_uapi.h"

struct ivm_file {
	struct ivm_dev *ivm;
	struct mutex lock;
	struct ivm_chan *chan;		/* NULL: not bound yet */
	struct ivm_chan *holds;		/* whose interrupts it holds, or NULL */
	errseq_t seen;			/* of chan->error */
};

/* Until the matching put the device stays; 0 or -ENODEV */
static int get(struct ivm_dev *ivm)
{
	down_read(&ivm->alive);
	if (!ivm->dead)
		return 0;
	up_read(&ivm->alive);
	return -ENODEV;
}

static void put(struct ivm_dev *ivm)
{
	up_read(&ivm->alive);
}

/* ---- channels ---- */

static void unbind(struct ivm_file *file)
{
	if (!file->chan)
		return;
	mutex_lock(&file->chan->rx_mutex);
	file->chan->users--;
	mutex_unlock(&file->chan->rx_mutex);
	WRITE_ONCE(file->chan, NULL);
}

static int bind_locked(struct ivm_file *file, u32 index)
{
	struct ivm_chan *chan;
	int err;

	if (index >= file->ivm->channels)
		return -EINVAL;
	chan = &file->ivm->chan[index];
	if (chan == file->chan)
		return 0;
	mutex_lock(&chan->rx_mutex);
	err = chan->mbox ? -EBUSY : ivm_chan_receive_init(chan);
	if (!err)
		chan->users++;
	mutex_unlock(&chan->rx_mutex);
	if (err)
		return err;
	unbind(file);
	/* What was lost before is no news of this file's */
	file->seen = 0;
	errseq_check_and_advance(&chan->error, &file->seen);
	smp_store_release(&file->chan, chan);
	return 0;
}

static int bind(struct ivm_file *file, u32 index)
{
	int err;

	mutex_lock(&file->lock);
	err = bind_locked(file, index);
	mutex_unlock(&file->lock);
	return err;
}

/* The channel of a file, the first one if none was chosen; or ERR_PTR */
static struct ivm_chan *chan_of(struct ivm_file *file)
{
	struct ivm_chan *chan = smp_load_acquire(&file->chan);
	int err;

	if (chan)
		return chan;
	err = bind(file, 0);
	return err ? ERR_PTR(err) : file->chan;
}

/* Messages of anybody on this channel that were lost since this file last asked */
static int check_error(struct ivm_file *file, struct ivm_chan *chan)
{
	int err;

	mutex_lock(&file->lock);
	err = errseq_check_and_advance(&chan->error, &file->seen);
	mutex_unlock(&file->lock);
	return err;
}

/* Sleep until something has happened since @events was read */
static int wait_event_after(struct ivm_chan *chan, int events)
{
	return wait_event_interruptible(chan->wait, atomic_read(&chan->events) != events ||
						    READ_ONCE(chan->ivm->dead));
}

/* ---- read ---- */

static ssize_t read_message(struct ivm_chan *chan, char __user *to, size_t room)
{
	u32 bytes, slots;
	ssize_t ret;

	if (mutex_lock_interruptible(&chan->rx_mutex))
		return -ERESTARTSYS;
	ret = ivm_chan_peek(chan, &bytes, &slots);
	if (!ret && bytes > room)
		ret = -EMSGSIZE;
	if (!ret && copy_to_user(to, chan->rx_buf, bytes))
		ret = -EFAULT;
	if (!ret) {
		ivm_chan_consume(chan, slots);
		trace_ivm_message_receive(chan->ivm->number, chan->index, bytes,
					  chan->ring.rx_tail);
		ret = bytes;
	}
	mutex_unlock(&chan->rx_mutex);
	return ret;
}

static ssize_t ivm_file_read(struct file *filp, char __user *to, size_t room, loff_t *pos)
{
	struct ivm_file *file = filp->private_data;
	struct ivm_chan *chan = chan_of(file);
	ssize_t ret;
	int events;

	if (IS_ERR(chan))
		return PTR_ERR(chan);
	for (;;) {
		events = atomic_read(&chan->events);
		smp_rmb(); /* what has happened before is seen below */
		ret = get(file->ivm);
		if (ret)
			return ret;
		ret = read_message(chan, to, room);
		put(file->ivm);
		if (ret != -EAGAIN || filp->f_flags & O_NONBLOCK)
			return ret;
		ret = wait_event_after(chan, events);
		if (ret)
			return ret;
	}
}

/* ---- write ---- */

static ssize_t write_message(struct file *filp, struct ivm_chan *chan, const void *data,
			     u32 bytes)
{
	struct ivm_file *file = filp->private_data;
	int events, ret;

	for (;;) {
		events = atomic_read(&chan->events);
		smp_rmb(); /* what has happened before is seen below */
		ret = get(file->ivm);
		if (ret)
			return ret;
		ret = ivm_chan_send(chan, data, bytes);
		put(file->ivm);
		if (!ret)
			return bytes;
		if (ret != -EAGAIN || filp->f_flags & O_NONBLOCK)
			return ret;
		ret = wait_event_after(chan, events);
		if (ret)
			return ret;
	}
}

static ssize_t ivm_file_write(struct file *filp, const char __user *from, size_t bytes,
			      loff_t *pos)
{
	struct ivm_file *file = filp->private_data;
	struct ivm_chan *chan = chan_of(file);
	void *data;
	ssize_t ret;

	if (IS_ERR(chan))
		return PTR_ERR(chan);
	if (!bytes)
		return -EINVAL;
	if (bytes > IVM_RING_MAX_MESSAGE)
		return -EMSGSIZE;
	ret = check_error(file, chan);
	if (ret)
		return ret;
	data = kvmalloc(bytes, GFP_KERNEL);
	if (!data)
		return -ENOMEM;
	ret = -EFAULT;
	if (!copy_from_user(data, from, bytes))
		ret = write_message(filp, chan, data, bytes);
	kvfree(data);
	return ret;
}

/* Whether the peer has taken all up to @head of the session that @epoch began */
static int flushed(struct ivm_chan *chan, u32 head, u32 epoch, u32 peer_epoch)
{
	struct ivm_ring *ring = &chan->ring;
	unsigned long flags;
	int ret = 0;

	spin_lock_irqsave(&chan->tx_lock, flags);
	if (ring->epoch == epoch && ring->peer_epoch == peer_epoch && head != ring->tx_tail)
		ret = ring->connected ? ivm_ring_pending(ring, head) : -EAGAIN;
	spin_unlock_irqrestore(&chan->tx_lock, flags);
	/* What became of the session is told by chan->error, when it is known */
	return ret && ret != -EAGAIN ? -EAGAIN : ret;
}

/* Wait until the peer has taken all that was written so far on this channel */
static int ivm_file_fsync(struct file *filp, loff_t start, loff_t end, int datasync)
{
	struct ivm_file *file = filp->private_data;
	struct ivm_chan *chan = chan_of(file);
	u32 head, epoch, peer_epoch;
	unsigned long flags;
	int events, ret;

	if (IS_ERR(chan))
		return PTR_ERR(chan);
	spin_lock_irqsave(&chan->tx_lock, flags);
	head = chan->ring.tx_head;
	epoch = chan->ring.epoch;
	peer_epoch = chan->ring.peer_epoch;
	spin_unlock_irqrestore(&chan->tx_lock, flags);
	for (;;) {
		events = atomic_read(&chan->events);
		smp_rmb(); /* what has happened before is seen below */
		ret = get(file->ivm);
		if (ret)
			return ret;
		ret = flushed(chan, head, epoch, peer_epoch);
		put(file->ivm);
		if (!ret)
			return check_error(file, chan);
		ret = wait_event_after(chan, events);
		if (ret)
			return ret;
	}
}

/* ---- poll ---- */

static __poll_t ivm_file_poll(struct file *filp, poll_table *table)
{
	struct ivm_file *file = filp->private_data;
	struct ivm_chan *chan = chan_of(file);
	__poll_t mask = 0;

	if (IS_ERR(chan))
		return EPOLLERR;
	poll_wait(filp, &chan->wait, table);
	if (get(file->ivm))
		return EPOLLHUP | EPOLLERR;
	if (ivm_chan_readable(chan))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (ivm_chan_writable(chan))
		mask |= EPOLLOUT | EPOLLWRNORM;
	put(file->ivm);
	if (errseq_check(&chan->error, READ_ONCE(file->seen)))
		mask |= EPOLLERR;
	return mask;
}

/* ---- ioctl ---- */

static struct ivm_chan *chan_at(struct ivm_file *file, u32 index)
{
	if (index >= file->ivm->channels)
		return NULL;
	return &file->ivm->chan[array_index_nospec(index, file->ivm->channels)];
}

static u32 info_state(struct ivm_dev *ivm, struct ivm_chan *chan)
{
	u32 state = 0;

	if (READ_ONCE(ivm->link) & IVM_LINK_UP)
		state |= IVM_STATE_UP;
	if (READ_ONCE(ivm->up))
		state |= IVM_STATE_SHMEM;
	if (READ_ONCE(ivm->peer_ready))
		state |= IVM_STATE_PEER_READY;
	if (READ_ONCE(ivm->up) && chan->index < ivm->peer_vectors &&
	    READ_ONCE(chan->ring.connected))
		state |= IVM_STATE_CONNECTED;
	return state;
}

static u32 clock_khz(void)
{
#ifdef CONFIG_X86
	return tsc_khz;
#else
	return 0;
#endif
}

static long get_info(struct ivm_file *file, void __user *arg)
{
	struct ivm_dev *ivm = file->ivm;
	struct ivm_chan *chan = smp_load_acquire(&file->chan) ?: &ivm->chan[0];
	struct ivm_info info = {
		.version = IVM_UAPI_VERSION,
		.state = info_state(ivm, chan),
		.side = ivm->side,
		.channels = ivm->channels,
		.peer_channels = ivm->peer_vectors,
		.mode = ivm->mode,
		.link_count = ivm->link >> IVM_LINK_COUNT_SHIFT & IVM_LINK_COUNT_FIELD,
		.max_message = ivm_ring_max(&ivm->layout),
		.channel = chan->index,
		.result_off = ivm->layout.result_off,
		.result_bytes = ivm->layout.result_bytes,
		.cookie = atomic_read(&ivm->cookie),
		.tsc_khz = clock_khz(),
	};

	return copy_to_user(arg, &info, sizeof(info)) ? -EFAULT : 0;
}

static long get_stats(struct ivm_file *file, void __user *arg)
{
	struct ivm_stats stats;
	struct ivm_chan *chan;

	if (copy_from_user(&stats, arg, sizeof(stats)))
		return -EFAULT;
	chan = chan_at(file, stats.channel);
	if (!chan)
		return -EINVAL;
	stats = (struct ivm_stats){
		.channel = chan->index,
		.rung = atomic64_read(&chan->rung),
		.irqs = atomic64_read(&chan->irqs),
		.sent = READ_ONCE(chan->sent),
		.received = READ_ONCE(chan->received),
		.failed = READ_ONCE(chan->failed),
		.full = READ_ONCE(chan->full),
		.resets = READ_ONCE(chan->resets),
		.ring_tsc = READ_ONCE(chan->ring_tsc),
		.irq_tsc = READ_ONCE(chan->irq_tsc),
	};
	return copy_to_user(arg, &stats, sizeof(stats)) ? -EFAULT : 0;
}

static long ring_doorbell(struct ivm_file *file, void __user *arg)
{
	struct ivm_doorbell doorbell;
	struct ivm_chan *chan;
	int err;

	if (copy_from_user(&doorbell, arg, sizeof(doorbell)))
		return -EFAULT;
	chan = chan_at(file, doorbell.channel);
	if (!chan)
		return -EINVAL;
	err = get(file->ivm);
	if (err)
		return err;
	if (chan->index < READ_ONCE(file->ivm->peer_vectors))
		doorbell.cookie = ivm_chan_ring(chan, &doorbell.tsc);
	else
		err = -ENOTCONN;
	put(file->ivm);
	if (!err && copy_to_user(arg, &doorbell, sizeof(doorbell)))
		err = -EFAULT;
	return err;
}

static long wait_for_irq(struct ivm_file *file, void __user *arg)
{
	struct ivm_wait wait;
	struct ivm_chan *chan;
	long left;

	if (copy_from_user(&wait, arg, sizeof(wait)))
		return -EFAULT;
	chan = chan_at(file, wait.channel);
	if (!chan)
		return -EINVAL;
	left = wait_event_interruptible_timeout(chan->wait,
			(u64)atomic64_read(&chan->irqs) > wait.irqs || READ_ONCE(chan->ivm->dead),
			msecs_to_jiffies(wait.timeout_ms));
	if (left < 0)
		return left;
	if (READ_ONCE(chan->ivm->dead))
		return -ENODEV;
	if (!left)
		return -ETIME;
	wait.irqs = atomic64_read(&chan->irqs);
	wait.tsc = READ_ONCE(chan->irq_tsc);
	return copy_to_user(arg, &wait, sizeof(wait)) ? -EFAULT : 0;
}

/* A file can hold one channel at a time, and lets it go when it is closed */
static long hold(struct ivm_file *file, void __user *arg)
{
	struct ivm_mask mask;
	struct ivm_chan *chan;
	int err;

	if (copy_from_user(&mask, arg, sizeof(mask)))
		return -EFAULT;
	chan = chan_at(file, mask.channel);
	if (!chan || mask.on > 1)
		return -EINVAL;
	err = get(file->ivm);
	if (err)
		return err;
	mutex_lock(&file->lock);
	if (mask.on ? file->holds && file->holds != chan : file->holds != chan) {
		err = -EBUSY;
	} else if (mask.on != !!file->holds) {
		err = ivm_chan_hold(chan, mask.on);
		if (!err)
			file->holds = mask.on ? chan : NULL;
	}
	mutex_unlock(&file->lock);
	put(file->ivm);
	return err;
}

static long write_result(struct ivm_file *file, void __user *arg)
{
	struct ivm_result_part part;
	struct ivm_dev *ivm = file->ivm;
	void *data;
	int err;

	if (copy_from_user(&part, arg, sizeof(part)))
		return -EFAULT;
	if (part.offset > ivm->layout.result_bytes ||
	    part.bytes > ivm->layout.result_bytes - part.offset)
		return -EINVAL;
	data = vmemdup_user(u64_to_user_ptr(part.data), part.bytes);
	if (IS_ERR(data))
		return PTR_ERR(data);
	err = get(ivm);
	if (!err) {
		/* Each call's data become visible after those of the call before */
		virt_wmb();
		if (ivm->lane_ready)
			memcpy(ivm->own + ivm->layout.result_off + part.offset, data, part.bytes);
		else
			err = -ENOTCONN;
		put(ivm);
	}
	kvfree(data);
	return err;
}

static long ivm_file_ioctl(struct file *filp, unsigned int command, unsigned long value)
{
	struct ivm_file *file = filp->private_data;
	void __user *arg = (void __user *)value;
	u32 index;

	if (READ_ONCE(file->ivm->dead))
		return -ENODEV;
	switch (command) {
	case IVM_IOC_INFO:
		return get_info(file, arg);
	case IVM_IOC_BIND:
		return get_user(index, (u32 __user *)arg) ? -EFAULT : bind(file, index);
	case IVM_IOC_STATS:
		return get_stats(file, arg);
	case IVM_IOC_RING:
		return ring_doorbell(file, arg);
	case IVM_IOC_WAIT:
		return wait_for_irq(file, arg);
	case IVM_IOC_MASK:
		return hold(file, arg);
	case IVM_IOC_RESULT:
		return write_result(file, arg);
	}
	return -ENOTTY;
}

/* ---- open and close ---- */

static int ivm_file_open(struct inode *inode, struct file *filp)
{
	struct ivm_dev *ivm = container_of(inode->i_cdev, struct ivm_dev, cdev);
	struct ivm_file *file;

	if (READ_ONCE(ivm->dead))
		return -ENODEV;
	file = kzalloc(sizeof(*file), GFP_KERNEL);
	if (!file)
		return -ENOMEM;
	get_device(&ivm->dev);
	file->ivm = ivm;
	mutex_init(&file->lock);
	filp->private_data = file;
	return stream_open(inode, filp);
}

static int ivm_file_release(struct inode *inode, struct file *filp)
{
	struct ivm_file *file = filp->private_data;
	struct ivm_dev *ivm = file->ivm;

	if (file->holds && !get(ivm)) {
		ivm_chan_hold(file->holds, false);
		put(ivm);
	}
	unbind(file);
	kfree(file);
	put_device(&ivm->dev);
	return 0;
}

const struct file_operations ivm_fops = {
	.owner = THIS_MODULE,
	.open = ivm_file_open,
	.release = ivm_file_release,
	.read = ivm_file_read,
	.write = ivm_file_write,
	.fsync = ivm_file_fsync,
	.poll = ivm_file_poll,
	.unlocked_ioctl = ivm_file_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};
