"""An item as the first look at it found it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypervisor.intake.preflight.graph import Node
from hypervisor.intake.preflight.mentions import Hint
from hypervisor.intake.preflight.result import Entry
from hypervisor.tasks.read import Document, Identity
from hypervisor.tasks.task import Task

_PRIORITIES = {"critical": 0.0, "high": 1.0, "medium": 2.0, "low": 3.0}
_USUAL_PRIORITY = 2.0
USUAL_RANK = (_USUAL_PRIORITY, 0.0)


@dataclass(slots=True, eq=False, kw_only=True)
class Candidate(Node):
    """An item, with what a queue keeps of it.

    `path` is relative to the root, `file` absolute, None for a row; `identity` is that of a task's
    file, `content` the digest of that, `rank` what the ready are sorted by, `files` what it says it
    touches, `named` the files that its text names, `format` that of a file that holds many items,
    `hints` what a person may want to look at.
    """

    file: str | None = None
    title: str | None = None
    identity: Identity | None = None
    content: str | None = None
    payload: dict[str, object] | None = None
    format: str | None = None
    rank: tuple[float, float] = USUAL_RANK
    files: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    hints: Sequence[Hint] = ()

    @property
    def counts(self) -> bool:
        """Whether its id is an item's: not for a second mention, nor for what is no task."""
        return self.verdict is None or self.verdict.kind not in ("duplicate", "not_a_task")

    def entry(self) -> Entry:
        """Return it as a member of its group."""
        _, kind, reason, assignees, words = self.verdict or ("ready", "", "", (), ())
        seen = self.identity
        return Entry(
            id=self.id,
            path=self.path,
            kind=kind,
            reason=reason,
            title=self.title,
            fingerprint=seen and seen.fingerprint,
            content=self.content,
            payload=self.payload,
            format=self.format,
            after=self.after,
            files=self.files,
            named=self.named,
            assignees=assignees,
            words=words,
        )


def rank(task: Task, document: Document) -> tuple[float, float]:
    """Return what a task is sorted by: its priority, 2 if it has none, and its order."""
    return priority_or_usual(task.priority), _order(document)


def priority_or_usual(raw: str | None) -> float:
    """Do as `priority_of`; 2 for what is none."""
    known = priority_of(raw)
    return _USUAL_PRIORITY if known is None else known


def priority_of(raw: str | None) -> float | None:
    """Return the number of a priority, the smaller the more urgent: `1` and `p1` are 1, critical
    is 0, high 1, medium 2, low 3. None for what is not a priority."""
    word = (raw or "").strip().lower()
    if word in _PRIORITIES:
        return _PRIORITIES[word]
    digits = word.removeprefix("p")
    if digits.isascii() and digits.isdigit() and len(digits) < 4:
        return float(digits)
    return None


def _order(document: Document) -> float:
    value = document.value("order" if "order" in document.keys else "ordinal")
    if not isinstance(value, (int, float)) or isinstance(value, bool) or value != value:
        return 0.0
    try:
        return float(value)
    except OverflowError:
        return 0.0
