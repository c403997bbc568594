"""Folders in which each spec has one of its own with `tasks.md` in it."""

from __future__ import annotations

import os

from hypervisor.tasks.formats.box_format import BoxFormat


class SpecFolders(BoxFormat):
    """A format of such folders: they lie in `TOP/specs`, TOP being one of `tops`."""

    names = ("tasks.md",)
    tops: tuple[str, ...] = ()

    def recognises(self, path: str, text: str) -> bool:
        parts = os.path.realpath(path).split(os.sep)
        return len(parts) > 4 and parts[-1].lower() == "tasks.md" and (
            parts[-3] == "specs" and parts[-4] in self.tops
        )  # fmt: skip

    def below(self, folder: str) -> list[str]:
        """A spec; TOP and its `specs` stand for all of them."""
        real = os.path.realpath(folder)
        if os.path.basename(real) in self.tops:
            folder, real = os.path.join(folder, "specs"), os.path.join(real, "specs")
        names = ["."]
        if os.path.basename(real) == "specs" and (
            os.path.basename(os.path.dirname(real)) in self.tops
        ):
            names = listed(folder)
        files = [os.path.normpath(os.path.join(folder, name, "tasks.md")) for name in names]
        return [file for file in files if self.recognises(file, "") and os.path.isfile(file)]


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
