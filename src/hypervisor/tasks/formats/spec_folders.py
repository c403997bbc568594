"""Folders in which each spec has one of its own with `tasks.md` in it."""

from __future__ import annotations

import os


def is_spec(path: str, tops: tuple[str, ...]) -> bool:
    """True for `TOP/specs/NAME/tasks.md`, TOP being one of `tops`."""
    parts = os.path.realpath(path).split(os.sep)
    return len(parts) > 4 and parts[-1].lower() == "tasks.md" and (
        parts[-3] == "specs" and parts[-4] in tops
    )  # fmt: skip


def files_of(folder: str, tops: tuple[str, ...]) -> list[str]:
    """Return the `tasks.md` that a folder stands for: TOP and `specs` for all of them."""
    real = os.path.realpath(folder)
    if os.path.basename(real) in tops:
        folder, real = os.path.join(folder, "specs"), os.path.join(real, "specs")
    names = ["."]
    if os.path.basename(real) == "specs" and os.path.basename(os.path.dirname(real)) in tops:
        names = listed(folder)
    files = [os.path.normpath(os.path.join(folder, name, "tasks.md")) for name in names]
    return [file for file in files if is_spec(file, tops) and os.path.isfile(file)]


def listed(folder: str) -> list[str]:
    """Return the names in a folder, sorted; none where it can't be read."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def beside(path: str, names: tuple[str, ...]) -> list[str]:
    """Return what stands beside a file under one of `names`."""
    files = (os.path.join(os.path.dirname(path), name) for name in names)
    return [file for file in files if os.path.exists(file)]
