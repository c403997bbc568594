#!/usr/bin/env python3
"""Say what became of every item of a queue, or of a batch directory.

    summarize.py QUEUE [--json]
    summarize.py --dir /tmp/batch [--json]

This file runs under any Python: it starts the program in its own environment.
"""

import os
import sys

PLUGIN = os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
)


def names_a_batch(words):
    """Say whether the command is about a batch directory: one is named, or no queue is."""
    plain = [word for word in words if not word.startswith("-")]
    return (
        not plain
        or any(word == "--dir" or word.startswith("--dir=") for word in words)
        or os.path.exists(os.path.join(plain[0], "queue.txt"))
    )


if __name__ == "__main__":
    launcher = os.path.join(PLUGIN, "bin", "hypervisor")
    if not os.path.exists(launcher):
        sys.exit("summarize.py: no %s: the plugin is incomplete, install it again" % launcher)
    words = sys.argv[1:]
    verb = ["_batch-worker", "--summary"] if names_a_batch(words) else ["summary"]
    os.execv("/bin/sh", ["sh", launcher] + verb + words)
