// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ivmtrace replay: a file of events through the assembler, and its report.
 *
 * Needs no privileges and no VM: the same rules on the same events give the
 * same journeys anywhere.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "../reports/report.h"
#include "assemble.h"
#include "command.h"
#include "error.h"
#include "options.h"
#include "recording.h"
#include "replay.h"

enum format {
	FORMAT_TEXT,
	FORMAT_JSON,
	FORMAT_EVENTS,
};

struct replay {
	struct ivm_topology *topology;
	struct ivm_assemble *assemble;
	struct ivm_recording *recording;
	uint64_t first_ns;		/* of all events */
	uint64_t last_ns;
	uint64_t armed_ns;		/* 0: not said */
	uint64_t stopped_ns;
};

static struct {
	char *format;
	char *by;
	char *output;
	gboolean strict;
	int format_index;
	unsigned int by_what;
} args;

static const GOptionEntry entries[] = {
	{ "format", 'f', 0, G_OPTION_ARG_FILENAME, &args.format,
	  "text (default), json, or events: the file itself, in its plainest form", "FORMAT" },
	{ "by", 'b', 0, G_OPTION_ARG_FILENAME, &args.by,
	  "Group by WHAT: see 'ivmtrace report --help'; text only", "WHAT" },
	{ "output", 'o', 0, G_OPTION_ARG_FILENAME, &args.output,
	  "Write a recording instead of printing its report", "FILE" },
	{ "strict", 0, 0, G_OPTION_ARG_NONE, &args.strict,
	  "Exit with 2 on any loss, disorder, unfinished journey or unexpected mode", NULL },
	{ 0 }
};

static const struct ivm_options options = {
	.usage = "FILE",
	.summary = "Assemble the journeys of a file of events and print their report, as\n"
		   "'ivmtrace report' does for a recording.",
	.description = "'ivmtrace record --raw' writes such files; they can be written by hand, "
		       "too.",
	.entries = entries,
	.max_operands = 1,
};

static int parse_values(const char *path)
{
	static const char *const formats[] = { "text", "json", "events", NULL };
	int err;

	args.format_index = FORMAT_TEXT;
	args.by_what = IVM_BY_DIRECTION;
	if (!path)
		return ivm_fail("which file of events? See 'ivmtrace replay --help'");
	err = ivm_parse_choice("--format", args.format, formats, &args.format_index);
	if (!err)
		err = ivm_by_option(args.by, &args.by_what);
	if (!err && args.by && args.format_index != FORMAT_TEXT)
		err = ivm_fail("--by: only the text report can be grouped");
	if (!err && args.format_index == FORMAT_EVENTS && (args.output || args.strict))
		err = ivm_fail("--format events assembles nothing: neither -o nor --strict fits");
	if (!err && args.output && (args.format || args.by))
		err = ivm_fail("-o writes a recording; 'ivmtrace report' has --format and --by");
	return err;
}

/* ---- reading ---- */

static int read_file(const char *path, struct ivm_topology *topology,
		     const struct ivm_replay_ops *ops, void *arg)
{
	struct ivm_replay_error error;
	FILE *in = fopen(path, "re");
	int err;

	if (!in)
		return ivm_error(-errno, "cannot read %s", path);
	err = ivm_replay_read(in, topology, ops, arg, &error);
	fclose(in);
	if (error.line)
		ivm_fail("%s:%lu: %s", path, error.line, error.why);
	else if (err)
		ivm_error(err, "cannot replay %s", path);
	return err;
}

/* ---- assembling ---- */

static int take_journey(void *arg, const struct ivm_journey *j)
{
	return ivm_recording_add_journey(((struct replay *)arg)->recording, j);
}

static int take_fate(void *arg, uint64_t into, enum ivm_outcome outcome)
{
	return ivm_recording_set_fate(((struct replay *)arg)->recording, into, outcome);
}

static int take_event(void *arg, const struct ivm_event *e)
{
	struct replay *r = arg;

	r->first_ns = r->first_ns ? MIN(r->first_ns, e->t_ns) : e->t_ns;
	r->last_ns = MAX(r->last_ns, e->t_ns);
	ivm_assemble_event(r->assemble, e);
	return 0;
}

static int take_settle(void *arg)
{
	return ivm_assemble_run(((struct replay *)arg)->assemble, UINT64_MAX);
}

static int take_arm(void *arg, uint64_t t_ns)
{
	((struct replay *)arg)->armed_ns = t_ns;
	return 0;
}

static int take_stop(void *arg, uint64_t t_ns)
{
	struct replay *r = arg;

	r->stopped_ns = t_ns;
	ivm_assemble_stop(r->assemble, t_ns);
	return 0;
}

static int take_meta(void *arg, const char *key, const char *value)
{
	return ivm_recording_set(((struct replay *)arg)->recording, key, value);
}

static int take_hook(void *arg, const char *name, const char *state, uint64_t fired,
		     uint64_t missed, uint64_t run_ns)
{
	return ivm_recording_add_hook(((struct replay *)arg)->recording, name, state, fired,
				      missed, run_ns);
}

static int take_lost(void *arg, const char *source, uint64_t count)
{
	return ivm_recording_add_lost(((struct replay *)arg)->recording, source, count);
}

/* What a file leaves out begins with its first event and ends with its last */
static int record_times(struct replay *r)
{
	uint64_t start_ns = r->armed_ns ? r->armed_ns : r->first_ns;
	uint64_t end_ns = r->stopped_ns ? r->stopped_ns : r->last_ns;
	int err = ivm_recording_set(r->recording, "clock", "monotonic");

	if (!err)
		err = ivm_recording_set_u64(r->recording, "start_ns", start_ns);
	if (!err)
		err = ivm_recording_set_u64(r->recording, "duration_ns",
					    end_ns > start_ns ? end_ns - start_ns : 0);
	return err;
}

static int finish(struct replay *r)
{
	int err = ivm_assemble_finish(r->assemble);

	if (!err)
		err = record_times(r);
	if (!err)
		err = ivm_recording_add_topology(r->recording, r->topology);
	if (!err)
		err = ivm_recording_add_assembly(r->recording, r->assemble);
	if (!err)
		err = ivm_recording_finish(r->recording);
	return err;
}

/* The journeys of the file at @path, as the recording at @output */
static int replay(const char *path, const char *output)
{
	static const struct ivm_replay_ops ops = {
		.event = take_event,
		.settle = take_settle,
		.arm = take_arm,
		.stop = take_stop,
		.meta = take_meta,
		.hook = take_hook,
		.lost = take_lost,
	};
	struct replay r = { 0 };
	int err;

	err = ivm_recording_create(output, &r.recording);
	if (err)
		return ivm_error(err, "cannot create %s", output);
	r.topology = ivm_topology_new();
	r.assemble = ivm_assemble_new(r.topology, take_journey, &r);
	ivm_assemble_on_fate(r.assemble, take_fate);
	err = read_file(path, r.topology, &ops, &r);
	if (!err) {
		err = finish(&r);
		if (err)
			ivm_error(err, "cannot write %s", output);
	}
	ivm_assemble_free(r.assemble);
	ivm_topology_free(r.topology);
	ivm_recording_close(r.recording);
	return err;
}

static int print(const char *recording)
{
	struct ivm_report *r;
	int ret = ivm_report_open(recording, false, &r);

	if (ret)
		return ret;
	if (args.output)
		ret = 0;
	else if (args.format_index == FORMAT_JSON)
		ret = ivm_report_print_json(r, stdout);
	else
		ret = ivm_report_print_text(r, args.by_what, stdout);
	if (!ret && args.strict && ivm_report_print_causes(r))
		ret = IVM_EXIT_CHECK;
	ivm_report_close(r);
	return ret;
}

/* The recording that the report is printed from, where nobody wants to keep it */
static int replay_and_drop(const char *path)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *dir = g_dir_make_tmp("ivmtrace-XXXXXX", &error);
	g_autofree char *file = NULL;
	int ret;

	if (!dir)
		return ivm_fail("cannot make a directory for a recording: %s", error->message);
	file = g_build_filename(dir, IVM_DEFAULT_RECORDING, NULL);
	ret = replay(path, file);
	if (!ret)
		ret = print(file);
	unlink(file);
	rmdir(dir);
	return ret;
}

/* ---- the plainest form ---- */

struct rewrite {
	struct ivm_topology *topology;
	struct ivm_replay_writer *writer;
};

static int rewrite_event(void *arg, const struct ivm_event *e)
{
	return ivm_replay_write_event(((struct rewrite *)arg)->writer, e);
}

static int rewrite_settle(void *arg)
{
	ivm_replay_write_settle(((struct rewrite *)arg)->writer);
	return 0;
}

static int rewrite_changed(void *arg, uint64_t t_ns)
{
	struct rewrite *r = arg;

	return ivm_replay_write_topology(r->writer, r->topology, t_ns);
}

static int rewrite_arm(void *arg, uint64_t t_ns)
{
	return ivm_replay_write_arm(((struct rewrite *)arg)->writer, t_ns);
}

static int rewrite_stop(void *arg, uint64_t t_ns)
{
	return ivm_replay_write_stop(((struct rewrite *)arg)->writer, t_ns);
}

static int rewrite_meta(void *arg, const char *key, const char *value)
{
	return ivm_replay_write_meta(((struct rewrite *)arg)->writer, key, value);
}

static int rewrite_hook(void *arg, const char *name, const char *state, uint64_t fired,
			uint64_t missed, uint64_t run_ns)
{
	return ivm_replay_write_hook(((struct rewrite *)arg)->writer, name, state, fired, missed,
				     run_ns);
}

static int rewrite_lost(void *arg, const char *source, uint64_t count)
{
	return ivm_replay_write_lost(((struct rewrite *)arg)->writer, source, count);
}

static int rewrite(const char *path)
{
	static const struct ivm_replay_ops ops = {
		.event = rewrite_event,
		.settle = rewrite_settle,
		.changed = rewrite_changed,
		.arm = rewrite_arm,
		.stop = rewrite_stop,
		.meta = rewrite_meta,
		.hook = rewrite_hook,
		.lost = rewrite_lost,
	};
	struct rewrite r = { 0 };
	int err;

	r.topology = ivm_topology_new();
	r.writer = ivm_replay_writer_new(stdout);
	err = read_file(path, r.topology, &ops, &r);
	ivm_replay_writer_free(r.writer);
	ivm_topology_free(r.topology);
	return err;
}

/* ---- the command ---- */

static int run(const char *path)
{
	int ret = parse_values(path);

	if (ret)
		return ret;
	if (args.format_index == FORMAT_EVENTS)
		return rewrite(path);
	if (!args.output)
		return replay_and_drop(path);
	ret = replay(path, args.output);
	return ret ? ret : print(args.output);
}

static int run_replay(int argc, char **argv)
{
	struct ivm_operands operands = { 0 };
	int ret;

	ret = ivm_options_parse(&options, argc, argv, &operands);
	if (!ret)
		ret = run(operands.args[0]);
	ivm_operands_clear(&operands);
	g_free(args.format);
	g_free(args.by);
	g_free(args.output);
	return ret;
}

const struct ivm_cmd ivm_cmd_replay = {
	.name = "replay",
	.summary = "assemble the journeys of a file of events",
	.run = run_replay,
};
