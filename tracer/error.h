/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages to the user, on stderr.
 *
 * Each error is printed once, by the level that knows the user's words: what
 * failed, on what, why, what to do.  Lower levels return -errno and are silent.
 */
#ifndef IVM_ERROR_H
#define IVM_ERROR_H

/* "ivmtrace: <message>: <strerror(-err)>"; returns @err, which is -errno */
int ivm_error(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "ivmtrace: <message>", for a message that says why itself; returns -EINVAL */
int ivm_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* "ivmtrace: warning: <message>" */
void ivm_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* "ivmtrace: <message>": progress and facts that are no part of the output */
void ivm_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif /* IVM_ERROR_H */
