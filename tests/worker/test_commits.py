from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hypervisor.commits import commit
from hypervisor.config.roots import create_state
from hypervisor.system.errors import HypervisorError, UsageError
from ledger.support import Child


def git(root: Path, *words: str) -> str:
    return subprocess.run(
        ["git", "-C", root, *words], check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def repository(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "A")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@example.org")
    git(project, "init", "--quiet")
    (project / "old").write_text("1\n")
    (project / "other").write_text("1\n")
    git(project, "add", "old", "other")
    git(project, "commit", "--quiet", "-m", "first")
    return project


def made(root: Path, message: str, *files: str) -> str:
    return commit(create_state(str(root)), message, files, str(root))


def test_a_commit_holds_exactly_the_named_files_and_what_others_staged_stays(
    repository: Path,
) -> None:
    (repository / "new").write_text("2\n")
    (repository / "old").unlink()
    (repository / "other").write_text("2\n")
    git(repository, "add", "other")
    sha = made(repository, "$(touch pwned) `x`\n\nClosing a.", "new", "old")
    assert git(repository, "show", "--format=%H %s", "--name-status", sha).split("\n") == [
        f"{sha} $(touch pwned) `x`", "", "A\tnew", "D\told", ""
    ]  # fmt: skip
    assert git(repository, "diff", "--cached", "--name-only") == "other\n"
    assert not (repository / "pwned").exists()


def test_paths_are_taken_literally(repository: Path) -> None:
    for name in ("*.md", "a.md", "--all", ":(glob)x"):
        (repository / name).write_text("x\n")
    made(repository, "m", "*.md", "--all", ":(glob)x")
    assert git(repository, "show", "--format=", "--name-only").split() == [
        "*.md", "--all", ":(glob)x"
    ]  # fmt: skip


def test_eight_workers_commit_at_once_and_each_gets_its_own_commit(repository: Path) -> None:
    for number in range(8):
        (repository / f"f{number}").write_text("x\n")
    children = [Child(made, repository, f"c{number}", f"f{number}") for number in range(8)]
    for number, child in enumerate(children):
        shown = git(repository, "show", "--format=%s", "--name-only", child.result())
        assert shown.split() == [f"c{number}", f"f{number}"]


def test_what_git_refuses_is_told_in_one_line(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"did not match any file.*name files"):
        made(repository, "m", "nowhere")
    with pytest.raises(HypervisorError, match=r"git commit: .*mend that"):
        made(repository, "m", "old")
    outside = tmp_path / "outside"
    (outside / ".hypervisor").mkdir(parents=True)
    with pytest.raises(HypervisorError, match="not a git repository"):
        made(outside, "m", "x")
