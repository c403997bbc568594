"""Small helpers that several of these tests use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hypervisor.system.errors import BrokenFile
from hypervisor.tasks.edit import Edit, InsertLine, PutSection, SetKey, edit
from hypervisor.tasks.read import Document, parse, read

HEADER = "---\nid: aops-1a2b3c4d\ntitle: A task\nstatus: active\n---\n"


def document(text: str | bytes, path: str = "task.md") -> Document:
    raw = text.encode() if isinstance(text, str) else text
    return parse(raw, path)


def set_key(document: Document, key: str, value: str | int | Sequence[str]) -> bytes:
    return _edited(document, SetKey(key, value))


def insert_line(document: Document, line: str) -> bytes:
    return _edited(document, InsertLine(line))


def put_section(document: Document, token: str, lines: Sequence[str]) -> bytes:
    return _edited(document, PutSection(token, lines))


def _edited(document: Document, one: Edit) -> bytes:
    return edit(document, [one]).after


def readable(folder: Path) -> list[Document]:
    """All the Markdown files of a folder that can be read without doubt."""
    found = []
    for path in sorted(folder.rglob("*.md")):
        try:
            found.append(read(str(path)))
        except BrokenFile:
            continue
    assert found
    return found


def oracle(body: str) -> tuple[list[tuple[int, int, str]], list[tuple[int, bool, str]]]:
    """Headings and check boxes of `body` as markdown-it-py sees them, with lines from 1."""
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").parse(body)
    headings, boxes, quotes = [], [], 0
    for at, token in enumerate(tokens):
        if token.type in ("blockquote_open", "blockquote_close"):
            quotes += token.nesting
        elif token.type == "heading_open" and token.level == 0:
            assert token.map is not None
            title = " ".join(tokens[at + 1].content.split())
            headings.append((int(token.tag[1]), token.map[0] + 1, title))
        elif token.type == "list_item_open" and not quotes and at + 2 < len(tokens):
            inner = tokens[at + 1]
            if inner.type != "paragraph_open" or inner.map is None or inner.map[0] != token.map[0]:
                continue
            line = tokens[at + 2].content.split("\n")[0]
            box = re.match(r"\[([ xX])\][ \t]+(\S.*)", line)
            if box:
                boxes.append((token.map[0] + 1, box[1] != " ", " ".join(box[2].split())))
    return headings, boxes
