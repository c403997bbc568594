"""Where other tools lock tasks: asked at every hand-out, so it is read in little time."""

from __future__ import annotations

import os

from hypervisor.config import strict
from hypervisor.config.roots import SETTINGS, user_file
from hypervisor.config.toml import read_raw

# As the shipped settings say it.
USUAL = ("locks", "/tmp/hypervisor/locks")


def lock_folders(root: str) -> tuple[str, ...]:
    """Return the lock folders of the settings of `root`, relative ones below it.

    Raises UsageError for settings that can't be read.
    """
    for path in (os.path.join(root, SETTINGS), user_file()):
        try:
            raw = read_raw(path)
        except OSError:
            continue
        # A key may spell its letters as escapes.
        if b"lock_folders" in raw or b"\\" in raw:
            from hypervisor.config.settings import load

            return load(root).lock_folders
    return strict.lock_folders(root, list(USUAL))
