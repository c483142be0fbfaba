// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ivmtrace top: links and modes, live.
 *
 * The screen is curses' business, the table toptable.c's.  Events are polled far more
 * often than anything is drawn, as the ring buffer does not wait for a terminal.
 */
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NCURSES_NOMACROS 1
#include <curses.h>

#include "clock.h"
#include "command.h"
#include "error.h"
#include "live.h"
#include "options.h"
#include "toptable.h"

#define DEFAULT_DELAY_NS	IVM_NSEC_PER_SEC
#define MIN_DELAY_NS		(100 * 1000 * 1000ull)
#define MAX_DELAY_NS		(3600 * IVM_NSEC_PER_SEC)
#define MAX_ITERATIONS		1000000000
#define BATCH_WIDTH		120
#define KEY_LINE	"q quit  p pause  sort: r rate  5 p50  9 p99  x lost  l link  + - interval"

struct top {
	struct ivm_live live;
	struct ivm_series_set *so_far;
	struct ivm_series_set *last;
	uint64_t begun_ns;		/* of the interval under way */
	uint64_t delay_ns;
	uint64_t iterations;		/* 0: until told to stop */
	uint64_t drawn;
	GPtrArray *rows;		/* of the last interval, NULL before the first one ended */
	int sort;			/* enum ivm_top_sort */
	bool paused;
	gboolean batch;
	/* Texts of options, as given */
	char *delay_text;
	char *iterations_text;
	char *sort_text;
};

static const char *const sort_names[] = { "rate", "p50", "p99", "lost", "link", NULL };

/* ---- journeys ---- */

static void take_journey(void *arg, const struct ivm_journey *j)
{
	struct top *t = arg;

	ivm_series_add(t->so_far, j);
	ivm_series_add(t->last, j);
}

static void take_fate(void *arg, uint64_t into, enum ivm_outcome outcome)
{
	ivm_series_mend(((struct top *)arg)->so_far, into, outcome);
}

/* The interval is over: its table, and an empty one for the next */
static void close_interval(struct top *t)
{
	const struct ivm_topology *topology = ivm_session_topology(t->live.session);
	uint64_t now_ns = ivm_now_ns();

	if (t->rows)
		g_ptr_array_unref(t->rows);
	t->rows = ivm_top_table(t->so_far, t->last, now_ns - t->begun_ns,
				(enum ivm_top_sort)t->sort);
	ivm_series_set_free(t->last);
	t->last = ivm_series_set_new(topology);
	t->begun_ns = now_ns;
}

/* "3 links, backend bpf, lost nothing" */
static char *status_line(struct top *t)
{
	const struct ivm_assemble_stats *stats =
		ivm_assemble_stats(ivm_session_assemble(t->live.session));
	unsigned int links = ivm_session_links(t->live.session);
	struct ivm_session_lost lost;
	uint64_t records;
	char *text, *all;

	ivm_session_lost(t->live.session, &lost);
	records = lost.source.ringbuf + lost.source.map + lost.source.recursion +
		  lost.source.overrun + lost.source.switches + lost.source.unplaced + lost.page +
		  stats->late + stats->stream_gaps;
	text = records ? g_strdup_printf("%" PRIu64 " records", records) : g_strdup("nothing");
	all = g_strdup_printf("ivmtrace top: %u link%s, backend %s, every %.1f s, by %s, lost %s",
			      links, links == 1 ? "" : "s", ivm_session_backend(t->live.session),
			      (double)t->delay_ns / 1e9, sort_names[t->sort], text);
	g_free(text);
	return all;
}

/* ---- lines for scripts ---- */

static int print_batch(struct top *t)
{
	g_autofree char *status = status_line(t), *header = ivm_top_header(BATCH_WIDTH);
	guint i;

	printf("%s%s\n%s\n", t->drawn ? "\n" : "", status, header);
	for (i = 0; i < t->rows->len; i++) {
		g_autofree char *line = ivm_top_line(g_ptr_array_index(t->rows, i), BATCH_WIDTH);

		puts(line);
	}
	if (!t->rows->len)
		puts("no interrupt ended so far");
	/* A reader that has gone ends it, as head(1) does */
	return fflush(stdout) ? -errno : 0;
}

/* ---- the screen ---- */

static void draw(struct top *t)
{
	g_autofree char *status = status_line(t), *header = ivm_top_header(COLS);
	guint i;

	erase();
	mvaddnstr(0, 0, status, -1);
	if (t->paused)
		addstr("  [paused]");
	attron(A_REVERSE);
	mvprintw(1, 0, "%-*.*s", COLS, COLS, header);
	attroff(A_REVERSE);
	for (i = 0; t->rows && i < t->rows->len && (int)i + 3 < LINES; i++) {
		g_autofree char *line = ivm_top_line(g_ptr_array_index(t->rows, i), COLS);
		g_autofree char *fits = g_utf8_substring(line, 0, MIN(g_utf8_strlen(line, -1),
								      COLS));

		mvaddstr((int)i + 2, 0, fits);
	}
	if (!t->rows || !t->rows->len)
		mvaddstr(2, 0, "no interrupt ended so far");
	attron(A_BOLD);
	mvaddnstr(LINES - 1, 0, KEY_LINE, MAX(COLS - 1, 0));
	attroff(A_BOLD);
	refresh();
}

static void sort_by(struct top *t, enum ivm_top_sort sort)
{
	t->sort = (int)sort;
}

/* Return: whether to go on */
static bool take_key(struct top *t, int key)
{
	switch (key) {
	case 'q':
		return false;
	case 'p':
		t->paused = !t->paused;
		break;
	case 'r':
		sort_by(t, IVM_TOP_RATE);
		break;
	case '5':
		sort_by(t, IVM_TOP_P50);
		break;
	case '9':
		sort_by(t, IVM_TOP_P99);
		break;
	case 'x':
		sort_by(t, IVM_TOP_LOST);
		break;
	case 'l':
		sort_by(t, IVM_TOP_LINK);
		break;
	case '+':
		t->delay_ns = MIN(t->delay_ns * 2, MAX_DELAY_NS);
		break;
	case '-':
		t->delay_ns = MAX(t->delay_ns / 2, MIN_DELAY_NS);
		break;
	default:	/* KEY_RESIZE, too: curses knows its new size by now */
		break;
	}
	draw(t);
	return true;
}

/* The description of a terminal may be missing; curses would exit for that */
static int open_screen(void)
{
	SCREEN *screen;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return ivm_fail("this is no terminal; with --batch top prints lines");
	setlocale(LC_CTYPE, "");
	screen = newterm(NULL, stdout, stdin);
	if (!screen)
		return ivm_fail("the terminal '%s' is unknown; with --batch top prints lines",
				g_getenv("TERM") ? g_getenv("TERM") : "");
	set_term(screen);
	cbreak();
	noecho();
	nodelay(stdscr, TRUE);
	keypad(stdscr, TRUE);
	curs_set(0);
	return 0;
}

/* ---- running ---- */

static int show(struct top *t)
{
	int err = 0;

	close_interval(t);
	if (t->batch)
		err = print_batch(t);
	else
		draw(t);
	t->drawn++;
	return err;
}

static int follow(struct top *t)
{
	int err = 0, key;

	while (!err && !ivm_live_interrupted()) {
		err = ivm_live_poll(&t->live);
		if (!err && !t->paused && ivm_now_ns() - t->begun_ns >= t->delay_ns)
			err = show(t);
		if (t->iterations && t->drawn >= t->iterations)
			break;
		while (!t->batch && (key = getch()) != ERR)
			if (!take_key(t, key))
				return err;
	}
	return err;
}

static int top(struct top *t)
{
	const struct ivm_session_watcher watcher = { take_journey, take_fate, t };
	int err = ivm_live_start(&t->live, &watcher);

	if (err)
		return err;
	t->so_far = ivm_series_set_new(ivm_session_topology(t->live.session));
	t->last = ivm_series_set_new(ivm_session_topology(t->live.session));
	t->begun_ns = ivm_now_ns();
	err = t->batch ? 0 : open_screen();
	if (err)
		return err;
	if (!t->batch)
		draw(t);
	err = follow(t);
	if (!t->batch)
		endwin();
	return err;
}

static int parse_values(struct top *t)
{
	int err = 0;

	t->delay_ns = DEFAULT_DELAY_NS;
	if (t->delay_text)
		err = ivm_parse_duration("--delay", t->delay_text, MIN_DELAY_NS, MAX_DELAY_NS,
					 &t->delay_ns);
	if (!err && t->iterations_text)
		err = ivm_parse_u64("--iterations", t->iterations_text, 1, MAX_ITERATIONS,
				    &t->iterations);
	if (!err)
		err = ivm_parse_choice("--sort", t->sort_text, sort_names, &t->sort);
	return err ? err : ivm_live_parse(&t->live);
}

static void clear_top(struct top *t)
{
	ivm_live_clear(&t->live);
	ivm_series_set_free(t->so_far);
	ivm_series_set_free(t->last);
	if (t->rows)
		g_ptr_array_unref(t->rows);
	g_free(t->delay_text);
	g_free(t->iterations_text);
	g_free(t->sort_text);
}

static int run_top(int argc, char **argv)
{
	struct top t = { .sort = IVM_TOP_RATE };
	const GOptionEntry entries[] = {
		{ "delay", 'd', 0, G_OPTION_ARG_FILENAME, &t.delay_text,
		  "Time between two tables: seconds, or 500ms, 2m (default: 1)", "SECS" },
		{ "iterations", 'n', 0, G_OPTION_ARG_FILENAME, &t.iterations_text,
		  "End after so many tables", "N" },
		{ "sort", 's', 0, G_OPTION_ARG_FILENAME, &t.sort_text,
		  "Largest first: rate (default), p50, p99, lost; or by link", "COLUMN" },
		{ "batch", 'b', 0, G_OPTION_ARG_NONE, &t.batch,
		  "Print table after table instead of drawing on the screen", NULL },
		IVM_LIVE_ENTRIES(&t.live),
		{ 0 }
	};
	const struct ivm_options options = {
		.usage = "",
		.summary = "Show rate, latency, worst hop and losses of each link and mode, live.",
		.description = "Keys: " KEY_LINE,
		.entries = entries,
	};
	struct ivm_operands operands = { 0 };
	int ret = ivm_options_parse(&options, argc, argv, &operands);

	if (!ret)
		ret = parse_values(&t);
	if (!ret)
		ret = top(&t);
	clear_top(&t);
	ivm_operands_clear(&operands);
	return ret;
}

const struct ivm_cmd ivm_cmd_top = {
	.name = "top",
	.summary = "show links and modes live",
	.run = run_top,
};
