"""The small `batch_worker.py` that lies in a batch directory and starts the plugin's own script."""

from __future__ import annotations

import os

import hypervisor
from hypervisor.system.files import write_whole
from hypervisor.system.reading import NotReadable, open_file

NAME = "batch_worker.py"
_MARK = "# hypervisor: made for this batch directory; delete it freely\n"
_TEXT = (
    "#!/usr/bin/env python3\n"
    + _MARK
    + '''"""Starts the batch worker of the hypervisor plugin for the folder that this file is in."""
import os
import sys

SCRIPT = {script!r}
BATCH_DIRECTORY = os.path.dirname(os.path.abspath(__file__))
if not os.path.exists(SCRIPT):
    sys.exit(
        "batch_worker.py: the hypervisor plugin is no longer at " + SCRIPT
        + "; run skills/hypervisor/scripts/batch_worker.py of the plugin once to fix this file"
    )
__file__ = SCRIPT
with open(SCRIPT) as source:
    exec(compile(source.read(), SCRIPT, "exec"))
'''
)


def put(folder: str) -> None:
    """Put the shim into `folder`, or renew ours; a file of that name that isn't ours stays."""
    package = os.path.dirname(os.path.realpath(hypervisor.__file__))
    plugin = os.path.dirname(os.path.dirname(package))
    script = os.path.join(plugin, "skills", "hypervisor", "scripts", NAME)
    path = os.path.join(folder, NAME)
    text = _TEXT.format(script=script)
    if not os.path.isfile(script) or os.path.islink(path):
        return
    try:
        with open(open_file(path)[0], encoding="utf-8", errors="replace") as old:
            found = old.read(len(text) + 4096)
    except FileNotFoundError:
        found = _MARK
    except (OSError, NotReadable):
        return
    if _MARK not in found or found == text:
        return
    write_whole(path, text.encode("utf-8"), mode=0o755, sync=False)
