# SPDX-License-Identifier: GPL-2.0-or-later
#
# make perf: what the tracer costs, measured natively beside other ways of
# looking.  IVM_PERF_QUICK=1 for a smoke run.

# The producer stands in for programs that hand over whole journeys
PERF_PROGRAMS = $(addprefix $(O)/perf/,pair probes links recordings steps $(if $(shell \
	grep -s 'struct ivm_journey_record {' bpf/journey.h),producer))

$(O)/perf/obj/%.o: tests/perf/%.c
	@mkdir -p $(@D)
	$(call msg,CC,$@)
	$(Q)$(CC) $(CFLAGS) $(TRACER_CFLAGS) -I. -I$(O)/perf -MMD -MP -c $< -o $@

$(O)/perf/%.bpf.o: tests/perf/%.bpf.c
	@mkdir -p $(@D)
	$(call msg,BPF,$@)
	$(Q)$(CLANG) $(BPF_CFLAGS) -I. -MMD -MP -c $< -o $@

$(O)/perf/%.skel.h: $(O)/perf/%.bpf.o
	$(call msg,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

$(O)/perf/obj/producer.o: $(O)/perf/producer.skel.h
$(O)/perf/obj/steps.o: $(O)/perf/steps.skel.h

$(O)/perf/pair: $(O)/perf/obj/pair.o $(patsubst %,$(O)/tracer/obj/tracer/%.o,\
		rig lane ivshmem_server error)
$(O)/perf/probes: $(O)/perf/obj/probes.o $(O)/tracer/obj/tracer/tracefs.o
$(O)/perf/producer: $(O)/perf/obj/producer.o
$(O)/perf/steps: $(O)/perf/obj/steps.o
$(O)/perf/links: $(O)/perf/obj/links.o
$(O)/perf/recordings: $(O)/perf/obj/recordings.o $(filter-out %/main.o,$(TRACER_OBJ))
$(PERF_PROGRAMS):
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(IVM_CFLAGS) $^ -o $@ $(TRACER_LIBS)

perf-programs: $(PERF_PROGRAMS)

perf: deps
	$(Q)$(MAKE) --no-print-directory -s device guest tracer perf-programs
	$(Q)IVM_OUT=$(abspath $(O)) tests/perf/run.py

.PHONY: perf perf-programs
.SECONDARY: $(PERF_PROGRAMS:$(O)/perf/%=$(O)/perf/obj/%.o)
.PRECIOUS: $(O)/perf/%.bpf.o
-include $(PERF_PROGRAMS:$(O)/perf/%=$(O)/perf/obj/%.d) $(O)/perf/producer.bpf.d $(O)/perf/steps.bpf.d
