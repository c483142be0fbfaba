// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ivm: the command line.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ivm.h"

#define DEFAULT_DEVICE		"/dev/ivm0"
#define DEFAULT_TIMEOUT_S	10

static const struct command {
	const char *name, *summary;
	int (*run)(const struct options *options);
} commands[] = {
	{ "ping", "send messages one after the other and time the answers", run_ping },
	{ "pong", "send back what comes", run_pong },
	{ "send", "send each operand, or each line of stdin, as one message", run_send },
	{ "recv", "print messages, each on a line", run_recv },
	{ "hold", "hold a channel's interrupts, for --duration or until killed", run_hold },
	{ "stat", "state and counters of the device", run_stat },
	{ "stress", "many processes and channels both ways, all of it checked", run_stress },
	{ "guest", "what 'ivmtrace bench --guest linux' runs in its guests", run_guest },
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void complain(const char *format, va_list args)
{
	fputs("ivm: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

int fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(format, args);
	va_end(args);
	return EXIT_ERROR;
}

int fail_check(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(format, args);
	va_end(args);
	return EXIT_CHECK;
}

static void print_usage(void)
{
	size_t i;

	puts("usage: ivm COMMAND [OPTIONS] [MESSAGE...]\n\nCommands:");
	for (i = 0; i < COMMANDS; i++)
		printf("  %-8s %s\n", commands[i].name, commands[i].summary);
	puts("\nOptions:\n"
	     "  -d, --device=PATH      default " DEFAULT_DEVICE "\n"
	     "  -C, --channel=N        channel, default 0\n"
	     "  -c, --count=N          messages; ping, stress: 1000, pong, recv: no end\n"
	     "  -w, --warmup=N         ping: round trips before those that are timed\n"
	     "  -s, --size=BYTES       of a message, default 16; stress: any\n"
	     "  -r, --raw              ping, pong, send: doorbells only, no messages\n"
	     "  -n, --channels=N       stress: that many, from --channel on; default 1\n"
	     "  -P, --processes=N      stress: that share the channels; default 1\n"
	     "  -T, --duration=SECS    stress: send for so long instead of --count; ^C: no longer\n"
	     "  -S, --seed=N           stress: of sizes and contents, equal at both ends\n"
	     "      --rough            stress: loss and garbage are counted, but no failure\n"
	     "  -t, --timeout=SECS     longest wait for the peer, default 10\n"
	     "  -j, --json             for programs\n"
	     "  -h, --help\n\n"
	     "Exit status: 0 done, 1 error, 2 something was lost, repeated or garbled.");
}

static int parse_number(const char *option, const char *text, uint64_t min, uint64_t max,
			uint64_t *value)
{
	unsigned long long number;
	char *end;

	errno = 0;
	number = strtoull(text, &end, 0);
	if (errno || end == text || *end || *text == '-' || number < min || number > max)
		return fail("%s: '%s' is not a number from %llu to %llu", option, text,
			    (unsigned long long)min, (unsigned long long)max);
	*value = number;
	return 0;
}

static int parse_u32(const char *option, const char *text, uint32_t min, uint32_t max,
		     uint32_t *value)
{
	uint64_t wide = 0;
	int err = parse_number(option, text, min, max, &wide);

	*value = (uint32_t)wide;
	return err;
}

static int parse_seconds(const char *option, const char *text, uint64_t *value_ns)
{
	uint64_t seconds = 0;
	int err = parse_number(option, text, 1, 86400, &seconds);

	*value_ns = seconds * NS_PER_S;
	return err;
}

static int parse_option(struct options *o, int option)
{
	switch (option) {
	case 'd':
		o->device = optarg;
		return 0;
	case 'C':
		return parse_u32("--channel", optarg, 0, 255, &o->channel);
	case 'c':
		return parse_number("--count", optarg, 1, UINT32_MAX, &o->count);
	case 'w':
		return parse_number("--warmup", optarg, 0, UINT32_MAX, &o->warmup);
	case 's':
		return parse_u32("--size", optarg, 1, 32768, &o->bytes);
	case 'r':
		o->raw = true;
		return 0;
	case 'n':
		return parse_u32("--channels", optarg, 1, 256, &o->channels);
	case 'P':
		return parse_u32("--processes", optarg, 1, 256, &o->processes);
	case 'T':
		return parse_seconds("--duration", optarg, &o->duration_ns);
	case 'S':
		return parse_number("--seed", optarg, 0, UINT64_MAX, &o->seed);
	case 'R':
		o->rough = true;
		return 0;
	case 't':
		return parse_seconds("--timeout", optarg, &o->timeout_ns);
	case 'j':
		o->json = true;
		return 0;
	}
	return EXIT_ERROR;	/* getopt has said what it is */
}

static const struct option long_options[] = {
	{ "device", required_argument, NULL, 'd' },
	{ "channel", required_argument, NULL, 'C' },
	{ "count", required_argument, NULL, 'c' },
	{ "warmup", required_argument, NULL, 'w' },
	{ "size", required_argument, NULL, 's' },
	{ "raw", no_argument, NULL, 'r' },
	{ "channels", required_argument, NULL, 'n' },
	{ "processes", required_argument, NULL, 'P' },
	{ "duration", required_argument, NULL, 'T' },
	{ "seed", required_argument, NULL, 'S' },
	{ "rough", no_argument, NULL, 'R' },
	{ "timeout", required_argument, NULL, 't' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 }
};

int main(int argc, char **argv)
{
	struct options options = {
		.device = DEFAULT_DEVICE,
		.channels = 1,
		.processes = 1,
		.timeout_ns = DEFAULT_TIMEOUT_S * NS_PER_S,
	};
	size_t i;
	int option;

	if (argc < 2) {
		print_usage();
		return EXIT_ERROR;
	}
	while ((option = getopt_long(argc, argv, "d:C:c:w:s:rn:P:T:S:t:jh", long_options,
				     NULL)) != -1) {
		if (option == 'h') {
			print_usage();
			return EXIT_DONE;
		}
		if (parse_option(&options, option))
			return EXIT_ERROR;
	}
	if (optind == argc)
		return fail("no command; 'ivm --help' lists them");
	options.operands = argv + optind + 1;
	options.operand_count = argc - optind - 1;
	for (i = 0; i < COMMANDS; i++)
		if (!strcmp(argv[optind], commands[i].name))
			return commands[i].run(&options);
	return fail("no command '%s'; 'ivm --help' lists them", argv[optind]);
}
