"""A client is one folder and one line of the table: nothing else names it."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from agents.pool.support import items, lay_out
from agents.throwaway.client import PROGRAM, Events
from hypervisor import worker
from hypervisor.agents import doctor, hooks, transcripts
from hypervisor.agents.client import End
from hypervisor.agents.clients import CLIENTS, client
from hypervisor.cli import main
from hypervisor.ledger import Ledger
from hypervisor.views.summary import summarize
from repository import REPO, modules, parsed

SOURCE = REPO / "src" / "hypervisor"
# One that is still to come is named nowhere either.
NAMED = re.compile(r"claude|gemini|codex|anthropic", re.IGNORECASE)
# The table itself; what the floors below `agents` know clients by, which can't ask it; and a format
# of tasks that lie in a client's folder.
MAY_NAME = {
    "agents/clients.py", "system/clients.py", "tasks/formats/ccpm.py", "tasks/task_files.py",
}  # fmt: skip
SESSION = "99999999-0000-7777-6666-555555555555"


def names_in(tree: ast.Module) -> set[str]:
    """Return what names a client in a module: identifiers, modules, texts; no comments and no
    docstrings."""
    told = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in told:
            continue
        for field in ("id", "attr", "arg", "name", "module", "asname", "value"):
            value = getattr(node, field, None)
            if isinstance(value, str) and NAMED.search(value):
                found.add(value)
    return found


@pytest.mark.parametrize(
    "text",
    [
        "from_gemini = 1", "event.from_gemini", "def ask_claude(): ...", "f(gemini=True)",
        "from hypervisor.agents.claude import said", "import codex as c", "x = 'GEMINI_CLI'",
        "x = f'~/.claude/{name}'", "class Claude: ...", "def f(of_codex): ...",
    ],
)  # fmt: skip
def test_what_names_a_client_is_found(text: str) -> None:
    assert names_in(ast.parse(text))


def test_only_the_table_and_a_clients_own_folder_name_it() -> None:
    own = tuple(f"agents/{name}/" for name in CLIENTS)
    for place, tree in modules(NAMED.pattern):
        if not place.startswith(own) and place not in MAY_NAME:
            assert names_in(tree) == set(), place
    for place, _ in modules("|".join(rf"agents\.{name}" for name in CLIENTS)):
        assert place.startswith(own) or place == "agents/clients.py", place


def test_each_folder_has_no_client_but_its_own() -> None:
    for name in CLIENTS:
        for other in {"claude", "gemini", "codex"} - {name}:
            for path in (SOURCE / "agents" / name).glob("*.py"):
                assert other not in {text.lower() for text in names_in(parsed(path))}


@pytest.fixture
def throwaway(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line."""
    monkeypatch.setitem(CLIENTS, "throwaway", "agents.throwaway")


def test_a_new_client_works_off_a_queue(
    throwaway: None, project: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    lay_out(project, 3)
    monkeypatch.chdir(project)
    assert main(["work", "q", "--agent", "throwaway", "--workers", "2"]) == 0
    assert "next: hypervisor results q" in capsys.readouterr().out
    assert {item.state for item in items(project).values()} == {"done"}
    # Its transcripts are read, whatever is known of other clients'.
    with Ledger.open(str(project)) as ledger:
        assert summarize(ledger, "q")["total_tokens"] == 3 * 101


def test_a_new_client_may_have_no_branches(
    throwaway: None, project: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(project)
    assert main(["work", "q", "--agent", "throwaway", "--branch"]) == 2
    assert "Throwaway: it can't stand two folders" in capsys.readouterr().err


def test_a_client_that_can_t_keep_to_the_commands_of_a_queue_refuses_them_by_name(
    throwaway: None, project: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    lay_out(project, 1, commands='["npm test"]')
    monkeypatch.chdir(project)
    monkeypatch.setattr(type(client("throwaway")), "no_commands", "it runs them all")
    assert main(["work", "q", "--agent", "throwaway"]) == 2
    told = capsys.readouterr().err
    assert "Throwaway can't keep --allow-command 'npm test': it runs them all" in told
    assert items(project)["t-001"].state == "ready"


def test_a_run_is_ended_that_its_client_would_let_go_on(
    throwaway: None, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(project, 1, max_deaths=1)
    monkeypatch.chdir(project)

    def over(self: Events) -> End | None:
        return End("limited", "too much of it") if self.tool == "endless" else None

    program = project.parent / "program.py"
    endless = 'print(json.dumps({"tool": "endless"}), flush=True); signal.pause(); x ='
    text = PROGRAM.read_text().replace("claim, item =", endless, 1)
    program.write_text(text.replace("import sys", "import signal\nimport sys", 1))
    monkeypatch.setattr("agents.throwaway.client.PROGRAM", program)
    monkeypatch.setattr(Events, "over", over)
    assert main(["work", "q", "--agent", "throwaway"]) == 1
    assert items(project)["t-001"].state == "failed"


def test_the_doctor_looks_at_a_new_client(
    throwaway: None, project: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(project)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert doctor.examine(str(project))[-1].text == "nobody would"
    main(["doctor"])
    assert "\nThrowaway\n  note  installed    nobody would\n" in capsys.readouterr().out


def test_the_events_of_a_new_client_reach_the_handlers_and_are_answered_in_its_words(
    throwaway: None, project: Path
) -> None:
    lay_out(project, 2)
    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", "w")
        told = {"id": SESSION, "where": str(project)}
        ran = told | {"ran": "hypervisor next q", "said": f"claim {claim.token}\nitem: {claim.id}"}
        event = hooks.Event("ToolEnded", ran)
        assert event.client is client("throwaway")
        assert hooks.handle(ledger, event) is None
        assert [row.token for row in ledger.sessions.held_by(SESSION)] == [claim.token]
        ledger.followers.follow(SESSION, "q")
        worker.finish(ledger, claim.token, "done", {"summary": "x"})
        [other] = worker.take(ledger, "q", "w")
        worker.finish(ledger, other.token, "done", {"summary": "x"})
        heard = hooks.handle(ledger, hooks.Event("Asked", told))
    assert heard is not None and "q has drained" in heard["say"]


def test_a_transcript_is_read_by_the_client_that_wrote_it(throwaway: None, tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_text('{"throwaway": 1}\n' + json.dumps({"tokens": 7, "item": "a"}) + "\n")
    usage, files = transcripts.read(str(path))
    assert usage.total == (7, 1, 0, 0) and files == [str(path)]
