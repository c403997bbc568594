"""The boxes of a task that have to be ticked before it is done."""

from __future__ import annotations

from hypervisor.system.errors import BrokenFile
from hypervisor.tasks import markdown, read


def open_boxes(path: str) -> list[str]:
    """Return the texts of the open boxes that count: those under Acceptance…, else all."""
    try:
        body = markdown.without_own_section(read.read(path).body)
    except (OSError, BrokenFile):
        return []
    headings = markdown.headings(body)
    boxes = markdown.boxes(body)
    spans = [
        (head.offset, next((h.offset for h in headings[at:] if h.level <= head.level), len(body)))
        for at, head in enumerate(headings, 1)
        if head.title.lower().startswith("acceptance")
    ]
    if spans:
        boxes = [box for box in boxes if any(start < box.offset < end for start, end in spans)]
    return [box.text for box in boxes if not box.checked]
