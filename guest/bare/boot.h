/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between the loader and the program.
 */
#ifndef IVM_BARE_BOOT_H
#define IVM_BARE_BOOT_H

/**
 * boot_command_line() - what the loader got with -append
 *
 * Return: the text, or NULL if there is none.
 */
const char *boot_command_line(void);

/**
 * bare_main() - the program, on CPU 0, with a stack and interrupts off
 */
void bare_main(void);

#endif /* IVM_BARE_BOOT_H */
