#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Each disturbance 50 times: 3 minutes.  COUNT=N for fewer.
exec "$(dirname "$0")/delays.sh" native 20
