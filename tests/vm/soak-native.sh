#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
COUNT=${COUNT:-1000000} exec "$(dirname "$0")/rig.sh" native soak 9000
