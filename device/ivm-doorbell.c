/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ivm-mailbox: the sending side.
 *
 * In mode direct KVM itself signals the peer, through an ioeventfd for each
 * doorbell.  Those are registered here and not with
 * memory_region_add_eventfd(), because QEMU aborts when KVM refuses one, and a
 * guest can bring that about: it maps two devices over each other and KVM sees
 * the new ioeventfd before the old one is gone.  Here a refusal only means
 * that the doorbell goes through QEMU.
 */
#include "qemu/osdep.h"
#include <linux/kvm.h>
#include <poll.h>
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "qemu/log.h"
#include "ivm-mailbox.h"
#include "trace.h"

bool ivm_doorbell_direct_capable(void)
{
    return kvm_enabled() && kvm_check_extension(kvm_state, KVM_CAP_IOEVENTFD) &&
           ivm_irq_irqfd_capable();
}

/*
 * Ringing
 */

/*
 * The peer may have made the descriptor blocking and the counter full: look
 * first.  A full counter is a signal the peer has not taken yet.
 */
static void ivm_doorbell_signal(IvmDoorbell *bell)
{
    struct pollfd pfd = { .fd = event_notifier_get_fd(&bell->event),
                          .events = POLLOUT };
    uint64_t one = 1;
    ssize_t ret;

    if (pfd.fd < 0 || poll(&pfd, 1, 0) != 1 || !(pfd.revents & POLLOUT)) {
        return;
    }
    do {
        ret = write(pfd.fd, &one, sizeof(one));
    } while (ret < 0 && errno == EINTR);
}

/* Count, then look at the mask: see ivm_irq_set_mask() for the other half */
static void ivm_doorbell_irqfd(IvmMailbox *s, unsigned vector)
{
    smp_mb();
    if (ivm_count_read(&s->peer_page->mask[vector])) {
        trace_ivm_doorbell_masked(ivm_label(s), vector);
    } else {
        ivm_doorbell_signal(&s->doorbell[vector]);
    }
}

static void ivm_doorbell_drop(IvmMailbox *s, unsigned vector)
{
    s->dropped++;
    ivm_count_add(vector < IVM_MAX_VECTORS ? &s->page->dropped[vector]
                                           : &s->page->dropped_other, 1);
    trace_ivm_doorbell_drop(ivm_label(s), vector);
    if (!s->drop_logged) {
        s->drop_logged = true;
        qemu_log_mask(LOG_GUEST_ERROR, "ivm-mailbox %s: doorbell %u dropped, "
                      "%u may be rung\n", ivm_label(s), vector,
                      s->peer_vectors);
    }
}

/**
 * ivm_doorbell_ring: the guest wrote a doorbell and QEMU got it
 * @s: device
 * @vector: doorbell, 0 to IVM_DOORBELL_MAX
 * @cookie: value written
 *
 * Mode direct comes here only while KVM's ioeventfd is not in place.
 */
void ivm_doorbell_ring(IvmMailbox *s, unsigned vector, uint32_t cookie)
{
    if (vector >= s->peer_vectors) {
        ivm_doorbell_drop(s, vector);
        return;
    }
    s->rung++;
    ivm_count_add(&s->page->rung[vector], 1);
    trace_ivm_doorbell_ring(ivm_label(s), vector, cookie, s->tx_mode);
    switch (s->tx_mode) {
    case IVM_MODE_QEMU:
        ivm_link_ring(s, vector, cookie);
        break;
    case IVM_MODE_IRQFD:
        ivm_doorbell_irqfd(s, vector);
        break;
    case IVM_MODE_DIRECT:
        ivm_doorbell_signal(&s->doorbell[vector]);
        break;
    }
}

/*
 * Ioeventfds
 */

static int ivm_doorbell_ioeventfd(IvmDoorbell *bell, hwaddr address, bool add)
{
    struct kvm_ioeventfd ioeventfd = {
        .addr = address,
        .len = 4,
        .fd = event_notifier_get_fd(&bell->event),
        .flags = add ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN,
    };

    /* A target without KVM lacks the function, and never comes here */
    return kvm_enabled() ? kvm_vm_ioctl(kvm_state, KVM_IOEVENTFD, &ioeventfd)
                         : -ENOSYS;
}

static void ivm_doorbell_unassign(IvmMailbox *s, unsigned v)
{
    IvmDoorbell *bell = &s->doorbell[v];

    if (bell->ioeventfd != IVM_LINKPAGE_NO_ADDR) {
        ivm_doorbell_ioeventfd(bell, bell->ioeventfd, false);
        bell->ioeventfd = IVM_LINKPAGE_NO_ADDR;
    }
}

static void ivm_doorbell_assign(IvmMailbox *s, unsigned v, hwaddr address)
{
    IvmDoorbell *bell = &s->doorbell[v];
    int ret = ivm_doorbell_ioeventfd(bell, address, true);

    trace_ivm_doorbell_assign(ivm_label(s), v, address, ret);
    if (ret == 0) {
        bell->ioeventfd = address;
    } else if (s->ioeventfd_refusals++ == 0) {
        warn_report("ivm-mailbox %s: KVM refused an ioeventfd for doorbell %u "
                    "(%s); such doorbells go through QEMU", ivm_label(s), v,
                    strerror(-ret));
    }
}

static bool ivm_doorbell_address(IvmMailbox *s, unsigned v, hwaddr *address)
{
    hwaddr offset = IVM_DOORBELL(v);
    unsigned i;

    for (i = 0; i < s->windows->len; i++) {
        IvmWindow *w = &g_array_index(s->windows, IvmWindow, i);

        if (offset >= w->offset && offset + 4 <= w->offset + w->bytes) {
            *address = w->address + (offset - w->offset);
            return true;
        }
    }
    return false;
}

/* Bring KVM's ioeventfds into line with the mode and BAR0's place */
void ivm_doorbell_update(IvmMailbox *s)
{
    hwaddr address;
    unsigned v;

    for (v = 0; v < IVM_MAX_VECTORS; v++) {
        if (s->tx_mode != IVM_MODE_DIRECT || v >= s->peer_vectors ||
            !ivm_doorbell_address(s, v, &address)) {
            ivm_doorbell_unassign(s, v);
        } else if (s->doorbell[v].ioeventfd != address) {
            ivm_doorbell_unassign(s, v);
            ivm_doorbell_assign(s, v, address);
        }
    }
}

/* Where BAR0's first byte is, or would be if that part could be seen */
hwaddr ivm_doorbell_bar0_address(IvmMailbox *s)
{
    IvmWindow *w;

    if (!s->windows || !s->windows->len) {
        return IVM_LINKPAGE_NO_ADDR;
    }
    w = &g_array_index(s->windows, IvmWindow, 0);
    return w->address - w->offset;
}

static void ivm_doorbell_region_add(MemoryListener *listener,
                                    MemoryRegionSection *section)
{
    IvmMailbox *s = container_of(listener, IvmMailbox, listener);
    IvmWindow w = {
        .offset = section->offset_within_region,
        .bytes = int128_get64(section->size),
        .address = section->offset_within_address_space,
    };

    if (section->mr == &s->bar0) {
        g_array_append_val(s->windows, w);
        s->windows_changed = true;
    }
}

/*
 * Ioeventfds go before those of whatever comes in this place are added, and
 * are added after all others have gone, in the commit.
 */
static void ivm_doorbell_region_del(MemoryListener *listener,
                                    MemoryRegionSection *section)
{
    IvmMailbox *s = container_of(listener, IvmMailbox, listener);
    unsigned i;

    if (section->mr != &s->bar0) {
        return;
    }
    for (i = 0; i < s->windows->len; i++) {
        IvmWindow *w = &g_array_index(s->windows, IvmWindow, i);

        if (w->offset == section->offset_within_region &&
            w->address == section->offset_within_address_space) {
            g_array_remove_index(s->windows, i);
            break;
        }
    }
    for (i = 0; i < IVM_MAX_VECTORS; i++) {
        hwaddr address;

        if (!ivm_doorbell_address(s, i, &address)) {
            ivm_doorbell_unassign(s, i);
        }
    }
    s->windows_changed = true;
}

static void ivm_doorbell_commit(MemoryListener *listener)
{
    IvmMailbox *s = container_of(listener, IvmMailbox, listener);

    if (s->windows_changed) {
        s->windows_changed = false;
        ivm_doorbell_update(s);
        ivm_linkpage_publish(s);
    }
}

void ivm_doorbell_init(IvmMailbox *s)
{
    unsigned v;

    for (v = 0; v < IVM_MAX_VECTORS; v++) {
        event_notifier_init_fd(&s->doorbell[v].event, -1);
        s->doorbell[v].ioeventfd = IVM_LINKPAGE_NO_ADDR;
    }
    s->windows = g_array_new(false, false, sizeof(IvmWindow));
    s->listener = (MemoryListener) {
        .name = "ivm-mailbox",
        .region_add = ivm_doorbell_region_add,
        .region_del = ivm_doorbell_region_del,
        .commit = ivm_doorbell_commit,
        /* after KVM's own listeners */
        .priority = 99,
    };
    memory_listener_register(&s->listener, &address_space_memory);
}

void ivm_doorbell_exit(IvmMailbox *s)
{
    if (s->windows) {
        memory_listener_unregister(&s->listener);
        g_array_free(s->windows, true);
        s->windows = NULL;
    }
}

/* The peer cannot be rung any more; held rings are lost, and counted */
void ivm_doorbell_link_down(IvmMailbox *s)
{
    unsigned v;

    for (v = 0; v < IVM_MAX_VECTORS; v++) {
        IvmDoorbell *bell = &s->doorbell[v];
        int fd = event_notifier_get_fd(&bell->event);

        ivm_doorbell_unassign(s, v);
        if (fd >= 0) {
            close(fd);
            event_notifier_init_fd(&bell->event, -1);
        }
        s->dropped += bell->held;
        if (bell->held && s->page) {
            ivm_count_add(&s->page->dropped[v], bell->held);
        }
        bell->held = 0;
    }
}
