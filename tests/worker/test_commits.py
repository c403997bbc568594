from __future__ import annotations

import fcntl
import subprocess
import threading
import time
from pathlib import Path

import pytest

from hypervisor.config.roots import create_state
from hypervisor.system.errors import HypervisorError, SetupError, UsageError
from hypervisor.worker.commits.commit import commit
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
    with pytest.raises(HypervisorError, match=r"git commit: .*fix that"):
        made(repository, "m", "old")
    outside = tmp_path / "outside"
    (outside / ".hypervisor").mkdir(parents=True)
    with pytest.raises(HypervisorError, match="not a git repository"):
        made(outside, "m", "x")


@pytest.mark.parametrize("name", [".", "folder", "folder/", "./folder/../folder"])
def test_a_folder_is_refused_with_what_to_name(repository: Path, name: str) -> None:
    (repository / "folder").mkdir()
    (repository / "folder" / "f").write_text("x\n")
    with pytest.raises(UsageError, match="a folder; name the files"):
        made(repository, "m", "old", name)
    assert git(repository, "log", "--format=%s") == "first\n"
    made(repository, "m", "folder/f")
    (repository / "folder" / "f").unlink()
    (repository / "folder").rmdir()
    with pytest.raises(UsageError, match="a folder that is gone"):
        made(repository, "m", name if name != "." else "folder")
    made(repository, "gone", "folder/f")
    assert git(repository, "ls-files", "folder") == ""


def test_a_file_of_another_repository_is_refused_and_committed_from_within_it(
    repository: Path, tmp_path: Path
) -> None:
    inner = repository / "inner"
    git(repository, "init", "--quiet", "-b", "main", "inner")
    (inner / "f").write_text("x\n")
    for name in ("inner/f", "../outside"):
        (tmp_path / "outside").write_text("x\n")
        with pytest.raises(UsageError, match="not in the repository at"):
            made(repository, "m", name)
    sha = commit(create_state(str(repository)), "m", ["f"], str(inner))
    assert git(inner, "show", "--format=%H", "--name-only").split() == [sha, "f"]
    assert git(repository, "log", "--format=%s") == "first\n"


def test_it_runs_no_hook_and_commits_in_its_own_project(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    git(tmp_path, "init", "--quiet", "other")
    git(other, "commit", "--quiet", "--allow-empty", "-m", "theirs")
    hooks = repository / "hooks"
    hooks.mkdir()
    for name in ("pre-commit", "commit-msg", "prepare-commit-msg", "post-commit"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        (hooks / name).chmod(0o755)
    git(repository, "config", "core.hooksPath", "hooks")
    with monkeypatch.context() as inside:
        inside.setenv("GIT_DIR", str(other / ".git"))
        inside.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
        (repository / "old").write_text("2\n")
        sha = made(repository, "m", "old")
    assert git(repository, "rev-parse", "HEAD").strip() == sha
    assert git(other, "log", "--format=%s") == "theirs\n"
    assert not (tmp_path / "ran").exists()


def test_what_waits_for_a_person_is_ended_and_holds_up_nobody(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "commit.gpgSign": "true", "gpg.program": "sleep 300", "core.editor": "sleep 300",
        "core.askPass": "sleep 300", "filter.slow.clean": "sleep 300",
    }.items():  # fmt: skip
        git(repository, "config", name, value)
    (repository / ".gitattributes").write_text("*.slow filter=slow\n")
    (repository / "a.slow").write_text("x\n")
    (repository / "new").write_text("x\n")
    monkeypatch.setattr("hypervisor.worker.commits.commit._SECONDS", 2.0)
    waiting = Child(made, repository, "slow", "a.slow")
    time.sleep(0.5)
    made(repository, "quick", "new")
    assert waiting.wait() != 0
    assert git(repository, "show", "--format=%s", "--name-only").split() == ["quick", "new"]
    assert not (repository / ".git" / "index.lock").exists()


def test_the_lease_is_renewed_while_others_commit_and_while_git_runs(repository: Path) -> None:
    git(repository, "config", "filter.slow.clean", "sh -c 'sleep 1; cat'")
    (repository / ".gitattributes").write_text("*.slow filter=slow\n")
    (repository / "a.slow").write_text("x\n")
    beats: list[int] = []
    state = create_state(str(repository))
    commit(
        state, "m", ["a.slow"], str(repository),
        beat=lambda: beats.append(1), beat_every=0.3,
    )  # fmt: skip
    own = len(beats)
    assert own >= 2
    with open(repository / ".hypervisor/commit.lock", "a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        threading.Timer(1.0, lambda: fcntl.flock(turn, fcntl.LOCK_UN)).start()
        commit(
            state, "m", [".gitattributes"], str(repository),
            beat=lambda: beats.append(1), beat_every=0.3,
        )  # fmt: skip
    assert len(beats) >= own + 2


def test_without_an_identity_it_says_how_to_give_one(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.delenv(f"GIT_{name}_NAME")
        monkeypatch.delenv(f"GIT_{name}_EMAIL")
    git(repository, "config", "user.useConfigOnly", "true")
    (repository / "old").write_text("2\n")
    with pytest.raises(SetupError, match=r"git config user\.name"):
        made(repository, "m", "old")
