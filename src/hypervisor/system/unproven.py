"""A look into a ledger that may be a stranger's: nothing is written, and nothing takes long."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from hypervisor.system.folder import Folder

_LEDGER = "ledger.db"
_LARGEST = 1 << 30
# Steps of SQLite's machine: reading a row takes some dozens.
_STEPS = 1_000_000


def made_here(folder: Folder, machine: str) -> bool:
    """True if the ledger in `folder` says that it was made on `machine`, as the file that it is.

    State of release 0.1.0 noted this in its ledger alone. A clone's or a copy's never says so.
    """
    status = folder.look(_LEDGER)
    if status is None:
        return False
    wanted = {"machine": machine, "inode": str(status.st_ino)}
    try:
        os.close(folder.open(_LEDGER))
        # What was never folded back stands in the log alone, which this way doesn't read.
        with _opened(f"{folder.path}/{_LEDGER}", "?mode=ro&immutable=1") as connection:
            told = _marks(connection)
        if told is None:
            with copied(folder) as connection:
                told = _marks(connection)
    except (OSError, sqlite3.Error):
        return False
    return told == wanted


@contextmanager
def copied(folder: Folder) -> Iterator[sqlite3.Connection]:
    """Yield a connection to a copy of the ledger in `folder`, its log included; the copy goes.

    A statement that takes long is ended. Raises OSError and sqlite3.Error.
    """
    with tempfile.TemporaryDirectory() as place:
        for name in (_LEDGER, f"{_LEDGER}-wal"):
            status = folder.look(name)
            if status is None and name != _LEDGER:
                continue
            with (
                open(folder.open(name), "rb") as source,
                open(os.path.join(place, name), "wb") as out,
            ):
                if os.fstat(source.fileno()).st_size > _LARGEST:
                    raise OSError(errno.EFBIG, "larger than 1 GiB", f"{folder.path}/{name}")
                shutil.copyfileobj(source, out)
        with _opened(os.path.join(place, _LEDGER), "") as connection:
            yield connection


@contextmanager
def _opened(path: str, how: str) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(f"file:{quote(path)}{how}", uri=True)
    try:
        connection.row_factory = sqlite3.Row
        connection.set_progress_handler(lambda: 1, _STEPS)
        connection.execute("pragma trusted_schema = off")
        yield connection
    finally:
        connection.close()


def _marks(connection: sqlite3.Connection) -> dict[str, str] | None:
    """Return what a ledger says of itself; None where it holds no such table."""
    kind = connection.execute("select type from sqlite_master where name = 'meta'").fetchone()
    if kind is None:
        return None
    if kind[0] != "table":
        return {}
    rows = "select key, value from meta where key in ('machine', 'inode') limit 2"
    return {str(key): str(value) for key, value in connection.execute(rows)}
