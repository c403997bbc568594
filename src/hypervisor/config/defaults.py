"""What holds where `hypervisor.toml` says nothing: `defaults.toml`, in the shape of that file."""

from __future__ import annotations

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
        import tomllib

        with open(FILE, "rb") as file:
            told: Any = tomllib.load(file)
        _read.append(told)
    return _read[0]
