"""todo.txt: a line a task. Its text is its id, since tools move lines and delete blank ones."""

from __future__ import annotations

import os
import re
import time

from hypervisor.tasks.formats import Format, Splice
from hypervisor.tasks.formats.boxes import paths, unique
from hypervisor.tasks.item import Item

_PRIORITY = re.compile(r"\(([A-Z])\) ")
_DONE = re.compile(r"x (?:\d{4}-\d{2}-\d{2} ){0,2}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2} ")
_EXTRA = re.compile(r"(?:^|\s)(id|p|t|h|rec):(\S+)")
_LONGEST = 200


class TodoTxt(Format):
    """Items are lines; `p:1` in one says that `id:1` waits for it, as topydo has it."""

    name = "todo.txt"
    about = "todo.txt: a line a task"
    names = ("todo.txt",)

    def recognises(self, path: str, text: str) -> bool:
        return os.path.basename(path).lower() == "todo.txt"

    def items(self, path: str, text: str) -> list[Item]:
        lines = [(at, line) for at, line in enumerate(_lines(text), 1) if line.strip()]
        ids = unique(_text(line)[:_LONGEST] for _, line in lines)
        extras = [_EXTRA.findall(line) for _, line in lines]
        by_number = {
            value: item_id
            for item_id, extra in zip(ids, extras, strict=True)
            for key, value in extra
            if key == "id"
        }
        today = time.strftime("%Y-%m-%d")
        found = []
        for (at, line), item_id, extra in zip(lines, ids, extras, strict=True):
            told = dict(extra)
            priority = _PRIORITY.match(line)
            held = "" if _DONE.match(line) else _held(told, today)
            state = "done" if _DONE.match(line) else "waiting" if held else "ready"
            blocks = [by_number[value] for key, value in extra if key == "p" and value in by_number]
            found.append(
                Item(
                    item_id,
                    _text(line),
                    state,
                    "x" if state == "done" else "open",
                    line,
                    at,
                    (),
                    None,
                    paths(line),
                    str(ord(priority[1]) - ord("A")) if priority else None,
                    tuple(blocks),
                    held=held,
                )
            )
        return found

    def mark(self, text: str, item: Item, state: str) -> list[Splice] | None:
        """Write `x` and today before what is done; its priority goes, as the tool has it."""
        if state != "done":
            return None
        lines = text.split("\n")
        start = sum(len(line) + 1 for line in lines[: item.line - 1])
        start += int(item.line == 1 and text.startswith("\ufeff"))
        if _DONE.match(text, start):
            return []
        priority = _PRIORITY.match(text, start)
        end = priority.end() if priority else start
        return [Splice(start, end, f"x {time.strftime('%Y-%m-%d')} ")]


def _lines(text: str) -> list[str]:
    return [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]


def _text(line: str) -> str:
    for lead in (_DONE, _PRIORITY, _DATE):
        found = lead.match(line)
        line = line[found.end() :] if found else line
    return line.strip()


def _held(told: dict[str, str], today: str) -> str:
    """Return why nobody should work on a line with these tags yet, "" for nothing."""
    if "rec" in told:
        return "it recurs (rec:), and only a tool that knows that writes the next: end it there"
    if told.get("h") == "1":
        return "it is hidden (h:1)"
    return f"not before {told['t']} (t:)" if told.get("t", "") > today else ""


FORMAT = TodoTxt()
