"""Agent OS, v1 and v2: `agent-os/specs/DATE-name/tasks.md`, tasks with subtasks.

A task with subtasks is worked on by these, and its box is ticked with the last of them. What is
blocked says so in the line after its box.
"""

from __future__ import annotations

import re

from hypervisor.system.text import one_line
from hypervisor.tasks.formats import Splice
from hypervisor.tasks.formats.box_format import Entry, Links, in_turn
from hypervisor.tasks.formats.boxes import Box, boxes, tick
from hypervisor.tasks.formats.numbered import above, leaves, number_of, of_task, parts, working
from hypervisor.tasks.formats.spec_folders import SpecFolders, beside
from hypervisor.tasks.item import Item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_BLOCKED = re.compile(r"[ \t]*(?:[-*+][ \t]+)?\u26a0\ufe0f?[ \t]*\**Blocking issue:", re.IGNORECASE)
_GROUP = re.compile(r"task group (\d+)", re.IGNORECASE)
_DEPENDS = re.compile(r"^[ \t]*\*\*Dependencies:?\*\*:?[ \t]*(.*)$", re.MULTILINE | re.IGNORECASE)
_RANGE = re.compile(r"(\d+)(?:\s*(?:-|–|to|through)\s*(\d+))?")
_LONGEST_RANGE = 200


class AgentOS(SpecFolders):
    """Items are the boxes that have no subtasks."""

    name = "agent-os"
    about = "tasks.md of a spec of Agent OS"
    tops = (".agent-os", "agent-os")

    def entries(self, path: str, text: str, near: str | None = None) -> list[Entry]:
        return working(_numbered(text, near))

    def state(self, box: Box) -> str:
        """What is blocked has an empty box."""
        state = super().state(box)
        blocked = state == "ready" and any(map(_BLOCKED.match, [*box.lines[1:], box.next_line]))
        return "blocked" if blocked else state

    def links(self, found: Sequence[Entry], text: str) -> Sequence[Links]:
        """Subtasks go one after the other; a group waits for those that it names, a task without
        groups for the one before it."""
        every = _numbered(text)
        inside = parts(every)
        groups = _groups(text, every)
        if groups is None:
            waits = in_turn([[(one.id, False, one.box.done) for one in found]])
        else:
            waits = {}
            for members, _ in groups.values():
                own = [one for one in found if one.id in members]
                waits |= in_turn([[(one.id, False, one.box.done) for one in own]])
            for members, needs in groups.values():
                others = [one for need in needs for one in groups.get(need, ((), ()))[0]]
                for one in members:
                    named = [leaf for other in others for leaf in leaves(other, inside)]
                    waits[one] = [*waits.get(one, ()), *named]
        return [Links(waits.get(one.id, ())) for one in found]

    def item(self, entry: Entry, links: Links, path: str) -> Item:
        """Return an item: that of a task that is ticked is done."""
        told = super().item(entry, links, path)
        if told.state != "done" and any(box.done for box in entry.above):
            return told._replace(state="done", word="[x] of its task")
        return told

    def mark(self, text: str, item: Item, state: str) -> list[Splice] | None:
        """Tick the box of what is done, and that of its task with the last of its subtasks."""
        if state != "done":
            return None
        found = _numbered(text, item.id)
        inside = parts(found)
        by_id = {one.id: one for one in found}
        edits = tick(text, item.at)
        done = {one.id for one in found if one.box.done} | {item.id}
        parent = above(item.id, by_id)
        while parent is not None and all(one.id in done for one in inside[parent]):
            ended = tuple(leaves(parent, inside))
            edits += [one._replace(parts=ended) for one in tick(text, by_id[parent].box.at)]
            done.add(parent)
            parent = above(parent, by_id)
        return edits

    def block(self, text: str, item: Item, why: str) -> list[Splice] | None:
        """Write what hinders under the box, where nothing of that is there."""
        if item.state != "ready":
            return []
        start = text.rfind("\n", 0, item.at) + 1
        end = text.find("\n", item.at)
        line = text[start : end if end >= 0 else len(text)]
        at = start + len(line.rstrip("\r"))
        lead = re.match(r"\ufeff?([ \t]*)(\S+[ \t]+)", line)
        indent = lead[1] + " " * len(lead[2].expandtabs(4)) if lead else "  "
        after = "\r\n" if line.endswith("\r") else "\n"
        told = one_line(why, 200).replace("<", "\\<") or "not told"
        return [Splice(at, at, f"{after}{indent}\u26a0\ufe0f Blocking issue: {told}")]

    def context(self, path: str, root: str) -> list[str]:
        names = ("spec.md", "spec-lite.md", "sub-specs", "planning/requirements.md")
        return beside(path, names)


def _numbered(text: str, near: str | None = None) -> list[Entry]:
    """Return the boxes with a number, those of the task that `near` is of if it is told."""
    found = []
    for box in of_task(boxes(text, odd=True), near):
        number, title = number_of(box)
        if number:
            found.append(Entry(number, title, box))
    return found


def _groups(text: str, found: Sequence[Entry]) -> dict[int, tuple[list[str], list[int]]] | None:
    """Return the boxes of each group by its number, and the groups that it waits for; None for a
    file without groups."""
    groups: dict[int, tuple[list[str], list[int]]] = {}
    for one in found:
        named = [(_GROUP.search(head.title), head) for head in one.box.under]
        told, head = next(((hit, head) for hit, head in named if hit), (None, None))
        if told is None or head is None:
            continue
        number = int(told[1])
        if number not in groups:
            depends = _DEPENDS.search(text, head.end, one.box.at)
            groups[number] = ([], _needs(depends[1]) if depends else [])
        groups[number][0].append(one.id)
    return groups or None


def _needs(told: str) -> list[int]:
    needs: list[int] = []
    for first, last in _RANGE.findall(told):
        end = int(last) if last and 0 < int(last) - int(first) < _LONGEST_RANGE else int(first)
        needs += range(int(first), end + 1)
    return needs


FORMAT = AgentOS()
