/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Marks: names that others give to what comes next in a running recording.
 *
 * `record` listens on a datagram socket in the abstract namespace, named after
 * its process, and answers each mark when it has taken effect; `mark` finds
 * these sockets in /proc/net/unix.  Who sends must be root or the recorder's
 * own user.
 */
#ifndef IVM_MARKS_H
#define IVM_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <glib.h>

#define IVM_MARK_NAME_BYTES	64	/* of UTF-8, its NUL included */

/* Is that a name for a phase: some text without control characters that fits? */
bool ivm_mark_name_ok(const char *name);

/* ---- where marks are taken ---- */

/* Return: a descriptor that becomes readable with marks, or -errno */
int ivm_marks_listen(void);

/**
 * ivm_marks_take() - the next mark that has come
 * @fd: of ivm_marks_listen(); never blocks
 * @name: set to its name
 *
 * What a stranger sends is refused and forgotten.  The sender gets its answer
 * now: whatever happens after that belongs to the mark.
 *
 * Return: 1, 0 if there is none, or -errno.
 */
int ivm_marks_take(int fd, char name[static IVM_MARK_NAME_BYTES]);

/* ---- where they are sent from ---- */

/* Processes that take marks, of whatever user: pid_t */
GArray *ivm_marks_find(void);

/**
 * ivm_mark_send() - marks one recording
 * @pid: its process
 * @name: what comes next; must be ivm_mark_name_ok()
 * @timeout_ms: how long to wait for the answer
 *
 * Return: 0 when the mark has taken effect; -ECONNREFUSED if that process takes
 * no marks; -EPERM if it does not take ours; -ETIMEDOUT; another -errno.
 */
int ivm_mark_send(pid_t pid, const char *name, int timeout_ms);

#endif /* IVM_MARKS_H */
