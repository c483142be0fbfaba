// SPDX-License-Identifier: GPL-2.0-or-later
/* Marks: what is sent is taken, in order, and nothing else */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <poll.h>

#include <cmocka.h>

#include "tracer/marks.h"

#define DEADLINE_MS	20000

static void test_names(void **state)
{
	char name[IVM_MARK_NAME_BYTES + 1];

	(void)state;
	assert_true(ivm_mark_name_ok("warm up"));
	assert_true(ivm_mark_name_ok("größer"));
	assert_false(ivm_mark_name_ok(""));
	assert_false(ivm_mark_name_ok("a\nb"));
	assert_false(ivm_mark_name_ok("\x7f"));
	assert_false(ivm_mark_name_ok("\xff"));
	memset(name, 'x', sizeof(name));
	name[IVM_MARK_NAME_BYTES] = 0;
	assert_false(ivm_mark_name_ok(name));
	name[IVM_MARK_NAME_BYTES - 1] = 0;
	assert_true(ivm_mark_name_ok(name));
}

/* A datagram that ivm_mark_send() would not send, without waiting for an answer */
static void send_raw(const char *text, size_t bytes)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	int length = snprintf(to.sun_path + 1, sizeof(to.sun_path) - 1, "ivmtrace-mark-%d",
			      (int)getpid());

	assert_true(fd >= 0);
	assert_true(sendto(fd, text, bytes, 0, (struct sockaddr *)&to,
			   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
				       (size_t)length)) >= 0);
	close(fd);
}

static void test_what_is_no_mark_is_forgotten(void **state)
{
	char name[IVM_MARK_NAME_BYTES];
	char big[IVM_MARK_NAME_BYTES + 1];
	int fd = ivm_marks_listen();

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ivm_marks_take(fd, name), 0);
	memset(big, 'x', sizeof(big));
	send_raw(big, sizeof(big));
	send_raw("", 0);
	send_raw("a\0b", 3);
	send_raw("\033[2J", 4);
	send_raw("good", 4);
	assert_int_equal(ivm_marks_take(fd, name), 1);
	assert_string_equal(name, "good");
	assert_int_equal(ivm_marks_take(fd, name), 0);
	close(fd);
}

static bool is_listed(pid_t pid)
{
	g_autoptr(GArray) pids = ivm_marks_find();
	guint i;

	for (i = 0; i < pids->len; i++)
		if (g_array_index(pids, pid_t, i) == pid)
			return true;
	return false;
}

static void take_one(int fd, const char *wanted)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	char name[IVM_MARK_NAME_BYTES];

	assert_int_equal(poll(&wait, 1, DEADLINE_MS), 1);
	assert_int_equal(ivm_marks_take(fd, name), 1);
	assert_string_equal(name, wanted);
}

static void test_a_mark_is_answered(void **state)
{
	int fd = ivm_marks_listen(), status;
	pid_t self = getpid(), child;

	(void)state;
	assert_true(fd >= 0);
	assert_true(is_listed(self));
	child = fork();
	if (!child)
		_exit(ivm_mark_send(self, "one", DEADLINE_MS) ||
		      ivm_mark_send(self, "two", DEADLINE_MS));
	take_one(fd, "one");
	take_one(fd, "two");
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	/* Nobody takes it: there is no answer */
	assert_int_equal(ivm_mark_send(self, "three", 1), -ETIMEDOUT);
	close(fd);
	assert_int_equal(ivm_mark_send(self, "four", DEADLINE_MS), -ECONNREFUSED);
	assert_false(is_listed(self));
}

/* Nobody but root may do that; who is not root cannot try */
static void test_strangers_are_refused(void **state)
{
	int fd = ivm_marks_listen(), status;
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	char name[IVM_MARK_NAME_BYTES];
	pid_t self = getpid(), child;

	(void)state;
	if (geteuid()) {
		close(fd);
		skip();
	}
	child = fork();
	if (!child) {
		if (setuid(65534))
			_exit(99);
		_exit(ivm_mark_send(self, "theirs", DEADLINE_MS) == -EPERM ? 0 : 1);
	}
	assert_int_equal(poll(&wait, 1, DEADLINE_MS), 1);
	assert_int_equal(ivm_marks_take(fd, name), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_what_is_no_mark_is_forgotten),
		cmocka_unit_test(test_a_mark_is_answered),
		cmocka_unit_test(test_strangers_are_refused),
	};

	return cmocka_run_group_tests_name("marks", tests, NULL, NULL);
}
