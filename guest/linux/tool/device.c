// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ivm: the device node, and messages on it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "ivm.h"

#define LOOK_NS		(10 * 1000000ull)

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* The clock that the driver's stamps are of */
uint64_t read_tsc(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	uint64_t count;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(count));
	return count;
#else
	return 0;
#endif
}

static int read_info(struct device *device)
{
	return ioctl(device->fd, IVM_IOC_INFO, &device->info) ? -errno : 0;
}

int device_open(struct device *device, const struct options *options, uint32_t channel)
{
	device->fd = open(options->device, O_RDWR | O_CLOEXEC);
	if (device->fd < 0)
		return fail("cannot open %s: %s", options->device, strerror(errno));
	if (channel != UINT32_MAX && ioctl(device->fd, IVM_IOC_BIND, &channel))
		return fail("%s: cannot have channel %u: %s", options->device, channel,
			    strerror(errno));
	if (read_info(device) || device->info.version != IVM_UAPI_VERSION)
		return fail("%s is not a device of this version", options->device);
	return 0;
}

int device_wait_connected(struct device *device, const struct options *options)
{
	uint64_t deadline = now_ns() + options->timeout_ns;
	const struct timespec pause = { .tv_nsec = LOOK_NS };
	uint32_t wanted = options->raw ? IVM_STATE_PEER_READY : IVM_STATE_CONNECTED;

	for (;;) {
		if (read_info(device))
			return fail("%s: %s", options->device, strerror(errno));
		if (device->info.state & wanted)
			return 0;
		if (now_ns() > deadline)
			return fail("%s: no peer on channel %u after %llu s: %s", options->device,
				    device->info.channel,
				    (unsigned long long)(options->timeout_ns / NS_PER_S),
				    !(device->info.state & IVM_STATE_UP) ? "the link is down" :
				    !(device->info.state & IVM_STATE_PEER_READY) ?
				    "its driver is not there" : "it does not answer");
		nanosleep(&pause, NULL);
	}
}

int device_stats(const struct device *device, uint32_t channel, struct ivm_stats *stats)
{
	*stats = (struct ivm_stats){ .channel = channel };
	return ioctl(device->fd, IVM_IOC_STATS, stats) ? -errno : 0;
}

/* Nanoseconds per tick; measured where the kernel does not say */
double device_tick_ns(const struct device *device)
{
	const struct timespec pause = { .tv_nsec = 5 * LOOK_NS };
	uint64_t ns, tsc;

	if (device->info.tsc_khz)
		return 1e6 / device->info.tsc_khz;
	ns = now_ns();
	tsc = read_tsc();
	nanosleep(&pause, NULL);
	tsc = read_tsc() - tsc;
	ns = now_ns() - ns;
	return tsc ? (double)ns / (double)tsc : 0;
}

int send_message(const struct device *device, const void *data, uint32_t bytes, uint64_t *tsc)
{
	ssize_t written;

	do {
		*tsc = read_tsc();
		written = write(device->fd, data, bytes);
	} while (written < 0 && errno == EINTR);
	return written < 0 ? -errno : 0;
}

/* Return: its length, or -errno; -ETIMEDOUT if none came */
int receive_message(const struct device *device, void *data, uint32_t room, uint64_t timeout_ns,
		    uint64_t *tsc)
{
	struct pollfd fd = { .fd = device->fd, .events = POLLIN };
	ssize_t got;
	int ready;

	if (timeout_ns) {
		do {
			ready = poll(&fd, 1, (int)(timeout_ns / 1000000));
		} while (ready < 0 && errno == EINTR);
		if (!ready)
			return -ETIMEDOUT;
	}
	do {
		got = read(device->fd, data, room);
		*tsc = read_tsc();
	} while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : (int)got;
}
