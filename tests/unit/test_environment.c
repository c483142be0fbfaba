// SPDX-License-Identifier: GPL-2.0-or-later
/* Environments: what is read, what is hidden, what makes two of them differ */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib/gstdio.h>

#include "reports/environment.h"
#include "tracer/environment.h"

#define COMMAND_LINE(text)	ivm_command_line(text, sizeof(text))

static void check_line(char *line, const char *wanted)
{
	assert_string_equal(line, wanted);
	g_free(line);
}

static void test_secrets_are_not_kept(void **state)
{
	(void)state;
	check_line(COMMAND_LINE("qemu\0-m\0" "256"), "qemu -m 256");
	check_line(COMMAND_LINE("qemu\0-object\0secret,id=s,data=top,,secret,format=raw"),
		   "qemu -object 'secret,id=s,data=***,format=raw'");
	check_line(COMMAND_LINE("-spice\0port=1,password=x"), "-spice 'port=1,password=***'");
	check_line(COMMAND_LINE("-vnc\0:1,password=on"), "-vnc ':1,password=***'");
	check_line(COMMAND_LINE("-drive\0file=data=1"), "-drive file=data=1");
	check_line(COMMAND_LINE("a b\0it's\0"), "'a b' 'it'\\''s' ''");
	check_line(ivm_command_line("cut", 3), "");
	check_line(ivm_command_line("", 0), "");
}

/* A tree with what a host shows in /proc and /sys */
static void put(const char *root, const char *path, const char *text)
{
	g_autofree char *file = g_strconcat(root, path, NULL);
	g_autofree char *dir = g_path_get_dirname(file);

	assert_int_equal(g_mkdir_with_parents(dir, 0755), 0);
	assert_true(g_file_set_contents(file, text, -1, NULL));
}

static void test_host_is_read(void **state)
{
	static const char cpus[] = "/sys/devices/system/cpu";
	char root[] = "/tmp/ivm-environment-XXXXXX";
	struct ivm_environment *env = ivm_environment_new();
	g_autofree char *remove = NULL;
	int i;

	(void)state;
	assert_non_null(mkdtemp(root));
	put(root, "/proc/cpuinfo", "processor\t: 0\nmodel name\t: A CPU @ 2 GHz\nflags\t\t: fpu "
	    "hypervisor\nmicrocode\t: 0x1\nmodel name\t: another\n");
	put(root, "/sys/module/kvm/parameters/halt_poll_ns", "200000\n");
	put(root, "/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
	for (i = 0; i < 3; i++) {
		g_autofree char *path = g_strdup_printf("%s/cpu%d/cpufreq/scaling_governor", cpus,
							i);

		put(root, path, i == 1 ? "powersave\n" : "performance\n");
	}
	put(root, "/sys/devices/system/cpu/vulnerabilities/l1tf", "Not affected\n");
	ivm_environment_read_host(env, root);
	assert_string_equal(ivm_environment_get(env, 0, "cpu"), "A CPU @ 2 GHz");
	assert_string_equal(ivm_environment_get(env, 0, "cpu.microcode"), "0x1");
	assert_string_equal(ivm_environment_get(env, 0, "hypervisor"), "this host is a VM");
	assert_string_equal(ivm_environment_get(env, 0, "kvm.halt_poll_ns"), "200000");
	assert_string_equal(ivm_environment_get(env, 0, "transparent_hugepage"), "madvise");
	assert_string_equal(ivm_environment_get(env, 0, "cpufreq.governor"),
			    "performance 2, powersave 1");
	assert_string_equal(ivm_environment_get(env, 0, "mitigation.l1tf"), "Not affected");
	assert_null(ivm_environment_get(env, 0, "kvm.avic"));
	assert_null(ivm_environment_get(env, 0, "boost"));
	ivm_environment_free(env);
	remove = g_strdup_printf("rm -r %s", root);
	assert_int_equal(system(remove), 0);
}

/* This process stands in for a VM: its binary has the text a QEMU has */
static void test_vm_is_read(void **state)
{
	static const char version[] __attribute__((used)) = "QEMU emulator version 7.2.22 (test)\n";
	struct ivm_environment *env = ivm_environment_new();

	(void)state;
	assert_non_null(*(const char *volatile *)&(const char *){ version });
	ivm_environment_read_vm(env, 7, getpid());
	assert_string_equal(ivm_environment_get(env, 7, "qemu.version"), "7.2.22 (test)");
	assert_non_null(strstr(ivm_environment_get(env, 7, "command_line"), "test_environment"));
	assert_non_null(strstr(ivm_environment_get(env, 7, "main"), " other"));
	assert_null(ivm_environment_get(env, 0, "main"));
	ivm_environment_free(env);
}

/* ---- comparing ---- */

/* @sql: of vms and environment */
static GPtrArray *facts_of(const char *sql)
{
	GPtrArray *facts = NULL;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "CREATE TABLE vms (id INTEGER PRIMARY KEY, name TEXT);"
				      "CREATE TABLE environment (vm INTEGER, key TEXT, value TEXT);"
				      "INSERT INTO vms VALUES (1, 'a'), (2, 'b'), (3, 'a');", NULL,
				      NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(ivm_facts_load(db, &facts), 0);
	sqlite3_close(db);
	return facts;
}

/* "vm key a b" of each change, with ";" between */
static void check_changes(const char *sql_a, const char *sql_b, const char *wanted)
{
	g_autoptr(GPtrArray) a = facts_of(sql_a), b = facts_of(sql_b);
	g_autoptr(GPtrArray) changes = ivm_facts_compare(a, b);
	g_autoptr(GString) all = g_string_new(NULL);
	guint i;

	for (i = 0; i < changes->len; i++) {
		const struct ivm_fact_change *c = g_ptr_array_index(changes, i);

		g_string_append_printf(all, "%s%s %s '%s' '%s'", i ? ";" : "",
				       c->vm ? c->vm : "host", c->key, c->a ? c->a : "none",
				       c->b ? c->b : "none");
	}
	assert_string_equal(all->str, wanted);
}

#define FACTS	"INSERT INTO environment VALUES "

static void test_changes(void **state)
{
	(void)state;
	check_changes(FACTS "(0,'x','1')", FACTS "(0,'x','1')", "");
	check_changes(FACTS "(0,'x','1')", FACTS "(0,'x','2')", "host x '1' '2'");
	check_changes(FACTS "(0,'x','1'),(0,'y','1')", FACTS "(0,'y','1'),(0,'z','3')",
		      "host x '1' 'none';host z 'none' '3'");
	/* An older recording says nothing, which is no difference */
	check_changes("SELECT 1", FACTS "(0,'x','1')", "");
	/* By name, and the second of a name is the second */
	check_changes(FACTS "(1,'k','1'),(2,'k','2'),(3,'k','3')",
		      FACTS "(1,'k','1'),(2,'k','9'),(3,'k','4')",
		      "a#2 k '3' '4';b k '2' '9'");
}

static void test_command_lines(void **state)
{
	(void)state;
	check_changes(FACTS "(1,'command_line','/a/qemu -m 256 -cpu host')",
		      FACTS "(1,'command_line','/b/c/qemu -m 512 -cpu host')",
		      "a command_line '256' '512'");
	check_changes(FACTS "(1,'command_line','q -chardev socket,path=/tmp/x1/s.sock,fd=7')",
		      FACTS "(1,'command_line','q -chardev socket,path=/tmp/y2/s.sock,fd=9')", "");
	check_changes(FACTS "(1,'command_line','q -x -x')", FACTS "(1,'command_line','q -x')",
		      "a command_line '-x' ''");
	/* Not a shell's line any more */
	check_changes(FACTS "(1,'command_line','q ''open')", FACTS "(1,'command_line','q')",
		      "a command_line ''open' ''");
}

static void test_summary(void **state)
{
	g_autoptr(GPtrArray) none = facts_of("SELECT 1");
	g_autoptr(GPtrArray) some = facts_of(FACTS "(0,'cpu','C'),(0,'cpus.online','0-3'),"
					     "(0,'kvm.avic','N'),(1,'qemu.version','7'),"
					     "(2,'qemu.version','8'),(3,'qemu.version','7')");
	g_autofree char *line = ivm_facts_summary(some);

	(void)state;
	assert_null(ivm_facts_summary(none));
	assert_string_equal(line, "C, CPUs 0-3, avic N, QEMU 7, QEMU 8");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_secrets_are_not_kept),
		cmocka_unit_test(test_host_is_read),
		cmocka_unit_test(test_vm_is_read),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_command_lines),
		cmocka_unit_test(test_summary),
	};

	return cmocka_run_group_tests_name("environment", tests, NULL, NULL);
}
