#!/usr/bin/env python3
"""Claim and triage the items of a batch directory; and one lock per task for other scripts.

    batch_worker.py --batch 50          claim and triage up to 50 items
    batch_worker.py --stats             count them

The batch directory is --dir DIR, else the current folder if it holds queue.txt, else /tmp/batch.
For scripts of your own:

    from batch_worker import claim_task, release_task

This file runs under any Python and needs nothing installed: it starts the plugin's own program.
"""

import errno
import os
import re
import stat
import sys

PLUGIN = os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
)
# The copy that lies in a batch directory says here where it lies.
HERE = globals().get("BATCH_DIRECTORY")
DEFAULT = "/tmp/batch"

_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}\Z")


def claim_task(task_id, directory=None):
    """Claim `task_id` in the batch directory; True if it is yours now, False if it is taken.

    The lock is one atomic mkdir of `locks/<id>`. It stands until `release_task`, and while it
    stands no worker of the queue gets the task.
    """
    folder = os.path.join(batch_directory(directory), "locks")
    path = os.path.join(folder, _key(task_id))
    for _ in range(2):
        try:
            os.mkdir(path)
            return True
        except OSError as error:
            if error.errno == errno.EEXIST:
                return False
            if error.errno != errno.ENOENT:
                raise
        try:
            os.mkdir(folder)
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise
    raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def release_task(task_id, directory=None):
    """Remove the lock that `claim_task` made; False if no such lock stands."""
    path = os.path.join(batch_directory(directory), "locks", _key(task_id))
    try:
        # Only an empty folder goes: a lock of the queue is a link, and stays.
        os.rmdir(path)
    except OSError:
        return False
    return True


def batch_directory(directory=None):
    """Return the batch directory: `directory`, else the current folder if it holds queue.txt,
    else the folder of this file if it lies in a batch, else /tmp/batch if you own it."""
    if directory:
        return directory
    if os.path.exists("queue.txt"):
        return os.getcwd()
    if HERE:
        return HERE
    try:
        seen = os.lstat(DEFAULT)
    except OSError:
        raise OSError(errno.ENOENT, "no batch directory", DEFAULT)  # noqa: B904 (old Pythons)
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.geteuid():
        raise OSError(errno.EPERM, "not your own directory; name yours", DEFAULT)
    return DEFAULT


def _key(task_id):
    task_id = str(task_id)
    if _PLAIN.match(task_id):
        return task_id
    # The program's own rule for odd names, so that its locks and ours have the same.
    names = {"__name__": "hypervisor.system.keys"}
    with open(os.path.join(PLUGIN, "src", "hypervisor", "system", "keys.py")) as source:
        exec(compile(source.read(), "keys.py", "exec"), names)
    return names["key"](task_id)


def main():
    """Start the program in its own environment, with the words of this command."""
    launcher = os.path.join(PLUGIN, "bin", "hypervisor")
    if not os.path.exists(launcher):
        sys.exit("batch_worker.py: no %s: the plugin is incomplete, install it again" % launcher)
    here = ["--here", HERE] if HERE else []
    os.execv("/bin/sh", ["sh", launcher, "_batch-worker"] + here + sys.argv[1:])


if __name__ == "__main__":
    main()
