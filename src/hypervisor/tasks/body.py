"""The text of a task added to, or replaced by somebody who says so."""

from __future__ import annotations

from hypervisor.system.late import late
from hypervisor.system.records import NamedTuple
from hypervisor.tasks import markdown
from hypervisor.tasks.header_edit import EditRefused, harmless, reparsed
from hypervisor.tasks.read import Document

LINE_ENDS = late(r"\r\n|[\r\n]")


class AppendText(NamedTuple):
    """Add text at the end of the body, after a blank line."""

    text: str


class ReplaceBody(NamedTuple):
    """Put this text in the place of the body; the sections that we wrote stay, at its end."""

    text: str


def append_text(document: Document, change: AppendText) -> Document:
    """Return the document with the text added. Raises EditRefused."""
    added = _written(document, change.text)
    if not added:
        return document
    body = document.body
    unclosed = markdown.scan(body).unclosed
    place = len(body) if unclosed is None else unclosed
    at = document.body_start + place
    before = document.text[:at]
    if before.strip("\ufeff") and not before.endswith("\n"):
        added = document.newline + added
    if place and before.rstrip(" \t\r\n") and not _ends_blank(before):
        added = document.newline + added
    if unclosed is not None:
        added += document.newline
    after = reparsed(document, at, at, added)
    _check(document, after, body[:place] + added + body[place:])
    return after


def replace_body(document: Document, change: ReplaceBody) -> Document:
    """Return the document with another body. Raises EditRefused."""
    body, newline = document.body, document.newline
    own = [body[start:end] for start, end in markdown.own_sections(body)]
    new = newline + _written(document, change.text)
    for section in own:
        new += newline + section
    if new.rstrip() == body.rstrip():
        return document
    after = reparsed(document, document.body_start, len(document.text), new)
    _check(document, after, new)
    if len(markdown.own_sections(after.body)) != len(own):
        raise EditRefused(document.path, "a report of ours would not stand any more")
    return after


def _written(document: Document, text: str) -> str:
    """Return text with the file's line ends; nothing in it can pass for a mark of ours."""
    plain = harmless(text).strip("\r\n")
    if not plain.strip():
        return ""
    return LINE_ENDS.sub(document.newline, plain) + document.newline


def _ends_blank(before: str) -> bool:
    lines = before.rsplit("\n", 2)
    return len(lines) > 2 and not lines[-2].strip(" \t\r") and not lines[-1]


def _check(document: Document, after: Document, body: str) -> None:
    head = document.text[: document.body_start]
    if not after.text.startswith(head) or after.body != body or after.meta != document.meta:
        raise EditRefused(document.path, "the front matter would change")
