/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel command line.
 */
#ifndef IVM_BARE_OPTIONS_H
#define IVM_BARE_OPTIONS_H

#include <stdint.h>

enum device_kind { DEVICE_IVM, DEVICE_IVSHMEM };

struct options {
	uint32_t role;		/* IVM_ROLE_* */
	uint32_t pattern;	/* IVM_PATTERN_* */
	uint32_t device;	/* enum device_kind */
	uint32_t count;		/* doorbells after the warm-up */
	uint32_t warmup;	/* doorbells before the samples */
	uint32_t vectors;	/* 0: all that both ends have */
	uint32_t burst;		/* rings per burst */
	uint32_t rate_hz;
	uint32_t cpus;		/* 0: as many as the vectors need */
	uint32_t timeout_s;	/* bound of every phase */
	uint32_t stamps;	/* write time stamps to the lane */
	uint32_t poll;		/* wait=poll: busy instead of hlt */
	uint32_t gate;		/* wait for a byte on COM1 before the first doorbell */
	uint32_t hold;		/* wait for another one before the end */
	uint32_t peer;		/* selftest: a pong guest is at the other end */
	uint32_t route;		/* enum route: who takes the link vectors */
	uint32_t irq_base;	/* IDT vector of link vector 0 */
	uint32_t cookie;	/* what counts doorbells starts from here */
	uint32_t noise_hz;	/* timer interrupts and IPIs of each CPU, 0 none */
	uint32_t delay;		/* IVM_DELAY_* that the receiver of a step makes, 0 none */
	uint32_t delay_us;	/* its length */
	uint32_t masked;	/* IVM_DELAY_* by which all vectors are held for good, 0 none */
};

/**
 * options_parse() - read "key=value ..." after the last " -- " of a command line
 * @line: the whole line; what precedes is the loader's. May be NULL
 * @options: filled in, with defaults for what is not said
 *
 * Dies on what it does not know.
 */
void options_parse(const char *line, struct options *options);

#endif /* IVM_BARE_OPTIONS_H */
