/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading what others wrote: link pages and QEMU command lines.
 *
 * Both are untrusted input.  Nothing here needs privileges, a device or BPF.
 */
#ifndef IVM_TRACER_LINKPAGE_H
#define IVM_TRACER_LINKPAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../device/ivm-linkpage.h"

int ivm_linkpage_read(int fd, struct ivm_linkpage *page);
const struct ivm_linkpage *ivm_linkpage_map(int fd);
void ivm_linkpage_unmap(const struct ivm_linkpage *head);
bool ivm_linkpage_is_current(int fd, const struct ivm_linkpage *head,
			     const struct ivm_linkpage *page);
int ivm_linkpage_check(const struct ivm_linkpage *page, const char **why);
bool ivm_vm_name_parse(const char *cmdline, size_t cmdline_bytes, char *name, size_t name_bytes);

#endif /* IVM_TRACER_LINKPAGE_H */
