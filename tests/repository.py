"""Where this checkout stands, and what its sources say."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent


@cache
def parsed(path: Path) -> ast.Module:
    """Return the tree of a source; several tests walk through all of them."""
    return ast.parse(path.read_text(encoding="utf-8"))
