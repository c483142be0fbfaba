// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A mailbox client: sends every message back to where it came from.
 *
 *   insmod ivm_echo.ko device=0 channel=0		and at the other end: ivm ping
 *
 * It shows what a client of ivm_mailbox has to do.  rx_callback gets a message
 * that is valid during the call only, so it is copied; the framework keeps a
 * pointer to what is sent until tx_done, so the copy is freed there.
 */
#include <linux/module.h>
#include <linux/slab.h>

#include "ivm_mbox.h"

static unsigned int device;
module_param(device, uint, 0444);
MODULE_PARM_DESC(device, "N of /dev/ivmN");

static unsigned int channel;
module_param(channel, uint, 0444);
MODULE_PARM_DESC(channel, "channel to answer on");

static struct mbox_chan *mbox;
static unsigned long echoed, failed;
module_param(echoed, ulong, 0444);
module_param(failed, ulong, 0444);

struct echo {
	struct ivm_mbox_message message;	/* first: it is what tx_done gets */
	u8 data[];
};

static void receive(struct mbox_client *client, void *data)
{
	const struct ivm_mbox_message *message = data;
	struct echo *echo = kmalloc(struct_size(echo, data, message->bytes), GFP_ATOMIC);

	if (!echo) {
		failed++;
		return;
	}
	memcpy(echo->data, message->data, message->bytes);
	echo->message.data = echo->data;
	echo->message.bytes = message->bytes;
	/* The framework queues a few; one that does not fit is never tx_done */
	if (mbox_send_message(mbox, echo) < 0) {
		failed++;
		kfree(echo);
	}
}

static void sent(struct mbox_client *client, void *data, int status)
{
	if (status)
		failed++;
	else
		echoed++;
	kfree(container_of(data, struct echo, message));
}

static struct mbox_client client = {
	.rx_callback = receive,
	.tx_done = sent,
};

static int __init echo_init(void)
{
	mbox = ivm_mbox_request(&client, device, channel);
	return PTR_ERR_OR_ZERO(mbox);
}
module_init(echo_init);

static void __exit echo_exit(void)
{
	ivm_mbox_release(mbox);
}
module_exit(echo_exit);

MODULE_DESCRIPTION("Example of a mailbox client of ivm_mailbox");
MODULE_LICENSE("GPL");
