# SPDX-License-Identifier: GPL-2.0-or-later
"""From blocks to a ratio and its confidence interval.

A block's figure is a mean over thousands of round trips, so whatever a tracer does now and
then within a block counts in full.  Between blocks the host does other things, too: logarithms
of ratios to the neighbouring blocks are averaged without their upper and lower fifth.  The
interval is the percentile bootstrap over blocks.
"""
import math
import random
from typing import NamedTuple

TRIM = 0.2
RESAMPLES = 4000


def trimmed_mean(values):
    ordered = sorted(values)
    cut = int(len(ordered) * TRIM)
    kept = ordered[cut:len(ordered) - cut]
    return math.fsum(kept) / len(kept)


class Estimate(NamedTuple):
    value: float
    low: float
    high: float
    blocks: int

    def __str__(self):
        return (f"{self.value:.4f}  95 % CI {self.low:.4f} .. {self.high:.4f}"
                f"  ({self.blocks} blocks)")


def ratio(log_ratios, seed):
    """Estimate of the ratio behind these logarithms."""
    draw = random.Random(seed)
    means = sorted(trimmed_mean(draw.choices(log_ratios, k=len(log_ratios)))
                   for _ in range(RESAMPLES))
    edge = int(RESAMPLES * 0.025)
    return Estimate(math.exp(trimmed_mean(log_ratios)), math.exp(means[edge]),
                    math.exp(means[-1 - edge]), len(log_ratios))
