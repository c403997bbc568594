from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from views.watch.support import Screen, lay_out

Open = Callable[..., Screen]


@pytest.fixture
def queues(project: Path) -> Path:
    """A root with a queue at work, a paused one and an ended one."""
    lay_out(project)
    return project


@pytest.fixture
def screen(project: Path) -> Iterator[Open]:
    """`screen(size=(80, 24), env={})`: a shell in a terminal of that size, at the root."""
    opened: list[Screen] = []

    def open(size: tuple[int, int] = (80, 24), env: dict[str, str] | None = None) -> Screen:
        opened.append(Screen(project, size, env))
        return opened[-1]

    yield open
    for one in opened:
        one.close()
