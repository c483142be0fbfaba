/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands of ivmtrace: one file each, one row each in the table of main.c.
 *
 * A command's file defines its struct ivm_cmd; declare it here and list it in
 * main.c in the order `ivmtrace help` shows.
 */
#ifndef IVM_COMMAND_H
#define IVM_COMMAND_H

/* As in rtla: a check that was asked for is told apart from an error */
enum ivm_exit {
	IVM_EXIT_OK,
	IVM_EXIT_ERROR,
	IVM_EXIT_CHECK,		/* a threshold or --strict was not met */
};

struct ivm_cmd {
	const char *name;
	const char *summary;	/* one line, lower case, no full stop */
	/*
	 * @argv[0] is the command's name, @argv[@argc] NULL.  Returns an
	 * enum ivm_exit, IVM_OPTIONS_HELP, or -errno for an error that was
	 * printed already.
	 */
	int (*run)(int argc, char **argv);
};

extern const struct ivm_cmd ivm_cmd_doctor;
extern const struct ivm_cmd ivm_cmd_list;
extern const struct ivm_cmd ivm_cmd_record;
extern const struct ivm_cmd ivm_cmd_mark;
extern const struct ivm_cmd ivm_cmd_report;
extern const struct ivm_cmd ivm_cmd_merge;
extern const struct ivm_cmd ivm_cmd_hist;
extern const struct ivm_cmd ivm_cmd_top;
extern const struct ivm_cmd ivm_cmd_export;
extern const struct ivm_cmd ivm_cmd_script;
extern const struct ivm_cmd ivm_cmd_explain;
extern const struct ivm_cmd ivm_cmd_events;
extern const struct ivm_cmd ivm_cmd_import;
extern const struct ivm_cmd ivm_cmd_diff;
extern const struct ivm_cmd ivm_cmd_replay;
extern const struct ivm_cmd ivm_cmd_bench;

#endif /* IVM_COMMAND_H */
