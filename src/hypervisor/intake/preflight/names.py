"""One resolver for the names by which tasks call each other.

A name is an id, the stem of a file's name, the number or id that this begins with, an alias, or a
path. Ids repeat by design (numbers in each epic), so the nearest task that a name fits is meant:
the one in the same folder, else the one in the nearest folder above, one of the sources first, and
what is archived last.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from typing import TYPE_CHECKING, Protocol

from hypervisor.tasks.ids import Known

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NUMBER = re.compile(r"(?:[a-z]+-)?(\d+(?:\.\d+)*)(?![a-z0-9])")
_ZEROS = re.compile(r"(?<=-)0+(?=\d+$)")
# An id with the title of its task behind it.
_TITLED = re.compile(r": | - ")
_DIGIT = re.compile(r"\d")
_LEADING = re.compile(r"([a-z]+-\d+(?:\.\d+)*|\d+(?:\.\d+)*)(?=$|[-_. ])")


class Named(Protocol):
    """What can be called by a name; `path` is None for a row of standard input."""

    @property
    def id(self) -> str: ...

    @property
    def path(self) -> str | None: ...

    @property
    def aliases(self) -> Sequence[str]: ...


class Names:
    """Those who can be named: `inside` the sources, and what is found beside them."""

    def __init__(self, inside: Iterable[Named]) -> None:
        self._inside = list(inside)
        self._outside: list[Named] = []
        self._by_id: dict[str, list[Named]] | None = None
        self._by_name: dict[str, list[tuple[int, Named]]] | None = None
        self._found: dict[tuple[str, str | None], list[Named]] = {}

    def add(self, outside: Iterable[Named]) -> None:
        """Take in what lies beside the sources."""
        self._outside += outside
        self._by_id = self._by_name = None
        self._found = {}

    def find(self, name: str, near: str | None) -> list[Named]:
        """Return whom `name` calls in a task at the path `near` (from the root): one, none, or
        all between whom it does not tell. A sign may stand before it, as in `#12`, a title behind.
        """
        # Whoever is asked for once is asked for again when all are known.
        found = self._found.get((name, near))
        if found is None:
            found = self._found[name, near] = self._look_up(name, near)
        return found

    def _look_up(self, name: str, near: str | None) -> list[Named]:
        found = self._find(name, near)
        if found or not name:
            return found
        plain = name.strip().lstrip("#@")
        head = _TITLED.split(plain, 1)[0]
        plain = head if " " not in head and _DIGIT.search(head) else plain
        return self._find(plain, near) if plain not in ("", name) else found

    def _find(self, name: str, near: str | None) -> list[Named]:
        folder = os.path.dirname(near or "")
        if name.startswith("../"):
            name = os.path.normpath(os.path.join(folder, name))
        folded = _fold(name.strip())
        if self._by_id is None:
            self._by_id = defaultdict(list)
            for one in (*self._inside, *self._outside):
                self._by_id[_fold(one.id)].append(one)
        exact = self._by_id.get(folded, [])
        if len(exact) > 1:
            exact = [one for one in exact if one.id == name] or exact
        # What is meant by a path is meant wherever it is, what is in the same folder is nearest.
        if len(exact) == 1 and (
            "/" in name or exact[0].path == near or os.path.dirname(exact[0].path or "") == folder
        ):
            return exact
        if self._by_name is None:
            self._by_name = self._named()
        hits = self._by_name.get(_plain(folded), [])
        folded = folded.replace("\\", "/")
        if not hits and "/" in folded:
            # A link names as much of the path as is needed; a folder that is gone tells nothing.
            hits = self._by_name.get(_plain(folded.rpartition("/")[2]), [])
            end = f"/{folded.removesuffix('.md')}.md"
            within = [hit for hit in hits if _fold(f"/{hit[1].path or ''}").endswith(end)]
            hits = within or hits
        if len(hits) == 1:
            return [hits[0][1]]
        best: dict[int, Named] = {}
        least: tuple[int, bool, bool, bool, int] | None = None
        inside = {id(one) for one in self._inside} if hits else set()
        for kind, one in hits:
            there = os.path.dirname(one.path or "")
            exactly = kind == 0 and one in exact
            rank = (
                -_shared(folder, there), there != folder, id(one) not in inside,
                isinstance(one, Known) and one.archived, kind - exactly,
            )  # fmt: skip
            if least is None or rank < least:
                least, best = rank, {}
            if rank == least:
                best[id(one)] = one
        return list(best.values())

    def _named(self) -> dict[str, list[tuple[int, Named]]]:
        named: dict[str, list[tuple[int, Named]]] = defaultdict(list)
        for one in [*self._inside, *self._outside]:
            seen = set()
            for kind, name in _names(one):
                if name and name not in seen:
                    seen.add(name)
                    named[name].append((kind, one))
        return named


def _names(one: Named) -> Iterable[tuple[int, str]]:
    own = _fold(one.id)
    yield 0, _plain(own)
    if one.path is not None:
        path = _fold(one.path)
        stem = os.path.splitext(os.path.basename(path))[0]
        yield 1, _plain(stem)
        if leading := _LEADING.match(stem):
            yield 2, _plain(leading[1])
            if number := _NUMBER.fullmatch(leading[1]):
                yield 3, _plain(number[1])
        yield 5, _plain(path)
    if number := _NUMBER.fullmatch(own):
        yield 3, _plain(number[1])
    for alias in one.aliases:
        # What goes by its path since others have its id is called by that all the same.
        yield 0 if one.id.endswith(f"#{alias}") else 4, _plain(_fold(alias))


def _fold(name: str) -> str:
    # A letter with an accent is one character or two, by the system that wrote it.
    return (name if name.isascii() else unicodedata.normalize("NFC", name)).casefold()


def _plain(name: str) -> str:
    """Return a name without what does not tell: zeros before a number, an ending."""
    name = name.removesuffix(".md")
    if name.isdigit():
        return name.lstrip("0") or "0"
    return _ZEROS.sub("", name, 1) if "-0" in name else name


def _shared(one: str, other: str) -> int:
    """Return how many folders two paths have in common."""
    parts, others = one.split("/"), other.split("/")
    shared = 0
    while shared < min(len(parts), len(others)) and parts[shared] == others[shared]:
        shared += 1
    return shared
