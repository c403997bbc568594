"""Batch directories for the tests: a project with tasks, and a directory that lists them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

HEADER = "id: {id}\ntitle: {title}\ntype: task\nstatus: active\nproject: aops\n"
TASK = f"---\n{HEADER}---\n\n# T\n\n{{body}}\n"


@pytest.fixture
def project(project: Path) -> Path:
    """A root without settings, as the scripts have always met it."""
    (project / "hypervisor.toml").unlink()
    return project


@pytest.fixture
def tasks(project: Path) -> Callable[..., list[Path]]:
    """`tasks(5)`: that many tasks in the project's inbox, their stems as ids."""

    def write(count: int, folder: str = "inbox", body: str = "Fix the bug.") -> list[Path]:
        place = project / folder
        place.mkdir(exist_ok=True)
        paths = [place / f"t-{number:03}.md" for number in range(count)]
        for path in paths:
            path.write_text(TASK.format(id=path.stem, title="A title", body=body))
        return paths

    return write


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    """An empty batch directory."""
    folder = tmp_path.resolve() / "batch"
    folder.mkdir()
    return folder


@pytest.fixture
def listed(batch: Path) -> Callable[..., Path]:
    """`listed(paths)`: write them into `queue.txt`; return the batch directory."""

    def write(paths: list[Path] | list[str], end: str = "\n") -> Path:
        (batch / "queue.txt").write_bytes("".join(f"{path}{end}" for path in paths).encode())
        return batch

    return write
