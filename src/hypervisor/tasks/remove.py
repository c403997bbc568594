"""A top-level key taken out of a front matter, its lines whole and no other."""

from __future__ import annotations

import re
from typing import NamedTuple

from hypervisor.tasks.entries import locate
from hypervisor.tasks.read import Document
from hypervisor.tasks.splice import EditRefused, check_rest, reparsed

_NOTHING_MORE = re.compile(r"[ \t]*(?:#[^\n]*)?\r?\n?")


class RemoveKey(NamedTuple):
    """Take a top-level key out, with its value and the comment behind it."""

    key: str


def remove_key(document: Document, change: RemoveKey) -> Document:
    """Return the document without the key. Raises EditRefused."""
    key, path = change.key, document.path
    if document.meta is None or key not in document.meta:
        return document
    try:
        entries = locate(document)
    except ValueError as error:
        raise EditRefused(path, str(error)) from None
    entry = entries.get(key)
    if entry is None or entries.flow or entry.end < 0:
        raise EditRefused(path, f"where {key} stands is not clear")
    text = document.text
    start = text.rfind("\n", 0, entry.key_start) + 1
    behind = _NOTHING_MORE.match(text, max(entry.end, entry.key_start))
    if text[start : entry.key_start].strip(" \ufeff") or behind is None:
        raise EditRefused(path, f"{key} shares its line")
    end = min(behind.end(), document.header_end)
    if text[end - 1] != "\n":
        raise EditRefused(path, f"{key} shares its line")
    after = reparsed(document, start, end, "")
    if len(document.meta) > 1 and (after.meta is None or key in after.meta):
        raise EditRefused(path, f"{key} would not be gone")
    check_rest(document, after, key, end, start - end)
    return after
