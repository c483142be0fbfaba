// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ivmtrace doctor: what this host lets us see, and what a report lacks.
 *
 * Opens a real session: what it says about a hook is how the hook was attached
 * a moment ago, not how it might be.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <json-c/json.h>

#include "command.h"
#include "error.h"
#include "options.h"
#include "probe.h"
#include "session.h"
#include "tracefs.h"

enum format { FORMAT_TEXT, FORMAT_JSON };
static const char *const format_names[] = { "text", "json", NULL };

/* One fact about the host beside the hooks */
struct fact {
	const char *name;
	const char *value;
	bool is_good;
};

struct checkup {
	struct ivm_session *session;
	int err;			/* of opening it */
	enum ivm_probe_result probe;
	struct utsname host;
	struct fact facts[10];
	unsigned int fact_count;
	char clocksource[64];
};

static void add_fact(struct checkup *c, const char *name, const char *value, bool is_good)
{
	c->facts[c->fact_count++] = (struct fact){ name, value, is_good };
}

static const char *kvm_kind(void)
{
	if (!access("/sys/module/kvm_intel", F_OK))
		return "kvm_intel";
	if (!access("/sys/module/kvm_amd", F_OK))
		return "kvm_amd";
	if (!access("/sys/module/kvm", F_OK))
		return "kvm, neither kvm_intel nor kvm_amd";
	return "none";
}

static void read_clocksource(char *name, size_t bytes)
{
	g_autofree char *text = NULL;

	if (g_file_get_contents("/sys/devices/system/clocksource/clocksource0/current_clocksource",
				&text, NULL, NULL))
		g_strlcpy(name, g_strchomp(text), bytes);
	else
		g_strlcpy(name, "unknown", bytes);
}

static void gather_facts(struct checkup *c)
{
	int tracefs = ivm_tracefs_open();
	bool refused = c->err == -EPERM || ivm_session_fallback(c->session);
	bool kvm = !access("/dev/kvm", R_OK | W_OK);
	bool wires = ivm_session_has_wires(c->session);

	uname(&c->host);
	read_clocksource(c->clocksource, sizeof(c->clocksource));
	add_fact(c, "kernel", c->host.release, true);
	add_fact(c, "backend", ivm_session_backend(c->session),
		 !c->err && !ivm_session_fallback(c->session));
	add_fact(c, "bpf", refused ? "refused" : "permitted", !refused);
	add_fact(c, "btf", access("/sys/kernel/btf/vmlinux", R_OK) ? "absent" : "present",
		 !access("/sys/kernel/btf/vmlinux", R_OK));
	add_fact(c, "tracefs", tracefs < 0 ? "not readable" : "readable", tracefs >= 0);
	add_fact(c, "kvm", kvm_kind(), strcmp(kvm_kind(), "none") != 0);
	add_fact(c, "/dev/kvm", kvm ? "usable" : "not usable", kvm);
	add_fact(c, "clocksource", c->clocksource, !strcmp(c->clocksource, "tsc"));
	if (!c->err || c->err == -EOPNOTSUPP) {
		add_fact(c, "vcpu threads", ivm_session_vcpu_source(c->session), true);
		add_fact(c, "eventfd tables", wires ? "iter" : "not readable", wires);
	}
	if (tracefs >= 0)
		close(tracefs);
}

/* ---- output ---- */

/* Has the little VM shown that the hook fires, or that it does not? */
static const char *fires(const struct checkup *c, const struct ivm_hook *hook)
{
	if (hook->state == IVM_HOOK_ABSENT)
		return "no";
	if (hook->fired)
		return "yes";
	return hook->silent && c->probe == IVM_PROBE_RAN ? "no" : "unknown";
}

static bool is_complaint(const struct checkup *c, const struct ivm_hook *hook)
{
	return !strcmp(fires(c, hook), "no");
}

static void print_hooks(const struct checkup *c)
{
	const struct ivm_hook *hooks = ivm_session_hooks(c->session);
	int i;

	printf("\n%-24s %-10s %-8s %s\n", "HOOK", "STATE", "FIRES", "GIVES");
	for (i = 0; i < IVM_HOOKS; i++) {
		const struct ivm_hook *hook = &hooks[i];

		printf("%-24s %-10s %-8s %s\n", hook->target ? hook->target : hook->name,
		       ivm_hook_shown(hook), fires(c, hook), hook->gives);
		if (is_complaint(c, hook))
			printf("%24s without it: %s\n", "", hook->loss);
	}
}

static void print_verdict(const struct checkup *c)
{
	if (c->err)
		printf("\nnot usable: %s\n", ivm_session_why(c->session));
	else
		printf("\nusable: doorbells and interrupts between VMs can be counted\n");
	if (ivm_session_fallback(c->session))
		printf("tracefs, not bpf: %s\n", ivm_session_fallback(c->session));
}

static void print_text(const struct checkup *c)
{
	unsigned int i;

	for (i = 0; i < c->fact_count; i++)
		printf("%-14s %s%s\n", c->facts[i].name, c->facts[i].value,
		       c->facts[i].is_good ? "" : "  (!)");
	printf("%-14s %s\n", "probe VM", ivm_probe_result_name(c->probe));
	if (!c->err || c->err == -EOPNOTSUPP)
		print_hooks(c);
	print_verdict(c);
}

static void add_string(struct json_object *to, const char *key, const char *value)
{
	json_object_object_add(to, key, value ? json_object_new_string(value) : NULL);
}

static struct json_object *hook_json(const struct checkup *c, const struct ivm_hook *hook)
{
	struct json_object *o = json_object_new_object();

	add_string(o, "state", ivm_hook_shown(hook));
	add_string(o, "attached", hook->state == IVM_HOOK_ABSENT ?
		   NULL : ivm_hook_state_name(hook->state));
	add_string(o, "target", hook->target ? hook->target : hook->name);
	add_string(o, "fires", fires(c, hook));
	json_object_object_add(o, "fired", json_object_new_uint64(hook->fired));
	json_object_object_add(o, "required", json_object_new_boolean(hook->required));
	add_string(o, "gives", hook->gives);
	add_string(o, "loss", is_complaint(c, hook) ? hook->loss : NULL);
	return o;
}

static void print_json(const struct checkup *c)
{
	struct json_object *root = json_object_new_object();
	struct json_object *host = json_object_new_object();
	struct json_object *list = json_object_new_object();
	const struct ivm_hook *hooks = ivm_session_hooks(c->session);
	unsigned int i;

	add_string(root, "schema", "ivmtrace-doctor/1");
	for (i = 0; i < c->fact_count; i++)
		add_string(host, c->facts[i].name, c->facts[i].value);
	add_string(host, "arch", c->host.machine);
	add_string(host, "probe", ivm_probe_result_name(c->probe));
	json_object_object_add(root, "host", host);
	for (i = 0; i < IVM_HOOKS; i++)
		json_object_object_add(list, hooks[i].name, hook_json(c, &hooks[i]));
	json_object_object_add(root, "hooks", list);
	json_object_object_add(root, "usable", json_object_new_boolean(!c->err));
	add_string(root, "why", c->err ? ivm_session_why(c->session) : NULL);
	printf("%s\n", json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY |
						      JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(root);
}

/* ---- the command ---- */

/* Counting hooks fire for any VM, so one of our own shows which of them do */
static void run_probe(struct checkup *c)
{
	c->probe = IVM_PROBE_NOT_RUN;
	if (c->err)
		return;
	c->err = ivm_session_arm(c->session, NULL);
	if (c->err)
		return;
	c->probe = ivm_probe_run();
	ivm_session_poll(c->session, 0);
	if (c->probe == IVM_PROBE_RAN)
		ivm_session_probed(c->session);
}

static int check_up(enum format format, enum ivm_backend backend)
{
	const struct ivm_session_opts opts = {
		.buffer_bytes = 1 << 20,
		.backend = backend,
		.wires = true,
		.probes = true,
	};
	struct checkup c = {};
	int ret;

	c.err = ivm_session_open(&opts, &c.session);
	run_probe(&c);
	gather_facts(&c);
	if (format == FORMAT_JSON)
		print_json(&c);
	else
		print_text(&c);
	if (c.err == -EPERM)
		ret = ivm_fail("%s", ivm_session_why(c.session));
	else
		ret = c.err ? IVM_EXIT_CHECK : IVM_EXIT_OK;
	ivm_session_close(c.session);
	return ret;
}

static int run_doctor(int argc, char **argv)
{
	g_autofree char *backend_text = NULL;
	g_autofree char *format_text = NULL;
	const GOptionEntry entries[] = {
		{ "format", 0, 0, G_OPTION_ARG_FILENAME, &format_text,
		  "Print text (default) or json", "FORMAT" },
		{ "backend", 0, 0, G_OPTION_ARG_FILENAME, &backend_text,
		  "Look at what bpf or tracefs gives (default: auto)", "BACKEND" },
		{ 0 }
	};
	const struct ivm_options options = {
		.summary = "Say which points of an interrupt's way this host lets ivmtrace see,\n"
			   "and what a report lacks without the others.",
		.description = "Exit status: 0 usable, 2 something that counting needs is missing, "
			       "1 error.",
		.entries = entries,
	};
	struct ivm_operands operands = {};
	int err, format = FORMAT_TEXT, backend = IVM_BACKEND_AUTO;

	err = ivm_options_parse(&options, argc, argv, &operands);
	ivm_operands_clear(&operands);
	if (!err && format_text)
		err = ivm_parse_choice("--format", format_text, format_names, &format);
	if (!err && backend_text)
		err = ivm_parse_choice("--backend", backend_text, ivm_backend_names, &backend);
	return err ? err : check_up(format, backend);
}

const struct ivm_cmd ivm_cmd_doctor = {
	.name = "doctor",
	.summary = "say what this host lets ivmtrace see",
	.run = run_doctor,
};
