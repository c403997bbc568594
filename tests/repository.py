"""Where this checkout stands, and what its sources say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent


@cache
def text_of(path: Path) -> str:
    """Return what stands in a source."""
    return path.read_text(encoding="utf-8")


@cache
def parsed(path: Path) -> ast.Module:
    """Return the tree of a source. All of them take so much memory that no fork is quick any more:
    `conftest.py` lets them go with the file of the tests that asked."""
    return ast.parse(text_of(path))


def modules(holding: str = "") -> Iterator[tuple[str, ast.Module]]:
    """Yield the modules of the program in whose text the pattern `holding` is found, in any case:
    the place of each below `src/hypervisor`, and its tree."""
    source = REPO / "src" / "hypervisor"
    paths = sorted(source.rglob("*.py"))
    assert len(paths) > 300
    wanted = re.compile(holding, re.IGNORECASE)
    for path in paths:
        if wanted.search(text_of(path)):
            yield path.relative_to(source).as_posix(), parsed(path)
