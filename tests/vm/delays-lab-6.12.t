#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
COUNT=6 exec "$(dirname "$0")/delays.sh" lab-6.12 100
