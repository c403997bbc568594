"""What both engines share: statements, write transactions, and what happens at their ends.

One SQL text serves both. What stands in `/*! … */` is a comment to SQLite and a part of the
statement to PostgreSQL, where several writers work at once.
"""

from __future__ import annotations

import os

from hypervisor.config.store import EMBEDDED, VARIABLE
from hypervisor.system import machine
from hypervisor.system.errors import HypervisorError
from hypervisor.system.state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import Any, Protocol, TypeVar

    from hypervisor.system.records import NamedTuple

    T = TypeVar("T", bound=NamedTuple)

    class Rows(Protocol):
        """What a statement has found, or how many rows it changed."""

        @property
        def rowcount(self) -> int:
            """How many rows it changed."""

        def fetchone(self) -> Any:
            """Return the next row, or None."""

        def fetchall(self) -> list[Any]:
            """Return all rows that are left."""

        def __iter__(self) -> Iterator[Any]:
            """Yield the rows that are left."""

    class Connection(Protocol):
        """What carries out statements: of `sqlite3.Connection` what the ledger uses."""

        def execute(self, sql: str, values: Sequence[object] = (), /) -> Rows:
            """Carry out one statement."""

        def executemany(self, sql: str, values: Iterable[Sequence[object]], /) -> object:
            """Carry out one statement for each of `values`."""

    class Engine(Protocol):
        """What an engine does in its own way; `shared` is true where it has several writers, and
        `meta` is what the ledger said of itself when it was opened."""

        shared: bool
        meta: dict[str, str]

        @property
        def transaction(self) -> Transaction:
            """The write transaction of this connection."""

        @property
        def connection(self) -> Connection:
            """What carries out statements."""

        def close(self) -> None:
            """End the connection."""

        def look(
            self, sql: str, of: Sequence[tuple[object, ...]]
        ) -> Sequence[tuple[object, ...] | None]:
            """Return the row that `sql` selects for each of `of`, or None, as they now are."""

        def claim_number(self, last: int | None, count: int) -> int:
            """Return the number of a new claim, after `count` others of the same call."""

        def next_positions(self, count: int) -> int:
            """Reserve `count` places behind all others and return the first of them."""

        def lease_clock(self) -> int:
            """Return the time by which leases are judged: microseconds that only ever grow. A write
            transaction has one time: that of its first look at the clock."""

        def mind_clock(self) -> None:
            """Take back what the clock of leases was set by."""

        def end_number(self) -> int:
            """Return the number of what ends in this transaction, in the order of ends."""

        def is_of_earlier_boot(self, time: int) -> bool:
            """True for a time of the lease clock before the machine was restarted."""

        def settled_before(self) -> int:
            """Return the `finish_no` below which no end is still to come."""

        def data_version(self) -> int:
            """Return a number that differs from an earlier one if another has written since."""

        def compact(self) -> None:
            """Give the disk back what removed rows took; whoever writes meanwhile waits."""

        def fold(self) -> None:
            """Fold what was written back into the file, where there is one, beside all others."""

        def stand_still(self) -> None:
            """Have all others wait until the present transaction ends."""

        def number_from_here(self) -> None:
            """Have new numbers and places start above those in the tables."""

        def count_ends(self, count: int) -> None:
            """Note that `count` more ends were accepted, where an older state could be put back."""

        def ends_are_noted(self) -> bool:
            """True unless the note of accepted ends is behind."""

        def drop(self) -> None:
            """Remove the ledger, tables and all."""

        def refuse_writes(self, text: str) -> None:
            """Have whoever writes from now on be told `text`, also those who are connected."""


class LedgerError(HypervisorError):
    """The ledger can't be used as it is; the text says what mends it."""


class NoLedger(LedgerError):
    """There is no ledger at this root yet."""

    exit_code = 2


class Gone(LedgerError):
    """The server can't be reached any more; what was not committed is undone."""


class Collision(LedgerError):
    """Two writers stood in each other's way, and this one was undone."""


class Transaction:
    """A write transaction: what is to happen at its end, and its one time."""

    def __init__(self) -> None:
        self.durable = False
        self.now: int | None = None
        self.committed: dict[tuple[Callable[..., object], tuple[object, ...]], None] = {}
        self.undone: list[tuple[Callable[..., object], tuple[object, ...]]] = []
        self.proof: tuple[str, tuple[object, ...]] | None = None

    def __enter__(self) -> None:
        raise NotImplementedError

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        raise NotImplementedError


class Store:
    """A connection to the ledger of one root, for use in one thread: what its parts stand on."""

    def __init__(self, root: str, engine: Engine, *, moving: bool = False) -> None:
        """Take over `engine`; it is closed if it may not be used. `moving` allows for a ledger
        that has been moved away, or is on its way here."""
        self.root = root
        self.engine = engine
        # Whether other machines, with checkouts of their own, may work with this ledger.
        self.is_shared = engine.shared
        self._state: State | None = getattr(engine, "state", None)
        self.connection = engine.connection
        self._write = engine.transaction
        meta = engine.meta
        if not moving and ("moved" in meta or "arriving" in meta):
            engine.close()
            raise _elsewhere(root, meta)
        self.ledger_id: str = meta["ledger"]
        self.project: str = meta["project"]

    def close(self) -> None:
        self.engine.close()

    @property
    def state(self) -> State:
        """The project's folder of state. Raises Foreign."""
        if self._state is None:
            self._state = State.find(self.root) or State.create(self.root)
        return self._state

    def rows(self, sql: str, values: Sequence[object] = ()) -> Rows:
        return self.connection.execute(sql, values)

    def row(self, sql: str, values: Sequence[object] = ()) -> Any:
        """Return the first row that `sql` selects, or None."""
        return self.connection.execute(sql, values).fetchone()

    def one(self, kind: type[T], sql: str, values: Sequence[object] = ()) -> T | None:
        """Return the first row that `sql` selects as a `kind`, or None."""
        found = self.connection.execute(sql, values).fetchone()
        return None if found is None else kind._make(found)

    def all(self, kind: type[T], sql: str, values: Sequence[object] = ()) -> list[T]:
        """Return the rows that `sql` selects, each as a `kind`."""
        return list(map(kind._make, self.connection.execute(sql, values).fetchall()))

    def look(self, kind: type[T], sql: str, of: Sequence[tuple[object, ...]]) -> list[T | None]:
        """Return the row that `sql` selects for each of `of` as a `kind`, or None, as it now is."""
        found = self.engine.look(sql, of)
        return [None if values is None else kind._make(values) for values in found]

    def change(self, sql: str, values: Sequence[object] = ()) -> int:
        """Carry out `sql` and return how many rows it changed."""
        return self.connection.execute(sql, values).rowcount

    def change_many(self, sql: str, values: Iterable[Sequence[object]]) -> None:
        """Carry out `sql` once for each of `values`."""
        self.connection.executemany(sql, values)

    def write(self, durable: bool = False) -> Transaction:
        """Return a write transaction as a context manager: committed at its end, or undone.

        `durable` commits of the embedded store reach the disk before they return
        (synchronous=FULL). Others survive a killed process, but a power cut may roll back the last
        of them (NORMAL, in WAL mode). On PostgreSQL its own setting, synchronous_commit, decides.
        Raises LedgerError for a full disk, a read-only folder and the like, with nothing written.
        """
        self._write.durable = durable
        return self._write

    def after_commit(self, action: Callable[..., object], *values: object) -> None:
        """Have `action` run when the present transaction has been committed, under its flock."""
        self._write.committed[action, values] = None

    def not_after_commit(self, action: Callable[..., object], *values: object) -> None:
        """Take back what `after_commit` was told."""
        self._write.committed.pop((action, values), None)

    def after_rollback(self, action: Callable[..., object], *values: object) -> None:
        """Have `action` run if the present transaction is undone, under its flock."""
        self._write.undone.append((action, values))

    def proven_by(self, sql: str, *values: object) -> None:
        """Say which row is there only if the present transaction was committed.

        Where the reply to a commit is lost, this tells what became of it.
        """
        self._write.proof = (sql, values)

    def place(self) -> str | None:
        """Return where a process's number means that process: this boot and pid namespace of this
        machine; None where that can't be told."""
        space = machine.process_space()
        if space is None or not self.engine.shared:
            return space
        return f"{machine.machine_id()}:{os.uname().nodename}:{space}"

    def clone(self) -> str | None:
        """Return the clone of the project that this is, and behind a space where it stands; None:
        there is one."""
        if not self.engine.shared:
            return None
        return f"{self.state.id} {os.uname().nodename}:{self.root}"


def text_error(error: BaseException) -> None:
    """Raise what a person can act on if `error` is about bytes that are no text."""
    if isinstance(error, UnicodeEncodeError):
        raise HypervisorError(
            f"{error.object[:200]!a}: not UTF-8, so it can't be kept", "rename it, then try again"
        ) from None


def _elsewhere(root: str, meta: dict[str, str]) -> LedgerError:
    if "arriving" in meta:
        return LedgerError(
            f"{root}: a move of its ledger was cut off", "run the same hypervisor move again"
        )
    to = meta["moved"]
    fix = f"unset {VARIABLE}" if to == EMBEDDED else f"export {VARIABLE}='{to}'"
    return LedgerError(f"{root}: this ledger was moved to {to}", fix)


def no_ledger(root: str) -> NoLedger:
    """Return what to tell the user where no ledger is."""
    return NoLedger(f"{root}: no queue was ever opened here", "hypervisor open QUEUE SOURCE")
