#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# All faults: 3 minutes
exec "$(dirname "$0")/faults.sh" native
