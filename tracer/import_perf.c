// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What 'perf script' prints, as records.
 *
 *	COMM PID/TID [CPU] SECONDS.NANOSECONDS: SYSTEM:EVENT: TEXT
 *
 * The text is each tracepoint's own, which is as stable as the tools that read
 * it: every field is looked for where kernels from 5.10 to 6.18 print it, and a
 * line that lacks one is counted rather than guessed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include "import.h"

#define NSEC_PER_SEC	1000000000ull
#define MSI_BASE	0xfee00000ull

int ivm_import_hook(const char *name, size_t length)
{
	static struct ivm_hook hooks[IVM_HOOKS];
	int id;

	if (!hooks[0].name)
		ivm_hooks_init(hooks);
	for (id = 0; id < IVM_HOOKS; id++)
		if (strlen(hooks[id].name) == length && !strncmp(hooks[id].name, name, length))
			return id;
	return -1;
}

/* The number behind @key, of whatever base; false if there is none */
static bool after(const char *text, const char *key, int base, uint64_t *value)
{
	const char *at = strstr(text, key);
	char *end;

	if (!at)
		return false;
	at += strlen(key);
	while (*at == ' ')
		at++;
	errno = 0;
	*value = *at == '-' ? (uint64_t)strtoll(at, &end, base) : strtoull(at, &end, base);
	return end != at && !errno;
}

static bool has(const char *text, const char *word)
{
	return strstr(text, word) != NULL;
}

/* ---- one function for each way in which texts are built ---- */

/* Only interrupt windows matter; VMX and SVM name them so */
static bool parse_exit(const char *text, uint64_t args[])
{
	args[0] = UINT32_MAX;
	if (has(text, "reason INTERRUPT_WINDOW") || has(text, "reason PENDING_INTERRUPT")) {
		args[0] = 7;
		args[1] = 1;
	} else if (has(text, "reason vintr")) {
		args[0] = 0x64;
		args[1] = 2;
	}
	return has(text, "reason ");
}

static bool parse_nothing(const char *text, uint64_t args[])
{
	(void)text;
	(void)args;
	return true;
}

static bool parse_mmio(const char *text, uint64_t args[])
{
	args[0] = has(text, "mmio write") ? 2 : has(text, "unsatisfied") ? 0 : 1;
	return after(text, " len ", 10, &args[1]) && after(text, " gpa ", 16, &args[2]) &&
	       after(text, " val ", 16, &args[3]);
}

static bool parse_pio(const char *text, uint64_t args[])
{
	args[0] = has(text, "pio_write");
	return after(text, " at ", 16, &args[1]) && after(text, " size ", 10, &args[2]);
}

static bool parse_fast_mmio(const char *text, uint64_t args[])
{
	return after(text, "gpa ", 16, &args[0]);
}

static bool parse_user_exit(const char *text, uint64_t args[])
{
	return after(text, "(", 10, &args[0]);
}

static uint64_t delivery_mode(const char *text)
{
	static const char *const names[] = { "Fixed", "LowPrio", "SMI", "Res3", "NMI", "INIT",
					     "SIPI", "ExtINT" };
	unsigned int i;

	for (i = 0; i < G_N_ELEMENTS(names); i++)
		if (has(text, names[i]))
			return i << 8;
	return 0;
}

/* The message is printed in its parts: put together again it is what was written */
static bool parse_msi(const char *text, uint64_t args[])
{
	uint64_t target, vector;

	if (!after(text, "dst ", 16, &target) || !after(text, "vec ", 10, &vector))
		return false;
	args[0] = MSI_BASE | (target & 0xff) << 12 | (target & ~0xffull) << 32;
	args[0] |= has(text, "logical") ? 1 << 2 : 0;
	args[0] |= has(text, "|rh") ? 1 << 3 : 0;
	args[1] = (vector & 0xff) | delivery_mode(text) | (has(text, "|level") ? 1 << 15 : 0);
	return true;
}

static bool parse_set_irq(const char *text, uint64_t args[])
{
	return after(text, "gsi ", 10, &args[0]) && after(text, "level ", 10, &args[1]) &&
	       after(text, "source ", 10, &args[2]);
}

static bool parse_accept(const char *text, uint64_t args[])
{
	args[2] = delivery_mode(text);
	return after(text, "apicid ", 16, &args[0]) && after(text, "vec ", 10, &args[1]);
}

static bool parse_unhalt(const char *text, uint64_t args[])
{
	args[1] = g_str_has_prefix(text, "wait");
	args[2] = !has(text, "invalid");
	return after(text, "time ", 10, &args[0]);
}

static bool parse_inj(const char *text, uint64_t args[])
{
	args[1] = has(text, "INTn") || has(text, "Soft");
	args[2] = has(text, "reinjected");
	return after(text, " 0x", 16, &args[0]) || after(text, "irq ", 10, &args[0]);
}

static bool parse_eoi(const char *text, uint64_t args[])
{
	return after(text, "vector ", 10, &args[0]);
}

static bool parse_tsc_offset(const char *text, uint64_t args[])
{
	return after(text, "next=", 10, &args[0]) && after(text, "prev=", 10, &args[1]) &&
	       after(text, "vcpu=", 10, &args[2]);
}

static bool parse_waking(const char *text, uint64_t args[])
{
	const char *colon;

	if (after(text, " pid=", 10, &args[0]))
		return true;
	/* COMM:PID [PRIO], as trace-cmd's plugin has it */
	colon = strchr(text, ':');
	return colon && after(colon, ":", 10, &args[0]);
}

/* prev_state is letters, R or R+ if it could go on */
static bool parse_switch(const char *text, uint64_t args[])
{
	const char *state = strstr(text, " prev_state=");

	if (!state || !after(text, " prev_pid=", 10, &args[0]) ||
	    !after(text, " next_pid=", 10, &args[1]))
		return false;
	args[2] = state[strlen(" prev_state=")] == 'R' ? 0 : 1;
	return true;
}

static bool parse_ipi(const char *text, uint64_t args[])
{
	/* A symbol and an offset if there is a callback, nil if it is a plain kick */
	args[1] = !has(text, "callback=0x0") && !has(text, "callback=(nil)") &&
		  !g_str_has_suffix(text, "callback=");
	return after(text, "cpu=", 10, &args[0]);
}

static bool parse_work(const char *text, uint64_t args[])
{
	args[1] = has(text, "irqfd_inject") ? IVM_RECORDS_INJECT : 0;
	return after(text, "work struct=", 16, &args[0]) ||
	       after(text, "work struct ", 16, &args[0]);
}

static bool parse_fd(const char *text, uint64_t args[])
{
	uint64_t count = 8;

	if (!after(text, "fd: ", 16, &args[0]))
		return false;
	/* As the filter says, if it was not asked for */
	return !after(text, "count: ", 16, &count) || count == 8;
}

static bool parse_return(const char *text, uint64_t args[])
{
	return after(text, "", 0, &args[0]);
}

static bool (*const parsers[IVM_HOOKS])(const char *text, uint64_t args[]) = {
	[IVM_HOOK_KVM_EXIT] = parse_exit,
	[IVM_HOOK_KVM_ENTRY] = parse_nothing,
	[IVM_HOOK_KVM_MMIO] = parse_mmio,
	[IVM_HOOK_KVM_PIO] = parse_pio,
	[IVM_HOOK_KVM_FAST_MMIO] = parse_fast_mmio,
	[IVM_HOOK_KVM_USERSPACE_EXIT] = parse_user_exit,
	[IVM_HOOK_KVM_MSI_SET_IRQ] = parse_msi,
	[IVM_HOOK_KVM_SET_IRQ] = parse_set_irq,
	[IVM_HOOK_KVM_APIC_ACCEPT_IRQ] = parse_accept,
	[IVM_HOOK_KVM_APICV_ACCEPT_IRQ] = parse_accept,
	[IVM_HOOK_KVM_VCPU_WAKEUP] = parse_unhalt,
	[IVM_HOOK_KVM_INJ_VIRQ] = parse_inj,
	[IVM_HOOK_KVM_EOI] = parse_eoi,
	[IVM_HOOK_KVM_WRITE_TSC_OFFSET] = parse_tsc_offset,
	[IVM_HOOK_SCHED_WAKING] = parse_waking,
	[IVM_HOOK_SCHED_SWITCH] = parse_switch,
	[IVM_HOOK_IPI_SEND_CPU] = parse_ipi,
	[IVM_HOOK_QUEUE_WORK] = parse_work,
	[IVM_HOOK_WORK_START] = parse_work,
	[IVM_HOOK_WORK_END] = parse_work,
	[IVM_HOOK_WRITE] = parse_fd,
	[IVM_HOOK_SENDMSG] = parse_fd,
	[IVM_HOOK_SENDMSG_RET] = parse_return,
	[IVM_HOOK_RECVMSG] = parse_fd,
	[IVM_HOOK_RECVMSG_RET] = parse_return,
	[IVM_HOOK_READ] = parse_fd,
	[IVM_HOOK_READ_RET] = parse_return,
};

/* ---- lines ---- */

/* A task may call itself anything: what follows " [CPU] " tells where its name ends */
static const char *find_cpu(const char *line, unsigned int *cpu, uint64_t *t_ns)
{
	unsigned long long seconds, fraction;
	const char *at = line;
	char digits[16];
	int length;

	while ((at = strstr(at, " ["))) {
		length = 0;
		if (sscanf(at, " [%u] %llu.%9[0-9]: %n", cpu, &seconds, digits, &length) == 3 &&
		    length && strlen(digits) >= 6 && *cpu <= UINT16_MAX &&
		    seconds < UINT64_MAX / NSEC_PER_SEC) {
			fraction = strtoull(digits, NULL, 10);
			if (strlen(digits) == 6)
				fraction *= 1000;
			*t_ns = seconds * NSEC_PER_SEC + fraction;
			return at;
		}
		at++;
	}
	return NULL;
}

/* "PID/TID" right before @end */
static bool find_task(const char *line, const char *end, struct ivm_record *r)
{
	unsigned int pid, tid;

	while (end > line && end[-1] == ' ')
		end--;
	while (end > line && end[-1] != ' ')
		end--;
	if (sscanf(end, "%u/%u", &pid, &tid) != 2)
		return false;
	r->tid = tid;
	r->tgid = pid;
	return true;
}

/* One line of 'perf script': 1 a record, 0 none of ours, -EINVAL one that is damaged */
static int read_perf_line(const char *line, struct ivm_record *r)
{
	const char *cpu_at, *event, *colon, *text;
	unsigned int cpu;
	int hook;

	memset(r, 0, sizeof(*r));
	cpu_at = find_cpu(line, &cpu, &r->t_ns);
	if (!cpu_at)
		return 0;
	event = strchr(cpu_at, ':') + 1;
	while (*event == ' ')
		event++;
	colon = strchr(event, ':');
	text = colon ? strchr(colon + 1, ':') : NULL;
	if (!text)
		return 0;
	hook = ivm_import_hook(colon + 1, (size_t)(text - colon - 1));
	if (hook < 0 || !parsers[hook])
		return 0;
	text++;
	while (*text == ' ')
		text++;
	r->hook = (uint8_t)hook;
	r->cpu = (uint16_t)cpu;
	if (!find_task(line, cpu_at, r))
		return -EINVAL;
	if (parsers[hook](text, r->args))
		return 1;
	return hook == IVM_HOOK_WRITE && has(text, "fd: ") ? 0 : -EINVAL;
}

int ivm_import_perf_text(struct ivm_import *i, FILE *in)
{
	struct ivm_record r;
	char *line = NULL;
	size_t bytes = 0;
	ssize_t length;
	int got, err;

	while ((length = getline(&line, &bytes, in)) > 0) {
		while (length && (line[length - 1] == '\n' || line[length - 1] == ' '))
			line[--length] = 0;
		got = read_perf_line(line, &r);
		if (got > 0)
			i->take(i->arg, &r);
		else if (got < 0)
			i->unread++;
		if (strstr(line, "LOST ") && strstr(line, "PERF_RECORD_LOST"))
			i->lost++;
	}
	err = ferror(in) ? -EIO : 0;
	free(line);
	return err;
}
