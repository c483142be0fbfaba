// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ivmtrace record: follow interrupts until told to stop, into a file.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "command.h"
#include "error.h"
#include "marks.h"
#include "options.h"
#include "profile.h"
#include "session.h"

#define POLL_MS		20
#define SEC_NS		1000000000ull
#define MAX_SECONDS	(365ull * 24 * 3600)
#define MIN_BUFFER_BYTES (1ull << 16)
#define MAX_BUFFER_BYTES (1ull << 30)
#define SHELL_NOT_FOUND	127
#define MAX_PER_SECOND	1000000000
#define MIN_FILE_BYTES	(1ull << 20)
#define MAX_FILE_BYTES	(1ull << 50)

struct record {
	struct ivm_session_opts opts;
	const char *output;
	uint64_t duration_ns;		/* 0: until a signal */
	bool strict;
	struct ivm_keep keep;
	char **command;			/* NULL: none */
	pid_t child;
	int child_status;
	struct ivm_session *session;
	struct ivm_recording *recording;
	uint64_t announced;		/* version of the topology */
	int marks;			/* descriptor, -1 if none can be taken */
	unsigned int phases;		/* begun so far */
	GHashTable *links;		/* ids of the ends announced, as a set */
	/* Texts of options, as given */
	char *pid_text;
	char *link_text;
	char *vm_text;
	gboolean irqfd;
	gboolean context;
	char *stop_over_text;
	char *on_threshold;
	char *duration_text;
	char *output_text;
	char *buffer_text;
	char *keep_text;
	char *max_size_text;
	char *backend_text;
	char *raw_text;
	gboolean strict_given;
};

static volatile sig_atomic_t interrupted;
static volatile sig_atomic_t marked;	/* times SIGUSR1 came */

static void mark(int signal_number)
{
	(void)signal_number;
	marked++;
}

static void interrupt(int signal_number)
{
	interrupted = signal_number;
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = interrupt };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	action.sa_handler = mark;
	sigaction(SIGUSR1, &action, NULL);
}

/* ---- the workload ---- */

/* The child waits on the pipe until everything is armed */
static int prepare_command(struct record *r, int go[2])
{
	char start;

	if (pipe2(go, O_CLOEXEC))
		return ivm_error(-errno, "cannot make a pipe");
	r->child = fork();
	if (r->child < 0)
		return ivm_error(-errno, "cannot fork");
	if (r->child) {
		close(go[0]);
		return 0;
	}
	close(go[1]);
	if (read(go[0], &start, 1) != 1)
		_exit(0);
	execvp(r->command[0], r->command);
	ivm_error(-errno, "cannot run '%s'", r->command[0]);
	_exit(SHELL_NOT_FOUND);
}

static bool child_ended(struct record *r)
{
	if (r->child <= 0 || waitpid(r->child, &r->child_status, WNOHANG) != r->child)
		return false;
	r->child = 0;
	return true;
}

/* As perf record does: the workload's own result is ours */
static int child_result(const struct record *r)
{
	if (WIFSIGNALED(r->child_status))
		return 128 + WTERMSIG(r->child_status);
	return WEXITSTATUS(r->child_status);
}

static void end_child(struct record *r)
{
	if (r->child <= 0)
		return;
	kill(r->child, SIGTERM);
	waitpid(r->child, &r->child_status, 0);
	r->child = 0;
}

/* As rtla does: what to do at once, as long as what made it slow may be still there */
static void on_threshold(struct record *r)
{
	uint64_t over_ns = ivm_session_over(r->session);
	g_autofree char *latency = g_strdup_printf("%" PRIu64, over_ns);
	int status;

	if (!over_ns)
		return;
	ivm_info("stopped: an interrupt took %" PRIu64 ".%03" PRIu64 " us", over_ns / 1000,
		 over_ns % 1000);
	if (!r->on_threshold)
		return;
	setenv("IVMTRACE_LATENCY_NS", latency, 1);
	status = system(r->on_threshold);
	if (status)
		ivm_warn("'%s' failed", r->on_threshold);
}

/* ---- recording ---- */

static int session_error(struct record *r, int err)
{
	ivm_fail("%s", ivm_session_why(r->session));
	return err;
}

/* With an end in sight it makes sense to wait for VMs that start meanwhile */
static int check_ends(struct record *r)
{
	bool filtered = r->opts.pid || r->opts.link || r->opts.vm;
	const char *which = filtered ? "no VM with a link that fits -p, --link and --vm"
				     : "no VM with a link";

	if (ivm_session_ends(r->session))
		return 0;
	if (!r->duration_ns && !r->command)
		return ivm_fail("%s is running; with -d or a COMMAND record waits for one", which);
	ivm_info("%s is running yet; waiting for one", which);
	return 0;
}

static void announce(struct record *r)
{
	unsigned int links = ivm_session_links(r->session);
	const char *fallback = ivm_session_fallback(r->session);

	if (fallback)
		ivm_warn("%s: taking events from tracefs instead", fallback);
	ivm_info("recording, %u link%s; ^C stops", links, links == 1 ? "" : "s");
}

/* Doorbells are told by their address, and by the vCPU that rings them if there are any */
static bool is_followed(const struct ivm_topology *t, const struct ivm_end *end)
{
	guint i;

	if (end->kind == IVM_END_LINK && end->page.bar0_address == IVM_LINKPAGE_NO_ADDR)
		return false;
	for (i = 0; i < t->vcpus->len; i++)
		if (((struct ivm_vcpu *)g_ptr_array_index(t->vcpus, i))->vm == end->vm)
			return true;
	return end->page.accel != IVM_ACCEL_KVM;
}

/* A link that comes up while recording is followed from here on */
static void announce_links(struct record *r)
{
	const struct ivm_topology *t = ivm_session_topology(r->session);
	guint i;

	if (r->announced == t->version)
		return;
	r->announced = t->version;
	for (i = 0; i < t->ends->len; i++) {
		const struct ivm_end *end = g_ptr_array_index(t->ends, i);

		if (end->dead || !end->peer || end->peer->id < end->id ||
		    !is_followed(t, end) || !is_followed(t, end->peer) ||
		    !g_hash_table_add(r->links, GUINT_TO_POINTER(end->id)))
			continue;
		ivm_info("following link %s of %s and %s", end->page.name, end->vm->name,
			 end->peer->vm->name);
	}
}

/* ---- phases ---- */

static void begin_phase(struct record *r, const char *name, uint64_t start_ns)
{
	int err = ivm_recording_mark(r->recording, name, start_ns);

	r->phases++;
	if (err)
		ivm_warn("mark '%s' is lost: there are too many", name);
	else
		ivm_info("phase '%s'", name);
}

/*
 * Journeys added so far have ended by now, so they all began before a phase that
 * begins now; and who waits for an answer to his mark gets it later than now.
 * Signals bear no name, and those that come at once are one.
 */
static void take_marks(struct record *r)
{
	uint64_t now_ns = ivm_now_ns();
	char name[IVM_MARK_NAME_BYTES];

	if (marked) {
		marked = 0;
		g_snprintf(name, sizeof(name), "mark %u", r->phases + 1);
		begin_phase(r, name, now_ns);
	}
	while (r->marks >= 0 && ivm_marks_take(r->marks, name) > 0)
		begin_phase(r, name, now_ns);
}

static int follow(struct record *r)
{
	uint64_t start_ns = ivm_now_ns();
	int err;

	/* After the fork: a command is not to inherit that */
	ivm_session_yield();
	for (;;) {
		err = ivm_session_poll(r->session, POLL_MS);
		if (err)
			return session_error(r, err);
		announce_links(r);
		take_marks(r);
		if (interrupted || (r->command && child_ended(r)) || ivm_session_over(r->session))
			return 0;
		if (r->duration_ns && ivm_now_ns() - start_ns >= r->duration_ns)
			return 0;
	}
}

static void print_lost(struct record *r)
{
	const struct ivm_assemble_stats *stats =
		ivm_assemble_stats(ivm_session_assemble(r->session));
	struct ivm_session_lost lost;

	ivm_session_lost(r->session, &lost);
	if (lost.source.overrun || lost.source.switches || lost.source.unplaced)
		ivm_warn("lost: %" PRIu64 " overrun, %" PRIu64 " switches, %" PRIu64 " unplaced",
			 lost.source.overrun, lost.source.switches, lost.source.unplaced);
	if (lost.source.ringbuf || lost.source.map || lost.source.recursion || lost.page ||
	    stats->late)
		ivm_warn("lost: %" PRIu64 " ring buffer, %" PRIu64 " map, %" PRIu64 " recursion, %"
			 PRIu64 " link page, %" PRIu64 " late", lost.source.ringbuf,
			 lost.source.map, lost.source.recursion, lost.page, stats->late);
	if (stats->unmatched || stats->disordered)
		ivm_warn("%" PRIu64 " unmatched, %" PRIu64 " disordered", stats->unmatched,
			 stats->disordered);
}

static void print_summary(struct record *r)
{
	const GPtrArray *counts = ivm_assemble_counts(ivm_session_assemble(r->session));
	g_autofree char *unseen = NULL;
	struct ivm_counts sum = {};
	guint i;

	for (i = 0; i < counts->len; i++)
		ivm_counts_add(&sum, g_ptr_array_index(counts, i));
	if (sum.unseen)
		unseen = g_strdup_printf(" + %" PRIu64 " unseen", sum.unseen);
	ivm_info("%" PRIu64 " rung = %" PRIu64 " delivered + %" PRIu64 " coalesced + %" PRIu64
		 " masked + %" PRIu64 " dropped + %" PRIu64 " unfinished%s; written to %s",
		 sum.rung, sum.delivered, sum.coalesced, sum.masked, sum.dropped, sum.unfinished,
		 unseen ? unseen : "", r->output);
	print_lost(r);
}

static void print_cause(void *arg, const char *cause)
{
	(void)arg;
	ivm_fail("strict: %s", cause);
}

static int open_raw(struct record *r)
{
	if (!r->raw_text)
		return 0;
	r->opts.raw = fopen(r->raw_text, "we");
	return r->opts.raw ? 0 : ivm_error(-errno, "cannot write %s", r->raw_text);
}

/* Half a file of events would replay to something else */
static int close_raw(struct record *r)
{
	int err = 0;

	if (!r->opts.raw)
		return 0;
	if (ferror(r->opts.raw))
		err = -EIO;
	if (fclose(r->opts.raw) && !err)
		err = -errno;
	r->opts.raw = NULL;
	return err ? ivm_error(err, "cannot write %s", r->raw_text) : 0;
}

static int finish(struct record *r)
{
	int err = ivm_session_stop(r->session);

	if (!err)
		err = ivm_session_finish(r->session, r->recording);
	if (err)
		return session_error(r, err);
	err = ivm_recording_finish(r->recording);
	if (err)
		return ivm_error(err, "cannot write %s", r->output);
	err = close_raw(r);
	if (err)
		return err;
	print_summary(r);
	return 0;
}

static int record_armed(struct record *r, int go)
{
	int err;

	announce(r);
	if (r->command && write(go, "", 1) != 1)
		return ivm_error(-errno, "cannot start '%s'", r->command[0]);
	err = follow(r);
	if (!err)
		on_threshold(r);
	end_child(r);
	return err ? err : finish(r);
}

static int record(struct record *r)
{
	int go[2] = { -1, -1 };
	int err;

	err = open_raw(r);
	if (err)
		return err;
	err = ivm_session_open(&r->opts, &r->session);
	if (err)
		return session_error(r, err);
	err = check_ends(r);
	if (!err && r->command)
		err = prepare_command(r, go);
	if (err)
		return err;
	err = ivm_recording_create(r->output, &r->recording);
	if (err)
		return ivm_error(err, "cannot create %s", r->output);
	err = ivm_recording_keep(r->recording, &r->keep);
	if (err)
		return ivm_error(err, "cannot write %s", r->output);
	catch_signals();
	r->marks = ivm_marks_listen();
	if (r->marks < 0)
		ivm_warn("cannot take marks: %s", strerror(-r->marks));
	err = ivm_session_arm(r->session, r->recording);
	if (err)
		return session_error(r, err);
	err = record_armed(r, go[1]);
	if (go[1] >= 0)
		close(go[1]);
	return err;
}

static int result(struct record *r)
{
	if (r->strict && ivm_session_check(r->session, print_cause, NULL))
		return IVM_EXIT_CHECK;
	if (ivm_session_over(r->session))
		return IVM_EXIT_CHECK;
	return r->command ? child_result(r) : IVM_EXIT_OK;
}

/* ---- the command line ---- */

static int check_pid(pid_t pid)
{
	if (kill(pid, 0) && errno == ESRCH)
		return ivm_fail("there is no process %d", pid);
	return 0;
}

/* "all", "tail", or so many for each second */
static int parse_keep(struct record *r)
{
	const char *text = r->keep_text;
	g_autofree char *number = NULL;

	if (!text || !strcmp(text, "all"))
		return 0;
	if (!strcmp(text, "tail")) {
		r->keep.policy = IVM_KEEP_TAIL;
		return 0;
	}
	if (!g_str_has_suffix(text, "/s"))
		return ivm_fail("--keep: '%s' is not all, tail or N/s", text);
	r->keep.policy = IVM_KEEP_RATE;
	number = g_strndup(text, strlen(text) - strlen("/s"));
	return ivm_parse_u64("--keep", number, 0, MAX_PER_SECOND, &r->keep.per_s);
}

/* GOption hands callbacks nothing of ours; "" without a value */
static char *profile_text;

static gboolean take_profile(const gchar *option, const gchar *value, gpointer data, GError **error)
{
	(void)option;
	(void)data;
	(void)error;
	g_free(profile_text);
	profile_text = g_strdup(value ? value : "");
	return TRUE;
}

static int parse_profile(struct record *r)
{
	if (!profile_text)
		return 0;
	r->opts.profile_hz = IVM_PROFILE_HZ;
	if (!profile_text[0])
		return 0;
	return ivm_parse_u64("--profile", profile_text, 1, IVM_PROFILE_MAX_HZ, &r->opts.profile_hz);
}

/* From the options' texts to their values */
static int parse_values(struct record *r)
{
	int backend = IVM_BACKEND_AUTO;
	uint64_t pid = 0;
	int err = 0;

	if (r->pid_text)
		err = ivm_parse_u64("--pid", r->pid_text, 1, INT32_MAX, &pid);
	if (!err && r->duration_text)
		err = ivm_parse_duration("--duration", r->duration_text, 1, MAX_SECONDS * SEC_NS,
					 &r->duration_ns);
	if (!err && r->stop_over_text)
		err = ivm_parse_duration("--stop-over", r->stop_over_text, 1,
					 MAX_SECONDS * SEC_NS, &r->opts.stop_over_ns);
	if (!err && r->on_threshold && !r->stop_over_text)
		err = ivm_fail("--on-threshold needs --stop-over to say when");
	if (!err && r->buffer_text)
		err = ivm_parse_size("--buffer", r->buffer_text, MIN_BUFFER_BYTES,
				     MAX_BUFFER_BYTES, &r->opts.buffer_bytes);
	if (!err && r->backend_text)
		err = ivm_parse_choice("--backend", r->backend_text, ivm_backend_names, &backend);
	if (!err)
		err = parse_profile(r);
	if (!err)
		err = parse_keep(r);
	if (!err && r->max_size_text)
		err = ivm_parse_size("--max-size", r->max_size_text, MIN_FILE_BYTES,
				     MAX_FILE_BYTES, &r->keep.max_bytes);
	r->opts.pid = pid;
	r->opts.backend = backend;
	r->opts.link = r->link_text;
	r->opts.vm = r->vm_text;
	r->opts.wires = true;
	r->opts.context = r->context;
	r->opts.foreign = r->irqfd;
	r->output = r->output_text ? r->output_text : "ivmtrace.ivm";
	r->strict = r->strict_given;
	return !err && pid ? check_pid(pid) : err;
}

static int parse(int argc, char **argv, struct record *r, struct ivm_operands *operands)
{
	const GOptionEntry entries[] = {
		{ "pid", 'p', 0, G_OPTION_ARG_FILENAME, &r->pid_text,
		  "Only links with an end in this QEMU process", "PID" },
		{ "link", 0, 0, G_OPTION_ARG_FILENAME, &r->link_text,
		  "Only the link of this name; * and ? are wildcards", "LINK" },
		{ "vm", 0, 0, G_OPTION_ARG_FILENAME, &r->vm_text,
		  "Only links with an end in this VM, by name or number of 'ivmtrace list'", "VM" },
		{ "irqfd", 0, 0, G_OPTION_ARG_NONE, &r->irqfd,
		  "Also follow whoever else writes to an eventfd that raises an interrupt", NULL },
		{ "duration", 'd', 0, G_OPTION_ARG_FILENAME, &r->duration_text,
		  "Stop after so long: seconds, or 500ms, 2m", "SECS" },
		{ "output", 'o', 0, G_OPTION_ARG_FILENAME, &r->output_text,
		  "Write to this file (default: ivmtrace.ivm)", "FILE" },
		{ "buffer", 'm', 0, G_OPTION_ARG_FILENAME, &r->buffer_text,
		  "Size of the ring buffer (default: 64M)", "SIZE" },
		{ "backend", 0, 0, G_OPTION_ARG_FILENAME, &r->backend_text,
		  "Events from bpf or tracefs (default: auto)",
		  "BACKEND" },
		{ "raw", 0, 0, G_OPTION_ARG_FILENAME, &r->raw_text,
		  "Also write every event to this file, as text for 'ivmtrace replay'", "FILE" },
		{ "keep", 0, 0, G_OPTION_ARG_FILENAME, &r->keep_text,
		  "Journeys to keep: all (default), tail, or N/s; all count in the report",
		  "WHICH" },
		{ "max-size", 0, 0, G_OPTION_ARG_FILENAME, &r->max_size_text,
		  "Keep no more journeys once the file is so large", "SIZE" },
		{ "context", 0, 0, G_OPTION_ARG_NONE, &r->context,
		  "Also keep what happened on the threads of the slowest journeys",
		  NULL },
		{ "profile", 0, G_OPTION_FLAG_OPTIONAL_ARG, G_OPTION_ARG_CALLBACK, take_profile,
		  "Also sample the threads that interrupts wait for, 997 times a second or HZ",
		  "HZ" },
		{ "stop-over", 0, 0, G_OPTION_ARG_FILENAME, &r->stop_over_text,
		  "Stop at the first journey longer than that (200us), and exit with 2", "TIME" },
		{ "on-threshold", 0, 0, G_OPTION_ARG_FILENAME, &r->on_threshold,
		  "Run this by sh when --stop-over stops", "CMD" },
		{ "strict", 0, 0, G_OPTION_ARG_NONE, &r->strict_given,
		  "Exit with 2 on any loss, disorder, unfinished journey or unexpected mode",
		  NULL },
		{ 0 }
	};
	const struct ivm_options options = {
		.usage = "[-- COMMAND...]",
		.summary = "Follow the interrupts between VMs, until ^C, until COMMAND ends, or "
			   "for a while.",
		.description = "VMs that start while recording are followed too.  With COMMAND the "
			       "exit status\nis that of COMMAND.  'ivmtrace mark NAME', or "
			       "SIGUSR1, begins a new phase.",
		.entries = entries,
		.takes_command = true,
	};
	int err = ivm_options_parse(&options, argc, argv, operands);

	r->command = operands->command;
	return err ? err : parse_values(r);
}

static void free_texts(struct record *r)
{
	g_free(r->pid_text);
	g_free(r->link_text);
	g_free(r->vm_text);
	g_free(r->duration_text);
	g_free(r->stop_over_text);
	g_free(r->on_threshold);
	g_free(r->output_text);
	g_free(r->buffer_text);
	g_free(r->raw_text);
	g_free(r->keep_text);
	g_free(r->max_size_text);
	g_free(r->backend_text);
	g_free(profile_text);
}

static int run_record(int argc, char **argv)
{
	struct ivm_operands operands = {};
	struct record r = { .marks = -1, .links = g_hash_table_new(g_direct_hash, g_direct_equal) };
	int ret;

	ret = parse(argc, argv, &r, &operands);
	if (!ret)
		ret = record(&r);
	if (!ret)
		ret = result(&r);
	end_child(&r);
	ivm_recording_close(r.recording);
	ivm_session_close(r.session);
	g_hash_table_destroy(r.links);
	if (r.marks >= 0)
		close(r.marks);
	close_raw(&r);
	ivm_operands_clear(&operands);
	free_texts(&r);
	return ret;
}

const struct ivm_cmd ivm_cmd_record = {
	.name = "record",
	.summary = "follow interrupts between VMs and write them to a file",
	.run = run_record,
};
