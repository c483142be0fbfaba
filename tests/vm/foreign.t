#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What begins with a write(2) is for make soak: tracefs leaves switches out on a busy host
exec "$(dirname "$0")/foreign.sh" native=on 6.12=on
