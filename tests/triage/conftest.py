"""Folders of tasks, and queues of them, for the tests of triage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hypervisor.config.settings import load
from hypervisor.ledger import Ledger, NewItem, Options
from hypervisor.ledger.findings import Result
from hypervisor.triage.run import Worker

TASK = """---
id: {id}
title: {title}
type: task
status: active
project: garden
---

# {title}

{body}
"""


@pytest.fixture
def project(project: Path) -> Path:
    """A root whose settings name whom tasks are assigned to."""
    (project / "hypervisor.toml").write_text('preset = "aops"\n')
    return project


@pytest.fixture
def write_tasks(project: Path) -> Callable[..., list[Path]]:
    """`write_tasks(count, body)`: tasks below the project, each assigned and linked by triage."""

    def write(count: int, body: str = "Fix the bug.") -> list[Path]:
        folder = project / "tasks"
        folder.mkdir(exist_ok=True)
        paths = [folder / f"t-{number:05}.md" for number in range(count)]
        for path in paths:
            path.write_text(TASK.format(id=path.stem, title=f"Task {path.stem}", body=body))
        return paths

    return write


@pytest.fixture
def ledger(project: Path) -> Iterator[Ledger]:
    with Ledger.open(str(project), create=True) as ledger:
        yield ledger


@pytest.fixture
def open_queue(project: Path, ledger: Ledger) -> Callable[..., None]:
    """`open_queue(paths)`: the queue "triage" with one item per file, its stem as id."""

    def opened(paths: list[Path], **options: Any) -> None:
        items = [NewItem(path.stem, str(path.relative_to(project))) for path in paths]
        ledger.generations.open(
            "triage", items, Options(**{"purpose": "triage", "max_attempts": 1, **options})
        )

    return opened


@pytest.fixture
def worker(project: Path, ledger: Ledger) -> Worker:
    """A worker of the queue "triage" in this process."""
    return Worker(ledger, "triage", "w", load(str(project)))


@pytest.fixture
def rows(ledger: Ledger) -> Callable[[], dict[str, Result]]:
    """`rows()`: what the ledger says of each item, by its id."""
    return lambda: {row.id: row for row in ledger.queries.results("triage")}
