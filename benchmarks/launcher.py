# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs one command and writes what it cost to a file: `python -I -S launcher.py FILE COMMAND…`.

A program of its own, and a small one: to Linux the peak of a program is at least that of the one that started it
(https://man7.org/linux/man-pages/man2/getrusage.2.html), and the benchmark is larger than crane.
"""

import json
import os
import sys
import time

begin = time.perf_counter()
process = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_process, status, usage = os.wait4(process, 0)
seconds = time.perf_counter() - begin
cost = {"seconds": seconds, "cpu": usage.ru_utime + usage.ru_stime, "memory": usage.ru_maxrss * 1024}
with open(sys.argv[1], "w", encoding="utf-8") as file:
    json.dump(cost, file)
sys.exit(os.waitstatus_to_exitcode(status))
