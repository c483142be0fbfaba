/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which RINGs of a link's stream a socket call carries.
 */
#ifndef IVM_SOCKET_BPF_H
#define IVM_SOCKET_BPF_H

#include "common.bpf.h"

#include "../device/ivm-link-proto.h"

#define IVM_SOCKET_UNITS	128	/* QEMU reads 4 KiB at a time */

struct rings {
	__u64 first;
	__u64 last;
};

static __always_inline void add_ring(struct rings *rings, __u64 sequence)
{
	if (!sequence)
		return;
	if (!rings->first)
		rings->first = sequence;
	rings->last = sequence;
}

/* The sequence of the RING at @from, 0 if it is another message */
static __always_inline __u64 read_ring(__u64 from)
{
	struct ivm_msg_ring ring;

	if (bpf_probe_read_user(&ring, sizeof(ring), (void *)from))
		return 0;
	if (ring.header.magic != IVM_MSG_MAGIC || ring.header.type != IVM_MSG_RING)
		return 0;
	return ring.sequence;
}

struct units_ctx {
	struct rings *rings;
	__u64 from;
	__u64 bytes;
};

static long read_unit(__u32 i, struct units_ctx *ctx)
{
	if (ctx->bytes < IVM_MSG_UNIT)
		return 1;
	add_ring(ctx->rings, read_ring(ctx->from));
	ctx->from += IVM_MSG_UNIT;
	ctx->bytes -= IVM_MSG_UNIT;
	return 0;
}

/*
 * Which RINGs are in @bytes of the stream at @from.  A message that was cut by
 * the last call counts where it ends; its header was kept in @socket.
 */
static __always_inline void read_rings(const struct ivm_socket *socket, __u32 direction,
				       __u64 from, __u64 bytes, struct rings *rings)
{
	__u64 rest = (IVM_MSG_UNIT - socket->part_bytes[direction]) % IVM_MSG_UNIT;
	struct units_ctx ctx = { .rings = rings, .from = from + rest, .bytes = bytes - rest };

	if (rest > bytes)
		return;
	if (rest)
		add_ring(rings, socket->part_seq[direction]);
	bpf_loop(IVM_SOCKET_UNITS, read_unit, &ctx, 0);
}

/* @bytes of the stream went by: keep the header of a message that was cut */
static __always_inline void advance(struct ivm_socket *socket, __u32 direction, __u64 from,
				    __u64 bytes)
{
	__u32 had = socket->part_bytes[direction];
	__u32 cut = (had + bytes) % IVM_MSG_UNIT;

	if (cut >= sizeof(struct ivm_msg_ring) - 8 && cut <= bytes)
		socket->part_seq[direction] = read_ring(from + bytes - cut);
	else if (cut <= bytes)
		socket->part_seq[direction] = 0;
	socket->part_bytes[direction] = cut;
}

static __always_inline bool first_iovec(__u64 msg, struct ivm_user_iovec *iov)
{
	struct ivm_user_msghdr header;

	return msg && !bpf_probe_read_user(&header, sizeof(header), (void *)msg) &&
	       header.iov_count &&
	       !bpf_probe_read_user(iov, sizeof(*iov), (void *)header.iov);
}

static __always_inline struct ivm_socket *find_socket(__u32 tgid, __s32 fd)
{
	struct ivm_fd_key key = { .tgid = tgid, .fd = fd };

	return bpf_map_lookup_elem(&sockets, &key);
}

/*
 * Sent and read RINGs meet in user space, by sequence.  With them goes when the
 * reader ran after its last wake-up: it stands in for the event that --raw has.
 */
static __always_inline void receive_rings(struct ivm_task *me, struct ivm_event *e)
{
	struct ivm_event run = *e;

	if (!streams && e->b && me->reader.run_ns) {
		run.type = IVM_EV_SWITCH_IN;
		run.t_ns = me->reader.run_ns;
		run.tid = me->tgid;
		run.a = run.b = run.c = 0;
		me->reader.woken_ns = 0;
		stream(IVM_HOOK_SCHED_SWITCH, &run);
	}
	if (streams || e->b)
		stream(IVM_HOOK_RECVMSG_RET, e);
}

#endif /* IVM_SOCKET_BPF_H */
