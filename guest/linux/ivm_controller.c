// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ivm_mailbox as a controller of the mailbox framework: one channel for each
 * vector, one message under way at a time.
 *
 * A transmission is done when the peer has taken the message: it is asked to
 * ring for that, so nothing is polled.  With the link down, or when the peer
 * starts anew, the transmission is done with an error.
 */
#include <linux/module.h>

#include "ivm_mailbox.h"
#include "ivm_mbox.h"
#include "ivm_trace.h"

#define BUDGET		64	/* messages before others get the CPU */

static struct ivm_chan *to_chan(struct mbox_chan *mbox)
{
	return mbox->con_priv;
}

static int send_data(struct mbox_chan *mbox, void *data)
{
	struct ivm_chan *chan = to_chan(mbox);
	const struct ivm_mbox_message *message = data;
	unsigned long flags;
	int err;

	spin_lock_irqsave(&chan->tx_lock, flags);
	err = ivm_chan_send_locked(chan, message->data, message->bytes);
	chan->mbox_busy = true;
	chan->mbox_status = err == -EAGAIN ? -ENOTCONN : err ? err : -EINPROGRESS;
	chan->mbox_head = chan->ring.tx_head;
	/* The wish to be told comes after the doorbell, so it may have been taken already */
	if (!err && ivm_ring_pending(&chan->ring, chan->mbox_head) == -EAGAIN)
		err = -EINPROGRESS;
	spin_unlock_irqrestore(&chan->tx_lock, flags);
	if (err != -EINPROGRESS)
		queue_work(system_highpri_wq, &chan->mbox_work);
	return 0;
}

/* Return: -EINPROGRESS, or how the transmission has ended; then it is reported once */
static int finish_tx(struct ivm_chan *chan)
{
	unsigned long flags;
	int status = -EINPROGRESS;

	spin_lock_irqsave(&chan->tx_lock, flags);
	if (chan->mbox_busy) {
		status = chan->mbox_status;
		if (status == -EINPROGRESS && chan->ring.connected)
			status = ivm_ring_pending(&chan->ring, chan->mbox_head);
		if (status == -EAGAIN || status == -ENOTCONN)
			status = chan->mbox_status;
		chan->mbox_busy = status == -EINPROGRESS;
	}
	spin_unlock_irqrestore(&chan->tx_lock, flags);
	return status;
}

/* Return: whether there was one */
static bool receive_one(struct ivm_chan *chan)
{
	struct ivm_mbox_message message;
	u32 slots;

	if (ivm_chan_peek(chan, &message.bytes, &slots))
		return false;
	message.data = chan->rx_buf;
	trace_ivm_message_receive(chan->ivm->number, chan->index, message.bytes,
				  chan->ring.rx_tail + slots);
	mbox_chan_received_data(chan->mbox, &message);
	ivm_chan_consume(chan, slots);
	return true;
}

void ivm_controller_work(struct work_struct *work)
{
	struct ivm_chan *chan = container_of(work, struct ivm_chan, mbox_work);
	struct ivm_dev *ivm = chan->ivm;
	int status, budget = BUDGET;

	down_read(&ivm->alive);
	mutex_lock(&chan->rx_mutex);
	if (chan->mbox && !ivm->dead) {
		status = finish_tx(chan);
		if (status != -EINPROGRESS)
			mbox_chan_txdone(chan->mbox, status);
		while (budget && receive_one(chan))
			budget--;
		if (!budget)
			queue_work(system_highpri_wq, work);
	}
	mutex_unlock(&chan->rx_mutex);
	up_read(&ivm->alive);
}

static int startup(struct mbox_chan *mbox)
{
	struct ivm_chan *chan = to_chan(mbox);
	int err;

	mutex_lock(&chan->rx_mutex);
	err = chan->users ? -EBUSY : ivm_chan_receive_init(chan);
	if (!err)
		WRITE_ONCE(chan->mbox, mbox);
	mutex_unlock(&chan->rx_mutex);
	/* Something may have come before */
	if (!err)
		queue_work(system_highpri_wq, &chan->mbox_work);
	return err;
}

static void shutdown(struct mbox_chan *mbox)
{
	struct ivm_chan *chan = to_chan(mbox);
	unsigned long flags;

	mutex_lock(&chan->rx_mutex);
	WRITE_ONCE(chan->mbox, NULL);
	mutex_unlock(&chan->rx_mutex);
	cancel_work_sync(&chan->mbox_work);
	spin_lock_irqsave(&chan->tx_lock, flags);
	chan->mbox_busy = false;
	spin_unlock_irqrestore(&chan->tx_lock, flags);
}

static bool peek_data(struct mbox_chan *mbox)
{
	struct ivm_chan *chan = to_chan(mbox);
	bool readable = ivm_chan_readable(chan);

	if (readable)
		queue_work(system_highpri_wq, &chan->mbox_work);
	return readable;
}

static const struct mbox_chan_ops ops = {
	.send_data = send_data,
	.startup = startup,
	.shutdown = shutdown,
	.peek_data = peek_data,
};

int ivm_controller_register(struct ivm_dev *ivm)
{
	u32 i;

	ivm->mbox_chans = kcalloc(ivm->channels, sizeof(*ivm->mbox_chans), GFP_KERNEL);
	if (!ivm->mbox_chans)
		return -ENOMEM;
	for (i = 0; i < ivm->channels; i++)
		ivm->mbox_chans[i].con_priv = &ivm->chan[i];
	ivm->mbox = (struct mbox_controller){
		.dev = &ivm->pdev->dev,
		.ops = &ops,
		.chans = ivm->mbox_chans,
		.num_chans = ivm->channels,
		.txdone_irq = true,
	};
	return mbox_controller_register(&ivm->mbox);
}

void ivm_controller_unregister(struct ivm_dev *ivm)
{
	mbox_controller_unregister(&ivm->mbox);
}

struct mbox_chan *ivm_mbox_request(struct mbox_client *client, unsigned int number,
				   unsigned int channel)
{
	struct ivm_dev *ivm = ivm_find(number);
	struct mbox_chan *mbox;
	int err = -EINVAL;

	if (!ivm)
		return ERR_PTR(-ENODEV);
	down_read(&ivm->alive);
	if (ivm->dead)
		err = -ENODEV;
	else if (channel < ivm->channels)
		err = mbox_bind_client(&ivm->mbox_chans[channel], client);
	mbox = err ? NULL : &ivm->mbox_chans[channel];
	up_read(&ivm->alive);
	if (mbox)
		return mbox;
	put_device(&ivm->dev);
	return ERR_PTR(err);
}
EXPORT_SYMBOL_GPL(ivm_mbox_request);

void ivm_mbox_release(struct mbox_chan *mbox)
{
	struct ivm_dev *ivm = to_chan(mbox)->ivm;

	mbox_free_channel(mbox);
	put_device(&ivm->dev);
}
EXPORT_SYMBOL_GPL(ivm_mbox_release);
