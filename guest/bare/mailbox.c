// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The two devices this guest can ring doorbells with.
 */
#include "apic.h"
#include "console.h"
#include "hot.h"
#include "ivm-regs.h"
#include "layout.h"
#include "mailbox.h"
#include "wait.h"

#define IVSHMEM_VENDOR_ID	0x1af4
#define IVSHMEM_DEVICE_ID	0x1110
#define IVSHMEM_IV_POSITION	8
#define IVSHMEM_DOORBELL	12
#define IVSHMEM_NO_POSITION	0xffffffff	/* its server has not answered yet */

#define MSIX_VECTOR_CONTROL	12		/* of an entry of 16 bytes */
#define   MSIX_MASKED		1u

uint32_t mailbox_read(const struct mailbox *mailbox, uint32_t reg)
{
	return mmio_read32(mailbox->regs.address + reg);
}

void mailbox_write(const struct mailbox *mailbox, uint32_t reg, uint32_t value)
{
	mmio_write32(mailbox->regs.address + reg, value);
}

uint32_t mailbox_mode(const struct mailbox *mailbox)
{
	return mailbox->kind == DEVICE_IVM ? mailbox_read(mailbox, IVM_REG_MODE) : 0;
}

void mailbox_clear_status(const struct mailbox *mailbox)
{
	uint32_t word;

	if (mailbox->kind != DEVICE_IVM)
		return;
	for (word = 0; word < IVM_REG_WORDS; word++)
		mailbox_write(mailbox, IVM_REG_STATUS(word), 0xffffffff);
}

static void identify_ivm(const struct mailbox *mailbox)
{
	uint32_t id = mailbox_read(mailbox, IVM_REG_ID);
	uint32_t version = mailbox_read(mailbox, IVM_REG_VERSION);

	if (id != IVM_ID)
		die("ivm-mailbox: register ID is 0x%x", id);
	if (version >> 16 != IVM_VERSION >> 16)
		die("ivm-mailbox: version 0x%x is not known", version);
}

void mailbox_find(struct mailbox *mailbox, uint32_t kind, uint32_t nth)
{
	bool ivm = kind == DEVICE_IVM;

	mailbox->kind = kind;
	if (!pci_find(ivm ? IVM_PCI_VENDOR_ID : IVSHMEM_VENDOR_ID,
		      ivm ? IVM_PCI_DEVICE_ID : IVSHMEM_DEVICE_ID, nth, &mailbox->pci))
		die("no %s on the PCI bus", ivm ? "ivm-mailbox" : "ivshmem-doorbell");
	pci_assign_bars(&mailbox->pci);
	mailbox->regs = pci_bar(&mailbox->pci, IVM_BAR_REGS);
	mailbox->shmem = pci_bar(&mailbox->pci, IVM_BAR_SHMEM);
	mailbox->vectors = pci_msix_vectors(&mailbox->pci);
	if (!mailbox->regs.bytes || !mailbox->vectors)
		die("the device lacks registers or MSI-X");
	map_identity(mailbox->regs.address, mailbox->regs.bytes);
	map_identity(mailbox->shmem.address, mailbox->shmem.bytes);
	pci_enable(&mailbox->pci);
	if (ivm)
		identify_ivm(mailbox);
}

/* Address and data may change only while the entry is masked */
static void write_entry(const struct mailbox *mailbox, uint32_t vector, enum route route,
			uint32_t control)
{
	uintptr_t entry = mailbox->msix + 16 * vector;
	uint32_t address, data;

	apic_route_link(&mailbox->layout, route, mailbox->pci.address >> 8, vector, &address,
			&data);
	mmio_write32(entry + MSIX_VECTOR_CONTROL, MSIX_MASKED);
	mmio_write32(entry, address);
	mmio_write32(entry + 4, 0);
	mmio_write32(entry + 8, data);
	mmio_write32(entry + MSIX_VECTOR_CONTROL, control);
}

void mailbox_setup_interrupts(struct mailbox *mailbox, const struct options *options)
{
	enum route route = options->route == ROUTE_MOVING ? ROUTE_OWN : options->route;
	uint32_t control = options->masked == IVM_DELAY_MSIX_MASK ? MSIX_MASKED : 0, vector;
	bool all_take_all = route == ROUTE_LOGICAL || route == ROUTE_BROADCAST;

	mailbox->layout = (struct layout){
		.base = options->irq_base,
		.cpus = options->cpus,
		.span = all_take_all ? mailbox->vectors :
				       (mailbox->vectors + options->cpus - 1) / options->cpus,
	};
	if (options->route != ROUTE_OWN || options->irq_base != IDT_LINK_BASE)
		apic_check_layout(&mailbox->layout);
	mailbox->msix = pci_msix_table(&mailbox->pci);
	map_identity(mailbox->msix, 16 * mailbox->vectors);
	for (vector = 0; vector < mailbox->vectors; vector++) {
		write_entry(mailbox, vector, route, control);
		if (options->masked == IVM_DELAY_MASK)
			mailbox_hold(mailbox, vector, IVM_DELAY_MASK, true);
	}
	pci_msix_enable(&mailbox->pci, true);
}

void mailbox_move(struct mailbox *mailbox)
{
	uint32_t vector;

	mailbox->other = !mailbox->other;
	for (vector = 0; vector < mailbox->vectors; vector++)
		write_entry(mailbox, vector, mailbox->other ? ROUTE_OTHER : ROUTE_OWN, 0);
}

void mailbox_hold(const struct mailbox *mailbox, uint32_t vector, uint32_t how, bool hold)
{
	uint32_t reg = IVM_REG_MASK(vector / 32), bit = 1u << vector % 32, mask;

	if (how == IVM_DELAY_MSIX_MASK) {
		mmio_write32(mailbox->msix + 16 * vector + MSIX_VECTOR_CONTROL,
			     hold ? MSIX_MASKED : 0);
		return;
	}
	mask = mailbox_read(mailbox, reg);
	mailbox_write(mailbox, reg, hold ? mask | bit : mask & ~bit);
}

static bool ivm_link_is_up(void *opaque)
{
	return mailbox_read(opaque, IVM_REG_LINK) & IVM_LINK_UP;
}

static bool ivshmem_has_position(void *opaque)
{
	return mailbox_read(opaque, IVSHMEM_IV_POSITION) != IVSHMEM_NO_POSITION;
}

static void wait_ivm(struct mailbox *mailbox, uint32_t timeout_s)
{
	if (!wait_until(ivm_link_is_up, mailbox, timeout_s))
		die("the link is down, reason %u", mailbox_read(mailbox, IVM_REG_LINK) >>
		    IVM_LINK_REASON_SHIFT & IVM_LINK_REASON_FIELD);
	mailbox->unshared = !(mailbox_read(mailbox, IVM_REG_FEATURES) & IVM_FEATURE_SHMEM);
	mailbox->side = mailbox_read(mailbox, IVM_REG_SIDE);
	mailbox->peer_vectors = mailbox_read(mailbox, IVM_REG_PEER_VECTORS);
	hot.doorbell = mailbox->regs.address + IVM_DOORBELL(0);
	hot.doorbell_stride = IVM_DOORBELL(1) - IVM_DOORBELL(0);
	hot.value_is_cookie = 1;
}

static void wait_ivshmem(struct mailbox *mailbox, uint32_t timeout_s)
{
	if (!wait_until(ivshmem_has_position, mailbox, timeout_s))
		die("the ivshmem server gave no position");
	mailbox->side = mailbox_read(mailbox, IVSHMEM_IV_POSITION);
	mailbox->peer_vectors = mailbox->vectors;
	hot.doorbell = mailbox->regs.address + IVSHMEM_DOORBELL;
	hot.doorbell_value = (mailbox->side ^ 1) << 16;
}

void mailbox_wait_link(struct mailbox *mailbox, uint32_t timeout_s)
{
	if (mailbox->kind == DEVICE_IVM)
		wait_ivm(mailbox, timeout_s);
	else
		wait_ivshmem(mailbox, timeout_s);
	if (mailbox->side > 1)
		die("side %u: a link has two", mailbox->side);
}

bool mailbox_peer_ready(const struct mailbox *mailbox)
{
	return mailbox_read(mailbox, IVM_REG_PEER_READY) & IVM_READY;
}

static bool ivm_peer_is_ready(void *opaque)
{
	return mailbox_peer_ready(opaque);
}

void mailbox_set_ready(const struct mailbox *mailbox, bool ready)
{
	if (mailbox->kind == DEVICE_IVM)
		mailbox_write(mailbox, IVM_REG_READY, ready ? IVM_READY : 0);
}

void mailbox_announce(const struct mailbox *mailbox, uint32_t timeout_s)
{
	if (mailbox->kind != DEVICE_IVM)
		return;
	mailbox_set_ready(mailbox, true);
	if (!wait_until(ivm_peer_is_ready, (void *)mailbox, timeout_s))
		die("the peer's guest is not ready");
}
