// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A pair of QEMUs with a bare guest in each.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __x86_64__
#include <x86intrin.h>
#endif

#include <glib.h>

#include "../device/ivm-linkpage.h"
#include "clock.h"
#include "ivshmem_server.h"
#include "lane.h"
#include "rig.h"

#define NS_PER_S		1000000000ull
#define MIN_SHMEM_BYTES		(1ull << 20)
#define MAX_SHMEM_BYTES		(64ull << 20)
#define SHMEM_PER_DOORBELL	128	/* two lanes, each half stamps: two stamps and a sample */
#define IDT_VECTORS_PER_CPU	200	/* the guest's IDT_LINK_COUNT */
#define IDT_LINK_BASE		0x28	/* the guest's */
#define COOKIES_PER_END		(1u << 24)
#define GRACE_S			10	/* the guests' own deadline strikes first and knows more */
#define SPAWN_POLL_MS		5
#define TAIL_BYTES		2000	/* of what QEMU said, for an error message */
/* A guest that waits for a CPU of the host must not find that its timer does not work */
#define LINUX_OPTIONS		"console=ttyS0 quiet panic=-1 oops=panic no_timer_check"
#define LINUX_SERIES		"6.12"	/* of a guest that is just called linux */

struct vm {
	GPid pid;			/* 0: not running */
	int in_fd, out_fd;		/* COM1 */
	int log_fd;			/* memfd: QEMU's stderr */
	GString *line;			/* of COM1, not complete yet */
	bool ready, done, exited;
	int status;
};

struct ivm_rig {
	struct ivm_rig_opts opts;
	enum ivm_rig_state state;
	struct vm vm[IVM_RIG_ENDS];
	char *dir;			/* for the sockets */
	char *socket_path;
	struct ivm_ivshmem_server *server;
	uint32_t greeted;
	uint64_t shmem_bytes;
	void *shmem;			/* NULL until somebody looks at it */
	uint64_t deadline_ns;
	uint64_t start_ns, start_tsc;
	char *why;
};

static const char *const vm_names[IVM_RIG_ENDS] = { "pong", "ping" };
static const uint32_t roles[IVM_RIG_ENDS] = { IVM_ROLE_PONG, IVM_ROLE_PING };

static uint64_t host_tsc(void)
{
#ifdef __x86_64__
	return __rdtsc();
#else
	return 0;
#endif
}

/* What QEMU said on stderr, its last lines */
static char *log_tail(const struct vm *vm)
{
	off_t end = lseek(vm->log_fd, 0, SEEK_END);	/* -1 before it was started */
	char text[TAIL_BYTES + 1];
	ssize_t got = pread(vm->log_fd, text, TAIL_BYTES, MAX(end - TAIL_BYTES, 0));

	text[got > 0 ? got : 0] = '\0';
	return g_strdup(g_strchomp(text));
}

static int __attribute__((format(printf, 3, 4)))
fail(struct ivm_rig *rig, int err, const char *format, ...)
{
	GString *why = g_string_new(NULL);
	va_list args;
	int i;

	va_start(args, format);
	g_string_vprintf(why, format, args);
	va_end(args);
	for (i = 0; i < IVM_RIG_ENDS; i++) {
		g_autofree char *said = log_tail(&rig->vm[i]);

		if (*said)
			g_string_append_printf(why, "\n%s's QEMU said: %s", vm_names[i], said);
	}
	g_free(rig->why);
	rig->why = g_string_free(why, FALSE);
	return err;
}

const char *ivm_rig_why(const struct ivm_rig *rig)
{
	return rig && rig->why ? rig->why : "nothing has failed";
}

/* The user's choice, else the first place that exists beside this executable, else NULL */
static char *find_file(const char *chosen, const char *const *places)
{
	g_autofree char *exe = g_file_read_link("/proc/self/exe", NULL);
	g_autofree char *dir = exe ? g_path_get_dirname(exe) : g_strdup(".");
	g_autofree char *path = NULL;

	if (chosen)
		return g_canonicalize_filename(chosen, NULL);
	for (; *places; places++) {
		g_free(path);
		path = g_build_filename(dir, *places, NULL);
		if (g_file_test(path, G_FILE_TEST_IS_REGULAR))
			return g_steal_pointer(&path);
	}
	return NULL;
}

static char *explain_missing(const char *path, const char *what, const char *remedy)
{
	if (path && g_file_test(path, G_FILE_TEST_IS_REGULAR))
		return NULL;
	return g_strdup_printf("no %s%s%s: %s", what, path ? " at " : "", path ? path : "", remedy);
}

/* "linux-6.1" is a directory of that name: a kernel, and an initrd with driver and tool */
static char *find_linux(const char *guest, const char *name)
{
	g_autofree char *full = strcmp(guest, "linux") ? g_strdup(guest) :
							 g_strdup("linux-" LINUX_SERIES);
	g_autofree char *built = g_build_filename("guest", full, name, NULL);
	g_autofree char *installed = g_build_filename("../libexec/ivmtrace", built, NULL);
	const char *const places[] = { built, installed, NULL };

	return find_file(NULL, places);
}

bool ivm_rig_runs_linux(void)
{
#ifdef __x86_64__
	g_autofree char *cpus = NULL;

	return g_file_get_contents("/proc/cpuinfo", &cpus, NULL, NULL) &&
	       (strstr(cpus, " vmx ") || strstr(cpus, " svm "));
#else
	return true;
#endif
}

int ivm_rig_find(const char *qemu, const char *guest, struct ivm_rig_paths *found, char **why)
{
	static const char *const qemu_places[] = {
		"qemu/qemu-system-x86_64", "../libexec/ivmtrace/qemu/qemu-system-x86_64", NULL };
	static const char *const guest_places[] = {
		"guest/ivm-bare.elf", "../libexec/ivmtrace/guest/ivm-bare.elf", NULL };

	bool is_linux = guest && (!strcmp(guest, "linux") || g_str_has_prefix(guest, "linux-"));

	found->qemu = find_file(qemu ? qemu : g_getenv("IVM_QEMU"), qemu_places);
	found->initrd = is_linux ? find_linux(guest, "initrd") : NULL;
	found->guest = is_linux ? find_linux(guest, "vmlinuz") :
		       find_file(guest ? guest : g_getenv("IVM_GUEST"), guest_places);
	*why = explain_missing(found->qemu, "QEMU with ivm-mailbox",
			       "'make device' builds it, --qemu names another");
	if (!*why && is_linux && !(found->guest && found->initrd))
		*why = g_strdup_printf("no %s guest: 'make guest-linux' builds it", guest);
	if (!*why)
		*why = explain_missing(found->guest, "guest payload",
				       "'make guest' builds it, --guest names another");
	return *why ? -ENOENT : 0;
}

void ivm_rig_paths_clear(struct ivm_rig_paths *paths)
{
	g_clear_pointer(&paths->qemu, g_free);
	g_clear_pointer(&paths->guest, g_free);
	g_clear_pointer(&paths->initrd, g_free);
}

static uint64_t choose_shmem(const struct ivm_rig_opts *opts)
{
	uint64_t wanted = ((uint64_t)opts->count + opts->warmup) * SHMEM_PER_DOORBELL;
	uint64_t bytes = MIN_SHMEM_BYTES;

	if (opts->shmem_bytes)
		return opts->shmem_bytes;
	while (bytes < wanted && bytes < MAX_SHMEM_BYTES)
		bytes *= 2;
	return bytes;
}

static void add(GPtrArray *argv, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(GPtrArray *argv, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_ptr_array_add(argv, g_strdup_vprintf(format, args));
	va_end(args);
}

/*
 * Firmware from beside a QEMU of our own; qboot if there is one, because it
 * boots in 0.2 s where SeaBIOS takes 4 s on a KVM that emulates its guests.
 */
static void add_firmware(GPtrArray *argv, const char *qemu)
{
	g_autofree char *dir = g_path_get_dirname(qemu);
	g_autofree char *share = g_build_filename(dir, "share", NULL);
	g_autofree char *own = g_build_filename(share, "qboot.rom", NULL);

	if (g_file_test(share, G_FILE_TEST_IS_DIR)) {
		add(argv, "-L");
		add(argv, "%s", share);
	}
	if (g_file_test(own, G_FILE_TEST_EXISTS) ||
	    g_file_test("/usr/share/qemu/qboot.rom", G_FILE_TEST_EXISTS)) {
		add(argv, "-bios");
		add(argv, "%s", g_file_test(own, G_FILE_TEST_EXISTS) ? own :
								       "/usr/share/qemu/qboot.rom");
	}
}

/* Linux has one vector more, which tells it of the link */
static uint32_t link_vectors(const struct ivm_rig_opts *opts)
{
	return opts->paths.initrd ? 1 : 0;
}

static void add_device(GPtrArray *argv, const struct ivm_rig *rig, enum ivm_rig_end end)
{
	const struct ivm_rig_opts *opts = &rig->opts;
	bool listens = opts->mode && end == IVM_RIG_PONG;

	add(argv, "-chardev");
	add(argv, "socket,id=link,path=%s%s", rig->socket_path,
	    listens ? ",server=on,wait=off" : opts->mode ? ",reconnect=1" : "");
	add(argv, "-device");
	if (opts->mode)
		add(argv, "ivm-mailbox,chardev=link,link=%s,mode=%s,vectors=%u,shmem=%" PRIu64,
		    opts->link, opts->mode, opts->vectors + link_vectors(opts),
		    rig->shmem_bytes);
	else
		add(argv, "ivshmem-doorbell,chardev=link,vectors=%u,ioeventfd=%s", opts->vectors,
		    opts->ioeventfd ? "on" : "off");
}

/* The ends' vectors lie side by side, so that the noise of each comes on the other's */
static char *noise_options(const struct ivm_rig_opts *opts, enum ivm_rig_end end)
{
	if (!opts->noise_hz)
		return g_strdup("");
	return g_strdup_printf(" noise=%u irq=%u", opts->noise_hz,
			       IDT_LINK_BASE + (end == IVM_RIG_PING ? opts->vectors : 0));
}

/*
 * A model every host has for a bare guest; one feature less than hosts without
 * SSE3 complain about.  Linux takes what there is, and needs some memory.
 */
static void add_machine(GPtrArray *argv, const struct ivm_rig_opts *opts)
{
	const char *linux_cpu = opts->tcg ? "qemu64" : "host";

	add(argv, "-accel");
	add(argv, "%s", opts->tcg ? "tcg" : "kvm");
	add(argv, "-cpu");
	add(argv, "%s", opts->paths.initrd ? linux_cpu : "qemu64,-sse3");
	add(argv, "-m");
	add(argv, "%u", opts->paths.initrd ? 256 : 32);
	add(argv, "-smp");
	add(argv, "%u", (opts->vectors + IDT_VECTORS_PER_CPU - 1) / IDT_VECTORS_PER_CPU);
	if (opts->paths.initrd) {
		add(argv, "-initrd");
		add(argv, "%s", opts->paths.initrd);
	}
}

static char **make_argv(const struct ivm_rig *rig, enum ivm_rig_end end)
{
	static const char *const fixed[] = {
		"-M", "pc", "-nodefaults", "-no-user-config", "-display", "none",
		"-vga", "none", "-no-reboot", "-chardev", "stdio,id=com,signal=off",
		"-serial", "chardev:com", "-kernel" };
	const struct ivm_rig_opts *opts = &rig->opts;
	GPtrArray *argv = g_ptr_array_new();
	g_autofree char *noise = noise_options(opts, end);
	size_t i;

	add(argv, "%s", opts->paths.qemu);
	add(argv, "-name");
	add(argv, "%s-%s,debug-threads=on", opts->link, vm_names[end]);
	add_machine(argv, opts);
	add_firmware(argv, opts->paths.qemu);
	for (i = 0; i < G_N_ELEMENTS(fixed); i++)
		add(argv, "%s", fixed[i]);
	add(argv, "%s", opts->paths.guest);
	add(argv, "-append");
	add(argv, "%s -- role=%s device=%s pattern=%s count=%u warmup=%u vectors=%u timeout=%u"
	    " cookie=%u%s gate hold", opts->paths.initrd ? LINUX_OPTIONS : "", vm_names[end],
	    opts->mode ? "ivm" : "ivshmem", opts->pattern, opts->count, opts->warmup,
	    opts->vectors, opts->timeout_s, (2 * opts->number + end) * COOKIES_PER_END, noise);
	add_device(argv, rig, end);
	g_ptr_array_add(argv, NULL);
	return (char **)g_ptr_array_free(argv, FALSE);
}

/* The half of this process's CPUs that one VM gets; all of them if there is just one */
static void choose_cpus(enum ivm_rig_end end, cpu_set_t *cpus)
{
	int all, taken = 0, cpu;

	if (sched_getaffinity(0, sizeof(*cpus), cpus))
		CPU_ZERO(cpus);
	all = CPU_COUNT(cpus);
	for (cpu = 0; cpu < CPU_SETSIZE && all > 1; cpu++)
		if (CPU_ISSET(cpu, cpus) && (taken++ < all / 2) != (end == IVM_RIG_PONG))
			CPU_CLR(cpu, cpus);
}

struct child {
	bool pinned;
	cpu_set_t cpus;
};

/* Runs in QEMU's process, which must not outlive a bench that was killed */
static void prepare_child(gpointer data)
{
	const struct child *child = data;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (child->pinned)
		sched_setaffinity(0, sizeof(child->cpus), &child->cpus);
}

static int spawn(struct ivm_rig *rig, enum ivm_rig_end end)
{
	g_auto(GStrv) argv = make_argv(rig, end);
	g_autoptr(GError) error = NULL;
	struct vm *vm = &rig->vm[end];
	struct child child = { .pinned = rig->opts.pin };

	choose_cpus(end, &child.cpus);
	child.pinned &= CPU_COUNT(&child.cpus) > 0;
	vm->log_fd = memfd_create("ivm-rig-log", MFD_CLOEXEC);
	if (vm->log_fd < 0)
		return fail(rig, -errno, "cannot make a log: %s", g_strerror(errno));
	if (!g_spawn_async_with_pipes_and_fds(NULL, (const char *const *)argv, NULL,
					      G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_CLOEXEC_PIPES,
					      prepare_child, &child, -1, -1, vm->log_fd, NULL, NULL,
					      0, &vm->pid, &vm->in_fd, &vm->out_fd, NULL, &error)) {
		vm->pid = 0;
		return fail(rig, -ENOEXEC, "cannot start QEMU: %s", error->message);
	}
	fcntl(vm->out_fd, F_SETFL, O_NONBLOCK);
	return 0;
}

static int make_socket_dir(struct ivm_rig *rig)
{
	g_autoptr(GError) error = NULL;

	rig->dir = g_dir_make_tmp("ivmtrace-XXXXXX", &error);
	if (!rig->dir)
		return fail(rig, -EIO, "cannot make a directory for sockets: %s", error->message);
	rig->socket_path = g_build_filename(rig->dir, "link.sock", NULL);
	return 0;
}

static int check_kvm(struct ivm_rig *rig)
{
	int fd;

	if (rig->opts.tcg)
		return 0;
	fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return fail(rig, -errno, "cannot open /dev/kvm: %s", g_strerror(errno));
	close(fd);
	return 0;
}

static int start_server(struct ivm_rig *rig)
{
	int err;

	if (rig->opts.mode)
		return 0;
	err = ivm_ivshmem_server_open(rig->socket_path, rig->shmem_bytes, rig->opts.vectors,
				      &rig->server);
	return err ? fail(rig, err, "cannot serve ivshmem: %s", g_strerror(-err)) : 0;
}

int ivm_rig_start(const struct ivm_rig_opts *opts, struct ivm_rig **out)
{
	struct ivm_rig *rig = g_new0(struct ivm_rig, 1);
	int i, err;

	*out = rig;
	rig->opts = *opts;
	for (i = 0; i < IVM_RIG_ENDS; i++) {
		rig->vm[i].in_fd = rig->vm[i].out_fd = rig->vm[i].log_fd = -1;
		rig->vm[i].line = g_string_new(NULL);
	}
	rig->shmem_bytes = choose_shmem(opts);
	rig->start_ns = ivm_now_ns();
	rig->start_tsc = host_tsc();
	rig->deadline_ns = rig->start_ns + (opts->timeout_s + GRACE_S) * NS_PER_S;
	err = check_kvm(rig);
	if (!err)
		err = make_socket_dir(rig);
	if (!err)
		err = start_server(rig);
	return err ? err : spawn(rig, IVM_RIG_PONG);
}

enum ivm_rig_state ivm_rig_state(const struct ivm_rig *rig)
{
	return rig->state;
}

pid_t ivm_rig_pid(const struct ivm_rig *rig, enum ivm_rig_end end)
{
	return rig->vm[end].pid;
}

static int take_line(struct ivm_rig *rig, enum ivm_rig_end end, const char *line)
{
	static const char *const prefixes[] = { "ivm-bare: ", "ivm-linux: " };
	struct vm *vm = &rig->vm[end];
	const char *prefix = prefixes[rig->opts.paths.initrd ? 1 : 0], *said;

	if (!g_str_has_prefix(line, prefix))
		return 0;
	said = line + strlen(prefix);
	if (g_str_has_prefix(said, "ready"))
		vm->ready = true;
	else if (g_str_has_prefix(said, "done"))
		vm->done = true;
	else if (g_str_has_prefix(said, "failed: "))
		return fail(rig, -EIO, "the %s guest of %s failed: %s", vm_names[end],
			    rig->opts.link, said + strlen("failed: "));
	return 0;
}

static int take_text(struct ivm_rig *rig, enum ivm_rig_end end, const char *text, size_t length)
{
	GString *line = rig->vm[end].line;
	size_t i;
	int err;

	for (i = 0; i < length; i++) {
		if (text[i] == '\n') {
			err = take_line(rig, end, line->str);
			g_string_truncate(line, 0);
			if (err)
				return err;
		} else if (line->len < TAIL_BYTES && text[i] != '\r') {
			g_string_append_c(line, text[i]);
		}
	}
	return 0;
}

/* COM1 was closed: QEMU has ended, or is about to */
static int take_exit(struct ivm_rig *rig, enum ivm_rig_end end)
{
	struct vm *vm = &rig->vm[end];
	pid_t pid = waitpid(vm->pid, &vm->status, WNOHANG);

	if (pid == 0)
		return 0;
	vm->exited = true;
	vm->pid = 0;
	if (rig->state == IVM_RIG_LEAVING && WIFEXITED(vm->status) && !WEXITSTATUS(vm->status))
		return 0;
	if (WIFSIGNALED(vm->status))
		return fail(rig, -EIO, "QEMU of the %s guest of %s was killed by signal %d",
			    vm_names[end], rig->opts.link, WTERMSIG(vm->status));
	return fail(rig, -EIO, "QEMU of the %s guest of %s ended early, exit code %d",
		    vm_names[end], rig->opts.link, WEXITSTATUS(vm->status));
}

static int read_console(struct ivm_rig *rig, enum ivm_rig_end end)
{
	char text[1024];
	ssize_t got;
	int err;

	if (!rig->vm[end].pid)
		return 0;
	do {
		got = read(rig->vm[end].out_fd, text, sizeof(text));
		if (got > 0) {
			err = take_text(rig, end, text, (size_t)got);
			if (err)
				return err;
		}
	} while (got > 0 || (got < 0 && errno == EINTR));
	return got == 0 ? take_exit(rig, end) : 0;
}

static bool both(const struct ivm_rig *rig, bool (*is)(const struct vm *vm))
{
	return is(&rig->vm[IVM_RIG_PONG]) && is(&rig->vm[IVM_RIG_PING]);
}

static bool is_ready(const struct vm *vm)
{
	return vm->ready;
}

static bool is_done(const struct vm *vm)
{
	return vm->done;
}

static bool has_exited(const struct vm *vm)
{
	return vm->exited;
}

static void advance(struct ivm_rig *rig)
{
	if (rig->state == IVM_RIG_STARTING && both(rig, is_ready))
		rig->state = IVM_RIG_READY;
	if (rig->state == IVM_RIG_RUNNING && both(rig, is_done))
		rig->state = IVM_RIG_DONE;
	if (rig->state == IVM_RIG_LEAVING && both(rig, has_exited))
		rig->state = IVM_RIG_GONE;
}

static int wait_for_input(struct ivm_rig *rig, int timeout_ms)
{
	bool expects_peer = rig->server && rig->greeted < IVM_IVSHMEM_PEERS;
	struct pollfd fds[] = {
		{ .fd = rig->vm[IVM_RIG_PONG].exited ? -1 : rig->vm[IVM_RIG_PONG].out_fd,
		  .events = POLLIN },
		{ .fd = rig->vm[IVM_RIG_PING].exited ? -1 : rig->vm[IVM_RIG_PING].out_fd,
		  .events = POLLIN },
		{ .fd = expects_peer ? ivm_ivshmem_server_listen_fd(rig->server) : -1,
		  .events = POLLIN },
	};
	int err;

	if (poll(fds, G_N_ELEMENTS(fds), timeout_ms) < 0 && errno != EINTR)
		return fail(rig, -errno, "cannot wait for QEMU: %s", g_strerror(errno));
	if (!(fds[2].revents & POLLIN))
		return 0;
	rig->greeted++;
	err = ivm_ivshmem_server_accept(rig->server);
	return err ? fail(rig, err, "cannot serve ivshmem: %s", g_strerror(-err)) : 0;
}

/* The second QEMU connects, so it starts when there is something to connect to */
static int start_ping(struct ivm_rig *rig)
{
	if (rig->vm[IVM_RIG_PING].pid || rig->vm[IVM_RIG_PING].exited ||
	    !g_file_test(rig->socket_path, G_FILE_TEST_EXISTS))
		return 0;
	return spawn(rig, IVM_RIG_PING);
}

int ivm_rig_poll(struct ivm_rig *rig, int timeout_ms)
{
	int err, i;

	err = start_ping(rig);
	if (err)
		return err;
	if (!rig->vm[IVM_RIG_PING].pid && rig->state == IVM_RIG_STARTING)
		timeout_ms = MIN(timeout_ms, SPAWN_POLL_MS);
	err = wait_for_input(rig, timeout_ms);
	for (i = 0; i < IVM_RIG_ENDS && !err; i++)
		err = read_console(rig, i);
	if (err)
		return err;
	advance(rig);
	if (ivm_now_ns() > rig->deadline_ns && rig->state != IVM_RIG_GONE)
		return fail(rig, -ETIMEDOUT, "the guests of %s did not %s within %u s",
			    rig->opts.link, rig->state == IVM_RIG_STARTING ? "get ready" : "finish",
			    rig->opts.timeout_s + GRACE_S);
	return 0;
}

static int open_gates(struct ivm_rig *rig, enum ivm_rig_state next)
{
	int i;

	for (i = 0; i < IVM_RIG_ENDS; i++) {
		if (write(rig->vm[i].in_fd, "\n", 1) != 1)
			return fail(rig, -EPIPE, "cannot reach the %s guest of %s", vm_names[i],
				    rig->opts.link);
	}
	rig->state = next;
	rig->deadline_ns = ivm_now_ns() + (rig->opts.timeout_s + GRACE_S) * NS_PER_S;
	return 0;
}

int ivm_rig_go(struct ivm_rig *rig)
{
	if (rig->state != IVM_RIG_READY)
		return fail(rig, -EINVAL, "the guests are not ready");
	return open_gates(rig, IVM_RIG_RUNNING);
}

int ivm_rig_release(struct ivm_rig *rig)
{
	if (rig->state != IVM_RIG_DONE)
		return fail(rig, -EINVAL, "the guests are not done");
	return open_gates(rig, IVM_RIG_LEAVING);
}

/* Descriptor of the shared memory in QEMU's table, opened read-only */
static int open_qemu_shmem(pid_t pid, uint64_t bytes)
{
	g_autofree char *dir = g_strdup_printf("/proc/%d/fd", (int)pid);
	const char *wanted = "/memfd:" IVM_SHMEM_NAME " (deleted)";
	struct dirent *entry;
	struct stat st;
	int fd = -1;
	DIR *fds;

	fds = opendir(dir);
	if (!fds)
		return -errno;
	while (fd < 0 && (entry = readdir(fds))) {
		g_autofree char *path = g_build_filename(dir, entry->d_name, NULL);
		g_autofree char *target = g_file_read_link(path, NULL);

		if (g_strcmp0(target, wanted))
			continue;
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && (fstat(fd, &st) || (uint64_t)st.st_size != bytes)) {
			close(fd);
			fd = -1;
		}
	}
	closedir(fds);
	return fd < 0 ? -ENOENT : fd;
}

static int map_shmem(struct ivm_rig *rig)
{
	void *map;
	int fd, err = 0;

	if (rig->shmem)
		return 0;
	if (rig->server)
		fd = dup(ivm_ivshmem_server_shmem_fd(rig->server));
	else
		fd = open_qemu_shmem(rig->vm[IVM_RIG_PONG].pid, rig->shmem_bytes);
	if (fd < 0)
		err = rig->server ? -errno : fd;
	if (!err) {
		map = mmap(NULL, rig->shmem_bytes, PROT_READ, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED)
			err = -errno;
		else
			rig->shmem = map;
		close(fd);
	}
	return err ? fail(rig, err, "cannot map the shared memory of %s: %s", rig->opts.link,
			  g_strerror(-err)) : 0;
}

/* What the guest at this end has written so far */
static int read_result(struct ivm_rig *rig, enum ivm_rig_end end, struct ivm_result *result,
		       const uint32_t **ticks)
{
	int err = map_shmem(rig);

	if (err)
		return err;
	err = ivm_lane_find_result(rig->shmem, rig->shmem_bytes, roles[end], result, ticks);
	return err ? fail(rig, -EBADMSG, "the %s guest of %s left no valid result", vm_names[end],
			  rig->opts.link) : 0;
}

int ivm_rig_keep_lanes(struct ivm_rig *rig, const char *path)
{
	g_autoptr(GError) error = NULL;
	int err = map_shmem(rig);

	if (!err && !g_file_set_contents_full(path, rig->shmem, (gssize)rig->shmem_bytes,
					      G_FILE_SET_CONTENTS_NONE, 0644, &error))
		err = -EIO;
	return err;
}

int ivm_rig_progress(struct ivm_rig *rig, enum ivm_rig_end end, uint64_t *sent, uint64_t *handled)
{
	struct ivm_result result;
	const uint32_t *ticks;
	uint32_t vector;
	int err = read_result(rig, end, &result, &ticks);

	*sent = *handled = 0;
	for (vector = 0; vector < 256 && !err; vector++) {
		*sent += result.sent_by_vector[vector];
		*handled += result.handled_by_vector[vector];
	}
	return err;
}

/*
 * Nanoseconds per guest TSC tick.  Under KVM the guest was told by KVM; under
 * TCG it has the host's TSC, watched here for the whole run, and what it could
 * measure itself is a few milliseconds against an emulated timer.
 */
static double tick_ns(const struct ivm_rig *rig, uint32_t guest_khz)
{
	uint64_t ticks = host_tsc() - rig->start_tsc, ns = ivm_now_ns() - rig->start_ns;

	if (rig->opts.tcg && ticks)
		return (double)ns / (double)ticks;
	return guest_khz ? 1e6 / guest_khz : 0;
}

static uint64_t *convert_samples(const struct ivm_rig *rig, const uint32_t *ticks, uint32_t max,
				 uint32_t tsc_khz, uint64_t *count)
{
	double tick = tick_ns(rig, tsc_khz);
	uint64_t *ns;
	uint32_t i;

	if (!ticks || tick <= 0)
		return NULL;
	*count = max;
	ns = g_new(uint64_t, max);
	for (i = 0; i < max; i++)
		ns[i] = (uint64_t)(ticks[i] * tick + 0.5);
	return ns;
}

/* What a guest with a kernel says of that; a bare one has left these fields 0 */
static void convert_kernel_samples(const struct ivm_rig *rig, enum ivm_rig_end end,
				   struct ivm_rig_result *result)
{
	const struct ivm_result *g = &result->guest;
	const uint32_t *leave, *enter;

	leave = ivm_lane_find_samples(rig->shmem, rig->shmem_bytes, roles[end], g->leave_off,
				      g->leave_max);
	enter = ivm_lane_find_samples(rig->shmem, rig->shmem_bytes, roles[end], g->enter_off,
				      g->enter_max);
	result->leave_ns = convert_samples(rig, leave, g->leave_max, g->tsc_khz,
					   &result->leave_samples);
	result->enter_ns = convert_samples(rig, enter, g->enter_max, g->tsc_khz,
					   &result->enter_samples);
}

int ivm_rig_result(struct ivm_rig *rig, enum ivm_rig_end end, struct ivm_rig_result *result)
{
	const uint32_t *ticks = NULL;
	int err;

	*result = (struct ivm_rig_result){ 0 };
	err = read_result(rig, end, &result->guest, &ticks);
	if (err)
		return err;
	if (result->guest.state != IVM_RESULT_DONE)
		return fail(rig, -EBADMSG, "the %s guest of %s is not done", vm_names[end],
			    rig->opts.link);
	result->rtt_ns = convert_samples(rig, ticks, result->guest.rtt_max, result->guest.tsc_khz,
					 &result->rtt_samples);
	convert_kernel_samples(rig, end, result);
	return 0;
}

void ivm_rig_result_clear(struct ivm_rig_result *result)
{
	g_clear_pointer(&result->rtt_ns, g_free);
	g_clear_pointer(&result->leave_ns, g_free);
	g_clear_pointer(&result->enter_ns, g_free);
}

static void end_vm(struct vm *vm)
{
	if (vm->pid) {
		kill(vm->pid, SIGKILL);
		while (waitpid(vm->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (vm->in_fd >= 0)
		close(vm->in_fd);
	if (vm->out_fd >= 0)
		close(vm->out_fd);
	if (vm->log_fd >= 0)
		close(vm->log_fd);
	g_string_free(vm->line, TRUE);
}

void ivm_rig_close(struct ivm_rig *rig)
{
	int i;

	if (!rig)
		return;
	for (i = 0; i < IVM_RIG_ENDS; i++)
		end_vm(&rig->vm[i]);
	ivm_ivshmem_server_close(rig->server);
	if (rig->shmem)
		munmap(rig->shmem, rig->shmem_bytes);
	if (rig->socket_path)
		unlink(rig->socket_path);
	if (rig->dir)
		rmdir(rig->dir);
	g_free(rig->socket_path);
	g_free(rig->dir);
	g_free(rig->why);
	g_free(rig);
}
