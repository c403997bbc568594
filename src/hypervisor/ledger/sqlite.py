"""The embedded engine: one SQLite file and its write transactions, one at a time."""

from __future__ import annotations

import fcntl
import os
import time

from hypervisor.ledger import clock, schema
from hypervisor.ledger import driver as sqlite3
from hypervisor.ledger.store import LedgerError, Transaction, text_error
from hypervisor.system import machine
from hypervisor.system.errors import mend_of
from hypervisor.system.state import LEDGER, State, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType


# SQLite opens none that is longer.
_LONGEST_PATH = 500
# How long a writer sleeps, in seconds, before each further look whether it is its turn. Only then
# does it queue up: waking the next in the queue at every commit costs more than a short write.
_LOOKS = (0.0005, 0.001, 0.002, 0.004, 0.008)


class Embedded:
    """The ledger's file, and what only an embedded store does."""

    shared = False
    # Whether what is written here is lost: where the folder may not be written.
    is_copy = False

    def __init__(
        self, state: State, connection: sqlite3.Connection, flock: int, files: dict[str, int]
    ) -> None:
        """`files` are those of the ledger as they were opened; see `State.database`."""
        self.state = state
        self.connection = connection
        self.meta = dict(connection.execute("select key, value from meta").fetchall())
        self._path = ledger_path(state.root)
        self.transaction = _Write(state, connection, flock, files)
        self._flock = flock
        self._boot: int | None = None

    def close(self) -> None:
        """Close the connection; the last one to close folds the log back into the file."""
        fcntl.flock(self._flock, fcntl.LOCK_EX)
        try:
            self.connection.close()
        finally:
            os.close(self._flock)

    def look(self, sql: str, of: Sequence[tuple[object, ...]]) -> list[tuple[object, ...] | None]:
        """Return the row that `sql` selects for each of `of`, or None."""
        execute = self.connection.execute
        return [execute(sql, values).fetchone() for values in of]

    def claim_number(self, last: int | None, count: int) -> int:
        """Return the number of a new claim; `last` is the highest before this call's `count`."""
        return (last or 0) + count + 1

    def next_positions(self, count: int) -> int:
        execute = self.connection.execute
        execute("update counter set value = value + ? where name = 'position'", (count,))
        value: int = execute("select value from counter where name = 'position'").fetchone()[0]
        return value - count + 1

    def lease_clock(self) -> int:
        """Return microseconds that only ever grow: the boot's number above the time since it."""
        write = self.transaction
        if write.now is not None:
            return write.now
        if self._boot is None:
            self._boot = self._boot_no()
        now = self._boot * clock.BOOT_SPAN + clock.monotonic_us()
        if self.connection.in_transaction:
            write.now = now
        return now

    def mind_clock(self) -> None:
        """Do nothing: nobody sets the clock of leases."""

    def end_number(self) -> int:
        """Return the number of what ends in this transaction; there is one writer, and its clock
        only ever grows."""
        return self.lease_clock()

    def is_of_earlier_boot(self, time: int) -> bool:
        """True for a time of the lease clock at which the machine had not yet been started anew."""
        return 0 < time // clock.BOOT_SPAN < self.lease_clock() // clock.BOOT_SPAN

    def settled_before(self) -> int:
        """Return the `finish_no` below which no end is still to come: there is one writer."""
        return schema.NEVER

    def data_version(self) -> int:
        version: int = self.connection.execute("pragma data_version").fetchone()[0]
        return version

    def compact(self) -> None:
        """Give the disk back what removed rows took; whoever writes meanwhile waits."""
        fcntl.flock(self._flock, fcntl.LOCK_EX)
        try:
            self.connection.execute("vacuum")
        except sqlite3.Error as error:
            raise unusable(self._path, error) from error
        finally:
            fcntl.flock(self._flock, fcntl.LOCK_UN)

    def fold(self) -> None:
        """Fold the log back into the file, as far as nobody reads in it; nobody waits for that."""
        self.connection.execute("pragma wal_checkpoint(passive)").fetchall()

    def stand_still(self) -> None:
        """Have all others wait: a write transaction does."""

    def number_from_here(self) -> None:
        """Have new places start above those in the tables; numbers do by themselves."""
        self.connection.execute(
            "update counter set value = (select coalesce(max(position), 0) from item) "
            "where name = 'position'"
        )

    def refuse_writes(self, text: str) -> None:
        for table in schema.TABLES:
            for verb in ("insert", "update", "delete"):
                self.connection.execute(
                    f"create trigger moved_{verb}_{table} before {verb} on {table} "
                    f"begin select raise(abort, '{text}'); end"
                )

    def drop(self) -> None:
        """Move the file out of the way; what it holds is kept."""
        at = self.state.folder.fd
        os.replace(LEDGER, f"{LEDGER}.moved", src_dir_fd=at, dst_dir_fd=at)

    def count_ends(self, count: int) -> None:
        """Note, here and then in the user's own folder, that `count` more ends were accepted."""
        self.connection.execute(
            "update counter set value = value + ? where name = 'ends'", (count,)
        )
        self.transaction.committed[self.state.note_ends, (ends(self.connection),)] = None

    def ends_are_noted(self) -> bool:
        """True if the user's own folder knows of all ends: else an older ledger that is put back
        would not be noticed."""
        return self.state.ends() >= ends(self.connection)

    def _boot_no(self) -> int:
        boot = machine.boot_id()
        execute = self.connection.execute
        if boot == machine.HIDDEN:
            # It is no other boot than the last that is known.
            return int(execute("select coalesce(max(no), 1) from boot").fetchone()[0])
        row = execute("select no from boot where id = ?", (boot,)).fetchone()
        if row is None:
            execute("insert into boot (id) values (?) on conflict do nothing", (boot,))
            if self.connection.in_transaction:
                self.transaction.undone.append((setattr, (self, "_boot", None)))
            row = execute("select no from boot where id = ?", (boot,)).fetchone()
        number: int = row[0]
        return number


class _Write(Transaction):
    """One write transaction. The flock around it makes waiting writers take turns, and keeps
    a commit from meeting another process's checkpoint (SQLite before 3.51.3 can lose commits
    there)."""

    def __init__(
        self, state: State, connection: sqlite3.Connection, flock: int, files: dict[str, int]
    ) -> None:
        self._state = state
        self._connection = connection
        self._flock = flock
        self._files = files
        self._path = ledger_path(state.root)
        self._level: bool | None = None
        super().__init__()

    def __enter__(self) -> None:
        self._wait_for_turn()
        try:
            self._refuse_replaced((LEDGER,))
            if self._level is not self.durable:
                # The pragma has no effect inside a transaction.
                level = "full" if self.durable else "normal"
                self._connection.execute(f"pragma synchronous = {level}")
                self._level = self.durable
            self._connection.execute("begin immediate")
        except BaseException as error:
            fcntl.flock(self._flock, fcntl.LOCK_UN)
            self._explain(error)
            raise

    def _refuse_replaced(self, names: Iterable[str]) -> None:
        """Raise LedgerError, or Foreign, if one of these files is no longer what was opened: what
        is written would be lost with it."""
        self._state.refuse_gone()
        for name in names:
            seen = self._state.folder.look(name)
            if seen is None or seen.st_ino != self._files.get(name, seen.st_ino):
                raise LedgerError(
                    f"{shown(self._state.root, name)}: removed or replaced while it was in use",
                    "run the command again",
                )

    def _wait_for_turn(self) -> None:
        for pause in _LOOKS:
            try:
                fcntl.flock(self._flock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(pause)
        fcntl.flock(self._flock, fcntl.LOCK_EX)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        done = False
        try:
            if kind is None:
                self._connection.execute("commit")
                done = True
                for action, values in self.committed:
                    action(*values)
        except sqlite3.Error as failed:
            self._explain(failed)
            raise
        finally:
            self._end(done)
        if error is not None:
            self._explain(error)

    def _end(self, done: bool) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("rollback")
            if not done:
                for action, values in self.undone:
                    action(*values)
        finally:
            self.now = None
            self.committed.clear()
            self.undone.clear()
            fcntl.flock(self._flock, fcntl.LOCK_UN)

    def _explain(self, error: BaseException) -> None:
        """Raise what a person can act on for errors of the disk; others stay what they are."""
        if type(error) in (sqlite3.OperationalError, sqlite3.DatabaseError):
            self._refuse_replaced(self._files)
            raise unusable(self._path, error) from error
        text_error(error)
        if isinstance(error, sqlite3.IntegrityError) and " was moved to " in str(error):
            raise LedgerError(
                str(error), "run the command again, in a shell that names it"
            ) from None


def ledger_path(root: str) -> str:
    """Return where the ledger of `root` is; it need not exist."""
    return shown(root, LEDGER)


def ends(connection: sqlite3.Connection) -> int:
    """Return how many ends this ledger has ever accepted."""
    count: int = connection.execute("select value from counter where name = 'ends'").fetchone()[0]
    return count


def is_full(text: str) -> bool:
    """True if an error's text says that a disk is full, or is away."""
    return "disk is full" in text or "No space" in text or "I/O error" in text


def unusable(path: str, error: BaseException) -> LedgerError:
    """Return what to tell the user of an error of SQLite or the system."""
    text = getattr(error, "strerror", None) or str(error)
    if "not a database" in text or "malformed" in text:
        fix = "restore it from a backup, or move it away and open the queue again"
    elif is_full(text):
        fix = "free some space (or check the disk), then run the command again"
    elif "is locked" in text:
        fix = "another program holds the file: end it, then run the command again"
    elif isinstance(error, OSError):
        fix = mend_of(error)
    elif len(path) > _LONGEST_PATH:
        fix = "the path is too long: shorten a name, or move it up"
    else:
        fix = "make the folder and its files writable for you, then run the command again"
    return LedgerError(f"{path}: {text}", fix)
