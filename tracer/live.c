// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Looking at interrupts without recording them.
 */
#include <errno.h>
#include <signal.h>

#include "error.h"
#include "live.h"
#include "options.h"

#define MIN_BUFFER_BYTES	(1ull << 16)
#define MAX_BUFFER_BYTES	(1ull << 30)

static volatile sig_atomic_t interrupted;

static void interrupt(int signal_number)
{
	interrupted = signal_number;
}

void ivm_live_catch_signals(void)
{
	struct sigaction action = { .sa_handler = interrupt };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

bool ivm_live_interrupted(void)
{
	return interrupted;
}

int ivm_live_parse(struct ivm_live *live)
{
	int backend = IVM_BACKEND_AUTO;
	uint64_t pid = 0;
	int err = 0;

	if (live->pid_text)
		err = ivm_parse_u64("--pid", live->pid_text, 1, INT32_MAX, &pid);
	if (!err && live->buffer_text)
		err = ivm_parse_size("--buffer", live->buffer_text, MIN_BUFFER_BYTES,
				     MAX_BUFFER_BYTES, &live->opts.buffer_bytes);
	if (!err && live->backend_text)
		err = ivm_parse_choice("--backend", live->backend_text, ivm_backend_names,
				       &backend);
	live->opts.pid = (pid_t)pid;
	live->opts.backend = (enum ivm_backend)backend;
	live->opts.link = live->link_text;
	live->opts.vm = live->vm_text;
	live->opts.wires = true;
	if (!err && pid && kill((pid_t)pid, 0) && errno == ESRCH)
		err = ivm_fail("there is no process %d", (int)pid);
	return err;
}

static int fail(struct ivm_live *live, int err)
{
	if (err)
		ivm_fail("%s", ivm_session_why(live->session));
	return err;
}

int ivm_live_start(struct ivm_live *live, const struct ivm_session_watcher *watcher)
{
	int err = ivm_session_open(&live->opts, &live->session);

	if (err)
		return fail(live, err);
	if (ivm_session_fallback(live->session))
		ivm_warn("%s: taking events from tracefs instead",
			 ivm_session_fallback(live->session));
	ivm_live_catch_signals();
	ivm_session_watch(live->session, watcher);
	ivm_session_yield();
	return fail(live, ivm_session_arm(live->session, NULL));
}

int ivm_live_poll(struct ivm_live *live)
{
	return fail(live, ivm_session_poll(live->session, IVM_LIVE_POLL_MS));
}

int ivm_live_stop(struct ivm_live *live)
{
	return fail(live, ivm_session_stop(live->session));
}

void ivm_live_clear(struct ivm_live *live)
{
	ivm_session_close(live->session);
	live->session = NULL;
	g_free(live->pid_text);
	g_free(live->link_text);
	g_free(live->vm_text);
	g_free(live->buffer_text);
	g_free(live->backend_text);
}
