// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ivm: sets of times and how they are told.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "ivm.h"

int samples_init(struct samples *samples, uint64_t room)
{
	*samples = (struct samples){ .room = room, .ticks = calloc(room ? room : 1, 8) };
	return samples->ticks ? 0 : -ENOMEM;
}

void samples_add(struct samples *samples, uint64_t ticks)
{
	if (samples->count < samples->room)
		samples->ticks[samples->count++] = ticks;
}

void samples_free(struct samples *samples)
{
	free(samples->ticks);
	samples->ticks = NULL;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void samples_sort(struct samples *samples)
{
	qsort(samples->ticks, samples->count, sizeof(uint64_t), compare);
}

/* The smallest sample that @permille thousandths of all do not exceed */
uint64_t samples_at(const struct samples *samples, uint32_t permille)
{
	uint64_t rank = (samples->count * permille + 999) / 1000;

	return samples->count ? samples->ticks[rank ? rank - 1 : 0] : 0;
}

static const struct {
	const char *name;
	uint32_t permille;
} columns[] = {
	{ "min", 0 }, { "p50", 500 }, { "p90", 900 }, { "p99", 990 }, { "p999", 999 },
	{ "max", 1000 },
};

#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

static void print_json(const struct series *series, int count, double tick_ns)
{
	size_t column;
	int i;

	for (i = 0; i < count; i++) {
		printf(", \"%s\": { \"count\": %" PRIu64, series[i].name,
		       series[i].samples->count);
		for (column = 0; column < COLUMNS && series[i].samples->count; column++)
			printf(", \"%s_ns\": %.0f", columns[column].name, tick_ns *
			       (double)samples_at(series[i].samples, columns[column].permille));
		fputs(" }", stdout);
	}
}

void print_series(const struct series *series, int count, double tick_ns, bool json)
{
	size_t column;
	int i;

	for (i = 0; i < count; i++)
		samples_sort(series[i].samples);
	if (json) {
		print_json(series, count, tick_ns);
		return;
	}
	printf("%-14s %9s", "us", "count");
	for (column = 0; column < COLUMNS; column++)
		printf(" %9s", columns[column].name);
	putchar('\n');
	for (i = 0; i < count; i++) {
		printf("%-14s %9" PRIu64, series[i].name, series[i].samples->count);
		for (column = 0; column < COLUMNS && series[i].samples->count; column++)
			printf(" %9.3f", tick_ns / 1e3 *
			       (double)samples_at(series[i].samples, columns[column].permille));
		putchar('\n');
	}
}
