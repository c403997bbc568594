"""`hypervisor.toml` over the defaults, checked and made ready to use.

No key of the file runs a command: the file may come with a project from anywhere.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from typing import Any

from hypervisor.config.defaults import DEFAULTS
from hypervisor.config.roots import SETTINGS
from hypervisor.system.errors import UsageError

STATUS_CLASSES = tuple(DEFAULTS["status"])
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# Tables whose keys are the user's own, and what a key that is new there starts from.
_OPEN_TABLES: dict[str, Any] = {
    "preflight.tools.": [],
    "triage.links.": "",
    "callers.": {"complexity": []},
}


@dataclass(frozen=True)
class TriageSettings:
    """Names and rules of batch triage; the patterns are compiled."""

    judgement: str
    automatable: str
    complexity: bool
    wikilinks: bool
    close_headings: tuple[str, ...]
    judgement_phrases: tuple[str, ...]
    automatable_tags: tuple[str, ...]
    judgement_patterns: tuple[re.Pattern[str], ...]
    automatable_patterns: tuple[re.Pattern[str], ...]
    links: dict[str, str]


@dataclass(frozen=True)
class Limits:
    """Numbers that bound work; times in seconds."""

    lease_seconds: int
    max_attempts: int
    max_deaths: int
    max_releases: int
    verify_seconds: int
    undo_days: int
    outputs_seconds: int
    outputs_bytes: int
    workers: int
    ask_above: int
    window: float


@dataclass(frozen=True)
class Settings:
    """All that a project can set; every attribute has a value."""

    project: str | None
    status: dict[str, tuple[str, ...]]
    task_types: frozenset[str]
    families: tuple[dict[str, Any], ...]
    skip_folders: frozenset[str]
    humans: frozenset[str]
    human_tags: frozenset[str]
    human_types: frozenset[str]
    human_complexities: frozenset[str]
    lock_folders: tuple[str, ...]
    tools: dict[str, tuple[re.Pattern[str], ...]]
    triage: TriageSettings
    callers: dict[str, frozenset[str]]
    limits: Limits
    _classes: dict[str, str]

    def status_class(self, word: str | None) -> str:
        """Return the class of a status word; "ready" where there is none, else "unknown"."""
        if word is None or not word.strip():
            return "ready"
        known = self._classes.get(word)
        return known if known is not None else self._classes.get(fold(word), "unknown")


def fold(word: str) -> str:
    """Return `word` as it is compared: lower case, straight quotes, one blank for `_` and `-`."""
    return " ".join(re.sub(r"[\s_-]+", " ", word.replace("’", "'")).lower().split())


def seconds(value: object) -> int | None:
    """Return a time like 90, "90s", "15m", "2h", "1d" in seconds, or None if it isn't one."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if value > 0 else None
    found = re.fullmatch(r"\s*(\d{1,9})\s*([smhd]?)\s*", str(value))
    amount = int(found[1]) * _UNITS[found[2] or "s"] if found else 0
    return amount or None


def load(root: str) -> Settings:
    """Return the settings of the project at `root`.

    Raises UsageError, with the file and the key, for a file that is not TOML or holds a key or a
    value that isn't known.
    """
    path = os.path.join(root, SETTINGS)
    try:
        with open(path, "rb") as source:
            told = tomllib.load(source)
    except FileNotFoundError:
        told = {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}", "mend the file, then run the command again") from None
    return _settings(_merge(DEFAULTS, told, path, ""), path)


def _merge(base: dict[str, Any], told: dict[str, Any], path: str, where: str) -> dict[str, Any]:
    """Lay `told` over `base`: tables merge, `status` words add up, all else replaces."""
    merged = dict(base)
    for name, value in told.items():
        if name not in base and where not in _OPEN_TABLES:
            known = ", ".join(sorted(base))
            raise UsageError(f"{path}: unknown key {where}{name}", f"known here: {known}")
        default = base[name] if name in base else _OPEN_TABLES[where]
        if isinstance(default, dict):
            if not isinstance(value, dict):
                raise UsageError(f"{path}: {where}{name} is not a table", "see docs/settings.md")
            merged[name] = _merge(default, value, path, f"{where}{name}.")
            continue
        is_time = where == "limits." and isinstance(default, str)
        is_number = isinstance(default, float) and type(value) is int
        if not is_time and not is_number and type(value) is not type(default):
            raise UsageError(
                f"{path}: {where}{name} has the wrong type",
                f"it takes a {_KINDS.get(type(default), type(default).__name__)}",
            )
        words = value if isinstance(value, list) and name != "families" else []
        if not all(isinstance(word, str) for word in words):
            raise UsageError(f"{path}: {where}{name} takes a list of strings")
        merged[name] = [*default, *value] if where == "status." else value
    return merged


_KINDS = {str: "string", list: "list", bool: "true or false", int: "whole number",
          float: "number"}  # fmt: skip


def _settings(table: dict[str, Any], path: str) -> Settings:
    preflight, rules = table["preflight"], table["triage"]
    classes: dict[str, str] = {}
    # What the file adds comes last and wins, so that it can move a word to another class.
    for name, words in table["status"].items():
        for place, word in enumerate(words):
            if place >= len(DEFAULTS["status"][name]) or fold(word) not in classes:
                classes[fold(word)] = name
    for word in [word for words in table["status"].values() for word in words]:
        classes.setdefault(word, classes[fold(word)])
    return Settings(
        project=table["project"] or None,
        status={name: tuple(words) for name, words in table["status"].items()},
        task_types=frozenset(word.lower() for word in table["types"]),
        families=tuple(_family(entry, path) for entry in table["families"]),
        skip_folders=frozenset(table["walk"]["skip"]),
        humans=_lower(preflight["humans"]),
        human_tags=_lower(preflight["human_tags"]),
        human_types=_lower(preflight["human_types"]),
        human_complexities=_lower(preflight["human_complexities"]),
        lock_folders=tuple(preflight["lock_folders"]),
        tools={
            tool: _compiled(patterns, path, f"preflight.tools.{tool}")
            for tool, patterns in preflight["tools"].items()
        },
        triage=TriageSettings(
            judgement=rules["judgement"],
            automatable=rules["automatable"],
            complexity=rules["complexity"],
            wikilinks=rules["wikilinks"],
            close_headings=tuple(rules["close_headings"]),
            judgement_phrases=tuple(word.lower() for word in rules["judgement_phrases"]),
            automatable_tags=tuple(word.lower() for word in rules["automatable_tags"]),
            judgement_patterns=_compiled(
                rules["judgement_patterns"], path, "triage.judgement_patterns"
            ),
            automatable_patterns=_compiled(
                rules["automatable_patterns"], path, "triage.automatable_patterns"
            ),
            links=dict(rules["links"]),
        ),
        callers={
            name.lower(): _lower(told["complexity"]) for name, told in table["callers"].items()
        },
        limits=_limits(table["limits"], path),
        _classes=classes,
    )


def _lower(words: list[str]) -> frozenset[str]:
    return frozenset(word.lower() for word in words)


def _compiled(patterns: list[str], path: str, key: str) -> tuple[re.Pattern[str], ...]:
    compiled = []
    for pattern in patterns:
        try:
            compiled.append(re.compile(pattern, re.IGNORECASE))
        except re.error as error:
            raise UsageError(f"{path}: {key}: '{pattern}' is not a pattern: {error}") from None
    return tuple(compiled)


def _family(entry: object, path: str) -> dict[str, Any]:
    shape: dict[str, type] = {"name": str, "detect": list, "fields": dict, "words": dict}
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise UsageError(f"{path}: each of [[families]] needs a name")
    for name, value in entry.items():
        if name not in shape or not isinstance(value, shape[name]):
            known = ", ".join(shape)
            raise UsageError(f"{path}: families.{name} is unknown or odd", f"known: {known}")
    return {"name": entry["name"]} | {
        name: entry.get(name, kind()) for name, kind in shape.items() if name != "name"
    }


def _limits(table: dict[str, Any], path: str) -> Limits:
    def time(name: str) -> int:
        amount = seconds(table[name])
        if amount is None:
            raise UsageError(f"{path}: limits.{name} is not a time", "write it as 90s, 15m or 2h")
        return amount

    def count(name: str) -> int:
        if table[name] < 1:
            raise UsageError(f"{path}: limits.{name} must be at least 1")
        return int(table[name])

    def share(name: str) -> float:
        most = DEFAULTS["limits"][name]
        if not 0 < table[name] <= most:
            raise UsageError(
                f"{path}: limits.{name} must be above 0 and at most {most:g}",
                "a project's file can only lower it",
            )
        return float(table[name])

    return Limits(
        lease_seconds=time("lease"),
        max_attempts=count("max_attempts"),
        max_deaths=count("max_deaths"),
        max_releases=count("max_releases"),
        verify_seconds=time("verify_timeout"),
        undo_days=count("undo_days"),
        outputs_seconds=time("outputs"),
        outputs_bytes=count("outputs_mb") * 1_000_000,
        workers=min(20, count("workers")),
        ask_above=count("ask_above"),
        window=share("window"),
    )
