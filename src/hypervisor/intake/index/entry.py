"""What the index keeps of one file, and the row that keeps it on the disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypervisor.intake.preflight.look import Judged
from hypervisor.intake.preflight.rules import Verdict
from hypervisor.intake.sources import Known
from hypervisor.tasks.ids import known_of
from hypervisor.tasks.read import Identity
from hypervisor.tasks.task import Family, Task

_TASK_FIELDS = tuple(name for name in Task.__annotations__ if name != "family")


@dataclass(slots=True)
class Entry:
    """One Markdown file as it was when it looked like `identity`.

    `path` is relative to the root. A file that holds no task has neither `task` nor `broken`
    (line, what is wrong, how to mend it); `id` is then what its text looks like. `archived` files
    stand in folders that a walk leaves out: they satisfy dependencies and are listed nowhere.
    `verdict` is what the files say of it (None: ready), as far as `is_judged`. `level` is the
    complexity that the rules give it, once somebody has asked.
    """

    path: str
    identity: Identity
    archived: bool
    id: str | None = None
    task: Task | None = None
    judged: Judged | None = None
    soft_depends_on: tuple[str, ...] = ()
    order: float = 0.0
    broken: tuple[int | None, str, str] | None = None
    verdict: Verdict | None = None
    is_judged: bool = False
    level: str | None = None

    @property
    def is_ready(self) -> bool:
        """Whether nothing in the files speaks against working on it now."""
        return self.is_judged and self.verdict is None

    @property
    def is_odd(self) -> bool:
        """Whether the file can't be read as a task, or not be worked on as it is."""
        unusable = self.judged is not None and self.judged.unusable is not None
        return self.broken is not None or unusable

    @property
    def is_closed(self) -> bool:
        """Whether it satisfies what waits for it, by its status."""
        return self.task is not None and self.task.state in ("done", "cancelled")

    def known(self, root: str) -> Known | None:
        """Return it as the search for other tasks tells of it; None for what is no task."""
        path = f"{root}/{self.path}"
        stem = path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
        if self.task is None:
            return None if self.broken is None else Known(
                self.id or stem, path, "broken", None, None, None
            )  # fmt: skip
        return known_of(self.task, path)

    def row(self) -> list[object]:
        """Return it as JSON can hold it."""
        task = self.task and [getattr(self.task, name) for name in _TASK_FIELDS]
        family = self.task and self.task.family.name
        return [
            self.path, self.identity, self.archived, self.id, task, family, self.judged,
            self.soft_depends_on, self.order, self.broken, self.verdict, self.is_judged, self.level,
        ]  # fmt: skip

    @classmethod
    def of_row(cls, row: list[Any], family_of: Callable[[str, str], Family]) -> Entry:
        """Make it again of what `row` returned; `family_of` gives the family of a name and path."""
        (
            path, identity, archived, id_, told, family, judged, soft, order, broken, verdict,
            is_judged, level,
        ) = row  # fmt: skip
        task = None
        if told is not None:
            fields = dict(zip(_TASK_FIELDS, told, strict=True))
            fields["apart"] = tuple(fields["apart"])
            task = Task(**fields, family=family_of(family, path))
        if judged is not None:
            unusable, own, rank, files = judged
            own = own and Verdict(*own)
            judged = Judged(unusable and tuple(unusable), own, tuple(rank), tuple(files))
        return cls(
            path, Identity(*identity), archived, id_, task, judged, tuple(soft), order,
            broken and tuple(broken), verdict and Verdict(*verdict), is_judged, level,
        )  # fmt: skip
