// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Holds every second doorbell of a link up at one place on its way, and says for
 * how long.
 *
 *   delay PID COUNT MS stop TID                   a thread does not run
 *   delay PID COUNT MS compete TID CPU            a thread has to wait for its CPU
 *   delay PID COUNT MS relay LISTEN CONNECT       a socket lets nothing through
 *
 * PID is a QEMU of the link: its guest's doorbells are seen in the shared memory.
 * Prints "ready", then for each doorbell held up a line with its number, from 1,
 * and begin and end of the delay in ns of CLOCK_MONOTONIC.  A delay begins when
 * the doorbell was seen to have been rung, or its message to have arrived.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../guest/ivm-shmem.h"

#define NS_PER_MS	1000000ull
#define LOOK_NS		20000		/* between two looks at the shared memory */
#define SETTLE_NS	(5 * NS_PER_MS)	/* a doorbell that is not held up has arrived */
#define GIVE_UP_NS	(60000 * NS_PER_MS)
#define MAX_FDS		16		/* of one message of the link's protocol */

struct delay {
	uint64_t begin_ns, end_ns;
};

/* One place on the way; the end is called with the delay's begin filled in */
struct place {
	void (*setup)(char **args);
	void (*begin)(void);
	void (*end)(struct delay *delay, uint64_t length_ns);
};

static void die(const char *what)
{
	fprintf(stderr, "delay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t end_ns)
{
	struct timespec t = { (time_t)(end_ns / 1000000000), (long)(end_ns % 1000000000) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

/* ---- a thread that does not run ---- */

static pid_t stopped_tid;

static void stop_setup(char **args)
{
	stopped_tid = atoi(args[0]);
	if (ptrace(PTRACE_SEIZE, stopped_tid, NULL, NULL))
		die("cannot seize the thread");
}

static void stop_begin(void)
{
	int status;

	if (ptrace(PTRACE_INTERRUPT, stopped_tid, NULL, NULL) ||
	    waitpid(stopped_tid, &status, __WALL) != stopped_tid || !WIFSTOPPED(status))
		die("cannot stop the thread");
}

static void stop_end(struct delay *delay, uint64_t length_ns)
{
	sleep_until(delay->begin_ns + length_ns);
	delay->end_ns = now_ns();
	if (ptrace(PTRACE_CONT, stopped_tid, NULL, NULL))
		die("cannot let the thread go on");
}

/* ---- a thread that has to wait for its CPU ---- */

static pthread_mutex_t hog_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t hog_cond = PTHREAD_COND_INITIALIZER;
static atomic_bool hog_runs;
static _Atomic uint64_t hog_end_ns;

static void *hog(void *unused)
{
	(void)unused;
	for (;;) {
		pthread_mutex_lock(&hog_lock);
		while (!hog_runs)
			pthread_cond_wait(&hog_cond, &hog_lock);
		pthread_mutex_unlock(&hog_lock);
		while (hog_runs)
			;
		hog_end_ns = now_ns();
	}
	return NULL;
}

static void compete_setup(char **args)
{
	struct sched_param first = { .sched_priority = 1 };
	pid_t tid = atoi(args[0]);
	pthread_attr_t attr;
	pthread_t thread;
	cpu_set_t one, others;
	int cpu = atoi(args[1]), err;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_getaffinity(0, sizeof(others), &others))
		die("cannot tell the CPUs");
	CPU_CLR(cpu, &others);
	if (sched_setaffinity(tid, sizeof(one), &one) ||
	    sched_setaffinity(0, sizeof(others), &others))
		die("cannot pin");
	pthread_attr_init(&attr);
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attr, SCHED_FIFO);
	pthread_attr_setschedparam(&attr, &first);
	pthread_attr_setaffinity_np(&attr, sizeof(one), &one);
	err = pthread_create(&thread, &attr, hog, NULL);
	if (err) {
		errno = err;
		die("cannot start a thread of real-time priority");
	}
}

static void compete_begin(void)
{
	hog_end_ns = 0;
	pthread_mutex_lock(&hog_lock);
	hog_runs = true;
	pthread_cond_signal(&hog_cond);
	pthread_mutex_unlock(&hog_lock);
}

static void compete_end(struct delay *delay, uint64_t length_ns)
{
	sleep_until(delay->begin_ns + length_ns);
	hog_runs = false;
	while (!hog_end_ns)
		sched_yield();
	delay->end_ns = hog_end_ns;
}

/* ---- a socket that lets nothing through ---- */

struct relay {
	int from, to;
	bool delays;			/* this direction */
};

static atomic_bool relay_holds;
static _Atomic uint64_t relay_length_ns;
static struct delay relay_delay;
static atomic_bool relay_done;

static void send_all(int fd, struct msghdr *message)
{
	struct iovec *part = message->msg_iov;
	ssize_t sent;

	while (part->iov_len) {
		sent = sendmsg(fd, message, MSG_NOSIGNAL);
		if (sent <= 0)
			exit(0);
		part->iov_base = (char *)part->iov_base + sent;
		part->iov_len -= (size_t)sent;
		message->msg_control = NULL;	/* descriptors went with the first byte */
		message->msg_controllen = 0;
	}
}

static void close_fds(struct msghdr *message)
{
	struct cmsghdr *c;
	size_t i;

	for (c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			for (i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++)
				close(((int *)(void *)CMSG_DATA(c))[i]);
}

static void hold_message(void)
{
	relay_delay.begin_ns = now_ns();
	sleep_until(relay_delay.begin_ns + relay_length_ns);
	relay_holds = false;
	relay_delay.end_ns = now_ns();
}

static void *relay(void *arg)
{
	const struct relay *r = arg;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(MAX_FDS * sizeof(int))];
	char data[4096];
	bool held;

	for (;;) {
		struct iovec part = { data, sizeof(data) };
		struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1,
					  .msg_control = control,
					  .msg_controllen = sizeof(control) }, kept;
		ssize_t got = recvmsg(r->from, &message, 0);

		if (got <= 0)
			exit(0);
		held = r->delays && relay_holds;
		if (held)
			hold_message();
		part.iov_len = (size_t)got;
		kept = message;
		send_all(r->to, &message);
		close_fds(&kept);
		if (held)
			relay_done = true;
	}
	return NULL;
}

static int open_socket(const char *path, bool listens)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), client;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0)
		die("socket");
	if (!listens) {
		if (connect(fd, (void *)&address, sizeof(address)))
			die(path);
		return fd;
	}
	if (bind(fd, (void *)&address, sizeof(address)) || listen(fd, 1))
		die(path);
	client = accept(fd, NULL, NULL);
	if (client < 0)
		die(path);
	close(fd);
	return client;
}

static void relay_setup(char **args)
{
	static struct relay relays[2];
	pthread_t thread;
	int client = open_socket(args[0], true), server = open_socket(args[1], false), i;

	relays[0] = (struct relay){ client, server, true };
	relays[1] = (struct relay){ server, client, false };
	for (i = 0; i < 2; i++)
		if (pthread_create(&thread, NULL, relay, &relays[i]))
			die("cannot start a thread");
}

static void relay_begin(void)
{
	relay_done = false;
	relay_holds = true;
}

static void relay_end(struct delay *delay, uint64_t length_ns)
{
	(void)length_ns;
	while (!relay_done)
		sleep_until(now_ns() + LOOK_NS);
	*delay = relay_delay;
}

/* ---- the doorbells ---- */

static const void *map_shmem(pid_t pid, size_t *bytes)
{
	char path[PATH_MAX], target[PATH_MAX];
	struct dirent *entry;
	struct stat st;
	ssize_t length;
	void *map;
	DIR *dir;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		die(path);
	while ((entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%.20s", (int)pid, entry->d_name);
		length = readlink(path, target, sizeof(target) - 1);
		target[length > 0 ? length : 0] = '\0';
		if (strcmp(target, "/memfd:ivm-shmem (deleted)"))
			continue;
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st))
			die(path);
		*bytes = (size_t)st.st_size;
		map = mmap(NULL, *bytes, PROT_READ, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED)
			die("cannot map the shared memory");
		return map;
	}
	return NULL;
}

/* The guest that rings: its count of doorbells on vector 0, or NULL as long as it has none */
static const uint64_t *find_count(pid_t pid)
{
	size_t bytes = 0;
	const char *map = map_shmem(pid, &bytes);
	size_t side;

	for (side = 0; map && side < 2; side++) {
		const struct ivm_lane *lane = (const void *)(map + side * bytes / 2);
		const struct ivm_result *result = (const void *)((const char *)lane +
								 lane->result_off);

		if (lane->magic == IVM_LANE_MAGIC && result->role == IVM_ROLE_PING)
			return result->sent_by_vector;
	}
	if (map)
		munmap((void *)(uintptr_t)map, bytes);
	return NULL;
}

static uint64_t wait_ring(const uint64_t *count, uint64_t than)
{
	uint64_t end_ns = now_ns() + GIVE_UP_NS, seen;

	while ((seen = __atomic_load_n(count, __ATOMIC_ACQUIRE)) == than) {
		if (now_ns() > end_ns) {
			errno = ETIMEDOUT;
			die("no doorbell");
		}
		sleep_until(now_ns() + LOOK_NS);
	}
	return seen;
}

static void hold_up(const struct place *place, const uint64_t *count, int times,
		    uint64_t length_ns)
{
	struct delay delay;
	uint64_t number = *count;
	int i;

	for (i = 0; i < times; i++) {
		number = wait_ring(count, number);	/* this one passes */
		sleep_until(now_ns() + SETTLE_NS);
		place->begin();
		number = wait_ring(count, number);
		delay.begin_ns = now_ns();
		place->end(&delay, length_ns);
		printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", number, delay.begin_ns,
		       delay.end_ns);
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int args;
		struct place place;
	} kinds[] = {
		{ "stop", 1, { stop_setup, stop_begin, stop_end } },
		{ "compete", 2, { compete_setup, compete_begin, compete_end } },
		{ "relay", 2, { relay_setup, relay_begin, relay_end } },
	};
	const uint64_t *count;
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (argc < 5 || strcmp(argv[4], kinds[i].name) || argc != 5 + kinds[i].args)
			continue;
		prctl(PR_SET_TIMERSLACK, 1);
		kinds[i].place.setup(argv + 5);
		relay_length_ns = (uint64_t)atoi(argv[3]) * NS_PER_MS;
		while (!(count = find_count(atoi(argv[1]))))
			sleep_until(now_ns() + 10 * NS_PER_MS);
		printf("ready\n");
		fflush(stdout);
		hold_up(&kinds[i].place, count, atoi(argv[2]), relay_length_ns);
		while (kinds[i].place.setup == relay_setup)
			pause();	/* until an end of the socket is closed */
		return 0;
	}
	fprintf(stderr, "usage: delay PID COUNT MS "
		"stop TID | compete TID CPU | relay LISTEN CONNECT\n");
	return 1;
}
