/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text for the host, and the end of the program.
 */
#ifndef IVM_BARE_CONSOLE_H
#define IVM_BARE_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

/**
 * console_print() - print to the serial line
 * @format: knows %s, %u (uint32_t), %x (uint32_t) and %U (uint64_t)
 */
void console_print(const char *format, ...);

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
