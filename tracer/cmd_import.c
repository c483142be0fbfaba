// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ivmtrace import: journeys out of what perf or trace-cmd recorded.
 *
 * These files say what threads did, and nothing of links: who is who comes from
 * a file of events (docs/replay.md) that 'record --raw' wrote on that host while
 * the same VMs were up.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "assemble.h"
#include "command.h"
#include "error.h"
#include "import.h"
#include "options.h"
#include "recording.h"
#include "replay.h"

#define DEFAULT_OUTPUT	"ivmtrace.ivm"
#define RUN_EVERY_NS	1000000000ull	/* of the file's time: bounds what waits in memory */
#define HOLDBACK_NS	500000000ull

struct import {
	struct ivm_topology *topology;
	struct ivm_assemble *assemble;
	struct ivm_recording *recording;
	struct ivm_hook hooks[IVM_HOOKS];
	struct ivm_source *source;
	struct ivm_import file;
	uint64_t records;
	bool seen[IVM_HOOKS];
	uint64_t first_ns, last_ns, ran_ns;
	int err;			/* of the recording */
};

static struct {
	char *topology;
	char *output;
} args;

static const GOptionEntry entries[] = {
	{ "topology", 't', 0, G_OPTION_ARG_FILENAME, &args.topology,
	  "Which VMs and links there were: from 'record --raw' on that host", "FILE" },
	{ "output", 'o', 0, G_OPTION_ARG_FILENAME, &args.output,
	  "Write to this recording (default: " DEFAULT_OUTPUT ")", "FILE" },
	{ 0 }
};

static const struct ivm_options options = {
	.usage = "FILE",
	.summary = "Make a recording of a trace.dat of trace-cmd, a perf.data, or what 'perf "
		   "script' printed.",
	.description = "'ivmtrace events' says what to record.",
	.entries = entries,
	.max_operands = 1,
};

/* ---- topology ---- */

static int read_topology(struct import *i, const char *path)
{
	static const struct ivm_replay_ops nothing = { 0 };
	struct ivm_replay_error error;
	FILE *in = fopen(path, "re");
	int err;

	if (!in)
		return ivm_error(-errno, "cannot read %s", path);
	err = ivm_replay_read(in, i->topology, &nothing, NULL, &error);
	fclose(in);
	if (error.line)
		return ivm_fail("%s:%lu: %s", path, error.line, error.why);
	if (err)
		return ivm_error(err, "cannot read %s", path);
	if (!i->topology->ends->len)
		return ivm_fail("%s names no link", path);
	return 0;
}

/* ---- assembling ---- */

static int take_journey(void *arg, const struct ivm_journey *j)
{
	return ivm_recording_add_journey(((struct import *)arg)->recording, j);
}

static int take_fate(void *arg, uint64_t into, enum ivm_outcome outcome)
{
	return ivm_recording_set_fate(((struct import *)arg)->recording, into, outcome);
}

static void take_event(void *arg, const struct ivm_event *e)
{
	ivm_assemble_event(((struct import *)arg)->assemble, e);
}

static void take_record(void *arg, struct ivm_record *r)
{
	struct import *i = arg;

	i->records++;
	i->seen[r->hook] = true;
	i->first_ns = i->first_ns ? MIN(i->first_ns, r->t_ns) : r->t_ns;
	i->last_ns = MAX(i->last_ns, r->t_ns);
	ivm_records_add(i->source, r);
	if (i->last_ns < i->ran_ns + RUN_EVERY_NS || i->err)
		return;
	i->ran_ns = i->last_ns;
	if (i->last_ns > HOLDBACK_NS)
		i->err = ivm_assemble_run(i->assemble, i->last_ns - HOLDBACK_NS);
}

/* ---- files ---- */

/* Only the events that are there can be counted: what perf could not open is absent */
static int check_hooks(const struct import *i, const char *path)
{
	static const enum ivm_hook_id needed[] = { IVM_HOOK_KVM_MMIO,
						   IVM_HOOK_KVM_APIC_ACCEPT_IRQ };
	unsigned int n;

	if (!i->records)
		return ivm_fail("%s has no event that 'ivmtrace events' lists", path);
	for (n = 0; n < G_N_ELEMENTS(needed); n++)
		if (!i->seen[needed[n]])
			return ivm_fail("%s has no kvm:%s, without which nothing can be counted",
					path, i->hooks[needed[n]].name);
	return 0;
}

/* perf knows its own format best */
static int read_perf_data(struct import *i, const char *path)
{
	int out[2], status, err;
	FILE *in;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		dup2(out[1], STDOUT_FILENO);
		execlp("perf", "perf", "script", "--force", "--ns", "--show-lost-events", "-i",
		       path, "-F", "comm,pid,tid,cpu,time,event,trace", (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	in = fdopen(out[0], "r");
	err = ivm_import_perf_text(&i->file, in);
	fclose(in);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status)) {
		g_strlcpy(i->file.why, "'perf script' failed on it; is perf installed?",
			  sizeof(i->file.why));
		return -EBADMSG;
	}
	return err;
}

static int read_perf_text(struct import *i, const char *path)
{
	FILE *in = strcmp(path, "-") ? fopen(path, "re") : stdin;
	int err;

	if (!in)
		return -errno;
	err = ivm_import_perf_text(&i->file, in);
	if (in != stdin)
		fclose(in);
	return err;
}

static int read_file(struct import *i, const char *path)
{
	static const char dat[] = "\x17\x08\x44tracing", perf[] = "PERFILE2";
	char head[sizeof(dat)] = "";
	FILE *in = strcmp(path, "-") ? fopen(path, "re") : NULL;
	size_t bytes = in ? fread(head, 1, sizeof(head), in) : 0;
	int err;

	if (!in && strcmp(path, "-"))
		return ivm_error(-errno, "cannot read %s", path);
	if (in)
		fclose(in);
	if (bytes >= sizeof(dat) - 1 && !memcmp(head, dat, sizeof(dat) - 1))
		err = ivm_import_trace_dat(&i->file, path);
	else if (bytes >= sizeof(perf) - 1 && !memcmp(head, perf, sizeof(perf) - 1))
		err = read_perf_data(i, path);
	else
		err = read_perf_text(i, path);
	if (err)
		return i->file.why[0] ? ivm_fail("cannot import %s: %s", path, i->file.why) :
					ivm_error(err, "cannot import %s", path);
	return check_hooks(i, path);
}

/* ---- the recording ---- */

static int write_hooks(struct import *i)
{
	int id, err = 0;

	for (id = 0; id < IVM_HOOKS && !err; id++)
		err = ivm_recording_add_hook(i->recording, i->hooks[id].name,
					     i->seen[id] ? "tracepoint" : "absent",
					     i->hooks[id].fired, 0, 0);
	return err;
}

static int write_losses(struct import *i)
{
	struct ivm_source_lost lost;
	int err;

	i->source->ops->lost(i->source, &lost);
	err = ivm_recording_add_lost(i->recording, "import_lost", i->file.lost);
	if (!err)
		err = ivm_recording_add_lost(i->recording, "import_unread", i->file.unread);
	if (!err)
		err = ivm_recording_add_lost(i->recording, "unplaced", lost.unplaced);
	return err;
}

static int finish(struct import *i)
{
	int err = ivm_assemble_run(i->assemble, UINT64_MAX);

	if (!err)
		err = ivm_assemble_finish(i->assemble);
	if (!err)
		err = ivm_recording_set(i->recording, "backend", "import");
	if (!err)
		err = ivm_recording_set(i->recording, "clock", "monotonic");
	if (!err)
		err = ivm_recording_set_u64(i->recording, "start_ns", i->first_ns);
	if (!err)
		err = ivm_recording_set_u64(i->recording, "duration_ns", i->last_ns - i->first_ns);
	if (!err)
		err = ivm_recording_add_topology(i->recording, i->topology);
	if (!err)
		err = write_hooks(i);
	if (!err)
		err = ivm_recording_add_assembly(i->recording, i->assemble);
	if (!err)
		err = write_losses(i);
	return err ? err : ivm_recording_finish(i->recording);
}

static int import(struct import *i, const char *path)
{
	const char *output = args.output ? args.output : DEFAULT_OUTPUT;
	int err;

	if (!path)
		return ivm_fail("which file? See 'ivmtrace import --help'");
	if (!args.topology)
		return ivm_fail("--topology is missing: which VMs and links there were, from "
				"'ivmtrace record --raw' on that host");
	err = read_topology(i, args.topology);
	if (err)
		return err;
	err = ivm_recording_create(output, &i->recording);
	if (err)
		return ivm_error(err, "cannot create %s", output);
	ivm_assemble_on_fate(i->assemble, take_fate);
	ivm_records_follow(i->source, i->topology);
	err = read_file(i, path);
	if (err)
		return err;
	err = i->err ? i->err : finish(i);
	if (err)
		return ivm_error(err, "cannot write %s", output);
	if (i->file.unread || i->file.lost)
		ivm_warn("%" PRIu64 " records could not be read, the tracer lost some %" PRIu64
			 " times", i->file.unread, i->file.lost);
	ivm_info("%" PRIu64 " records; written to %s", i->records, output);
	return 0;
}

static int run_import(int argc, char **argv)
{
	struct ivm_operands operands = { 0 };
	struct import i = { .file = { .take = take_record, .arg = &i } };
	int ret;

	ret = ivm_options_parse(&options, argc, argv, &operands);
	if (!ret) {
		ivm_hooks_init(i.hooks);
		i.topology = ivm_topology_new();
		i.assemble = ivm_assemble_new(i.topology, take_journey, &i);
		i.source = ivm_records_new(i.hooks, take_event, &i);
		ret = import(&i, operands.args[0]);
		i.source->ops->close(i.source);
		ivm_assemble_free(i.assemble);
		ivm_topology_free(i.topology);
		ivm_recording_close(i.recording);
	}
	ivm_operands_clear(&operands);
	g_free(args.topology);
	g_free(args.output);
	return ret;
}

const struct ivm_cmd ivm_cmd_import = {
	.name = "import",
	.summary = "make a recording of a trace of perf or trace-cmd",
	.run = run_import,
};
