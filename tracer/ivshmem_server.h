/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A server for QEMU's ivshmem-doorbell with room for two peers.
 *
 * It speaks the protocol of QEMU's docs/specs/ivshmem-spec.rst: messages of
 * one little-endian 64-bit number, some with a descriptor.  Peers are told
 * about each other once; nobody may come back after leaving, so it serves one
 * run and not a machine.
 */
#ifndef IVM_IVSHMEM_SERVER_H
#define IVM_IVSHMEM_SERVER_H

#include <stdint.h>

#define IVM_IVSHMEM_PEERS	2

struct ivm_ivshmem_server;

/**
 * ivm_ivshmem_server_open() - listen at @path and make memory and eventfds
 * @path: of the socket to make
 * @shmem_bytes: size of the shared memory, a power of two
 * @vectors: eventfds for each peer
 * @server: set on success
 *
 * Return: 0 or -errno.
 */
int ivm_ivshmem_server_open(const char *path, uint64_t shmem_bytes, uint32_t vectors,
			    struct ivm_ivshmem_server **server);

/**
 * ivm_ivshmem_server_listen_fd() - poll this for input, then accept
 */
int ivm_ivshmem_server_listen_fd(const struct ivm_ivshmem_server *server);

/**
 * ivm_ivshmem_server_accept() - greet the next peer, and introduce the two
 *
 * A peer that does not read its messages for 5 s is an error.
 *
 * Return: 0 or -errno, -EUSERS for a third peer.
 */
int ivm_ivshmem_server_accept(struct ivm_ivshmem_server *server);

/**
 * ivm_ivshmem_server_shmem_fd() - the memfd of the shared memory
 */
int ivm_ivshmem_server_shmem_fd(const struct ivm_ivshmem_server *server);

/**
 * ivm_ivshmem_server_close() - disconnect all and free; takes NULL
 */
void ivm_ivshmem_server_close(struct ivm_ivshmem_server *server);

#endif /* IVM_IVSHMEM_SERVER_H */
