"""docs/troubleshooting.md explains messages that the program has, in its words."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from docs.typist import REPO
from repository import parsed

PAGE = REPO / "docs" / "troubleshooting.md"
_GAP = "\0"


def said_by(source: Path) -> list[str]:
    """The texts of a file; what is put into them at run time is a gap."""
    if source.suffix != ".py":
        return [re.sub(r"\$\{?\w+\}?", _GAP, source.read_text(encoding="utf-8"))]
    found = []
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.JoinedStr):
            parts = (p.value if isinstance(p, ast.Constant) else _GAP for p in node.values)
            found.append("".join(map(str, parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return found


def explained() -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    # The doctor's lines begin with a name in a column of its own.
    text = re.sub(r"^\| `[\w ]+ … ", "| `", text, flags=re.MULTILINE)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    cells = [row.split("|")[1].strip() for row in rows]
    return [cell.split("`")[1] for cell in cells if cell.startswith("`")]


def test_every_explained_message_is_one_that_the_program_has() -> None:
    places = [REPO / "bin/hypervisor", *REPO.glob("launcher/*.*"), *REPO.glob("src/**/*.py")]
    said = [text for place in places for text in said_by(place)]
    messages = explained()
    assert len(messages) > 40
    unknown = []
    for message in messages:
        pieces = [piece.strip(" :,()") for piece in message.split("…") if piece.strip(" :,()")]
        pattern = re.compile(".*?".join(map(re.escape, pieces)), re.DOTALL)
        if not any(pattern.search(text) for text in said):
            unknown.append(message)
    assert unknown == []
