/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the ivm-mailbox qtests share: QEMUs with devices, a device as its guest
 * sees it, and a peer that speaks the link protocol by hand.
 *
 * MSI messages are sent to guest memory, one word for each vector, so a test
 * sees every interrupt without a CPU in the guest.
 */
#ifndef IVM_TEST_H
#define IVM_TEST_H

#include "libqtest.h"
#include "ivm-machine.h"
#include "ivm-regs.h"
#include "ivm-linkpage.h"
#include "ivm-link-proto.h"

#define IVM_TEST_DEADLINE_S 20

typedef struct IvmDev {
    QTestState *qts;
    const char *id;         /* -device ivm-mailbox,id= */
    uint16_t bdf;           /* bus << 8 | devfn */
    uint8_t msix_cap;
    uint64_t bar0;
    uint64_t bar1;
    uint64_t bar2;
    uint64_t msi_base;      /* guest memory, 4 bytes a vector */
} IvmDev;

/* A QEMU with one end of a link, and the socket it listens at or connects to */
char *ivm_test_socket(void);
QTestState *ivm_test_start(const char *accel, const char *fmt, ...)
    G_GNUC_PRINTF(2, 3);
void ivm_test_quit(QTestState *qts);
void ivm_test_reset(QTestState *qts);
pid_t ivm_test_pid(QTestState *qts);
bool ivm_test_have_kvm(void);
bool ivm_test_needs_pc(const char *what);

/* The same with another target's emulator, if it lies beside the tested one */
char *ivm_test_emulator(const char *arch);
QTestState *ivm_test_start_arch(const char *arch, const char *accel,
                                const char *fmt, ...) G_GNUC_PRINTF(3, 4);

/* The device in slot @slot, BARs placed, memory and bus mastering on */
IvmDev ivm_dev(QTestState *qts, const char *id, unsigned slot);
IvmDev ivm_dev_on_bus(QTestState *qts, const char *id, unsigned bus,
                      unsigned slot);
void ivm_dev_place(IvmDev *dev);
uint8_t ivm_find_capability(IvmDev *dev, uint8_t id);
uint32_t ivm_config_read(IvmDev *dev, uint8_t offset);
void ivm_config_write(IvmDev *dev, uint8_t offset, uint32_t value);
void ivm_config_writew(IvmDev *dev, uint8_t offset, uint16_t value);
uint32_t ivm_mem_read(IvmDev *dev, uint64_t at);
void ivm_mem_write(IvmDev *dev, uint64_t at, uint32_t value);
uint32_t ivm_read(IvmDev *dev, uint32_t offset);
void ivm_write(IvmDev *dev, uint32_t offset, uint32_t value);
void ivm_ring(IvmDev *dev, unsigned vector, uint32_t cookie);

void ivm_msix_enable(IvmDev *dev, bool enable, bool mask_all);
void ivm_msix_setup(IvmDev *dev, unsigned vectors);
void ivm_msix_message(IvmDev *dev, unsigned vector, uint64_t address,
                      uint32_t data);
void ivm_msix_mask(IvmDev *dev, unsigned vector, bool mask);
bool ivm_msix_pending(IvmDev *dev, unsigned vector);
void ivm_bus_master(IvmDev *dev, bool on);

/* Was the vector raised since last asked?  The second waits until it is. */
bool ivm_raised(IvmDev *dev, unsigned vector);
void ivm_wait_raised(IvmDev *dev, unsigned vector);
/* All that was sent until now has arrived at @dev */
void ivm_settle(IvmDev *dev);

void ivm_wait_up(IvmDev *dev);
void ivm_wait_down(IvmDev *dev, uint32_t reason);
void ivm_wait_reg(IvmDev *dev, uint32_t offset, uint32_t mask, uint32_t value);
char *ivm_property(IvmDev *dev, const char *name);

/* A peer made of a socket and good or bad intentions */
typedef struct IvmPeerSock {
    int fd;
    struct ivm_msg_hello hello;     /* of the device */
    int page_fd;                    /* received, -1 none */
    int shmem_fd;
    int event_fd[IVM_MAX_VECTORS];
    unsigned events;
    uint64_t sequence;
} IvmPeerSock;

IvmPeerSock *ivm_peer_connect(const char *path);
void ivm_peer_free(IvmPeerSock *peer);
void ivm_peer_send_raw(IvmPeerSock *peer, const void *buf, size_t bytes,
                       const int *fds, unsigned nfds);
bool ivm_peer_receive(IvmPeerSock *peer, void *msg, uint16_t *type);
void ivm_peer_expect(IvmPeerSock *peer, void *msg, uint16_t type);
void ivm_peer_expect_close(IvmPeerSock *peer);
struct ivm_msg_hello ivm_peer_make_hello(uint32_t mode, uint32_t caps,
                                         uint32_t vectors);
void ivm_peer_hello(IvmPeerSock *peer, const struct ivm_msg_hello *hello);
void ivm_peer_send_fds(IvmPeerSock *peer, uint32_t kind, uint32_t first,
                       const int *fds, unsigned count);
void ivm_peer_take_fds(IvmPeerSock *peer);
void ivm_peer_simple(IvmPeerSock *peer, uint16_t type, uint32_t value);
void ivm_peer_ring(IvmPeerSock *peer, uint32_t vector, uint32_t count,
                   uint64_t sequence);
int ivm_peer_memfd(const char *name, uint64_t bytes, unsigned seals);

#endif /* IVM_TEST_H */
