// SPDX-License-Identifier: GPL-2.0-or-later
/* ivmtrace hist: how long each hop takes, in buckets of equal width */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../reports/cursor.h"
#include "../reports/linear.h"
#include "../reports/report.h"
#include "clock.h"
#include "command.h"
#include "error.h"
#include "live.h"
#include "options.h"

#define DEFAULT_BUCKET_NS	1000
#define DEFAULT_ENTRIES		256
#define MAX_SECONDS		(365ull * 24 * 3600)

struct hist {
	struct ivm_live live;
	struct ivm_linear_opts opts;
	struct ivm_linear *linear;
	uint64_t run_ns;		/* live: stop after so long, 0: at a signal */
	uint64_t duration_ns;		/* what it was in the end */
	int json;
	gboolean no_header, no_summary, no_index, with_zeros, is_live;
	/* Texts of options, as given */
	char *bucket_text;
	char *entries_text;
	char *mode_text;
	char *duration_text;
	char *format_text;
};

/* ---- of a recording ---- */

static int add_journeys(struct hist *h, const struct ivm_report *r)
{
	struct ivm_cursor *cursor;
	struct ivm_journey j;
	int err;

	err = ivm_cursor_open(r->db, &cursor);
	if (err)
		return err;
	while ((err = ivm_cursor_next(cursor, &j)) > 0)
		ivm_linear_add(h->linear, &j);
	ivm_cursor_close(cursor);
	return err;
}

static int of_recording(struct hist *h, const char *path)
{
	const char *name = path ? path : IVM_DEFAULT_RECORDING;
	const char *duration;
	struct ivm_report *r;
	int err;

	err = ivm_report_open(path, false, &r);
	if (err)
		return err;
	duration = ivm_report_meta(r, "duration_ns");
	h->duration_ns = duration ? g_ascii_strtoull(duration, NULL, 10) : 0;
	if (ivm_report_meta(r, "not_kept"))
		err = ivm_fail("%s does not have every journey (record --keep): see "
			       "'ivmtrace report'", name);
	else if (add_journeys(h, r))
		err = ivm_fail("cannot read %s: damaged", name);
	ivm_report_close(r);
	return err;
}

/* ---- live ---- */

static void take_journey(void *arg, const struct ivm_journey *j)
{
	ivm_linear_add(((struct hist *)arg)->linear, j);
}

static void warn_lost(struct hist *h)
{
	struct ivm_session_lost lost;

	ivm_session_lost(h->live.session, &lost);
	if (lost.source.ringbuf || lost.source.map || lost.source.recursion ||
	    lost.source.overrun || lost.source.switches || lost.source.unplaced)
		ivm_warn("records were lost: not every interrupt is in these figures");
}

static int of_now(struct hist *h)
{
	const struct ivm_session_watcher watcher = { .journey = take_journey, .arg = h };
	uint64_t start_ns;
	int err = ivm_live_start(&h->live, &watcher);

	if (err)
		return err;
	ivm_info("following interrupts; ^C stops");
	start_ns = ivm_now_ns();
	while (!err && !ivm_live_interrupted() &&
	       !(h->run_ns && ivm_now_ns() - start_ns >= h->run_ns))
		err = ivm_live_poll(&h->live);
	h->duration_ns = ivm_now_ns() - start_ns;
	if (!err)
		err = ivm_live_stop(&h->live);
	if (!err)
		warn_lost(h);
	return err;
}

/* ---- the command line ---- */

static int parse_mode(struct hist *h)
{
	static const char *const modes[] = IVM_MODE_NAMES;
	const char *names[IVM_MODES + 1] = { NULL };
	int i;

	h->opts.mode = -1;
	for (i = 0; i < IVM_MODES; i++)
		names[i] = modes[i];
	return ivm_parse_choice("--mode", h->mode_text, names, &h->opts.mode);
}

/* A plain number is in us, as rtla has it */
static int parse_bucket(struct hist *h)
{
	bool plain = !h->bucket_text[strspn(h->bucket_text, "0123456789")];
	g_autofree char *text = g_strconcat(h->bucket_text, plain ? "us" : NULL, NULL);

	return ivm_parse_duration("--bucket-size", text, 1, IVM_NSEC_PER_SEC,
				  &h->opts.bucket_ns);
}

static int parse_values(struct hist *h)
{
	static const char *const formats[] = { "text", "json", NULL };
	uint64_t entries = DEFAULT_ENTRIES;
	int err = 0;

	h->opts.bucket_ns = DEFAULT_BUCKET_NS;
	if (h->bucket_text)
		err = parse_bucket(h);
	if (!err && h->entries_text)
		err = ivm_parse_u64("--entries", h->entries_text, 1, IVM_LINEAR_MAX_ENTRIES,
				    &entries);
	if (!err)
		err = parse_mode(h);
	if (!err)
		err = ivm_parse_choice("--format", h->format_text, formats, &h->json);
	if (!err && h->duration_text)
		err = ivm_parse_duration("--duration", h->duration_text, 1,
					 MAX_SECONDS * IVM_NSEC_PER_SEC, &h->run_ns);
	h->opts.entries = (unsigned int)entries;
	h->opts.no_header = h->no_header;
	h->opts.no_summary = h->no_summary;
	h->opts.no_index = h->no_index;
	h->opts.with_zeros = h->with_zeros;
	return err ? err : ivm_live_parse(&h->live);
}

static int hist(struct hist *h, const char *path)
{
	bool live = h->is_live || h->duration_text;
	int err;

	if (live && path)
		return ivm_fail("either FILE, or --live and --duration");
	h->linear = ivm_linear_new(&h->opts);
	err = live ? of_now(h) : of_recording(h, path);
	if (err)
		return err;
	if (h->json)
		ivm_linear_print_json(h->linear, h->duration_ns, stdout);
	else
		ivm_linear_print_text(h->linear, h->duration_ns, stdout);
	return IVM_EXIT_OK;
}

static void clear(struct hist *h)
{
	ivm_linear_free(h->linear);
	ivm_live_clear(&h->live);
	g_free(h->bucket_text);
	g_free(h->entries_text);
	g_free(h->mode_text);
	g_free(h->duration_text);
	g_free(h->format_text);
}

static int run_hist(int argc, char **argv)
{
	struct hist h = { .json = 0 };
	const GOptionEntry entries[] = {
		{ "bucket-size", 'b', 0, G_OPTION_ARG_FILENAME, &h.bucket_text,
		  "Width of a bucket in us (default: 1)", "US" },
		{ "entries", 'E', 0, G_OPTION_ARG_FILENAME, &h.entries_text,
		  "Number of buckets (default: 256)", "N" },
		{ "no-header", 0, 0, G_OPTION_ARG_NONE, &h.no_header, "Leave out the header",
		  NULL },
		{ "no-summary", 0, 0, G_OPTION_ARG_NONE, &h.no_summary,
		  "Leave out over, count, min, avg and max", NULL },
		{ "no-index", 0, 0, G_OPTION_ARG_NONE, &h.no_index,
		  "Leave out the column of buckets", NULL },
		{ "with-zeros", 0, 0, G_OPTION_ARG_NONE, &h.with_zeros,
		  "Print buckets that nothing fell into, too", NULL },
		{ "mode", 0, 0, G_OPTION_ARG_FILENAME, &h.mode_text, "Only journeys of this mode",
		  "MODE" },
		{ "format", 'f', 0, G_OPTION_ARG_FILENAME, &h.format_text,
		  "text (default) or json, schema ivmtrace-hist/1", "FORMAT" },
		{ "live", 0, 0, G_OPTION_ARG_NONE, &h.is_live,
		  "Follow interrupts now, until ^C, instead of reading FILE", NULL },
		{ "duration", 'd', 0, G_OPTION_ARG_FILENAME, &h.duration_text,
		  "Follow interrupts now, for so long: seconds, or 500ms, 2m", "SECS" },
		IVM_LIVE_ENTRIES(&h.live),
		{ 0 }
	};
	const struct ivm_options options = {
		.usage = "[FILE]",
		.summary = "Print how often each hop of each mode took how long.\n"
			   "FILE is a recording, " IVM_DEFAULT_RECORDING " by default.",
		.entries = entries,
		.max_operands = 1,
	};
	struct ivm_operands operands = { 0 };
	int ret = ivm_options_parse(&options, argc, argv, &operands);

	if (!ret)
		ret = parse_values(&h);
	if (!ret)
		ret = hist(&h, operands.args[0]);
	clear(&h);
	ivm_operands_clear(&operands);
	return ret;
}

const struct ivm_cmd ivm_cmd_hist = {
	.name = "hist",
	.summary = "print histograms of each hop",
	.run = run_hist,
};
