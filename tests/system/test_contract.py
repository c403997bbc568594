"""Nothing but `system.state` opens what is below `.hypervisor/`."""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from hypervisor.cli import main
from hypervisor.system.state import STATE, State
from repository import REPO

SOURCE = REPO / "src" / "hypervisor"


def _literals(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    told = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told
    }


def test_no_other_module_spells_a_path_into_the_state() -> None:
    looked = 0
    for path in sorted(SOURCE.rglob("*.py")):
        if path.parent != SOURCE / "system":
            looked += 1
            spelt = {text for text in _literals(path) if text.startswith(f"{STATE}/")}
            assert spelt == set(), path
    assert looked > 200


class _Opened:
    """The paths below a folder of state that this process has opened, made or removed by name."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.on = False

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if self.on and (
            event in ("open", "sqlite3.connect") or event.startswith(("os.", "shutil"))
        ):
            for one in args:
                text = os.fsdecode(one) if isinstance(one, (bytes, os.PathLike)) else one
                if isinstance(text, str) and f"/{STATE}/" in text:
                    self.paths.add(text.partition(f"/{STATE}/")[2])


HOOK = _Opened()
sys.addaudithook(HOOK)


def test_the_verbs_open_nothing_in_it_by_a_path(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "tasks").mkdir()
    for one in "abcdef":
        text = f"---\nid: {one}\ntitle: T\nstatus: active\n---\nDo it.\n"
        (project / "tasks" / f"{one}.md").write_text(text)
    monkeypatch.chdir(project)
    State.create(str(project))
    monkeypatch.setattr(HOOK, "on", True)

    def call(*line: str) -> str:
        main(list(line))
        return capsys.readouterr().out

    call("open", "q", "tasks", "--verify", "true", "--scope", "named")
    said = call("next", "q", "-n", "2")
    tokens = [line.split()[1] for line in said.splitlines() if line.startswith("claim ")]
    assert len(tokens) == 2
    call("done", tokens[0], "--summary", "x", "--next")
    call("block", tokens[1], "--reason", "y")
    for line in (
        "status", "summary q", "report q", "log q", "show a", "plan q", "unlock a", "undo q",
        "retry q --failed", "pause q", "resume q", "wait q --timeout 0", "preflight tasks",
        "work q --agent command -- true", "triage tasks", "undo triage", "prune --days 0",
        "cancel q", "doctor", "adopt --yes",
    ):  # fmt: skip
        call(*line.split())
    monkeypatch.setattr(HOOK, "on", False)
    # SQLite takes a path; `State.database` looks at the files just before and just after.
    assert HOOK.paths <= {"ledger.db"}, HOOK.paths
