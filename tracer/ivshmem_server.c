// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A server for QEMU's ivshmem-doorbell with room for two peers.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <glib.h>

#include "../device/ivm-linkpage.h"
#include "ivshmem_server.h"

#define PROTOCOL_VERSION	0
#define NO_PEER			(-1)	/* the descriptor is the shared memory */
#define SEND_TIMEOUT_S		5

struct ivm_ivshmem_server {
	char *path;
	int listen_fd;
	int shmem_fd;
	uint32_t vectors;
	uint32_t peers;				/* connected so far */
	int peer_fd[IVM_IVSHMEM_PEERS];
	int *eventfd[IVM_IVSHMEM_PEERS];	/* [vectors], ring = write */
};

static int send_message(int socket_fd, int64_t number, int fd)
{
	int64_t wire = (int64_t)htole64((uint64_t)number);
	struct iovec iov = { &wire, sizeof(wire) };
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t sent;

	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	do {
		sent = sendmsg(socket_fd, &message, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return -errno;
	return sent == sizeof(wire) ? 0 : -EPIPE;
}

/* Tell the client at @socket_fd how to ring each vector of @peer */
static int introduce(const struct ivm_ivshmem_server *server, int socket_fd, uint32_t peer)
{
	uint32_t vector;
	int err = 0;

	for (vector = 0; vector < server->vectors && !err; vector++)
		err = send_message(socket_fd, peer, server->eventfd[peer][vector]);
	return err;
}

static int greet(const struct ivm_ivshmem_server *server, uint32_t self)
{
	int fd = server->peer_fd[self], err;
	uint32_t other;

	err = send_message(fd, PROTOCOL_VERSION, -1);
	if (!err)
		err = send_message(fd, self, -1);
	if (!err)
		err = send_message(fd, NO_PEER, server->shmem_fd);
	for (other = 0; other < self && !err; other++) {
		err = introduce(server, server->peer_fd[other], self);
		if (!err)
			err = introduce(server, fd, other);
	}
	/* A client's own vectors come last: the spec says so */
	return err ? err : introduce(server, fd, self);
}

int ivm_ivshmem_server_accept(struct ivm_ivshmem_server *server)
{
	const struct timeval timeout = { .tv_sec = SEND_TIMEOUT_S };
	int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (server->peers == IVM_IVSHMEM_PEERS) {
		close(fd);
		return -EUSERS;
	}
	server->peer_fd[server->peers] = fd;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)))
		return -errno;
	return greet(server, server->peers++);
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(fd, IVM_IVSHMEM_PEERS)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int make_shmem(uint64_t bytes)
{
	int fd = memfd_create(IVM_SHMEM_NAME, MFD_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int make_eventfds(struct ivm_ivshmem_server *server, uint32_t peer)
{
	uint32_t vector;

	server->eventfd[peer] = g_new(int, server->vectors);
	memset(server->eventfd[peer], -1, server->vectors * sizeof(int));
	for (vector = 0; vector < server->vectors; vector++) {
		server->eventfd[peer][vector] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (server->eventfd[peer][vector] < 0)
			return -errno;
	}
	return 0;
}

int ivm_ivshmem_server_open(const char *path, uint64_t shmem_bytes, uint32_t vectors,
			    struct ivm_ivshmem_server **out)
{
	struct ivm_ivshmem_server *server = g_new0(struct ivm_ivshmem_server, 1);
	int err;

	server->vectors = vectors;
	server->listen_fd = -1;
	memset(server->peer_fd, -1, sizeof(server->peer_fd));
	err = server->shmem_fd = make_shmem(shmem_bytes);
	if (err >= 0)
		err = make_eventfds(server, 0);
	if (!err)
		err = make_eventfds(server, 1);
	if (!err)
		err = server->listen_fd = listen_at(path);
	if (err < 0) {
		ivm_ivshmem_server_close(server);
		return err;
	}
	server->path = g_strdup(path);
	*out = server;
	return 0;
}

int ivm_ivshmem_server_listen_fd(const struct ivm_ivshmem_server *server)
{
	return server->listen_fd;
}

int ivm_ivshmem_server_shmem_fd(const struct ivm_ivshmem_server *server)
{
	return server->shmem_fd;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void ivm_ivshmem_server_close(struct ivm_ivshmem_server *server)
{
	uint32_t peer, vector;

	if (!server)
		return;
	for (peer = 0; peer < IVM_IVSHMEM_PEERS; peer++) {
		close_fd(server->peer_fd[peer]);
		for (vector = 0; server->eventfd[peer] && vector < server->vectors; vector++)
			close_fd(server->eventfd[peer][vector]);
		g_free(server->eventfd[peer]);
	}
	close_fd(server->listen_fd);
	close_fd(server->shmem_fd);
	if (server->path)
		unlink(server->path);
	g_free(server->path);
	g_free(server);
}
