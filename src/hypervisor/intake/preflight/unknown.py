"""Assignees that nobody knows: their tasks are held until it is said whether a person is meant.

A name says nothing by itself, and a person's tasks are not for workers.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from hypervisor.config import preset
from hypervisor.config.settings import Settings, as_name
from hypervisor.system.text import one_line
from hypervisor.tasks.task import Task

KIND = "unknown_assignee"
_LONGEST = 60


class Unknown(NamedTuple):
    """A name, how many held items are assigned to it, and what to write where."""

    name: str
    items: int
    mend: str


def assignees(task: Task, settings: Settings) -> tuple[str, ...]:
    """Return the assignees that are neither people nor agents, as the settings have it, nor words
    for anyone; each once, without its `@`."""
    found: dict[str, str] = {}
    for name in task.assignees:
        plain = as_name(name)
        if plain and not any(
            plain in known for known in (settings.humans, settings.agents, settings.anyone)
        ):
            found.setdefault(plain, name.strip().removeprefix("@"))
    return tuple(found.values())


def counted(held: Iterable[tuple[str, ...]]) -> list[Unknown]:
    """Return the names of `held`, the unknown assignees of each item, most items first."""
    spelt: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for names in held:
        for name in names:
            spelt.setdefault(as_name(name), name)
            counts[as_name(name)] += 1
    return [Unknown(spelt[name], count, mend(spelt[name])) for name, count in counts.most_common()]


def mend(name: str) -> str:
    """Return what makes a name known: the lines for `hypervisor.toml`, and which is for whom."""
    shown = one_line(name, _LONGEST)
    # What can't be shown as it is can't be copied, either.
    quoted = json.dumps(name, ensure_ascii=False) if shown == name else '"…"'
    lines = f"[preflight] humans = [{quoted}] for a person, agents = [{quoted}] for an agent"
    shipped = preset.knowing({as_name(name)})
    if shipped is not None:
        lines = f'preset = "{shipped}", or {lines}'
    return f"in hypervisor.toml: {lines}"
