"""Who may print, who speaks SQL, who opens what is below `.hypervisor/`, where a type is left open.

Who starts git is seen in `test_only_git.py`.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hypervisor.cli import main
from hypervisor.system.state import STATE, State
from repository import modules

# What takes a path and acts on what is there.
_ACTS = frozenset((
    "open", "Path", "stat", "lstat", "listdir", "scandir", "walk", "mkdir", "makedirs", "remove",
    "unlink", "rename", "replace", "rmdir", "rmtree", "link", "symlink", "readlink", "chmod",
    "utime", "copy", "copy2", "copytree", "connect", "exists", "lexists", "isfile", "isdir",
    "islink",
))  # fmt: skip
_SQL = re.compile(
    r"\s*(?:select\s+\S|insert\s+(?:or\s+\w+\s+)?into\s|update\s+\w+\s+set\s|delete\s+from\s|"
    r"create\s+(?:table|index|trigger|view)\s|drop\s+(?:table|index)\s|alter\s+table\s|pragma\s+\w|"
    r"begin\s+immediate|attach\s+database|with\s+\w+\s+as\s*\()",
    re.IGNORECASE,
)
# What any text that begins so holds, as it stands in a file: at the begin of a piece of it.
_MAY_BE_SQL = (
    r"[\"'}](?:\\[nt]|\s)*"
    r"(?:select|insert|update|delete|create|drop|alter|pragma|begin|attach|with)\b"
)
# Says whether a file of state was made here; before that is known no ledger may open it.
_LOOKS_AT_STRANGERS = "system/unproven.py"
# The opener itself; and the notes of it, whose folder is the user's own and another one.
_OPENERS = ("system/state.py", "system/notes.py")
# So many lines say `Any`: what comes out of drivers, parsers and JSON, and goes no further.
_MOST_ANY = 19


def texts(tree: ast.AST) -> Iterator[ast.Constant]:
    """Yield the texts in a module, but for docstrings."""
    told = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node


def called(node: ast.AST) -> str:
    """Return the last name of what a call calls, "" for what is no call."""
    if not isinstance(node, ast.Call):
        return ""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def prints(tree: ast.AST) -> list[int]:
    """Return the lines of a module that print, or that take the streams one prints to."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if (isinstance(node, ast.Name) and node.id == "print")
        or (
            isinstance(node, ast.Attribute)
            and node.attr in ("stdout", "stderr")
            and isinstance(node.value, ast.Name)
            and node.value.id == "sys"
        )
    ]


def speaks_sql(tree: ast.AST) -> list[int]:
    """Return the lines of a module that hold a statement of SQL."""
    return [node.lineno for node in texts(tree) if _SQL.match(node.value)]


def opens_state(tree: ast.AST) -> list[int]:
    """Return the lines of a module that make a path into the state, or act on one."""
    found = [node.lineno for node in texts(tree) if node.value.startswith(f"{STATE}/")]
    above = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr | ast.BinOp) or called(node) == "join":
            # To look how a path begins, it need not be opened.
            if called(above[node]) != "startswith" and _is_said_in(node, ("STATE",)):
                found.append(node.lineno)
        elif _acts(node) and _is_said_in(node, ("STATE", "shown", "path")):
            found.append(node.lineno)
    return sorted(found)


def leaves_open(tree: ast.AST) -> set[int]:
    """Return the lines of a module where a type is `Any`."""
    return {
        node.lineno
        for node in ast.walk(tree)
        if getattr(node, "id", getattr(node, "attr", "")) == "Any"
    }


def _acts(node: ast.AST) -> bool:
    """True for a call that takes a path and acts on what is there."""
    # `text.replace` is of another kind than `os.replace`.
    of = ast.unparse(node.func.value) if hasattr(getattr(node, "func", None), "value") else "os"
    return called(node) in _ACTS and of in ("os", "os.path", "shutil", "sqlite3", "io")


def _is_said_in(whole: ast.AST, names: tuple[str, ...]) -> bool:
    """True if what names the state, by one of these names, stands anywhere in `whole`."""
    for node in ast.walk(whole):
        if isinstance(node, ast.Constant) and node.value == STATE:
            return True
        if isinstance(node, ast.Name) and node.id == "STATE" and "STATE" in names:
            return True
        if "shown" in names and isinstance(node, ast.Name) and node.id == "shown":
            return True
        if "path" in names and ast.unparse(node).endswith("folder.path"):
            return True
    return False


@pytest.mark.parametrize("text", ["print(1)", "map(print, rows)", "sys.stderr.write(x)"])
def test_what_prints_is_found(text: str) -> None:
    assert prints(ast.parse(text))


@pytest.mark.parametrize(
    "text",
    [
        'row("select a from b")', 'f"update item set {x} = 1"', "x = '''\n insert into t'''",
        'run("PRAGMA user_version")', 'f("delete from t")', 'x = "with a as (select 1) select 2"',
    ],
)  # fmt: skip
def test_a_statement_of_sql_is_found(text: str) -> None:
    assert speaks_sql(ast.parse(text))


@pytest.mark.parametrize(
    "text",
    [
        'x = ".hypervisor/ledger.db"', "os.path.join(root, STATE, name)", 'f"{root}/{STATE}/x"',
        'open(root + "/" + STATE)', 'Path(root) / ".hypervisor"', "os.listdir(shown(root))",
        'os.open(f"{state.folder.path}/x", 0)', "os.path.isdir(state.folder.path)",
    ],
)  # fmt: skip
def test_a_path_into_the_state_is_found(text: str) -> None:
    assert opens_state(ast.parse(text))


@pytest.mark.parametrize(
    "text", ["def f(x: Any): ...", "x: dict[str, Any] = {}", "Json = typing.Any"]
)
def test_a_type_that_is_left_open_is_found(text: str) -> None:
    assert leaves_open(ast.parse(text)) == {1}


def test_only_the_command_line_and_the_server_print() -> None:
    for place, tree in modules(r"\bprint\b|sys\.std"):
        if not place.startswith(("cli/", "agents/mcp/")) and place != "__main__.py":
            assert prints(tree) == [], place


def test_only_the_ledger_speaks_sql() -> None:
    for place, tree in modules(_MAY_BE_SQL):
        if not place.startswith("ledger/") and place != _LOOKS_AT_STRANGERS:
            assert speaks_sql(tree) == [], place


def test_no_other_module_makes_a_path_into_the_state() -> None:
    for place, tree in modules(rf"STATE|{re.escape(STATE)}|shown|folder\.path"):
        if place not in _OPENERS:
            assert opens_state(tree) == [], place


def test_what_no_type_tells_does_not_grow() -> None:
    found = [f"{place}:{line}" for place, tree in modules("Any") for line in leaves_open(tree)]
    assert len(found) <= _MOST_ANY, "name the exact type, or object where nothing is known:\n" + (
        "\n".join(sorted(found))
    )


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
