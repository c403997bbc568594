"""The shell guard: it finds the program's root, and starts nothing where no queue is open."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.config.roots import create_state, root_in_use
from hypervisor.system.state import STATE
from repository import REPO

GUARD = REPO / "hooks" / "guard"


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    allow = ["-c", "protocol.file.allow=always"]
    subprocess.run(["git", *who, *allow, *words], cwd=folder, check=True, capture_output=True)


def repository(folder: Path) -> Path:
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "first")
    return folder


def make(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def nothing(top: Path) -> Path:
    return make(top / "a" / "b")


def state(top: Path) -> Path:
    create_state(str(make(top / "a")))
    return make(top / "a" / "b" / "c")


def nested_state(top: Path) -> Path:
    create_state(str(make(top / "a")))
    create_state(str(make(top / "a" / "b")))
    return make(top / "a" / "b" / "c")


def state_above_a_repository(top: Path) -> Path:
    create_state(str(make(top / "a")))
    return make(repository(top / "a" / "b") / "c")


def state_in_a_nested_repository(top: Path) -> Path:
    create_state(str(repository(make(top / "a") / "b")))
    create_state(str(top / "a"))
    return make(top / "a" / "b" / "c")


def empty_git_folder_below_state(top: Path) -> Path:
    create_state(str(make(top / "a")))
    return make(make(top / "a" / "b" / ".git").parent / "c")


def sticky_folder(top: Path) -> Path:
    inner = state(top)
    (top / "a").chmod(0o1777)
    return inner


def settings_in_a_sticky_folder(top: Path) -> Path:
    inner = sticky_folder(top)
    (top / "a" / "hypervisor.toml").touch()
    return inner


def state_in_the_working_tree_of_a_claim(top: Path) -> Path:
    main = repository(top / "a")
    create_state(str(main))
    git(main, "worktree", "add", "--quiet", ".hypervisor/worktrees/1-abcd")
    return make(main / ".hypervisor/worktrees/1-abcd/b")


def tree_of_a_claim_below_settings(top: Path) -> Path:
    inner = make(repository(top / "a") / "part")
    (inner / "hypervisor.toml").touch()
    create_state(str(inner))
    git(inner, "worktree", "add", "--quiet", ".hypervisor/worktrees/1-abcd")
    return make(inner / ".hypervisor/worktrees/1-abcd/part")


def state_that_is_a_file(top: Path) -> Path:
    inner = make(repository(top / "a") / "b")
    (inner / ".hypervisor").write_text("")
    return inner


def settings_file(top: Path) -> Path:
    inner = make(repository(top / "a") / "b" / "c")
    (top / "a" / "b" / "hypervisor.toml").write_text("")
    return inner


def plain_repository(top: Path) -> Path:
    return make(repository(top / "a") / "b")


def linked_worktree(top: Path) -> Path:
    git(repository(top / "a"), "worktree", "add", "--quiet", str(top / "linked"))
    return make(top / "linked" / "b")


def worktree_of_a_worker(top: Path) -> Path:
    inside = ".claude/worktrees/agent-a1"
    git(repository(top / "a"), "worktree", "add", "--quiet", inside)
    return top / "a" / inside


def worktree_of_a_worker_with_state(top: Path) -> Path:
    inner = worktree_of_a_worker(top)
    create_state(str(top / "a"))
    return inner


def worktree_of_a_bare_repository(top: Path) -> Path:
    repository(top / "a")
    git(top, "clone", "--quiet", "--bare", "a", "bare.git")
    git(top / "bare.git", "worktree", "add", "--quiet", str(top / "work"))
    return top / "work"


def bare_repository_with_state(top: Path) -> Path:
    work = worktree_of_a_bare_repository(top)
    create_state(str(top / "bare.git"))
    return work


def bare_repository_behind_a_git_file(top: Path) -> Path:
    repository(top / "a")
    git(top, "clone", "--quiet", "--bare", "a", "project/.bare")
    (top / "project/.git").write_text("gitdir: ./.bare\n")
    git(top / "project", "worktree", "add", "--quiet", "work")
    create_state(str(top / "project"))
    return top / "project/work"


def repository_apart(top: Path) -> Path:
    git(top, "init", "--quiet", "--separate-git-dir", str(top / "apart"), "main")
    git(top / "main", "commit", "--quiet", "--allow-empty", "-m", "first")
    create_state(str(top / "main"))
    git(top / "main", "worktree", "add", "--quiet", str(top / "linked"))
    return make(top / "linked/b")


def linked_worktree_before_the_repository_apart(top: Path) -> Path:
    repository_apart(top)
    shutil.rmtree(top / "main/.hypervisor")
    (top / "apart/hypervisor-main").unlink()
    create_state(str(top / "apart"))
    return top / "main"


def linked_worktree_of_a_submodule(top: Path) -> Path:
    part = submodule(top)
    create_state(str(part))
    git(part, "worktree", "add", "--quiet", str(top / "linked"))
    return top / "linked"


def submodule_of_a_project(top: Path) -> Path:
    part = submodule(top)
    create_state(str(top / "a"))
    return part


def linked_worktree_of_a_project(top: Path) -> Path:
    inner = linked_worktree(top)
    create_state(str(top / "a"))
    return inner


def settings_checked_out_in_a_linked_worktree(top: Path) -> Path:
    part = make(repository(top / "a") / "part")
    (part / "hypervisor.toml").touch()
    create_state(str(part))
    git(top / "a", "add", ".")
    git(top / "a", "commit", "--quiet", "-m", "settings")
    git(top / "a", "worktree", "add", "--quiet", str(top / "linked"))
    return top / "linked/part"


def bare_repository(top: Path) -> Path:
    git(make(top / "bare.git"), "init", "--quiet", "--bare")
    return top / "bare.git"


def submodule(top: Path) -> Path:
    repository(top / "part")
    git(repository(top / "a"), "submodule", "--quiet", "add", str(top / "part"), "part")
    return top / "a" / "part"


def link_to_a_folder(top: Path) -> Path:
    inner = plain_repository(top)
    (top / "link").symlink_to(inner)
    return top / "link"


def names_with_spaces(top: Path) -> Path:
    git(repository(top / "a b"), "worktree", "add", "--quiet", "-b", "x", str(top / "li nked"))
    return make(top / "li nked" / "it's")


def broken_git_file(top: Path) -> Path:
    (make(top / "a") / ".git").write_text("gitdir: /nowhere at all\n")
    return make(top / "a" / "b")


def git_file_of_something_else(top: Path) -> Path:
    (make(top / "a") / ".git").write_text("hello")
    return top / "a"


LAYOUTS = [
    nothing, state, nested_state, state_above_a_repository, state_in_a_nested_repository,
    empty_git_folder_below_state, sticky_folder, settings_in_a_sticky_folder,
    state_in_the_working_tree_of_a_claim, tree_of_a_claim_below_settings,
    bare_repository_with_state, bare_repository_behind_a_git_file, repository_apart,
    linked_worktree_before_the_repository_apart, linked_worktree_of_a_submodule,
    submodule_of_a_project, linked_worktree_of_a_project,
    settings_checked_out_in_a_linked_worktree, state_that_is_a_file, settings_file,
    plain_repository, linked_worktree, worktree_of_a_worker, worktree_of_a_worker_with_state,
    worktree_of_a_bare_repository, bare_repository, submodule, link_to_a_folder,
    names_with_spaces, broken_git_file, git_file_of_something_else,
]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_the_guard_finds_the_root_in_use_that_the_program_finds(
    layout: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = layout(tmp_path)
    monkeypatch.chdir(inside)
    shown = subprocess.run(
        [GUARD, "--root"],
        cwd=inside,
        env={**os.environ, "PWD": str(inside)},
        capture_output=True,
        text=True,
    )
    root = root_in_use(str(inside))
    found = root if Path(root, STATE).is_dir() else ""
    assert (shown.stdout.rstrip("\n"), shown.stderr) == (found, "")


def test_where_no_queue_is_open_the_guard_starts_no_process(tmp_path: Path) -> None:
    inner = state(tmp_path)
    quiet = tmp_path / "bin"
    make(quiet)
    for name in ("hypervisor", "python3", "git", "cat", "dirname"):
        tool = quiet / name
        tool.write_text(f"#!/bin/sh\necho {name} >>'{tmp_path}/started'\n")
        tool.chmod(0o755)
    plugin = tmp_path / "plugin"
    make(plugin / "hooks")
    (plugin / "hooks" / "guard").write_bytes(GUARD.read_bytes())
    (plugin / "hooks" / "guard").chmod(0o755)
    (plugin / "bin").symlink_to(quiet)
    call = [plugin / "hooks" / "guard", "PostToolUse"]
    environment = {**os.environ, "PATH": f"{quiet}:{os.environ['PATH']}"}
    silent = subprocess.run(call, cwd=inner, env=environment, input=b"{}", capture_output=True)
    assert (silent.returncode, silent.stdout, silent.stderr) == (0, b"", b"")
    assert not (tmp_path / "started").exists()

    (tmp_path / "a" / ".hypervisor" / "live" / "inbox").touch()
    subprocess.run(call, cwd=inner, env=environment, input=b"{}", check=True)
    assert (tmp_path / "started").read_text() == "hypervisor\n"


@pytest.mark.parametrize("how", ["planted", "copied", "a link"])
def test_where_the_state_is_not_ours_the_guard_starts_no_process(how: str, tmp_path: Path) -> None:
    state(tmp_path)
    (tmp_path / "a/.hypervisor/live/inbox").touch()
    inner = make(tmp_path / "clone")
    if how == "a link":
        (inner / ".hypervisor").symlink_to(tmp_path / "a/.hypervisor")
    elif how == "copied":
        shutil.copytree(tmp_path / "a/.hypervisor", inner / ".hypervisor")
    else:
        make(inner / ".hypervisor/live")
        (inner / ".hypervisor/live/inbox").touch()
        (inner / ".hypervisor/id").write_text("../" * 40)
    plugin = make(tmp_path / "plugin/hooks")
    (plugin / "guard").write_bytes(GUARD.read_bytes())
    started = tmp_path / "started"
    program = make(tmp_path / "plugin/bin") / "hypervisor"
    program.write_text(f"#!/bin/sh\ntouch '{started}'\n")
    for tool in (plugin / "guard", program):
        tool.chmod(0o755)
    for place, comes in ((inner, False), (tmp_path / "a", True)):
        subprocess.run([plugin / "guard", "Stop"], cwd=place, input=b"{}", check=True)
        assert started.exists() is comes, place


def test_without_an_environment_the_hook_makes_none_and_is_silent(tmp_path: Path) -> None:
    inner = state(tmp_path)
    (tmp_path / "a" / ".hypervisor" / "live" / "inbox").touch()
    environment = {**os.environ, "HYPERVISOR_HOME": str(tmp_path / "none")}
    ran = subprocess.run(
        [GUARD, "Stop"], cwd=inner, env=environment, input=b"{}", capture_output=True
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")
    assert not (tmp_path / "none").exists()
