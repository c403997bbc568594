"""Whether the ledger's file may be used here: made, migrated, known, or refused."""

from __future__ import annotations

import fcntl
import os
import sqlite3

from hypervisor.config.roots import create_state, state_dir
from hypervisor.ledger import clock, schema
from hypervisor.ledger.sqlite import Embedded, ledger_path, unusable
from hypervisor.ledger.store import LedgerError, no_ledger
from hypervisor.system import mounts


def connect(
    root: str, create: bool = False, project: str | None = None, adopting: bool = False
) -> Embedded:
    """Open the ledger of `root`.

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
    return Embedded(root, connection, flock)


def identity(path: str) -> list[tuple[str, str]]:
    """Return what tells the ledger at `path` from its copies, as rows of `meta`."""
    return [("machine", clock.machine_id()), ("inode", str(os.stat(path).st_ino))]


def _refuse_network(folder: str) -> None:
    kind = mounts.network_file_system(folder)
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
