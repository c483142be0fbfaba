// SPDX-License-Identifier: GPL-2.0-or-later
/* Names for sampled stacks: kallsyms for the kernel, libdwfl for processes */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <elfutils/libdwfl.h>
#include <glib.h>
#include <json-c/json.h>

#include "symbols.h"

#define MAX_USER_FRAMES	64
#define MAX_FRAMES	(IVM_SAMPLE_KERNEL_FRAMES + MAX_USER_FRAMES)
#define MAX_STACKS	(1u << 18)
#define KERNEL		(1ull << 63)	/* addresses above are the kernel's */
#define MAX_FUNCTION	(1u << 20)	/* bytes; beyond it is some hole */

/* Frames of a stack, innermost first: a kernel address, or the address of a name */
struct stack {
	uint32_t id;
	unsigned int frames;
	uint64_t frame[];
};

struct process {
	pid_t pid;
	Dwfl *dwfl;			/* NULL: nothing is known of it */
	GHashTable *names;		/* address -> interned name */
};

/* A thread's last user stack: while it is in the same system call it stays as it is */
struct last {
	uint64_t regs[IVM_SAMPLE_REGS];
	uint32_t stack_bytes;
	uint8_t stack[IVM_SAMPLE_STACK_BYTES];
	unsigned int frames;
	uint64_t frame[MAX_USER_FRAMES];
};

struct kernel_symbol {
	uint64_t address;
	char *name;
};

struct ivm_symbols {
	GHashTable *stacks;		/* struct stack, its own key */
	GHashTable *processes;		/* tgid -> struct process */
	GHashTable *last;		/* tid -> struct last */
	GArray *kernel;			/* struct kernel_symbol, sorted; NULL: not read yet */
	/* The sample that is walked at the moment */
	struct process *process;
	const struct ivm_sample *sample;
	unsigned int frames;
	uint64_t frame[MAX_FRAMES];
};

static guint hash_stack(gconstpointer key)
{
	const struct stack *s = key;
	uint64_t hash = s->frames;
	unsigned int i;

	for (i = 0; i < s->frames; i++)
		hash = (hash ^ s->frame[i]) * 0x9e3779b97f4a7c15ull;
	return (guint)(hash >> 32);
}

static gboolean equal_stacks(gconstpointer a, gconstpointer b)
{
	const struct stack *x = a, *y = b;

	return x->frames == y->frames &&
	       !memcmp(x->frame, y->frame, x->frames * sizeof(x->frame[0]));
}

static void free_process(gpointer p)
{
	struct process *process = p;

	if (process->dwfl)
		dwfl_end(process->dwfl);
	g_hash_table_destroy(process->names);
	g_free(process);
}

struct ivm_symbols *ivm_symbols_new(void)
{
	struct ivm_symbols *s = g_new0(struct ivm_symbols, 1);

	/* Else libdwfl may ask servers for what it does not find here */
	unsetenv("DEBUGINFOD_URLS");
	s->stacks = g_hash_table_new_full(hash_stack, equal_stacks, g_free, NULL);
	s->processes = g_hash_table_new_full(NULL, NULL, NULL, free_process);
	s->last = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	return s;
}

static void free_kernel_symbol(gpointer p)
{
	g_free(((struct kernel_symbol *)p)->name);
}

void ivm_symbols_free(struct ivm_symbols *s)
{
	if (!s)
		return;
	g_hash_table_destroy(s->stacks);
	g_hash_table_destroy(s->last);
	g_hash_table_destroy(s->processes);
	if (s->kernel)
		g_array_unref(s->kernel);
	g_free(s);
}

/**
 * ivm_symbols_forget_processes() - processes came or went
 * @s: symbols
 *
 * What is mapped where has to be read again: numbers of processes are reused.
 */
void ivm_symbols_forget_processes(struct ivm_symbols *s)
{
	g_hash_table_remove_all(s->last);
	g_hash_table_remove_all(s->processes);
}

/* ---- processes ---- */

/* As the process itself finds it, which may live in another mount namespace */
static int find_elf(Dwfl_Module *module, void **userdata, const char *name, Dwarf_Addr base,
		    char **file_name, Elf **elf)
{
	const struct process *process = *userdata;
	g_autofree char *path = NULL;
	struct stat st;
	int fd;

	if (!process || name[0] != '/')
		return dwfl_linux_proc_find_elf(module, userdata, name, base, file_name, elf);
	path = g_strdup_printf("/proc/%d/root%s", process->pid, name);
	/* Devices are mapped, too, and opening one may do anything */
	if (stat(path, &st) || !S_ISREG(st.st_mode))
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		*file_name = strdup(path);
	return fd;
}

static const Dwfl_Callbacks dwfl_callbacks = {
	.find_elf = find_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
	.section_address = dwfl_offline_section_address,
};

static int set_userdata(Dwfl_Module *module, void **userdata, const char *name, Dwarf_Addr start,
			void *arg)
{
	(void)module;
	(void)name;
	(void)start;
	*userdata = arg;
	return DWARF_CB_OK;
}

static pid_t next_thread(Dwfl *dwfl, void *arg, void **thread)
{
	struct ivm_symbols *s = arg;

	(void)dwfl;
	if (*thread)
		return 0;
	*thread = s;
	return (pid_t)s->sample->tid;
}

/* Only the copy: the thread has moved on since */
static bool read_memory(Dwfl *dwfl, Dwarf_Addr address, Dwarf_Word *result, void *arg)
{
	const struct ivm_sample *sample = ((struct ivm_symbols *)arg)->sample;
#if defined(__aarch64__)
	uint64_t sp = sample->regs[31];
#else
	uint64_t sp = sample->regs[19];
#endif

	(void)dwfl;
	if (address < sp || address - sp > sample->stack_bytes ||
	    sample->stack_bytes - (address - sp) < sizeof(*result))
		return false;
	memcpy(result, sample->stack + (address - sp), sizeof(*result));
	return true;
}

/* From the kernel's order to that of DWARF */
static bool set_registers(Dwfl_Thread *thread, void *arg)
{
	const __u64 *regs = ((struct ivm_symbols *)arg)->sample->regs;
#if defined(__aarch64__)
	Dwarf_Word words[32];

	memcpy(words, regs, sizeof(words));
	dwfl_thread_state_register_pc(thread, regs[32]);
#else
	/* rax rdx rcx rbx rsi rdi rbp rsp r8..r15 rip */
	static const uint8_t places[] = { 10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0,
					  16 };
	Dwarf_Word words[G_N_ELEMENTS(places)];
	unsigned int i;

	for (i = 0; i < G_N_ELEMENTS(places); i++)
		words[i] = regs[places[i]];
#endif
	return dwfl_thread_state_registers(thread, 0, G_N_ELEMENTS(words), words);
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
	.next_thread = next_thread,
	.memory_read = read_memory,
	.set_initial_registers = set_registers,
};

static struct process *open_process(struct ivm_symbols *s, pid_t pid)
{
	struct process *p = g_new0(struct process, 1);

	p->pid = pid;
	p->names = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	g_hash_table_insert(s->processes, GINT_TO_POINTER(pid), p);
	p->dwfl = dwfl_begin(&dwfl_callbacks);
	if (!p->dwfl)
		return p;
	if (!dwfl_linux_proc_report(p->dwfl, pid) && !dwfl_report_end(p->dwfl, NULL, NULL)) {
		dwfl_getmodules(p->dwfl, set_userdata, p, 0);
		if (dwfl_attach_state(p->dwfl, NULL, pid, &thread_callbacks, s))
			return p;
	}
	dwfl_end(p->dwfl);
	p->dwfl = NULL;
	return p;
}

static const char *make_name(const struct process *p, uint64_t address)
{
	Dwfl_Module *module = p->dwfl ? dwfl_addrmodule(p->dwfl, address) : NULL;
	const char *name, *file, *slash;
	g_autofree char *text = NULL;
	GElf_Off offset = 0;
	Dwarf_Addr start = 0;
	GElf_Sym symbol;

	if (!module)
		return g_intern_static_string("[unknown]");
	name = dwfl_module_addrinfo(module, address, &offset, &symbol, NULL, NULL, NULL);
	/* What comes before it in a table of symbols need not be the function that it is in */
	if (name && offset < symbol.st_size) {
		text = g_strndup(name, strcspn(name, "@"));
		return g_intern_string(text);
	}
	file = dwfl_module_info(module, NULL, &start, NULL, NULL, NULL, NULL, NULL);
	slash = file ? strrchr(file, '/') : NULL;
	text = g_strdup_printf("[%s+0x%" PRIx64 "]", slash ? slash + 1 : file ? file : "unknown",
			       address - start);
	return g_intern_string(text);
}

static const char *user_name(struct process *p, uint64_t address)
{
	gint64 key = (gint64)address, *copy;
	const char *name = g_hash_table_lookup(p->names, &key);

	if (name)
		return name;
	name = make_name(p, address);
	copy = g_new(gint64, 1);
	*copy = key;
	g_hash_table_insert(p->names, copy, (gpointer)name);
	return name;
}

/* ---- stacks ---- */

static void add_frame(struct ivm_symbols *s, uint64_t frame)
{
	if (s->frames < MAX_FRAMES)
		s->frame[s->frames++] = frame;
}

static void add_user_frame(struct ivm_symbols *s, uint64_t address)
{
	add_frame(s, (uint64_t)(uintptr_t)user_name(s->process, address));
}

/*
 * Where a binary does not say how to find the caller, libdwfl takes what is in the
 * frame pointer's register for one.  It may be anything.
 */
static bool tells_caller(Dwfl *dwfl, Dwarf_Addr address)
{
	Dwfl_Module *module = dwfl_addrmodule(dwfl, address);
	Dwarf_Frame *frame = NULL;
	Dwarf_Addr bias;
	Dwarf_CFI *cfi;

	cfi = module ? dwfl_module_eh_cfi(module, &bias) : NULL;
	if (!cfi || dwarf_cfi_addrframe(cfi, address - bias, &frame)) {
		cfi = module ? dwfl_module_dwarf_cfi(module, &bias) : NULL;
		if (!cfi || dwarf_cfi_addrframe(cfi, address - bias, &frame))
			return false;
	}
	free(frame);
	return true;
}

static int take_frame(Dwfl_Frame *frame, void *arg)
{
	struct ivm_symbols *s = arg;
	bool is_activation;
	Dwarf_Addr pc;

	if (!dwfl_frame_pc(frame, &pc, &is_activation))
		return DWARF_CB_ABORT;
	/* A return address may be the next function's first */
	pc -= !is_activation;
	add_user_frame(s, pc);
	return s->frames < MAX_FRAMES && tells_caller(s->process->dwfl, pc) ? DWARF_CB_OK :
									      DWARF_CB_ABORT;
}

/* A walk that stops halfway must not look as if the thread began there */
static void walk_user(struct ivm_symbols *s)
{
	static const char cut[] = "[cut off]";
#if defined(__aarch64__)
	uint64_t pc = s->sample->regs[32];
#else
	uint64_t pc = s->sample->regs[16];
#endif
	unsigned int before = s->frames;

	if (s->process->dwfl &&
	    !dwfl_getthread_frames(s->process->dwfl, (pid_t)s->sample->tid, take_frame, s))
		return;
	if (s->frames == before)
		add_user_frame(s, pc);
	add_frame(s, (uint64_t)(uintptr_t)g_intern_static_string(cut));
}

static bool is_same(const struct last *last, const struct ivm_sample *sample)
{
	return last && last->stack_bytes == sample->stack_bytes &&
	       !memcmp(last->regs, sample->regs, sizeof(last->regs)) &&
	       !memcmp(last->stack, sample->stack, sample->stack_bytes);
}

static void add_user(struct ivm_symbols *s)
{
	const struct ivm_sample *sample = s->sample;
	struct last *last = g_hash_table_lookup(s->last, GUINT_TO_POINTER(sample->tid));
	unsigned int i, before = s->frames;

	if (is_same(last, sample)) {
		for (i = 0; i < last->frames; i++)
			add_frame(s, last->frame[i]);
		return;
	}
	s->process = g_hash_table_lookup(s->processes, GUINT_TO_POINTER(sample->tgid));
	if (!s->process)
		s->process = open_process(s, (pid_t)sample->tgid);
	walk_user(s);
	if (!last) {
		last = g_new(struct last, 1);
		g_hash_table_insert(s->last, GUINT_TO_POINTER(sample->tid), last);
	}
	memcpy(last->regs, sample->regs, sizeof(last->regs));
	last->stack_bytes = sample->stack_bytes;
	memcpy(last->stack, sample->stack, sample->stack_bytes);
	last->frames = MIN(s->frames - before, MAX_USER_FRAMES);
	memcpy(last->frame, s->frame + before, last->frames * sizeof(last->frame[0]));
}

/**
 * ivm_symbols_stack() - the number of a sample's stack
 * @s: symbols
 * @sample: walked now, as the process may be gone later
 *
 * Return: the number, from 1; 0 if there are too many stacks.
 */
uint32_t ivm_symbols_stack(struct ivm_symbols *s, const struct ivm_sample *sample)
{
	struct stack *stack, *known;
	unsigned int i;

	s->sample = sample;
	s->frames = 0;
	for (i = 0; i < sample->kernel_frames && i < IVM_SAMPLE_KERNEL_FRAMES; i++)
		add_frame(s, sample->kernel[i] | KERNEL);
	if (sample->stack_bytes && sample->stack_bytes <= IVM_SAMPLE_STACK_BYTES)
		add_user(s);
	stack = g_malloc(sizeof(*stack) + s->frames * sizeof(s->frame[0]));
	stack->frames = s->frames;
	memcpy(stack->frame, s->frame, s->frames * sizeof(s->frame[0]));
	known = g_hash_table_lookup(s->stacks, stack);
	if (known || g_hash_table_size(s->stacks) >= MAX_STACKS) {
		g_free(stack);
		return known ? known->id : 0;
	}
	stack->id = g_hash_table_size(s->stacks) + 1;
	g_hash_table_add(s->stacks, stack);
	return stack->id;
}

/* ---- the kernel ---- */

static gint compare_symbols(gconstpointer a, gconstpointer b)
{
	uint64_t x = ((const struct kernel_symbol *)a)->address;
	uint64_t y = ((const struct kernel_symbol *)b)->address;

	if (x != y)
		return x < y ? -1 : 1;
	/* Of several names for a place a function's comes last, and is found */
	return !!((const struct kernel_symbol *)a)->name -
	       !!((const struct kernel_symbol *)b)->name;
}

/* Data and what the linker made up are no functions, but they end some */
static void read_kernel(struct ivm_symbols *s)
{
	FILE *file = fopen("/proc/kallsyms", "re");
	struct kernel_symbol symbol;
	char line[512], name[256], type;

	s->kernel = g_array_new(FALSE, FALSE, sizeof(struct kernel_symbol));
	g_array_set_clear_func(s->kernel, free_kernel_symbol);
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%" SCNx64 " %c %255s", &symbol.address, &type, name) != 3 ||
		    !symbol.address)
			continue;
		symbol.name = strchr("tTwW", type) && strcmp(name, "_etext") ? g_strdup(name) :
									       NULL;
		g_array_append_val(s->kernel, symbol);
	}
	fclose(file);
	g_array_sort(s->kernel, compare_symbols);
}

static const struct kernel_symbol *find_kernel(const struct ivm_symbols *s, uint64_t address)
{
	guint low = 0, high = s->kernel->len, middle;
	const struct kernel_symbol *found;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (g_array_index(s->kernel, struct kernel_symbol, middle).address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return NULL;
	found = &g_array_index(s->kernel, struct kernel_symbol, low - 1);
	return found->name && address - found->address < MAX_FUNCTION ? found : NULL;
}

/* Return addresses are behind their call, see take_frame() */
static char *kernel_name(const struct ivm_symbols *s, uint64_t address, bool is_innermost)
{
	const struct kernel_symbol *symbol = find_kernel(s, is_innermost ? address : address - 1);

	if (symbol)
		return g_strdup_printf("%s_[k]", symbol->name);
	return g_strdup_printf("[kernel+0x%" PRIx64 "]_[k]", address);
}

static json_object *make_frames(const struct ivm_symbols *s, const struct stack *stack)
{
	json_object *frames = json_object_new_array();
	unsigned int i;

	for (i = stack->frames; i-- > 0;) {
		g_autofree char *name = NULL;

		if (stack->frame[i] & KERNEL)
			name = kernel_name(s, stack->frame[i], !i);
		else
			name = g_utf8_make_valid((const char *)(uintptr_t)stack->frame[i], -1);
		json_object_array_add(frames, json_object_new_string(name));
	}
	return frames;
}

/**
 * ivm_symbols_each() - all stacks that were numbered
 * @s: symbols; programs that were sampled must still be loaded
 * @fn: called for each one
 * @arg: handed to @fn
 *
 * Return: 0, or what @fn returned.
 */
int ivm_symbols_each(struct ivm_symbols *s, ivm_symbols_fn fn, void *arg)
{
	GHashTableIter i;
	gpointer key;
	int err = 0;

	if (!s->kernel)
		read_kernel(s);
	g_hash_table_iter_init(&i, s->stacks);
	while (!err && g_hash_table_iter_next(&i, &key, NULL)) {
		json_object *frames = make_frames(s, key);

		err = fn(arg, ((struct stack *)key)->id,
			 json_object_to_json_string_ext(frames, JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(frames);
	}
	return err;
}
