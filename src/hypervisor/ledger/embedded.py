"""Whether the ledger's file may be used here: made, migrated, known, or refused."""

from __future__ import annotations

import fcntl
import os

from hypervisor.config.roots import create_state
from hypervisor.ledger import driver as sqlite3
from hypervisor.ledger import schema
from hypervisor.ledger.sqlite import Embedded, ends, is_full, ledger_path, unusable
from hypervisor.ledger.store import LedgerError, no_ledger
from hypervisor.system import machine
from hypervisor.system.state import LEDGER, State
from hypervisor.system.text import count, either, one_line


def connect(
    root: str, state: State | None, create: bool = False, project: str | None = None,
    adopting: bool = False, look: bool = False,
) -> Embedded:  # fmt: skip
    """Open the ledger in `state`, that of `root` or None where there is none yet. Who will only
    `look` gets a copy in memory where the folder may not be written, or the disk is full.

    Raises NoLedger where there is none and `create` is false, and LedgerError for one that is
    damaged, foreign, from a later version, copied from elsewhere or put back (unless `adopting`),
    or, when it is made or adopted, on a network file system.
    """
    if state is None or state.folder.look(LEDGER) is None:
        if not create:
            raise no_ledger(root)
        state = create_state(root)
        _refuse_network(state.folder.path)
    elif adopting:
        _refuse_network(state.folder.path)
    elif look and not os.access(state.folder.path, os.W_OK):
        return _copy(state)
    path = ledger_path(root)
    # Before the ledger, which is raised first: a claim that ends meanwhile is no restore.
    noted = state.ends()
    connection = None
    try:
        flock = state.folder.open("ledger.lock", os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise unusable(state.folder.path, error) from None
    try:
        before = state.database()
        connection = sqlite3.connect(path, timeout=60, isolation_level=None)
        _prepare(connection, flock, state, create, project)
        files = state.database()
        _refuse_swapped(before, files, path)
        if not adopting:
            _check_identity(connection, state)
            _refuse_restored(connection, path, noted)
            _note_older(connection, flock, state, noted)
        connection.execute(f"pragma wal_autocheckpoint = {schema.CHECKPOINT_PAGES}")
        # What a reader once kept from being folded back is given back when it has gone.
        connection.execute(f"pragma journal_size_limit = {schema.LARGEST_LOG}")
        connection.row_factory = sqlite3.Row
    except BaseException as error:
        if connection is not None:
            connection.close()
        os.close(flock)
        if look and isinstance(error, sqlite3.OperationalError) and is_full(str(error)):
            return _copy(state)
        if isinstance(error, (sqlite3.Error, OSError)):
            raise unusable(path, error) from None
        raise
    return Embedded(state, connection, flock, files)


def _copy(state: State) -> Embedded:
    """Return what stands in the ledger of `state`, in memory. Raises LedgerError."""
    path = ledger_path(state.root)
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    log = state.folder.look(f"{LEDGER}-wal")
    # Without a log there is nothing that another could be writing into the file.
    how = "mode=ro" if log is not None and log.st_size else "immutable=1"
    memory = sqlite3.connect(":memory:", isolation_level=None)
    try:
        flock = state.folder.open("ledger.lock")
        source = sqlite3.connect(f"file:{quoted}?{how}", uri=True)
        try:
            source.backup(memory)
        finally:
            source.close()
        refuse_programs(memory, path)
        if _version(memory, path) != schema.VERSION:
            raise LedgerError(f"{path}: written by an earlier hypervisor", "mount it writable once")
    except (OSError, sqlite3.Error) as error:
        raise unusable(path, error) from None
    memory.row_factory = sqlite3.Row
    engine = Embedded(state, memory, flock, {})
    engine.is_copy = True
    return engine


def identity(state: State) -> list[tuple[str, str]]:
    """Return what tells the ledger in `state` from its copies, as rows of `meta`."""
    seen = state.folder.look(LEDGER)
    inode = str(seen.st_ino) if seen else ""
    return [("machine", machine.machine_id()), ("inode", inode)]


def _refuse_swapped(before: dict[str, int], after: dict[str, int], path: str) -> None:
    if any(after.get(name, inode) != inode for name, inode in before.items() if name == LEDGER):
        raise LedgerError(f"{path}: replaced while it was opened", "run the command again")


def _refuse_network(folder: str) -> None:
    from hypervisor.system.mounts import network_file_system

    kind = network_file_system(folder)
    if kind:
        raise LedgerError(
            f"{folder}: on a network file system ({kind}), where SQLite loses data",
            "keep the project on a local disk, or set HYPERVISOR_STORE to a PostgreSQL address",
        )


def _prepare(
    connection: sqlite3.Connection, flock: int, state: State, create: bool, project: str | None
) -> None:
    """See that the file is ours and of the present version; make or migrate it if not."""
    path = ledger_path(state.root)
    # An empty file may be in the making: a read now could stop its maker's switch to WAL.
    seen = state.folder.look(LEDGER)
    if (
        seen is not None
        and seen.st_size > 0
        and _marks(connection) == (schema.APPLICATION_ID, schema.VERSION)
    ):
        refuse_programs(connection, path)
        return
    fcntl.flock(flock, fcntl.LOCK_EX)
    try:
        version = _version(connection, path)
        refuse_programs(connection, path)
        if version == 0 and not create:
            raise no_ledger(state.root)
        if version < schema.VERSION:
            _migrate(connection, state, version, project)
    finally:
        fcntl.flock(flock, fcntl.LOCK_UN)


def refuse_programs(connection: sqlite3.Connection, path: str) -> None:
    """Raise LedgerError for a ledger that holds views or triggers of others: what stands in them
    would run with our statements, and may never end."""
    odd = connection.execute(
        "select name from sqlite_master where type in ('view', 'trigger') "
        "and name not like 'moved~_%' escape '~' limit 1"
    ).fetchone()
    if odd is not None:
        raise LedgerError(
            f"{path}: not a ledger as hypervisor makes it: somebody has put {one_line(odd[0], 60)} "
            "into it",
            "restore it from a backup, or move it away and open the queue again",
        )


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


def _migrate(
    connection: sqlite3.Connection, state: State, version: int, project: str | None
) -> None:
    """Bring the file from `version` to the present one. Needs the flock."""
    if version == 0:
        ours = state.folder.open(LEDGER, os.O_RDWR)
        try:
            os.fchmod(ours, 0o600)
        finally:
            os.close(ours)
        connection.execute(f"pragma page_size = {schema.PAGE_SIZE}")
        connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    connection.execute("begin immediate")
    try:
        scripts = ";".join(schema.MIGRATIONS[version:]).split(";") if version else schema.fresh()
        for statement in scripts:
            connection.execute(statement)
        if version == 0:
            connection.execute("insert into counter values ('position', 0)")
            # An earlier ledger of this project may have been moved away.
            connection.execute("update counter set value = ? where name = 'ends'", (state.ends(),))
            connection.executemany(
                "insert into meta values (?, ?)",
                [
                    *identity(state),
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


def _check_identity(connection: sqlite3.Connection, state: State) -> None:
    """Refuse a file that was put in the place of the one that was made here."""
    known = connection.execute("select value from meta where key = 'inode'").fetchone()
    if known is None or known[0] != dict(identity(state))["inode"]:
        raise LedgerError(
            f"{ledger_path(state.root)}: a copy of another ledger (synced, restored or moved): two "
            "copies would hand out the same items",
            "if this copy is the only one in use: hypervisor adopt",
        )


def _note_older(connection: sqlite3.Connection, flock: int, state: State, noted: int) -> None:
    """Note ends that the user's own folder does not know: those of the first release, of a ledger
    that was adopted, and of a time in which the folder could not be written.

    Whoever writes just now notes theirs; nobody is waited for.
    """
    if ends(connection) <= noted:
        return
    try:
        fcntl.flock(flock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    try:
        state.note_ends(ends(connection))
    finally:
        fcntl.flock(flock, fcntl.LOCK_UN)


def _refuse_restored(connection: sqlite3.Connection, path: str, noted: int) -> None:
    """Refuse a ledger that lacks ends which the user's own folder has noted: an older one was put
    back over it, and what was done since would be handed out again."""
    missing = noted - ends(connection)
    if missing > 0:
        raise LedgerError(
            f"{path}: an older state was put back: of {count(noted, 'report')} accepted here "
            f"{missing} {either(missing, 'is', 'are')} missing",
            "to go on from it anyway: hypervisor adopt",
        )
