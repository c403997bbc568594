"""Text put into a document, and the proof that nothing else of it changed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hypervisor.system.errors import BrokenFile, HypervisorError
from hypervisor.system.text import one_line
from hypervisor.tasks import markdown
from hypervisor.tasks.entries import Entry, locate
from hypervisor.tasks.read import Document, parse

_OUR_MARK = re.compile(r"<!--(?=[ \t]*/?hypervisor:)")


class EditRefused(HypervisorError):
    """The edit can't be made without touching something else; nothing was written."""

    def __init__(self, path: str, why: str, fix: str = "edit the file by hand") -> None:
        super().__init__(f"{path}: not edited: {why}", fix)
        self.path = path
        self.why = why


def reparsed(document: Document, start: int, end: int, new: str) -> Document:
    """Return the document with `new` for its text from `start` to `end`. Raises EditRefused."""
    text = document.text[:start] + new + document.text[end:]
    try:
        return parse(text.encode("utf-8"), document.path, document.identity, document)
    except (BrokenFile, UnicodeEncodeError) as error:
        why = error.what if isinstance(error, BrokenFile) else "it is not text"
        raise EditRefused(document.path, f"the file would be broken by it: {why}") from None


def check_header(
    before: Document, after: Document, key: str, value: str | int | list[str], end: int, grown: int
) -> None:
    """Refuse unless `key` reads as `value`, and every other key as it was, at the same text.

    `end` is where the text behind the edit starts, `grown` by how much it moved.
    """
    meta = after.meta
    if meta is None or meta.get(key) != value:
        raise EditRefused(before.path, f"{key} would not read back as {shown(value)}")
    check_rest(before, after, key, end, grown)


def check_rest(before: Document, after: Document, key: str, end: int, grown: int) -> None:
    """Refuse unless every key but `key` reads as it did, at the same text; see `check_header`."""
    path, meta = before.path, after.meta or {}
    try:
        old = [_moved(entry, end, grown) for entry in locate(before).entries if entry.key != key]
        new = [entry for entry in locate(after).entries if entry.key != key]
    except ValueError as error:
        raise EditRefused(path, str(error)) from None
    if old != new:
        raise EditRefused(path, "another key would change")
    for name, was in (before.meta or {}).items():
        # repr: a float that is not a number equals nothing, not even itself.
        if name != key and meta.get(name) != was and repr(meta.get(name)) != repr(was):
            raise EditRefused(path, f"the value of {name} would change")


def _moved(entry: Entry, end: int, grown: int) -> Entry:
    if entry.key_start < end:
        return entry
    start, last = (place if place < 0 else place + grown for place in (entry.start, entry.end))
    return entry._replace(key_start=entry.key_start + grown, start=start, end=last)


def check_body(before: Document, after: Document) -> None:
    """Refuse unless header, headings and boxes outside our sections are as they were."""
    head = before.text[: before.body_start]
    if not after.text.startswith(head) or after.header_end != before.header_end:
        raise EditRefused(before.path, "the front matter would change")
    if _outline(before.body) != _outline(after.body):
        raise EditRefused(before.path, "the structure of its text would change")


def _outline(body: str) -> list[tuple[object, ...]]:
    body = markdown.without_own_section(body)
    structure = markdown.scan(body)
    return [
        *((one.level, one.title) for one in structure.headings),
        *((one.checked, one.text) for one in structure.boxes),
    ]


def harmless(text: str) -> str:
    """Return text that can neither end our section nor make the file unreadable."""
    plain = text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    return _OUR_MARK.sub("&lt;!--", plain)


def shown(value: str | int | Sequence[str]) -> str:
    """Return a value as one short line for a message."""
    return one_line(value if isinstance(value, (str, int)) else ", ".join(value), 80)
