// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Command lines on top of GOption.
 *
 * What GOption leaves open is settled here: help goes to stdout as UTF-8
 * whatever the locale, misuse goes to stderr with the offending text, and what
 * follows "--" is never looked at.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "options.h"

static GOptionContext *new_context(const struct ivm_options *options, gboolean *help)
{
	const GOptionEntry help_entry[] = {
		{ "help", 'h', 0, G_OPTION_ARG_NONE, help, "Show this help and exit", NULL },
		{ 0 }
	};
	GOptionContext *context = g_option_context_new(options->usage);

	g_option_context_set_help_enabled(context, FALSE);
	g_option_context_set_summary(context, options->summary);
	g_option_context_set_description(context, options->description);
	if (options->entries)
		g_option_context_add_main_entries(context, options->entries, NULL);
	g_option_context_add_main_entries(context, help_entry, NULL);
	return context;
}

static int misuse(const char *command, const char *message)
{
	ivm_fail("%s: %s; see 'ivmtrace %s --help'", command, message, command);
	return -EINVAL;
}

static int check_operands(const struct ivm_options *options, const char *name,
			  const struct ivm_operands *operands)
{
	g_autofree char *message = NULL;

	if (operands->count > options->max_operands) {
		message = g_strdup_printf("unexpected operand '%s'",
					  operands->args[options->max_operands]);
		return misuse(name, message);
	}
	if (operands->command && !operands->command[0])
		return misuse(name, "no command after '--'");
	return 0;
}

/* Cuts argv at "--", if this command takes one */
static char **own_arguments(const struct ivm_options *options, int argc, char **argv,
			    struct ivm_operands *operands)
{
	GPtrArray *own = g_ptr_array_new();
	int i;

	for (i = 0; i < argc; i++) {
		if (options->takes_command && i && !strcmp(argv[i], "--")) {
			operands->command = argv + i + 1;
			break;
		}
		g_ptr_array_add(own, g_strdup(argv[i]));
	}
	g_ptr_array_add(own, NULL);
	return (char **)g_ptr_array_free(own, FALSE);
}

/* GOption leaves argv[0] and, in some places, the "--" it stopped at */
static void keep_operands(char **args, struct ivm_operands *operands)
{
	GPtrArray *kept = g_ptr_array_new();
	bool stopped = false;
	int i;

	for (i = 1; args[i]; i++) {
		if (!stopped && !strcmp(args[i], "--"))
			stopped = true;
		else
			g_ptr_array_add(kept, g_strdup(args[i]));
	}
	operands->count = (int)kept->len;
	g_ptr_array_add(kept, NULL);
	operands->args = (char **)g_ptr_array_free(kept, FALSE);
}

/**
 * ivm_options_parse() - parse a command's arguments
 * @options: what the command takes
 * @argc: count of @argv
 * @argv: argv[0] is the command's name
 * @operands: what is left; clear with ivm_operands_clear(), also after an error
 *
 * Return: 0; IVM_OPTIONS_HELP after --help was printed; -EINVAL after a
 * misuse was printed.
 */
int ivm_options_parse(const struct ivm_options *options, int argc, char **argv,
		      struct ivm_operands *operands)
{
	g_auto(GStrv) args = own_arguments(options, argc, argv, operands);
	g_autofree char *prgname = g_strdup_printf("ivmtrace %s", argv[0]);
	g_autoptr(GOptionContext) context = NULL;
	g_autoptr(GError) error = NULL;
	gboolean help = FALSE;

	context = new_context(options, &help);
	g_set_prgname(prgname);
	if (!g_option_context_parse_strv(context, &args, &error))
		return misuse(argv[0], error->message);
	if (help) {
		g_autofree char *text = g_option_context_get_help(context, TRUE, NULL);

		fputs(text, stdout);
		return IVM_OPTIONS_HELP;
	}
	keep_operands(args, operands);
	return check_operands(options, argv[0], operands);
}

void ivm_operands_clear(struct ivm_operands *operands)
{
	g_strfreev(operands->args);
	memset(operands, 0, sizeof(*operands));
}

/* Digits only: no sign, no white space, no overflow; @end is what follows them */
static bool parse_digits(const char *text, uint64_t *value, const char **end)
{
	char *stop;

	if (!g_ascii_isdigit(*text))
		return false;
	errno = 0;
	*value = g_ascii_strtoull(text, &stop, 10);
	*end = stop;
	return errno == 0;
}

/**
 * ivm_parse_u64() - a whole number with a range
 * @option: its name as the user writes it, for messages
 * @text: what was given; NULL leaves @value alone
 * @min: smallest value accepted
 * @max: largest value accepted
 * @value: the result
 *
 * Return: 0, or -EINVAL after printing why.
 */
int ivm_parse_u64(const char *option, const char *text, uint64_t min, uint64_t max,
		  uint64_t *value)
{
	const char *end;
	uint64_t v;

	if (!text)
		return 0;
	if (!parse_digits(text, &v, &end) || *end)
		return ivm_fail("%s: '%s' is not a whole number", option, text);
	if (v < min || v > max)
		return ivm_fail("%s: %s is out of range, give %" PRIu64 " to %" PRIu64, option,
				text, min, max);
	*value = v;
	return 0;
}

/* A number with a unit out of a table, as in 64M or 10ms */
struct unit {
	const char *suffix;
	uint64_t factor;
};

static int parse_with_unit(const char *text, const struct unit *units, uint64_t *value)
{
	const char *end;
	uint64_t v;

	if (!parse_digits(text, &v, &end))
		return -EINVAL;
	for (; units->suffix; units++) {
		if (g_ascii_strcasecmp(end, units->suffix))
			continue;
		if (__builtin_mul_overflow(v, units->factor, value))
			return -ERANGE;
		return 0;
	}
	return -EINVAL;
}

/**
 * ivm_parse_size() - a number of bytes, as 4096, 64K, 64M or 2G
 * @option: its name as the user writes it, for messages
 * @text: what was given; NULL leaves @bytes alone
 * @min_bytes: smallest value accepted
 * @max_bytes: largest value accepted
 * @bytes: the result
 *
 * Return: 0, or -EINVAL after printing why.
 */
int ivm_parse_size(const char *option, const char *text, uint64_t min_bytes, uint64_t max_bytes,
		   uint64_t *bytes)
{
	static const struct unit units[] = {
		{ "", 1 }, { "K", 1 << 10 }, { "M", 1 << 20 }, { "G", 1 << 30 }, { 0 }
	};
	uint64_t v = 0;
	int err;

	if (!text)
		return 0;
	err = parse_with_unit(text, units, &v);
	if (err == -EINVAL)
		return ivm_fail("%s: '%s' is not a size, write it as 4096, 64K, 64M or 1G", option,
				text);
	if (err || v < min_bytes || v > max_bytes)
		return ivm_fail("%s: %s is out of range, give %" PRIu64 " to %" PRIu64 " bytes",
				option, text, min_bytes, max_bytes);
	*bytes = v;
	return 0;
}

/**
 * ivm_parse_duration() - a time span, as 10 (seconds), 500ms, 20us or 2m
 * @option: its name as the user writes it, for messages
 * @text: what was given; NULL leaves @ns alone
 * @min_ns: smallest value accepted
 * @max_ns: largest value accepted
 * @ns: the result
 *
 * Return: 0, or -EINVAL after printing why.
 */
int ivm_parse_duration(const char *option, const char *text, uint64_t min_ns, uint64_t max_ns,
		       uint64_t *ns)
{
	static const struct unit units[] = {
		{ "", 1000000000 }, { "s", 1000000000 }, { "ms", 1000000 }, { "us", 1000 },
		{ "ns", 1 },	    { "m", 60000000000 }, { "h", 3600000000000 }, { 0 }
	};
	uint64_t v = 0;
	int err;

	if (!text)
		return 0;
	err = parse_with_unit(text, units, &v);
	if (err == -EINVAL)
		return ivm_fail("%s: '%s' is not a time, write it as 10, 500ms or 2m", option,
				text);
	if (err || v < min_ns || v > max_ns)
		return ivm_fail("%s: %s is out of range, give %.9g s to %.9g s", option, text,
				(double)min_ns / 1e9, (double)max_ns / 1e9);
	*ns = v;
	return 0;
}

/**
 * ivm_parse_choice() - one word of a list
 * @option: its name as the user writes it, for messages
 * @text: what was given; NULL leaves @index alone
 * @names: NULL-terminated list
 * @index: which one it is
 *
 * Return: 0, or -EINVAL after printing why.
 */
int ivm_parse_choice(const char *option, const char *text, const char *const *names, int *index)
{
	g_autofree char *all = NULL;
	int i;

	if (!text)
		return 0;
	for (i = 0; names[i]; i++) {
		if (!strcmp(text, names[i])) {
			*index = i;
			return 0;
		}
	}
	all = g_strjoinv(", ", (char **)names);
	return ivm_fail("%s: '%s' is none of %s", option, text, all);
}
