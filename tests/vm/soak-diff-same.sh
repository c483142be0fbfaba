#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# How often does diff find a change where there is none?  Twenty times three runs a side: half an
# hour, on a host that does nothing else.  ROUNDS=N for another number.
exec "$(dirname "$0")/diff.sh" "${ROUNDS:-20}" 3 same
