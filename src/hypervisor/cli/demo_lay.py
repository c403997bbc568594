"""An example folder of task files, to see the program work."""

from __future__ import annotations

import os

from hypervisor.cli.demo_files import files
from hypervisor.system.errors import UsageError

__all__ = ["files", "lay_out"]


def lay_out(folder: str) -> int:
    """Write the example files into `folder`, which must be missing or empty; return how many.

    Raises UsageError for a folder that holds anything, OSError where it can't be written.
    """
    try:
        os.makedirs(folder)
    except FileExistsError:
        if not os.path.isdir(folder) or os.listdir(folder):
            raise UsageError(
                f"{folder}: exists and isn't empty", "name a new folder: hypervisor demo --dir DIR"
            ) from None
    count = 0
    for path, raw in files():
        place = os.path.join(folder, path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "xb") as out:
            out.write(raw)
        count += 1
    return count
