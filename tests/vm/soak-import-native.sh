#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A minute.  perf and this tracer beside each other: a busy host keeps one of the two from its events
exec "$(dirname "$0")/import.sh" native perf direct irqfd qemu
