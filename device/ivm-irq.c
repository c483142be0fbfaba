/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ivm-mailbox: the receiving side.
 *
 * A vector is raised by KVM through an irqfd, or by QEMU.  An irqfd is
 * attached only while the vector is deliverable, so that nothing is lost: what
 * arrives otherwise stays in the eventfd, the main loop reads it and the
 * vector pends.  ivm_irq_update() brings that into line with the MSI-X state
 * and is called after everything that may have changed it; it may be called
 * at any time, any number of times.
 *
 * An MSI is a store to an address of the guest's choice.  It may hit any
 * register of any device, also one that resets or unplugs this very device.
 * So whoever raises looks at nothing afterwards that ivm_irq_exit() or a
 * reset takes away; s->page is NULL once the device is gone.
 */
#include "qemu/osdep.h"
#include <glib-unix.h>
#include <sys/uio.h>
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "hw/pci/msi.h"
#include "hw/pci/msix.h"
#include "ivm-mailbox.h"
#include "trace.h"

#define IVM_BIT(vector) (1u << ((vector) % 32))
#define IVM_WORD(vector) ((vector) / 32)

bool ivm_irq_irqfd_capable(void)
{
    return kvm_enabled() && kvm_msi_via_irqfd_enabled();
}

/* Do STATUS and MASK act now?  Not on what KVM delivers by itself. */
bool ivm_irq_control(IvmMailbox *s)
{
    return s->rx_mode != IVM_MODE_DIRECT;
}

bool ivm_irq_deliverable(IvmMailbox *s, unsigned vector)
{
    PCIDevice *pdev = PCI_DEVICE(s);

    return msix_enabled(pdev) && !msix_is_masked(pdev, vector) &&
           (pci_get_word(pdev->config + PCI_COMMAND) & PCI_COMMAND_MASTER);
}

/*
 * On x86 a message outside of the APIC's window is a store to memory, not an
 * interrupt.  KVM does not make that difference, and refuses some such
 * routes in a way that QEMU does not survive.
 */
static bool ivm_irq_routable(MSIMessage msg)
{
#ifdef TARGET_I386
    return (msg.address & ~0xfffffULL) == 0xfee00000;
#else
    return true;
#endif
}

static bool ivm_irq_masked(IvmMailbox *s, unsigned vector)
{
    return ivm_irq_control(s) && (s->mask[IVM_WORD(vector)] & IVM_BIT(vector));
}

static bool ivm_irq_counted(IvmMailbox *s)
{
    return s->rx_mode == IVM_MODE_IRQFD && s->peer_page;
}

static bool ivm_irq_vector_status(IvmMailbox *s, unsigned v)
{
    return (s->status[IVM_WORD(v)] & IVM_BIT(v)) ||
           (ivm_irq_counted(s) &&
            ivm_count_read(&s->peer_page->rung[v]) != s->acked[v]);
}

/*
 * Raising
 */

static void ivm_irq_send(IvmMailbox *s, unsigned v)
{
    ivm_count_add(&s->page->raised[v], 1);
    trace_ivm_irq_raise(ivm_label(s), v);
    msix_notify(PCI_DEVICE(s), v);
}

static void ivm_irq_pend(IvmMailbox *s, unsigned v)
{
    s->vector[v].pending = true;
    msix_set_pending(PCI_DEVICE(s), v);
    trace_ivm_irq_pend(ivm_label(s), v);
}

/* Raise a vector now, or as soon as the guest lets it */
void ivm_irq_raise(IvmMailbox *s, unsigned vector)
{
    if (!s->page) {
        return;
    }
    if (ivm_irq_deliverable(s, vector)) {
        ivm_irq_send(s, vector);
    } else {
        ivm_irq_pend(s, vector);
    }
}

/**
 * ivm_irq_rung: this end's QEMU received doorbells
 * @s: device
 * @vector: vector of this end
 * @count: how many, at least one; they raise once
 */
void ivm_irq_rung(IvmMailbox *s, unsigned vector, uint32_t count)
{
    bool masked = ivm_irq_masked(s, vector);

    if (!s->page) {
        return;
    }
    trace_ivm_irq_rung(ivm_label(s), vector, count, masked);
    /* In mode irqfd the peer's count says it, and must not say it twice */
    if (ivm_irq_control(s) && !ivm_irq_counted(s)) {
        s->status[IVM_WORD(vector)] |= IVM_BIT(vector);
    }
    if (masked || !ivm_irq_deliverable(s, vector)) {
        ivm_count_add(&s->page->held[vector], count);
    }
    if (!masked) {
        ivm_irq_raise(s, vector);
    }
}

/*
 * Eventfds and irqfds
 */

/*
 * Returns: what was in the eventfd.  The peer shares the file description and
 * may have made it blocking: the flag says for this read alone that it is not.
 */
static uint32_t ivm_irq_drain(IvmVector *vec)
{
    uint64_t count;
    struct iovec iov = { .iov_base = &count, .iov_len = sizeof(count) };
    int fd = event_notifier_get_fd(&vec->event);
    ssize_t ret;

    if (fd < 0) {
        return 0;
    }
    ret = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);
    if (ret < 0 && errno == EOPNOTSUPP) {
        /* Linux before 5.8: the best there is */
        g_unix_set_fd_nonblocking(fd, true, NULL);
        ret = read(fd, &count, sizeof(count));
    }
    return ret == sizeof(count) ? MIN(count, UINT32_MAX) : 0;
}

static void ivm_irq_event(void *opaque)
{
    IvmVector *vec = opaque;
    uint32_t count = ivm_irq_drain(vec);

    if (count) {
        ivm_irq_rung(vec->s, vec - vec->s->vector, count);
    }
}

static void ivm_irq_watch(IvmVector *vec, bool watch)
{
    if (vec->watched != watch) {
        qemu_set_fd_handler(event_notifier_get_fd(&vec->event),
                            watch ? ivm_irq_event : NULL, NULL, vec);
        vec->watched = watch;
    }
}

/* One warning: the next ones would say nothing new */
static void ivm_irq_refused(IvmVector *vec, const char *what, int ret)
{
    IvmMailbox *s = vec->s;

    vec->refused = true;
    trace_ivm_irq_refused(ivm_label(s), vec - s->vector, what, ret);
    if (s->refusals++ == 0) {
        warn_report("ivm-mailbox %s: vector %td has no irqfd: %s (%s); QEMU "
                    "delivers such vectors", ivm_label(s), vec - s->vector,
                    what, strerror(-ret));
    }
}

/* Returns: true if KVM's routing table must be committed */
static bool ivm_irq_route(IvmMailbox *s, unsigned v)
{
    PCIDevice *pdev = PCI_DEVICE(s);
    IvmVector *vec = &s->vector[v];
    MSIMessage msg = msix_get_message(pdev, v);
    KVMRouteChange change = kvm_irqchip_begin_route_changes(kvm_state);
    int ret;

    if (!ivm_irq_routable(msg)) {
        ivm_irq_refused(vec, "no interrupt at its MSI address", -EINVAL);
        return false;
    }
    if (vec->virq < 0) {
        ret = kvm_irqchip_add_msi_route(&change, v, pdev);
        vec->virq = ret;
    } else {
        ret = kvm_irqchip_update_msi_route(kvm_state, vec->virq, msg, pdev);
    }
    if (ret < 0) {
        ivm_irq_refused(vec, "KVM refused the route", ret);
        return false;
    }
    return true;
}

static void ivm_irq_attach(IvmMailbox *s, unsigned v)
{
    IvmVector *vec = &s->vector[v];
    uint32_t count;
    int ret;

    ivm_irq_watch(vec, false);
    count = ivm_irq_drain(vec);
    if (count && !ivm_irq_masked(s, v)) {
        ivm_count_add(&s->page->held[v], count);
        vec->pending = true;
    }
    ret = kvm_irqchip_add_irqfd_notifier_gsi(kvm_state, &vec->event, NULL,
                                             vec->virq);
    if (ret < 0) {
        ivm_irq_refused(vec, "KVM refused it", ret);
        ivm_irq_watch(vec, true);
        return;
    }
    /*
     * What is in the eventfd now was there when KVM looked, and it injected
     * that without taking it out.  Read at detach it would count twice.
     */
    ivm_irq_drain(vec);
    vec->irqfd = true;
    trace_ivm_irq_attach(ivm_label(s), v, vec->virq);
}

static void ivm_irq_detach(IvmMailbox *s, unsigned v)
{
    IvmVector *vec = &s->vector[v];

    kvm_irqchip_remove_irqfd_notifier_gsi(kvm_state, &vec->event, vec->virq);
    vec->irqfd = false;
    trace_ivm_irq_detach(ivm_label(s), v);
    ivm_irq_watch(vec, true);
}

static bool ivm_irq_wants_irqfd(IvmMailbox *s, unsigned v)
{
    return event_notifier_get_fd(&s->vector[v].event) >= 0 && s->up &&
           (s->rx_mode == IVM_MODE_IRQFD || s->rx_mode == IVM_MODE_DIRECT) &&
           ivm_irq_deliverable(s, v);
}

/* Detach what must not be attached, route what must; attaching comes later */
static bool ivm_irq_prepare(IvmMailbox *s, unsigned v)
{
    IvmVector *vec = &s->vector[v];

    if (!ivm_irq_wants_irqfd(s, v)) {
        vec->refused = false;
        if (vec->irqfd) {
            ivm_irq_detach(s, v);
        }
        return false;
    }
    return !vec->irqfd && !vec->refused && ivm_irq_route(s, v);
}

/* All route changes are committed at once: KVM rebuilds its table each time */
static void ivm_irq_update_irqfds(IvmMailbox *s, unsigned first, unsigned last)
{
    bool routes_changed = false;
    unsigned v;

    for (v = first; v <= last; v++) {
        routes_changed |= ivm_irq_prepare(s, v);
    }
    if (routes_changed) {
        kvm_irqchip_commit_routes(kvm_state);
    }
    for (v = first; v <= last; v++) {
        if (ivm_irq_wants_irqfd(s, v) && !s->vector[v].irqfd &&
            !s->vector[v].refused && s->vector[v].virq >= 0) {
            ivm_irq_attach(s, v);
        }
    }
    ivm_linkpage_publish(s);
}

/* Returns: true if the vector is to be raised now, which is up to the caller */
static bool ivm_irq_take_pending(IvmMailbox *s, unsigned v)
{
    if (!s->vector[v].pending || !ivm_irq_deliverable(s, v)) {
        return false;
    }
    s->vector[v].pending = false;
    msix_clr_pending(PCI_DEVICE(s), v);
    return true;
}

/**
 * ivm_irq_update: bring vectors into line with the MSI-X state and the link
 * @s: device
 * @first: first vector
 * @last: last vector, included
 */
void ivm_irq_update(IvmMailbox *s, unsigned first, unsigned last)
{
    unsigned v;

    ivm_irq_update_irqfds(s, first, last);
    for (v = first; v <= last && s->page; v++) {
        if (ivm_irq_take_pending(s, v)) {
            ivm_irq_send(s, v);
        }
    }
}

/*
 * MSI-X vector notifiers
 */

/*
 * Pending bits are kept by the device, as msix.c would send them with bus
 * mastering off and lose them: those in the PBA are for the guest to see.
 * After this msix.c raises the vector if its bit in the PBA is set.
 */
static int ivm_irq_msix_use(PCIDevice *pdev, unsigned vector, MSIMessage msg)
{
    IvmMailbox *s = IVM_MAILBOX(pdev);

    msix_clr_pending(pdev, vector);
    if (s->msix_batch) {
        return 0;
    }
    ivm_irq_update_irqfds(s, vector, vector);
    if (ivm_irq_take_pending(s, vector)) {
        ivm_count_add(&s->page->raised[vector], 1);
        trace_ivm_irq_raise(ivm_label(s), vector);
        msix_set_pending(pdev, vector);
    }
    return 0;
}

static void ivm_irq_msix_release(PCIDevice *pdev, unsigned vector)
{
    IvmMailbox *s = IVM_MAILBOX(pdev);

    if (!s->msix_batch) {
        ivm_irq_update_irqfds(s, vector, vector);
    }
}

/* The guest looks at the PBA: what is in an eventfd belongs there */
static void ivm_irq_msix_poll(PCIDevice *pdev, unsigned start, unsigned end)
{
    IvmMailbox *s = IVM_MAILBOX(pdev);
    unsigned v;

    for (v = start; v < MIN(end, s->vectors); v++) {
        if (s->vector[v].watched && !ivm_irq_deliverable(s, v)) {
            ivm_irq_event(&s->vector[v]);
        }
        if (s->vector[v].pending) {
            msix_set_pending(pdev, v);
        }
    }
}

bool ivm_irq_init(IvmMailbox *s, Error **errp)
{
    PCIDevice *pdev = PCI_DEVICE(s);
    unsigned v;

    for (v = 0; v < IVM_MAX_VECTORS; v++) {
        s->vector[v].s = s;
        s->vector[v].virq = -1;
        event_notifier_init_fd(&s->vector[v].event, -1);
    }
    if (msix_init_exclusive_bar(pdev, s->vectors, IVM_BAR_MSIX, errp)) {
        return false;
    }
    for (v = 0; v < s->vectors; v++) {
        msix_vector_use(pdev, v);
    }
    msix_set_vector_notifiers(pdev, ivm_irq_msix_use, ivm_irq_msix_release,
                              ivm_irq_msix_poll);
    s->have_msix_notifiers = true;
    return true;
}

void ivm_irq_exit(IvmMailbox *s)
{
    PCIDevice *pdev = PCI_DEVICE(s);
    unsigned v;

    if (!s->have_msix_notifiers) {
        return;
    }
    msix_unset_vector_notifiers(pdev);
    s->have_msix_notifiers = false;
    for (v = 0; v < s->vectors; v++) {
        if (s->vector[v].virq >= 0) {
            kvm_irqchip_release_virq(kvm_state, s->vector[v].virq);
            s->vector[v].virq = -1;
        }
    }
    msix_uninit_exclusive_bar(pdev);
}

/*
 * STATUS and MASK
 */

uint32_t ivm_irq_status(IvmMailbox *s, unsigned word)
{
    uint32_t bits = 0;
    unsigned v;

    if (!ivm_irq_control(s)) {
        return 0;
    }
    for (v = word * 32; v < MIN(word * 32 + 32, s->vectors); v++) {
        bits |= ivm_irq_vector_status(s, v) ? IVM_BIT(v) : 0;
    }
    return bits;
}

void ivm_irq_acknowledge(IvmMailbox *s, unsigned word, uint32_t bits)
{
    unsigned v;

    if (!ivm_irq_control(s)) {
        return;
    }
    for (v = word * 32; v < MIN(word * 32 + 32, s->vectors); v++) {
        if (!(bits & IVM_BIT(v))) {
            continue;
        }
        s->status[word] &= ~IVM_BIT(v);
        if (ivm_irq_counted(s)) {
            s->acked[v] = ivm_count_read(&s->peer_page->rung[v]);
        }
    }
}

/* What the peer's QEMU reads in mode irqfd */
static void ivm_irq_publish_mask(IvmMailbox *s)
{
    unsigned v;

    for (v = 0; v < s->vectors; v++) {
        qatomic_set(&s->page->mask[v], cpu_to_le32(ivm_irq_masked(s, v)));
    }
}

void ivm_irq_set_mask(IvmMailbox *s, unsigned word, uint32_t bits)
{
    uint32_t opened = s->mask[word] & ~bits;
    unsigned v;

    trace_ivm_irq_mask(ivm_label(s), word, bits);
    s->mask[word] = bits;
    ivm_irq_publish_mask(s);
    if (!ivm_irq_control(s)) {
        return;
    }
    /*
     * Pairs with the barrier in ivm_doorbell_irqfd(): the peer counts, then
     * reads the mask; this end clears the mask, then reads the count.  One
     * of the two sees what the other did.
     */
    smp_mb();
    for (v = word * 32; v < MIN(word * 32 + 32, s->vectors); v++) {
        if ((opened & IVM_BIT(v)) && ivm_irq_vector_status(s, v)) {
            ivm_irq_raise(s, v);
        }
    }
}

/* The link stays as it is; what was rung until now is forgotten */
void ivm_irq_reset(IvmMailbox *s)
{
    unsigned word, v;

    for (v = 0; v < s->vectors; v++) {
        if (s->vector[v].irqfd) {
            ivm_irq_detach(s, v);
        }
        ivm_irq_drain(&s->vector[v]);
        s->vector[v].pending = false;
        msix_clr_pending(PCI_DEVICE(s), v);
    }
    for (word = 0; word < IVM_REG_WORDS; word++) {
        s->mask[word] = 0;
        ivm_irq_acknowledge(s, word, UINT32_MAX);
        s->status[word] = 0;
    }
    ivm_irq_publish_mask(s);
}

/*
 * Link up and down
 */

/**
 * ivm_irq_create_events: make this end's eventfds for a new link
 * @s: device
 *
 * Returns: 0, or a negative errno
 */
int ivm_irq_create_events(IvmMailbox *s)
{
    unsigned v;
    int ret;

    for (v = 0; v < s->vectors; v++) {
        ret = event_notifier_init(&s->vector[v].event, 0);
        if (ret < 0) {
            event_notifier_init_fd(&s->vector[v].event, -1);
            return ret;
        }
    }
    return 0;
}

/* From here on the peer may ring: what it counted before is history */
void ivm_irq_snapshot(IvmMailbox *s)
{
    unsigned v;

    for (v = 0; v < s->vectors && s->peer_page; v++) {
        s->acked[v] = ivm_count_read(&s->peer_page->rung[v]);
    }
}

/* Masks stop to act: what they held is raised, and is not known afterwards */
static void ivm_irq_release_held(IvmMailbox *s)
{
    unsigned v;

    for (v = 0; v < s->vectors; v++) {
        if (s->status[IVM_WORD(v)] & s->mask[IVM_WORD(v)] & IVM_BIT(v)) {
            ivm_irq_raise(s, v);
        }
    }
    memset(s->status, 0, sizeof(s->status));
}

void ivm_irq_link_up(IvmMailbox *s)
{
    unsigned v;

    ivm_irq_publish_mask(s);
    if (!ivm_irq_control(s)) {
        ivm_irq_release_held(s);
    }
    for (v = 0; v < s->vectors; v++) {
        if (event_notifier_get_fd(&s->vector[v].event) >= 0) {
            ivm_irq_watch(&s->vector[v], true);
        }
    }
    ivm_irq_update(s, 0, s->vectors - 1);
}

/* The eventfd's last content, after nobody else can take it any more */
static void ivm_irq_close_event(IvmMailbox *s, unsigned v)
{
    IvmVector *vec = &s->vector[v];
    uint32_t count;

    if (event_notifier_get_fd(&vec->event) < 0) {
        return;
    }
    if (vec->irqfd) {
        ivm_irq_detach(s, v);
    }
    ivm_irq_watch(vec, false);
    count = ivm_irq_drain(vec);
    if (count) {
        ivm_irq_rung(s, v, count);
    }
    close(event_notifier_get_fd(&vec->event));
    event_notifier_init_fd(&vec->event, -1);
    vec->refused = false;
}

/**
 * ivm_irq_link_down: stop receiving, keep what was received
 * @s: device, still in the mode that ends
 *
 * In mode irqfd a ring may have been counted and its signal lost with the
 * peer.  So all that is not acknowledged is raised once more, unless held.
 */
void ivm_irq_link_down(IvmMailbox *s)
{
    bool counted = ivm_irq_counted(s);
    unsigned word, v;

    for (v = 0; v < s->vectors; v++) {
        ivm_irq_close_event(s, v);
    }
    for (word = 0; counted && word < IVM_REG_WORDS; word++) {
        s->status[word] = ivm_irq_status(s, word);
    }
    for (v = 0; counted && v < s->vectors; v++) {
        if ((s->status[IVM_WORD(v)] & IVM_BIT(v)) && !ivm_irq_masked(s, v)) {
            ivm_irq_raise(s, v);
        }
    }
}
