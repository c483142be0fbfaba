#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# All faults: 5 minutes
exec "$(dirname "$0")/faults.sh" lab-6.1
