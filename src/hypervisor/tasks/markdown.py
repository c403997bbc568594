"""What is structure in a Markdown body: headings and check boxes outside code, HTML and quotes.

The block rules are CommonMark's. One pass over the lines, with shortcuts for runs of lines whose
effect is known from their first character; nothing inside a line is parsed.
"""

from __future__ import annotations

from hypervisor.system.errors import BrokenFile
from hypervisor.system.late import late
from hypervisor.tasks import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from hypervisor.tasks.structure import Box, Heading, Structure


def scan(body: str) -> Structure:
    """Return the structure of `body`; every question below is answered from it."""
    # Its patterns take longer to compile than most commands take altogether.
    from hypervisor.tasks import scan

    return scan.scan(body)


def is_closed(body: str) -> bool:
    """True where neither code nor HTML can be open at the end of `body`, as plain words tell;
    where they don't, `scan` does."""
    return not any(sign in body for sign in ("```", "~~~", "<", "\r"))


def opens_nothing(lines: Iterable[str]) -> bool:
    """True where each of `lines`, at the top of a document, is a heading, a quote, an entry of a
    list or a bold paragraph: a comment in column 0 ends whatever opens in these."""
    return all(not line or line.startswith(("## ", "> ", "- ", "**")) or line == ">"
               for line in lines)  # fmt: skip


def headings(body: str) -> list[Heading]:
    """Return the headings of `body`, ATX and setext, in their order."""
    return list(scan(body).headings)


def boxes(body: str) -> list[Box]:
    """Return the check boxes of `body`, nested ones too, in their order; none from quotes."""
    return list(scan(body).boxes)


def prose(body: str) -> str:
    """Return `body` without fenced and indented code, HTML comments, quotes and our own section."""
    body = without_own_section(body)
    kept = []
    last = 0
    for start, end in scan(body).hidden:
        kept.append(body[last:start])
        last = end
    kept.append(body[last:])
    text = "".join(kept)
    return _without_comments(text) if "<!--" in text else text


def own_sections(body: str) -> list[tuple[int, int]]:
    """Return the spans of the sections that we wrote, each from its first marker to its last.

    A marker counts where it is a comment of its own line, outside code, lists and quotes, and is
    followed by a heading as we write it.
    """
    if "<!-- /hypervisor:report -->" not in body:
        return []
    found = []
    structure = scan(body)
    heading_starts = {heading.offset for heading in structure.headings}
    start: int | None = None
    for comment in structure.comments:
        line = body[comment.offset : comment.end].rstrip("\r\n")
        if _OWN_START.fullmatch(line):
            blank = _BLANKS.match(body, comment.end)
            start = comment.offset if blank and blank.end() in heading_starts else None
        elif start is not None and line == OWN_END:
            found.append((start, comment.end))
            start = None
    return found


def without_own_section(body: str) -> str:
    """Return `body` without the sections that we wrote: what our rules may read."""
    for start, end in reversed(own_sections(body)):
        body = body[:start] + body[end:]
    return body


OWN_END = "<!-- /hypervisor:report -->"
_OWN_START = late(r"<!-- hypervisor:report ([A-Za-z0-9._:@-]{1,100}) -->")
_BLANKS = late(r"(?:[ \t]*\r?\n)*")
_BLANK_LINE = late(r"\n[ \t]*\r?\n")


def _without_comments(text: str) -> str:
    """Return `text` without the comments within a paragraph; what is never closed is text."""
    kept = []
    at = 0
    while (opening := text.find("<!--", at)) >= 0:
        closing = text.find("-->", opening + 4)
        if closing < 0:
            break
        blank = _BLANK_LINE.search(text, opening, closing)
        if blank:
            kept.append(text[at : blank.end()])
            at = blank.end()
        else:
            kept.append(text[at:opening] + " ")
            at = closing + 3
    return "".join(kept) + text[at:]


def open_boxes(path: str) -> list[str]:
    """Return the texts of the open boxes that count: those under Acceptance…, else all."""
    try:
        return _open_boxes(read.read(path).body)
    except (OSError, BrokenFile):
        return []


def unticked(before: bytes, path: str) -> list[str]:
    """Return the texts of the open boxes that counted in a task, when it held `before`, and are
    not ticked in its file at `path`, with more words behind them or without."""
    try:
        left = _open_boxes(read.parse(before, path).body)
    except BrokenFile:
        return []
    try:
        now = without_own_section(read.read(path).body) if left else ""
    except (OSError, BrokenFile):
        return left
    for box in boxes(now):
        text = " ".join(box.text.split())
        done = (one for one in left if box.checked and text.startswith(" ".join(one.split())))
        if (found := max(done, key=len, default=None)) is not None:
            left.remove(found)
    return left


def _open_boxes(body: str) -> list[str]:
    body = without_own_section(body)
    if "[ ]" not in body and "[\t]" not in body:
        return []
    heads = headings(body)
    found = boxes(body)
    spans = [
        (head.offset, next((h.offset for h in heads[at:] if h.level <= head.level), len(body)))
        for at, head in enumerate(heads, 1)
        if head.title.lower().startswith("acceptance")
    ]
    if spans:
        found = [box for box in found if any(start < box.offset < end for start, end in spans)]
    return [box.text for box in found if not box.checked]
