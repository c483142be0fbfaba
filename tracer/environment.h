/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The environment of a recording: what else on host and VMs decides about times.
 *
 * Facts are text under a key, of the host or of one VM, in the words of where
 * they were read: two recordings compare fact by fact.  What cannot be read is
 * no fact; nothing is guessed.  /proc and /sys are all that is looked at: no
 * program of a VM's owner is run.
 */
#ifndef IVM_ENVIRONMENT_H
#define IVM_ENVIRONMENT_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "recording.h"
#include "topology.h"

struct ivm_environment;

struct ivm_environment *ivm_environment_new(void);
void ivm_environment_free(struct ivm_environment *env);

/**
 * ivm_environment_set() - one fact
 * @env: the environment
 * @vm: the VM's number, 0 for the host
 * @key: replaces a fact of that key
 * @value: NULL if unknown: changes nothing
 */
void ivm_environment_set(struct ivm_environment *env, uint32_t vm, const char *key,
			 const char *value);

/* NULL if there is no such fact */
const char *ivm_environment_get(const struct ivm_environment *env, uint32_t vm, const char *key);

/**
 * ivm_environment_read_host() - kernel, CPUs, power, mitigations, KVM
 * @env: takes the facts
 * @root: "" or where /proc and /sys are found instead
 */
void ivm_environment_read_host(struct ivm_environment *env, const char *root);

/**
 * ivm_environment_read_vm() - QEMU, its command line, where it may run
 * @env: takes the facts
 * @vm: number of the VM
 * @pid: its process, must be alive
 */
void ivm_environment_read_vm(struct ivm_environment *env, uint32_t vm, pid_t pid);

/**
 * ivm_environment_follow() - facts of VMs and vCPUs that are new
 * @env: takes the facts
 * @t: who is there
 * @again: read what may have changed of the others, too
 */
void ivm_environment_follow(struct ivm_environment *env, const struct ivm_topology *t, bool again);

/**
 * ivm_environment_write() - into a recording
 * @env: the environment
 * @r: the recording
 *
 * Return: 0 or -errno, this one's or the first before it.
 */
int ivm_environment_write(const struct ivm_environment *env, struct ivm_recording *r);

/**
 * ivm_command_line() - a command line to be shown
 * @cmdline: as in /proc/PID/cmdline: arguments, each with its NUL
 * @cmdline_bytes: of all of it
 *
 * Passwords and the data of QEMU's secret objects are replaced by "***".
 *
 * Return: arguments with blanks between, quoted for a shell; free with g_free().
 */
char *ivm_command_line(const char *cmdline, size_t cmdline_bytes);

#endif /* IVM_ENVIRONMENT_H */
