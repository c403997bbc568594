"""One of the many items that stand in a file."""

from __future__ import annotations

from hypervisor.system.records import NamedTuple


class Item(NamedTuple):
    """One item of a file.

    `id` is its own in the file, `word` its state as written and `state` the class of that, "" for
    what is worked on by its parts; `text`
    is what a worker is given, `line` where it stands, from 1. `depends_on`, `blocks` (what waits
    for it) and `parent` name items of the same file by id, `FILE#id` with an absolute path those of
    another. `files` are the paths that it names, from the root. `priority` is as written, `at`
    where the mark of a box stands in the text. `held` says why nobody should work on it as it is,
    `aliases` are what else it is called.
    """

    id: str
    title: str
    state: str
    word: str
    text: str
    line: int
    depends_on: tuple[str, ...] = ()
    parent: str | None = None
    files: tuple[str, ...] = ()
    priority: str | None = None
    blocks: tuple[str, ...] = ()
    at: int = -1
    held: str = ""
    aliases: tuple[str, ...] = ()
