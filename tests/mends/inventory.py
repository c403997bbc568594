"""The commands that the program prints, as in its source: `{}` stands for what it fills in."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache

from hypervisor.cli import VERBS
from repository import REPO, parsed

SOURCE = REPO / "src/hypervisor"
_HOLE = r"\{\w*\}"
# What may follow a verb: options and what they take, holes, and words for the reader to fill in.
_WORD = rf"(?:{_HOLE})+|--?(?:[\w-]|{_HOLE})*|[A-Z]+\b|'[^']*'|\d[\w%.]*|all\b|sqlite\b"
_VERB = rf"(?:{'|'.join(VERBS)})(?![\w.=/-])|{_HOLE}(?= {_HOLE})"
_OURS = rf"(?:/hypervisor:|\bhypervisor )(?:{_VERB})(?: (?:{_WORD}))*"
_GIT = "add|branch|checkout|clean|config|init|merge|pull|push|reset|revert|rm|submodule|worktree"
_CLIENTS = "claude (?:auth|mcp|plugin)|codex (?:login|sandbox)|gemini (?:extensions|mcp)"
_OTHERS = rf"(?:git (?:{_GIT}) [^;,)`\n]*|(?:{_CLIENTS})\b[^;,)`'\n]*|npm install[^;,)`\n]*"
_OTHERS += rf"|(?:chmod (?:[-+\w]|{_HOLE})+|mv|rm|unset|export|cd)(?: -\w+)? {_HOLE}[^;,)`\n]*)"
COMMAND = re.compile(rf"{_OURS}|(?<![\w.-]){_OTHERS}")
# Told by `help`, and typed by tests/docs as far as they are examples.
_NOT_PRINTED = {"EXAMPLE", "DESCRIPTION", "SUMMARY", "USAGE"}


def text_of(node: ast.AST) -> str | None:
    """Return the text of a literal, with a hole for each value in it; words that are quoted
    together are as many holes."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if not isinstance(node, ast.JoinedStr):
        return None
    told = ""
    for part in node.values:
        if isinstance(part, ast.Constant):
            told += str(part.value)
            continue
        assert isinstance(part, ast.FormattedValue)
        value = part.value
        words = value.args[0] if isinstance(value, ast.Call) and value.args else None
        told += " ".join(["{}"] * (len(words.elts) if isinstance(words, ast.List) else 1))
    return told


@cache
def printed() -> Counter[str]:
    """Return how often each command is in a text of the program, with its file:
    `cli/next.py: git init {}`."""
    found = Counter[str]()
    for path in sorted(SOURCE.rglob("*.py")):
        aside: set[int] = set()
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                aside.add(id(node.value))
            elif (isinstance(node, ast.keyword) and node.arg in ("help", "usage")) or (
                isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in _NOT_PRINTED
            ):
                aside.update(map(id, ast.walk(node.value)))
            elif isinstance(node, ast.JoinedStr):
                aside.update(id(part) for part in ast.walk(node) if part is not node)
            if id(node) in aside or (text := text_of(node)) is None:
                continue
            for match in COMMAND.finditer(text):
                command = re.sub(r"\{\w+\}", "{}", match[0]).strip(" .”")
                command = command.rstrip("'") if command.count("'") % 2 else command
                found[f"{path.relative_to(SOURCE)}: {command}"] += 1
    return found
