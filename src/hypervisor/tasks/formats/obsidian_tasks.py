"""The lines of the Obsidian plugin Tasks, in any note of a vault that has it.

The vault's own settings say which boxes are tasks and what their symbols mean. A line that the
plugin would repeat or delete when it is done is held: only the plugin does that.
"""

from __future__ import annotations

import json
import os
import re
import time
from functools import lru_cache

from hypervisor.system.errors import BrokenFile
from hypervisor.system.records import NamedTuple
from hypervisor.system.text import one_line
from hypervisor.tasks.formats import Splice
from hypervisor.tasks.formats.box_format import BoxFormat, Entry, Links, nested
from hypervisor.tasks.formats.boxes import boxes_of, is_headed, outside, shortened, unique
from hypervisor.tasks.item import Item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

    from hypervisor.tasks.formats.boxes import Hit

_SETTINGS = ".obsidian/plugins/obsidian-tasks-plugin/data.json"
_LINE = re.compile(r"^\ufeff?[ \t>]*(?:[-*+]|[0-9]+[.)]) +\[(.)\] *(.*)$", re.MULTILINE)
_FENCE = re.compile(r"[\s>]*(?:(?:[-*+]|\d+[.)])\s+)?(`{3,}|~{3,})")
_TYPES = {
    "TODO": "ready",
    "DONE": "done",
    "IN_PROGRESS": "in_progress",
    "ON_HOLD": "waiting",
    "CANCELLED": "cancelled",
}
_SHIPPED = {" ": "TODO", "x": "DONE", "X": "DONE", "/": "IN_PROGRESS", "-": "CANCELLED"}
_PRIORITIES = {"🔺": "0", "⏫": "1", "🔼": "2", "🔽": "3", "⏬": "4",
               "highest": "0", "high": "1", "medium": "2", "low": "3", "lowest": "4"}  # fmt: skip
_BLOCK = re.compile(r"[ \t]+\^[a-zA-Z0-9-]+[ \t]*$")
_TAG = re.compile(r"(?:^|[ \t]+)#[^ \t!@#$%^&*(),.?\":{}|<>]+$")
_EMOJI = {
    "priority": "(🔺|⏫|🔼|🔽|⏬)",
    "id": "🆔 *([a-zA-Z0-9_-]+)",
    "dependsOn": "⛔ *([a-zA-Z0-9_-]+(?: *, *[a-zA-Z0-9_-]+)*)",
    "repeat": "🔁 *([a-zA-Z0-9, !]+)",
    "onCompletion": "🏁 *([a-zA-Z]+)",
    "created": r"➕ *(\d{4}-\d{2}-\d{2})",
    "start": r"🛫 *(\d{4}-\d{2}-\d{2})",
    "scheduled": r"(?:⏳|⌛) *(\d{4}-\d{2}-\d{2})",
    "due": r"(?:📅|📆|🗓) *(\d{4}-\d{2}-\d{2})",
    "cancelled": r"❌ *(\d{4}-\d{2}-\d{2})",
    "completion": r"✅ *(\d{4}-\d{2}-\d{2})",
}
_EMOJI_FIELDS = [
    (name, re.compile(told.replace(" *(", "\ufe0f? *(", 1) + "\ufe0f?"))
    for name, told in _EMOJI.items()
]
# What is no such id may be an ordinal behind a title.
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_SIGNS = {
    sign: place for place, told in enumerate(_EMOJI.values()) for sign in told.split(" ")[0]
    if sign not in "(?:|)"
}  # fmt: skip
_LAST = re.compile(f".*([{''.join(_SIGNS)}])")
_INLINE_FIELD = re.compile(
    rf"(?:\[({'|'.join(_EMOJI)}):: *([^\][]*?) *\]|\(({'|'.join(_EMOJI)}):: *([^)(]*?) *\)),?$"
)
_LARGEST = 4 * 1024 * 1024


class _Vault(NamedTuple):
    """What a vault's settings say: `done` is the symbol that is written, `broken` why they can't be
    read."""

    folder: str
    filter: str
    inline: bool
    types: Mapping[str, str]
    done: str
    dated: bool
    broken: BrokenFile | None = None


class ObsidianTasks(BoxFormat):
    """Items are lines, by their 🆔, else by their text."""

    name = "obsidian-tasks"
    about = "lines of the Obsidian plugin Tasks"
    cancelled_will_do = True

    def __init__(self, vault: _Vault | None = None) -> None:
        self._vault = vault

    def at(self, path: str) -> ObsidianTasks:
        """Return the format by the settings of the vault that `path` is in."""
        return ObsidianTasks(_vault_of(path) or _DEFAULT)

    def recognises(self, path: str, text: str) -> bool:
        """By the vault; a note that is a task of its own has boxes, not tasks, in it."""
        if not path.lower().endswith(".md") or "[" not in text:
            return False
        vault = _vault_of(path)
        if vault is None or (not vault.filter and is_headed(text, task=True)):
            return False
        return bool(_lines(text, vault))

    def everywhere(self, folder: str) -> bool:
        """In a vault any note may have them."""
        return _vault_of(os.path.join(folder, "x")) is not None

    def entries(self, path: str, text: str, near: str | None = None) -> list[Entry]:
        """Return the tasks of a note, as they stand."""
        vault = self._vault_of(path)
        lines = boxes_of(text, _lines(text, vault))
        if near is not None and _ID.fullmatch(near):
            lines = [box for box in lines if near in box.text]
        found = [(box, *_fields(box.text, vault)) for box in lines]
        # An id is not made unique: one that stands twice is nobody's.
        names = iter(unique(shortened(title) for _, title, fields in found if "id" not in fields))
        return [
            Entry(fields["id"] if "id" in fields else next(names), title, box, fields=fields)
            for box, title, fields in found
        ]

    def links(self, found: Sequence[Entry], text: str) -> Sequence[Links]:
        return [Links()] * len(found)

    def item(self, entry: Entry, links: Links, path: str) -> Item:
        """Return a task with what its fields and the vault say."""
        told = super().item(entry, links, path)
        fields = entry.fields or {}
        state = _TYPES.get(self._vault_of(path).types.get(entry.box.mark, ""), "unknown")
        word, held = told.word, ""
        later = max(fields.get("start", ""), fields.get("scheduled", ""))
        if state == "ready" and "repeat" in fields:
            state, held = "waiting", "it recurs, and only the plugin writes the next: tick it there"
        elif state == "ready" and fields.get("onCompletion", "").lower() == "delete":
            state, held = "waiting", "it is deleted when done, by the plugin alone: tick it there"
        elif state == "ready" and later and later > time.strftime("%Y-%m-%d"):
            state, word = "waiting", f"until {later}"
        priority = _PRIORITIES.get(fields.get("priority", ""))
        return told._replace(state=state, word=word, priority=priority, held=held)

    def items(self, path: str, text: str) -> list[Item]:
        """Return the tasks, each behind those nested in it and those that it names: these may stand
        in another note, and an id that nobody has holds nothing, as the plugin has it."""
        if self._vault is None:
            return self.at(path).items(path, text)
        if self._vault.broken is not None:
            raise self._vault.broken
        found = self.entries(path, text)
        bare = [self.item(one, Links(), path) for one in found]
        inside = nested(found, [one.state not in ("done", "cancelled") for one in bare])
        own = {one.id for one in found}
        named = [
            [name.strip() for name in (entry.fields or {}).get("dependsOn", "").split(",")]
            for entry in found
        ]
        there = self._elsewhere(path, {name for names in named for name in names} - own - {""})
        told = []
        for one, links, waits in zip(bare, inside, named, strict=True):
            here = [name for name in waits if name in own and name != one.id]
            beside = [other for name in waits for other in there.get(name, ())]
            after = tuple(dict.fromkeys([*links.waits, *here, *beside]))
            told.append(one._replace(depends_on=after, parent=links.parent))
        return told

    def bare(self, path: str, text: str) -> list[Item]:
        return super().bare(path, text) if self._vault else self.at(path).bare(path, text)

    def find(self, path: str, text: str, own_id: str, title: str | None) -> list[Item]:
        kind = self if self._vault else self.at(path)
        return super(ObsidianTasks, kind).find(path, text, own_id, title)

    def mark(self, text: str, item: Item, state: str) -> list[Splice] | None:
        """Write the vault's symbol for done, and the date behind the last field."""
        if state != "done":
            return None
        vault = self._vault or _DEFAULT
        if vault.types.get(text[item.at]) == "DONE":
            return []
        edits = [Splice(item.at, item.at + 1, vault.done)]
        if vault.dated:
            end = text.find("\n", item.at)
            line = text[item.at : end if end >= 0 else len(text)].rstrip()
            block = _BLOCK.search(line)
            at = item.at + (block.start() if block else len(line))
            today = time.strftime("%Y-%m-%d")
            told = f"  [completion:: {today}]" if vault.inline else f" ✅ {today}"
            edits.append(Splice(at, at, told))
        return edits

    def _vault_of(self, path: str) -> _Vault:
        return self._vault or _vault_of(path) or _DEFAULT

    def _elsewhere(self, path: str, names: Set[str]) -> dict[str, list[str]]:
        """Return the open tasks with these ids in the other notes of the vault, as `FILE#id`."""
        from hypervisor.tasks.formats.mark import text_of
        from hypervisor.tasks.walk import Walk, is_markdown

        vault = self._vault_of(path)
        told: dict[str, list[str]] = {}
        notes = Walk(vault.folder, vault.folder, is_markdown, ()) if names and vault.folder else ()
        for found in notes:
            if found.path is None or found.problem is not None or found.path == path:
                continue
            try:
                text = text_of(found.path)[1]
            except (OSError, BrokenFile):
                continue
            if not any(name in text for name in names):
                continue
            for mark, _, line in _lines(text, vault):
                name = _fields(line, vault)[1].get("id", "")
                if name in names and vault.types.get(mark) not in ("DONE", "CANCELLED"):
                    told.setdefault(name, []).append(f"{found.path}#{name}")
        return told


def _lines(text: str, vault: _Vault) -> list[Hit]:
    """Return the lines that are tasks, outside of code and comments."""
    return [
        (mark, at, told)
        for mark, at, told in _boxes(text)
        if told and vault.filter in told and vault.types.get(mark) != "NON_TASK"
    ]


@lru_cache(maxsize=2)
def _boxes(text: str) -> list[Hit]:
    return outside(text, _LINE, _hidden(text))


def _hidden(text: str) -> list[tuple[int, int]]:
    """Return the spans of code and comments, in quotes too."""
    if not any(sign in text for sign in ("```", "~~~", "<!--", "%%")):
        return []
    spans: list[tuple[int, int]] = []
    at, fence, comment = 0, "", ""
    for line in text.split("\n"):
        start, at = at, at + len(line) + 1
        fenced = _FENCE.match(line)
        if comment:
            comment = "" if comment in line else comment
        elif fence:
            closes = fenced and fenced[1].startswith(fence) and not line[fenced.end() :].strip()
            fence = "" if closes else fence
        elif fenced:
            fence = fenced[1]
        else:
            bare = line.lstrip(" \t>\ufeff")
            for opens, closing in (("<!--", "-->"), ("%%", "%%")):
                if bare.startswith(opens) and closing not in bare[len(opens) :]:
                    comment = closing
            if not comment:
                continue
        spans.append((start, at))
    return spans


def _fields(text: str, vault: _Vault) -> tuple[str, dict[str, str]]:
    """Return what a task says, and its fields, which stand at the end of its line."""
    if "^" in text:
        text = _BLOCK.sub("", text).rstrip()
    fields: dict[str, str] = {}
    tags: list[str] = []
    while text:
        if "#" in text and (tag := _TAG.search(text, max(0, text.rfind("#") - 1))):
            tags.insert(0, tag[0].strip())
            text = text[: tag.start()].rstrip()
            continue
        found = _inline(text) if vault.inline else _emoji(text)
        if found is None:
            break
        name, value, at = found
        fields.setdefault(name, value)
        text = text[:at].rstrip()
    told = " ".join(one for one in [text, *tags] if one and one != vault.filter)
    if vault.filter in told:
        told = _word(vault.filter).sub("", told)
    return told.strip() or text or "task", fields


@lru_cache(maxsize=8)
def _word(word: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|(?<=\s)){re.escape(word)}(?=\s|$)\s*" if word else "(?!)")


def _emoji(text: str) -> tuple[str, str, int] | None:
    last = _LAST.match(text)
    if last is None:
        return None
    at = last.start(1)
    name, pattern = _EMOJI_FIELDS[_SIGNS[text[at]]]
    found = pattern.fullmatch(text, at)
    return (name, found[1], at) if found else None


def _inline(text: str) -> tuple[str, str, int] | None:
    # No field is longer, and a search for an end walks over all that is before it.
    found = _INLINE_FIELD.search(text, max(0, len(text) - 300))
    if found is None:
        return None
    return found[1] or found[3], found[2] if found[1] else found[4], found.start()


def _vault_of(path: str) -> _Vault | None:
    """Return the vault with the plugin that a file is in. As long as nobody has changed a setting,
    the plugin has no file of them."""
    folder = os.path.dirname(path)
    while True:
        file = os.path.join(folder, _SETTINGS)
        try:
            seen = os.stat(file)
            return _read(folder, file, seen.st_mtime_ns, seen.st_size)
        except OSError:
            if os.path.isdir(os.path.dirname(file)):
                return _DEFAULT._replace(folder=folder)
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


@lru_cache(maxsize=8)
def _read(folder: str, file: str, changed: int, size: int) -> _Vault:
    broken = None
    try:
        with open(file, encoding="utf-8-sig") as source:
            told = json.load(source) if size <= _LARGEST else None
    except (OSError, ValueError, RecursionError) as error:
        told = None
        what = f"{_SETTINGS}: {one_line(error, 120)}, so it is unclear which boxes are tasks"
        broken = BrokenFile(file, getattr(error, "lineno", None), what, "fix it")
    told = told if isinstance(told, dict) else {}
    listed = told.get("statusSettings")
    listed = listed if isinstance(listed, dict) else {}
    types: dict[str, str] = {}
    for part in ("coreStatuses", "customStatuses"):
        for one in listed.get(part) or ():
            if isinstance(one, dict) and isinstance(one.get("symbol"), str):
                types.setdefault(one["symbol"], str(one.get("type") or "TODO"))
    done = next((symbol for symbol, kind in types.items() if kind == "DONE" and symbol), "x")
    word = told.get("globalFilter")
    return _Vault(
        folder,
        word.strip() if isinstance(word, str) else "",
        told.get("taskFormat") == "dataview",
        (_SHIPPED if not types else {" ": "TODO", "x": "DONE", "X": "DONE"}) | types,
        done if len(done) == 1 else "x",
        told.get("setDoneDate") is not False,
        broken,
    )


_DEFAULT = _Vault("", "", False, _SHIPPED, "x", True)

FORMAT = ObsidianTasks()
