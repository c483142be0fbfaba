/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What KVM has bound to eventfds on this host, asked of the kernel.
 */
#ifndef IVM_TRACER_IRQFDS_H
#define IVM_TRACER_IRQFDS_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "../bpf/irqfd.h"

struct ivm_irqfds;

/* Where the last reading is not complete; all zero in a good one */
struct ivm_irqfds_gaps {
	uint64_t lost;		/* records without room */
	uint64_t torn;		/* VMs whose lists kept changing under the walk */
	uint64_t cut;		/* VMs with more bindings than are looked at */
};

struct ivm_irqfds *ivm_irqfds_open(void);
void ivm_irqfds_close(struct ivm_irqfds *f);
bool ivm_irqfds_available(const struct ivm_irqfds *f);
int ivm_irqfds_read(struct ivm_irqfds *f, GArray *records);
const struct ivm_irqfds_gaps *ivm_irqfds_gaps(const struct ivm_irqfds *f);

#endif /* IVM_TRACER_IRQFDS_H */
