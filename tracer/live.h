/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the commands have in common that look at interrupts without recording them:
 * the options that say what to follow, a session, and its end by a signal.
 */
#ifndef IVM_LIVE_H
#define IVM_LIVE_H

#include <signal.h>
#include <stdbool.h>

#include <glib.h>

#include "session.h"

#define IVM_LIVE_POLL_MS	20

struct ivm_live {
	struct ivm_session_opts opts;
	struct ivm_session *session;
	/* Texts of options, as given */
	char *pid_text;
	char *link_text;
	char *vm_text;
	char *buffer_text;
	char *backend_text;
};

/* Rows for a command's table of options: { IVM_LIVE_ENTRIES(live), ... { 0 } } */
#define IVM_LIVE_ENTRIES(live)								\
	{ "pid", 'p', 0, G_OPTION_ARG_FILENAME, &(live)->pid_text,			\
	  "Only links with an end in this QEMU process", "PID" },			\
	{ "link", 0, 0, G_OPTION_ARG_FILENAME, &(live)->link_text,			\
	  "Only the link of this name; * and ? are wildcards", "LINK" },		\
	{ "vm", 0, 0, G_OPTION_ARG_FILENAME, &(live)->vm_text,				\
	  "Only links with an end in this VM: its name, or number in 'list'",		\
	  "VM" },									\
	{ "buffer", 'm', 0, G_OPTION_ARG_FILENAME, &(live)->buffer_text,		\
	  "Size of the ring buffer (default: 64M)", "SIZE" },				\
	{ "backend", 0, 0, G_OPTION_ARG_FILENAME, &(live)->backend_text,		\
	  "Events from bpf or tracefs (default: auto)", "BACKEND" }

/* From the options' texts to their values; 0, or -errno after printing */
int ivm_live_parse(struct ivm_live *live);

/* Opens and arms a session that tells @watcher; 0, or -errno after printing */
int ivm_live_start(struct ivm_live *live, const struct ivm_session_watcher *watcher);

/* ivm_session_poll(); 0, or -errno after printing */
int ivm_live_poll(struct ivm_live *live);

/* ivm_session_stop(); 0, or -errno after printing */
int ivm_live_stop(struct ivm_live *live);

/* From here on ^C ends what goes on; ivm_live_start() calls it */
void ivm_live_catch_signals(void);

/* Did SIGINT, SIGTERM or SIGHUP come since the start? */
bool ivm_live_interrupted(void);

void ivm_live_clear(struct ivm_live *live);

#endif /* IVM_LIVE_H */
