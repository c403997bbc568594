"""What the tests of sources share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypervisor.config.settings import load
from hypervisor.intake.sources import Found, expand


@pytest.fixture
def task(write: Callable[..., Path]) -> Callable[..., Path]:
    """`task(name, **keys)`: a task file with these keys in its front matter."""

    def task(name: str, **keys: Any) -> Path:
        header = "".join(f"{key}: {value}\n" for key, value in {"status": "active", **keys}.items())
        return write(name, f"---\n{header}---\n\n# Something\n")

    return task


@pytest.fixture
def find(project: Path) -> Callable[..., list[Found]]:
    """`find(*sources)`: what the sources hold."""

    def find(*specs: str, cwd: Path | None = None, **options: Any) -> list[Found]:
        root = str(project)
        here = str(cwd or project)
        return list(expand(specs, root=root, cwd=here, settings=load(root), **options))

    return find


@pytest.fixture
def names(find: Callable[..., list[Found]], project: Path) -> Callable[..., list[str]]:
    """`names(*sources)`: the paths that the sources hold, from the root."""

    def names(*specs: str, **options: Any) -> list[str]:
        return [
            str(Path(str(found.path)).relative_to(project)) for found in find(*specs, **options)
        ]

    return names
