/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * OpenMetrics text, for Prometheus and whatever speaks its language.
 *
 * Metrics, labels and buckets: docs/metrics.md, which a dashboard may rely on.
 */
#ifndef IVM_REPORT_OPENMETRICS_H
#define IVM_REPORT_OPENMETRICS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <glib.h>

#include "../tracer/series.h"
#include "report.h"

#define IVM_OPENMETRICS_CONTENT_TYPE \
	"application/openmetrics-text; version=1.0.0; charset=utf-8"

struct ivm_metrics_lost {
	const char *source;
	uint64_t count;
};

/* What is told, wherever it comes from */
struct ivm_metrics {
	const GPtrArray *series;	/* struct ivm_series * */
	const GArray *lost;		/* struct ivm_metrics_lost */
	uint64_t unmatched;
	const char *kernel;		/* NULL if unknown, as the next one */
	const char *backend;
	bool no_hops;			/* totals only: a tenth of the time series */
};

/**
 * ivm_openmetrics_print() - all of it, "# EOF" included
 * @m: what to tell
 * @out: where to
 */
void ivm_openmetrics_print(const struct ivm_metrics *m, FILE *out);

/**
 * ivm_openmetrics_report() - the same of a recording
 * @r: its report
 * @no_hops: totals only
 * @out: where to
 *
 * Return: 0, or -EBADMSG if the recording is damaged.
 */
int ivm_openmetrics_report(const struct ivm_report *r, bool no_hops, FILE *out);

#endif /* IVM_REPORT_OPENMETRICS_H */
