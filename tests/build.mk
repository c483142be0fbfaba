# SPDX-License-Identifier: GPL-2.0-or-later
#
# make check: unit and CLI tests and the checks of the sources themselves.  No
# root, no VM, no network.  Every part speaks TAP, tests/run.sh adds them up.
#
#   tests/unit/test_*.c   cmocka programs, built plain and with ASan and UBSan
#   tests/cli/*.t         bash over tests/tap.sh; IVMTRACE is the binary to test
#   tests/lint/*.t        shellcheck, cppcheck, licences, man pages
#
# A test links with whatever it uses out of tracer/*.c and reports/*.c, main.c
# and what needs the BPF skeleton excepted.

TEST_PKGS   = glib-2.0 sqlite3 json-c cmocka libtracefs libtraceevent libtracecmd libmicrohttpd ncursesw gsl libdw
TEST_CFLAGS = $(IVM_CFLAGS) -I. $(shell pkg-config --cflags $(TEST_PKGS))
TEST_LIBS   = $(shell pkg-config --libs $(TEST_PKGS)) -lm
TEST_ASAN   = -O1 -g -fsanitize=address,undefined -fno-omit-frame-pointer \
	      -fno-sanitize-recover=undefined

TEST_SRC   := $(filter-out tracer/main.c,$(wildcard tracer/*.c reports/*.c))
TEST_SRC   := $(if $(TEST_SRC),$(shell grep -L 'skel\.h' $(TEST_SRC)))
UNIT_NAMES := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
UNIT_TESTS := $(foreach v,plain asan,$(UNIT_NAMES:%=$(O)/check/$(v)/%))
CLI_TESTS  := $(sort $(wildcard tests/cli/*.t))
LINT_TESTS := $(sort $(wildcard tests/lint/*.t))

$(O)/check/plain/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call msg,CC,$@)
	$(Q)$(CC) $(CFLAGS) $(TEST_CFLAGS) -MMD -MP -c $< -o $@

$(O)/check/asan/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call msg,CC,$@)
	$(Q)$(CC) $(TEST_ASAN) $(TEST_CFLAGS) -MMD -MP -c $< -o $@

$(O)/check/%/ivm.a:
	$(call msg,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(O)/check/plain/ivm.a: $(TEST_SRC:%.c=$(O)/check/plain/obj/%.o)
$(O)/check/asan/ivm.a: $(TEST_SRC:%.c=$(O)/check/asan/obj/%.o)

$(O)/check/plain/test_%: $(O)/check/plain/obj/tests/unit/test_%.o $(O)/check/plain/ivm.a
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(IVM_CFLAGS) $^ -o $@ $(TEST_LIBS)

$(O)/check/asan/test_%: $(O)/check/asan/obj/tests/unit/test_%.o $(O)/check/asan/ivm.a
	$(call msg,LINK,$@)
	$(Q)$(CC) $(TEST_ASAN) $(IVM_CFLAGS) $^ -o $@ $(TEST_LIBS)

check-programs: $(UNIT_TESTS)

# CHECKS: TAP programs that other parts add, of the same kind
check: check-programs tracer $(CHECKS)
	$(Q)IVMTRACE=$(abspath $(O))/ivmtrace CMOCKA_MESSAGE_OUTPUT=TAP \
		IVM_TEST_BASE=$(O)/check/ IVM_TEST_LOGS=$(O)/check/logs IVM_TEST_DATA=tests/data \
		tests/run.sh $(UNIT_TESTS) $(CLI_TESTS) $(LINT_TESTS) $(CHECKS)

.PHONY: check check-programs
.SECONDARY: $(foreach v,plain asan,$(UNIT_NAMES:%=$(O)/check/$(v)/obj/tests/unit/%.o))

-include $(foreach v,plain asan,$(TEST_SRC:%.c=$(O)/check/$(v)/obj/%.d) \
	$(UNIT_NAMES:%=$(O)/check/$(v)/obj/tests/unit/%.d))
