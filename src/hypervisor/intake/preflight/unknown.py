"""What nobody knows: assignees, statuses, keys. Such tasks are held until settings
say what is meant.

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
STATUS = "unknown_status"
KEY = "unread_dependency"
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


def to_paste(
    names: Iterable[str], statuses: Iterable[str], keys: Iterable[str], columns: Iterable[str] = ()
) -> list[str]:
    """Return the lines of a `hypervisor.toml` that makes all of these known, so that each is still
    held: who pastes it moves what belongs elsewhere. `columns` of rows hold statuses, or data. None
    where there is nothing to say."""
    told = []
    if words := _listed(statuses):
        told += [
            "[status]",
            "# move each to where it belongs: ready, in_progress, blocked, done, cancelled, draft",
            f"waiting = {words}",
        ]
    people, ignored, data = _listed(names), _listed(keys), _listed(columns)
    if people or ignored or data:
        told.append("[preflight]")
    if people:
        told += ["# move those that are agents to agents = []", f"humans = {people}"]
    if ignored:
        told += ["# keys that say nothing of what a task waits for", f"ignore_keys = {ignored}"]
    if data:
        told += [
            "# columns of data, if they don't say how a row stands (add them without the #)",
            f"# ignore_keys = {data}",
        ]
    return told


def _listed(words: Iterable[str]) -> str:
    # What can't be shown as it is can't be copied, either.
    plain = [word for word in dict.fromkeys(words) if one_line(word, _LONGEST) == word]
    return json.dumps(plain, ensure_ascii=False) if plain else ""
