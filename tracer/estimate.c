// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A ratio out of noisy blocks.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include "estimate.h"

#define RESAMPLES	2000
#define TAIL		(RESAMPLES * 25 / 1000)	/* on each side of the interval */

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double ivm_estimate_mean(double *values, unsigned int count)
{
	unsigned int cut = count / 5, i;
	double sum = 0;

	qsort(values, count, sizeof(*values), compare_doubles);
	for (i = cut; i < count - cut; i++)
		sum += values[i];
	return sum / (count - 2 * cut);
}

struct ivm_estimate ivm_estimate_ratio(const double *logs, unsigned int count, uint32_t seed)
{
	g_autofree double *means = g_new(double, RESAMPLES);
	g_autofree double *drawn = g_new(double, count);
	GRand *random = g_rand_new_with_seed(seed);
	unsigned int i, j;

	for (i = 0; i < RESAMPLES; i++) {
		for (j = 0; j < count; j++)
			drawn[j] = logs[g_rand_int_range(random, 0, (gint32)count)];
		means[i] = ivm_estimate_mean(drawn, count);
	}
	g_rand_free(random);
	qsort(means, RESAMPLES, sizeof(*means), compare_doubles);
	memcpy(drawn, logs, count * sizeof(*drawn));
	return (struct ivm_estimate){
		.value = exp(ivm_estimate_mean(drawn, count)),
		.low = exp(means[TAIL]),
		.high = exp(means[RESAMPLES - 1 - TAIL]),
	};
}
