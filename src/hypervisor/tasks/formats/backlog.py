"""Backlog.md: a project's `config.yml` names its statuses, of which the last one is done."""

from __future__ import annotations

import os

from hypervisor.system.reading import MIB, NotReadable, read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.tasks.family import Family

_CONFIGS = ("config.yml", "config.yaml", "backlog.config.yml")
_FOLDERS = ("", "backlog", ".backlog")
_DEEPEST = 6
# By the folder of the tasks: what its configuration says, None for none.
_known: dict[str, tuple[tuple[str, ...], str | None] | None] = {}


def with_statuses(family: Family, path: str) -> Family:
    """Return `family` with the statuses of the project that the file at `path` belongs to."""
    folder = os.path.dirname(os.path.abspath(path))
    if folder not in _known:
        _known[folder] = _statuses(folder)
    told = _known[folder]
    if told is None:
        return family
    statuses, first = told
    ready = first or statuses[0]
    return family.but(
        words={**family.words, "ready": ready, "done": statuses[-1]},
        states={_fold(ready): "ready", _fold(statuses[0]): "ready", _fold(statuses[-1]): "done"},
        told=True,
    )


def _statuses(folder: str) -> tuple[tuple[str, ...], str | None] | None:
    for _ in range(_DEEPEST):
        for name in _CONFIGS:
            for below in _FOLDERS:
                told = _read(os.path.join(folder, below, name))
                if told is not None:
                    return told
        above = os.path.dirname(folder)
        if above == folder:
            break
        folder = above
    return None


def _read(path: str) -> tuple[tuple[str, ...], str | None] | None:
    try:
        text = read_file(path, MIB)[0].decode()
    except (OSError, NotReadable, UnicodeDecodeError):
        return None
    if "statuses" not in text:
        return None
    import yaml

    try:
        told = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError):
        return None
    listed = told.get("statuses") if isinstance(told, dict) else None
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        return None
    first = told.get("default_status")
    return (tuple(listed), first if isinstance(first, str) and first else None) if listed else None


def _fold(word: str) -> str:
    return " ".join(word.split()).casefold()
