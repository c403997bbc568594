"""What a source is made of: files to look at, rows, and lines that name nothing."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypervisor.system.errors import UsageError


class SourceError(UsageError):
    """A source that the user named and that can't be read; the other sources still can."""

    exit_code = 1


class Problem(NamedTuple):
    """Why a member of a source is no item: `group` is "held" or "broken", `kind` one word."""

    group: str
    kind: str
    reason: str
    fix: str = ""


class Found(NamedTuple):
    """A member of a source.

    `path` is the absolute path of a file, or of the file that a row or a line stands in (None for
    standard input). `row` is the row of a CSV or JSONL source and `row_id` its id. `line` is the
    line, from 1, of a row or of a problem. `origin` is what the user named.
    """

    path: str | None
    row: dict[str, Any] | None = None
    row_id: str | None = None
    origin: str = ""
    line: int | None = None
    problem: Problem | None = None
