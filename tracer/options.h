/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Command lines: one GOptionEntry table per command drives parsing, --help and
 * the test that the man page lists the same options.
 *
 * Numbers, sizes, durations and choices are G_OPTION_ARG_FILENAME entries
 * handed to the ivm_parse_*() helpers afterwards.  FILENAME, never STRING:
 * GLib would convert a STRING from the locale's charset and refuse a link name
 * in UTF-8 under LANG=C.
 */
#ifndef IVM_OPTIONS_H
#define IVM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

struct ivm_options {
	const char *usage;		/* operands: "[FILE]", "[-- COMMAND...]" */
	const char *summary;		/* a paragraph above the options, or NULL */
	const char *description;	/* text below the options, or NULL */
	const GOptionEntry *entries;
	int max_operands;		/* before "--" */
	bool takes_command;		/* operands after "--" are a command */
};

/* What is left of a command line; zero it before parsing */
struct ivm_operands {
	char **args;			/* NULL-terminated, owned */
	int count;
	char **command;			/* into argv, NULL-terminated; NULL if none */
};

/* Not an errno: --help was printed; the command returns it and main() exits 0 */
#define IVM_OPTIONS_HELP	256

int ivm_options_parse(const struct ivm_options *options, int argc, char **argv,
		      struct ivm_operands *operands);
void ivm_operands_clear(struct ivm_operands *operands);

int ivm_parse_u64(const char *option, const char *text, uint64_t min, uint64_t max,
		  uint64_t *value);
int ivm_parse_size(const char *option, const char *text, uint64_t min_bytes, uint64_t max_bytes,
		   uint64_t *bytes);
int ivm_parse_duration(const char *option, const char *text, uint64_t min_ns, uint64_t max_ns,
		       uint64_t *ns);
int ivm_parse_choice(const char *option, const char *text, const char *const *names, int *index);

#endif /* IVM_OPTIONS_H */
