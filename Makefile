# SPDX-License-Identifier: GPL-2.0-or-later
#
# ivmtrace: one Makefile, one fragment (build.mk) for each part.
#
#   make            build everything          make bench   run the three modes, print the table
#   make deps       install the packages      make test    all tests (check + check-vm)
#   make perf       measure what tracing costs
#   make install    all of it; make install-guest what a Linux guest needs
#
# Variables: V=1 shows commands, O=DIR puts build products elsewhere, DESTDIR and
# prefix for install, QEMU_SRC=DIR builds the device in a tree of your own,
# SANITIZE=1 builds tracer and tests with ASan and UBSan, RIG=native|lab and
# KERNEL=6.1|6.12 choose where `bench` runs, GUEST=linux what in.

O          ?= .output
V          ?= 0
DESTDIR    ?=
prefix     ?= /usr/local
CROSS_COMPILE ?=
CLANG      ?= clang
SANITIZE   ?= 0
IVM_CACHE  ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ivmtrace
export IVM_CACHE

ifeq ($(origin CC),default)
CC = $(CROSS_COMPILE)gcc
endif

ifeq ($(V),1)
Q =
msg =
else
Q = @
msg = @printf '  %-8s %s\n' "$(1)" "$(patsubst $(O)/%,%,$(2))"
endif

CFLAGS     ?= -O2 -g
IVM_CFLAGS  = -std=gnu11 -Wall -Wextra -Werror -Wmissing-prototypes -Wstrict-prototypes -Wshadow
ifeq ($(SANITIZE),1)
IVM_CFLAGS += -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined
endif

.DEFAULT_GOAL = all
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

all: device guest tracer

# Filled in by the fragments: TAP programs for `check` and for `check-vm`
CHECKS    =
VM_CHECKS =

include device/build.mk
include guest/bare/build.mk
include guest/linux/build.mk
include tracer/build.mk
include tests/build.mk
include tests/lab/build.mk
include tests/vm/build.mk
include tests/perf/build.mk

# ---- packages ----

PACKAGES = $(shell sed -e 's/\#.*//' tests/packages/*.txt | sort -u)
MISSING  = $(shell for p in $(PACKAGES); do \
	dpkg-query -W -f '$${db:Status-Status}' $$p 2>/dev/null | grep -q '^installed' || echo $$p; done)

deps:
	$(Q)tests/deps.sh $(MISSING)

# ---- running it ----

RIG    ?= $(shell if [ -w /dev/kvm ]; then echo native; else echo lab; fi)
KERNEL ?= 6.1
BENCH  ?=
GUEST  ?=

bench: deps
	$(Q)$(MAKE) --no-print-directory -s device guest tracer $(if $(GUEST),guest-linux)
	$(Q)tests/vm/bench.sh $(O) $(RIG) $(KERNEL) $(if $(GUEST),--guest $(GUEST)) $(BENCH)

# One closing line for both halves, whichever fails
test: deps
	$(Q)rm -f $(O)/tally && mkdir -p $(O)
	$(Q)status=0; \
	IVM_TALLY=$(abspath $(O))/tally $(MAKE) --no-print-directory check || status=1; \
	IVM_TALLY=$(abspath $(O))/tally $(MAKE) --no-print-directory check-vm || status=1; \
	tests/run.sh --sum $(O)/tally || status=1; \
	exit $$status

# ---- installing ----

bindir     = $(prefix)/bin
libexecdir = $(prefix)/libexec/ivmtrace
mandir     = $(prefix)/share/man/man1
srcdir     = $(prefix)/src

install: all install-guest
	$(call msg,INSTALL,$(DESTDIR)$(prefix))
	$(Q)install -d $(DESTDIR)$(bindir) $(DESTDIR)$(libexecdir)/guest $(DESTDIR)$(libexecdir)/qemu \
		$(DESTDIR)$(mandir)
	$(Q)install -m 755 $(O)/ivmtrace $(DESTDIR)$(bindir)
	$(Q)install -m 644 $(O)/guest/ivm-bare.elf $(O)/guest/ivm-bare-arm64.img $(DESTDIR)$(libexecdir)/guest
	$(Q)install -m 755 $(O)/qemu/qemu-system-x86_64 $(O)/qemu/qemu-system-aarch64 \
		$(DESTDIR)$(libexecdir)/qemu
	$(Q)cp -rL $(O)/qemu/share $(DESTDIR)$(libexecdir)/qemu
	$(Q)install -m 644 docs/man/*.1 $(DESTDIR)$(mandir)

help:
	@sed -n 's/^#   *\(make.*\)/  \1/p' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  targets:   all deps device guest bpf tracer bench check check-vm test soak"
	@echo "             perf install install-guest clean lab-image lab-shell help"
	@echo "  variables: V=1 O=DIR DESTDIR= prefix= QEMU_SRC=DIR SANITIZE=1 RIG=native|lab"
	@echo "             KERNEL=6.1|6.12 BENCH='options of ivmtrace bench'"

clean:
	$(call msg,CLEAN,$(O))
	$(Q)rm -rf $(O)

.PHONY: all deps bench test install help clean
