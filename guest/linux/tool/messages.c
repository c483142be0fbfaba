// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ivm send, recv, hold, stat.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ivm.h"
#include "ivm-regs.h"

#define MAX_BYTES	32768

static int send_text(const struct device *device, const char *text, size_t bytes)
{
	uint64_t tsc;
	int err = send_message(device, text, (uint32_t)bytes, &tsc);

	return err ? fail("cannot send %zu bytes: %s", bytes, strerror(-err)) : 0;
}

static int send_lines(const struct device *device)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t bytes;
	int err = 0;

	while (!err && (bytes = getline(&line, &room, stdin)) > 0) {
		if (line[bytes - 1] == '\n')
			bytes--;
		/* A message has at least one byte */
		if (bytes)
			err = send_text(device, line, (size_t)bytes);
	}
	free(line);
	return err;
}

static int ring_doorbells(const struct device *device, uint64_t count)
{
	struct ivm_doorbell doorbell = { .channel = device->info.channel };
	uint64_t i;

	for (i = 0; i < count; i++)
		if (ioctl(device->fd, IVM_IOC_RING, &doorbell))
			return fail("cannot ring doorbell %u: %s", doorbell.channel,
				    strerror(errno));
	return 0;
}

/* Done when the peer has taken all of it */
int run_send(const struct options *o)
{
	struct device device;
	int i, err;

	err = device_open(&device, o, o->channel);
	if (!err)
		err = device_wait_connected(&device, o);
	if (o->raw)
		return err ? err : ring_doorbells(&device, o->count ? o->count : 1);
	for (i = 0; i < o->operand_count && !err; i++)
		err = send_text(&device, o->operands[i], strlen(o->operands[i]));
	if (!err && !o->operand_count)
		err = send_lines(&device);
	if (!err && fsync(device.fd))
		return fail_check("not all was delivered: %s", strerror(errno));
	return err;
}

int run_recv(const struct options *o)
{
	char *buffer = malloc(MAX_BYTES);
	struct device device;
	uint64_t i, tsc;
	int bytes = 0;

	if (!buffer || device_open(&device, o, o->channel)) {
		free(buffer);
		return EXIT_ERROR;
	}
	for (i = 0; !o->count || i < o->count; i++) {
		bytes = receive_message(&device, buffer, MAX_BYTES,
					o->count ? o->timeout_ns : 0, &tsc);
		if (bytes < 0)
			break;
		fwrite(buffer, 1, (size_t)bytes, stdout);
		putchar('\n');
		fflush(stdout);
	}
	free(buffer);
	return bytes < 0 ? fail("message %" PRIu64 ": %s", i, strerror(-bytes)) : EXIT_DONE;
}

/* Whatever ends it: the driver lets go when the file is closed */
int run_hold(const struct options *o)
{
	struct ivm_mask mask = { .channel = o->channel, .on = 1 };
	struct device device;

	if (device_open(&device, o, UINT32_MAX))
		return EXIT_ERROR;
	if (ioctl(device.fd, IVM_IOC_MASK, &mask))
		return fail("%s: cannot hold channel %u: %s", o->device, o->channel,
			    strerror(errno));
	printf("holding channel %u\n", o->channel);
	fflush(stdout);
	if (!o->duration_ns)
		pause();
	sleep((unsigned int)(o->duration_ns / NS_PER_S));
	mask.on = 0;
	return ioctl(device.fd, IVM_IOC_MASK, &mask) ?
	       fail("%s: cannot let channel %u go: %s", o->device, o->channel, strerror(errno)) : 0;
}

static const char *mode_name(uint32_t mode)
{
	static const char *const names[] = { "down", "qemu", "irqfd", "direct" };

	mode &= IVM_MODE_FIELD;
	return mode < 4 ? names[mode] : "unknown";
}

static const struct {
	const char *name;
	size_t offset;
} counters[] = {
	{ "rung", offsetof(struct ivm_stats, rung) },
	{ "irqs", offsetof(struct ivm_stats, irqs) },
	{ "sent", offsetof(struct ivm_stats, sent) },
	{ "received", offsetof(struct ivm_stats, received) },
	{ "failed", offsetof(struct ivm_stats, failed) },
	{ "full", offsetof(struct ivm_stats, full) },
	{ "resets", offsetof(struct ivm_stats, resets) },
};

#define COUNTERS (sizeof(counters) / sizeof(counters[0]))

static uint64_t counter(const struct ivm_stats *stats, size_t i)
{
	uint64_t value;

	memcpy(&value, (const char *)stats + counters[i].offset, sizeof(value));
	return value;
}

static void print_text(const struct ivm_info *info)
{
	size_t i;

	printf("link %s (%u ups), %s, sends by %s, receives by %s, peer %sready\n"
	       "%u channels, peer %u, messages up to %u bytes\n\n%-8s",
	       info->state & IVM_STATE_UP ? "up" : "down", info->link_count,
	       info->side == IVM_SIDE_SERVER ? "server" : "client",
	       mode_name(info->mode >> IVM_MODE_TX_SHIFT),
	       mode_name(info->mode >> IVM_MODE_RX_SHIFT),
	       info->state & IVM_STATE_PEER_READY ? "" : "not ", info->channels,
	       info->peer_channels, info->max_message, "channel");
	for (i = 0; i < COUNTERS; i++)
		printf(" %10s", counters[i].name);
	putchar('\n');
}

static void print_json(const struct ivm_info *info)
{
	printf("{ \"schema\": \"ivm-stat/1\", \"link\": \"%s\", \"link_count\": %u,"
	       " \"side\": \"%s\", \"mode\": \"%s\", \"mode_received\": \"%s\","
	       " \"peer_ready\": %s, \"channels\": %u, \"peer_channels\": %u,"
	       " \"max_message\": %u, \"by_channel\": [",
	       info->state & IVM_STATE_UP ? "up" : "down", info->link_count,
	       info->side == IVM_SIDE_SERVER ? "server" : "client",
	       mode_name(info->mode >> IVM_MODE_TX_SHIFT),
	       mode_name(info->mode >> IVM_MODE_RX_SHIFT),
	       info->state & IVM_STATE_PEER_READY ? "true" : "false", info->channels,
	       info->peer_channels, info->max_message);
}

static void print_channel(const struct ivm_stats *stats, bool json)
{
	size_t i;

	printf(json ? "%s{ \"channel\": %u" : "%s%-8u",
	       json && stats->channel ? ", " : "", stats->channel);
	for (i = 0; i < COUNTERS; i++)
		if (json)
			printf(", \"%s\": %" PRIu64, counters[i].name, counter(stats, i));
		else
			printf(" %10" PRIu64, counter(stats, i));
	fputs(json ? " }" : "\n", stdout);
}

int run_stat(const struct options *o)
{
	struct ivm_stats stats;
	struct device device;
	uint32_t i;

	if (device_open(&device, o, UINT32_MAX))
		return EXIT_ERROR;
	if (o->json)
		print_json(&device.info);
	else
		print_text(&device.info);
	for (i = 0; i < device.info.channels; i++) {
		if (device_stats(&device, i, &stats))
			return fail("%s: %s", o->device, strerror(errno));
		print_channel(&stats, o->json);
	}
	if (o->json)
		puts("] }");
	return EXIT_DONE;
}
