#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
exec "$(dirname "$0")/foreign.sh" native=on,off,writer 6.12=on,off,writer
