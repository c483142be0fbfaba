/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ivm-mailbox: state of the device, and what its source files offer each other.
 *
 *   ivm-mailbox.c   PCI device: properties, registers, link up and down
 *   ivm-doorbell.c  sending: doorbells, ioeventfds, BAR0's place in memory
 *   ivm-irq.c       receiving: MSI-X, pending, MASK and STATUS, irqfds
 *   ivm-link.c      the protocol with the peer over the chardev
 *   ivm-linkpage.c  shared memory and what is published to the host
 *
 * Everything runs under the BQL: vCPU threads in MMIO handlers, the main loop
 * in chardev, eventfd and bottom half handlers.
 */
#ifndef IVM_MAILBOX_H
#define IVM_MAILBOX_H

#include "hw/pci/pci.h"
#include "chardev/char-fe.h"
#include "qemu/event_notifier.h"
#include "qom/object.h"
#include "ivm-compat.h"
#include "ivm-regs.h"
#include "ivm-linkpage.h"
#include "ivm-link-proto.h"

#define TYPE_IVM_MAILBOX "ivm-mailbox"
OBJECT_DECLARE_SIMPLE_TYPE(IvmMailbox, IVM_MAILBOX)

/* One doorbell this end accepts */
typedef struct IvmVector {
    IvmMailbox *s;
    EventNotifier event;    /* the peer signals it; fd -1 if there is none */
    int virq;               /* KVM route, -1 before the first unmask */
    bool irqfd;             /* attached: KVM delivers */
    bool refused;           /* KVM said no: QEMU delivers until next mask */
    bool watched;           /* the main loop reads the eventfd */
    bool pending;           /* to be raised once deliverable */
} IvmVector;

/* One doorbell of the peer */
typedef struct IvmDoorbell {
    EventNotifier event;    /* fd -1 if there is none */
    hwaddr ioeventfd;       /* where KVM has it, IVM_LINKPAGE_NO_ADDR if not */
    uint32_t held;          /* rings the socket did not take yet */
    uint32_t held_cookie;   /* of the last one */
} IvmDoorbell;

/* A part of BAR0 the guest can see, and where */
typedef struct IvmWindow {
    hwaddr offset;
    hwaddr bytes;
    hwaddr address;
} IvmWindow;

/* What the peer's HELLO said */
typedef struct IvmPeer {
    bool alike;             /* its host is of this one's architecture */
    uint32_t caps;
    uint32_t mode;
    uint32_t vectors;
    uint64_t link_id;
    char name[IVM_LINK_NAME_BYTES];
} IvmPeer;

typedef enum IvmLinkState {
    IVM_LINK_CLOSED,        /* no connection */
    IVM_LINK_HELLO,         /* HELLO sent, the peer's not seen */
    IVM_LINK_SETUP,         /* agreed, descriptors on their way */
    IVM_LINK_RUNNING,       /* READY sent and received */
} IvmLinkState;

/* One connection; all of it is forgotten when that closes */
typedef struct IvmLink {
    IvmLinkState state;
    bool closed;            /* the chardev says so; the bottom half acts */
    bool failed;            /* this end gives up; likewise */
    uint32_t fail_reason;   /* IVM_REASON_* */
    char *fail_text;

    uint8_t rx[4096];       /* a multiple of IVM_MSG_UNIT */
    size_t rx_bytes;
    int rx_fds[IVM_FDS_MAX];
    int rx_nfds;
    uint8_t tx[1024];
    size_t tx_bytes;
    guint tx_watch;

    IvmPeer peer;
    uint64_t link_id;       /* this end's proposal */
    bool fd_pass;           /* both ends can */
    bool provide_shmem;     /* this end does, else the peer */
    uint32_t tx_mode;
    uint32_t rx_mode;
    unsigned tx_item;       /* descriptor messages sent ... */
    bool tx_item_sent;      /* ... the next one too, ACK outstanding */
    unsigned rx_item;       /* descriptor messages received */
    bool ready_sent;
    bool ready_received;
    bool driver_dirty;      /* a DRIVER message is due */
    uint64_t tx_sequence;   /* of the last RING sent */
    uint64_t rx_sequence;
    int shmem_fd;           /* received, not in use before the link is up */
    uint8_t held[IVM_MAX_VECTORS];  /* vectors with held rings, in order */
    unsigned held_count;
} IvmLink;

struct IvmMailbox {
    PCIDevice parent_obj;

    /* Properties */
    CharBackend chr;
    char *name;
    char *side_text;
    char *mode_text;
    bool irq_ctrl;
    uint32_t vectors;
    uint64_t shmem_bytes;
    uint32_t version;

    /* The same, parsed */
    uint32_t side;
    uint32_t mode;

    MemoryRegion bar0;
    MemoryRegion bar2;
    MemoryListener listener;
    GArray *windows;        /* IvmWindow */
    bool windows_changed;
    Error *migration_blocker;
    QEMUBH *bh;
    QEMUTimer *handshake_timer;

    /* Link, as the registers show it */
    IvmLink link;
    bool up;
    uint32_t reason;
    uint32_t link_ups;
    uint32_t last_link;     /* LINK and PEER_READY when last announced */
    uint32_t last_peer_ready;
    uint32_t tx_mode;
    uint32_t rx_mode;
    uint32_t peer_vectors;
    uint32_t peer_ready;
    uint32_t warned_reasons;

    /* Registers */
    uint32_t link_vector;
    uint32_t ready;
    uint32_t rung;
    uint32_t dropped;
    bool drop_logged;
    uint32_t status[IVM_REG_WORDS];
    uint32_t mask[IVM_REG_WORDS];

    /* Receiving */
    IvmVector vector[IVM_MAX_VECTORS];
    uint32_t acked[IVM_MAX_VECTORS];    /* mode irqfd: peer's rung[] */
    bool msix_batch;        /* a configuration write is under way */
    bool have_msix_notifiers;
    uint32_t refusals;      /* vectors KVM refused so far */

    /* Sending */
    IvmDoorbell doorbell[IVM_MAX_VECTORS];
    uint32_t ioeventfd_refusals;

    /* Shared with the host and the peer */
    int page_fd;
    struct ivm_linkpage *page;
    const struct ivm_linkpage *peer_page;   /* NULL unless descriptors pass */
    int shmem_fd;           /* -1 before the first link-up */
};

/* ivm-mailbox.c */
void ivm_mailbox_link_up(IvmMailbox *s);
void ivm_mailbox_link_down(IvmMailbox *s);
void ivm_mailbox_link_changed(IvmMailbox *s);
uint32_t ivm_mailbox_features(IvmMailbox *s);
const char *ivm_label(IvmMailbox *s);
const char *ivm_mode_name(uint32_t mode);
const char *ivm_reason_text(uint32_t reason);

/* ivm-doorbell.c */
void ivm_doorbell_init(IvmMailbox *s);
void ivm_doorbell_exit(IvmMailbox *s);
void ivm_doorbell_ring(IvmMailbox *s, unsigned vector, uint32_t cookie);
void ivm_doorbell_update(IvmMailbox *s);
void ivm_doorbell_link_down(IvmMailbox *s);
hwaddr ivm_doorbell_bar0_address(IvmMailbox *s);
bool ivm_doorbell_direct_capable(void);

/* ivm-irq.c */
bool ivm_irq_init(IvmMailbox *s, Error **errp);
void ivm_irq_exit(IvmMailbox *s);
bool ivm_irq_irqfd_capable(void);
bool ivm_irq_control(IvmMailbox *s);
bool ivm_irq_deliverable(IvmMailbox *s, unsigned vector);
void ivm_irq_update(IvmMailbox *s, unsigned first, unsigned last);
void ivm_irq_raise(IvmMailbox *s, unsigned vector);
void ivm_irq_rung(IvmMailbox *s, unsigned vector, uint32_t count);
uint32_t ivm_irq_status(IvmMailbox *s, unsigned word);
void ivm_irq_acknowledge(IvmMailbox *s, unsigned word, uint32_t bits);
void ivm_irq_set_mask(IvmMailbox *s, unsigned word, uint32_t bits);
void ivm_irq_reset(IvmMailbox *s);
int ivm_irq_create_events(IvmMailbox *s);
void ivm_irq_snapshot(IvmMailbox *s);
void ivm_irq_link_up(IvmMailbox *s);
void ivm_irq_link_down(IvmMailbox *s);

/* ivm-link.c */
void ivm_link_init(IvmMailbox *s);
void ivm_link_exit(IvmMailbox *s);
void ivm_link_ring(IvmMailbox *s, unsigned vector, uint32_t cookie);
void ivm_link_driver(IvmMailbox *s);
bool ivm_link_name_valid(const char *name, size_t bytes);
int ivm_link_socket_fd(IvmMailbox *s);

/* ivm-linkpage.c */
bool ivm_linkpage_init(IvmMailbox *s, Error **errp);
void ivm_linkpage_exit(IvmMailbox *s);
void ivm_linkpage_publish(IvmMailbox *s);
int ivm_linkpage_map_peer(IvmMailbox *s, int fd);
void ivm_linkpage_unmap_peer(IvmMailbox *s);
int ivm_shmem_create(IvmMailbox *s);
bool ivm_shmem_acceptable(IvmMailbox *s, int fd);
int ivm_shmem_map(IvmMailbox *s, int fd);
bool ivm_eventfd_acceptable(int fd);

/* The counters of a link page: one writer, read by other processes */
static inline void ivm_count_add(uint32_t *counter, uint32_t n)
{
    qatomic_set(counter, cpu_to_le32(le32_to_cpu(*counter) + n));
}

static inline uint32_t ivm_count_read(const uint32_t *counter)
{
    return le32_to_cpu(qatomic_read(counter));
}

#endif /* IVM_MAILBOX_H */
