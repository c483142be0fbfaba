/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ivm_mailbox for other modules: its channels as clients of the kernel's mailbox
 * framework get them.
 */
#ifndef IVM_MBOX_H
#define IVM_MBOX_H

#include <linux/mailbox_client.h>
#include <linux/types.h>

/* What mbox_send_message() takes and rx_callback gets; valid during the call only */
struct ivm_mbox_message {
	const void *data;
	u32 bytes;
};

/**
 * ivm_mbox_request() - bind a client to a channel
 * @client: as for mbox_request_channel()
 * @number: N of /dev/ivmN
 * @channel: 0 and up
 *
 * x86 has no device tree to find a channel in.  The channel is the client's
 * alone: /dev/ivmN refuses it meanwhile.
 *
 * Return: the channel, or ERR_PTR(): -ENODEV, -EINVAL, -EBUSY.
 */
struct mbox_chan *ivm_mbox_request(struct mbox_client *client, unsigned int number,
				   unsigned int channel);

/**
 * ivm_mbox_release() - give a channel back
 *
 * To be used instead of mbox_free_channel().  The device may be gone already.
 */
void ivm_mbox_release(struct mbox_chan *chan);

#endif /* IVM_MBOX_H */
