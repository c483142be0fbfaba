// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A KVM that refuses: preloaded into a QEMU, it lets KVM_IOEVENTFD or KVM_IRQFD fail as they do
 * where something is used up or taken.  IVM_REFUSE=ioeventfd or irqfd says which.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int refuses(unsigned long request, const void *argument)
{
	const char *what = getenv("IVM_REFUSE");
	const struct kvm_ioeventfd *ioeventfd = argument;
	const struct kvm_irqfd *irqfd = argument;

	if (!what)
		return 0;
	if (request == KVM_IOEVENTFD && !strcmp(what, "ioeventfd"))
		return ioeventfd->flags & KVM_IOEVENTFD_FLAG_DEASSIGN ? 0 : ENOSPC;
	if (request == KVM_IRQFD && !strcmp(what, "irqfd"))
		return irqfd->flags & KVM_IRQFD_FLAG_DEASSIGN ? 0 : EBUSY;
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	void *argument;
	int err;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	err = refuses(request, argument);
	if (err) {
		errno = err;
		return -1;
	}
	return (int)syscall(SYS_ioctl, fd, request, argument);
}
