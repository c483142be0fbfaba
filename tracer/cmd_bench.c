// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ivmtrace bench: the same traffic in each mode, followed by the tracer, and
 * over QEMU's ivshmem-doorbell beside it.
 *
 * One session and one recording for all of it.  The guests count for
 * themselves, so that the tracer's counts have a second witness.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "../reports/report.h"
#include "clock.h"
#include "command.h"
#include "error.h"
#include "options.h"
#include "own_cost.h"
#include "recording.h"
#include "rig.h"
#include "session.h"

#define DEFAULT_FILE		"ivmtrace.ivm"
#define DEFAULT_MODES		"qemu,irqfd,direct"
#define MESSAGES		"messages"
#define DEFAULT_COUNT		10000
#define DEFAULT_WARMUP		100
#define DEFAULT_TIMEOUT_S	120
#define MAX_COUNT		1000000000
#define MAX_LINKS		64
#define OWN_COST_TIMEOUT_S	600
#define OWN_COST_SHMEM_BYTES	(1u << 20)	/* samples are not looked at */
#define POLL_MS			10
#define SETTLE_NS		(100 * 1000000ull)	/* events under way reach the session */
#define FIND_LINK_NS		(10 * 1000000000ull)

struct bench_args {
	char *modes, *count, *warmup, *vectors, *pattern, *format, *output, *accel, *timeout;
	char *qemu, *guest, *buffer, *links, *noise, *keep_lanes, *backend;
	gboolean no_baseline, own_cost, pin, strict;
};

struct bench {
	GStrv modes;
	struct ivm_rig_opts rig;	/* common to all runs */
	enum ivm_report_format format;
	const char *output;
	uint64_t buffer_bytes;
	uint32_t links;			/* at the same time; 0: a mode after the other */
	int backend;			/* enum ivm_backend */
	struct ivm_session *session;
	struct ivm_recording *recording;
};

/* One pair of guests */
struct run {
	const char *mode;		/* NULL: ivshmem-doorbell */
	char *link;
	struct ivm_rig *rig;
	const struct ivm_end *ends[IVM_RIG_ENDS];
};

/* Those that run at the same time */
struct runs {
	uint32_t count;
	struct run run[MAX_LINKS];
};

static struct bench_args args;
static volatile sig_atomic_t interrupted;

static const GOptionEntry entries[] = {
	{ "modes", 0, 0, G_OPTION_ARG_FILENAME, &args.modes,
	  "Modes to run, default " DEFAULT_MODES, "LIST" },
	{ "pattern", 0, 0, G_OPTION_ARG_FILENAME, &args.pattern,
	  "pingpong (default), flood, burst=N, rate=HZ or, of Linux guests, " MESSAGES,
	  "PATTERN" },
	{ "count", 'c', 0, G_OPTION_ARG_FILENAME, &args.count,
	  "Doorbells of each run, default 10000", "N" },
	{ "warmup", 0, 0, G_OPTION_ARG_FILENAME, &args.warmup,
	  "Doorbells before those whose round trip is measured, default 100", "N" },
	{ "vectors", 0, 0, G_OPTION_ARG_FILENAME, &args.vectors,
	  "Doorbells to ring in turn, 1 (default) to 256", "N" },
	{ "links", 0, 0, G_OPTION_ARG_FILENAME, &args.links,
	  "Run N links at the same time, the modes dealt out in turn", "N" },
	{ "noise", 0, 0, G_OPTION_ARG_FILENAME, &args.noise,
	  "Timer interrupts and IPIs at this rate in each guest, 100 or more", "HZ" },
	{ "keep-lanes", 0, 0, G_OPTION_ARG_FILENAME, &args.keep_lanes,
	  "Keep each link's shared memory, with the guests' stamps, in DIR", "DIR" },
	{ "no-baseline", 0, 0, G_OPTION_ARG_NONE, &args.no_baseline,
	  "Leave out ivshmem-doorbell", NULL },
	{ "own-cost", 0, 0, G_OPTION_ARG_NONE, &args.own_cost,
	  "Measure, too, what the tracer costs: half a minute more for each mode", NULL },
	{ "pin", 0, 0, G_OPTION_ARG_NONE, &args.pin,
	  "Give each VM its half of the CPUs; wants a quiet host", NULL },
	{ "accel", 0, 0, G_OPTION_ARG_FILENAME, &args.accel,
	  "kvm (default), or tcg: mode qemu only", "NAME" },
	{ "timeout", 0, 0, G_OPTION_ARG_FILENAME, &args.timeout,
	  "Give a run up after this long, default 120s", "TIME" },
	{ "qemu", 0, 0, G_OPTION_ARG_FILENAME, &args.qemu,
	  "QEMU with ivm-mailbox, default $IVM_QEMU or the one built here", "PATH" },
	{ "guest", 0, 0, G_OPTION_ARG_FILENAME, &args.guest,
	  "Guest payload, default $IVM_GUEST or the built one; linux or linux-SERIES",
	  "PATH" },
	{ "format", 'f', 0, G_OPTION_ARG_FILENAME, &args.format,
	  "text (default) or json, schema ivmtrace-report/1", "FORMAT" },
	{ "output", 'o', 0, G_OPTION_ARG_FILENAME, &args.output,
	  "Recording to write, default " DEFAULT_FILE, "FILE" },
	{ "buffer", 'm', 0, G_OPTION_ARG_FILENAME, &args.buffer,
	  "Ring buffer, default 64M", "SIZE" },
	{ "backend", 0, 0, G_OPTION_ARG_FILENAME, &args.backend,
	  "Events from bpf or tracefs, default auto", "BACKEND" },
	{ "strict", 0, 0, G_OPTION_ARG_NONE, &args.strict,
	  "Exit with 2 on any loss, disorder, unfinished journey or unexpected mode", NULL },
	{ 0 }
};

static const struct ivm_options options = {
	.summary = "Run the same traffic in each mode between two guests, follow every interrupt,\n"
		   "and print the breakdown.",
	.description = "Exit status 2 if the guests counted otherwise than the tracer.",
	.entries = entries,
};

static void on_signal(int signal)
{
	(void)signal;
	interrupted = 1;
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	/* A QEMU that died is told by its end, not by ours */
	signal(SIGPIPE, SIG_IGN);
}

/* ---- options ---- */

static int parse_modes(struct bench *bench)
{
	static const char *const modes[] = { "qemu", "irqfd", "direct", NULL };
	int i, j, index, err;

	bench->modes = g_strsplit(args.modes ? args.modes :
				  bench->rig.tcg ? "qemu" : DEFAULT_MODES, ",", -1);
	for (i = 0; bench->modes[i]; i++) {
		err = ivm_parse_choice("--modes", bench->modes[i], modes, &index);
		if (err)
			return err;
		if (bench->rig.tcg && strcmp(modes[index], "qemu"))
			return ivm_fail("--modes: %s needs KVM: --accel tcg has --modes qemu only",
					modes[index]);
		for (j = 0; j < i; j++)
			if (!strcmp(bench->modes[i], bench->modes[j]))
				return ivm_fail("--modes: %s twice", modes[index]);
	}
	return i ? 0 : ivm_fail("--modes: none given");
}

static int parse_pattern(struct bench *bench)
{
	const char *text = args.pattern ? args.pattern : "pingpong", *value;
	uint64_t number;

	bench->rig.pattern = text;
	if (!strcmp(text, "pingpong") || !strcmp(text, "flood") || !strcmp(text, MESSAGES))
		return 0;
	value = strchr(text, '=');
	if (value && g_str_has_prefix(text, "burst="))
		return ivm_parse_u64("--pattern burst", value + 1, 1, 1000000, &number);
	if (value && g_str_has_prefix(text, "rate="))
		return ivm_parse_u64("--pattern rate", value + 1, 1, 10000000, &number);
	return ivm_fail("--pattern: '%s' is not pingpong, flood, burst=N, rate=HZ or " MESSAGES,
			text);
}

static int parse_u32(const char *option, const char *text, uint32_t min, uint32_t max,
		     uint32_t *value)
{
	uint64_t wide = *value;
	int err = text ? ivm_parse_u64(option, text, min, max, &wide) : 0;

	*value = (uint32_t)wide;
	return err;
}

/* Noise is taken on the vector above the link's, and the ends' vectors lie side by side */
static int parse_links(struct bench *bench)
{
	uint32_t modes = g_strv_length(bench->modes);
	int err;

	err = parse_u32("--links", args.links, 1, MAX_LINKS, &bench->links);
	if (!err && bench->links && bench->links < modes)
		err = ivm_fail("--links: %u is less than the %u modes", bench->links, modes);
	if (!err)
		err = parse_u32("--noise", args.noise, 100, 10000, &bench->rig.noise_hz);
	if (!err && bench->rig.noise_hz && bench->rig.vectors > IVM_RIG_NOISE_VECTORS)
		err = ivm_fail("--noise: not with more than %u vectors", IVM_RIG_NOISE_VECTORS);
	if (!err && args.keep_lanes && !g_file_test(args.keep_lanes, G_FILE_TEST_IS_DIR))
		err = ivm_fail("--keep-lanes: no directory %s", args.keep_lanes);
	return err;
}

static int parse_numbers(struct bench *bench)
{
	uint64_t timeout_ns = DEFAULT_TIMEOUT_S * 1000000000ull;
	int err;

	bench->rig.count = DEFAULT_COUNT;
	bench->rig.warmup = DEFAULT_WARMUP;
	bench->rig.vectors = 1;
	err = parse_u32("--count", args.count, 1, MAX_COUNT, &bench->rig.count);
	if (!err)
		err = parse_u32("--warmup", args.warmup, 0, MAX_COUNT, &bench->rig.warmup);
	if (!err)
		err = parse_u32("--vectors", args.vectors, 1, IVM_MAX_VECTORS, &bench->rig.vectors);
	if (!err && args.timeout)
		err = ivm_parse_duration("--timeout", args.timeout, 1000000000ull,
					 86400 * 1000000000ull, &timeout_ns);
	if (!err && args.buffer)
		err = ivm_parse_size("--buffer", args.buffer, 1 << 16, 1ull << 30,
				     &bench->buffer_bytes);
	if (!err && args.backend)
		err = ivm_parse_choice("--backend", args.backend, ivm_backend_names,
				       &bench->backend);
	bench->rig.timeout_s = (uint32_t)(timeout_ns / 1000000000ull);
	return err;
}

static bool wants_linux(void)
{
	return args.guest && (!strcmp(args.guest, "linux") ||
			      g_str_has_prefix(args.guest, "linux-"));
}

/* Linux needs a KVM that runs all of it, or none */
static void choose_linux_accel(struct bench *bench)
{
	if (!wants_linux() || args.accel || ivm_rig_runs_linux())
		return;
	bench->rig.tcg = true;
	ivm_info("this host's CPUs have neither vmx nor svm, so its KVM emulates guests, and"
		 " not all that Linux does: Linux guests run under TCG, mode qemu only");
}

static int check_linux(const struct bench *bench)
{
	if (!wants_linux())
		return strcmp(bench->rig.pattern, MESSAGES) ? 0 :
		       ivm_fail("--pattern: " MESSAGES " are of Linux guests, see --guest");
	if (strchr(bench->rig.pattern, '='))
		return ivm_fail("--pattern: Linux guests have pingpong, flood and " MESSAGES);
	if (bench->rig.vectors > IVM_RIG_LINUX_VECTORS)
		return ivm_fail("--vectors: Linux guests take %u at most", IVM_RIG_LINUX_VECTORS);
	if (bench->rig.noise_hz || args.own_cost)
		return ivm_fail("--noise and --own-cost are for bare guests");
	return 0;
}

static int parse_values(struct bench *bench)
{
	static const char *const formats[] = { "text", "json", NULL };
	static const char *const accels[] = { "kvm", "tcg", NULL };
	int format = IVM_REPORT_TEXT, accel = 0, err;
	g_autofree char *why = NULL;

	err = ivm_parse_choice("--format", args.format, formats, &format);
	if (!err)
		err = ivm_parse_choice("--accel", args.accel, accels, &accel);
	bench->format = (enum ivm_report_format)format;
	bench->rig.tcg = accel;
	if (!err)
		choose_linux_accel(bench);
	bench->rig.pin = args.pin;
	bench->output = args.output ? args.output : DEFAULT_FILE;
	if (!err)
		err = parse_modes(bench);
	if (!err)
		err = parse_pattern(bench);
	if (!err)
		err = parse_numbers(bench);
	if (!err)
		err = parse_links(bench);
	if (!err)
		err = check_linux(bench);
	if (!err && args.own_cost && accel)
		err = ivm_fail("--own-cost needs KVM: nothing is traced under --accel tcg");
	if (!err && args.own_cost && bench->backend == IVM_BACKEND_TRACEFS)
		err = ivm_fail("--own-cost measures BPF programs, and --backend tracefs has none");
	if (!err && ivm_rig_find(args.qemu, args.guest, &bench->rig.paths, &why))
		err = ivm_fail("%s", why);
	return err;
}

/* ---- one run ---- */

static int session_error(const struct bench *bench)
{
	return ivm_fail("%s", ivm_session_why(bench->session));
}

/* ^C reaches the QEMUs too: that they end is not the news then */
static int rig_error(const struct ivm_rig *rig)
{
	return interrupted ? ivm_fail("interrupted") : ivm_fail("%s", ivm_rig_why(rig));
}

/* Return: how many of the rigs have come to @state */
static uint32_t count_at(const struct runs *runs, enum ivm_rig_state state)
{
	uint32_t i, count = 0;

	for (i = 0; i < runs->count; i++)
		count += ivm_rig_state(runs->run[i].rig) >= state;
	return count;
}

/* Keep rigs and session going until all rigs have come to @state */
static int drive_to(struct bench *bench, struct runs *runs, enum ivm_rig_state state)
{
	uint32_t i;

	while (count_at(runs, state) < runs->count) {
		if (interrupted)
			return ivm_fail("interrupted");
		for (i = 0; i < runs->count; i++)
			if (ivm_rig_poll(runs->run[i].rig, i ? 0 : POLL_MS))
				return rig_error(runs->run[i].rig);
		if (ivm_session_poll(bench->session, 0))
			return session_error(bench);
	}
	return 0;
}

static int settle(struct bench *bench)
{
	uint64_t end = ivm_now_ns() + SETTLE_NS;
	int err = 0;

	while (!err && ivm_now_ns() < end)
		err = ivm_session_poll(bench->session, POLL_MS);
	return err ? session_error(bench) : 0;
}

static const struct ivm_end *find_end(const struct bench *bench, pid_t pid)
{
	const GPtrArray *ends = ivm_session_topology(bench->session)->ends;
	const struct ivm_end *end;
	unsigned int i;

	for (i = 0; i < ends->len; i++) {
		end = g_ptr_array_index(ends, i);
		if (!end->dead && end->vm->tgid == pid && end->peer)
			return end;
	}
	return NULL;
}

/* A doorbell of a link that the session does not know yet would not be counted */
static int find_ends(struct bench *bench, struct ivm_rig *rig,
		     const struct ivm_end *ends[IVM_RIG_ENDS])
{
	uint64_t deadline = ivm_now_ns() + FIND_LINK_NS;
	int i, err;

	for (;;) {
		err = ivm_session_rescan(bench->session);
		if (err)
			return session_error(bench);
		for (i = 0; i < IVM_RIG_ENDS; i++)
			ends[i] = find_end(bench, ivm_rig_pid(rig, i));
		if (ends[IVM_RIG_PING] && ends[IVM_RIG_PONG])
			return 0;
		if (ivm_now_ns() > deadline)
			return ivm_fail("the guests see each other, but no link between processes "
					"%d and %d was found", (int)ivm_rig_pid(rig, IVM_RIG_PING),
					(int)ivm_rig_pid(rig, IVM_RIG_PONG));
		err = ivm_session_poll(bench->session, POLL_MS);
		if (err)
			return session_error(bench);
	}
}

/* Of the samples, which the guest took on all vectors in turn, those of one */
static GArray *samples_of(const struct bench *bench, const struct ivm_rig_result *from,
			  uint32_t vector, uint64_t *measured)
{
	uint32_t vectors = from->guest.vectors;
	uint64_t first = (vector + vectors - bench->rig.warmup % vectors) % vectors, i;
	GArray *samples = g_array_new(FALSE, FALSE, sizeof(uint64_t));

	for (i = first; i < from->rtt_samples; i += vectors)
		g_array_append_val(samples, from->rtt_ns[i]);
	*measured = from->guest.rtt_count > first ?
		    (from->guest.rtt_count - first - 1) / vectors + 1 : 0;
	return samples;
}

static int record_direction(struct bench *bench, const char *mode, const struct ivm_end *from_end,
			    const struct ivm_rig_result *from, const struct ivm_rig_result *to)
{
	/* The host sees nothing of a doorbell under TCG: no count to compare with */
	struct ivm_guest_result row = { .mode = mode, .link = from_end->page.name,
					.from_end = bench->rig.tcg ? 0 : from_end->id,
					.from_vm = from_end->vm->id };
	uint32_t vector;
	int err = 0;

	for (vector = 0; vector < from->guest.vectors && !err; vector++) {
		g_autoptr(GArray) samples = NULL;

		if (!from->guest.sent_by_vector[vector] && !to->guest.handled_by_vector[vector])
			continue;
		samples = samples_of(bench, from, vector, &row.rtt_count);
		row.vector = (uint16_t)vector;
		row.sent = from->guest.sent_by_vector[vector];
		row.handled = to->guest.handled_by_vector[vector];
		row.rtt_ns = samples->len ? (const uint64_t *)(void *)samples->data : NULL;
		row.rtt_samples = samples->len;
		err = ivm_recording_add_guest(bench->recording, &row);
	}
	return err ? ivm_error(err, "cannot write %s", bench->output) : 0;
}

/* Of the end itself, not of a direction */
static int record_kernel(struct bench *bench, const char *mode, const struct ivm_end *end,
			 const struct ivm_rig_result *result)
{
	const struct ivm_guest_result of = { .mode = mode, .link = end->page.name,
					     .from_vm = end->vm->id };
	int err;

	err = ivm_recording_add_guest_kernel(bench->recording, &of, "write..ring",
					     result->leave_ns, result->leave_samples);
	if (!err)
		err = ivm_recording_add_guest_kernel(bench->recording, &of, "isr..read",
						     result->enter_ns, result->enter_samples);
	return err ? ivm_error(err, "cannot write %s", bench->output) : 0;
}

static int read_results(struct ivm_rig *rig, struct ivm_rig_result results[IVM_RIG_ENDS])
{
	int i;

	for (i = 0; i < IVM_RIG_ENDS; i++)
		if (ivm_rig_result(rig, i, &results[i]))
			return rig_error(rig);
	return 0;
}

/* The guest's own books: what it was asked to ring, in total and by vector */
static int check_sent(const struct bench *bench, const char *mode, const struct ivm_result *ping)
{
	uint64_t wanted = (uint64_t)bench->rig.count + bench->rig.warmup, sum = 0;
	int i;

	for (i = 0; i < 256; i++)
		sum += ping->sent_by_vector[i];
	/* Of messages some are for the end of a channel, some doorbells say that there is room */
	if (!strcmp(bench->rig.pattern, MESSAGES) && ping->sent > wanted)
		wanted = ping->sent;
	if (ping->sent == wanted && sum == wanted)
		return 0;
	return ivm_fail("%s: the guest rang %" PRIu64 " doorbells, %" PRIu64 " by vector, not the %"
			PRIu64 " it was asked for", mode, ping->sent, sum, wanted);
}

static int record_results(struct bench *bench, const char *mode, struct ivm_rig *rig,
			  const struct ivm_end *ends[IVM_RIG_ENDS])
{
	struct ivm_rig_result results[IVM_RIG_ENDS] = { 0 };
	const struct ivm_rig_result *ping = &results[IVM_RIG_PING], *pong = &results[IVM_RIG_PONG];
	int i, err;

	err = read_results(rig, results);
	if (!err)
		err = check_sent(bench, mode, &ping->guest);
	if (!err)
		err = record_direction(bench, mode, ends[IVM_RIG_PING], ping, pong);
	if (!err)
		err = record_direction(bench, mode, ends[IVM_RIG_PONG], pong, ping);
	for (i = 0; i < IVM_RIG_ENDS && !err; i++)
		err = record_kernel(bench, mode, ends[i], &results[i]);
	for (i = 0; i < IVM_RIG_ENDS; i++)
		ivm_rig_result_clear(&results[i]);
	return err;
}

static int keep_lanes(const struct run *run)
{
	g_autofree char *name = g_strdup_printf("%s.lanes", run->link);
	g_autofree char *path = NULL;
	int err;

	if (!args.keep_lanes)
		return 0;
	path = g_build_filename(args.keep_lanes, name, NULL);
	err = ivm_rig_keep_lanes(run->rig, path);
	return err ? ivm_error(err, "cannot write %s", path) : 0;
}

static int leave(struct bench *bench, struct runs *runs)
{
	uint32_t i;

	for (i = 0; i < runs->count; i++)
		if (ivm_rig_release(runs->run[i].rig))
			return rig_error(runs->run[i].rig);
	return drive_to(bench, runs, IVM_RIG_GONE);
}

static int start(struct bench *bench, const struct ivm_rig_opts *common, struct runs *runs)
{
	uint32_t i;

	for (i = 0; i < runs->count; i++) {
		struct ivm_rig_opts opts = *common;

		opts.mode = runs->run[i].mode;
		opts.link = runs->run[i].link;
		opts.number = i;
		if (ivm_rig_start(&opts, &runs->run[i].rig))
			return rig_error(runs->run[i].rig);
	}
	return drive_to(bench, runs, IVM_RIG_READY);
}

static int go(struct bench *bench, struct runs *runs, const char *what)
{
	uint64_t from_ns = ivm_now_ns();
	uint32_t i;
	int err;

	for (i = 0; i < runs->count; i++)
		if (ivm_rig_go(runs->run[i].rig))
			return rig_error(runs->run[i].rig);
	err = drive_to(bench, runs, IVM_RIG_DONE);
	if (!err)
		ivm_info("%s: done in %.1f s", what, (double)(ivm_now_ns() - from_ns) / 1e9);
	return err;
}

static void close_runs(struct runs *runs)
{
	uint32_t i;

	for (i = 0; i < runs->count; i++) {
		ivm_rig_close(runs->run[i].rig);
		g_free(runs->run[i].link);
	}
}

static int run_links(struct bench *bench, struct runs *runs, const char *what)
{
	uint32_t i;
	int err;

	err = start(bench, &bench->rig, runs);
	for (i = 0; i < runs->count && !err; i++)
		err = find_ends(bench, runs->run[i].rig, runs->run[i].ends);
	if (!err)
		err = go(bench, runs, what);
	if (!err)
		err = settle(bench);
	for (i = 0; i < runs->count && !err; i++) {
		err = record_results(bench, runs->run[i].mode, runs->run[i].rig,
				     runs->run[i].ends);
		if (!err)
			err = keep_lanes(&runs->run[i]);
	}
	if (!err)
		err = leave(bench, runs);
	close_runs(runs);
	return err;
}

static int run_mode(struct bench *bench, const char *mode)
{
	struct runs runs = { .count = 1, .run = { { .mode = mode } } };

	runs.run[0].link = g_strdup_printf("bench-%s", mode);
	return run_links(bench, &runs, mode);
}

static int run_mixed(struct bench *bench)
{
	g_autofree char *what = g_strdup_printf("%u links", bench->links);
	uint32_t modes = g_strv_length(bench->modes), i;
	struct runs runs = { .count = bench->links };

	for (i = 0; i < bench->links; i++) {
		runs.run[i].mode = bench->modes[i % modes];
		runs.run[i].link = g_strdup_printf("bench-%u-%s", i + 1, runs.run[i].mode);
	}
	return run_links(bench, &runs, what);
}

static int record_baseline(struct bench *bench, struct ivm_rig *rig, bool ioeventfd)
{
	struct ivm_rig_result results[IVM_RIG_ENDS] = { 0 };
	const struct ivm_rig_result *ping = &results[IVM_RIG_PING];
	struct ivm_baseline row = { .device = "ivshmem-doorbell", .ioeventfd = ioeventfd };
	int i, err;

	err = read_results(rig, results);
	if (!err)
		err = check_sent(bench, row.device, &ping->guest);
	if (!err) {
		row.rtt_ns = ping->rtt_ns;
		row.rtt_samples = ping->rtt_samples;
		row.rtt_count = ping->guest.rtt_count;
		err = ivm_recording_add_baseline(bench->recording, &row);
		if (err)
			ivm_error(err, "cannot write %s", bench->output);
	}
	for (i = 0; i < IVM_RIG_ENDS; i++)
		ivm_rig_result_clear(&results[i]);
	return err;
}

/* With the same hooks attached, so that the host is the same for all */
static int run_baseline(struct bench *bench, bool ioeventfd)
{
	g_autofree char *what = g_strdup_printf("ivshmem-doorbell, ioeventfd=%s",
						ioeventfd ? "on" : "off");
	struct runs runs = { .count = 1 };
	struct ivm_rig_opts opts = bench->rig;
	int err;

	runs.run[0].link = g_strdup(ioeventfd ? "ivshmem-ioeventfd" : "ivshmem");
	opts.ioeventfd = ioeventfd;
	err = start(bench, &opts, &runs);
	if (!err)
		err = go(bench, &runs, what);
	if (!err)
		err = record_baseline(bench, runs.run[0].rig, ioeventfd);
	if (!err)
		err = leave(bench, &runs);
	close_runs(&runs);
	return err;
}

/* ---- the tracer's own cost ---- */

static bool is_interrupted(void)
{
	return interrupted;
}

static int wait_ready(struct ivm_rig *rig)
{
	while (ivm_rig_state(rig) < IVM_RIG_READY) {
		if (interrupted)
			return ivm_fail("interrupted");
		if (ivm_rig_poll(rig, POLL_MS))
			return rig_error(rig);
	}
	return 0;
}

static int measure_rig(struct bench *bench, const char *mode, struct ivm_rig *rig)
{
	const struct ivm_own_cost_opts opts = {
		.mode = mode,
		.path = bench->output,
		.buffer_bytes = bench->buffer_bytes,
		.parent = getpid(),
		.cancelled = is_interrupted,
	};
	g_autofree char *why = NULL;

	ivm_info("%s: measuring what the tracer costs", mode);
	if (ivm_own_cost_measure(rig, &opts, bench->recording, &why))
		return ivm_fail("%s", interrupted ? "interrupted" : why);
	return 0;
}

/* Traffic of its own: what is rung while nobody looks must not be counted */
static int measure_own_cost(struct bench *bench, const char *mode)
{
	g_autofree char *link = g_strdup_printf("cost-%s", mode);
	struct ivm_rig_opts opts = bench->rig;
	struct ivm_rig *rig = NULL;
	int err;

	opts.mode = mode;
	opts.link = link;
	opts.pattern = "pingpong";
	opts.count = MAX_COUNT;
	opts.warmup = 0;
	opts.vectors = 1;
	opts.shmem_bytes = OWN_COST_SHMEM_BYTES;
	opts.timeout_s = OWN_COST_TIMEOUT_S;
	err = ivm_rig_start(&opts, &rig);
	if (err)
		err = rig_error(rig);
	if (!err)
		err = wait_ready(rig);
	if (!err)
		err = measure_rig(bench, mode, rig);
	ivm_rig_close(rig);
	return err;
}

/* A session that is open, even stopped, may cost */
static int measure_own_costs(struct bench *bench)
{
	int i, err = 0;

	ivm_session_close(bench->session);
	bench->session = NULL;
	for (i = 0; bench->modes[i] && !err; i++)
		err = measure_own_cost(bench, bench->modes[i]);
	return err;
}

/* ---- all of it ---- */

static int run_all(struct bench *bench)
{
	bool measures_rtt = !strcmp(bench->rig.pattern, "pingpong");
	int i, err = 0;

	if (bench->links)
		err = run_mixed(bench);
	for (i = 0; bench->modes[i] && !err && !bench->links; i++)
		err = run_mode(bench, bench->modes[i]);
	if (err || args.no_baseline)
		return err;
	if (bench->links) {
		ivm_info("no baseline: only for a link on its own");
		return 0;
	}
	if (bench->rig.paths.initrd) {
		ivm_info("no baseline: Linux guests have no driver for ivshmem-doorbell");
		return 0;
	}
	if (!measures_rtt) {
		ivm_info("no baseline: only pingpong measures round trips");
		return 0;
	}
	err = run_baseline(bench, true);
	return err ? err : run_baseline(bench, false);
}

static void announce(const struct bench *bench)
{
	g_autofree char *modes = g_strjoinv(", ", bench->modes);
	const char *fallback = ivm_session_fallback(bench->session);
	struct utsname host;

	uname(&host);
	ivm_info("bench on %s, kernel %s: %s; %s, %u doorbells + %u warm-up, %u vector%s",
		 ivm_session_rig(), host.release, modes, bench->rig.pattern, bench->rig.count,
		 bench->rig.warmup, bench->rig.vectors, bench->rig.vectors == 1 ? "" : "s");
	if (fallback)
		ivm_warn("%s: taking events from tracefs instead", fallback);
	if (bench->rig.tcg)
		ivm_info("a host sees nothing of its guests under TCG: round trips only");
}

static int record_all(struct bench *bench)
{
	int err;

	err = ivm_session_arm(bench->session, bench->recording);
	if (err)
		return session_error(bench);
	err = run_all(bench);
	if (err)
		return err;
	err = ivm_session_stop(bench->session);
	if (!err)
		err = ivm_session_finish(bench->session, bench->recording);
	if (err)
		return session_error(bench);
	if (args.own_cost)
		err = measure_own_costs(bench);
	if (err)
		return err;
	err = ivm_recording_finish(bench->recording);
	return err ? ivm_error(err, "cannot write %s", bench->output) : 0;
}

static int open_and_record(struct bench *bench)
{
	const struct ivm_session_opts opts = {
		.buffer_bytes = bench->buffer_bytes,
		.parent = getpid(),	/* other traffic of this host is none of the benchmark's */
		.backend = bench->backend,
	};
	int err;

	err = ivm_session_open(&opts, &bench->session);
	if (err) {
		err = session_error(bench);
		goto out;
	}
	err = ivm_recording_create(bench->output, &bench->recording);
	if (err) {
		ivm_error(err, "cannot create %s", bench->output);
		goto out;
	}
	announce(bench);
	err = record_all(bench);
out:
	ivm_recording_close(bench->recording);
	ivm_session_close(bench->session);
	return err;
}

static int judge(const struct ivm_report *r)
{
	unsigned int i;

	if (args.strict)
		return ivm_report_print_causes(r) ? IVM_EXIT_CHECK : IVM_EXIT_OK;
	for (i = 0; i < r->problems->len; i++)
		ivm_info("counts do not close: %s",
			 (const char *)g_ptr_array_index(r->problems, i));
	return r->problems->len ? IVM_EXIT_CHECK : IVM_EXIT_OK;
}

static int print_report(const struct bench *bench)
{
	struct ivm_report *r = NULL;
	const char *why;
	sqlite3 *db;
	int err;

	if (ivm_recording_open(bench->output, &db, &why))
		return ivm_fail("cannot read %s: %s", bench->output, why);
	err = ivm_report_load(db, false, &r);
	if (err) {
		ivm_error(err, "cannot read %s", bench->output);
	} else {
		err = bench->format == IVM_REPORT_JSON ?
		      ivm_report_print_json(r, stdout) :
		      ivm_report_print_text(r, IVM_BY_DIRECTION, stdout);
		if (!err)
			err = judge(r);
		ivm_report_free(r);
	}
	sqlite3_close(db);
	return err;
}

static void clear_args(void)
{
	char **const texts[] = { &args.modes, &args.count, &args.warmup, &args.vectors,
				 &args.pattern, &args.format, &args.output, &args.accel,
				 &args.timeout, &args.qemu, &args.guest, &args.buffer,
				 &args.links, &args.noise, &args.keep_lanes, &args.backend };
	unsigned int i;

	for (i = 0; i < G_N_ELEMENTS(texts); i++)
		g_clear_pointer(texts[i], g_free);
}

static int run_bench(int argc, char **argv)
{
	struct ivm_operands operands = { 0 };
	struct bench bench = { 0 };
	int err;

	err = ivm_options_parse(&options, argc, argv, &operands);
	if (!err)
		err = parse_values(&bench);
	if (!err) {
		catch_signals();
		err = open_and_record(&bench);
	}
	if (!err)
		err = print_report(&bench);
	g_strfreev(bench.modes);
	ivm_rig_paths_clear(&bench.rig.paths);
	ivm_operands_clear(&operands);
	clear_args();
	return err;
}

const struct ivm_cmd ivm_cmd_bench = {
	.name = "bench",
	.summary = "run the same traffic in each mode and print the breakdown",
	.run = run_bench,
};
