"""Repositories and workers that want git to run their programs for them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor import worker
from hypervisor.config.roots import create_state
from hypervisor.ledger import Ledger
from hypervisor.system.errors import HypervisorError
from hypervisor.worker.commits.commit import commit
from worker.branches import support
from worker.branches.support import commit_all, do, done, git, lay_out, merge, rows, take, work
from worker.support import open_queue, write_task

Run = Callable[..., subprocess.CompletedProcess[str]]

# What names a program in a configuration; `*` stands for the program.
PROGRAMS = {
    "core.fsmonitor": "*",
    "core.pager": "*",
    "core.editor": "*",
    "core.askPass": "*",
    "core.sshCommand": "*",
    "core.gitProxy": "*",
    "core.alternateRefsCommand": "*",
    "sequence.editor": "*",
    "credential.helper": "!*",
    "diff.external": "*",
    "diff.planted.command": "*",
    "diff.planted.textconv": "*",
    "gpg.program": "*",
    "gpg.ssh.program": "*",
    "interactive.diffFilter": "*",
    "pager.status": "*",
    "alias.add": "!*",
    "alias.commit": "!*",
    "alias.status": "!*",
    "trailer.planted.command": "*",
    "uploadpack.packObjectsHook": "*",
    "protocol.ext.allow": "always",
    "remote.origin.url": "ext::*",
    "submodule.planted.update": "!*",
    "commit.gpgSign": "true",
    "tag.gpgSign": "true",
    "merge.verifySignatures": "true",
    "log.showSignature": "true",
    "status.submoduleSummary": "true",
    "submodule.recurse": "true",
    "core.untrackedCache": "true",
}
HOOKS = (
    "applypatch-msg", "commit-msg", "fsmonitor-watchman", "post-applypatch", "post-checkout",
    "post-commit", "post-index-change", "post-merge", "post-rewrite", "pre-applypatch",
    "pre-auto-gc", "pre-commit", "pre-merge-commit", "pre-push", "pre-rebase",
    "prepare-commit-msg", "reference-transaction", "sendemail-validate",
)  # fmt: skip


def program(project: Path, name: str) -> Path:
    """A program that notes that it was run, and passes on what it is given."""
    path = project.parent / f"program-{name.replace('/', '-')}"
    path.write_text(f'#!/bin/sh\necho {name} >>"{project.parent}/ran"\ncat 2>/dev/null\n')
    path.chmod(0o755)
    return path


def ran(project: Path) -> list[str]:
    note = project.parent / "ran"
    return sorted(set(note.read_text().split())) if note.exists() else []


def plant(project: Path, repository: Path, *, filters: bool) -> None:
    """Have the configuration of a repository name programs wherever it can."""
    for name, value in PROGRAMS.items():
        git(repository, "config", name, value.replace("*", str(program(project, name))))
    hooks = repository / ".planted-hooks"
    hooks.mkdir()
    for name in HOOKS:
        (hooks / name).symlink_to(program(project, f"hook-{name}"))
    git(repository, "config", "core.hooksPath", str(hooks))
    attributes = "* diff=planted\n"
    if filters:
        for key in ("clean", "smudge", "process"):
            git(repository, "config", f"filter.f.{key}", str(program(project, f"filter-{key}")))
        git(repository, "config", "merge.m.driver", str(program(project, "merge-driver")))
        attributes += "* filter=f merge=m\n"
    private = git(repository, "rev-parse", "--absolute-git-dir").strip()
    (Path(private) / "info").mkdir(exist_ok=True)
    (Path(private) / "info" / "attributes").write_text(attributes)


def made(root: Path, *files: str, folder: Path | None = None) -> str:
    return commit(create_state(str(root)), "m", files, str(folder or root))


def test_nothing_that_a_configuration_names_runs_but_filters_and_merge_drivers(
    project: Path, run_hypervisor: Run
) -> None:
    lay_out(project, 3, scope="named")
    plant(project, project, filters=False)
    (project / ".gitignore").write_text(".planted-hooks\n")
    claim = take(project, branch=False)
    (project / "a.txt").write_text("a\n")
    made(project, "a.txt")
    told = run_hypervisor("done", claim.token, "--summary", "x")
    assert told.returncode == 1 and "a.txt" in told.stderr
    with_branch = take(project)
    task = Path(with_branch.worktree) / "tasks" / "t1.md"
    task.write_text(task.read_text() + "\nMore.\n")
    assert done(project, with_branch) == "done"
    assert len(merge(project).merged) == 1
    assert run_hypervisor("doctor").returncode in (0, 1)
    assert ran(project) == []


def test_filters_and_merge_drivers_of_the_projects_own_repository_run(project: Path) -> None:
    lay_out(project, 2)
    for key in ("clean", "smudge"):
        git(project, "config", f"filter.f.{key}", str(program(project, f"filter-{key}")))
    driver = project.parent / "driver"
    driver.write_text(f'#!/bin/sh\necho driver >>"{project.parent}/ran"\ncat "$2" >>"$1"\n')
    driver.chmod(0o755)
    git(project, "config", "merge.m.driver", f"{driver} %A %B")
    (project / ".gitattributes").write_text("*.txt filter=f merge=m\n")
    commit_all(project)
    first, second = take(project), take(project)
    for claim, text in ((first, "one\n"), (second, "two\n")):
        do(project, claim, a_txt=text)
        assert done(project, claim) == "done"
    assert len(merge(project).merged) == 2
    assert (project / "a.txt").read_text() == "one\ntwo\n"
    assert ran(project) == ["driver", "filter-clean", "filter-smudge"]


def nested(project: Path) -> Path:
    """A repository below the project, as an unpacked archive brings it."""
    inner = project / "vendor"
    git(project, "init", "--quiet", "-b", "main", str(inner))
    (inner / "f.txt").write_text("1\n")
    git(inner, "add", "f.txt")
    git(inner, "commit", "--quiet", "-m", "first")
    return inner


def test_a_commit_in_a_repository_below_runs_nothing_of_its_configuration(project: Path) -> None:
    lay_out(project, 1)
    inner = nested(project)
    plant(project, inner, filters=True)
    (inner / "f.txt").write_text("2\n")
    before = git(inner, "rev-parse", "HEAD")
    with pytest.raises(HypervisorError, match="filter 'f' is not set up"):
        made(project, "f.txt", folder=inner)
    assert git(inner, "rev-parse", "HEAD") == before
    (inner / ".git" / "info" / "attributes").unlink()
    made(project, "f.txt", folder=inner)
    assert ran(project) == []
    assert git(inner, "cat-file", "-p", "HEAD:f.txt") == "2\n"


def test_what_the_user_has_set_up_for_all_repositories_runs_as_the_user_has_it(
    project: Path,
) -> None:
    lay_out(project, 1)
    inner = nested(project)
    plant(project, inner, filters=True)
    git(inner, "config", "--unset", "filter.f.process")
    git(project, "config", "--global", "filter.f.clean", "tr a-z A-Z")
    (inner / "f.txt").write_text("mine\n")
    made(project, "f.txt", folder=inner)
    assert git(inner, "cat-file", "-p", "HEAD:f.txt") == "MINE\n"
    assert ran(project) == []


def test_a_tree_whose_worker_leads_it_to_another_repository_is_not_worked_in(
    project: Path,
) -> None:
    lay_out(project, 1)
    claim = take(project)
    work = Path(claim.worktree)
    evil = project.parent / "evil"
    git(project.parent, "init", "--quiet", "-b", "main", "evil")
    plant(project, evil, filters=True)
    do(project, claim, a_txt="a\n")
    for pointer in (f"gitdir: {evil}/.git\n", f"gitdir: {project}/.git\n"):
        (work / ".git").write_text(pointer)
        with pytest.raises(HypervisorError, match="the working tree of this claim is gone"):
            done(project, claim)
    (work / ".git").unlink()
    (evil / ".git").rename(work / ".git")
    with pytest.raises(HypervisorError, match="the working tree of this claim is gone"):
        done(project, claim)
    assert ran(project) == [] and rows(project)["t0"]["state"] == "claimed"
    assert git(project, "log", "--format=%s") == "first\n"


@pytest.mark.parametrize("where", ["root", "branch"])
def test_a_repository_that_stands_where_git_keeps_a_link_is_not_looked_into(
    where: str, project: Path
) -> None:
    git(project, "init", "--quiet", "-b", "main")
    write_task(project, "t0")
    hash_ = "1" * 40
    git(project, "update-index", "--add", "--cacheinfo", f"160000,{hash_},vendor")
    commit_all(project)
    git(project, "update-index", "--add", "--cacheinfo", f"160000,{hash_},vendor")
    git(project, "commit", "--quiet", "--amend", "-m", "first")
    open_queue(project, scope="named")
    claim = take(project, branch=where == "branch")
    folder = Path(claim.worktree or project)
    inner = folder / "vendor"
    inner.mkdir(exist_ok=True)
    git(inner, "init", "--quiet", "-b", "main")
    (inner / "f.txt").write_text("1\n")
    git(inner, "add", "f.txt")
    git(inner, "commit", "--quiet", "-m", "x")
    plant(project, inner, filters=True)
    (inner / "f.txt").write_text("2\n")
    task = folder / "tasks" / "t0.md"
    task.write_text(task.read_text() + "\nMore.\n")
    if where == "root":
        made(project, "tasks/t0.md")
        with pytest.raises(worker.Refused, match=r"vendor/\.git/config"):
            done(project, claim)
    else:
        with pytest.raises(HypervisorError, match=r"^vendor: a repository of its own"):
            done(project, claim)
        with Ledger.open(str(project)) as ledger:
            worker.finish(ledger, claim.token, "blocked", {"reason": "it is a repository"})
        kept = project / ".hypervisor" / "kept" / claim.token / "vendor" / "f.txt"
        assert kept.read_text() == "2\n"
        assert git(project, "ls-tree", claim.branch, "vendor").split()[2] == hash_
    assert ran(project) == []


def test_hooks_of_a_submodule_do_not_run(project: Path) -> None:
    other = project.parent / "other"
    git(project.parent, "init", "--quiet", "-b", "main", "other")
    (other / "x").write_text("x")
    commit_all(other)
    git(project, "init", "--quiet", "-b", "main")
    add = ("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "sub")
    git(project, *add)
    write_task(project, "t0")
    commit_all(project)
    plant(project, project / "sub", filters=False)
    open_queue(project)
    (project / "sub" / "y").write_text("y")
    made(project, "y", folder=project / "sub")
    assert git(project / "sub", "show", "--format=", "--name-only", "HEAD") == "y\n"
    work(project, a_txt="a")
    merge(project)
    assert ran(project) == []


def test_files_that_look_like_a_bare_repository_are_committed_as_files(project: Path) -> None:
    """The project's root itself, as a clone brings it: a folder with settings, no `.git`."""
    git(project.parent, "init", "--quiet", "-b", "main", ".")
    git(project.parent, "init", "--quiet", "--bare", "bare")
    for path in (project.parent / "bare").iterdir():
        path.rename(project / path.name)
    (project / "config").write_text(
        f'[core]\nbare = false\nworktree = .\n[filter "x"]\nclean = {program(project, "clean")}\n'
    )
    (project / ".gitattributes").write_text("* filter=x\n")
    write_task(project, "t0")
    git(project.parent, "add", "--force", "project/tasks", "project/config")
    git(project.parent, "commit", "--quiet", "-m", "first")
    open_queue(project, scope="named")
    assert take(project, branch=False).id == "t0"
    (project / "a.txt").write_text("a\n")
    with pytest.raises(HypervisorError, match="filter 'x' is not set up"):
        made(project, "a.txt")
    (project / ".gitattributes").unlink()
    made(project, "a.txt")
    assert git(project.parent, "show", "--format=", "--name-only") == "project/a.txt\n"
    assert ran(project) == []
    assert support.branches(project) == []
