/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tracer cost by its own measure, as `bench --own-cost` recorded it. */
#ifndef IVM_REPORT_OWN_COST_H
#define IVM_REPORT_OWN_COST_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "../bpf/journey.h"

struct ivm_cost_mode {
	char *mode;
	uint64_t blocks;
	double rtt_ns;			/* without the tracer */
	double effect, low, high;	/* round trip with : without, 95 % interval */
	uint64_t journeys;		/* while the probes were timed */
	uint64_t probes_ns;		/* all probes, over these journeys */
};

struct ivm_cost_probe {
	char *mode;
	char *hook;
	uint64_t runs;
	uint64_t run_ns;
};

/* @probes: of struct ivm_cost_probe *; ns, IVM_NS_UNKNOWN if nobody has measured */
uint64_t ivm_cost_of_hook(const GPtrArray *probes, const char *hook);
uint64_t ivm_cost_within(const GPtrArray *probes, enum ivm_mode mode, enum ivm_point from);

/* Is a hop without the probe in it shorter than that probe? */
bool ivm_cost_dominates(uint64_t probe_ns, uint64_t hop_ns);

#endif /* IVM_REPORT_OWN_COST_H */
