"""Where a project's root is, and what is made there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hypervisor.config.roots import create_state, find_root, root_in_use, roots
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


def _first_commit(bare: Path) -> None:
    _git(bare.parent, "clone", bare.name, "once")
    once = bare.parent / "once"
    _git(once, "commit", "--allow-empty", "-m", "first")
    _git(once, "push", "origin", "HEAD:refs/heads/main")


def test_without_any_mark_the_folder_itself_is_the_root(top: Path) -> None:
    assert find_root(str(top / "a")) == str(top / "a")


def test_the_current_folder_is_where_the_search_starts(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_state(str(top))
    monkeypatch.chdir(top / "a" / "b")
    assert find_root() == str(top)


def test_the_nearest_root_wins_whatever_makes_it_one(top: Path) -> None:
    create_state(str(top))
    (top / "a" / "hypervisor.toml").touch()
    assert find_root(str(top / "a" / "b")) == str(top / "a")
    _git(top / "a" / "b", "init")
    assert find_root(str(top / "a" / "b")) == str(top / "a" / "b")
    (top / "a" / "b" / "c").mkdir()
    create_state(str(top / "a" / "b" / "c"))
    assert find_root(str(top / "a" / "b" / "c")) == str(top / "a" / "b" / "c")


def test_roots_are_told_from_the_nearest_outward(top: Path) -> None:
    create_state(str(top))
    _git(top / "a", "init")
    (top / "a" / "b" / "hypervisor.toml").touch()
    inner = str(top / "a" / "b")
    found = [root for root in roots(inner) if root.startswith(str(top))]
    assert found == [inner, str(top / "a"), str(top)]
    assert root_in_use(inner) == str(top)


@pytest.mark.parametrize("left", [[], ["hooks"], ["HEAD"], ["config"]])
def test_what_a_sandbox_left_of_a_git_folder_makes_no_root(top: Path, left: list[str]) -> None:
    (top / ".git").mkdir()
    for name in left:
        (top / ".git" / name).touch()
    assert find_root(str(top / "a")) == str(top / "a")


def test_folders_of_git_without_a_head_in_it_make_no_root(top: Path) -> None:
    for name in ("objects", "refs"):
        (top / ".git" / name).mkdir(parents=True)
    (top / ".git" / "HEAD").touch()
    assert find_root(str(top / "a")) == str(top / "a")


@pytest.mark.parametrize("marker", ["state", "git", "settings"])
def test_a_folder_that_others_write_to_is_a_root_by_the_users_own_settings_only(
    top: Path, marker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if marker == "state":
        create_state(str(top))
    elif marker == "git":
        _git(top, "init")
    else:
        (top / "hypervisor.toml").touch()
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    for make in (lambda: top.chmod(0o1777), lambda: monkeypatch.setenv("HOME", str(top))):
        make()
        assert find_root(str(top / "a")) == str(top / "a")
        with pytest.raises(UsageError, match="claim every folder below it"):
            create_state(str(top))
        top.chmod(0o755)
    monkeypatch.undo()
    (top / "hypervisor.toml").touch()
    top.chmod(0o1777)
    assert find_root(str(top / "a")) == str(top)


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


@pytest.mark.parametrize("text", ["gitdir: nowhere", "gitdir: ../.."])
def test_a_git_file_that_leads_nowhere_leaves_its_folder_the_root(top: Path, text: str) -> None:
    (top / "a" / ".git").write_text(text)
    assert find_root(str(top / "a" / "b")) == str(top / "a")


@pytest.mark.parametrize("text", ["", "gitdir", "else: x", "\0"])
def test_a_git_file_that_is_none_makes_no_root(top: Path, text: str) -> None:
    (top / "a" / ".git").write_text(text)
    assert find_root(str(top / "a" / "b")) == str(top / "a" / "b")


def test_settings_that_are_checked_out_in_a_linked_worktree_make_no_root_of_it(top: Path) -> None:
    main, linked = top / "a", top / "linked"
    _git(main, "init")
    for folder in (main, main / "b"):
        (folder / "hypervisor.toml").touch()
    _git(main, "add", ".")
    _git(main, "commit", "-m", "first")
    _git(main, "worktree", "add", str(linked))
    assert find_root(str(linked)) == str(main)
    assert find_root(str(linked / "b")) == str(main / "b")
    (linked / "new").mkdir()
    (linked / "new" / "hypervisor.toml").touch()
    assert find_root(str(linked / "new")) == str(linked / "new")


def test_what_works_in_a_tree_of_a_claim_has_the_ledger_above_it(top: Path) -> None:
    _git(top, "init")
    _git(top, "commit", "--allow-empty", "-m", "first")
    create_state(str(top / "a"))
    tree = top / "a" / ".hypervisor" / "worktrees" / "1-abcd"
    _git(top, "worktree", "add", str(tree))
    (tree / "deep").mkdir()
    assert find_root(str(tree / "deep")) == str(top / "a")


def test_all_worktrees_of_a_bare_repository_behind_a_git_file_have_one_root(top: Path) -> None:
    _git(top, "init", "--bare", "a/.bare")
    (top / "a" / ".git").write_text("gitdir: ./.bare\n")
    _first_commit(top / "a" / ".bare")
    for place in (top / "a" / "main", top / "outside"):
        _git(top / "a", "worktree", "add", "--detach", str(place), "main")
        assert find_root(str(place)) == str(top / "a")
    assert find_root(str(top / "a")) == str(top / "a")


@pytest.mark.parametrize("first", ["main", "linked"])
def test_worktrees_of_a_repository_that_is_apart_have_one_root_whichever_was_first(
    top: Path, first: str
) -> None:
    _git(top, "init", f"--separate-git-dir={top / 'apart'}", "main")
    _git(top / "main", "commit", "--allow-empty", "-m", "first")
    _git(top / "main", "worktree", "add", str(top / "linked"))
    root = find_root(str(top / first))
    create_state(root)
    assert root == (str(top / "main") if first == "main" else str(top / "apart"))
    assert {find_root(str(top / place)) for place in ("main", "linked")} == {root}


def test_worktrees_of_a_submodule_share_the_submodules_root(top: Path) -> None:
    for name in ("part", "a"):
        _git(top, "init", name)
        _git(top / name, "commit", "--allow-empty", "-m", "first")
    allowed = ["-c", "protocol.file.allow=always"]
    _git(top / "a", *allowed, "submodule", "add", str(top / "part"), "part")
    _git(top / "a" / "part", "worktree", "add", str(top / "linked"))
    assert find_root(str(top / "a" / "part")) == str(top / "a" / "part")
    assert find_root(str(top / "linked")) == str(top / "a" / "part")


def test_all_worktrees_of_a_bare_repository_have_its_folder_as_their_root(top: Path) -> None:
    _git(top / "a", "init", "--bare", "store.git")
    _git(top / "a", "clone", "store.git", "once")
    _git(top / "a" / "once", "commit", "--allow-empty", "-m", "first")
    _git(top / "a" / "once", "push", "origin", "HEAD:refs/heads/main")
    _git(top / "a" / "store.git", "worktree", "add", str(top / "linked"), "main")
    _git(top / "a" / "store.git", "worktree", "add", "-b", "other", str(top / "other"), "main")
    store = str(top / "a" / "store.git")
    assert {find_root(str(top / place)) for place in ("linked", "other")} == {store}
    create_state(store)
    assert find_root(store) == store


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
    assert find_root(str(top / "a" / "b")) == str(top / "a" / "b")
    assert private_dir(str(top / "a")) is None
