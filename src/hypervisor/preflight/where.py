"""`--where key=value`: which items a pre-flight is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypervisor.system.errors import UsageError
from hypervisor.system.text import one_line
from hypervisor.tasks.task import Task

# Fields that go by another key in some family of task files.
_FIELDS = ("parent", "depends_on", "assignee", "tags", "type", "status", "priority", "project")


class Where:
    """Conditions of which all must hold.

    `key=value` holds where the key of the front matter, or the column of a row, is the value, or a
    list that contains it, in any case of letters; `key=` where it is missing or empty. The names of
    one family of task files stand for those of the others: `tags` finds `labels` too.
    """

    def __init__(self, conditions: Sequence[str]) -> None:
        self._wanted: list[tuple[str, str]] = []
        for condition in conditions:
            key, equals, value = condition.partition("=")
            if not equals or not key.strip():
                raise UsageError(
                    f"--where '{one_line(condition, 60)}' is no condition",
                    "write it as --where key=value, for instance --where project=aops",
                )
            self._wanted.append((key.strip(), value.strip()))

    def __bool__(self) -> bool:
        return bool(self._wanted)

    def holds(self, meta: Mapping[str, object] | None, task: Task | None) -> bool:
        """Return whether an item with these keys and values is wanted."""
        return all(_is(value, _value(key, meta or {}, task)) for key, value in self._wanted)


def _value(key: str, meta: Mapping[str, object], task: Task | None) -> object:
    if key in meta:
        return meta[key]
    folded = key.casefold()
    for name, value in meta.items():
        if name.casefold() == folded:
            return value
    if task is not None and folded in _FIELDS:
        return getattr(task, folded)
    return None


def _is(wanted: str, value: object) -> bool:
    entries = value if isinstance(value, list) else [value]
    if not wanted:
        return all(entry is None or not str(entry).strip() for entry in entries)
    wanted = wanted.casefold()
    return any(
        entry is not None and str(entry).strip().casefold() in (wanted, f"@{wanted}")
        for entry in entries
    )
