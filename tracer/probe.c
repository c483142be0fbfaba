// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The probe VM: whether a KVM tracepoint fires on this host can only be seen.
 *
 * One vCPU in real mode writes to an ioeventfd that is its own irqfd, waits for
 * the interrupt, makes one MMIO and one port access that go up to user space,
 * and is done: the same way through KVM as a doorbell in direct mode.  Then the child
 * process that runs it makes QEMU's system calls.  It is a child, so that
 * nothing it does can hang or kill the tracer.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "probe.h"

#define MEMORY_BYTES	0x8000
#define CODE_ADDRESS	0x1000
#define HANDLER_ADDRESS	0x1100
#define STACK_ADDRESS	0x7000
#define DOORBELL	0x9000		/* no memory there, nor at the next one */
#define DONE_PORT	0x11
#define IRQ_VECTOR	0x20
#define IRQ_GSI		24
#define LAPIC_SVR	0xf0
#define LAPIC_ENABLE	0x1ff
#define TIMEOUT_S	3

static const uint8_t code[] = {
	0xfb,						/* sti */
	0x66, 0xc7, 0x06, 0x00, 0x90, 1, 0, 0, 0,	/* mov dword [0x9000], 1 */
	0x83, 0x3e, 0x00, 0x06, 0x00,			/* 1: cmp word [0x600], 0 */
	0x74, 0xf9,					/* je 1b */
	0x66, 0xc7, 0x06, 0x04, 0x90, 1, 0, 0, 0,	/* mov dword [0x9004], 1 */
	0xe6, DONE_PORT,				/* out DONE_PORT, al */
	0xf4,						/* hlt */
};

static const uint8_t handler[] = {
	0xff, 0x06, 0x00, 0x06,				/* inc word [0x600] */
	0xcf,						/* iret */
};

struct probe {
	int vm;
	int vcpu;
	uint8_t *memory;
	struct kvm_run *run;
};

static int create_vm(struct probe *p)
{
	struct kvm_userspace_memory_region region = { .memory_size = MEMORY_BYTES };
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	uint64_t identity_map = 0xfffbc000;
	int run_bytes;

	p->vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (p->vm < 0)
		return -1;
	/* Only old Intel CPUs need these two */
	ioctl(p->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
	ioctl(p->vm, KVM_SET_TSS_ADDR, identity_map + 0x1000);
	p->memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			 -1, 0);
	region.userspace_addr = (uintptr_t)p->memory;
	if (p->memory == MAP_FAILED || ioctl(p->vm, KVM_CREATE_IRQCHIP, 0) ||
	    ioctl(p->vm, KVM_SET_USER_MEMORY_REGION, &region))
		return -1;
	p->vcpu = ioctl(p->vm, KVM_CREATE_VCPU, 0);
	run_bytes = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (p->vcpu < 0 || run_bytes < (int)sizeof(*p->run))
		return -1;
	p->run = mmap(NULL, run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, p->vcpu, 0);
	return p->run == MAP_FAILED ? -1 : 0;
}

static void load_code(struct probe *p)
{
	const uint16_t gate[2] = { HANDLER_ADDRESS, 0 };

	memcpy(p->memory + CODE_ADDRESS, code, sizeof(code));
	memcpy(p->memory + HANDLER_ADDRESS, handler, sizeof(handler));
	memcpy(p->memory + IRQ_VECTOR * sizeof(gate), gate, sizeof(gate));
}

static int set_registers(struct probe *p)
{
	struct kvm_regs regs = { .rip = CODE_ADDRESS, .rsp = STACK_ADDRESS, .rflags = 2 };
	const uint32_t enable = LAPIC_ENABLE;
	struct kvm_lapic_state lapic;
	struct kvm_sregs sregs;

	if (ioctl(p->vcpu, KVM_GET_SREGS, &sregs) || ioctl(p->vcpu, KVM_GET_LAPIC, &lapic))
		return -1;
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	memcpy(lapic.regs + LAPIC_SVR, &enable, sizeof(enable));
	if (ioctl(p->vcpu, KVM_SET_SREGS, &sregs) || ioctl(p->vcpu, KVM_SET_LAPIC, &lapic))
		return -1;
	return ioctl(p->vcpu, KVM_SET_REGS, &regs);
}

/* ioeventfd and irqfd on one eventfd, as a link in direct mode has them */
static int connect_doorbell(struct probe *p)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct kvm_ioeventfd ioeventfd = { .addr = DOORBELL, .len = 4, .fd = fd };
	struct kvm_irqfd irqfd = { .fd = fd, .gsi = IRQ_GSI };
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry;
	} routing = {
		.head = { .nr = 1 },
		.entry = {
			.gsi = IRQ_GSI,
			.type = KVM_IRQ_ROUTING_MSI,
			.u.msi = { .address_lo = 0xfee00000, .data = IRQ_VECTOR },
		},
	};

	if (fd < 0 || ioctl(p->vm, KVM_SET_GSI_ROUTING, &routing) ||
	    ioctl(p->vm, KVM_IRQFD, &irqfd))
		return -1;
	return ioctl(p->vm, KVM_IOEVENTFD, &ioeventfd);
}

static int run_to_end(struct probe *p)
{
	for (;;) {
		if (ioctl(p->vcpu, KVM_RUN, 0))
			return -1;
		if (p->run->exit_reason == KVM_EXIT_IO && p->run->io.port == DONE_PORT)
			return 0;
		if (p->run->exit_reason != KVM_EXIT_MMIO)
			return -1;
	}
}

/* The system calls by which QEMU passes a ring on */
static int pass_on(void)
{
	char byte = 0;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	uint64_t one = 1;
	struct iovec count = { .iov_base = &one, .iov_len = sizeof(one) };
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || write(fd, &one, sizeof(one)) < 0 ||
	    preadv2(fd, &count, 1, -1, 0) < 0)
		return -1;
	return sendmsg(pair[0], &msg, 0) != 1 || recvmsg(pair[1], &msg, 0) != 1;
}

static int run_child(void)
{
	struct probe p = {};

	/* The guest spins until its interrupt comes: the alarm's default ends us */
	alarm(TIMEOUT_S);
	if (create_vm(&p))
		return 1;
	load_code(&p);
	return set_registers(&p) || connect_doorbell(&p) || run_to_end(&p) || pass_on();
}

/**
 * ivm_probe_run() - runs the probe VM to its end, for TIMEOUT_S at the most
 *
 * Return: IVM_PROBE_RAN if it rang and took its interrupt.
 */
enum ivm_probe_result ivm_probe_run(void)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		return IVM_PROBE_FAILED;
	if (!child)
		_exit(run_child());
	if (waitpid(child, &status, 0) != child)
		return IVM_PROBE_FAILED;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? IVM_PROBE_RAN : IVM_PROBE_FAILED;
}

/**
 * ivm_probe_result_name() - how the probe went, for people
 * @result: of ivm_probe_run()
 *
 * Return: the text.
 */
const char *ivm_probe_result_name(enum ivm_probe_result result)
{
	switch (result) {
	case IVM_PROBE_RAN:
		return "ran";
	case IVM_PROBE_FAILED:
		return "failed";
	default:
		return "not run";
	}
}
