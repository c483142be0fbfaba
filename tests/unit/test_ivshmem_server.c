// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The ivshmem server against the message order of QEMU's ivshmem-spec.rst.
 */
#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../tracer/ivshmem_server.h"

#define VECTORS		3
#define SHMEM_BYTES	0x10000

struct fixture {
	char dir[32], path[64];
	struct ivm_ivshmem_server *server;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/ivm-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	strcpy(f->path, f->dir);
	strcat(f->path, "/s");
	assert_int_equal(ivm_ivshmem_server_open(f->path, SHMEM_BYTES, VECTORS, &f->server), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ivm_ivshmem_server_close(f->server);
	assert_int_equal(access(f->path, F_OK), -1);
	rmdir(f->dir);
	free(f);
	return 0;
}

static int connect_to(const struct fixture *f)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(address.sun_path, f->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* One message; its descriptor, or -1 */
static int64_t receive(int socket_fd, int *fd)
{
	int64_t number = 0;
	struct iovec iov = { &number, sizeof(number) };
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
				  .msg_controllen = sizeof(control) };

	assert_int_equal(recvmsg(socket_fd, &message, MSG_DONTWAIT), sizeof(number));
	*fd = -1;
	if (message.msg_controllen)
		memcpy(fd, CMSG_DATA(&control.header), sizeof(*fd));
	return (int64_t)le64toh((uint64_t)number);
}

static void expect(int socket_fd, int64_t number, int *fd)
{
	int received;

	assert_int_equal(receive(socket_fd, &received), number);
	assert_int_equal(received >= 0, fd != NULL);
	if (fd)
		*fd = received;
}

static void expect_nothing(int socket_fd)
{
	char byte;

	assert_int_equal(recv(socket_fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static void expect_vectors(int socket_fd, int64_t peer, int fds[VECTORS])
{
	int v;

	for (v = 0; v < VECTORS; v++)
		expect(socket_fd, peer, &fds[v]);
}

static void expect_greeting(int socket_fd, int64_t self, int *shmem)
{
	expect(socket_fd, 0, NULL);
	expect(socket_fd, self, NULL);
	expect(socket_fd, -1, shmem);
}

static void close_all(int *fds, size_t count)
{
	while (count--)
		close(fds[count]);
}

/* What rings vector 1 of peer 0 at one client is what peer 0 listens to */
static void expect_same_eventfd(int writer, int reader)
{
	uint64_t count = 1;

	assert_int_equal(write(writer, &count, sizeof(count)), sizeof(count));
	count = 0;
	assert_int_equal(read(reader, &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 1);
}

static void introduces_two(void **state)
{
	int own0[VECTORS], own1[VECTORS], at0[VECTORS], at1[VECTORS], shmem[2], client[2];
	struct fixture *f = *state;
	struct stat st;

	client[0] = connect_to(f);
	assert_int_equal(ivm_ivshmem_server_accept(f->server), 0);
	expect_greeting(client[0], 0, &shmem[0]);
	expect_vectors(client[0], 0, own0);
	expect_nothing(client[0]);

	client[1] = connect_to(f);
	assert_int_equal(ivm_ivshmem_server_accept(f->server), 0);
	expect_vectors(client[0], 1, at0);
	expect_nothing(client[0]);
	expect_greeting(client[1], 1, &shmem[1]);
	expect_vectors(client[1], 0, at1);
	expect_vectors(client[1], 1, own1);
	expect_nothing(client[1]);

	assert_int_equal(fstat(shmem[1], &st), 0);
	assert_int_equal(st.st_size, SHMEM_BYTES);
	expect_same_eventfd(at1[1], own0[1]);
	expect_same_eventfd(at0[2], own1[2]);

	close_all(own0, VECTORS);
	close_all(own1, VECTORS);
	close_all(at0, VECTORS);
	close_all(at1, VECTORS);
	close_all(shmem, 2);
	close_all(client, 2);
}

static void refuses_a_third(void **state)
{
	struct fixture *f = *state;
	int client[3], i;

	for (i = 0; i < 3; i++) {
		client[i] = connect_to(f);
		assert_int_equal(ivm_ivshmem_server_accept(f->server), i < 2 ? 0 : -EUSERS);
	}
	close_all(client, 3);
}

static void survives_a_peer_that_left(void **state)
{
	struct fixture *f = *state;
	int client = connect_to(f), second;

	assert_int_equal(ivm_ivshmem_server_accept(f->server), 0);
	close(client);
	second = connect_to(f);
	assert_int_equal(ivm_ivshmem_server_accept(f->server), -EPIPE);
	close(second);
}

static void refuses_a_path_too_long(void **state)
{
	struct ivm_ivshmem_server *server = NULL;
	char path[200];

	(void)state;
	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(ivm_ivshmem_server_open(path, SHMEM_BYTES, 1, &server), -ENAMETOOLONG);
	assert_null(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(introduces_two, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_a_third, setup, teardown),
		cmocka_unit_test_setup_teardown(survives_a_peer_that_left, setup, teardown),
		cmocka_unit_test(refuses_a_path_too_long),
	};

	return cmocka_run_group_tests_name("ivshmem_server", tests, NULL, NULL);
}
