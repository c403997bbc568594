"""The settings: each key with its default, and what stands behind it in the source."""

from __future__ import annotations

import ast
import inspect
import io
import json
import tokenize
from collections.abc import Iterator
from typing import Any

from markup import code, sentence, table

from hypervisor.config import defaults


def settings() -> Iterator[str]:
    yield "## Settings"
    yield (
        "Keys of `hypervisor.toml` and their defaults; [an example](settings.md). Words of "
        "`[status]` and names of `[preflight]` are added to the defaults, all else replaces them."
    )
    said = comments()
    tables: dict[str, list[tuple[str, ...]]] = {}
    for path, value in leaves(defaults.DEFAULTS):
        where = path.rpartition(".")[0]
        shown = json.dumps(value, ensure_ascii=False)
        tables.setdefault(where, []).append((code(path), code(shown), said.get(path, "")))
    for where, rows in tables.items():
        if where:
            yield f"### `[{where}]`"
        if where in said:
            yield sentence(said[where])
        if any(row[2] for row in rows):
            yield table(("Key", "Default", "Meaning"), rows)
        else:
            yield table(("Key", "Default"), [row[:2] for row in rows])


def leaves(table: dict[str, Any], where: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each key with its path and value, those of a table before its tables."""
    tables = {name: value for name, value in table.items() if isinstance(value, dict) and value}
    for name, value in table.items():
        if name not in tables:
            yield f"{where}{name}", value
    for name, value in tables.items():
        yield from leaves(value, f"{where}{name}.")


def comments() -> dict[str, str]:
    """Return the comments of the defaults by the key that they stand behind or above."""
    source = inspect.getsource(defaults)
    behind: dict[int, str] = {}
    above: dict[int, str] = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            alone = token.line.strip().startswith("#")
            (above if alone else behind)[token.start[0]] = token.string.lstrip("# ")
    found: dict[str, str] = {}

    def walk(node: ast.Dict, where: str) -> None:
        for key, value in zip(node.keys, node.values, strict=True):
            assert isinstance(key, ast.Constant)
            name = f"{where}{key.value}"
            lines, line = [], key.lineno - 1
            while line in above:
                lines.insert(0, above[line])
                line -= 1
            text = " ".join(lines) or behind.get(key.lineno, "")
            if text:
                found[name] = text
            if isinstance(value, ast.Dict):
                walk(value, f"{name}.")

    for node in ast.parse(source).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict):
            walk(node.value, "")
    return found
