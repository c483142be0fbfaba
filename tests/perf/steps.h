/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef IVM_PERF_STEPS_H
#define IVM_PERF_STEPS_H

/* What a program of the test does, each step after those above it */
enum step {
	STEP_EMPTY,
	STEP_CLOCK,		/* reads the clock */
	STEP_STORAGE,		/* finds the storage of its thread, and writes to it */
	STEP_RECORD,		/* hands a record of a journey's size over */
	STEPS
};

#endif /* IVM_PERF_STEPS_H */
