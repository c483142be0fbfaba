#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Those that a host with function hooks may see otherwise; make soak has all
exec "$(dirname "$0")/faults.sh" lab-6.12 moving fanout deferred init both fallback no_irqfd
