#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
COUNT=10 exec "$(dirname "$0")/delays.sh" native 40
