"""Where a project's root is, and what is made there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hypervisor.config.roots import create_state, find_root
from hypervisor.system.errors import UsageError
from hypervisor.system.git import private_dir


@pytest.fixture
def top(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "top"
    (folder / "a" / "b").mkdir(parents=True)
    return folder


def _git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def test_without_any_mark_the_folder_itself_is_the_root(top: Path) -> None:
    assert find_root(str(top / "a")) == str(top / "a")


def test_the_current_folder_is_where_the_search_starts(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_state(str(top))
    monkeypatch.chdir(top / "a" / "b")
    assert find_root() == str(top)


def test_the_nearest_state_folder_wins_over_settings_and_git(top: Path) -> None:
    create_state(str(top))
    (top / "a" / "hypervisor.toml").touch()
    _git(top / "a", "init")
    assert find_root(str(top / "a" / "b")) == str(top)
    create_state(str(top / "a" / "b"))
    assert find_root(str(top / "a" / "b")) == str(top / "a" / "b")


def test_the_nearest_settings_win_over_git(top: Path) -> None:
    (top / "hypervisor.toml").touch()
    _git(top / "a", "init")
    assert find_root(str(top / "a" / "b")) == str(top)


def test_a_file_named_like_the_state_folder_is_no_mark(top: Path) -> None:
    (top / ".hypervisor").touch()
    (top / "hypervisor.toml").mkdir()
    assert find_root(str(top / "a")) == str(top / "a")


def test_worktrees_of_a_repository_share_the_main_worktrees_root(top: Path) -> None:
    main, linked = top / "a", top / "linked"
    _git(main, "init")
    _git(main, "commit", "--allow-empty", "-m", "first")
    _git(main, "worktree", "add", str(linked))
    (linked / "deep").mkdir()
    assert find_root(str(main / "b")) == str(main)
    assert find_root(str(linked / "deep")) == str(main)


@pytest.mark.parametrize(
    "text", ["", "gitdir", "gitdir: nowhere", "else: x", "\0", "gitdir: ../.."]
)
def test_an_odd_git_file_leaves_its_folder_the_root(top: Path, text: str) -> None:
    (top / "a" / ".git").write_text(text)
    assert find_root(str(top / "a" / "b")) == str(top / "a")


def test_a_bare_repositorys_worktree_is_its_own_root(top: Path) -> None:
    _git(top / "a", "init", "--bare", "store.git")
    _git(top / "a", "clone", "store.git", "once")
    _git(top / "a" / "once", "commit", "--allow-empty", "-m", "first")
    _git(top / "a" / "once", "push", "origin", "HEAD:refs/heads/main")
    _git(top / "a" / "store.git", "worktree", "add", str(top / "linked"), "main")
    assert find_root(str(top / "linked")) == str(top / "linked")


def test_links_on_the_way_lead_to_one_root(top: Path) -> None:
    create_state(str(top))
    (top.parent / "other").symlink_to(top / "a")
    assert find_root(str(top.parent / "other" / "b")) == str(top)


def test_the_state_is_private_and_git_does_not_see_it(top: Path) -> None:
    _git(top, "init")
    assert create_state(str(top)).id == create_state(str(top)).id
    state = top / ".hypervisor"
    assert sorted(path.name for path in state.iterdir()) == [".gitignore", "id", "live", "locks"]
    for folder in (state, state / "live", state / "locks"):
        assert folder.stat().st_mode & 0o777 == 0o700
    seen = subprocess.run(["git", "status", "--porcelain"], cwd=top, capture_output=True, text=True)
    assert seen.stdout == ""


def test_neither_home_nor_the_whole_disk_becomes_a_root_unasked(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(top))
    for root in (str(top), "/"):
        with pytest.raises(UsageError, match="claim every folder below it"):
            create_state(root)
    assert not (top / ".hypervisor").exists() and not os.path.exists("/.hypervisor")
    (top / "hypervisor.toml").touch()
    assert create_state(str(top))


def test_a_pipe_in_the_place_of_git_is_not_waited_for(top: Path) -> None:
    os.mkfifo(top / "a" / ".git")
    assert find_root(str(top / "a" / "b")) == str(top / "a")
    assert private_dir(str(top / "a")) is None
