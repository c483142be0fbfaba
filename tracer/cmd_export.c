// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ivmtrace export: OpenMetrics for Prometheus, of what goes on or of a recording.
 */
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include <microhttpd.h>

#include "../reports/openmetrics.h"
#include "command.h"
#include "error.h"
#include "live.h"
#include "options.h"

#define DEFAULT_LISTEN		"127.0.0.1:9435"
#define MAX_CONNECTIONS		16u
#define TIMEOUT_S		10u

struct export {
	struct ivm_live live;
	char *listen_text;
	gboolean no_hops;
	const char *path;		/* of a recording, NULL: live */
	struct ivm_report *report;
	struct ivm_series_set *set;
	const char *listen;
	struct addrinfo *address;
	struct MHD_Daemon *http;
};

/* ---- what is told ---- */

static void take_journey(void *arg, const struct ivm_journey *j)
{
	ivm_series_add(((struct export *)arg)->set, j);
}

static void take_fate(void *arg, uint64_t into, enum ivm_outcome outcome)
{
	ivm_series_mend(((struct export *)arg)->set, into, outcome);
}

static void add_lost(GArray *rows, const char *source, uint64_t count)
{
	const struct ivm_metrics_lost row = { source, count };

	g_array_append_val(rows, row);
}

static GArray *live_lost(struct export *e)
{
	GArray *rows = g_array_new(FALSE, FALSE, sizeof(struct ivm_metrics_lost));
	const struct ivm_assemble_stats *stats =
		ivm_assemble_stats(ivm_session_assemble(e->live.session));
	struct ivm_session_lost lost;

	ivm_session_lost(e->live.session, &lost);
	add_lost(rows, "ringbuf", lost.source.ringbuf);
	add_lost(rows, "map", lost.source.map);
	add_lost(rows, "recursion", lost.source.recursion);
	add_lost(rows, "overrun", lost.source.overrun);
	add_lost(rows, "switches", lost.source.switches);
	add_lost(rows, "unplaced", lost.source.unplaced);
	add_lost(rows, "link_page", lost.page);
	add_lost(rows, "contradictions", lost.contradictions);
	add_lost(rows, "late", stats->late);
	add_lost(rows, "stream_gaps", stats->stream_gaps);
	return rows;
}

static void print_live(struct export *e, FILE *out)
{
	const struct ivm_assemble_stats *stats =
		ivm_assemble_stats(ivm_session_assemble(e->live.session));
	g_autoptr(GArray) lost = live_lost(e);
	struct ivm_session_lost all;
	struct utsname host;
	struct ivm_metrics m = {
		.series = ivm_series_sorted(e->set), .lost = lost,
		.backend = ivm_session_backend(e->live.session), .no_hops = e->no_hops,
	};

	ivm_session_lost(e->live.session, &all);
	m.unmatched = stats->unmatched + all.source.unmatched;
	m.kernel = uname(&host) ? NULL : host.release;
	ivm_openmetrics_print(&m, out);
}

/* Return: text to be freed with free(), NULL if there is none */
static char *metrics(struct export *e, size_t *bytes)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, bytes);
	int err = 0;

	if (!out)
		return NULL;
	if (e->report)
		err = ivm_openmetrics_report(e->report, e->no_hops, out);
	else
		print_live(e, out);
	if (fclose(out) || err) {
		free(text);
		return NULL;
	}
	return text;
}

/* ---- HTTP ---- */

static enum MHD_Result reply(struct MHD_Connection *c, unsigned int status, const char *type,
			     char *text, size_t bytes, enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(bytes, text, mode);
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	result = MHD_queue_response(c, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result reply_text(struct MHD_Connection *c, unsigned int status, const char *text)
{
	return reply(c, status, "text/plain; charset=utf-8", (char *)text, strlen(text),
		     MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result reply_metrics(struct export *e, struct MHD_Connection *c)
{
	size_t bytes = 0;
	char *text = metrics(e, &bytes);

	if (!text)
		return reply_text(c, MHD_HTTP_INTERNAL_SERVER_ERROR, "no metrics\n");
	return reply(c, MHD_HTTP_OK, IVM_OPENMETRICS_CONTENT_TYPE, text, bytes,
		     MHD_RESPMEM_MUST_FREE);
}

/* Called once with the head of a request, then until its body has come: nobody sends one */
static enum MHD_Result answer(void *arg, struct MHD_Connection *c, const char *url,
			      const char *method, const char *version, const char *data,
			      size_t *data_bytes, void **seen)
{
	(void)version;
	(void)data;
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return reply_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, "GET /metrics\n");
	if (!*seen) {
		*seen = arg;
		return MHD_YES;
	}
	*data_bytes = 0;
	if (!strcmp(url, "/metrics"))
		return reply_metrics(arg, c);
	return reply_text(c, strcmp(url, "/") ? MHD_HTTP_NOT_FOUND : MHD_HTTP_OK,
			  "ivmtrace: GET /metrics\n");
}

/* "HOST:PORT", HOST a number: whom a name stands for is not for a tracer to ask */
static int parse_listen(struct export *e)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
	};
	const char *text = e->listen_text ? e->listen_text : DEFAULT_LISTEN;
	g_autofree char *host = g_strdup(text);
	char *colon = strrchr(host, ':'), *name = host;
	int rc;

	if (!colon || colon == host)
		return ivm_fail("--listen: '%s' is not ADDRESS:PORT", text);
	*colon = 0;
	if (*name == '[' && colon[-1] == ']') {
		colon[-1] = 0;
		name++;
	}
	e->listen = text;
	rc = getaddrinfo(name, colon + 1, &hints, &e->address);
	return rc ? ivm_fail("--listen: '%s' is not ADDRESS:PORT: %s", text, gai_strerror(rc)) : 0;
}

static int start_http(struct export *e)
{
	const union MHD_DaemonInfo *info;
	unsigned int flags = MHD_USE_EPOLL;

	if (e->address->ai_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	e->http = MHD_start_daemon(flags, 0, NULL, NULL, answer, e,
				   MHD_OPTION_SOCK_ADDR, e->address->ai_addr,
				   MHD_OPTION_CONNECTION_LIMIT, MAX_CONNECTIONS,
				   MHD_OPTION_CONNECTION_TIMEOUT, TIMEOUT_S,
				   MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
	if (!e->http)
		return ivm_error(errno ? -errno : -EADDRINUSE, "cannot listen at %s", e->listen);
	info = MHD_get_daemon_info(e->http, MHD_DAEMON_INFO_BIND_PORT);
	ivm_info("serving http://%.*s:%u/metrics; ^C stops",
		 (int)(strrchr(e->listen, ':') - e->listen), e->listen,
		 info ? (unsigned int)info->port : 0);
	return 0;
}

/* ---- the command ---- */

static int serve_live(struct export *e)
{
	const struct ivm_session_watcher watcher = { take_journey, take_fate, e };
	int err = ivm_live_start(&e->live, &watcher);

	if (err)
		return err;
	e->set = ivm_series_set_new(ivm_session_topology(e->live.session));
	err = start_http(e);
	while (!err && !ivm_live_interrupted()) {
		err = ivm_live_poll(&e->live);
		MHD_run(e->http);
	}
	return err;
}

/* It does not change: what is there to wait for is a client */
static int serve_recording(struct export *e)
{
	int err = ivm_report_open(e->path, false, &e->report);

	if (!err)
		err = start_http(e);
	if (err)
		return err;
	ivm_live_catch_signals();
	while (!ivm_live_interrupted())
		MHD_run_wait(e->http, IVM_LIVE_POLL_MS);
	return 0;
}

static void clear(struct export *e)
{
	if (e->http)
		MHD_stop_daemon(e->http);
	if (e->address)
		freeaddrinfo(e->address);
	if (e->report)
		ivm_report_close(e->report);
	ivm_series_set_free(e->set);
	ivm_live_clear(&e->live);
	g_free(e->listen_text);
}

static int run_export(int argc, char **argv)
{
	struct export e = { 0 };
	const GOptionEntry entries[] = {
		{ "listen", 'l', 0, G_OPTION_ARG_FILENAME, &e.listen_text,
		  "Where to serve /metrics (default: " DEFAULT_LISTEN ")", "ADDRESS:PORT" },
		{ "no-hops", 0, 0, G_OPTION_ARG_NONE, &e.no_hops,
		  "Totals only: a tenth of the time series", NULL },
		IVM_LIVE_ENTRIES(&e.live),
		{ 0 }
	};
	const struct ivm_options options = {
		.usage = "[FILE]",
		.summary = "Serve latencies and counts as OpenMetrics, for Prometheus to scrape.",
		.description = "Follows all links of this host until ^C; with FILE, serves a "
			       "recording.",
		.entries = entries,
		.max_operands = 1,
	};
	struct ivm_operands operands = { 0 };
	int ret = ivm_options_parse(&options, argc, argv, &operands);

	if (!ret)
		ret = ivm_live_parse(&e.live);
	if (!ret)
		ret = parse_listen(&e);
	if (!ret) {
		e.path = operands.args[0];
		ret = e.path ? serve_recording(&e) : serve_live(&e);
	}
	clear(&e);
	ivm_operands_clear(&operands);
	return ret;
}

const struct ivm_cmd ivm_cmd_export = {
	.name = "export",
	.summary = "serve latencies and counts to Prometheus",
	.run = run_export,
};
