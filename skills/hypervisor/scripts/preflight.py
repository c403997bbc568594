#!/usr/bin/env python3
"""Say of each item whether it can run: ready, skipped, held or broken. Changes nothing.

    preflight.py tasks/ [--json]

This file runs under any Python: it starts `hypervisor preflight` in the program's environment,
with the words of the preset "aops" where no settings name another.
"""

import os
import sys

PLUGIN = os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
)

if __name__ == "__main__":
    launcher = os.path.join(PLUGIN, "bin", "hypervisor")
    if not os.path.exists(launcher):
        sys.exit("preflight.py: no %s: the plugin is incomplete, install it again" % launcher)
    os.execv("/bin/sh", ["sh", launcher, "preflight", "--preset", "aops"] + sys.argv[1:])
