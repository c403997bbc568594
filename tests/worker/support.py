"""Task files and queues over them, as the verbs of workers meet them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hypervisor.config.settings import load
from hypervisor.intake import opening, preflight, sources
from hypervisor.ledger import Ledger, Opened, Options

BODY = "# {title}\n\nDo it.\n"


def write_task(
    root: Path,
    item_id: str,
    *,
    body: str = BODY,
    status: str = "active",
    title: str | None = None,
    extra: str = "",
    newline: str = "\n",
) -> Path:
    """Write `tasks/<id>.md` and return its path."""
    folder = root / "tasks"
    folder.mkdir(exist_ok=True)
    path = folder / f"{item_id}.md"
    shown = title or f"Task {item_id}"
    text = f"---\nid: {item_id}\ntitle: {shown}\nstatus: {status}\ntype: task\n{extra}---\n\n"
    text += body.replace("{title}", shown)
    path.write_bytes(text.replace("\n", newline).encode())
    return path


def write_backlog_task(root: Path, number: int, body: str = "## Description\n\nDo it.\n") -> Path:
    """Write a task file of the other family and return its path."""
    folder = root / "tasks"
    folder.mkdir(exist_ok=True)
    path = folder / f"task-{number} - Do-it.md"
    path.write_text(
        f"---\nid: TASK-{number}\ntitle: Do it\nstatus: To Do\nassignee: []\n"
        f"created_date: '2025-06-01 10:00'\nlabels: [cli]\ndependencies: []\n---\n\n{body}"
    )
    return path


def open_queue(
    root: Path,
    names: Iterable[str | Path] = ("tasks",),
    queue: str = "q",
    *,
    instructions: str | None = None,
    id_column: str | None = None,
    **options: Any,
) -> Opened:
    """Open `queue` over sources of `root`, as `hypervisor open` does."""
    settings = load(str(root))
    found = sources.expand(
        [str(root / name) for name in names],
        root=str(root),
        cwd=str(root),
        settings=settings,
        id_column=id_column,
        files_are_items=instructions is not None,
    )
    checked = preflight.check(
        found, root=str(root), settings=settings, instructions=instructions is not None
    )
    assert not checked.broken, checked.broken
    return opening.open_queue(
        str(root), settings, queue, checked, Options(instructions=instructions, **options)
    )


def states(root: Path, queue: str = "q") -> dict[str, str]:
    """The state of each item."""
    with Ledger.open(str(root)) as ledger:
        return {row.id: row.state for row in ledger.queries.results(queue)}


def reports(path: Path) -> int:
    """How many reports of ours a file holds."""
    return path.read_text(encoding="utf-8").count("<!-- hypervisor:report ")


def locks(root: Path) -> list[str]:
    """The locks that stand."""
    return sorted(os.listdir(root / ".hypervisor" / "locks"))
