/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /dev/ivmN: what programs share with the ivm_mailbox driver.
 *
 * read() takes and write() sends one message on the channel of the open file,
 * 0 unless IVM_IOC_BIND chose another.  docs/driver.md is the contract.
 */
#ifndef IVM_UAPI_H
#define IVM_UAPI_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define IVM_UAPI_VERSION	1

/* struct ivm_info.state */
#define IVM_STATE_UP		(1u << 0)	/* the link */
#define IVM_STATE_SHMEM		(1u << 1)	/* memory is shared: messages are possible */
#define IVM_STATE_PEER_READY	(1u << 2)	/* the peer's driver is there */
#define IVM_STATE_CONNECTED	(1u << 3)	/* messages can be sent on this file's channel */

struct ivm_info {
	__u32 version;		/* IVM_UAPI_VERSION */
	__u32 state;		/* IVM_STATE_* */
	__u32 side;
	__u32 channels;		/* of this end */
	__u32 peer_channels;	/* doorbells of the other */
	__u32 mode;		/* IVM_REG_MODE */
	__u32 link_count;	/* link-ups since the device was created, mod 2^24 */
	__u32 max_message;	/* bytes, 0: no messages */
	__u32 channel;		/* of this file */
	__u32 result_off;	/* the result area, from the start of this end's lane */
	__u32 result_bytes;	/* room for IVM_IOC_RESULT */
	__u32 cookie;		/* of the newest doorbell of this end */
	__u32 tsc_khz;		/* what stamps count in, 0 unknown */
	__u32 reserved;
};

struct ivm_stats {
	__u32 channel;		/* in */
	__u32 reserved;
	__u64 rung;		/* doorbells */
	__u64 irqs;		/* interrupts taken */
	__u64 sent;		/* messages */
	__u64 received;
	__u64 failed;		/* accepted, not known to have been taken by the peer */
	__u64 full;		/* writes that found no room */
	__u64 resets;		/* the peer's ring made no sense */
	__u64 ring_tsc;		/* just before the doorbell of the newest message */
	__u64 irq_tsc;		/* of the newest interrupt, at entry of its handler */
};

struct ivm_doorbell {
	__u32 channel;		/* in */
	__u32 cookie;		/* out */
	__u64 tsc;		/* out: just before the doorbell */
};

struct ivm_wait {
	__u32 channel;		/* in */
	__u32 timeout_ms;	/* in */
	__u64 irqs;		/* in: known; out: now, more than known */
	__u64 tsc;		/* out: of the newest */
};

struct ivm_mask {
	__u32 channel;
	__u32 on;		/* 1: hold interrupts; what was held is raised at 0 */
};

struct ivm_result_part {
	__u32 offset;		/* into the result area of this end's lane */
	__u32 bytes;
	__u64 data;		/* pointer */
};

#define IVM_IOC_INFO	_IOR('v', 0xc0, struct ivm_info)
#define IVM_IOC_BIND	_IOW('v', 0xc1, __u32)
#define IVM_IOC_STATS	_IOWR('v', 0xc2, struct ivm_stats)
#define IVM_IOC_RING	_IOWR('v', 0xc3, struct ivm_doorbell)
#define IVM_IOC_WAIT	_IOWR('v', 0xc4, struct ivm_wait)
#define IVM_IOC_MASK	_IOW('v', 0xc5, struct ivm_mask)
#define IVM_IOC_RESULT	_IOW('v', 0xc6, struct ivm_result_part)

#endif /* IVM_UAPI_H */
