"""What we write is listed by the file's own tool as after its own command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from e2e.network import Network
from e2e.other_tools import Tool
from hypervisor import worker
from hypervisor.cli import main
from hypervisor.ledger import Ledger

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="session")
def tool(request: pytest.FixtureRequest, network: Network) -> Tool:
    """The tool that a test names; its own cache is that of the user who runs the tests."""
    return Tool(request.param, network)


@pytest.fixture
def theirs(project: Path) -> Path:
    """A folder beside the project, in which the tool itself ends what we end here."""
    (folder := project.parent / "theirs").mkdir()
    return folder


def end(project: Path, source: str, titles: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have workers of ours end the items with these titles, and no others."""
    monkeypatch.chdir(project)
    assert main(["open", "q", source]) == 0
    left = set(titles)
    with Ledger.open(str(project)) as ledger:
        while left:
            claims = {one.title: one.token for one in worker.take(ledger, "q", "w", 9)}
            assert left & claims.keys(), f"not handed out: {left}"
            for title in left & claims.keys():
                report = {"summary": "- [ ] did it\n[x] all"}
                worker.finish(ledger, claims[title], "done", report)
            left -= claims.keys()


def copied(project: Path, theirs: Path) -> None:
    """Lay a project's files out a second time, but for our state."""
    ours = shutil.ignore_patterns(".hypervisor")
    shutil.copytree(project, theirs, dirs_exist_ok=True, ignore=ours)


@pytest.mark.parametrize("tool", ["backlog"], indirect=True)
def test_backlog_lists_what_we_ended_as_what_it_ended(
    tool: Tool, project: Path, theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = project / "backlog/tasks"
    tasks.mkdir(parents=True)
    (project / "backlog/config.yml").write_text(
        'project_name: "demo"\nstatuses: ["Later", "To Do", "Shipped"]\ndefault_status: "To Do"\n'
        "filesystem_only: true\nremote_operations: false\ncheck_active_branches: false\n"
    )
    for number, title in enumerate(("Parse", "Build", "Ship"), 1):
        waits = f"[TASK-{number - 1}]" if number > 1 else "[]"
        (tasks / f"task-{number} - {title}.md").write_text(
            f"---\nid: TASK-{number}\ntitle: {title}\nstatus: To Do\nassignee: []\n"
            f"labels: []\ndependencies: {waits}\n---\n\n## Description\n\nDo it.\n"
        )
    copied(project, theirs)
    end(project, "backlog/tasks", {"Parse", "Build"}, monkeypatch)
    for number in ("1", "2"):
        tool.run(theirs, "task", "edit", number, "-s", "Shipped")
    listed = tool.run(theirs, "task", "list", "--plain")
    assert "Shipped" in listed and "TASK-3" in listed
    assert tool.run(project, "task", "list", "--plain") == listed


@pytest.mark.often
@pytest.mark.parametrize("tool", ["openspec"], indirect=True)
def test_openspec_counts_what_we_ended_and_nothing_else(
    tool: Tool, project: Path, theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = project / "openspec/changes/add-export"
    change.mkdir(parents=True)
    (change / "proposal.md").write_text("# Proposal\n")
    text = "## 1. Export\n\n- [ ] 1.1 Name columns\n- [ ] 1.2 Write a row\n- [ ] 1.3 Ship\n"
    (change / "tasks.md").write_text(text)
    copied(project, theirs)
    end(project, "openspec/changes/add-export", {"Name columns", "Write a row"}, monkeypatch)
    # Its own way is an agent that ticks boxes as it is told.
    ticked = text.replace("[ ]", "[x]", 2)
    (theirs / "openspec/changes/add-export/tasks.md").write_text(ticked)

    def told(folder: Path) -> object:
        return json.loads(
            tool.run(folder, "instructions", "apply", "--change", "add-export", "--json")
        )

    ours, own = told(project), told(theirs)
    assert isinstance(ours, dict) and isinstance(own, dict)
    assert own["progress"] == {"total": 3, "complete": 2, "remaining": 1}
    assert [ours[key] for key in ("progress", "tasks", "state")] == [
        own[key] for key in ("progress", "tasks", "state")
    ]


# Installed it is close to a gigabyte.
@pytest.mark.parametrize("tool", ["task-master"], indirect=True)
def test_taskmaster_lists_what_we_ended_as_what_it_ended(
    tool: Tool, project: Path, theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project / ".taskmaster/tasks"
    folder.mkdir(parents=True)
    (project / ".taskmaster/config.json").write_text("{}\n")
    (project / ".taskmaster/state.json").write_text('{"currentTag": "master"}\n')
    subtasks = [
        {"id": 1, "title": "Frame", "description": "It.", "status": "done", "dependencies": []},
        {"id": 2, "title": "Roof", "description": "It.", "status": "pending", "dependencies": [1]},
    ]
    tasks = [
        {"id": number, "title": title, "description": "It.", "status": "pending",
         "priority": "high",
         "dependencies": waits, "details": "", "testStrategy": "", "subtasks": below}
        for number, title, waits, below in (
            (1, "Parse", [], []), (2, "Build", [1], subtasks), (3, "Ship", [2], []),
        )
    ]  # fmt: skip
    told = {"master": {"tasks": tasks, "metadata": {"description": "demo"}}}
    (folder / "tasks.json").write_text(json.dumps(told, indent=2))
    copied(project, theirs)
    end(project, ".taskmaster", {"Parse", "Roof"}, monkeypatch)
    for item in ("1", "2.2"):
        tool.run(theirs, "set-status", f"--id={item}", "--status=done")

    def listed(folder: Path) -> list[tuple[str, str, list[str]]]:
        text = tool.run(folder, "list", "--with-subtasks", "--json")
        return [
            (str(one["id"]), one["status"], [each["status"] for each in one["subtasks"]])
            for one in json.JSONDecoder().raw_decode(text[text.index("{") :])[0]["tasks"]
        ]

    assert listed(theirs) == [
        ("1", "done", []), ("2", "done", ["done", "done"]), ("3", "pending", []),
    ]  # fmt: skip
    assert listed(project) == listed(theirs)


@pytest.mark.often
@pytest.mark.parametrize("tool", ["topydo"], indirect=True)
def test_topydo_lists_what_we_ended_as_what_it_ended(
    tool: Tool, project: Path, theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    todo = project / "todo.txt"
    todo.write_text("(A) 2026-01-01 Parse id:1 +demo\nRead p:1\nShip @home\nCall\n")
    copied(project, theirs)
    end(project, "todo.txt", {"Read p:1", "Parse id:1 +demo"}, monkeypatch)
    tool.run(theirs, "do", "2")
    tool.run(theirs, "do", "1")
    listed = tool.run(theirs, "ls", "-F", "%s")
    assert sorted(listed.split()) == ["@home", "Call", "Ship"]
    assert tool.run(project, "ls", "-F", "%s") == listed
