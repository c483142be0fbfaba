// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Checks each register of the device from inside a guest.
 *
 * Without a peer: what every access does while the link is down.  With one, a
 * pong guest at the other end that answers each doorbell: masking, both ways a
 * vector can be masked, and the counters.
 */
#include "apic.h"
#include "clock.h"
#include "console.h"
#include "hot.h"
#include "ivm-regs.h"
#include "lane.h"
#include "selftest.h"
#include "wait.h"

#define ALL_ONES	0xffffffffu
#define NEVER_MS	50	/* how long "no interrupt" is waited for */
#define MSIX_VECTOR_CONTROL	12

static const struct mailbox *dev;
static struct ivm_result *result;

static void check(bool good, const char *what, uint32_t arg, uint32_t got, uint32_t expected)
{
	result->checks++;
	if (good)
		return;
	result->failures++;
	console_print("ivm-bare: check failed: %s 0x%x: got 0x%x, expected 0x%x\n", what, arg, got,
		      expected);
}

static void check_equal(const char *what, uint32_t arg, uint32_t got, uint32_t expected)
{
	check(got == expected, what, arg, got, expected);
}

static void check_reg(const char *what, uint32_t reg, uint32_t expected)
{
	check_equal(what, reg, mailbox_read(dev, reg), expected);
}

/* Bits of a STATUS or MASK word that belong to vectors of this end */
static uint32_t word_bits(uint32_t word)
{
	uint32_t from = word * 32;

	if (dev->vectors <= from)
		return 0;
	return dev->vectors - from >= 32 ? ALL_ONES : (1u << (dev->vectors - from)) - 1;
}

static void check_constants(void)
{
	uint32_t features = mailbox_read(dev, IVM_REG_FEATURES);

	check_reg("ID", IVM_REG_ID, IVM_ID);
	check_reg("VERSION", IVM_REG_VERSION, IVM_VERSION);
	check_reg("VECTORS", IVM_REG_VECTORS, dev->vectors);
	check_reg("SHMEM_SIZE", IVM_REG_SHMEM_SIZE, dev->shmem.bytes >> 12);
	check_equal("FEATURES, unknown bits", IVM_REG_FEATURES,
		    features & ~(IVM_FEATURE_SHMEM | IVM_FEATURE_IRQ_CTRL), 0);
	check_equal("SIDE", IVM_REG_SIDE, mailbox_read(dev, IVM_REG_SIDE) >> 1, 0);
}

static void check_after_reset(void)
{
	uint32_t word;

	check_reg("LINK_VECTOR after reset", IVM_REG_LINK_VECTOR, IVM_LINK_VECTOR_NONE);
	check_reg("READY after reset", IVM_REG_READY, 0);
	for (word = 0; word < IVM_REG_WORDS; word++) {
		check_reg("STATUS after reset", IVM_REG_STATUS(word), 0);
		check_reg("MASK after reset", IVM_REG_MASK(word), 0);
	}
}

static void check_link_down(void)
{
	check_reg("MODE while down", IVM_REG_MODE, 0);
	check_reg("PEER_VECTORS while down", IVM_REG_PEER_VECTORS, 0);
	check_reg("PEER_READY while down", IVM_REG_PEER_READY, 0);
	check_reg("FEATURES while down", IVM_REG_FEATURES, IVM_FEATURE_IRQ_CTRL);
}

static void check_read_only(void)
{
	static const uint16_t regs[] = {
		IVM_REG_ID, IVM_REG_VERSION, IVM_REG_FEATURES, IVM_REG_MODE, IVM_REG_LINK,
		IVM_REG_SIDE, IVM_REG_PEER_VECTORS, IVM_REG_VECTORS, IVM_REG_SHMEM_SIZE,
		IVM_REG_PEER_READY, IVM_REG_RUNG, IVM_REG_DROPPED,
	};
	uint32_t i, before;

	for (i = 0; i < sizeof(regs) / sizeof(*regs); i++) {
		before = mailbox_read(dev, regs[i]);
		mailbox_write(dev, regs[i], ~before);
		check_reg("read-only register", regs[i], before);
	}
}

static void check_reserved(void)
{
	uint32_t reg;

	for (reg = IVM_REG_DROPPED + 4; reg < IVM_REG_END; reg += 4) {
		if (reg >= IVM_REG_STATUS(0) && reg < IVM_REG_MASK(IVM_REG_WORDS))
			continue;
		mailbox_write(dev, reg, ALL_ONES);
		check_reg("reserved register", reg, 0);
	}
}

static void check_read_write(void)
{
	uint32_t word;

	mailbox_write(dev, IVM_REG_LINK_VECTOR, dev->vectors - 1);
	check_reg("LINK_VECTOR, last vector", IVM_REG_LINK_VECTOR, dev->vectors - 1);
	mailbox_write(dev, IVM_REG_LINK_VECTOR, dev->vectors);
	check_reg("LINK_VECTOR, beyond", IVM_REG_LINK_VECTOR, IVM_LINK_VECTOR_NONE);
	mailbox_write(dev, IVM_REG_READY, ALL_ONES);
	check_reg("READY, all ones written", IVM_REG_READY, IVM_READY);
	mailbox_write(dev, IVM_REG_READY, 0);
	check_reg("READY, 0 written", IVM_REG_READY, 0);
	for (word = 0; word < IVM_REG_WORDS; word++) {
		mailbox_write(dev, IVM_REG_MASK(word), ALL_ONES);
		check_reg("MASK, all ones written", IVM_REG_MASK(word), word_bits(word));
		mailbox_write(dev, IVM_REG_MASK(word), 0);
		check_reg("MASK, 0 written", IVM_REG_MASK(word), 0);
		mailbox_write(dev, IVM_REG_STATUS(word), ALL_ONES);
		check_reg("STATUS cannot be set", IVM_REG_STATUS(word), 0);
	}
}

static void check_odd_accesses(void)
{
	uintptr_t base = dev->regs.address;
	uint64_t wide;

	check_equal("8-bit read", 0, *(volatile uint8_t *)base, 0xff);
	check_equal("16-bit read", 0, *(volatile uint16_t *)base, 0xffff);
	wide = *(volatile uint64_t *)base;
	check_equal("64-bit read, low half", 0, wide, ALL_ONES);
	check_equal("64-bit read, high half", 0, wide >> 32, ALL_ONES);
	/* TCG makes two aligned accesses of it before the device can see it */
	if (MISALIGNED_MMIO && runs_on_kvm())
		check_equal("misaligned read", 2, mmio_read32(base + 2), ALL_ONES);

	*(volatile uint8_t *)(base + IVM_REG_READY) = 1;
	*(volatile uint16_t *)(base + IVM_REG_READY) = 1;
	*(volatile uint64_t *)(base + IVM_REG_READY) = 1;
	if (MISALIGNED_MMIO)
		mmio_write32(base + IVM_REG_READY - 2, 0x10000);
	check_reg("odd writes are ignored", IVM_REG_READY, 0);
}

/* Doorbells from @first on have nobody to ring */
static void check_dropped(uint32_t first)
{
	uint32_t rung = mailbox_read(dev, IVM_REG_RUNG);
	uint32_t dropped = mailbox_read(dev, IVM_REG_DROPPED);

	check_reg("a doorbell reads 0", IVM_DOORBELL(0), 0);
	mailbox_write(dev, IVM_DOORBELL(first), 1);
	mailbox_write(dev, IVM_DOORBELL(IVM_MAX_VECTORS), ALL_ONES);
	mailbox_write(dev, IVM_DOORBELL(IVM_DOORBELL_MAX), 0);
	check_reg("DROPPED", IVM_REG_DROPPED, dropped + 3);
	check_reg("RUNG does not count what is dropped", IVM_REG_RUNG, rung);
}

static uint64_t handled(uint32_t vector)
{
	return __atomic_load_n(&result->handled_by_vector[vector], __ATOMIC_ACQUIRE);
}

struct expectation {
	uint32_t vector;
	uint64_t handled;
};

static bool has_arrived(void *opaque)
{
	const struct expectation *expected = opaque;

	return handled(expected->vector) >= expected->handled;
}

static void ring_once(uint32_t vector)
{
	irq_disable();
	ring_locked(vector);
	irq_enable();
}

static void wait_quiet(void)
{
	uint32_t start = ticks();

	while (ticks() - start < NEVER_MS / TICK_MS + 1) {
		irq_disable();
		irq_enable_and_halt();
	}
}

static void expect_interrupt(const char *what, uint32_t vector, uint64_t count, uint32_t timeout_s)
{
	struct expectation expected = { vector, count };

	wait_until(has_arrived, &expected, timeout_s);
	wait_quiet();
	check_equal(what, vector, handled(vector), count);
}

static void expect_none(const char *what, uint32_t vector, uint64_t count)
{
	wait_quiet();
	check_equal(what, vector, handled(vector), count);
}

/* STATUS follows a held ring only after the peer's answer has come all the way */
static bool status_is_set(void *opaque)
{
	uint32_t vector = *(uint32_t *)opaque;

	return mailbox_read(dev, IVM_REG_STATUS(vector / 32)) >> vector % 32 & 1;
}

static void check_held(const char *what, uint32_t vector, uint32_t timeout_s)
{
	check(wait_until(status_is_set, &vector, timeout_s), what, vector, 0, 1);
}

static void check_mask(uint32_t vector, uint32_t timeout_s)
{
	uint32_t mask = IVM_REG_MASK(vector / 32), status = IVM_REG_STATUS(vector / 32);
	uint32_t bit = 1u << vector % 32;
	uint64_t before = handled(vector);

	mailbox_write(dev, status, bit);
	mailbox_write(dev, mask, bit);
	ring_once(vector);
	check_held("STATUS of a held vector", vector, timeout_s);
	expect_none("no interrupt while MASK holds", vector, before);
	mailbox_write(dev, mask, 0);
	expect_interrupt("unmasking raises once", vector, before + 1, timeout_s);
	mailbox_write(dev, status, bit);
	check_equal("STATUS after W1C", vector, mailbox_read(dev, status) & bit, 0);

	mailbox_write(dev, mask, bit);
	ring_once(vector);
	check_held("STATUS, held again", vector, timeout_s);
	mailbox_write(dev, status, bit);
	mailbox_write(dev, mask, 0);
	expect_none("W1C of a held vector cancels it", vector, before + 1);
}

/* Without IRQ_CTRL both registers stand by: nothing is kept, nothing is held */
static void check_mask_inert(uint32_t vector, uint32_t timeout_s)
{
	uint32_t mask = IVM_REG_MASK(vector / 32);
	uint64_t before = handled(vector);

	mailbox_write(dev, mask, 1u << vector % 32);
	check_reg("MASK stores", mask, 1u << vector % 32);
	ring_once(vector);
	expect_interrupt("MASK does not act", vector, before + 1, timeout_s);
	check_reg("STATUS reads 0", IVM_REG_STATUS(vector / 32), 0);
	mailbox_write(dev, mask, 0);
}

static void check_msix_mask(uint32_t vector, uint32_t timeout_s)
{
	uintptr_t control = pci_msix_table(&dev->pci) + 16 * vector + MSIX_VECTOR_CONTROL;
	uint64_t before = handled(vector);

	mmio_write32(control, 1);
	ring_once(vector);
	expect_none("no interrupt while MSI-X masks", vector, before);
	mmio_write32(control, 0);
	expect_interrupt("MSI-X unmask delivers what pends", vector, before + 1, timeout_s);

	pci_msix_enable(&dev->pci, false);
	ring_once(vector);
	expect_none("no interrupt while MSI-X is off", vector, before + 1);
	pci_msix_enable(&dev->pci, true);
	expect_interrupt("MSI-X enable delivers what pends", vector, before + 2, timeout_s);
}

static bool peer_is_done(void *opaque)
{
	return lanes_peer_state(opaque) >= IVM_RESULT_DONE;
}

static void check_with_peer(struct mailbox *mailbox, struct options *options)
{
	static struct lanes lanes;
	uint32_t last, made = result->checks, failed = result->failures;

	mailbox_wait_link(mailbox, options->timeout_s);
	options->vectors = mailbox->peer_vectors < mailbox->vectors ? mailbox->peer_vectors :
								      mailbox->vectors;
	last = options->vectors - 1;
	lanes_init(&lanes, mailbox, options, IVM_ROLE_SELFTEST);
	result = lanes.result;
	result->checks = made;
	result->failures = failed;
	result->mode = mailbox_mode(mailbox);
	mailbox_setup_interrupts(mailbox, options);
	lanes_publish(&lanes);
	mailbox_announce(mailbox, options->timeout_s);
	lanes_wait_peer(&lanes, options->timeout_s);

	if (mailbox->peer_vectors < IVM_MAX_VECTORS)
		check_dropped(mailbox->peer_vectors);
	if (mailbox_read(dev, IVM_REG_FEATURES) & IVM_FEATURE_IRQ_CTRL)
		check_mask(last, options->timeout_s);
	else
		check_mask_inert(last, options->timeout_s);
	check_msix_mask(last, options->timeout_s);
	__atomic_store_n(&result->state, result->failures ? IVM_RESULT_FAILED : IVM_RESULT_DONE,
			 __ATOMIC_RELEASE);
	wait_until(peer_is_done, &lanes, options->timeout_s);
}

void selftest_run(struct mailbox *mailbox, struct options *options)
{
	if (mailbox->kind != DEVICE_IVM)
		die("selftest: only ivm-mailbox has these registers");
	dev = mailbox;
	result = hot.result;
	check_constants();
	check_after_reset();
	if (!(mailbox_read(mailbox, IVM_REG_LINK) & IVM_LINK_UP)) {
		check_link_down();
		check_dropped(0);
	}
	check_read_only();
	check_reserved();
	check_read_write();
	check_odd_accesses();
	if (options->peer)
		check_with_peer(mailbox, options);
	if (result->failures)
		die("selftest: %u of %u checks failed", result->failures, result->checks);
	console_print("ivm-bare: done checks=%u\n", result->checks);
}
