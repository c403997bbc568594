"""What the tests of the pre-flight share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypervisor.config.settings import load
from hypervisor.intake.preflight import Preflight, check
from hypervisor.intake.sources import expand


@pytest.fixture
def task(write: Callable[..., Path]) -> Callable[..., Path]:
    """`task(name, body, **keys)`: a task file with these keys, as they are written in YAML."""

    def task(name: str, body: str = "# Something\n", **keys: Any) -> Path:
        told = {"id": name.removesuffix(".md"), "title": "Something", "status": "active", **keys}
        header = "".join(f"{key}: {value}\n" for key, value in told.items() if value is not None)
        return write(name, f"---\n{header}---\n\n{body}")

    return task


@pytest.fixture
def sort(project: Path) -> Callable[..., Preflight]:
    """`sort(*sources, **options)`: the pre-flight of the root, or of the sources named."""

    def sort(*specs: str, id_column: str | None = None, **options: Any) -> Preflight:
        root = str(project)
        settings = load(root)
        found = expand(
            specs or ["."],
            root=root,
            cwd=root,
            settings=settings,
            id_column=id_column,
            files_are_items=options.get("instructions", False),
        )
        return check(found, root=root, settings=settings, **options)

    return sort


@pytest.fixture
def reason(sort: Callable[..., Preflight]) -> Callable[..., str]:
    """`reason()`: the group, kind and reason of the one item there is, as one text."""

    def reason(*specs: str, **options: Any) -> str:
        checked = sort(*specs, **options)
        told = [
            f"{group}: {entry.reason}"
            for group, entries in checked.groups().items()
            for entry in entries
        ]
        (only,) = told
        return only

    return reason
