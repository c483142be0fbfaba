/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From sampled stacks to names of functions.
 *
 * Kernel addresses are looked up in /proc/kallsyms, user stacks are walked by
 * libdwfl with what the binaries themselves say of their frames.  An address
 * that no symbol covers is named [module+0xoffset]: nothing is guessed.
 */
#ifndef IVM_SYMBOLS_H
#define IVM_SYMBOLS_H

#include <stdint.h>

#include "../bpf/profile.h"

struct ivm_symbols;

struct ivm_symbols *ivm_symbols_new(void);
void ivm_symbols_free(struct ivm_symbols *s);
uint32_t ivm_symbols_stack(struct ivm_symbols *s, const struct ivm_sample *sample);
void ivm_symbols_forget_processes(struct ivm_symbols *s);

/* Called for each stack: names of its functions as a JSON array, outermost first */
typedef int (*ivm_symbols_fn)(void *arg, uint32_t stack, const char *frames);

int ivm_symbols_each(struct ivm_symbols *s, ivm_symbols_fn fn, void *arg);

#endif /* IVM_SYMBOLS_H */
