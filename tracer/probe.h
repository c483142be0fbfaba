/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VM of a few instructions that rings a doorbell to itself.
 */
#ifndef IVM_TRACER_PROBE_H
#define IVM_TRACER_PROBE_H

enum ivm_probe_result {
	IVM_PROBE_NOT_RUN,
	IVM_PROBE_RAN,		/* rang, got its interrupt, and ended */
	IVM_PROBE_FAILED,
};

enum ivm_probe_result ivm_probe_run(void);
const char *ivm_probe_result_name(enum ivm_probe_result result);

#endif /* IVM_TRACER_PROBE_H */
