"""What the formats of check boxes have in common: an item is a box, and done is a tick in it."""

from __future__ import annotations

from itertools import takewhile
from operator import itemgetter

from hypervisor.system.records import NamedTuple
from hypervisor.tasks.formats import Format, Splice, hits
from hypervisor.tasks.formats.boxes import Box, paths, tick
from hypervisor.tasks.item import Item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


_MOST_LINKS = 10_000


class Entry(NamedTuple):
    """A box that is an item, by its id in the file; `parallel` is true for what can be worked on
    beside others, `above` are the boxes that it is a part of, the outermost first, `fields` what
    its line says beside its title."""

    id: str
    title: str
    box: Box
    parallel: bool = False
    above: tuple[Box, ...] = ()
    fields: Mapping[str, str] | None = None


class Links(NamedTuple):
    """What an item waits for, and what it is a part of, by id."""

    waits: Sequence[str] = ()
    parent: str | None = None


class BoxFormat(Format):
    """`entries` tells which boxes are items, and `links` in what order."""

    by_lines = True

    def entries(self, path: str, text: str, near: str | None = None) -> list[Entry]:
        """Return the boxes of `text` that are items, as they stand; with `near` others may be
        missing, but for those with that id and what they are told apart by."""
        raise NotImplementedError

    def links(self, found: Sequence[Entry], text: str) -> Sequence[Links]:
        """Return for each of `found` how it hangs together with others."""
        raise NotImplementedError

    def state(self, box: Box) -> str:
        """Return the class of a box's state: a mark that the format does not know is "unknown"."""
        return "done" if box.done else "unknown" if box.mark.strip() else "ready"

    def item(self, entry: Entry, links: Links, path: str) -> Item:
        """Return an item of the file at `path`."""
        box = entry.box
        whole = box.whole
        if entry.above:
            whole = "\n".join([*(one.whole for one in entry.above), whole])
        return Item(
            entry.id, entry.title, self.state(box), f"[{box.mark}]", whole, box.line,
            tuple(dict.fromkeys(one for one in links.waits if one != entry.id)), links.parent,
            paths(whole), None, (), box.at,
        )  # fmt: skip

    def items(self, path: str, text: str) -> list[Item]:
        found = self.entries(path, text)
        told = self.links(found, text)
        return [self.item(one, links, path) for one, links in zip(found, told, strict=True)]

    def bare(self, path: str, text: str) -> list[Item]:
        return [self.item(one, Links(), path) for one in self.entries(path, text)]

    def find(self, path: str, text: str, own_id: str, title: str | None) -> list[Item]:
        """Do as `Format.find`, and make no item of the others."""
        found = [one for one in self.entries(path, text, own_id) if one.id == own_id]
        if len(found) != 1 or (title is not None and found[0].title != title):
            every = self.entries(path, text)
            found = [every[place] for place in hits(every, own_id, title)]
        return [self.item(one, Links(), path) for one in found]

    def mark(self, text: str, item: Item, state: str) -> list[Splice] | None:
        return tick(text, item.at) if state == "done" else None


def in_turn(phases: Iterable[Sequence[tuple[str, bool, bool]]]) -> dict[str, list[str]]:
    """Return what each item waits for by its place, as little as says it all.

    An item is its id, whether it is parallel, and whether it is done. A phase waits for the one
    before it; in a phase what is not parallel waits for all before it, and all after wait for it.
    """
    waits: dict[str, list[str]] = {}
    before: list[str] = []
    for phase in phases:
        first = takewhile(itemgetter(1), (one for one in phase if not one[2]))
        if len(before) > 1 and len(before) * sum(1 for _ in first) > _MOST_LINKS:
            # Each of many on each of many is too much to keep: the last one goes behind the others.
            *others, last = before
            waits[last], before = [*waits[last], *others], [last]
        alone: list[str] = []
        beside: list[str] = []
        for item_id, parallel, done in phase:
            if done:
                continue
            if parallel:
                waits[item_id] = alone or before
                beside.append(item_id)
            else:
                waits[item_id] = beside or alone or before
                alone, beside = [item_id], []
        before = [*alone, *beside] or before
    return waits


def parents_by_indent(found: Sequence[Entry]) -> list[int | None]:
    """Return for each box the place of the one that it is indented under, if there is one."""
    above: list[tuple[int, int]] = []
    told: list[int | None] = []
    for place, one in enumerate(found):
        indent = one.box.indent
        while above and (above[-1][1] >= indent or found[above[-1][0]].box.under != one.box.under):
            above.pop()
        told.append(above[-1][0] if above else None)
        above.append((place, indent))
    return told


def parts_first(found: Sequence[Entry]) -> list[Entry]:
    """Return `found` in its order, but each behind those that are in it."""
    parents = parents_by_indent(found)
    told: list[Entry] = []
    open_ones: list[int] = []
    for place, parent in enumerate(parents):
        while open_ones and open_ones[-1] != parent:
            told.append(found[open_ones.pop()])
        open_ones.append(place)
    return [*told, *(found[place] for place in reversed(open_ones))]


def nested(found: Sequence[Entry], open_ones: Sequence[bool]) -> list[Links]:
    """Return that a box with boxes in it waits for those of them that are open, also where these
    are in one that is not."""
    parents = parents_by_indent(found)
    inside: dict[int, list[str]] = {}
    for place, above in enumerate(parents):
        while above is not None and not open_ones[above]:
            above = parents[above]
        if above is not None and open_ones[place]:
            inside.setdefault(above, []).append(found[place].id)
    return [
        Links(inside.get(place, ()), None if parent is None else found[parent].id)
        for place, parent in enumerate(parents)
    ]
