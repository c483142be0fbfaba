// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel command line.
 */
#include <stdbool.h>
#include <stddef.h>

#include "apic.h"
#include "console.h"
#include "layout.h"
#include "options.h"
#include "../ivm-shmem.h"

#define MAX_BURST	1000000
#define MAX_TIMEOUT_S	86400
#define MAX_DELAY_US	10000000
#define NOISE_MIN_HZ	(1000 / TICK_MS)	/* CPU 0's tick must come out of it */

static const struct number {
	const char *key;
	size_t offset;
	uint32_t min, max;
} numbers[] = {
	{ "count=", offsetof(struct options, count), 1, UINT32_MAX / 2 },
	{ "warmup=", offsetof(struct options, warmup), 0, UINT32_MAX / 2 },
	{ "vectors=", offsetof(struct options, vectors), 1, 256 },
	{ "cpus=", offsetof(struct options, cpus), 1, BARE_MAX_CPUS },
	{ "timeout=", offsetof(struct options, timeout_s), 1, MAX_TIMEOUT_S },
	{ "stamps=", offsetof(struct options, stamps), 0, 1 },
	{ "irq=", offsetof(struct options, irq_base), IDT_LINK_FIRST, IDT_TIMER - 1 },
	{ "cookie=", offsetof(struct options, cookie), 0, UINT32_MAX / 2 },
	{ "noise=", offsetof(struct options, noise_hz), NOISE_MIN_HZ, 10000 },
};

static const struct choice {
	const char *word;
	size_t offset;
	uint32_t value;
} choices[] = {
	{ "role=ping", offsetof(struct options, role), IVM_ROLE_PING },
	{ "role=pong", offsetof(struct options, role), IVM_ROLE_PONG },
	{ "role=selftest", offsetof(struct options, role), IVM_ROLE_SELFTEST },
	{ "role=both", offsetof(struct options, role), IVM_ROLE_BOTH },
	{ "pattern=pingpong", offsetof(struct options, pattern), IVM_PATTERN_PINGPONG },
	{ "pattern=flood", offsetof(struct options, pattern), IVM_PATTERN_FLOOD },
	{ "pattern=step", offsetof(struct options, pattern), IVM_PATTERN_STEP },
	{ "device=ivm", offsetof(struct options, device), DEVICE_IVM },
	{ "device=ivshmem", offsetof(struct options, device), DEVICE_IVSHMEM },
	{ "wait=hlt", offsetof(struct options, poll), 0 },
	{ "wait=poll", offsetof(struct options, poll), 1 },
	{ "gate", offsetof(struct options, gate), 1 },
	{ "hold", offsetof(struct options, hold), 1 },
	{ "peer", offsetof(struct options, peer), 1 },
	{ "route=own", offsetof(struct options, route), ROUTE_OWN },
	{ "route=other", offsetof(struct options, route), ROUTE_OTHER },
	{ "route=moving", offsetof(struct options, route), ROUTE_MOVING },
	{ "route=logical", offsetof(struct options, route), ROUTE_LOGICAL },
	{ "route=broadcast", offsetof(struct options, route), ROUTE_BROADCAST },
	{ "delay=init", offsetof(struct options, delay), IVM_DELAY_INIT },
	{ "masked=mask", offsetof(struct options, masked), IVM_DELAY_MASK },
	{ "masked=msix", offsetof(struct options, masked), IVM_DELAY_MSIX_MASK },
};

static uint32_t *field(struct options *options, size_t offset)
{
	return (uint32_t *)((char *)options + offset);
}

/* The text behind @prefix, or NULL if @word does not start so */
static const char *behind(const char *word, const char *prefix)
{
	while (*prefix && *word == *prefix)
		word++, prefix++;
	return *prefix ? NULL : word;
}

static bool word_ends(const char *text)
{
	return *text == '\0' || *text == ' ';
}

static uint32_t parse_number(const char *text, uint32_t min, uint32_t max)
{
	uint64_t value = 0;
	const char *digit;

	for (digit = text; *digit >= '0' && *digit <= '9' && value <= max; digit++)
		value = value * 10 + (*digit - '0');
	if (digit == text || !word_ends(digit) || value < min || value > max)
		die("command line: %s is not in %u..%u", text, min, max);
	return value;
}

static bool parse_choice(const char *word, struct options *options)
{
	const struct choice *choice;
	const char *rest;

	for (choice = choices; choice < choices + sizeof(choices) / sizeof(*choices); choice++) {
		rest = behind(word, choice->word);
		if (rest && word_ends(rest)) {
			*field(options, choice->offset) = choice->value;
			return true;
		}
	}
	return false;
}

static bool parse_pattern(const char *word, struct options *options)
{
	const char *rest = behind(word, "pattern=burst=");

	if (rest) {
		options->pattern = IVM_PATTERN_BURST;
		options->burst = parse_number(rest, 1, MAX_BURST);
		return true;
	}
	rest = behind(word, "pattern=rate=");
	if (rest) {
		options->pattern = IVM_PATTERN_RATE;
		options->rate_hz = parse_number(rest, 1, 10000000);
		return true;
	}
	return false;
}

static bool parse_count(const char *word, struct options *options)
{
	const struct number *number;
	const char *rest;

	for (number = numbers; number < numbers + sizeof(numbers) / sizeof(*numbers); number++) {
		rest = behind(word, number->key);
		if (rest) {
			*field(options, number->offset) =
				parse_number(rest, number->min, number->max);
			return true;
		}
	}
	return false;
}

/* delay=KIND,US */
static bool parse_delay(const char *word, struct options *options)
{
	static const struct { const char *word; uint32_t kind; } delays[] = {
		{ "delay=irqoff,", IVM_DELAY_IRQ_OFF },
		{ "delay=mask,", IVM_DELAY_MASK },
		{ "delay=msix,", IVM_DELAY_MSIX_MASK },
	};
	const char *rest;
	uint32_t i;

	for (i = 0; i < sizeof(delays) / sizeof(*delays); i++) {
		rest = behind(word, delays[i].word);
		if (rest) {
			options->delay = delays[i].kind;
			options->delay_us = parse_number(rest, 1, MAX_DELAY_US);
			return true;
		}
	}
	return false;
}

static const char *skip_to_options(const char *line)
{
	const char *found = NULL;

	for (; *line; line++) {
		if (behind(line, " -- "))
			found = line + 4;
	}
	return found ? found : line;
}

void options_parse(const char *line, struct options *options)
{
	*options = (struct options){
		.role = IVM_ROLE_PONG,
		.pattern = IVM_PATTERN_PINGPONG,
		.count = 1000,
		.timeout_s = 60,
		.stamps = 1,
		.irq_base = IDT_LINK_BASE,
	};
	if (!line)
		return;
	for (line = skip_to_options(line); *line;) {
		if (*line == ' ') {
			line++;
			continue;
		}
		if (!parse_choice(line, options) && !parse_pattern(line, options) &&
		    !parse_count(line, options) && !parse_delay(line, options))
			die("command line: cannot understand \"%s\"", line);
		while (!word_ends(line))
			line++;
	}
}
