# SPDX-License-Identifier: GPL-2.0-or-later
#
# ivmtrace: one Makefile, one fragment (build.mk) for each part.
#
#   make            build everything          make bench   run the three modes, print the table
#   make deps       install the packages      make test    all tests (check + check-vm)
#
# Variables: V=1 shows commands, O=DIR puts build products elsewhere, DESTDIR and
# prefix for install, QEMU_SRC=DIR builds the device in a tree of your own,
# SANITIZE=1 builds tracer and tests with ASan and UBSan, RIG=native|lab and
# KERNEL=6.1|6.12 choose where `bench` runs.

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

# Each fragment adds to these
CLEAN_DIRS = $(O)
CHECKS     =
VM_CHECKS  =

-include device/build.mk
-include guest/bare/build.mk
-include tracer/build.mk
-include tests/build.mk
-include tests/lab/build.mk

help:
	@sed -n 's/^#   *\(make.*\)/  \1/p' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  targets: all deps device guest bpf tracer bench check check-vm test soak perf"
	@echo "           install clean lab-image lab-shell help"
	@echo "  variables: V=1 O=DIR DESTDIR= prefix= QEMU_SRC=DIR SANITIZE=1 RIG=native|lab KERNEL=6.1|6.12"

clean:
	$(call msg,CLEAN,$(CLEAN_DIRS))
	$(Q)rm -rf $(CLEAN_DIRS)

.PHONY: all help clean
