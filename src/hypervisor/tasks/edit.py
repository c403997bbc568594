"""Edits of a task file: bytes in, bytes out, and no byte but their own changed.

An edit is spliced into the text as it stands. What comes out is read again and compared with what
was meant, key by key and heading by heading; what can't be proven is refused.
"""

from __future__ import annotations

from hypervisor.system.late import late
from hypervisor.system.records import NamedTuple
from hypervisor.system.text import one_line
from hypervisor.tasks import markdown
from hypervisor.tasks.body import LINE_ENDS, AppendText, ReplaceBody, append_text, replace_body
from hypervisor.tasks.header_edit import (
    EditRefused,
    RemoveKey,
    check_body,
    check_header,
    harmless,
    remove_key,
    reparsed,
    shown,
    written,
)
from hypervisor.tasks.read import Document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypervisor.tasks.entries import Entries, Entry


class SetKey(NamedTuple):
    """Give a top-level key this value; a list where the key holds a list, or is new or empty.

    A text is written so that YAML reads a text, a number so that it reads a number.
    """

    key: str
    value: str | int | Sequence[str]


class InsertLine(NamedTuple):
    """Put a line, framed by blank lines, after the first heading of level 1, or before the body."""

    line: str


class PutSection(NamedTuple):
    """Put our section at the end of the body, in the place of one that stands.

    `lines` start with its heading; `token` names the claim that it reports on.
    """

    token: str
    lines: Sequence[str]


Edit = SetKey | InsertLine | PutSection | RemoveKey | AppendText | ReplaceBody


class Edited(NamedTuple):
    """A file before and after; `changes` say what is different, and are empty if nothing is."""

    before: bytes
    after: bytes
    changes: tuple[str, ...]


_TOKEN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:@-")
_BLOCK_SCALAR = late(r"(?m)[|>][-+0-9]*[ \t]*(?:#.*)?\r?$")
_COMMENT = late(r"(?m)(?:^|[ \t])#")


def edit(document: Document, edits: Sequence[Edit]) -> Edited:
    """Apply `edits` one after the other.

    Raises EditRefused if one can't be made, or does not come out as meant.
    """
    now = document
    changes = []
    for one in edits:
        if isinstance(one, SetKey):
            after = _set_key(now, one)
            change = f"{one.key}->{shown(one.value)}"
        elif isinstance(one, InsertLine):
            after = _insert_line(now, one)
            change = f"line: {one_line(one.line, 80)}"
        elif isinstance(one, RemoveKey):
            after = remove_key(now, one)
            change = f"{one.key} removed"
        elif isinstance(one, AppendText):
            after = append_text(now, one)
            change = "text added"
        elif isinstance(one, ReplaceBody):
            after = replace_body(now, one)
            change = "body replaced"
        else:
            after = _put_section(now, one)
            change = f"section: {one.token}"
        if after is not now:
            changes.append(change)
            now = after
    return Edited(document.raw, now.raw, tuple(changes))


def _set_key(document: Document, change: SetKey) -> Document:
    key, value = change
    path = document.path
    if not document.has_header:
        raise EditRefused(path, "it has no front matter")
    wanted = value if isinstance(value, (str, int)) else list(value)
    present: object = document.raw_list(key)
    if not isinstance(wanted, list):
        present = document.raw_text(key) if isinstance(wanted, str) else document.value(key)
    if present == wanted and document.holds(key):
        return document
    try:
        entries = document.entries()
    except ValueError as error:
        raise EditRefused(path, str(error)) from None
    entry = entries.get(key)
    if entry is None:
        if entries.flow:
            raise EditRefused(path, "its front matter is one {mapping}; the key can't be added")
        start, new = _new_line(document, entries, key, wanted)
        end = start
    elif entry.end < 0:
        raise EditRefused(path, f"where the value of {key} ends is not clear")
    else:
        start, end = entry.start, entry.end
        new = _replacement(document, entry, wanted)
    after = reparsed(document, start, end, new)
    check_header(document, after, key, wanted, end, len(new) - (end - start))
    if after.body != document.body:
        raise EditRefused(path, "the body would change")
    return after


def _new_line(
    document: Document, entries: Entries, key: str, value: str | int | list[str]
) -> tuple[int, str]:
    """Return where a new key goes and its line."""
    place = document.header_end
    if entries.entries:
        last = entries.entries[-1]
        # Blank lines at the end of a block scalar can be a part of it.
        if last.end >= 0 and not _ends_in_block_scalar(document, last):
            place = document.text.find("\n", last.end, document.header_end) + 1 or place
    newline = "\r\n" if document.text[: document.header_start].endswith("\r\n") else "\n"
    return place, f"{' ' * entries.indent}{written(key)}: {_inline(value)}{newline}"


def _ends_in_block_scalar(document: Document, entry: Entry) -> bool:
    if entry.style in ("|", ">"):
        return True
    if entry.kind not in ("list", "mapping") or entry.flow:
        return False
    text = document.text[entry.start : entry.end]
    return _BLOCK_SCALAR.search(text) is not None


def _replacement(document: Document, entry: Entry, value: str | int | list[str]) -> str:
    old = document.text[entry.start : entry.end]
    empty = entry.kind == "scalar" and not document.holds(entry.key)
    if isinstance(value, (str, int)):
        if entry.kind not in ("scalar", "alias"):
            raise EditRefused(document.path, f"{entry.key} holds a {entry.kind}, not a word")
        style = entry.style if entry.style in ("'", '"') else None
        new = written(value, style) if isinstance(value, str) else str(value).lower()
        return new if old else f" {new}"
    if empty:
        return _inline(value) if old else f" {_inline(value)}"
    if entry.kind != "list":
        raise EditRefused(document.path, f"{entry.key} holds a {entry.kind}, not a list")
    held = document.value(entry.key)
    if isinstance(held, list) and len(held) != len(document.raw_list(entry.key) or ()):
        raise EditRefused(document.path, f"the list {entry.key} holds more than words")
    if _COMMENT.search(old):
        raise EditRefused(document.path, f"the list {entry.key} may hold a comment")
    if entry.flow:
        return _inline(value)
    line_start = document.text.rfind("\n", 0, entry.start) + 1
    indent = document.text[line_start : entry.start]
    if not value or indent.strip(" "):
        raise EditRefused(document.path, f"the list {entry.key} can't be changed in place")
    newline = "\r\n" if "\r\n" in document.text[: document.header_start] else "\n"
    return f"{newline}{indent}".join(f"- {written(word)}" for word in value)


def _inline(value: str | int | list[str]) -> str:
    if isinstance(value, (str, int)):
        return written(value) if isinstance(value, str) else str(value).lower()
    return "[" + ", ".join(written(word) for word in value) + "]"


def _split(line: str) -> list[str]:
    return line.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _insert_line(document: Document, change: InsertLine) -> Document:
    line = change.line
    if LINE_ENDS.search(line) or not line.strip():
        raise EditRefused(document.path, "the line to insert is not one line")
    body, newline = document.body, document.newline
    place = 0
    own = markdown.own_sections(body)
    for heading in markdown.headings(body):
        # Obsidian shows nothing between two %%, and a formula between two $$.
        unseen = any(body.count(mark, 0, heading.offset) % 2 for mark in ("%%", "$$"))
        within = any(start <= heading.offset < end for start, end in own)
        if heading.level == 1 and not unseen and not within:
            place = heading.end
            break
    before = document.text[: document.body_start + place]
    rest = body[place:]
    new = line + newline
    if not before.endswith("\n") and before.strip("\ufeff"):
        new = newline + new
    if before.strip("\ufeff"):
        new = newline + new
    if rest and rest.split("\n", 1)[0].strip(" \t\r"):
        new += newline
    at = document.body_start + place
    after = reparsed(document, at, at, new)
    check_body(document, after)
    sections = markdown.own_sections(after.body)
    if sections and len(sections) != len(own):
        raise EditRefused(document.path, "the line would be taken for a mark of ours")
    return after


def _put_section(document: Document, change: PutSection) -> Document:
    if not 0 < len(change.token) <= 100 or not _TOKEN.issuperset(change.token):
        raise EditRefused(document.path, f"'{one_line(change.token, 40)}' is not a token")
    newline = document.newline
    mark = f"<!-- hypervisor:report {change.token} -->"
    lines = [harmless(part) for line in change.lines for part in _split(line)]
    section = newline.join([mark, *lines, "", markdown.OWN_END]) + newline
    body = document.body
    standing = markdown.own_sections(body)
    # Seen by plain words, as most of the time: nothing is open, so our section is one.
    is_plain = (
        not standing
        and lines[0].startswith("## ")
        and markdown.opens_nothing(lines)
        and markdown.is_closed(body)
    )
    if standing:
        start, end = next(
            (span for span in standing if body.startswith(mark, span[0])), standing[-1]
        )
        if not body[start:end].endswith("\n"):
            section = section[: -len(newline)]
        new = section
    else:
        unclosed = None if is_plain else markdown.scan(body).unclosed
        start = end = len(body) if unclosed is None else unclosed
        before = document.text[: document.body_start + start]
        new = section
        if before.strip("\ufeff"):
            if not before.endswith("\n"):
                new = newline + newline + new
            elif before.rsplit("\n", 2)[-2].strip(" \t\r"):
                new = newline + new
        if unclosed is not None:
            new += newline
    if body[start:end] == new:
        return document
    base = document.body_start
    after = reparsed(document, base + start, base + end, new)
    if is_plain and after.body == body + new:
        return after
    check_body(document, after)
    found = [after.body[first:last] for first, last in markdown.own_sections(after.body)]
    if len(found) != max(1, len(standing)) or section not in found:
        raise EditRefused(document.path, "the report would not be a section of its own")
    return after
