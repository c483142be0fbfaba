/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * COM1, and the end of the program.
 */
#ifndef IVM_BARE_CONSOLE_H
#define IVM_BARE_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

/**
 * console_init() - set COM1 to 115200 8n1, polled
 */
void console_init(void);

/**
 * console_print() - print to COM1
 * @format: knows %s, %u (uint32_t), %x (uint32_t) and %U (uint64_t)
 */
void console_print(const char *format, ...);

/**
 * console_has_input() - has the host sent a byte? Takes it.
 */
bool console_has_input(void);

/**
 * die() - report a failure to the host, in the lane too if there is one, and end
 * @format: as for console_print()
 */
void die(const char *format, ...) __attribute__((noreturn));

/**
 * machine_reset() - reset the machine, which ends a QEMU run with -no-reboot
 */
void machine_reset(void) __attribute__((noreturn));

#endif /* IVM_BARE_CONSOLE_H */
