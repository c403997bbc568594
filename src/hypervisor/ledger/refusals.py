"""Reports that a check has refused: kept, so that people see why an item stays, and counted."""

from __future__ import annotations

import time

from hypervisor.ledger.claim_ids import number_of
from hypervisor.ledger.part import Part
from hypervisor.ledger.rows import columns
from hypervisor.system.errors import NotOwner
from hypervisor.system.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypervisor.ledger.ends import Ends


class Refusal(NamedTuple):
    """A report of a claim (its number) that was refused: `at` Unix time, by the check called `name`
    or by what else looks at it, `why`, and the end of what that printed (`tail`)."""

    no: int
    claim: int
    at: float
    name: str
    why: str
    tail: str


def worded(name: str, why: str) -> str:
    """Return what has refused, and why; the name once, although the reason may hold it, too."""
    return why if why.startswith(name) else f"{name}: {why.replace(f': {name}: ', ': ', 1)}"


_ALL = f"select {columns(Refusal, 'r')} from refusal r "


class Refusals(Part):
    """The verbs of whoever refuses reports, and the questions about that."""

    _ends: Ends

    def note(self, token: str, name: str, why: str, tail: str) -> int:
        """Keep that the report of a live claim was refused; return how many of its reports were by
        now. Raises NotOwner."""
        with self._store.write():
            row = self._ends.held(token)
            if row is None:
                raise NotOwner(*self._ends.lost(token))
            self._store.change(
                "insert into refusal (claim, at, name, why, tail) values (?, ?, ?, ?, ?)",
                (row.claim, time.time(), name, why, tail),
            )
            count: int = self._store.row(
                "select count(*) from refusal where claim = ?", (number_of(token),)
            )[0]
        return count

    def of_claims(self, claims: Sequence[int]) -> dict[int, list[Refusal]]:
        """Return the refusals of these claims (their numbers), by claim, oldest first."""
        marks = ", ".join("?" * len(claims)) or "null"
        found: dict[int, list[Refusal]] = {}
        for row in self._store.all(
            Refusal, f"{_ALL}where r.claim in ({marks}) order by r.no", claims
        ):
            found.setdefault(row.claim, []).append(row)
        return found

    def called(self, numbers: Sequence[int]) -> list[Refusal]:
        """Return the refusals with these numbers."""
        marks = ", ".join("?" * len(numbers)) or "null"
        return self._store.all(Refusal, f"{_ALL}where r.no in ({marks})", numbers)
