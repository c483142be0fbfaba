-- SPDX-License-Identifier: GPL-2.0-or-later
-- Nothing was rung, and little is known of the host.
INSERT INTO meta VALUES ('kernel', '6.1.0'), ('duration_ns', 1000000000), ('rig', NULL);
