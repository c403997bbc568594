"""Repositories with task files, and workers on branches of them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from hypervisor import worker
from hypervisor.ledger import Ledger
from hypervisor.ledger.schema import LEASED
from hypervisor.worker.integrate import Integrated, integrate
from ledger.support import Child
from worker.support import open_queue, write_task

WHO = {
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}


def git(folder: Path | str, *words: str) -> str:
    """Run git in `folder` and return what it prints."""
    done = subprocess.run(
        ["git", "-C", str(folder), *words],
        env=os.environ | WHO,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def commit_all(folder: Path | str, message: str = "x") -> str:
    """Commit all that stands in `folder` and return the commit's id."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--no-verify", "-m", message)
    return git(folder, "rev-parse", "HEAD").strip()


def add_commit(root: Path, branch: str) -> None:
    """Add a commit to a branch that nobody has checked out."""
    told = git(root, "commit-tree", "-p", branch, "-m", "more", f"{branch}^{{tree}}")
    git(root, "update-ref", f"refs/heads/{branch}", told.strip())


def lay_out(root: Path, count: int, **options: Any) -> None:
    """A repository at `root` with `count` committed tasks `t0`…, and the queue `q` over them."""
    git(root, "init", "--quiet", "-b", "main")
    for number in range(count):
        write_task(root, f"t{number}")
    commit_all(root, "first")
    open_queue(root, **options)


def take(root: Path, only: str | None = None, **options: Any) -> Any:
    """Claim an item of `q` with a branch."""
    with Ledger.open(str(root)) as ledger:
        claims = worker.take(ledger, "q", "w", only=only, **({"branch": True} | options))
    return claims[0] if claims else None


def do(root: Path, claim: Any, **files: str) -> None:
    """Write `files` (their names with `_` for dots) into a claim's working tree."""
    for name, text in files.items():
        path = Path(claim.worktree) / name.replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def done(root: Path, claim: Any, summary: str = "did it") -> str:
    """End a claim as done."""
    with Ledger.open(str(root)) as ledger:
        return worker.finish(ledger, claim.token, "done", {"summary": summary}).state


def done_in_child(root: Path, claim: Any) -> str:
    """End a claim as done in a process of its own."""
    told: str = Child(done, root, claim).result()
    return told


def work(root: Path, only: str | None = None, **files: str) -> Any:
    """Claim an item, write `files` into its tree, and end it as done."""
    claim = take(root, only)
    do(root, claim, **files)
    assert done(root, claim) == "done"
    return claim


def merge(root: Path, into: str | None = None) -> Integrated:
    """Integrate `q`."""
    with Ledger.open(str(root)) as ledger:
        return integrate(ledger, "q", into)


def rows(root: Path) -> dict[str, dict[str, Any]]:
    """The items of `q` by id, with what the ledger says of their claim."""
    with Ledger.open(str(root)) as ledger:
        return {
            row["id"]: dict(row)
            for row in ledger.store.rows(
                "select i.*, c.token, c.branch, c.merge, c.merged_at, c.base_commit, c.report "
                "from item i left join claim c on c.no = i.claim"
            )
        }


def let_expire(root: Path) -> None:
    """End the lease of every claim, as time does."""
    with Ledger.open(str(root)) as ledger:
        with ledger.store.write():
            ledger.store.change("update item set turn = ? where turn < 0", (LEASED,))
        ledger.ends.expire()


def branches(root: Path) -> list[str]:
    """Our branches that stand."""
    told = git(root, "for-each-ref", "--format=%(refname:short)", "refs/heads/hypervisor/")
    return told.splitlines()


def trees(root: Path) -> list[str]:
    """Our working trees that stand."""
    folder = root / ".hypervisor" / "worktrees"
    return sorted(os.listdir(folder)) if folder.exists() else []


def report_of(row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row["report"])
    return found
