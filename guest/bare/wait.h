/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waiting, always with a bound.
 */
#ifndef IVM_BARE_WAIT_H
#define IVM_BARE_WAIT_H

#include <stdbool.h>
#include <stdint.h>

/**
 * deadline_in() - the TSC value that lies @seconds ahead
 */
uint64_t deadline_in(uint32_t seconds);

/**
 * wait_until() - look at something once a tick until it is true
 * @seconds: bound
 *
 * Return: false if it did not become true in time.
 */
bool wait_until(bool (*is_true)(void *opaque), void *opaque, uint32_t seconds);

#endif /* IVM_BARE_WAIT_H */
