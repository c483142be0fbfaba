/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which messages of a link's socket a system call carries, told by counting
 * bytes.
 *
 * Where the content of the socket cannot be read, the place of a message in its
 * stream still names it: all messages of a link that is up have one size
 * (IVM_MSG_UNIT), and the n-th sent is the n-th received.  That takes a common
 * start: an instant at which the sender's and the receiver's queue are empty and
 * no call of either is under way.  Until one was found nothing has a number.
 *
 * Calls are told in order of time, looks at the queues whenever they are taken:
 * a look counts once the calls around it are known.
 */
#ifndef IVM_TRACER_SOCKETS_H
#define IVM_TRACER_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "topology.h"

struct ivm_sockets;

/* Messages number @first to @last; both 0 if unknown or none */
struct ivm_units {
	uint64_t first;
	uint64_t last;
};

struct ivm_sockets *ivm_sockets_new(void);
void ivm_sockets_free(struct ivm_sockets *s);
bool ivm_sockets_follow(struct ivm_sockets *s, const struct ivm_topology *topology);
void ivm_sockets_begin(struct ivm_sockets *s);
void ivm_sockets_look(struct ivm_sockets *s);
void ivm_sockets_enter(struct ivm_sockets *s, pid_t tgid, int fd, bool sends, uint64_t t_ns);
void ivm_sockets_leave(struct ivm_sockets *s, pid_t tgid, int fd, bool sends, uint64_t t_ns,
		       int64_t result, struct ivm_units *units);
bool ivm_sockets_searching(const struct ivm_sockets *s);
uint64_t ivm_sockets_next(const struct ivm_sockets *s, pid_t tgid, int fd);
void ivm_sockets_unsure(struct ivm_sockets *s, pid_t tgid);
uint64_t ivm_sockets_misplaced(const struct ivm_sockets *s);

#endif /* IVM_TRACER_SOCKETS_H */
