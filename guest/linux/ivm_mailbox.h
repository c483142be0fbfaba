/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ivm_mailbox: what the driver's files share.
 *
 * Locks, outermost first:
 *   alive		held for reading by whoever touches registers or shared memory
 *			for a user; remove() takes it for writing once
 *   chan->rx_mutex	receiving, and who owns the channel
 *   chan->tx_lock	sending; both together: the session of the channel
 */
#ifndef IVM_MAILBOX_H
#define IVM_MAILBOX_H

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/errseq.h>
#include <linux/io.h>
#include <linux/mailbox_controller.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "ivm-regs.h"
#include "ivm_ring.h"

struct ivm_dev;

/* How a channel's interrupts are held */
enum ivm_hold { IVM_HOLD_NONE, IVM_HOLD_DEVICE, IVM_HOLD_MSIX };

struct ivm_chan {
	struct ivm_dev *ivm;
	u32 index;
	int irq;

	wait_queue_head_t wait;
	atomic_t events;	/* counts whatever a waiter may wait for */
	atomic64_t irqs, rung;
	u64 irq_tsc, ring_tsc;

	spinlock_t tx_lock;
	struct mutex rx_mutex;
	struct ivm_ring ring;
	void *rx_buf;		/* IVM_RING_MAX_MESSAGE; NULL until somebody receives */
	errseq_t error;		/* accepted messages that were not delivered */
	u64 sent, failed, full;	/* tx_lock */
	u64 received, resets;	/* rx_mutex */
	bool tx_corrupt;	/* found while sending */
	bool reported;		/* bad content, until the next link-up */

	unsigned int users;	/* files bound to it; rx_mutex */
	struct mbox_chan *mbox;	/* its client, or NULL; rx_mutex */
	struct work_struct mbox_work;
	u32 mbox_head;		/* tx_lock: the message being sent ends there */
	int mbox_status;	/* tx_lock: -EINPROGRESS, or what to tell of it */
	bool mbox_busy;		/* tx_lock */

	struct mutex hold_mutex;
	enum ivm_hold hold;
	bool held;		/* somebody wants it held */
};

struct ivm_dev {
	struct device dev;	/* /dev/ivmN; its release frees all this */
	struct cdev cdev;
	int number;
	struct pci_dev *pdev;

	struct rw_semaphore alive;
	bool dead;		/* for good; written with alive held for writing */

	void __iomem *regs;
	void *shmem;		/* NULL: none */
	u32 side;
	struct ivm_layout layout;	/* of our lane */
	void *own, *peer;	/* lanes */

	/* The link as the work saw it last */
	struct delayed_work link_work;
	unsigned int retry_ms;
	bool ready_seen;	/* the peer's driver was there since this link-up */
	bool lane_ready;
	bool up;		/* messages may be sent */
	u32 link, mode, features, peer_vectors, peer_ready;

	atomic_t cookie;
	bool stamping;
	atomic64_t stamps_begun, stamps_written;

	struct mbox_controller mbox;
	struct mbox_chan *mbox_chans;
	u32 channels;
	struct ivm_chan chan[];
};

static inline u32 ivm_read(struct ivm_dev *ivm, u32 reg)
{
	return readl(ivm->regs + reg);
}

static inline void ivm_write(struct ivm_dev *ivm, u32 reg, u32 value)
{
	writel(value, ivm->regs + reg);
}

/* ivm_link.c: link, lanes, stamps */
void ivm_link_init(struct ivm_dev *ivm);
void ivm_link_kick(struct ivm_dev *ivm);
void ivm_link_stop(struct ivm_dev *ivm);
void ivm_stamp(struct ivm_dev *ivm, u32 kind, u32 cookie, u32 vector, u64 tsc);

/* ivm_chan.c: one channel; callers hold alive */
void ivm_chan_init(struct ivm_dev *ivm, u32 index);
void ivm_chan_wake(struct ivm_chan *chan);
u32 ivm_chan_ring(struct ivm_chan *chan, u64 *tsc);
int ivm_chan_send(struct ivm_chan *chan, const void *data, u32 bytes);
int ivm_chan_send_locked(struct ivm_chan *chan, const void *data, u32 bytes);	/* tx_lock */
int ivm_chan_peek(struct ivm_chan *chan, u32 *bytes, u32 *slots);	/* rx_mutex */
void ivm_chan_consume(struct ivm_chan *chan, u32 slots);		/* rx_mutex */
bool ivm_chan_readable(struct ivm_chan *chan);
bool ivm_chan_writable(struct ivm_chan *chan);
bool ivm_chan_sync(struct ivm_chan *chan);				/* rx_mutex */
void ivm_chan_reset(struct ivm_chan *chan, bool forget_peer);		/* rx_mutex */
int ivm_chan_receive_init(struct ivm_chan *chan);			/* rx_mutex */
int ivm_chan_hold(struct ivm_chan *chan, bool on);
void ivm_chan_hold_again(struct ivm_chan *chan);
void ivm_chan_unhold(struct ivm_chan *chan);

/* ivm_controller.c: the mailbox framework */
int ivm_controller_register(struct ivm_dev *ivm);
void ivm_controller_unregister(struct ivm_dev *ivm);
void ivm_controller_work(struct work_struct *work);

/* ivm_file.c, ivm_sysfs.c */
extern const struct file_operations ivm_fops;
extern const struct attribute_group *ivm_groups[];
const char *ivm_mode_name(u32 mode);
struct ivm_dev *ivm_find(unsigned int number);	/* takes a reference */

#endif /* IVM_MAILBOX_H */
