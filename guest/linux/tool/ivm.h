/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ivm: using /dev/ivmN and measuring it, from user space.
 */
#ifndef IVM_TOOL_H
#define IVM_TOOL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "../../ivm-shmem.h"
#include "../ivm_uapi.h"

#define EXIT_DONE	0
#define EXIT_ERROR	1
#define EXIT_CHECK	2	/* something was lost, repeated or late */

#define NS_PER_S	UINT64_C(1000000000)

struct options {
	const char *device;
	uint32_t channel, channels, processes;
	uint32_t bytes;		/* 0: of any length */
	uint64_t count, warmup;	/* count 0: no end */
	uint64_t timeout_ns;	/* of one wait */
	uint64_t duration_ns;	/* 0: count ends it */
	uint64_t seed;
	bool json, raw, rough;
	char **operands;
	int operand_count;
};

struct device {
	int fd;
	struct ivm_info info;
};

/* Print "ivm: ..." on stderr.  Return: EXIT_ERROR, EXIT_CHECK */
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int fail_check(const char *format, ...) __attribute__((format(printf, 1, 2)));

uint64_t now_ns(void);
uint64_t read_tsc(void);

/**
 * device_open() - open the device and bind it to a channel
 * @channel: UINT32_MAX: none
 *
 * Return: 0 or EXIT_ERROR, which has been told.
 */
int device_open(struct device *device, const struct options *options, uint32_t channel);
int device_wait_connected(struct device *device, const struct options *options);
int device_stats(const struct device *device, uint32_t channel, struct ivm_stats *stats);
double device_tick_ns(const struct device *device);

/* A set of times in ticks of the guest's clock */
struct samples {
	uint64_t *ticks;
	uint64_t count, room;
};

int samples_init(struct samples *samples, uint64_t room);
void samples_add(struct samples *samples, uint64_t ticks);
void samples_free(struct samples *samples);

/* Percentiles are the ones of these samples: nothing is interpolated */
void samples_sort(struct samples *samples);
uint64_t samples_at(const struct samples *samples, uint32_t permille);

struct series {
	const char *name;
	struct samples *samples;
};

void print_series(const struct series *series, int count, double tick_ns, bool json);

/* Round trips as one end sees them: what the times are is told by the names in ping.c */
struct round {
	struct samples rtt, send_ring, irq_user;
};

int round_init(struct round *round, uint64_t room);
void round_free(struct round *round);

/* One message on its way or back; *tsc just before write() or just after read() */
int send_message(const struct device *device, const void *data, uint32_t bytes, uint64_t *tsc);
int receive_message(const struct device *device, void *data, uint32_t room, uint64_t timeout_ns,
		    uint64_t *tsc);

/* One round trip, timed or not.  Return: 0 or -errno, -EBADMSG for another answer */
struct message;
struct message *message_new(void);
int one_trip(struct device *device, struct message *message, uint32_t bytes, uint64_t number,
	     uint64_t timeout_ns, struct round *round, bool timed);

/**
 * exchange_messages() - what 'ivm stress' does, by this process alone
 * @options: as of the command line; count for each channel
 *
 * Return: 0, -EBADMSG if something was lost, repeated or garbled, -ETIME if a
 * wake-up was, or -errno.
 */
int exchange_messages(const struct options *options);

int run_ping(const struct options *options);
int run_pong(const struct options *options);
int run_send(const struct options *options);
int run_recv(const struct options *options);
int run_hold(const struct options *options);
int run_stat(const struct options *options);
int run_stress(const struct options *options);
int run_guest(const struct options *options);

#endif /* IVM_TOOL_H */
