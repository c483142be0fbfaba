/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The little that is needed of tracefs: records' formats, and event numbers.
 */
#ifndef IVM_TRACER_TRACEFS_H
#define IVM_TRACER_TRACEFS_H

struct bpf_link;
struct bpf_program;

int ivm_tracefs_open(void);
char *ivm_tracefs_read(int tracefs_fd, const char *system, const char *event, const char *file);
struct bpf_link *ivm_tracefs_attach(int tracefs_fd, const char *system, const char *event,
				    struct bpf_program *program);

#endif /* IVM_TRACER_TRACEFS_H */
