"""A project in a project: each has its own ledger, and who works in the inner one finds both."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.config.roots import create_state
from worker.support import write_task

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def inner(project: Path) -> Path:
    """A repository in the project, with two tasks of its own; the project has two as well."""
    folder = project / "inner"
    folder.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    for root, names in ((project, ("t1", "t2")), (folder, ("in-1", "in-2"))):
        for name in names:
            write_task(root, name)
    return folder


def preflight(run: Run, cwd: Path, *sources: str) -> dict[str, object]:
    told = json.loads(run("preflight", *(sources or ("tasks",)), "--json", cwd=cwd).stdout)
    assert not told["broken"]
    return {
        "ready": [one["id"] for one in told["ready"]],
        "elsewhere": {one["id"]: one["reason"] for one in told["held"]},
    }


def held_by(root: Path, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, f"belongs to {root}, open it there")


def claimed(run: Run, queue: str, cwd: Path) -> list[tuple[str, str]]:
    told = json.loads(run("next", queue, "-n", "9", "--json", cwd=cwd).stdout)
    return [(claim["id"], claim["token"]) for claim in told["claims"]]


def test_a_repository_below_a_project_opens_queues_of_its_own(
    project: Path, inner: Path, run: Run
) -> None:
    assert run("open", "q", "tasks").returncode == 0
    assert run("open", "q", "tasks", cwd=inner).returncode == 0
    assert (inner / ".hypervisor").is_dir()
    assert [item for item, _ in claimed(run, "q", inner)] == ["in-1", "in-2"]
    assert [item for item, _ in claimed(run, "q", project)] == ["t1", "t2"]


def test_a_worker_in_a_nested_repository_takes_and_ends_what_the_outer_root_has(
    project: Path, inner: Path, run: Run
) -> None:
    create_state(str(inner))
    assert run("open", "outer", "tasks").returncode == 0
    (_, done), (_, blocked) = claimed(run, "outer", inner)
    assert run("heartbeat", done, cwd=inner).returncode == 0
    assert run("done", done, "--summary", "did it", cwd=inner).returncode == 0
    assert run("block", blocked, "--reason", "it is not", cwd=inner).returncode == 0
    assert "did it" in (project / "tasks/t1.md").read_text()
    for words in (["status", "outer"], ["summary", "outer"], ["wait", "outer"], ["show", "t1"]):
        assert "no queue" not in run(*words, cwd=inner).stderr, words
    assert "no queue" in run("summary", "elsewhere", cwd=inner).stderr


def test_what_a_nested_root_owns_is_held_and_named(project: Path, inner: Path, run: Run) -> None:
    sources = ("tasks", "inner/tasks")
    assert preflight(run, project, *sources)["elsewhere"] == {}
    create_state(str(inner))
    told = preflight(run, project, *sources)
    assert told == {"ready": ["t1", "t2"], "elsewhere": held_by(inner, "in-1", "in-2")}
    assert run("open", "q", *sources).returncode == 0
    assert [item for item, _ in claimed(run, "q", project)] == ["t1", "t2"]
    pulled = run("pull", "inner/tasks/in-1.md")
    assert pulled.returncode != 0 and f"belongs to {inner}, open it there" in pulled.stderr


def test_what_the_outer_root_has_out_is_held_in_the_nested_one(
    project: Path, inner: Path, run: Run
) -> None:
    assert run("open", "q", "inner/tasks/in-1.md").returncode == 0
    told = preflight(run, inner)
    assert told == {"ready": ["in-2"], "elsewhere": held_by(project, "in-1")}
    pulled = run("pull", "in-1", cwd=inner)
    assert pulled.returncode != 0 and f"belongs to {project}" in pulled.stderr
    ((_, token),) = claimed(run, "q", project)
    assert run("done", token, "--summary", "did it").returncode == 0
    assert preflight(run, inner)["elsewhere"] == {}


def test_all_worktrees_of_a_bare_repository_hand_out_an_item_once(
    tmp_path: Path, identity: None, run: Run
) -> None:
    for where in ("bare.git", "project/.bare"):
        top = tmp_path / where.partition("/")[0].removesuffix(".git")
        first, bare = tmp_path / f"src-{top.name}", tmp_path / where
        first.mkdir()
        write_task(first, "t1")
        for words in (
            ["init", "-q", str(first)],
            ["-C", str(first), "add", "."],
            ["-C", str(first), "commit", "-qm", "first"],
            ["clone", "-q", "--bare", str(first), str(bare)],
        ):
            subprocess.run(["git", *words], check=True)
        if where != "bare.git":
            (top / ".git").write_text("gitdir: ./.bare\n")
        trees = [top / "one", top / "two"]
        for tree in trees:
            subprocess.run(
                ["git", "worktree", "add", "-q", "--detach", str(tree)], cwd=bare, check=True
            )
        got = []
        for tree in trees:
            run("open", "q", "tasks", cwd=tree)
            got += claimed(run, "q", tree)
        ((_, token),) = got
        assert run("done", token, "--summary", "did it", cwd=trees[1]).returncode == 0
        assert "did it" in (trees[0] / "tasks/t1.md").read_text()
