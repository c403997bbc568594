"""One top-level key of a front matter written, added or taken out, and no other byte."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from yaml.nodes import MappingNode, Node, ScalarNode

from hypervisor.system.errors import BrokenFile, HypervisorError
from hypervisor.system.text import one_line
from hypervisor.tasks import markdown
from hypervisor.tasks.header import STR, plain_tag
from hypervisor.tasks.header_faults import place
from hypervisor.tasks.read import Document, parse

_PLAIN = re.compile(r"[^\W\d_](?:[\w .'/@+&()-]*[\w.'/@+&()-])?")
# Printable in every style of YAML; the rest is only told as an escape between double quotes.
_ONE_LINE = re.compile(
    "[\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]*"
)
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def written(value: str, style: str | None = None) -> str:
    """Return `value` as YAML, for block and flow context alike.

    `style` is the quote character to use, if the value can be written so; None asks for no quotes
    where none are needed.
    """
    if not _ONE_LINE.fullmatch(value):
        style = '"'
    if style is None:
        # `y` and `n` are booleans to some readers.
        if _PLAIN.fullmatch(value) and plain_tag(value) == STR and value.lower() not in ("y", "n"):
            return value
        style = "'"
    if style == "'":
        return "'" + value.replace("'", "''") + "'"
    return '"' + "".join(_ESCAPES.get(char) or _escaped(char) for char in value) + '"'


def _escaped(char: str) -> str:
    if _ONE_LINE.fullmatch(char):
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


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
