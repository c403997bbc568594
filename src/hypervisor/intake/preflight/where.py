"""`--where 'priority<=1'`: which items a pre-flight, or the rest of a queue, is about."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence

from hypervisor.intake.preflight.candidate import priority_of
from hypervisor.system.errors import UsageError
from hypervisor.system.text import one_line
from hypervisor.tasks.task import Task

# Fields that go by another key in some family of task files.
_FIELDS = ("parent", "depends_on", "assignee", "tags", "type", "status", "priority", "project")
# Stands for no condition at all.
ALL = "all"
_CONDITION = re.compile(r"(.+?)(<=|>=|!=|=|<|>)(.*)", re.DOTALL)
_ORDERS: dict[str, Callable[..., bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Where:
    """Conditions of which all must hold.

    `key=value` holds where the key of the front matter, or the column of a row, is the value, or a
    list that contains it, in any case of letters; `key=` where it is missing or empty; `key!=value`
    where `key=value` does not. `<`, `<=`, `>` and `>=` compare numbers as numbers, priorities in
    their order (critical 0, high 1, medium 2, low 3), and other texts, dates among them, as texts;
    they don't hold where the key is missing, or of another kind. The names of one family of task
    files stand for those of the others: `tags` finds `labels` too. `all` is not a condition.
    """

    def __init__(self, conditions: Sequence[str]) -> None:
        self._wanted = [_parsed(condition) for condition in conditions if condition != ALL]

    def __bool__(self) -> bool:
        return bool(self._wanted)

    @property
    def keys(self) -> list[str]:
        """The keys that it asks about, each once."""
        return list(dict.fromkeys(key for key, _, _ in self._wanted))

    def holds(self, meta: Mapping[str, object] | None, task: Task | None) -> bool:
        """Return whether an item with these keys and values is wanted."""
        return all(
            _compare(key, sign, wanted, _value(key, meta or {}, task))
            for key, sign, wanted in self._wanted
        )


def _parsed(condition: str) -> tuple[str, str, str]:
    found = _CONDITION.fullmatch(condition)
    key = found[1].strip() if found else ""
    if found is None or not key:
        raise UsageError(
            f"--where '{one_line(condition, 60)}' is not a condition",
            "write it in quotes, for instance --where 'priority<=1' or --where project=aops",
        )
    sign, wanted = found[2], found[3].strip()
    if sign in _ORDERS and not wanted:
        raise UsageError(
            f"--where '{one_line(condition, 60)}' compares with nothing",
            f"write what comes after {sign}, or {key}= for items without it",
        )
    if sign in _ORDERS and _is_priority(key) and priority_of(wanted) is None:
        raise UsageError(
            f"--where '{one_line(condition, 60)}': {one_line(wanted, 40)} is not a priority",
            "write a number, or critical (0), high (1), medium (2) or low (3)",
        )
    return key, sign, wanted


def _is_priority(key: str) -> bool:
    return key.casefold() == "priority"


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


def _compare(key: str, sign: str, wanted: str, value: object) -> bool:
    entries = value if isinstance(value, list) else [value]
    told = [str(entry).strip() for entry in entries if entry is not None]
    if not wanted:
        return (not any(told)) == (sign == "=")
    known = _known(key)
    if sign in _ORDERS:
        return any(_in_order(sign, known(one), known(wanted)) for one in told if one)
    same = wanted.casefold()
    found = any(
        one.casefold() in (same, f"@{same}") or known(one) == known(wanted) for one in told if one
    )
    return found == (sign == "=")


def _known(key: str) -> Callable[[str], float | str]:
    """Return what makes a text of `key` comparable: a number where it stands for one."""
    if _is_priority(key):
        return lambda text: _first(priority_of(text), text)
    return lambda text: _first(_number(text), text)


def _first(number: float | None, text: str) -> float | str:
    return text.casefold() if number is None else number


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None


def _in_order(sign: str, one: float | str, other: float | str) -> bool:
    return isinstance(one, str) == isinstance(other, str) and _ORDERS[sign](one, other)
