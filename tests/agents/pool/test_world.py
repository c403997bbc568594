"""What is the world's fault stops a pool with the cause, and is booked against no item."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.pool.support import counts, items, script
from hypervisor import worker
from hypervisor.agents.client import End
from hypervisor.agents.command.client import Command
from hypervisor.agents.pool import endings
from hypervisor.agents.pool.launch import View
from hypervisor.agents.pool.pool import Pool
from hypervisor.config.caller import PoolAgent
from hypervisor.ledger import Ledger, LedgerError
from hypervisor.system import killing
from hypervisor.system.errors import HypervisorError
from worker.branches.support import WHO, branches, git, lay_out
from worker.support import open_queue, write_task

Run = Callable[..., subprocess.CompletedProcess[str]]
WORK = ("work", "q", "--agent", "command", "--workers", "2", "--branch", "--")


@pytest.fixture(autouse=True)
def _identity(identity: None) -> None:
    """The commands commit."""


def untouched(root: Path) -> bool:
    """True if all items are ready, and none was charged."""
    costs = {item.attempts + item.deaths + item.releases for item in items(root).values()}
    return set(counts(root)) == {"ready"} and costs == {0}


def test_a_remote_that_refuses_pushes_stops_the_pool_and_the_work_stays_on_its_branch(
    project: Path, run_hypervisor: Run
) -> None:
    lay_out(project, 6)
    hub = project.parent / "hub.git"
    git(project, "init", "--quiet", "--bare", "-b", "main", str(hub))
    git(project, "remote", "add", "origin", str(hub))
    git(project, "push", "--quiet", "origin", "main")
    git(project, "config", "hypervisor.remote", "origin")
    hook = hub / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho no write access >&2; exit 1\n")
    hook.chmod(0o755)
    ran = run_hypervisor(*WORK, script(project, "echo work >made"), env=WHO)
    assert ran.returncode == 1 and "no write access" in ran.stdout, ran.stdout
    assert untouched(project)
    assert git(project, "show", f"{branches(project)[0]}:made") == "work\n"
    hook.unlink()
    assert (
        run_hypervisor(*WORK, script(project, "echo work >$HYPERVISOR_ID"), env=WHO).returncode == 0
    )
    assert counts(project) == {"done": 6}


@pytest.mark.parametrize("verb", ["add", "commit", "worktree"])
def test_a_full_disk_stops_the_pool_with_the_cause(
    verb: str, project: Path, run_hypervisor: Run
) -> None:
    lay_out(project, 3)
    folder = project.parent / "bin"
    folder.mkdir()
    full = folder / "git"
    full.write_text(
        f"#!/bin/sh\nfor word; do case $word in {verb}) "
        'echo "fatal: unable to write file: No space left on device" >&2; exit 128;; esac; done\n'
        f'exec {subprocess.check_output(["which", "git"], text=True).strip()} "$@"\n'
    )
    full.chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    ran = run_hypervisor(*WORK, script(project, "echo work >made"), env=WHO | {"PATH": path})
    assert ran.returncode == 1 and "No space left on device" in ran.stdout, ran.stdout
    assert untouched(project)


@pytest.mark.parametrize("how", ["failed", "overtime"])
def test_where_nothing_can_be_written_what_fails_is_not_the_item_s_fault(
    how: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_task(project, "a")
    open_queue(project)
    agent = PoolAgent("pool-x", "command-x-1", None, "q")
    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", agent.name, agent=agent)
        monkeypatch.setattr("tempfile.tempdir", str(project / "no" / "such"))
        lacks = endings.command_ended(ledger, claim, End(how, "broke"), agent=agent, force=False)
    assert lacks.startswith("nothing can be written here: ") and untouched(project)


def test_where_nothing_can_be_written_nothing_is_handed_out(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypervisor.agents.pool.pool.lacking", lambda ledger: "the disk is full")
    write_task(project, "a")
    open_queue(project)
    with Ledger.open(str(project)) as ledger:
        pool = Pool(ledger, "q", Command(["/bin/true"]), workers=1, items_each=1, seconds=60)
        assert (pool.run(), pool.cause, pool.begun) == ("refused", "the disk is full", False)
        assert not ledger.queries.claims_on(1)


def test_a_store_that_is_away_when_a_command_has_ended_blocks_no_item(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_task(project, "a")
    open_queue(project)
    agent = PoolAgent("pool-x", "command-x-1", None, "q")

    def away(*_: object, **__: object) -> None:
        raise LedgerError("the server does not answer")

    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", agent.name, agent=agent)
        with monkeypatch.context() as patch:
            patch.setattr("hypervisor.worker.ends._accept", away)
            with pytest.raises(LedgerError):
                endings.command_ended(ledger, claim, End("finished"), agent=agent, force=False)
    assert counts(project) == {"claimed": 1}


def test_a_pool_whose_project_was_moved_away_ends_with_its_agents_and_the_cause(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypervisor.agents.pool.pool._TEND_SECONDS", 0)
    write_task(project, "a")
    open_queue(project)
    moved = project.parent / "moved"

    def move(view: View) -> None:
        if view.running:
            project.rename(moved)

    with Ledger.open(str(project)) as ledger:
        pool = Pool(
            ledger, "q", Command(["/bin/sleep", "777"]), workers=1, items_each=1, seconds=60,
            show=move,
        )  # fmt: skip
        with pytest.raises(HypervisorError, match="moved while it was in use"):
            pool.run()
    assert not killing.kill_marked("HYPERVISOR_POOL", pool.session)
    assert counts(moved) == {"claimed": 1}, "the next pool frees it"


def test_a_missing_identity_stops_the_pool_before_anything_is_handed_out(
    project: Path, run_hypervisor: Run
) -> None:
    lay_out(project, 2)
    nobody = dict.fromkeys(WHO, "")
    ran = run_hypervisor(*WORK, script(project, "true"), env=nobody)
    assert ran.returncode == 1 and "git config user.name" in ran.stdout
    assert untouched(project)
