"""Marks of ours in a file of many items, each taken back alone: what others have edited elsewhere
in the file meanwhile stays, and keeps none from being found."""

from __future__ import annotations

from hypervisor.tasks.formats import Splice, spliced

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hypervisor.tasks.undo_packs import Entry

# A line may be the whole file.
_LONGEST = 400
_MOST_LINES = 64


def around(text: str, start: int, end: int) -> tuple[str, str]:
    """Return what stands before and behind a place in `text`: the line, and of those around it as
    many as tell it from all others. A break says that a line begins or ends there."""
    first, last = start + 1, end - 1
    before = behind = ""
    for _ in range(_MOST_LINES):
        first = text.rfind("\n", 0, max(first - 1, 0)) + 1
        last = text.find("\n", last + 1)
        last = len(text) if last < 0 else last
        before = text[max(first, start - _LONGEST) : start]
        behind = text[end : min(last, end + _LONGEST)]
        if start - first <= _LONGEST:
            before = "\n" + before.removeprefix("\ufeff")
        if last - end <= _LONGEST:
            behind = behind.removesuffix("\r") + "\n"
        if place_of(text, before, text[start:end], behind) is not None:
            break
    return before, behind


def place_of(text: str, before: str, held: str, behind: str) -> int | None:
    """Return where `held` stands between what `around` has told, None unless in just one place."""
    found = list(_places(text, before, held, behind))
    return found[0] if len(found) == 1 else None


def _places(text: str, before: str, held: str, behind: str) -> Iterator[int]:
    head = before.removeprefix("\n")
    whole = head + held + behind.removesuffix("\n")
    at = text.find(whole)
    while at >= 0:
        end = at + len(whole)
        begins = not at or head is before or text[at - 1] in "\n\ufeff"
        ends = end == len(text) or not behind.endswith("\n") or text[end] in "\r\n"
        if begins and ends:
            yield at + len(head)
        at = text.find(whole, at + 1)


def stands(text: str, entry: Entry) -> bool:
    """True if the mark that `entry` records is in `text`."""
    return place_of(text, entry["left"], entry["new"], entry["right"]) is not None


def without(
    text: str, entries: Iterable[Entry], item_id: str | None
) -> tuple[list[tuple[str, Splice]], dict[str, str]]:
    """Go back through the edits of a file, the newest first; return what takes the marks of one
    item, or of all, out of `text`, each with the text that it is an edit of, and what becomes of
    each item, as `Restored.outcome`."""
    now = kept = text
    made: list[tuple[str, Splice]] = []
    told: dict[str, str] = {}
    apart = _Apart()
    for entry in entries:
        before, old, new, behind = entry["left"], entry["old"], entry["new"], entry["right"]
        mine = item_id in (None, entry["id"], *entry.get("parts", ())) and "undone" not in entry
        name = item_id or entry["id"]
        at = place_of(now, before, new, behind)
        if at is None:
            if mine and told.get(name) != "restored":
                is_gone = any(True for _ in _places(now, before, old, behind))
                told[name] = "already as before" if is_gone else "edited since"
            continue
        now = spliced(now, [Splice(at, at + len(new), old)])
        start = apart.replaced(at, len(new), len(old), mine)
        if start is not None:
            edit = Splice(start, start + len(new), old)
            made.append((kept, edit))
            kept = spliced(kept, [edit])
            told[name] = "restored"
        elif mine:
            told.setdefault(name, "already as before")
    return made, told


class _Apart:
    """Where two texts that were the same are apart: the place in the first, and how much stands
    there in each, in no order."""

    def __init__(self) -> None:
        self._spans: list[tuple[int, int, int]] = []

    def replaced(self, at: int, gone: int, come: int, both: bool) -> int | None:
        """Note that in the first text `come` characters replace the `gone` at a place, and in
        `both` if these are the same there: then return the place in the second."""
        end, by = at + gone, come - gone
        inside = [one for one in self._spans if one[0] < end and at < one[0] + one[1]]
        others = [one for one in self._spans if one not in inside]
        place = at + sum(two - one for start, one, two in others if start + one <= at)
        moved = [(start + by * (start >= end), one, two) for start, one, two in others]
        if both and not inside:
            self._spans = moved
            return place
        low = min(at, *(start for start, *_ in inside)) if inside else at
        high = max(end, *(start + one for start, one, _ in inside)) if inside else end
        there = high - low + sum(two - one for _, one, two in inside)
        self._spans = [*moved, (low, high - low + by, there)]
        return None
