/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `record --profile` sampled: hot functions of each hop, folded stacks.
 */
#ifndef IVM_REPORT_PROFILE_H
#define IVM_REPORT_PROFILE_H

#include <stdio.h>

#include <json-c/json.h>

#include "report.h"

/* Fewer samples than that say nothing of a hop */
#define IVM_PROFILE_MIN_SAMPLES	10

/* Prints nothing if the recording has no profile; 0 or -errno */
int ivm_profile_print_text(const struct ivm_report *r, FILE *out);
int ivm_profile_print_folded(const struct ivm_report *r, FILE *out);
/* NULL if the recording has no profile, or is damaged */
struct json_object *ivm_profile_json(const struct ivm_report *r);

#endif /* IVM_REPORT_PROFILE_H */
