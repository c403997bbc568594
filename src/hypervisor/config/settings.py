"""The settings: `hypervisor.toml` over the user's own over the defaults, checked, ready to use.

No key runs a command, and none of `hypervisor.toml` raises what the user allows: that file may come
with a project from anywhere. See `strict`.
"""

from __future__ import annotations

import os

from hypervisor.config import preset as presets
from hypervisor.config import strict
from hypervisor.config.defaults import defaults
from hypervisor.config.roots import SETTINGS, user_file
from hypervisor.config.toml import parse, read_raw, read_toml
from hypervisor.system.errors import UsageError
from hypervisor.system.late import late
from hypervisor.system.patterns import Patience, Pattern, check
from hypervisor.system.records import Record
from hypervisor.system.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypedDict

    from hypervisor.config.defaults import Table

    class FamilyTable(TypedDict):
        """What the settings say of a family of task files; see `tasks.family`."""

        name: str
        detect: list[str]
        fields: dict[str, str]
        words: dict[str, str]


# Thirty years, and more of anything than a store can count.
_MOST = 1_000_000_000
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MOST_PATTERNS = 100
_SEE = "see docs/settings.md"
_LONGEST_WORD = 100
# What may stand beside the word of a status; a mark that turns it into its opposite may not.
_REMARK = late(r"[ \t]+\([^()]*\)\s*$")
_DECORATION = late(r"^(?:\d+[ \t]*[.):-]|[^\w?%~/<>+-])+|[^\w?%~/<>+-]+$")
# Tables whose keys are the user's own, and what a key that is new there starts from.
_OPEN_TABLES: dict[str, object] = {
    "preflight.tools.": [],
    "triage.links.": "",
    "callers.": {"complexity": []},
}
# Names: who is known to one file is known to all.
_ADDED = ("preflight.humans", "preflight.agents", "preflight.anyone")


class TriageSettings(Record):
    """Names and rules of batch triage; its patterns share `patience`."""

    aside = frozenset({"patience"})
    judgement: str
    automatable: str
    complexity: bool
    wikilinks: bool
    close_headings: tuple[str, ...]
    judgement_phrases: tuple[str, ...]
    automatable_tags: tuple[str, ...]
    judgement_patterns: tuple[Pattern, ...]
    automatable_patterns: tuple[Pattern, ...]
    links: dict[str, str]
    patience: Patience


class Limits(Record):
    """Numbers that bound work; times in seconds."""

    lease_seconds: int
    max_attempts: int
    max_deaths: int
    max_lost: int
    max_releases: int
    verify_seconds: int
    undo_days: int
    outputs_seconds: int
    outputs_bytes: int
    log_bytes: int
    item_calls: int
    item_minutes: int
    workers: int
    ask_above: int
    window: float


class Settings(Record):
    """All that can be set; every attribute has a value.

    `humans`, `agents` and `anyone` are names as `as_name` returns them. `raised` is a line for each
    key of the project's file that would raise what the user allows.
    """

    aside = frozenset({"patience"})
    project: str | None
    status: dict[str, tuple[str, ...]]
    task_types: frozenset[str]
    families: tuple[FamilyTable, ...]
    skip_folders: frozenset[str]
    humans: frozenset[str]
    agents: frozenset[str]
    anyone: frozenset[str]
    human_tags: frozenset[str]
    human_types: frozenset[str]
    human_complexities: frozenset[str]
    ignore_keys: frozenset[str]
    lock_folders: tuple[str, ...]
    tools: dict[str, tuple[Pattern, ...]]
    available_tools: frozenset[str]
    triage: TriageSettings
    callers: dict[str, frozenset[str]]
    by_hooks: bool
    limits: Limits
    raised: tuple[str, ...]
    patience: Patience
    _classes: dict[str, str]

    def status_class(self, word: str | None) -> str:
        """Return the class of a status word; "ready" where there is none, else "unknown"."""
        if word is None or not word.strip():
            return "ready"
        known = self._classes.get(word) or self._classes.get(fold(word))
        return known or self._classes.get(fold(_undecorated(word)), "unknown")

    def adds(self, name: str, word: str) -> bool:
        """True if the files of settings add `word` to the words of the class `name`."""
        own = self.status[name][len(defaults()["status"][name]) :]
        return fold(word) in map(fold, own)

    def added_to(self, word: str) -> str:
        """Return the class to which the files of settings add `word`; "unknown" for none."""
        return next((name for name in self.status if self.adds(name, word)), "unknown")


def _undecorated(word: str) -> str:
    """Return a status without the sign, the number or the remark that stands beside its word, as in
    `✅ Done`, `3. Done`, `[[Done]]` and `Done (2026-01-02)`."""
    return _DECORATION.sub("", _REMARK.sub("", word)) if len(word) <= _LONGEST_WORD else word


def fold(word: str) -> str:
    """Return `word` as it is compared: lower case, straight quotes, one blank for `_` and `-`."""
    return " ".join(word.replace("’", "'").replace("_", " ").replace("-", " ").lower().split())


def as_name(word: str) -> str:
    """Return somebody's name as it is compared: `@Anna-M` and `anna m` are one."""
    return fold(word.strip().removeprefix("@"))


def seconds(value: object) -> int | None:
    """Return a time like 90, "90s", "15m", "2h", "1d" in seconds, or None if it isn't one."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        amount = value
    else:
        told = str(value).strip()
        number = told.rstrip("".join(_UNITS))
        unit, number = told[len(number) :], number.strip()
        is_time = number.isdecimal() and len(number) < 10 and unit in ("", *_UNITS)
        amount = int(number) * _UNITS.get(unit, 1) if is_time else 0
    return amount if 0 < amount <= _MOST else None


def load(root: str, *, preset: str = "") -> Settings:
    """Return the settings of the project at `root`.

    Over the defaults lies the preset that is named, over that the user's own configuration, first
    what it says of all projects, then its table `[project."/path"]` for this one; the project's
    file can only make that stricter. `preset` is for where no file names one.
    Raises UsageError, with the file and the key, for a file that is not TOML or holds a key or a
    value that isn't known.
    """
    mine = _users(root)
    path = os.path.join(root, SETTINGS)
    theirs = read_toml(path)
    # What a script brings along counts where nobody says what counts.
    usual = "" if "preset" in theirs else preset
    named = presets.named_in(theirs, path)
    for told in mine:
        own = presets.named_in(told, user_file())
        usual = usual if own is None else own
    base = _over(usual, mine)
    if any(mine):
        _settings(base, user_file(), root, ())
    told = _merge(base if named is None else _over(named, mine), theirs, path, "")
    if theirs:
        # Checked before it is narrowed: what is wrong is told, whether it would count or not.
        _settings(told, path, root, ())
    table, raised = strict.narrowed(base, told, root, _size)
    # Whom the user takes for a person, no project makes an agent.
    table["preflight"]["humans"] += _known(base)[0]
    return _settings(table, path, root, raised)


def _users(root: str) -> list[dict[str, object]]:
    """Return the tables of the user's own configuration for `root`, the last of which wins."""
    path = user_file()
    try:
        told = parse(read_raw(path), path)
    except OSError:
        # Where a sandbox hides it, the defaults hold; no worker is stopped by that.
        told = {}
    for name in ("store", "prices", "notify"):
        told.pop(name, None)
    projects = told.pop("project", {})
    if not isinstance(projects, dict) or not all(map(_is_table, projects.values())):
        raise UsageError(
            f"{one_line(path)}: project takes a table for each project",
            'write [project."/path/of/it"], and below it what hypervisor.toml takes',
        )
    return [told] + [
        table
        for name, table in projects.items()
        if os.path.realpath(os.path.expanduser(name)) == root
    ]


def _over(preset: str, tables: list[dict[str, object]]) -> Table:
    """Return the defaults with a preset, and the user's own `tables`, laid over them."""
    base: Table = _merge(defaults(), presets.table(preset), f"preset {preset}", "")
    for table in tables:
        base = _merge(base, table, user_file(), "")
    return base


def _is_table(value: object) -> bool:
    return isinstance(value, dict)


def _size(name: str, value: object) -> float | None:
    """Return the number behind the value of a limit."""
    if isinstance(defaults()["limits"][name], str):
        return seconds(value)
    return value if isinstance(value, int | float) else None


def _merge(base: Mapping[str, object], told: Mapping[str, object], path: str, where: str) -> Any:
    """Lay `told` over `base`: tables merge, words of `status` and of `_ADDED` add up, all else
    replaces."""
    merged = dict(base)
    path = one_line(path)
    for name, value in told.items():
        key = one_line(f"{where}{name}", 80)
        if name not in base and where not in _OPEN_TABLES:
            known = ", ".join(sorted(base))
            raise UsageError(f"{path}: unknown key {key}", f"known here: {known}")
        default = base[name] if name in base else _OPEN_TABLES[where]
        if isinstance(default, dict):
            if not isinstance(value, dict):
                raise UsageError(f"{path}: {key} is not a table", _SEE)
            merged[name] = _merge(default, value, path, f"{where}{name}.")
            continue
        is_time = where == "limits." and isinstance(default, str)
        is_number = isinstance(default, float) and type(value) is int
        if not is_time and not is_number and type(value) is not type(default):
            raise UsageError(
                f"{path}: {key} has the wrong type",
                f"it takes a {_KINDS.get(type(default), type(default).__name__)}",
            )
        words = value if isinstance(value, list) and name != "families" else []
        if not all(isinstance(word, str) for word in words):
            raise UsageError(f"{path}: {key} takes a list of strings", _SEE)
        adds = where == "status." or f"{where}{name}" in _ADDED
        merged[name] = [*default, *words] if adds and isinstance(default, list) else value
    return merged


_KINDS = {str: "string", list: "list", bool: "true or false", int: "whole number",
          float: "number"}  # fmt: skip


def _settings(table: Table, path: str, root: str, raised: tuple[str, ...]) -> Settings:
    path = one_line(path)
    available = _lower(table["tools"]["available"])
    patience = Patience()
    preflight, rules = table["preflight"], table["triage"]
    humans, agents, anyone = _known(table)
    classes: dict[str, str] = {}
    # What the file adds comes last and wins, so that it can move a word to another class.
    shipped = defaults()["status"]
    for name, words in table["status"].items():
        for place, word in enumerate(words):
            if place >= len(shipped[name]) or fold(word) not in classes:
                classes[fold(word)] = name
    for word in [word for words in table["status"].values() for word in words]:
        classes.setdefault(word, classes[fold(word)])
    return Settings(
        project=table["project"] or None,
        status={name: tuple(words) for name, words in table["status"].items()},
        task_types=frozenset(word.lower() for word in table["types"]),
        families=tuple(_family(entry, path) for entry in table["families"]),
        skip_folders=frozenset(name.casefold() for name in table["walk"]["skip"]),
        humans=humans,
        agents=agents,
        anyone=anyone,
        human_tags=_lower(preflight["human_tags"]),
        human_types=_lower(preflight["human_types"]),
        human_complexities=_lower(preflight["human_complexities"]),
        ignore_keys=frozenset(preflight["ignore_keys"]),
        lock_folders=strict.lock_folders(root, preflight["lock_folders"]),
        tools={
            tool: _patterns(patterns, patience, path, f"preflight.tools.{tool}")
            for tool, patterns in preflight["tools"].items()
            if tool.lower() not in available
        },
        available_tools=available,
        triage=TriageSettings(
            judgement=rules["judgement"],
            automatable=rules["automatable"],
            complexity=rules["complexity"],
            wikilinks=rules["wikilinks"],
            close_headings=tuple(rules["close_headings"]),
            judgement_phrases=tuple(word.lower() for word in rules["judgement_phrases"]),
            automatable_tags=tuple(word.lower() for word in rules["automatable_tags"]),
            judgement_patterns=_patterns(
                rules["judgement_patterns"], patience, path, "triage.judgement_patterns"
            ),
            automatable_patterns=_patterns(
                rules["automatable_patterns"], patience, path, "triage.automatable_patterns"
            ),
            links=dict(rules["links"]),
            patience=patience,
        ),
        callers={
            name.lower(): _lower(told["complexity"]) for name, told in table["callers"].items()
        },
        by_hooks=table["permissions"]["by_hooks"],
        limits=_limits(table["limits"], path),
        raised=raised,
        patience=patience,
        _classes=classes,
    )


def _known(table: Table) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """Return who is a person, who an agent, and which words stand for anyone.

    Whom triage gives what needs judgement is a person, and who gets the rest an agent, unless it is
    said otherwise; a caller of the task server is an agent.
    """
    told, rules = table["preflight"], table["triage"]
    humans, agents, anyone = (_names(told[key]) for key in ("humans", "agents", "anyone"))
    humans |= _names([rules["judgement"]]) - agents - anyone
    agents |= _names([rules["automatable"], *table["callers"]])
    return humans, agents - humans, anyone - humans


def _names(words: list[str]) -> frozenset[str]:
    return frozenset(as_name(word) for word in words) - {""}


def _lower(words: list[str]) -> frozenset[str]:
    return frozenset(word.lower() for word in words)


def _patterns(patterns: list[str], patience: Patience, path: str, key: str) -> tuple[Pattern, ...]:
    if len(patterns) > _MOST_PATTERNS:
        raise UsageError(
            f"{path}: {one_line(key, 80)} holds more than {_MOST_PATTERNS} patterns", _SEE
        )
    made = []
    rules = defaults()["triage"]
    shipped = {*rules["judgement_patterns"], *rules["automatable_patterns"]}
    for pattern in patterns:
        try:
            if pattern not in shipped:
                check(pattern)
            made.append(Pattern(pattern, patience))
        except ValueError as error:
            shown, why = one_line(repr(pattern), 120), one_line(error, 120)
            raise UsageError(
                f"{path}: {one_line(key, 80)}: {shown} is not a pattern: {why}", _SEE
            ) from None
    return tuple(made)


def _family(entry: object, path: str) -> FamilyTable:
    shape: dict[str, type] = {"name": str, "detect": list, "fields": dict, "words": dict}
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise UsageError(f"{path}: each of [[families]] needs a name", _SEE)
    for name, value in entry.items():
        if name not in shape or not isinstance(value, shape[name]):
            known = ", ".join(shape)
            shown = one_line(f"families.{name}", 80)
            raise UsageError(f"{path}: {shown} is unknown or has the wrong type", f"known: {known}")
    return {
        "name": entry["name"],
        "detect": entry.get("detect", []),
        "fields": entry.get("fields", {}),
        "words": entry.get("words", {}),
    }


def _limits(table: dict[str, int | float | str], path: str) -> Limits:
    def time(name: str) -> int:
        amount = seconds(table[name])
        if amount is None:
            raise UsageError(f"{path}: limits.{name} is not a time", "write it as 90s, 15m or 2h")
        return amount

    def count(name: str) -> int:
        value = table[name]
        if not isinstance(value, int) or not 1 <= value <= _MOST:
            raise UsageError(f"{path}: limits.{name} must be a number from 1 to {_MOST}", _SEE)
        return value

    def share(name: str) -> float:
        value, most = float(table[name]), float(defaults()["limits"][name])
        if not 0 < value <= most:
            raise UsageError(
                f"{path}: limits.{name} must be above 0 and at most {most:g}",
                "a project's file can only lower it",
            )
        return value

    return Limits(
        lease_seconds=time("lease"),
        max_attempts=count("max_attempts"),
        max_deaths=count("max_deaths"),
        max_lost=count("max_lost"),
        max_releases=count("max_releases"),
        item_calls=count("item_calls"),
        item_minutes=count("item_minutes"),
        verify_seconds=time("verify_timeout"),
        undo_days=count("undo_days"),
        outputs_seconds=time("outputs"),
        outputs_bytes=count("outputs_mb") * 1_000_000,
        log_bytes=min(count("log_mb"), count("outputs_mb")) * 1_000_000,
        workers=min(20, count("workers")),
        ask_above=count("ask_above"),
        window=share("window"),
    )
