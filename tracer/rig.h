/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pair of QEMUs with a bare guest in each, for one benchmark run.
 *
 * The caller drives it: ivm_rig_poll() whenever there is time, and the two
 * gates.  Guests wait before their first doorbell until ivm_rig_go(), and at
 * the end, links still up, until ivm_rig_release(): a tracer can be ready for
 * the first and in peace with the last.  Nothing outlives ivm_rig_close().
 */
#ifndef IVM_RIG_H
#define IVM_RIG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../guest/ivm-shmem.h"

/* The two guests, in the order they are started */
enum ivm_rig_end { IVM_RIG_PONG, IVM_RIG_PING, IVM_RIG_ENDS };

enum ivm_rig_state {
	IVM_RIG_STARTING,
	IVM_RIG_READY,		/* both guests wait for ivm_rig_go() */
	IVM_RIG_RUNNING,
	IVM_RIG_DONE,		/* both have finished and wait for ivm_rig_release() */
	IVM_RIG_LEAVING,
	IVM_RIG_GONE		/* both QEMUs have ended by themselves */
};

/* Where the programs are; filled by ivm_rig_find() */
struct ivm_rig_paths {
	char *qemu;		/* qemu-system-x86_64 with ivm-mailbox */
	char *guest;		/* ivm-bare.elf, or a Linux kernel */
	char *initrd;		/* of Linux; NULL: a bare guest */
};

#define IVM_RIG_NOISE_VECTORS	64	/* beside more there is no room for noise */

struct ivm_rig_opts {
	struct ivm_rig_paths paths;
	const char *mode;		/* of ivm-mailbox; NULL: ivshmem-doorbell instead */
	const char *link;		/* name of the link, and prefix of the VMs' names */
	bool ioeventfd;			/* of ivshmem-doorbell */
	bool tcg;			/* no KVM */
	bool pin;			/* give each VM its half of the CPUs */
	const char *pattern;		/* as the guest spells it: "pingpong", "burst=8", ... */
	uint32_t count;
	uint32_t warmup;
	uint32_t vectors;
	uint32_t number;		/* of the link: its guests count doorbells from elsewhere */
	uint32_t noise_hz;		/* timer interrupts and IPIs of each guest, 0 none */
	uint64_t shmem_bytes;		/* 0: enough for all samples */
	uint32_t timeout_s;		/* of the start, and of the run */
};

/* One guest's result, copied out of the shared memory and checked */
struct ivm_rig_result {
	struct ivm_result guest;
	uint64_t *rtt_ns;		/* in the order measured, owned; NULL if none */
	uint64_t rtt_samples;
	uint64_t *leave_ns, *enter_ns;	/* what its kernel adds, as above; NULL if none */
	uint64_t leave_samples, enter_samples;
};

struct ivm_rig;

#define IVM_RIG_LINUX_VECTORS	128	/* a Linux guest has interrupts of its own */

/**
 * ivm_rig_runs_linux() - whether this host's KVM can run a Linux guest
 *
 * One without hardware virtualization emulates its guests, and not all of what a
 * Linux kernel does.
 */
bool ivm_rig_runs_linux(void);

/**
 * ivm_rig_find() - default places of QEMU and the guest
 * @qemu: the user's choice, or NULL: $IVM_QEMU, then beside this executable
 * @guest: the user's choice, or NULL: $IVM_GUEST, then beside this executable;
 *         "linux" or "linux-SERIES" for Linux guests
 * @found: set, also on failure; release with ivm_rig_paths_clear()
 * @why: set to what is missing, on failure; free with g_free()
 *
 * Return: 0 or -ENOENT.
 */
int ivm_rig_find(const char *qemu, const char *guest, struct ivm_rig_paths *found, char **why);
void ivm_rig_paths_clear(struct ivm_rig_paths *paths);

/**
 * ivm_rig_start() - start both QEMUs
 * @opts: copied, but for its strings
 * @rig: set, also on failure: ivm_rig_why() tells; close it in any case
 *
 * Return: 0 or -errno.
 */
int ivm_rig_start(const struct ivm_rig_opts *opts, struct ivm_rig **rig);

/**
 * ivm_rig_poll() - read what the guests print, notice who ends
 * @timeout_ms: how long to wait for something to happen
 *
 * Return: 0, or -errno when the run has failed or its time is up: see
 * ivm_rig_why().
 */
int ivm_rig_poll(struct ivm_rig *rig, int timeout_ms);

/**
 * ivm_rig_state() - how far it is
 */
enum ivm_rig_state ivm_rig_state(const struct ivm_rig *rig);

/**
 * ivm_rig_go() - let the guests, which are ready, begin
 *
 * Return: 0 or -errno.
 */
int ivm_rig_go(struct ivm_rig *rig);

/**
 * ivm_rig_release() - let the guests, which are done, end
 *
 * Return: 0 or -errno.
 */
int ivm_rig_release(struct ivm_rig *rig);

/**
 * ivm_rig_pid() - process of one QEMU
 */
pid_t ivm_rig_pid(const struct ivm_rig *rig, enum ivm_rig_end end);

/**
 * ivm_rig_result() - what one guest counted and measured
 * @result: filled in; release with ivm_rig_result_clear()
 *
 * Valid once the rig is done.  TSC ticks become nanoseconds by the host's own
 * TSC, as observed since ivm_rig_start(), if the guest's runs at that pace.
 *
 * Return: 0, or -EBADMSG if the shared memory does not hold a result.
 */
int ivm_rig_result(struct ivm_rig *rig, enum ivm_rig_end end, struct ivm_rig_result *result);
void ivm_rig_result_clear(struct ivm_rig_result *result);

/**
 * ivm_rig_keep_lanes() - write the shared memory, as it is now, to a file
 *
 * Return: 0 or -errno.
 */
int ivm_rig_keep_lanes(struct ivm_rig *rig, const char *path);

/**
 * ivm_rig_progress() - what one guest has counted so far
 * @sent: doorbells rung
 * @handled: handler entries; in pingpong at the ping end: round trips
 *
 * Valid while the rig is running or done.  The guests keep counting: the two
 * numbers are not of the same instant.
 *
 * Return: 0, or -EBADMSG if the shared memory does not hold a result.
 */
int ivm_rig_progress(struct ivm_rig *rig, enum ivm_rig_end end, uint64_t *sent,
		     uint64_t *handled);

/**
 * ivm_rig_why() - what failed, with what QEMU and guest said about it
 *
 * Return: text of one or more lines without a final newline; never NULL.
 */
const char *ivm_rig_why(const struct ivm_rig *rig);

/**
 * ivm_rig_close() - end and reap both QEMUs, remove all files; takes NULL
 */
void ivm_rig_close(struct ivm_rig *rig);

#endif /* IVM_RIG_H */
