"""What holds where `hypervisor.toml` says nothing: `defaults.toml`, in the shape of that file."""

from __future__ import annotations

from hypervisor.system.quick_json import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypedDict

    class Walk(TypedDict):
        skip: list[str]

    class Preflight(TypedDict):
        humans: list[str]
        agents: list[str]
        anyone: list[str]
        human_tags: list[str]
        human_types: list[str]
        human_complexities: list[str]
        ignore_keys: list[str]
        lock_folders: list[str]
        tools: dict[str, list[str]]

    class Tools(TypedDict):
        available: list[str]

    class Permissions(TypedDict):
        by_hooks: bool

    class Triage(TypedDict):
        judgement: str
        automatable: str
        complexity: bool
        wikilinks: bool
        close_headings: list[str]
        judgement_phrases: list[str]
        automatable_tags: list[str]
        judgement_patterns: list[str]
        automatable_patterns: list[str]
        links: dict[str, str]

    class Caller(TypedDict):
        complexity: list[str]

    class Table(TypedDict):
        """All that a file of settings can say."""

        preset: str
        project: str
        types: list[str]
        families: list[object]
        status: dict[str, list[str]]
        walk: Walk
        preflight: Preflight
        tools: Tools
        permissions: Permissions
        triage: Triage
        callers: dict[str, Caller]
        limits: dict[str, int | float | str]


_read: list[Table] = []

FILE = f"{__file__.rpartition('/')[0]}/defaults.toml"


def defaults() -> Table:
    """Return the defaults; nobody may change what is returned."""
    if not _read:
        with open(FILE, encoding="utf-8") as file:
            _read.append(_parsed(file.read()))
    return _read[0]


def _parsed(text: str) -> Table:
    """Return what `defaults.toml` says. The library loads regular expressions and dates, which take
    as long as all else of a `done`; of TOML that file uses what is JSON too, texts in single quotes
    and comments behind two blanks."""
    told: Any = {}
    table, value = told, ""
    for line in text.split("\n"):
        line = line.partition("  # ")[0].strip()
        if not value and line.startswith("["):
            table = told
            for part in line.strip("[]").split("."):
                table = table.setdefault(part, {})
        elif line and not line.startswith("#"):
            if not value:
                name, _, line = line.partition(" = ")
            if line.startswith("'"):
                line = dumps(line.rstrip(",").strip("'")) + line[len(line.rstrip(",")) :]
            value += line
            if not value.startswith("[") or value.endswith("]"):
                table[name], value = loads(value.replace(",]", "]")), ""
    found: Table = told
    return found
