"""One run of the integrator: what the ledger accepted is merged, checked and published, item by
item; what does not fit is set aside.

Each step may be the last before a kill -9. The branch moves before the ledger notes it, and a
commit that the branch holds already only needs the note: the next run goes on from there.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from hypervisor.ledger import Ledger, markers
from hypervisor.ledger.check import Check, checks_of
from hypervisor.ledger.rows import Branch
from hypervisor.system.errors import HypervisorError
from hypervisor.system.git import Git
from hypervisor.system.text import one_line, shell
from hypervisor.worker import checks, evidence, outbox, verify
from hypervisor.worker.branches import claim_tree
from hypervisor.worker.branches.claim_tree import accepted_commit
from hypervisor.worker.branches.worktrees import home_of
from hypervisor.worker.integrate.memory import Memory
from hypervisor.worker.integrate.target import InTheWay, Moved, Target
from hypervisor.worker.integrate.workshop import Conflict, Missing, Workshop, named, sweep
from hypervisor.worker.settle import settle

# The lease of the only integrator, for those on other machines; and how often it is renewed.
_LEASE = 120.0
_BEAT = 20.0
_TRIES = 20
_MOMENT = 1.0
# So many are merged before the branch moves, in one step.
_AT_ONCE = 50
_SHOWN_TAIL = 600


class Integrated:
    """What became of the accepted branches: (item id, commit) `merged`, and (item id, why) of those
    `aside` and of those `left` for another run; `warnings` for the user."""

    def __init__(self, into: str) -> None:
        self.into = into
        self.merged: list[tuple[str, str]] = []
        self.aside: list[tuple[str, str]] = []
        self.left: list[tuple[str, str]] = []
        self.warnings: list[str] = []


def integrate(
    ledger: Ledger,
    queue: str,
    into: str | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Integrated:
    """Merge the accepted branches of `queue` into the branch `into` (default: the one checked out
    at the root), in the order in which their items ended; `tell` hears of each.

    Raises UsageError, GitError, HypervisorError; what was merged until then is merged.
    """
    ledger.queues.get(queue)
    ended: list[tuple[str, Target, dict[str, str]]] = []
    with _alone(ledger) as beat:
        settle(ledger)
        done = None
        for home in _homes(ledger, queue):
            git = Git(home, root=ledger.root, beat=beat, beat_every=_BEAT)
            target = Target(git, into)
            sweep(git)
            done = done or Integrated(target.name)
            run = _Run(ledger, queue, git, target, tell, beat, done)
            run.go()
            ended.append((home, target, run.accepted))
    for home, target, accepted in ended:
        target.forget(accepted)
        claim_tree.clear(ledger, home)
    assert done is not None
    return done


def _homes(ledger: Ledger, queue: str) -> list[str]:
    """Return the folders whose repositories have branches of `queue`: the root, unless all are
    those of repositories in it."""
    rows = [*ledger.branches.set_aside_rows(queue), *ledger.branches.unmerged(queue)]
    return list(dict.fromkeys(home_of(ledger.root, row.path) for row in rows)) or [ledger.root]


class _Run:
    def __init__(
        self, ledger: Ledger, queue: str, git: Git, target: Target, tell: Callable[[str], None],
        beat: Callable[[], None], done: Integrated,
    ) -> None:  # fmt: skip
        self._ledger = ledger
        self._queue = queue
        self._target = target
        self._tell = tell
        self._beat = beat
        self._git = git
        # Where the branch is, as we have left it; None if only the repository knows.
        self._tip: str | None = None
        self._most = _AT_ONCE
        # Of what was merged: the branches, each with the commit that the ledger accepted of it.
        self.accepted: dict[str, str] = {}
        self.done = done
        self._how = f"merged into {target.name}"
        self._held = f"was in {target.name} already"

    def go(self) -> None:
        self._target.fetch()
        tip = self._target.tip()
        for row in self._of_here(self._ledger.branches.set_aside_rows(self._queue)):
            commit = accepted_commit(row)
            if commit and self._git.has(commit, tip):
                self._note_merged((row, commit, "merged by hand"))
            else:
                why = f"set aside before, and {row.branch} is not merged yet"
                self.done.aside.append((row.id, why))
                self._tell(f"{one_line(row.id, 60)}: {why}")
        rows = self._of_here(self._ledger.branches.unmerged(self._queue))
        if not rows:
            return
        self._tip = tip
        memory, shop, workshop = Memory(self._git), ExitStack(), None
        with shop:
            while rows:
                self._beat()
                count = self._together(memory, rows[: self._most])
                if not count:
                    workshop = workshop or shop.enter_context(Workshop(self._git, tip))
                    self._one(workshop, rows[0])
                rows = rows[count or 1 :]

    def _of_here(self, rows: list[Branch]) -> list[Branch]:
        """Return those of `rows` whose work is in this repository."""
        root = self._ledger.root
        return [row for row in rows if home_of(root, row.path) == self._git.folder]

    def _together(self, memory: Memory, rows: list[Branch]) -> int:
        """Merge the first of `rows`, as far as that takes no working tree, move the branch once,
        and return how many were dealt with. A check takes a working tree."""
        wanted: list[tuple[Branch, str]] = []
        for row in rows:
            commit = accepted_commit(row)
            if commit is None or _commands(row):
                break
            wanted.append((row, commit))
        told = [(commit, _message(row)) for row, commit in wanted]
        made: list[tuple[Branch, str, str]] = []
        for _ in range(_TRIES):
            tip = at = self._tip or self._target.tip()
            made = []
            for (row, commit), merged in zip(wanted, memory.merges(tip, told), strict=False):
                made.append((row, commit, self._held) if merged == at else (row, merged, self._how))
                at = merged
                self._beat()
            if at == tip:
                break
            self._tip = None
            try:
                warning = self._target.advance(at, tip)
            except Moved:
                continue
            except InTheWay as error:
                # It may be in the way of one of them only.
                self._most = 1
                if len(made) > 1:
                    return self._together(memory, rows[:1])
                self._leave(made[0][0], str(error))
                return 1
            if warning:
                self.done.warnings.append(warning)
            else:
                self._tip = at
            break
        else:
            return 0
        self._note_merged(*made)
        return len(made)

    def _one(self, workshop: Workshop, row: Branch) -> None:
        commit = accepted_commit(row)
        if commit is None:
            self._note_merged((row, row.base_commit, "nothing changed"))
            return
        try:
            for _ in range(_TRIES):
                tip = self._tip = self._tip or self._target.tip()
                merged = self._merged(workshop, row, commit, tip)
                if merged == tip:
                    self._note_merged((row, commit, self._held))
                    return
                self._tip = None
                try:
                    warning = self._target.advance(merged, tip)
                except Moved:
                    continue
                if warning:
                    self.done.warnings.append(warning)
                else:
                    self._tip = merged
                self._note_merged((row, merged, self._how))
                return
            self._leave(row, f"{self._target.name} moved again and again")
        except Missing:
            self._leave(
                row, f"its commit {commit[:12]} is not in this clone: git fetch, or push it"
            )
        except InTheWay as error:
            self._leave(row, str(error))
        except Conflict as error:
            self._set_aside(row, str(error))

    def _merged(self, workshop: Workshop, row: Branch, commit: str, tip: str) -> str:
        """Merge and check, and return the merge's commit, `tip` if that holds the work already.

        Raises Missing and Conflict.
        """
        name = self._target.name
        merged = workshop.merge(tip, commit, name, _message(row))
        commands = _commands(row) if merged != tip else []
        if not commands:
            return merged
        changed = self._git.changed(row.base_commit, commit)
        inside = [
            os.path.relpath(os.path.join(self._git.top(), path), self._ledger.root)
            for path in changed
        ]
        known = evidence.of(row, json.loads(row.report or "{}"), inside)
        for check in commands:
            checked = checks.run(
                self._ledger, row, check, known, workshop.work, workshop.turns, self._beat, _BEAT
            )
            if not checked.ok:
                files = named(changed)
                tail = one_line(checked.tail[-_SHOWN_TAIL:], _SHOWN_TAIL)
                raise Conflict(
                    f"merged into {name} it fails the queue's check ({checked.why}); it changed "
                    f"{files}{checked.lacked}"
                    + (f"; the end of its output: {tail}" if tail else "")
                )
        return merged

    def _note_merged(self, *merges: tuple[Branch, str, str]) -> None:
        """Note of claims what commit they came to, and how."""
        self._beat()
        new = self._ledger.branches.merged({row.token: commit for row, commit, _ in merges})
        for row, commit, how in merges:
            if row.token in new:
                self.done.merged.append((row.id, commit))
                self.accepted[row.branch] = accepted_commit(row) or ""
                self._tell(f"{one_line(row.id, 60)}: {how}")
        outbox.flush(self._ledger)

    def _set_aside(self, row: Branch, why: str) -> None:
        self._beat()
        branch = row.branch
        told = (
            f"{why}. Its work is on branch {branch}: merge that by hand, then run "
            f"hypervisor integrate {self._queue} again; or, to have it redone: "
            f"hypervisor retry {self._queue} {shell(row.id)}"
        )
        if self._ledger.branches.set_aside(row.token, told):
            markers.mark(self._ledger, self._queue)
            self.done.aside.append((row.id, why))
            self._tell(f"{one_line(row.id, 60)}: set aside: {why}")
            outbox.flush(self._ledger)

    def _leave(self, row: Branch, why: str) -> None:
        self.done.left.append((row.id, why))
        self._tell(f"{one_line(row.id, 60)}: not merged: {why}")


def _commands(row: Branch) -> list[Check]:
    """Return the checks that a merge has to pass: a branch's own files were looked at before."""
    return [check for check in checks_of(row) if check.command is not None]


def _message(row: Branch) -> str:
    subject = one_line(f"Merge {row.id}: {row.title or 'done'}", 72)
    return f"{subject}\n\nHypervisor-Claim: {row.token}\n"


@contextmanager
def _alone(ledger: Ledger) -> Iterator[Callable[[], None]]:
    """Be the only integrator of the project; yields what renews the lease, and raises
    HypervisorError once it is another's."""
    busy = "run it again when that has ended"
    holder = f"{os.uname().nodename}:{ledger.root}"
    with ledger.state.folder.opened_lock("integrate.lock") as turn:
        # What a killed one was just starting has the lock for a moment longer.
        if not verify.wait_for_turn(turn, lambda: None, _BEAT, _MOMENT):
            raise HypervisorError("another 'hypervisor integrate' is at work here", busy)
        renewed = 0.0

        def beat() -> None:
            nonlocal renewed
            if time.monotonic() - renewed < _BEAT / 2:
                return
            other = ledger.branches.lead_merges(holder, _LEASE)
            if other is not None:
                raise HypervisorError(f"'hypervisor integrate' is at work on {other}", busy)
            renewed = time.monotonic()

        beat()
        try:
            yield beat
        finally:
            ledger.branches.end_merges(holder)
