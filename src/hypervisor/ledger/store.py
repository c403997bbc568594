"""The embedded store: one SQLite file, its write transactions, and whether it may be used here."""

from __future__ import annotations

import fcntl
import os
import sqlite3

from hypervisor.config.roots import create_state, state_dir
from hypervisor.errors import HypervisorError
from hypervisor.ledger import clock, place, schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType
    from typing import Any, Self


class LedgerError(HypervisorError):
    """The ledger can't be used as it is; the text says what mends it."""


class NoLedger(LedgerError):
    """There is no ledger at this root yet."""

    exit_code = 2


class Store:
    """A connection to the ledger of one root. Use it as a context manager, in one thread."""

    def __init__(self, root: str, connection: sqlite3.Connection, flock: int) -> None:
        self.root = root
        self._connection = connection
        self._flock = flock
        self._boot: int | None = None
        self._write = _Write(connection, flock, ledger_path(root))
        meta = dict(self.rows("select key, value from meta").fetchall())
        self.ledger_id: str = meta["ledger"]
        self.project: str = meta["project"]
        # ext4 keeps a link's target of up to 59 bytes in its inode; a longer one costs a block.
        self._mark = f"{self.ledger_id}:{os.uname().nodename[:20]}:{os.getpid()}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the last one to close folds the log back into the file."""
        fcntl.flock(self._flock, fcntl.LOCK_EX)
        try:
            self._connection.close()
        finally:
            os.close(self._flock)

    def rows(self, sql: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        """Return the rows that `sql` selects."""
        return self._connection.execute(sql, values)

    def row(self, sql: str, values: Sequence[object] = ()) -> Any:
        """Return the first row that `sql` selects, or None."""
        return self._connection.execute(sql, values).fetchone()

    def change(self, sql: str, values: Sequence[object] = ()) -> int:
        """Carry out `sql` and return how many rows it changed."""
        return self._connection.execute(sql, values).rowcount

    def change_many(self, sql: str, values: Iterable[Sequence[object]]) -> None:
        """Carry out `sql` once for each of `values`."""
        self._connection.executemany(sql, values)

    def write(self, durable: bool = False) -> _Write:
        """Return a write transaction as a context manager: committed at its end, or undone.

        `durable` commits reach the disk before they return (synchronous=FULL). Others survive a
        killed process, but a power cut may roll back the last of them (NORMAL, in WAL mode).
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

    def next_positions(self, count: int) -> int:
        """Reserve `count` places behind all others and return the first of them."""
        self.change("update counter set value = value + ? where name = 'position'", (count,))
        value: int = self.row("select value from counter where name = 'position'")[0]
        return value - count + 1

    def lease_clock(self) -> int:
        """Return the time by which leases are judged: microseconds that only ever grow.

        A write transaction has one time: that of its first look at the clock.
        """
        if self._write.now is not None:
            return self._write.now
        if self._boot is None:
            self._boot = self._boot_no()
        now = self._boot * clock.BOOT_SPAN + clock.monotonic_us()
        if self._connection.in_transaction:
            self._write.now = now
        return now

    def _boot_no(self) -> int:
        boot = clock.boot_id()
        row = self.row("select no from boot where id = ?", (boot,))
        if row is None:
            self.change("insert into boot (id) values (?) on conflict do nothing", (boot,))
            if self._connection.in_transaction:
                self.after_rollback(setattr, self, "_boot", None)
            row = self.row("select no from boot where id = ?", (boot,))
        number: int = row[0]
        return number


class _Write:
    """One write transaction. The flock around it makes waiting writers take turns, and keeps
    a commit from meeting another process's checkpoint (SQLite before 3.51.3 can lose commits
    there)."""

    def __init__(self, connection: sqlite3.Connection, flock: int, path: str) -> None:
        self._connection = connection
        self._flock = flock
        self._path = path
        self._level: bool | None = None
        self.durable = False
        self.now: int | None = None
        self.committed: dict[tuple[Callable[..., object], tuple[object, ...]], None] = {}
        self.undone: list[tuple[Callable[..., object], tuple[object, ...]]] = []

    def __enter__(self) -> None:
        fcntl.flock(self._flock, fcntl.LOCK_EX)
        try:
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
            raise unusable(self._path, error) from error
        if isinstance(error, UnicodeEncodeError):
            raise HypervisorError(
                f"{error.object[:200]!a}: not UTF-8, so it can't be kept",
                "rename it, then try again",
            ) from None


def ledger_path(root: str) -> str:
    """Return where the ledger of `root` is; it need not exist."""
    return os.path.join(state_dir(root), "ledger.db")


def connect(
    root: str, create: bool = False, project: str | None = None, adopting: bool = False
) -> tuple[str, sqlite3.Connection, int]:
    """Open the ledger of `root` and return (root, connection, descriptor of its lock file).

    Raises NoLedger where there is none and `create` is false, and LedgerError for one that is
    damaged, foreign, from a later version, copied from elsewhere (unless `adopting`), or, when it
    is made or adopted, on a network file system.
    """
    folder, path = state_dir(root), ledger_path(root)
    if not os.path.exists(path):
        if not create:
            raise no_ledger(root)
        create_state(root)
        _refuse_network(folder)
    elif adopting:
        _refuse_network(folder)
    try:
        flock = os.open(
            os.path.join(folder, "ledger.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
    except OSError as error:
        raise unusable(folder, error) from None
    connection = None
    try:
        connection = sqlite3.connect(path, timeout=60, isolation_level=None)
        _prepare(connection, flock, root, create, project)
        if not adopting:
            _check_identity(connection, path)
        connection.execute(f"pragma wal_autocheckpoint = {schema.CHECKPOINT_PAGES}")
        connection.row_factory = sqlite3.Row
    except BaseException as error:
        if connection is not None:
            connection.close()
        os.close(flock)
        if isinstance(error, (sqlite3.Error, OSError)):
            raise unusable(path, error) from None
        raise
    return root, connection, flock


def no_ledger(root: str) -> NoLedger:
    """Return what to tell the user where no ledger is."""
    return NoLedger(f"{root}: no queue was ever opened here", "hypervisor open QUEUE SOURCE")


def identity(path: str) -> list[tuple[str, str]]:
    """Return what tells the ledger at `path` from its copies, as rows of `meta`."""
    return [("machine", clock.machine_id()), ("inode", str(os.stat(path).st_ino))]


def unusable(path: str, error: BaseException) -> LedgerError:
    """Return what to tell the user of an error of SQLite or the system."""
    text = getattr(error, "strerror", None) or str(error)
    if "not a database" in text or "malformed" in text:
        fix = "restore it from a backup, or move it away and open the queue again"
    elif "disk is full" in text or "No space" in text or "I/O error" in text:
        fix = "free some space (or look after the disk), then run the command again"
    elif "is locked" in text:
        fix = "another program holds the file: end it, then run the command again"
    else:
        fix = "make the folder and its files writable for you, then run the command again"
    return LedgerError(f"{path}: {text}", fix)


def _refuse_network(folder: str) -> None:
    kind = place.network_file_system(folder)
    if kind:
        raise LedgerError(
            f"{folder}: on a network file system ({kind}), where SQLite loses data",
            "keep the project on a local disk, or set HYPERVISOR_STORE to a PostgreSQL address",
        )


def _prepare(
    connection: sqlite3.Connection, flock: int, root: str, create: bool, project: str | None
) -> None:
    """See that the file is ours and of the present version; make or migrate it if not."""
    path = ledger_path(root)
    # An empty file may be in the making: a read now could stop its maker's switch to WAL.
    made = os.path.exists(path) and os.path.getsize(path) > 0
    if made and _marks(connection) == (schema.APPLICATION_ID, schema.VERSION):
        return
    fcntl.flock(flock, fcntl.LOCK_EX)
    try:
        version = _version(connection, path)
        if version == 0 and not create:
            raise no_ledger(root)
        if version < schema.VERSION:
            _migrate(connection, path, version, project)
    finally:
        fcntl.flock(flock, fcntl.LOCK_UN)


def _marks(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return the application and the version that the file is marked with."""
    application: int = connection.execute("pragma application_id").fetchone()[0]
    version: int = connection.execute("pragma user_version").fetchone()[0]
    return application, version


def _version(connection: sqlite3.Connection, path: str) -> int:
    """Return the version of the ledger's tables, 0 for an empty file. Needs the flock: another
    process may be making the file."""
    application, version = _marks(connection)
    if application != schema.APPLICATION_ID and (
        version or connection.execute("select count(*) from sqlite_master").fetchone()[0]
    ):
        raise LedgerError(
            f"{path}: not a ledger of hypervisor", "move the file away, then open the queue again"
        )
    if version > schema.VERSION:
        raise LedgerError(
            f"{path}: written by a later hypervisor (schema {version}, this one knows "
            f"{schema.VERSION})",
            "update hypervisor",
        )
    return version


def _migrate(connection: sqlite3.Connection, path: str, version: int, project: str | None) -> None:
    """Bring the file from `version` to the present one. Needs the flock."""
    if version == 0:
        os.chmod(path, 0o600)
        connection.execute(f"pragma page_size = {schema.PAGE_SIZE}")
        connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    connection.execute("begin immediate")
    try:
        for script in schema.MIGRATIONS[version:]:
            for statement in script.split(";"):
                if statement.strip():
                    connection.execute(statement)
        if version == 0:
            connection.execute("insert into counter values ('position', 0)")
            connection.executemany(
                "insert into meta values (?, ?)",
                [
                    *identity(path),
                    ("ledger", os.urandom(4).hex()),
                    ("project", project or f"p-{os.urandom(6).hex()}"),
                ],
            )
        connection.execute(f"pragma application_id = {schema.APPLICATION_ID}")
        connection.execute(f"pragma user_version = {schema.VERSION}")
        connection.execute("commit")
    finally:
        if connection.in_transaction:
            connection.execute("rollback")


def _check_identity(connection: sqlite3.Connection, path: str) -> None:
    known = dict(
        connection.execute("select key, value from meta where key in ('machine', 'inode')")
    )
    if known != dict(identity(path)):
        raise LedgerError(
            f"{path}: a copy of another ledger (synced, restored or moved): two copies would hand "
            "out the same items",
            "where this copy is the only one in use: hypervisor adopt",
        )
