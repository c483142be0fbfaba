/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a doorbell or a descriptor, through an eventfd, to an interrupt.
 *
 * One reading of irqfds.c made searchable, and compared with what link pages
 * say.  Nothing here opens or prints anything.
 */
#ifndef IVM_TRACER_WIRES_H
#define IVM_TRACER_WIRES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <glib.h>

#include "../bpf/irqfd.h"
#include "topology.h"

struct ivm_wires;

/* One way from an eventfd's source to its interrupt */
struct ivm_wire {
	uint64_t eventfd;
	int32_t eventfd_id;				/* -1 none */
	const struct ivm_irqfd_record *doorbell;	/* NULL: only processes signal it */
	const struct ivm_irqfd_record *target;		/* NULL: raises no interrupt of a guest */
};

typedef void (*ivm_wire_fn)(void *arg, const struct ivm_wire *wire);

/**
 * ivm_wires_mismatch_fn - KVM's tables contradict a link page
 * @arg: as given to ivm_wires_check()
 * @end: the sending end
 * @vector: of its peer
 * @what: the contradiction, valid during the call
 */
typedef void (*ivm_wires_mismatch_fn)(void *arg, const struct ivm_end *end, uint32_t vector,
				      const char *what);

struct ivm_wires *ivm_wires_new(const GArray *records);
void ivm_wires_free(struct ivm_wires *w);
void ivm_wires_each(const struct ivm_wires *w, ivm_wire_fn fn, void *arg);
const struct ivm_irqfd_record *ivm_wires_holder(const struct ivm_wires *w, pid_t tgid, int fd);
const struct ivm_irqfd_record *ivm_wires_doorbell(const struct ivm_wires *w, pid_t tgid,
						  uint64_t address, uint64_t value,
						  uint32_t bytes);
const struct ivm_irqfd_record *ivm_wires_target(const struct ivm_wires *w, uint64_t eventfd,
						unsigned int nth);
const struct ivm_irqfd_record *ivm_wires_doorbell_of(const struct ivm_wires *w, uint64_t eventfd,
						     unsigned int nth);
const struct ivm_irqfd_record *ivm_wires_holder_of(const struct ivm_wires *w, uint64_t eventfd,
						   unsigned int nth);
unsigned int ivm_wires_check(const struct ivm_wires *w, const struct ivm_topology *t,
			     ivm_wires_mismatch_fn fn, void *arg);
bool ivm_wires_msi_equal(const struct ivm_irqfd_record *target, uint64_t address, uint64_t data);

#endif /* IVM_TRACER_WIRES_H */
