"""What a check is told of the report that it judges, on its standard input and by variables."""

from __future__ import annotations

from hypervisor.system.records import NamedTuple
from hypervisor.system.text import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hypervisor.ledger.rows import Branch, Holding

# The kernel takes little more in one variable.
_LONGEST = 100_000
_LEFT_OUT = "HYPERVISOR_LEFT_OUT"


class Evidence(NamedTuple):
    """A report and its item: its `row` of a source, None for a file; what was said (`summary`, and
    `answer` where one was asked for); the `files` that were changed for it, from the root, and
    those of which that is not known (`files_unsure`); the `commit` of the work; and which `attempt`
    it is, from 1."""

    id: str
    path: str | None = None
    title: str | None = None
    row: object = None
    summary: str | None = None
    answer: object = None
    files: Sequence[str] = ()
    files_unsure: Sequence[str] = ()
    commit: str | None = None
    attempt: int = 1

    def text(self) -> str:
        """Return all of it as JSON."""
        from json import dumps

        return dumps(self._asdict(), ensure_ascii=False)

    def environment(self) -> dict[str, str | None]:
        """Return the variables that tell it, None for those that are to be unset: what is longer
        than the kernel takes, which HYPERVISOR_LEFT_OUT names."""
        row = _text(self.row)
        told: dict[str, str | None] = {
            "HYPERVISOR_ID": self.id,
            "HYPERVISOR_PATH": self.path or "",
            "HYPERVISOR_TITLE": self.title or "",
            "HYPERVISOR_ROW": row,
            "HYPERVISOR_DATA": row,
            "HYPERVISOR_SUMMARY": self.summary or "",
            "HYPERVISOR_ANSWER": _text(self.answer),
            "HYPERVISOR_FILES": "\n".join(self.files),
            "HYPERVISOR_COMMIT": self.commit or "",
            "HYPERVISOR_ATTEMPT": str(self.attempt),
        }
        for name, value in told.items():
            # No environment holds a NUL; an id from a row may.
            fit = whole(value or "").replace("\0", "\ufffd")
            told[name] = fit if len(fit.encode()) <= _LONGEST else None
        left_out = [name for name, value in told.items() if value is None]
        return {**told, _LEFT_OUT: " ".join(left_out)}


def of(
    row: Holding | Branch,
    report: Mapping[str, object],
    files: Sequence[str],
    unsure: Sequence[str] = (),
) -> Evidence:
    """Return what is known of the report on the item in `row`."""
    from hypervisor.system.quick_json import loads

    # What one of many items of a file keeps there is ours.
    given = loads(row.payload) if row.payload and row.format is None else None
    summary, commit = report.get("summary"), report.get("commit")
    return Evidence(
        id=row.id,
        path=row.path,
        title=row.title,
        row=given,
        summary=None if summary is None else str(summary),
        answer=report.get("answer"),
        files=files,
        files_unsure=unsure,
        commit=None if commit is None else str(commit),
        attempt=row.attempt,
    )


def _text(value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    from json import dumps

    return dumps(value, ensure_ascii=False)
