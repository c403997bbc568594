"""A rejection leaves what was merged, and says what takes it back."""

from __future__ import annotations

from pathlib import Path

from hypervisor.ledger import Ledger
from hypervisor.worker import review
from worker.branches.support import commit_all, do, done, git, lay_out, merge, take
from worker.support import states


def test_a_merged_commit_stays_and_the_command_that_reverts_it_does(project: Path) -> None:
    lay_out(project, 1)
    claim = take(project)
    do(project, claim, a_txt="wrong\n")
    done(project, claim)
    merge(project)
    with Ledger.open(str(project)) as ledger:
        told = review.reject(ledger, "q", "t0", "ana", "it is wrong")
    assert states(project) == {"t0": "ready"} and (project / "a.txt").read_text() == "wrong\n"
    commit_all(project, "the mark is taken back")
    [commit] = told.stays.commits
    assert commit.command is not None and commit.command.startswith("git revert --no-edit -m 1 ")
    git(project, *commit.command.split()[1:])
    assert not (project / "a.txt").exists()
