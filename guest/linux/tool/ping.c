// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ivm ping, pong: one message at a time, there and back.
 *
 * Beside the round trip each end times what its own kernel adds: from write() to
 * the doorbell, and from the entry of the interrupt handler to the message in
 * user space.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "ivm.h"

#define DEFAULT_COUNT	1000
#define MIN_BYTES	16
#define MAX_BYTES	32768

int round_init(struct round *round, uint64_t room)
{
	memset(round, 0, sizeof(*round));
	if (samples_init(&round->rtt, room) || samples_init(&round->send_ring, room) ||
	    samples_init(&round->irq_user, room))
		return fail("no memory for %" PRIu64 " samples", room);
	return 0;
}

void round_free(struct round *round)
{
	samples_free(&round->rtt);
	samples_free(&round->send_ring);
	samples_free(&round->irq_user);
}

struct message {
	uint64_t number;
	uint64_t check;		/* its complement */
	char rest[MAX_BYTES - 16];
};

struct message *message_new(void)
{
	return calloc(1, sizeof(struct message));
}

int one_trip(struct device *device, struct message *message, uint32_t bytes, uint64_t number,
	     uint64_t timeout_ns, struct round *round, bool timed)
{
	uint32_t channel = device->info.channel;
	uint64_t sent_tsc, back_tsc;
	struct ivm_stats stats;
	int ret;

	message->number = number;
	message->check = ~number;
	ret = send_message(device, message, bytes, &sent_tsc);
	if (ret)
		return ret;
	ret = receive_message(device, message, sizeof(*message), timeout_ns, &back_tsc);
	if (ret < 0)
		return ret;
	if ((uint32_t)ret != bytes || message->number != number || message->check != ~number)
		return -EBADMSG;
	if (!timed)
		return 0;
	ret = device_stats(device, channel, &stats);
	samples_add(&round->rtt, back_tsc - sent_tsc);
	if (stats.ring_tsc > sent_tsc)
		samples_add(&round->send_ring, stats.ring_tsc - sent_tsc);
	/* Taken before its interrupt came, which polling may do */
	if (stats.irq_tsc > sent_tsc && stats.irq_tsc < back_tsc)
		samples_add(&round->irq_user, back_tsc - stats.irq_tsc);
	return ret;
}

/* The same with doorbells only; waits in the driver */
static int one_raw_trip(struct device *device, uint64_t timeout_ns, struct round *round,
			bool timed)
{
	struct ivm_doorbell doorbell = { .channel = device->info.channel };
	struct ivm_wait wait = { .channel = device->info.channel,
				 .timeout_ms = (uint32_t)(timeout_ns / 1000000) };
	struct ivm_stats stats;
	uint64_t sent_tsc, back_tsc;

	if (device_stats(device, wait.channel, &stats))
		return -errno;
	wait.irqs = stats.irqs;
	sent_tsc = read_tsc();
	if (ioctl(device->fd, IVM_IOC_RING, &doorbell) ||
	    ioctl(device->fd, IVM_IOC_WAIT, &wait))
		return -errno;
	back_tsc = read_tsc();
	if (!timed)
		return 0;
	samples_add(&round->rtt, back_tsc - sent_tsc);
	samples_add(&round->send_ring, doorbell.tsc - sent_tsc);
	samples_add(&round->irq_user, back_tsc - wait.tsc);
	return 0;
}

static int all_trips(struct device *device, const struct options *o, uint64_t count,
		     struct round *round)
{
	uint32_t bytes = o->bytes < MIN_BYTES ? MIN_BYTES : o->bytes;
	struct message *message = message_new();
	uint64_t i;
	int err = message ? 0 : -ENOMEM;

	for (i = 0; i < count + o->warmup && !err; i++)
		err = o->raw ? one_raw_trip(device, o->timeout_ns, round, i >= o->warmup) :
			       one_trip(device, message, bytes, i, o->timeout_ns, round,
					i >= o->warmup);
	free(message);
	if (err == -EBADMSG)
		return fail_check("the answer to message %" PRIu64 " is not what was sent", i - 1);
	return err ? fail("message %" PRIu64 ": %s", i - 1, strerror(-err)) : 0;
}

int run_ping(const struct options *o)
{
	uint64_t count = o->count ? o->count : DEFAULT_COUNT;
	struct device device;
	struct round round;
	const struct series series[] = {
		{ "round_trip", &round.rtt },
		{ "write_ring", &round.send_ring },
		{ "irq_user", &round.irq_user },
	};
	int err;

	err = device_open(&device, o, o->channel);
	if (!err)
		err = device_wait_connected(&device, o);
	if (!err)
		err = round_init(&round, count);
	if (err)
		return err;
	err = all_trips(&device, o, count, &round);
	if (!err && o->json)
		printf("{ \"schema\": \"ivm-ping/1\", \"channel\": %u, \"count\": %" PRIu64,
		       o->channel, count);
	if (!err)
		print_series(series, 3, device_tick_ns(&device), o->json);
	if (!err && o->json)
		puts(" }");
	round_free(&round);
	return err;
}

static int one_answer(struct device *device, char *buffer, uint64_t timeout_ns)
{
	uint64_t tsc;
	int bytes;

	bytes = receive_message(device, buffer, MAX_BYTES, timeout_ns, &tsc);
	return bytes < 0 ? bytes : send_message(device, buffer, (uint32_t)bytes, &tsc);
}

static int one_raw_answer(struct device *device, __u64 *irqs)
{
	struct ivm_doorbell doorbell = { .channel = device->info.channel };
	struct ivm_wait wait = { .channel = device->info.channel, .timeout_ms = 1000,
				 .irqs = *irqs };

	while (ioctl(device->fd, IVM_IOC_WAIT, &wait))
		if (errno != ETIME && errno != EINTR)
			return -errno;
	*irqs = wait.irqs;
	return ioctl(device->fd, IVM_IOC_RING, &doorbell) ? -errno : 0;
}

int run_pong(const struct options *o)
{
	char *buffer = malloc(MAX_BYTES);
	struct ivm_stats stats;
	struct device device;
	uint64_t i;
	int err;

	err = device_open(&device, o, o->channel);
	if (!err)
		err = device_wait_connected(&device, o);
	if (err || !buffer) {
		free(buffer);
		return EXIT_ERROR;
	}
	device_stats(&device, o->channel, &stats);
	for (i = 0; !err && (!o->count || i < o->count); i++)
		err = o->raw ? one_raw_answer(&device, &stats.irqs) :
			       one_answer(&device, buffer, 0);
	free(buffer);
	return err ? fail("message %" PRIu64 ": %s", i - 1, strerror(-err)) : EXIT_DONE;
}
