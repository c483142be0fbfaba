// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The environment of a recording, out of /proc and /sys.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "environment.h"

#define MAX_FILE_BYTES		65536		/* of a text in /proc or /sys */
#define MAX_BINARY_BYTES	(256 << 20)	/* of a QEMU that is searched for its version */
#define MAX_VERSION_BYTES	128
#define CHUNK_BYTES		(1 << 20)
#define MAX_CPUS		4096

struct fact {
	uint32_t vm;
	char *key;
	char *value;
};

struct ivm_environment {
	GHashTable *facts;	/* struct fact * as a set */
	GHashTable *vms;	/* numbers of those that were read */
	GHashTable *vcpus;	/* thread ids of those that were read */
	GHashTable *versions;	/* "device:inode" of a binary -> char * version, may be "" */
};

/* ---- facts ---- */

static guint hash_fact(gconstpointer p)
{
	const struct fact *f = p;

	return g_str_hash(f->key) ^ f->vm * 0x9e3779b9u;
}

static gboolean equal_facts(gconstpointer a, gconstpointer b)
{
	const struct fact *x = a, *y = b;

	return x->vm == y->vm && !strcmp(x->key, y->key);
}

static void free_fact(gpointer p)
{
	struct fact *f = p;

	g_free(f->key);
	g_free(f->value);
	g_free(f);
}

struct ivm_environment *ivm_environment_new(void)
{
	struct ivm_environment *env = g_new0(struct ivm_environment, 1);

	env->facts = g_hash_table_new_full(hash_fact, equal_facts, free_fact, NULL);
	env->vms = g_hash_table_new(NULL, NULL);
	env->vcpus = g_hash_table_new(NULL, NULL);
	env->versions = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	return env;
}

void ivm_environment_free(struct ivm_environment *env)
{
	if (!env)
		return;
	g_hash_table_destroy(env->facts);
	g_hash_table_destroy(env->vms);
	g_hash_table_destroy(env->vcpus);
	g_hash_table_destroy(env->versions);
	g_free(env);
}

void ivm_environment_set(struct ivm_environment *env, uint32_t vm, const char *key,
			 const char *value)
{
	struct fact *f;

	if (!value || !*value)
		return;
	f = g_new0(struct fact, 1);
	f->vm = vm;
	f->key = g_strdup(key);
	f->value = g_utf8_make_valid(value, -1);
	g_hash_table_add(env->facts, f);
}

const char *ivm_environment_get(const struct ivm_environment *env, uint32_t vm, const char *key)
{
	const struct fact wanted = { .vm = vm, .key = (char *)key };
	const struct fact *f = g_hash_table_lookup(env->facts, &wanted);

	return f ? f->value : NULL;
}

int ivm_environment_write(const struct ivm_environment *env, struct ivm_recording *r)
{
	const struct fact *f;
	GHashTableIter it;
	gpointer key;
	int err = 0;

	g_hash_table_iter_init(&it, env->facts);
	while (!err && g_hash_table_iter_next(&it, &key, NULL)) {
		f = key;
		err = ivm_recording_add_fact(r, f->vm, f->key, f->value);
	}
	return err;
}

/* ---- files ---- */

/* Without the newline at its end; NULL if it cannot be read.  Files of /proc have no size */
static char *read_file(const char *path, gsize *bytes)
{
	g_autofree char *text = g_malloc(MAX_FILE_BYTES + 1);
	size_t got = 0;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return NULL;
	while (got < MAX_FILE_BYTES && (n = read(fd, text + got, MAX_FILE_BYTES - got)) > 0)
		got += (size_t)n;
	close(fd);
	text[got] = 0;
	if (bytes)
		*bytes = got;
	else
		g_strchomp(text);
	return g_steal_pointer(&text);
}

static char *read_text(const char *root, const char *path)
{
	g_autofree char *full = g_strconcat(root, path, NULL);

	return read_file(full, NULL);
}

/* The value of a line "name<blanks>: value"; NULL without such a line */
static char *line_value(const char *text, const char *name)
{
	size_t bytes = strlen(name);
	const char *at = text, *value;

	while (at) {
		value = at + bytes;
		if (!strncmp(at, name, bytes) && strspn(value, " \t:") &&
		    memchr(value, ':', strspn(value, " \t:"))) {
			value += strspn(value, " \t:");
			return g_strndup(value, strcspn(value, "\n"));
		}
		at = strchr(at, '\n');
		at = at ? at + 1 : NULL;
	}
	return NULL;
}

/* ---- the host ---- */

static void read_kernel(struct ivm_environment *env)
{
	struct utsname host;

	if (uname(&host))
		return;
	ivm_environment_set(env, 0, "kernel", host.release);
	ivm_environment_set(env, 0, "kernel.build", host.version);
	ivm_environment_set(env, 0, "arch", host.machine);
}

static void read_cpu(struct ivm_environment *env, const char *root)
{
	static const char *const lines[][2] = {
		{ "cpu", "model name" }, { "cpu.microcode", "microcode" },
		{ "cpu", "CPU part" },	/* what an arm64 has in place of a name */
	};
	g_autofree char *text = read_text(root, "/proc/cpuinfo");
	unsigned int i;

	for (i = 0; text && i < G_N_ELEMENTS(lines); i++) {
		g_autofree char *value = line_value(text, lines[i][1]);

		if (!ivm_environment_get(env, 0, lines[i][0]))
			ivm_environment_set(env, 0, lines[i][0], value);
	}
	if (text)
		ivm_environment_set(env, 0, "hypervisor",
				    strstr(text, " hypervisor") ? "this host is a VM" : NULL);
}

static gint compare_texts(gconstpointer a, gconstpointer b, gpointer unused)
{
	(void)unused;
	return strcmp(a, b);
}

/* "performance", or "performance 6, powersave 2" where CPUs differ */
static void read_cpus(struct ivm_environment *env, const char *root, const char *key,
		      const char *file)
{
	g_autoptr(GTree) counts = g_tree_new_full(compare_texts, NULL, g_free, NULL);
	g_autoptr(GString) all = g_string_new(NULL);
	GTreeNode *node;
	unsigned int i;

	for (i = 0; i < MAX_CPUS; i++) {
		g_autofree char *dir = g_strdup_printf("%s/sys/devices/system/cpu/cpu%u", root, i);
		g_autofree char *path = g_strdup_printf("%s/%s", dir, file);
		char *value;

		if (access(dir, F_OK))
			break;
		value = read_file(path, NULL);
		if (value)
			g_tree_insert(counts, value, GUINT_TO_POINTER(1 + GPOINTER_TO_UINT(
						g_tree_lookup(counts, value))));
	}
	for (node = g_tree_node_first(counts); node; node = g_tree_node_next(node)) {
		g_string_append_printf(all, "%s%s", all->len ? ", " : "",
				       (char *)g_tree_node_key(node));
		if (g_tree_nnodes(counts) > 1)
			g_string_append_printf(all, " %u",
					       GPOINTER_TO_UINT(g_tree_node_value(node)));
	}
	ivm_environment_set(env, 0, key, all->str);
}

/* One fact each, so that a comparison names the one that differs */
static void read_mitigations(struct ivm_environment *env, const char *root)
{
	static const char where[] = "/sys/devices/system/cpu/vulnerabilities";
	g_autofree char *path = g_strconcat(root, where, NULL);
	GDir *dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *file = g_strdup_printf("%s/%s", path, name);
		g_autofree char *key = g_strconcat("mitigation.", name, NULL);
		g_autofree char *value = read_file(file, NULL);

		ivm_environment_set(env, 0, key, value);
	}
	if (dir)
		g_dir_close(dir);
}

/* "[always] madvise never" says always */
static char *chosen(char *text)
{
	char *open = text ? strchr(text, '[') : NULL;
	char *close = open ? strchr(open, ']') : NULL;
	char *value = close ? g_strndup(open + 1, (gsize)(close - open - 1)) : g_strdup(text);

	g_free(text);
	return value;
}

void ivm_environment_read_host(struct ivm_environment *env, const char *root)
{
	static const char *const files[][2] = {
		{ "kernel.command_line", "/proc/cmdline" },
		{ "cpus.online", "/sys/devices/system/cpu/online" },
		{ "cpus.isolated", "/sys/devices/system/cpu/isolated" },
		{ "cpus.nohz_full", "/sys/devices/system/cpu/nohz_full" },
		{ "smt", "/sys/devices/system/cpu/smt/control" },
		{ "boost", "/sys/devices/system/cpu/cpufreq/boost" },
		{ "no_turbo", "/sys/devices/system/cpu/intel_pstate/no_turbo" },
		{ "cpuidle.driver", "/sys/devices/system/cpu/cpuidle/current_driver" },
		{ "cpuidle.governor", "/sys/devices/system/cpu/cpuidle/current_governor" },
		{ "clocksource",
		  "/sys/devices/system/clocksource/clocksource0/current_clocksource" },
		{ "numa_balancing", "/proc/sys/kernel/numa_balancing" },
		{ "transparent_hugepage", "/sys/kernel/mm/transparent_hugepage/enabled" },
		{ "preempt", "/sys/kernel/debug/sched/preempt" },
		{ "sched_rt_runtime_us", "/proc/sys/kernel/sched_rt_runtime_us" },
		{ "kvm.halt_poll_ns", "/sys/module/kvm/parameters/halt_poll_ns" },
		{ "kvm.halt_poll_ns_grow", "/sys/module/kvm/parameters/halt_poll_ns_grow" },
		{ "kvm.halt_poll_ns_grow_start",
		  "/sys/module/kvm/parameters/halt_poll_ns_grow_start" },
		{ "kvm.halt_poll_ns_shrink", "/sys/module/kvm/parameters/halt_poll_ns_shrink" },
		{ "kvm.apicv", "/sys/module/kvm_intel/parameters/enable_apicv" },
		{ "kvm.ipiv", "/sys/module/kvm_intel/parameters/enable_ipiv" },
		{ "kvm.ept", "/sys/module/kvm_intel/parameters/ept" },
		{ "kvm.avic", "/sys/module/kvm_amd/parameters/avic" },
		{ "kvm.npt", "/sys/module/kvm_amd/parameters/npt" },
	};
	unsigned int i;

	read_kernel(env);
	read_cpu(env, root);
	for (i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *value = chosen(read_text(root, files[i][1]));

		ivm_environment_set(env, 0, files[i][0], value);
	}
	read_cpus(env, root, "cpufreq.governor", "cpufreq/scaling_governor");
	read_cpus(env, root, "cpufreq.driver", "cpufreq/scaling_driver");
	read_cpus(env, root, "cpufreq.max_khz", "cpufreq/scaling_max_freq");
	read_mitigations(env, root);
}

/* ---- command lines ---- */

/* Is what follows "key=" for nobody else's eyes? */
static bool is_secret(const char *arg, const char *key, size_t key_bytes)
{
	static const char *const keys[] = { "password", "passwd", "passphrase" };
	unsigned int i;

	if (key_bytes == strlen("data") && !strncmp(key, "data", key_bytes))
		return strstr(arg, "secret") != NULL;
	for (i = 0; i < G_N_ELEMENTS(keys); i++)
		if (key_bytes == strlen(keys[i]) && !strncmp(key, keys[i], key_bytes))
			return true;
	return false;
}

/* "secret,id=s,data=x,,y" without its data; ",," is a comma within a value */
static char *without_secrets(const char *arg)
{
	GString *out = g_string_new(NULL);
	const char *at = arg, *end, *equals;

	while (*at) {
		for (end = at; *end && (*end != ',' || end[1] == ','); end++)
			end += *end == ',';
		equals = memchr(at, '=', (size_t)(end - at));
		if (equals && is_secret(arg, at, (size_t)(equals - at)))
			g_string_append_printf(out, "%.*s=***", (int)(equals - at), at);
		else
			g_string_append_len(out, at, end - at);
		if (*end)
			g_string_append_c(out, *end++);
		at = end;
	}
	return g_string_free(out, FALSE);
}

static bool is_plain(const char *arg)
{
	return *arg && arg[strspn(arg, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "0123456789_-+=:,./@%")] == 0;
}

char *ivm_command_line(const char *cmdline, size_t cmdline_bytes)
{
	const char *at = cmdline, *end = cmdline + cmdline_bytes, *nul;
	GString *all = g_string_new(NULL);

	for (; at < end && (nul = memchr(at, 0, (size_t)(end - at))); at = nul + 1) {
		g_autofree char *arg = without_secrets(at);
		g_autofree char *quoted = is_plain(arg) ? g_strdup(arg) : g_shell_quote(arg);

		g_string_append_printf(all, "%s%s", all->len ? " " : "", quoted);
	}
	return g_string_free(all, FALSE);
}

/* ---- VMs ---- */

static void read_command_line(struct ivm_environment *env, uint32_t vm, pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", pid);
	g_autofree char *text = NULL, *shown = NULL;
	gsize bytes = 0;

	text = read_file(path, &bytes);
	if (!text)
		return;
	shown = ivm_command_line(text, bytes);
	ivm_environment_set(env, vm, "command_line", shown);
}

/* Where the text of it begins in the file; -1 if it has none */
static off_t find_version(int fd)
{
	static const char prefix[] = "QEMU emulator version ";
	g_autofree char *data = g_malloc(CHUNK_BYTES);
	const char *found;
	off_t at = 0;
	ssize_t bytes;

	while (at < MAX_BINARY_BYTES && (bytes = pread(fd, data, CHUNK_BYTES, at)) > 0) {
		found = memmem(data, (size_t)bytes, prefix, strlen(prefix));
		if (found)
			return at + (found - data) + (off_t)strlen(prefix);
		if ((size_t)bytes < sizeof(prefix))
			break;
		at += bytes - (ssize_t)strlen(prefix);
	}
	return -1;
}

/*
 * What its --version would print: to run it as whoever we are is not for us to
 * do.  Read, not mapped: whoever owns the file may truncate it any time.
 */
static char *read_version(int fd)
{
	char text[MAX_VERSION_BYTES + 1] = "";
	off_t at = find_version(fd);
	size_t length = 0;

	if (at >= 0 && pread(fd, text, MAX_VERSION_BYTES, at) > 0)
		while (g_ascii_isprint(text[length]))
			length++;
	return g_strndup(text, length);
}

/* Each binary is searched once, however many VMs run it */
static void read_qemu(struct ivm_environment *env, uint32_t vm, pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/exe", pid);
	g_autofree char *target = g_file_read_link(path, NULL);
	g_autofree char *id = NULL;
	const char *version;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	ivm_environment_set(env, vm, "qemu", target);
	if (fd < 0)
		return;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode)) {
		id = g_strdup_printf("%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
		version = g_hash_table_lookup(env->versions, id);
		if (!version) {
			version = read_version(fd);
			g_hash_table_insert(env->versions, g_steal_pointer(&id), (char *)version);
		}
		ivm_environment_set(env, vm, "qemu.version", version);
	}
	close(fd);
}

static const char *policy_name(int policy)
{
	switch (policy) {
	case SCHED_OTHER:
		return "other";
	case SCHED_FIFO:
		return "fifo";
	case SCHED_RR:
		return "rr";
	case SCHED_BATCH:
		return "batch";
	case SCHED_IDLE:
		return "idle";
	}
	return NULL;
}

/* "0-1 other", "3 fifo 50": the CPUs it may run on, and how it is scheduled */
static void read_thread(struct ivm_environment *env, uint32_t vm, const char *key, pid_t pid,
			pid_t tid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/task/%d/status", pid, tid);
	g_autofree char *status = read_file(path, NULL);
	g_autofree char *cpus = status ? line_value(status, "Cpus_allowed_list") : NULL;
	g_autofree char *value = NULL;
	struct sched_param param = {};
	const char *policy = policy_name(sched_getscheduler(tid));

	if (!cpus)
		return;
	if (policy && !sched_getparam(tid, &param) && param.sched_priority)
		value = g_strdup_printf("%s %s %d", cpus, policy, param.sched_priority);
	else
		value = g_strdup_printf("%s%s%s", cpus, policy ? " " : "", policy ? policy : "");
	ivm_environment_set(env, vm, key, value);
}

static void read_vcpu(struct ivm_environment *env, const struct ivm_vcpu *vcpu)
{
	g_autofree char *key = g_strdup_printf("vcpu.%" PRIu32, vcpu->vcpu_id);

	read_thread(env, vcpu->vm->id, key, vcpu->vm->tgid, vcpu->tid);
}

void ivm_environment_read_vm(struct ivm_environment *env, uint32_t vm, pid_t pid)
{
	read_qemu(env, vm, pid);
	read_command_line(env, vm, pid);
	read_thread(env, vm, "main", pid, pid);
}

/* What was configured; the mode that was observed is the journeys' to tell */
static void note_end(struct ivm_environment *env, const struct ivm_end *end)
{
	static const char *const modes[] = {
		[IVM_MODE_QEMU] = "qemu", [IVM_MODE_IRQFD] = "irqfd",
		[IVM_MODE_DIRECT] = "direct", [IVM_MODE_AUTO] = "auto",
	};
	const struct ivm_linkpage *page = &end->page;
	g_autofree char *key = NULL, *value = NULL;
	const char *mode;

	if (end->kind != IVM_END_LINK)
		return;
	mode = page->mode_configured < G_N_ELEMENTS(modes) ? modes[page->mode_configured] : NULL;
	key = g_strdup_printf("end.%.*s.%s", (int)sizeof(page->name), page->name,
			      page->side == IVM_SIDE_SERVER ? "server" : "client");
	value = g_strdup_printf("%s, %u vectors, %" PRIu64 " bytes shared, %s",
				mode ? mode : "unknown", (unsigned int)page->vectors,
				(uint64_t)page->shmem_bytes,
				page->accel == IVM_ACCEL_KVM ? "kvm" : "not kvm");
	ivm_environment_set(env, end->vm->id, key, value);
}

void ivm_environment_follow(struct ivm_environment *env, const struct ivm_topology *t, bool again)
{
	guint i;

	for (i = 0; i < t->vms->len; i++) {
		const struct ivm_vm *vm = g_ptr_array_index(t->vms, i);

		if (!vm->dead && (g_hash_table_add(env->vms, GUINT_TO_POINTER(vm->id)) || again))
			ivm_environment_read_vm(env, vm->id, vm->tgid);
	}
	for (i = 0; i < t->vcpus->len; i++) {
		const struct ivm_vcpu *vcpu = g_ptr_array_index(t->vcpus, i);

		if (!vcpu->vm->dead &&
		    (g_hash_table_add(env->vcpus, GINT_TO_POINTER(vcpu->tid)) || again))
			read_vcpu(env, vcpu);
	}
	for (i = 0; i < t->ends->len; i++)
		note_end(env, g_ptr_array_index(t->ends, i));
}
