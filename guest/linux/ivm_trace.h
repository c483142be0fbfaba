/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trace events of ivm_mailbox: what the device traces under the same names, seen
 * from the guest.  A ring bears the cookie that the device's ivm_doorbell_ring and
 * the host's kvm_mmio show.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM ivm_mailbox

#if !defined(IVM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define IVM_TRACE_H

#include <linux/tracepoint.h>

TRACE_EVENT(ivm_doorbell_ring,
	TP_PROTO(int dev, u32 vector, u32 cookie, u64 tsc),
	TP_ARGS(dev, vector, cookie, tsc),
	TP_STRUCT__entry(
		__field(u64, tsc)
		__field(int, dev)
		__field(u32, vector)
		__field(u32, cookie)
	),
	TP_fast_assign(
		__entry->tsc = tsc;
		__entry->dev = dev;
		__entry->vector = vector;
		__entry->cookie = cookie;
	),
	TP_printk("ivm%d: doorbell %u cookie 0x%08x tsc %llu", __entry->dev, __entry->vector,
		  __entry->cookie, __entry->tsc)
);

TRACE_EVENT(ivm_irq_handle,
	TP_PROTO(int dev, u32 vector, u64 count, u64 tsc),
	TP_ARGS(dev, vector, count, tsc),
	TP_STRUCT__entry(
		__field(u64, count)
		__field(u64, tsc)
		__field(int, dev)
		__field(u32, vector)
	),
	TP_fast_assign(
		__entry->count = count;
		__entry->tsc = tsc;
		__entry->dev = dev;
		__entry->vector = vector;
	),
	TP_printk("ivm%d: vector %u count %llu tsc %llu", __entry->dev, __entry->vector,
		  __entry->count, __entry->tsc)
);

DECLARE_EVENT_CLASS(ivm_message,
	TP_PROTO(int dev, u32 vector, u32 bytes, u32 index),
	TP_ARGS(dev, vector, bytes, index),
	TP_STRUCT__entry(
		__field(int, dev)
		__field(u32, vector)
		__field(u32, bytes)
		__field(u32, index)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->vector = vector;
		__entry->bytes = bytes;
		__entry->index = index;
	),
	TP_printk("ivm%d: channel %u %u bytes, ring index %u", __entry->dev, __entry->vector,
		  __entry->bytes, __entry->index)
);

/* index: of the slot behind the message */
DEFINE_EVENT(ivm_message, ivm_message_send,
	TP_PROTO(int dev, u32 vector, u32 bytes, u32 index),
	TP_ARGS(dev, vector, bytes, index));
DEFINE_EVENT(ivm_message, ivm_message_receive,
	TP_PROTO(int dev, u32 vector, u32 bytes, u32 index),
	TP_ARGS(dev, vector, bytes, index));

TRACE_EVENT(ivm_irq_mask,
	TP_PROTO(int dev, u32 vector, bool on, bool by_device),
	TP_ARGS(dev, vector, on, by_device),
	TP_STRUCT__entry(
		__field(int, dev)
		__field(u32, vector)
		__field(bool, on)
		__field(bool, by_device)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->vector = vector;
		__entry->on = on;
		__entry->by_device = by_device;
	),
	TP_printk("ivm%d: vector %u %s by %s", __entry->dev, __entry->vector,
		  __entry->on ? "held" : "let go", __entry->by_device ? "MASK" : "MSI-X")
);

TRACE_EVENT(ivm_message_drop,
	TP_PROTO(int dev, u32 vector, u32 messages, bool corrupt),
	TP_ARGS(dev, vector, messages, corrupt),
	TP_STRUCT__entry(
		__field(int, dev)
		__field(u32, vector)
		__field(u32, messages)
		__field(bool, corrupt)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->vector = vector;
		__entry->messages = messages;
		__entry->corrupt = corrupt;
	),
	TP_printk("ivm%d: channel %u reset, %u messages failed, peer's ring %s", __entry->dev,
		  __entry->vector, __entry->messages, __entry->corrupt ? "corrupt" : "started anew")
);

TRACE_EVENT(ivm_mailbox_link,
	TP_PROTO(int dev, u32 reg, u32 mode, u32 peer_ready),
	TP_ARGS(dev, reg, mode, peer_ready),
	TP_STRUCT__entry(
		__field(int, dev)
		__field(u32, reg)
		__field(u32, mode)
		__field(u32, peer_ready)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->reg = reg;
		__entry->mode = mode;
		__entry->peer_ready = peer_ready;
	),
	TP_printk("ivm%d: LINK 0x%08x MODE 0x%04x PEER_READY %u", __entry->dev, __entry->reg,
		  __entry->mode, __entry->peer_ready)
);

#endif /* IVM_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE ivm_trace
#include <trace/define_trace.h>
