# SPDX-License-Identifier: GPL-2.0-or-later
#
# ivmtrace: BPF objects, their skeletons, and the one program that uses them.
# The BPF side needs no vmlinux.h: see bpf/kernel.h.

BPFTOOL      ?= $(shell command -v bpftool || echo /usr/sbin/bpftool)
BPF_ARCH     := $(shell uname -m | sed 's/x86_64/x86/; s/aarch64/arm64/')
# clang for BPF does not know the multiarch directory that asm/types.h is in
BPF_SYS      := $(shell $(CC) -print-multiarch 2>/dev/null)
BPF_CFLAGS    = -O2 -g -target bpf -mcpu=v3 -D__TARGET_ARCH_$(BPF_ARCH) -Wall -Wextra -Werror \
		-Wno-unused-parameter $(if $(BPF_SYS),-idirafter /usr/include/$(BPF_SYS))

TRACER_PKGS   = libbpf glib-2.0 sqlite3 json-c libtracefs libtraceevent libtracecmd libmicrohttpd ncursesw gsl libdw
TRACER_CFLAGS = $(IVM_CFLAGS) -I$(O)/bpf $(shell pkg-config --cflags $(TRACER_PKGS))
TRACER_LIBS   = $(shell pkg-config --libs $(TRACER_PKGS)) -lm
TRACER_SRC   := $(wildcard tracer/*.c reports/*.c)
TRACER_OBJ   := $(TRACER_SRC:%.c=$(O)/tracer/obj/%.o)
BPF_SKEL     := $(patsubst bpf/%.bpf.c,$(O)/bpf/%.skel.h,$(wildcard bpf/*.bpf.c))

tracer: $(O)/ivmtrace
bpf: $(BPF_SKEL)

$(O)/bpf/%.bpf.o: bpf/%.bpf.c
	@mkdir -p $(@D)
	$(call msg,BPF,$@)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c $< -o $@

$(O)/bpf/%.skel.h: $(O)/bpf/%.bpf.o
	$(call msg,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

$(O)/tracer/obj/%.o: %.c | $(BPF_SKEL)
	@mkdir -p $(@D)
	$(call msg,CC,$@)
	$(Q)$(CC) $(CFLAGS) $(TRACER_CFLAGS) -MMD -MP -c $< -o $@

# Takes the parts of the HTML report in as they are
$(foreach d,tracer check/plain check/asan,$(O)/$(d)/obj/reports/html_page.o): \
	$(wildcard reports/page/* reports/page/uplot/*)

$(O)/ivmtrace: $(TRACER_OBJ)
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(IVM_CFLAGS) $^ -o $@ $(TRACER_LIBS)

-include $(BPF_SKEL:.skel.h=.bpf.d) $(TRACER_OBJ:.o=.d)
.PRECIOUS: $(O)/bpf/%.bpf.o
.PHONY: tracer bpf
