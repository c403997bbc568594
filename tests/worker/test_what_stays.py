"""What an undo does not take back is named, each with the git command that does."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from hypervisor import worker
from hypervisor.ledger import Ledger
from hypervisor.worker.integrate import integrate
from hypervisor.worker.what_stays import WhatStays
from worker.branches.support import commit_all, git, lay_out, take
from worker.support import open_queue, write_task

pytestmark = pytest.mark.usefixtures("identity")


def stays(root: Path) -> WhatStays:
    with Ledger.open(str(root)) as ledger:
        return WhatStays(ledger, "q", None, set())


def do(root: Path, command: str | None) -> None:
    assert command is not None
    subprocess.run(["sh", "-c", command], cwd=root, check=True, capture_output=True)


def done(root: Path, token: str, **report: object) -> None:
    with Ledger.open(str(root)) as ledger:
        worker.finish(ledger, token, "done", {"summary": "x", **report})


@pytest.mark.parametrize("count", [1, 2])
def test_a_merge_is_taken_back_by_its_command(project: Path, count: int) -> None:
    lay_out(project, count)
    for number in range(count):
        claim = take(project)
        (Path(claim.worktree) / f"new-{number}.py").write_text("x")
        done(project, claim.token)
    with Ledger.open(str(project)) as ledger:
        integrate(ledger, "q")
    commit_all(project, "reports")
    assert len(list(project.glob("new-*.py"))) == count
    for one in stays(project).commits:
        do(project, one.command)
    assert list(project.glob("new-*.py")) == []


def test_a_branch_that_is_not_merged_is_removed_by_its_command(project: Path) -> None:
    lay_out(project, 1)
    claim = take(project)
    (Path(claim.worktree) / "new.py").write_text("x")
    done(project, claim.token)
    [one] = stays(project).commits
    do(project, one.command)
    assert git(project, "branch", "--list", claim.branch) == ""


def test_a_commit_in_the_shared_tree_is_taken_back_by_its_command(project: Path) -> None:
    lay_out(project, 1)
    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", "w")
    (project / "new.py").write_text("x")
    done(project, claim.token, commit=commit_all(project))
    commit_all(project, "report")
    [one] = stays(project).commits
    do(project, one.command)
    assert not (project / "new.py").exists()


def test_files_and_ticked_boxes_are_taken_back_by_their_commands(project: Path) -> None:
    git(project, "init", "--quiet", "-b", "main")
    path = write_task(project, "t0", body="- [ ] do it\n")
    (project / "old.py").write_text("old")
    commit_all(project)
    before = path.read_bytes()
    open_queue(project)
    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", "w")
    (project / "old.py").write_text("new")
    (project / "new.py").write_text("new")
    path.write_text(path.read_text().replace("[ ]", "[x]"))
    done(project, claim.token, files=["old.py", "new.py"])
    told = json.loads(_undo(project))
    assert [one["path"] for one in told["edits"]] == ["tasks/t0.md"]
    for one in [*told["not_ours"], *told["edits"]]:
        do(project, one["command"])
    assert (project / "old.py").read_text() == "old" and not (project / "new.py").exists()
    assert path.read_bytes() == before


@pytest.mark.parametrize("tracked", [False, True])
def test_no_command_is_named_that_would_take_a_persons_own_words_out_of_a_task(
    project: Path, tracked: bool
) -> None:
    git(project, "init", "--quiet", "-b", "main")
    path = write_task(project, "t0", body="- [ ] do it\n")
    if tracked:
        commit_all(project)
        path.write_text(path.read_text() + "\nNever committed.\n")
    open_queue(project)
    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", "w")
    path.write_text(path.read_text().replace("[ ]", "[x]"))
    done(project, claim.token)
    with Ledger.open(str(project)) as ledger:
        [one] = WhatStays(ledger, "q", None, {"tasks/t0.md"}).edits
    assert one == ("t0", "tasks/t0.md", None)


def test_commits_are_named_though_no_file_of_ours_is_to_be_restored(project: Path) -> None:
    git(project, "init", "--quiet", "-b", "main")
    (project / "i.md").write_text("do it\n")
    (project / "rows.csv").write_text("key\na\n")
    commit_all(project)
    open_queue(project, ["rows.csv"], instructions="do it", id_column="key")
    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", "w")
    (project / "new.py").write_text("x")
    done(project, claim.token, commit=commit_all(project))
    [one] = json.loads(_undo(project))["commits"]
    do(project, one["command"])
    assert not (project / "new.py").exists()


def _undo(project: Path) -> str:
    from repository import REPO

    command = [str(REPO / "bin/hypervisor"), "undo", "q", "--json"]
    return subprocess.run(command, cwd=project, check=True, capture_output=True, text=True).stdout
