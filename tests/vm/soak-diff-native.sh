#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Does diff name the hop that was held up?  Five disturbances, four times each, three runs a side:
# half an hour.  ROUNDS=N for another number.
exec "$(dirname "$0")/diff.sh" "${ROUNDS:-4}" 3 vcpu-stopped main-loop competitor masked irq-off
