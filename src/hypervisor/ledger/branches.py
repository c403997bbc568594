"""Work on branches, as the ledger sees it: which claim works where, and what was merged.

An item that was done on a branch satisfies those that wait for it when the branch is merged, not
before: they begin at a commit that holds it.
"""

from __future__ import annotations

import time

from hypervisor.ledger.claim_ids import number_of
from hypervisor.ledger.ends import AWAITED
from hypervisor.ledger.part import Part
from hypervisor.ledger.rows import Branch, Left, columns, of
from hypervisor.system.errors import NotOwner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from hypervisor.ledger.ends import Ends

# Of a claim's `merge`, when its branch was set aside: the rest says why.
ASIDE = "set aside: "
_NEWEST = "i.claim = c.no"
_OTHERS = (
    of("i", "no project id path title payload state fingerprint format")
    | of("q", "verify check_env check_base checks scope")
    | {"claim": "c.no", "queue_name": "q.name", "newest": _NEWEST, "awaited": AWAITED}
)
_ITEM = of("i", "no queue id path title")
_BRANCH = (
    f"select {columns(Branch, 'c', **_OTHERS)} "
    "from claim c join item i on i.no = c.item join queue q on q.no = i.queue "
)


class Branches(Part):
    """The verbs of work on branches."""

    _ends: Ends

    def note(self, token: str, branch: str, worktree: str, base: str) -> None:
        """Note where a live claim works. Raises NotOwner."""
        with self._store.write():
            if self._ends.held(token) is None:
                raise NotOwner(*self._ends.lost(token))
            self._store.change(
                "update claim set branch = ?, worktree = ?, base_commit = ? where no = ?",
                (branch, worktree, base, number_of(token)),
            )

    def find(self, token: str) -> Branch | None:
        """Return a claim that works on a branch, with its item and its queue, or None."""
        return self._store.one(
            Branch,
            _BRANCH + "where c.no = ? and c.token = ? and c.branch is not null",
            (number_of(token), token),
        )

    def unmerged(self, queue: str) -> list[Branch]:
        """Return the accepted claims of `queue`, all its generations, whose branches are neither
        merged nor set aside, in the order of their end."""
        return self._store.all(
            Branch,
            _BRANCH + "where c.branch is not null and c.merge is null and c.outcome = 'done' "
            "and i.claim = c.no and i.state = 'done' and q.project = ? and q.name = ? "
            "order by i.finish_no",
            (self._store.project, queue),
        )

    def set_aside_rows(self, queue: str) -> list[Branch]:
        """Return the accepted claims of `queue` whose branches were set aside."""
        return self._store.all(
            Branch,
            _BRANCH + "where c.branch is not null and c.merged_at is null and c.merge is not null "
            "and c.outcome = 'done' and i.claim = c.no and i.state = 'blocked' "
            "and q.project = ? and q.name = ? order by i.finish_no",
            (self._store.project, queue),
        )

    def merged(self, commits: dict[str, str]) -> set[str]:
        """Note what commits accepted branches came to, by token; return the tokens of which that
        was not known.

        An item that was set aside, and that somebody has merged by hand, is done again.
        """
        with self._store.write(durable=True):
            return {token for token, commit in commits.items() if self._merged(token, commit)}

    def _merged(self, token: str, commit: str) -> bool:
        row = self.find(token)
        if row is None or not self._store.change(
            "update claim set merge = ?, merged_at = ? where no = ? and outcome = 'done' "
            "and merged_at is null",
            (commit, time.time(), row.claim),
        ):
            return False
        if row.newest and row.state == "blocked":
            pending = "report" if row.fingerprint or row.format else None
            self._ends.final(row, "done", None, time.time(), pending)
        elif row.newest:
            self._store.change(
                "update item set pending = 'report' where no = ? and pending = 'merge'",
                (row.no,),
            )
            if row.awaited or self._store.is_shared:
                self._ends.satisfy(row.project, row.id)
        return True

    def set_aside(self, token: str, why: str) -> bool:
        """Block the item of an accepted branch that can't be merged; False if it is too late."""
        with self._store.write(durable=True):
            row = self.find(token)
            if row is None or not self._store.change(
                "update claim set merge = ? where no = ? and outcome = 'done' and merge is null",
                (ASIDE + why, row.claim),
            ):
                return False
            if row.newest and row.state == "done":
                pending = "report" if row.fingerprint or row.format else None
                self._ends.final(row, "blocked", why, time.time(), pending)
        return True

    def find_all(self, tokens: Iterable[str]) -> dict[str, Left]:
        """Return what the ledger knows of the claims that these tokens name, by token."""
        found = {}
        for token in tokens:
            row = self._store.one(
                Left,
                f"select {columns(Left, 'c', **_ITEM)} from claim c join item i "
                "on i.no = c.item where c.no = ? and c.token = ?",
                (number_of(token), token),
            )
            if row is not None:
                found[token] = row
        return found

    def are_merged(self, tokens: Iterable[str]) -> bool:
        """True if the branch of one of the claims that these tokens name is merged."""
        numbers = {number_of(token): token for token in tokens}
        found = self._store.rows(
            "select no, token from claim where merged_at is not null and no in "
            f"(-1{', ?' * len(numbers)})",
            tuple(numbers),
        )
        return any(numbers[no] == token for no, token in found)

    def lead_merges(self, holder: str, seconds: float) -> str | None:
        """Become the project's only integrator for `seconds`; None, or who is at work.

        The holder of the lease renews it by asking again.
        """
        with self._store.write():
            now = self._store.engine.lease_clock()
            self._store.change(
                "insert into integrator (project, holder, until) values (?, ?, ?) "
                "on conflict (project) do update set holder = excluded.holder, "
                "until = excluded.until where integrator.until < ? "
                "or integrator.holder = excluded.holder",
                (self._store.project, holder, now + round(seconds * 1_000_000), now),
            )
            row = self._store.row(
                "select holder from integrator where project = ?", (self._store.project,)
            )
        return None if row["holder"] == holder else str(row["holder"])

    def end_merges(self, holder: str) -> None:
        """Give the lease of `lead_merges` back."""
        with self._store.write():
            self._store.change(
                "delete from integrator where project = ? and holder = ?",
                (self._store.project, holder),
            )
