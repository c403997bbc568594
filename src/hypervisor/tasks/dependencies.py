"""What a task waits for and what waits for it, whatever the tool that wrote its front matter.

A key says the direction: `depends_on` and its like hold what this task waits for, `blocks` what
waits for it. What stands under such a key and can't be understood is named, never dropped.
"""

from __future__ import annotations

import time

from hypervisor.system.late import late
from hypervisor.system.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from hypervisor.tasks.read import Document

# Keys as `folded` returns them.
_WAITS = frozenset((
    "dependson", "dependencies", "dependency", "depends", "requires", "blockedby", "blocker",
    "blockers", "prerequisite", "prerequisites", "prereq", "prereqs", "waitsfor", "predecessor",
    "predecessors",
))  # fmt: skip
BLOCKS = frozenset(("blocks", "blocking", "unblocks", "requiredby", "successor", "successors"))
# How other keys begin that may say what a task waits for.
_LIKE = ("depend", "block", "prereq", "wait", "needs", "after")
_MOST_KEYS = 10_000
_NONE = frozenset(("none", "n/a", "-", "\u2013", "\u2014", "", "null", "nil", "~"))
# Types of a link that have its holder wait; all others are remarks.
_WAITING_TYPES = frozenset(("blocks", "conditional-blocks", "waits-for", "parent-child"))
_NAMES = ("uid", "id", "target")
_WIKILINK = late(r"\[\[([^\[\]]+)\]\]")
_LINK = late(r"\[[^\[\]]*\]\(<?([^()<>]+?)>?\)")
# How Notion tells where what it names is.
_URL = late(r" \(https?://[^()\s]+\)$")
_BETWEEN = late(r"[,;\n]")
_DATE = late(r"\d{4}-\d\d-\d\d(?!\d)")


class Dependencies(NamedTuple):
    """What a front matter says: names of what the task `waits` for, of what it `blocks`, the names
    under keys that `may` say what it waits for, the keys that are `unread`, and `remarks` on what
    is no dependency."""

    waits: list[str]
    blocks: list[str]
    may: dict[str, list[str]]
    unread: list[str]
    remarks: list[str]


def dependencies(document: Document, key: str, ignored: Container[str]) -> Dependencies:
    """Return what `document` says; `key` is the one of its family, which always counts, and those
    in `ignored` never do."""
    told = Dependencies([], [], {}, [], [])
    for name in document.keys:
        says = "waits" if name == key else _says(name)
        if says is None or name in ignored or not document.holds(name):
            continue
        value = document.value(name)
        if value is not None and value is not False and value != {}:
            names = told.blocks if says == "blocks" else told.waits if says == "waits" else None
            _read(document, name, value, told, names)
    return told


def may_say(key: str) -> bool:
    """True if by its name `key` may hold links."""
    return _says(key) is not None


def is_read(key: str, unread: Sequence[str]) -> bool:
    """True if `key` holds links, and is not among the `unread`."""
    return _says(key) in ("waits", "blocks") and key not in unread


# Many files have the same few keys.
_said: dict[str, str | None] = {}


def _says(name: str) -> str | None:
    """Return what a key says by its name: "waits", "blocks", "may" for one that may say that its
    holder waits, None for any other."""
    if name not in _said:
        # What stands in brackets explains, as in `Blocked By (Dependencies)`.
        plain = folded(name.partition("(")[0])
        like = "may" if plain.startswith(_LIKE) else None
        known = "waits" if plain in _WAITS else "blocks" if plain in BLOCKS else like
        if len(_said) > _MOST_KEYS:
            return known
        _said[name] = known
    return _said[name]


def _read(
    document: Document, key: str, value: object, told: Dependencies, names: list[str] | None
) -> None:
    """Read what stands under a key; `names` takes what it names, None for a key that only may."""
    found: list[str] = []
    raw = document.raw_text(key)
    if value is True:
        # `blocked: true` is a state, and names nothing.
        understood = names is None
    elif raw is not None and names is None and _DATE.match(raw):
        # What is put off until then is no task, and may be what there is to wait for.
        understood = raw[:10] <= time.strftime("%Y-%m-%d")
    elif raw is not None:
        found, understood = _split(raw), True
    elif isinstance(value, list) and any(isinstance(entry, dict) for entry in value):
        odd = [entry for entry in value if not _entry(entry, told, found)]
        understood = not odd
    elif isinstance(value, list):
        found = document.raw_list(key) or []
        understood = len(found) == sum(entry is not None for entry in value)
    else:
        understood = isinstance(value, dict) and _mapping(value, told, found)
    if not understood:
        told.unread.append(key)
        return
    found = _named(found)
    if names is not None:
        names += found
    elif found:
        told.may[key] = found


def _split(text: str) -> list[str]:
    # A link may hold a comma, an id never does.
    if text.count("[[") + text.count("](") == 1:
        return [text]
    if text[:1] == "[" and text[-1:] == "]" and text[1:2] != "[":
        # A list that was written into a cell.
        return [part.strip().strip("\"'") for part in _BETWEEN.split(text[1:-1])]
    return [part.strip().removeprefix("- ") for part in _BETWEEN.split(text)]


def _entry(entry: object, told: Dependencies, found: list[str]) -> bool:
    if isinstance(entry, dict):
        return _mapping(entry, told, found)
    if isinstance(entry, str | int | float) and not isinstance(entry, bool):
        # Tables that have gaps make fractions of their numbers.
        whole = isinstance(entry, float) and entry.is_integer()
        found.append(str(int(entry) if whole else entry))
        return True
    return entry is None


def _mapping(entry: dict[object, object], told: Dependencies, found: list[str]) -> bool:
    """Read one link that is written as a mapping; say whether it was understood.

    The word `blocks` alone does not tell the direction: with `depends_on_id` its holder waits, with
    `target` the target does (beads and tbd).
    """
    told_by = {folded(key): value for key, value in entry.items() if isinstance(key, str)}
    kind = str(told_by.get("type") or told_by.get("dependencytype") or "").casefold()
    other = told_by.get("dependsonid")
    if kind and kind not in _WAITING_TYPES:
        told.remarks.append(f"a link of type '{kind}' is not a dependency")
        return True
    if other is None and kind == "blocks" and told_by.get("target") is not None:
        told.blocks.append(link_path(str(told_by["target"])))
        return True
    if other is None:
        other = next((told_by[key] for key in _NAMES if told_by.get(key) is not None), None)
    if not isinstance(other, str | int | float) or isinstance(other, bool):
        return False
    found.append(str(other))
    return True


def _named(found: Iterable[str]) -> list[str]:
    told = (name.strip() for name in found)
    named = (_URL.sub("", name) if "(http" in name else name for name in told)
    return [link_path(name.strip("`")) for name in named if name.casefold() not in _NONE]


def link_path(word: str) -> str:
    """Return the name that `[[id|shown]]`, `[[id#part]]` or `[shown](id.md)` links to, with its
    folder in `[[folder/id]]`; other text as it is."""
    word = word.strip()
    found = _WIKILINK.fullmatch(word) if "[" in word else None
    if found is None and (found := _LINK.fullmatch(word) if "](" in word else None):
        from urllib.parse import unquote

        return _target(unquote(found[1])) or word
    return word if found is None else _target(found[1].split("|", 1)[0]) or word


def _target(link: str) -> str:
    target = link.split("#", 1)[0].strip()
    return target.removesuffix(".md").removeprefix("./").strip("/")


def link_target(word: str) -> str:
    """Do as `link_path`, without the folder of a link."""
    target = link_path(word)
    return target.rpartition("/")[2] if "[[" in word or "](" in word else target


def links_in(keys: Iterable[str]) -> Iterator[str]:
    """Yield those of the keys of a row that surely hold links."""
    return (key for key in keys if _says(key) in ("waits", "blocks"))


def in_row(row: Mapping[str, object]) -> Dependencies:
    """Return what a row says under keys that surely hold links, as `dependencies` does."""
    told = Dependencies([], [], {}, [], [])
    for key in links_in(row):
        value = row[key]
        if value is None or value is False:
            continue
        names = told.blocks if _says(key) == "blocks" else told.waits
        entries = value if isinstance(value, list) else \
            _split(value) if isinstance(value, str) else [value]  # fmt: skip
        found: list[str] = []
        if [entry for entry in entries if entry != {} and not _entry(entry, told, found)]:
            told.unread.append(key)
        names += _named(found)
    return told


def folded(key: object) -> str:
    """Return a key, or a word like one, as they are compared."""
    return str(key).casefold().replace("-", "").replace("_", "").replace(" ", "")
