"""What the tests of all that is before a queue share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def write(project: Path) -> Callable[..., Path]:
    """`write(name, text)`: a file below the root, its folders made."""

    def write(name: str, text: str | bytes = "") -> Path:
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write
