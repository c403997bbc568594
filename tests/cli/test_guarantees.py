from __future__ import annotations

import ast
import re

from repository import REPO


def existing_tests() -> set[str]:
    return {
        node.name
        for path in (REPO / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_promise_is_shown_by_a_test_that_exists() -> None:
    text = (REPO / "docs/guarantees.md").read_text(encoding="utf-8")
    branches = (REPO / "docs/branches.md").read_text(encoding="utf-8")
    scale = (REPO / "docs/scale.md").read_text(encoding="utf-8")
    security = (REPO / "docs/security.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", text + branches + scale + security))
    assert named <= existing_tests(), named - existing_tests()
    promises = text.split("## Promises\n")[1].split("\n## ")[0]
    rows = [line for line in promises.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 20
    assert [row for row in rows if "`test_" not in row.rsplit("|", 2)[1]] == []
    parts = security.split("\n## What is on the disk\n")[1].split("\n## What remains\n")[0]
    rows = [
        line for line in parts.splitlines() if line.startswith("| ") and "| Shown by" not in line
    ]
    assert len(rows) > 30
    assert [row for row in rows if "`test_" not in row.rsplit("|", 2)[1]] == []
    assert all(
        (REPO / path).exists() for path in re.findall(r"`((?:tests|docs|bench)/[\w/.]+)`", text)
    )
