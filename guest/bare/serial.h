/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The serial line to the host, polled.
 */
#ifndef IVM_BARE_SERIAL_H
#define IVM_BARE_SERIAL_H

#include <stdbool.h>

void serial_init(void);

/**
 * serial_put() - send a byte; a host that does not read does not hang the guest
 */
void serial_put(char c);

/**
 * serial_has_input() - has the host sent a byte? Takes it.
 */
bool serial_has_input(void);

#endif /* IVM_BARE_SERIAL_H */
