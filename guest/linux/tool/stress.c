// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ivm stress: processes that share channels, both ways at the same time.
 *
 * Run it with the same options at both ends.  Each message says which one it
 * is, and its length and content follow from that, so the receiver can tell
 * what is lost, repeated or garbled.  Waiting is done with poll(); one that
 * ends only because its time is up, but then finds something, was not woken.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ivm.h"

#define MAGIC		0x534d5649u	/* the bytes "IVMS" */
#define MAX_BYTES	32768
#define DEFAULT_COUNT	1000
#define BURST		16	/* messages on one channel before the next has its turn */
#define WAKE_MS		5000	/* a wake-up later than this may have been lost */

enum { KIND_DATA = 1, KIND_END = 2 };

struct header {
	uint32_t magic;
	uint32_t kind;
	uint64_t number;	/* KIND_END: how many there were */
};

struct totals {
	uint64_t sent, received, lost, repeated, garbled, refused, late;
	int failed;
};

struct lane {
	struct device device;
	uint64_t next_tx, next_rx;
	uint64_t tx_count;	/* UINT64_MAX until known */
	bool tx_ended, rx_ended;
};

/* ^C ends sending, in all processes; what is under way is taken all the same */
static sig_atomic_t never;
static volatile sig_atomic_t *ending = &never;

struct process {
	const struct options *options;
	struct totals *totals;
	struct lane *lanes;
	struct pollfd *fds;
	uint32_t count;
	uint64_t deadline_ns;	/* of sending, 0 none */
	uint64_t alive_ns;	/* when something happened last */
	char *buffer, *wanted;
};

/* ---- contents ---- */

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

/* Return: its length */
static uint32_t make_message(const struct process *p, const struct lane *lane, uint32_t side,
			     uint64_t number, char *to)
{
	const struct ivm_info *info = &lane->device.info;
	uint64_t state = mix(mix(p->options->seed + info->channel) + 2 * number + side), word;
	struct header header = { .magic = MAGIC, .kind = KIND_DATA, .number = number };
	uint32_t bytes = p->options->bytes, room = info->max_message, at;

	if (!bytes)
		bytes = (uint32_t)(sizeof(header) + state % (room - sizeof(header) + 1));
	memcpy(to, &header, sizeof(header));
	for (at = sizeof(header); at < bytes; at += sizeof(word)) {
		state = word = mix(state);
		memcpy(to + at, &word, bytes - at < sizeof(word) ? bytes - at : sizeof(word));
	}
	return bytes;
}

/* ---- sending ---- */

/* Return: whether it went out */
static bool send_one(struct process *p, struct lane *lane, const void *data, uint32_t bytes)
{
	if (write(lane->device.fd, data, bytes) == (ssize_t)bytes) {
		p->alive_ns = now_ns();
		return true;
	}
	if (errno == ECONNRESET)
		p->totals->refused++;
	else if (errno != EAGAIN && errno != EINTR)
		p->totals->failed = errno;
	return false;
}

static bool has_sent_all(const struct process *p, const struct lane *lane)
{
	return *ending || lane->next_tx == lane->tx_count ||
	       (p->deadline_ns && now_ns() > p->deadline_ns);
}

static bool send_end(struct process *p, struct lane *lane)
{
	struct header end = { .magic = MAGIC, .kind = KIND_END, .number = lane->next_tx };

	lane->tx_ended = send_one(p, lane, &end, sizeof(end));
	return lane->tx_ended;
}

/* Return: whether anything went out */
static bool send_some(struct process *p, struct lane *lane)
{
	bool moved = false;
	uint32_t bytes;
	int i;

	for (i = 0; i < BURST && !lane->tx_ended; i++) {
		if (has_sent_all(p, lane))
			return send_end(p, lane) || moved;
		bytes = make_message(p, lane, lane->device.info.side, lane->next_tx, p->buffer);
		if (!send_one(p, lane, p->buffer, bytes))
			return moved;
		lane->next_tx++;
		p->totals->sent++;
		moved = true;
	}
	return moved;
}

/* ---- receiving ---- */

static void count_gap(struct process *p, struct lane *lane, uint64_t number)
{
	if (number > lane->next_rx)
		p->totals->lost += number - lane->next_rx;
	else
		p->totals->repeated += lane->next_rx - number;
	lane->next_rx = number;
}

static void check_message(struct process *p, struct lane *lane, uint32_t bytes)
{
	struct header header = { 0 };

	memcpy(&header, p->buffer, bytes < sizeof(header) ? bytes : sizeof(header));
	if (bytes < sizeof(header) || header.magic != MAGIC) {
		p->totals->garbled++;
		return;
	}
	if (header.number != lane->next_rx)
		count_gap(p, lane, header.number);
	if (header.kind == KIND_END) {
		lane->rx_ended = true;
		return;
	}
	if (make_message(p, lane, lane->device.info.side ^ 1, header.number, p->wanted) != bytes ||
	    memcmp(p->buffer, p->wanted, bytes))
		p->totals->garbled++;
	else
		p->totals->received++;
	lane->next_rx++;
}

static bool receive_some(struct process *p, struct lane *lane)
{
	ssize_t bytes;
	int i;

	for (i = 0; i < BURST; i++) {
		bytes = read(lane->device.fd, p->buffer, MAX_BYTES);
		if (bytes < 0) {
			if (errno != EAGAIN && errno != EINTR)
				p->totals->failed = errno;
			return i > 0;
		}
		p->alive_ns = now_ns();
		check_message(p, lane, (uint32_t)bytes);
	}
	return true;
}

/* ---- one process ---- */

static bool is_done(const struct process *p)
{
	uint32_t i;

	for (i = 0; i < p->count; i++)
		if (!p->lanes[i].tx_ended || !p->lanes[i].rx_ended)
			return false;
	return true;
}

/*
 * There is something, and nobody has said so for WAKE_MS.  A peer that was slow
 * has an interrupt that is new, or still on its way.
 */
static bool was_not_woken(const struct lane *lane, uint64_t begin_tsc)
{
	struct ivm_wait wait = { .channel = lane->device.info.channel, .timeout_ms = WAKE_MS };
	double age_ms, tick_ns = device_tick_ns(&lane->device);
	struct ivm_stats stats;

	if (device_stats(&lane->device, wait.channel, &stats))
		return false;
	if (stats.irq_tsc > begin_tsc) {
		age_ms = (double)(read_tsc() - stats.irq_tsc) * tick_ns / 1e6;
		return age_ms > WAKE_MS / 2;
	}
	wait.irqs = stats.irqs;
	return ioctl(lane->device.fd, IVM_IOC_WAIT, &wait) && errno == ETIME;
}

static void wait_for_something(struct process *p)
{
	uint64_t begin = now_ns(), begin_tsc = read_tsc(), quiet_ns;
	uint32_t i;
	int ready;

	for (i = 0; i < p->count; i++) {
		p->fds[i].fd = p->lanes[i].device.fd;
		p->fds[i].events = POLLIN | (p->lanes[i].tx_ended ? 0 : POLLOUT);
	}
	ready = poll(p->fds, p->count, WAKE_MS);
	for (i = 0; i < p->count && ready > 0 && now_ns() - begin >= WAKE_MS * 1000000ull; i++)
		if (p->fds[i].revents)
			p->totals->late += was_not_woken(&p->lanes[i], begin_tsc);
	/* An end that somebody has garbled is told again */
	for (i = 0; i < p->count && ready == 0 && p->options->rough; i++)
		p->lanes[i].tx_ended = false;
	quiet_ns = now_ns() - p->alive_ns;
	if (ready == 0 && quiet_ns > p->options->timeout_ns)
		p->totals->failed = ETIMEDOUT;
}

static void exchange(struct process *p)
{
	bool moved;
	uint32_t i;

	p->alive_ns = now_ns();
	while (!p->totals->failed && !is_done(p)) {
		moved = false;
		for (i = 0; i < p->count; i++) {
			moved |= send_some(p, &p->lanes[i]);
			moved |= receive_some(p, &p->lanes[i]);
		}
		if (!moved)
			wait_for_something(p);
	}
	/* What was accepted is delivered or reported failed */
	for (i = 0; i < p->count && !p->totals->failed; i++)
		if (fsync(p->lanes[i].device.fd))
			p->totals->refused++;
}

static int open_lanes(struct process *p, uint32_t first)
{
	const struct options *o = p->options;
	uint32_t i;

	p->count = (o->channels - first + o->processes - 1) / o->processes;
	p->lanes = calloc(p->count, sizeof(*p->lanes));
	p->fds = calloc(p->count, sizeof(*p->fds));
	p->buffer = malloc(MAX_BYTES + 8);
	p->wanted = malloc(MAX_BYTES + 8);
	if (!p->lanes || !p->fds || !p->buffer || !p->wanted)
		return fail("no memory");
	for (i = 0; i < p->count; i++) {
		struct lane *lane = &p->lanes[i];

		if (device_open(&lane->device, o, o->channel + first + i * o->processes) ||
		    device_wait_connected(&lane->device, o))
			return EXIT_ERROR;
		if (lane->device.info.max_message < (o->bytes > sizeof(struct header) ? o->bytes :
						     sizeof(struct header)))
			return fail("messages on this link have %u bytes at most",
				    lane->device.info.max_message);
		fcntl(lane->device.fd, F_SETFL, O_NONBLOCK);
		lane->tx_count = o->duration_ns ? UINT64_MAX : o->count ? o->count : DEFAULT_COUNT;
	}
	return 0;
}

static int run_process(const struct options *o, uint32_t first, struct totals *totals)
{
	struct process p = { .options = o, .totals = totals };

	if (open_lanes(&p, first)) {
		totals->failed = EIO;
		return EXIT_ERROR;
	}
	if (o->duration_ns)
		p.deadline_ns = now_ns() + o->duration_ns;
	exchange(&p);
	return totals->failed ? EXIT_ERROR : EXIT_DONE;
}

int exchange_messages(const struct options *options)
{
	struct options o = *options;
	struct totals totals = { 0 };

	o.processes = 1;
	run_process(&o, 0, &totals);
	if (totals.failed)
		return -totals.failed;
	if (totals.late)
		return -ETIME;
	return totals.lost || totals.repeated || totals.garbled || totals.refused ? -EBADMSG : 0;
}

/* ---- all of them ---- */

static void print_totals(const struct totals *t, bool json)
{
	printf(json ? "{ \"schema\": \"ivm-stress/1\", \"sent\": %" PRIu64 ", \"received\": %"
		      PRIu64 ", \"lost\": %" PRIu64 ", \"repeated\": %" PRIu64 ", \"garbled\": %"
		      PRIu64 ", \"refused\": %" PRIu64 ", \"late_wakeups\": %" PRIu64 " }\n" :
		      "sent %" PRIu64 ", received %" PRIu64 ", lost %" PRIu64 ", repeated %" PRIu64
		      ", garbled %" PRIu64 ", refused %" PRIu64 ", late wake-ups %" PRIu64 "\n",
	       t->sent, t->received, t->lost, t->repeated, t->garbled, t->refused, t->late);
}

static void add_up(struct totals *sum, const struct totals *one)
{
	sum->sent += one->sent;
	sum->received += one->received;
	sum->lost += one->lost;
	sum->repeated += one->repeated;
	sum->garbled += one->garbled;
	sum->refused += one->refused;
	sum->late += one->late;
	if (one->failed)
		sum->failed = one->failed;
}

static int start_processes(const struct options *o, struct totals *totals)
{
	uint32_t i;
	pid_t pid;

	for (i = 0; i < o->processes; i++) {
		pid = fork();
		if (pid < 0)
			return fail("cannot fork: %s", strerror(errno));
		if (!pid)
			_exit(run_process(o, i, &totals[i]));
	}
	return 0;
}

static void end_sending(int signal)
{
	(void)signal;
	*ending = 1;
}

/* Shared by all processes, and zero */
static struct totals *share_totals(uint32_t processes)
{
	const struct sigaction action = { .sa_handler = end_sending };
	size_t bytes = sizeof(*ending) + processes * sizeof(struct totals);
	struct totals *totals;

	totals = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (totals == MAP_FAILED)
		return NULL;
	ending = (volatile sig_atomic_t *)(totals + processes);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	return totals;
}

static bool all_exited(void)
{
	bool exited = true;
	int status;
	pid_t pid;

	while ((pid = wait(&status)) > 0 || errno == EINTR)
		exited &= pid < 0 || WIFEXITED(status);
	return exited;
}

static int judge(const struct options *o, const struct totals *sum)
{
	if (sum->failed == ETIMEDOUT)
		return fail("nothing has come for %" PRIu64 " s", o->timeout_ns / NS_PER_S);
	if (sum->failed)
		return fail("a process failed: %s", strerror(sum->failed));
	if (o->rough)
		return EXIT_DONE;
	if (sum->late)
		return fail_check("%" PRIu64 " wake-ups were lost", sum->late);
	if (sum->lost || sum->repeated || sum->garbled || sum->refused)
		return fail_check("not every message arrived once, in order and as it was sent");
	return EXIT_DONE;
}

int run_stress(const struct options *options)
{
	struct options o = *options;
	struct totals *totals, sum = { 0 };
	bool exited;
	uint32_t i;
	int err;

	if (o.processes > o.channels)
		return fail("%u processes cannot share %u channels", o.processes, o.channels);
	if (o.bytes && o.bytes < sizeof(struct header))
		return fail("--size: a message of stress has at least %zu bytes",
			    sizeof(struct header));
	totals = share_totals(o.processes);
	if (!totals)
		return fail("no memory");
	err = start_processes(&o, totals);
	exited = all_exited();
	for (i = 0; i < o.processes; i++)
		add_up(&sum, &totals[i]);
	if (err || !exited)
		return err ? err : fail("a process was killed");
	print_totals(&sum, o.json);
	return judge(&o, &sum);
}
