"""Where the keys of a header and their values stand, to the character."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from yaml.nodes import MappingNode, Node, ScalarNode

from hypervisor.tasks.blame import place
from hypervisor.tasks.read import Document

_ALIAS = re.compile(r"[ \t]*:[ \t]+(\*[^\s,\[\]{}]+)")
_NOWHERE = -1


class Entry(NamedTuple):
    """One top-level key; offsets count characters of the document's text.

    `kind` is "scalar", "alias", "list" or "mapping"; `style` the quote character of a scalar, "|"
    or ">" of a block scalar, else None; `flow` is True for a value in brackets; `end` is -1 where
    it can't be told.
    """

    key: str
    kind: str
    style: str | None
    flow: bool
    key_start: int
    start: int
    end: int


class Entries(NamedTuple):
    """All top-level keys in their order; `flow` is True where braces hold them."""

    entries: list[Entry]
    flow: bool
    indent: int

    def get(self, key: str) -> Entry | None:
        """Return the entry of `key`, None if the key does not stand in the header itself."""
        for entry in self.entries:
            if entry.key == key:
                return entry
        return None


def locate(document: Document) -> Entries:
    """Return the places of the keys of a document that was read without error.

    Raises ValueError for a header whose keys can't be told apart by their places.
    """
    root = document.root
    if root is None:
        return Entries([], False, 0)
    base = document.header_start
    text = document.text
    found = []
    last = base - 1
    for key, value in root.value:
        key_start = base + place(key.start_mark)
        if key_start <= last:
            raise ValueError("an alias stands where a key belongs")
        last = key_start
        key_end = base + place(key.end_mark)
        start = base + place(value.start_mark)
        if start < key_end:
            # The node of an alias is that of its anchor.
            alias = _ALIAS.match(text, key_end)
            span = alias.span(1) if alias else (_NOWHERE, _NOWHERE)
            found.append(Entry(key.value, "alias", None, False, key_start, *span))
            continue
        end = _end(text, base, value, start)
        if isinstance(value, ScalarNode):
            entry = Entry(key.value, "scalar", value.style or None, False, key_start, start, end)
        else:
            kind = "mapping" if isinstance(value, MappingNode) else "list"
            entry = Entry(key.value, kind, None, bool(value.flow_style), key_start, start, end)
        found.append(entry)
    mark: Any = root.start_mark
    return Entries(found, bool(root.flow_style), int(mark.column))


def _end(text: str, base: int, node: Node, earliest: int) -> int:
    start, end = base + place(node.start_mark), base + place(node.end_mark)
    if start < earliest:
        return _NOWHERE
    if isinstance(node, ScalarNode):
        if node.style in ("|", ">"):
            # The parser takes the blank lines behind a block scalar for a part of it.
            return start + len(text[start:end].rstrip())
        return end
    if node.flow_style:  # type: ignore[attr-defined]
        return end
    last = node.value[-1]
    return _end(text, base, last[1] if isinstance(node, MappingNode) else last, start)
