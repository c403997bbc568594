"""What an undo of our own edits leaves of workers' work, each with the git command against it."""

from __future__ import annotations

import os

from hypervisor.system.checkout import top_of
from hypervisor.system.digests import digest_of, sha256
from hypervisor.system.git import Git
from hypervisor.system.records import NamedTuple
from hypervisor.system.text import shell
from hypervisor.worker.outbox import is_task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from hypervisor.ledger import Ledger
    from hypervisor.ledger.findings import Result

_LOOKED_AT = 200


class Stays(NamedTuple):
    """Something of the item `id` that stays: a commit or a path (`what`), and the `command` that
    takes it back, None where there is none."""

    id: str
    what: str
    command: str | None


class WhatStays:
    """What the workers of a queue, or of one item of it, are known to have left: `commits`, merges
    among them, the newest first; `files` that they told of, and of which we have edited none; and
    task files of `ours` with `edits` of theirs in them, ticked boxes for instance. Outside of git
    (`in_git`) no command is known against any of it."""

    def __init__(
        self, ledger: Ledger, queue: str, item_id: str | None, ours: Collection[str]
    ) -> None:
        self.in_git = top_of(ledger.root) is not None
        self._git = Git(ledger.root) if self.in_git else None
        self._looks = _LOOKED_AT
        self.commits: list[Stays] = []
        self.files: list[Stays] = []
        self.edits: list[Stays] = []
        rows = [row for row in ledger.queries.results(queue) if item_id in (None, row.id)]
        for row in sorted(rows, key=lambda row: -(row.finish_no or 0)):
            report = row.report or {}
            if report.get("commit"):
                self.commits.append(self._commit(ledger, row, str(report["commit"])))
        for row in rows:
            for path in (row.report or {}).get("files") or []:
                if path not in ours:
                    self.files.append(Stays(row.id, str(path), self._against(str(path))))
            opened = (row.content or "")[:64]
            if is_task(row.path, row.fingerprint) and row.path in ours and opened:
                command = self._against(row.path)
                file = os.path.join(ledger.root, row.path)
                if command is not None and digest_of(file) not in (None, opened):
                    # The commit may not have the task, or not as it was: a person's words would go.
                    kept = self._committed(row.path) == opened
                    self.edits.append(Stays(row.id, row.path, command if kept else None))

    def _commit(self, ledger: Ledger, row: Result, commit: str) -> Stays:
        claim = ledger.queries.claim_of(row.token or "")
        if claim is not None and claim.merged_at is not None and claim.merge:
            commit = claim.merge
        if self._git is None:
            return Stays(row.id, commit, None)
        if self._git.ok("merge-base", "--is-ancestor", commit, "HEAD"):
            parents = self._git("rev-list", "--parents", "--max-count=1", commit).split()
            side = " -m 1" if len(parents) > 2 else ""
            return Stays(row.id, commit, f"git revert --no-edit{side} {shell(commit)}")
        if claim is not None and claim.branch and self._git.at_ref(f"refs/heads/{claim.branch}"):
            return Stays(row.id, commit, f"git branch -D {shell(claim.branch)}")
        return Stays(row.id, commit, None)

    def _committed(self, path: str) -> str | None:
        """Return the SHA-256 of a file as a checkout would write it; None for one git lacks."""
        assert self._git is not None
        code, told, _ = self._git.run("cat-file", "--filters", f"HEAD:./{path}")
        return None if code else sha256(os.fsencode(told))

    def _against(self, path: str) -> str | None:
        """Return what takes back what is not committed of a file; None where nothing does."""
        self._looks -= 1
        if self._git is None or self._looks < 0:
            return None
        code, told, _ = self._git.run("status", "--porcelain", "--", path)
        if code or not told:
            return None
        command = "clean -f" if told.startswith("??") else "checkout HEAD"
        return f"git {command} -- {shell(path)}"
