"""Boxes with numbers, `2` over `2.1`: what a spec of Kiro's and of Agent OS's is made of."""

from __future__ import annotations

import re
from collections import defaultdict

from hypervisor.tasks.formats.box_format import Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hypervisor.tasks.formats.boxes import Box

NUMBER = re.compile(
    r"(?:\*\*)?(?:Task )?(\d+(?:\.\d+)*)[.):]?(?:\*\*)?[.):]?[ \t]+(?=\S)", re.IGNORECASE
)


def of_task(boxes: Sequence[Box], near: str | None) -> Sequence[Box]:
    """Return those of `boxes` that may be of the same task as the number `near`; all for none."""
    if near is None or not near[0].isdigit():
        return boxes
    top = near.split(".")[0]
    return [box for box in boxes if top in box.text or box.marker == top]


def number_of(box: Box) -> tuple[str, str]:
    """Return the number of a box, "" for none, and its title. It may be that of its list."""
    found = NUMBER.match(box.text)
    if found is not None:
        return found[1], box.text[found.end() :].strip()
    return box.marker if box.indent == 0 else "", box.text


def above(item_id: str, ids: Iterable[str]) -> str | None:
    """Return the number that `item_id` is a part of, `2` or `2.0` for `2.1`, if it is there."""
    head, dot, _ = item_id.rpartition(".")
    names = (head, f"{head}.0") if dot else ()
    return next((name for name in names if name in ids and name != item_id), None)


def parts(found: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Return what is directly a part of each: what is numbered so and stands in it, or below one
    that says nothing itself of what to do."""
    by_id = {one.id: one for one in found}
    told = defaultdict(list)
    for one in found:
        parent = above(one.id, by_id)
        if parent is not None and _holds(by_id[parent].box, one.box):
            told[parent].append(one)
    return told


def _holds(above: Box, box: Box) -> bool:
    return box.indent > above.indent or not any(line.strip() for line in above.lines[1:])


def working(found: Sequence[Entry]) -> list[Entry]:
    """Return those that have no parts, each with what it is a part of."""
    inside = parts(found)
    by_id = {one.id: one for one in found}
    over: dict[str, tuple[Box, ...]] = {}
    of = {part.id: name for name, its in inside.items() for part in its}
    told = []
    for one in found:
        parent = of.get(one.id)
        over[one.id] = (*over.get(parent, ()), by_id[parent].box) if parent else ()
        if one.id not in inside:
            told.append(Entry(one.id, one.title, one.box, one.parallel, over[one.id]))
    return told


def leaves(item_id: str, parts: dict[str, list[Entry]]) -> list[str]:
    """Return what `item_id` is worked on by: itself, if nothing is a part of it."""
    inside = parts.get(item_id, ())
    return [leaf for one in inside for leaf in leaves(one.id, parts)] if inside else [item_id]
