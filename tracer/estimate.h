/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A ratio out of noisy blocks, with its confidence interval. */
#ifndef IVM_ESTIMATE_H
#define IVM_ESTIMATE_H

#include <stdint.h>

struct ivm_estimate {
	double value;
	double low, high;	/* 95 % confidence interval */
};

/**
 * ivm_estimate_ratio() - the ratio behind logarithms of single ratios
 * @logs: one for each block, at least one
 * @count: of them
 * @seed: of the resampling; the same seed gives the same interval
 *
 * The mean without the upper and lower fifth, because other users of a host
 * come in bursts; the interval by percentile bootstrap over blocks.
 *
 * Return: the ratio, no longer a logarithm.
 */
struct ivm_estimate ivm_estimate_ratio(const double *logs, unsigned int count, uint32_t seed);

/**
 * ivm_estimate_mean() - the mean without the upper and lower fifth
 * @values: at least one; brought in order
 * @count: of them
 *
 * Return: the mean.
 */
double ivm_estimate_mean(double *values, unsigned int count);

#endif /* IVM_ESTIMATE_H */
