"""The engine for many machines: a schema of PostgreSQL per project.

Claims lock the rows that they take and skip those that others lock (`for update skip locked`), so
no claim waits for another. Leases are judged by the server's clock, steps of it taken back.
"""

from __future__ import annotations

import os
import time

from hypervisor.config.roots import SETTINGS
from hypervisor.ledger import dialect, schema, server_clock
from hypervisor.ledger.libpq import Error
from hypervisor.ledger.server import Connection, Server, is_elsewhere
from hypervisor.ledger.store import Gone, LedgerError, NoLedger, Transaction, text_error
from hypervisor.system.digests import sha256
from hypervisor.system.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from hypervisor.ledger.dialect import Row
    from hypervisor.ledger.server import Found
    from hypervisor.system.state import State

# The SQLSTATEs of a schema and of a table that isn't there.
_MISSING = ("3F000", "42P01")
# Places that one look at the sequence reserves.
_BLOCK = 1 << 24
# Write transactions publish which end was the last when they began, as an advisory lock; its upper
# bits say that it is ours.
_TAG = 0x487 << 52
_NUMBER_ENDS = (
    "select setval('end_no', greatest(1, (select max(finish_no) from item), "
    "(select max(finish_no) from told), (select max(finish_no) from notification)))"
)


class _Write(Transaction):
    """One write transaction. It begins with a lock that tells readers which ends are still to come:
    those with a higher number."""

    def __init__(self, engine: Postgres) -> None:
        super().__init__()
        self._engine = engine
        self._began: Found
        self.end_no: int | None = None
        self.is_open = False

    def __enter__(self) -> None:
        now = dialect.clock().replace("statement_timestamp", "clock_timestamp")
        last = "(select last_value from end_no)"
        try:
            found = self._engine.connection.begin(
                f"select {now} from pg_advisory_xact_lock_shared({_TAG} | {last})"
            )
            self._began = found
        except BaseException:
            self._end(done=False)
            raise
        self.is_open = True

    def time(self) -> int:
        """Return the one time of this transaction."""
        if self.now is None:
            self.now = self._began.fetchone()[0]
        return self.now

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        done = False
        try:
            if kind is None:
                self._commit()
                done = True
                for action, values in self.committed:
                    action(*values)
        finally:
            self._end(done)
        if error is not None:
            text_error(error)

    def _commit(self) -> None:
        connection = self._engine.connection
        pid = connection.raw.pid
        try:
            connection.commit()
        except Gone:
            # It may have been carried out: only the answer is lost for sure.
            self.is_open = False
            self._engine.connect_again(time.monotonic() + self._engine.server.patience)
            if self.proof is None or not self._engine.is_proven(pid, *self.proof):
                raise

    def _end(self, done: bool) -> None:
        try:
            if not done:
                self._engine.connection.rollback()
                for action, values in self.undone:
                    action(*values)
        finally:
            self.is_open = False
            self.now = self.end_no = None
            self.proof = None
            self.committed.clear()
            self.undone.clear()


class Postgres:
    """One connection to the schema of a project, and what only a shared store does."""

    shared = True

    def __init__(self, server: Server, schema_name: str) -> None:
        self.server = server
        self.schema = schema_name
        raw = server.connected(schema_name, time.monotonic() + server.patience)
        self.connection = Connection(raw, server)
        self.transaction = _Write(self)
        self.meta: dict[str, str] = {}
        self._seen: server_clock.Look | None = None

    def close(self) -> None:
        self.connection.raw.close()

    def look(self, sql: str, of: Sequence[tuple[object, ...]]) -> list[Row | None]:
        """Return the row that `sql` selects for each of `of`, or None, as they now are.

        The look locks them, and may have waited for that. Where anything waits for anything, a
        second one sees what others did in the meantime.
        """
        execute = self.connection.execute
        found = [execute(sql, values) for values in of]
        if execute("select exists (select 1 from dependency)").fetchone()[0]:
            found = [execute(sql, values) for values in of]
        return [one.fetchone() for one in found]

    def claim_number(self, last: int | None, count: int) -> int:
        """Return the number of a new claim: the sequence has given each its own."""
        return last or 0

    def ends_are_noted(self) -> bool:
        """True: there is nothing to note."""
        return True

    def count_ends(self, count: int) -> None:
        """Note nothing: a server's backups are its owner's."""

    def next_positions(self, count: int) -> int:
        if count > _BLOCK:
            raise LedgerError(f"{count} items at once are too many", "open them in several calls")
        first: int = self.connection.execute("select nextval('place')").fetchone()[0]
        return first

    def lease_clock(self) -> int:
        if self.transaction.is_open:
            return self.transaction.time()
        now: int = self.connection.execute(f"select {dialect.clock()}").fetchone()[0]
        return now

    def mind_clock(self) -> None:
        """Take back what the server's clock was set by since this process looked last."""
        now, before = server_clock.look(self.connection), self._seen
        self._seen = now
        raw = self.connection.raw
        if before is None:
            return
        step = server_clock.step(before, now, elsewhere=is_elsewhere(raw.host, raw.address))
        if (
            step
            and self.connection.execute(
                "update counter set value = value - ? where name = 'clock' and value = ?",
                (step, before.offset),
            ).rowcount
        ):
            if self.transaction.now is not None:
                self.transaction.now -= step
            self._seen = now._replace(offset=before.offset - step)

    def mind_clock_of(self, state: State) -> None:
        """Do so for all commands of this host, whose last look is in `state`."""
        self._seen = server_clock.last(state)
        self.mind_clock()
        if self._seen is not None:
            server_clock.keep(state, self._seen)

    def end_number(self) -> int:
        """Return the number of what ends in this transaction; others that end later have a higher
        one."""
        write = self.transaction
        if write.end_no is None:
            write.end_no = int(self.connection.execute("select nextval('end_no')").fetchone()[0])
        return write.end_no

    def is_of_earlier_boot(self, time: int) -> bool:
        """False: the server's clock goes on over its machine's boots."""
        return False

    def settled_before(self) -> int:
        """Return the `finish_no` below which no end is still to come: writers that began earlier
        may commit later."""
        seen: int = self.connection.execute(
            "with present as materialized (select last_value as no from end_no) "
            "select 1 + least(no, "
            f"(select min(((classid::bigint << 32) | objid::bigint) # {_TAG}) from pg_locks where "
            "locktype = 'advisory' and mode = 'ShareLock' and objsubid = 1 and database = "
            "(select oid from pg_database where datname = current_database()) "
            f"and (classid::bigint >> 20) = {_TAG >> 52})) from present"
        ).fetchone()[0]
        return seen

    def data_version(self) -> int:
        version: int = self.connection.execute(
            "select hashtextextended(pg_current_snapshot()::text, 0)"
        ).fetchone()[0]
        return version

    def compact(self) -> None:
        """Let what removed rows took be used again."""
        self.connection.execute(f"vacuum {', '.join(schema.TABLES)}")

    def fold(self) -> None:
        """Nothing: the server sees to its log."""

    def stand_still(self) -> None:
        tables = ", ".join(schema.TABLES)
        self.connection.execute(f"lock table {tables} in access exclusive mode")

    def number_from_here(self) -> None:
        numbered = ("queue", "item", "event", "refusal", "notification")
        sequences = {f"{table}_no_seq": (table, "no") for table in numbered}
        sequences |= {"claim_no": ("claim", "no"), "place": ("item", "position")}
        for sequence, (table, column) in sequences.items():
            self.connection.execute(
                f"select setval('{sequence}', high) from "
                f"(select max({column}) as high from {table}) as found where high is not null"
            )
        self.connection.execute(_NUMBER_ENDS)

    def refuse_writes(self, text: str) -> None:
        execute = self.connection.execute
        execute(
            "create function moved() returns trigger language plpgsql as "
            f"$moved$ begin raise exception using message = '{text}'; end $moved$"
        )
        for table in schema.TABLES:
            execute(
                f"create trigger moved before insert or update or delete on {table} "
                "for each statement execute function moved()"
            )

    def drop(self) -> None:
        """Remove the project, tables and all."""
        self.connection.execute(f"drop schema {dialect.quoted(self.schema)} cascade")

    def connect_again(self, until: float) -> None:
        """Replace a connection that was lost. Raises LedgerError after `until` (monotonic)."""
        self.connection.rollback()
        self.connection.raw.close()
        self.connection.raw = self.server.connected(self.schema, until)

    def is_proven(self, pid: int, sql: str, values: Sequence[object]) -> bool:
        """True if a row is there that the transaction of the server's process `pid` wrote.

        That process may still be at it: it is waited for, for a while.
        """
        until = time.monotonic() + 10
        while time.monotonic() < until:
            busy = self.connection.execute(
                "select 1 from pg_locks where pid = ? and locktype = 'advisory' "
                "and pid <> pg_backend_pid()",
                (pid,),
            ).fetchone()
            if busy is None:
                break
            time.sleep(0.1)
        return self.connection.execute(sql, values).fetchone() is not None


def connect(
    root: str, told: str, project: str | None, *, create: bool, patience: float | None = None
) -> Postgres:
    """Open the ledger of `project` in the store at `told`; with `create`, make it if it lacks.

    Raises NoLedger where there is none, and LedgerError for a server that can't be used or isn't
    there in time.
    """
    server = Server(told, patience)
    if project is None:
        project = _named(root)
    if project is None and not create:
        raise NoLedger(
            f"{root}: nothing tells which project of {server.shown} this is",
            'write project = "NAME" in its hypervisor.toml, or: hypervisor open QUEUE SOURCE',
        )
    project = project or f"p-{os.urandom(6).hex()}"
    engine = Postgres(server, schema_of(project))
    try:
        _prepare(engine, root, project, create)
    except BaseException:
        engine.close()
        raise
    return engine


def schema_of(project: str) -> str:
    """Return the schema that holds a project: its name where that is plain, else with a hash."""
    plain = "".join(char if char.isascii() and char.isalnum() else "_" for char in project.lower())
    if plain != project or len(plain) > 40:
        plain = f"{plain[:40]}_{sha256(project.encode('utf-8', 'replace'))[:8]}"
    return f"hypervisor_{plain}"


def _prepare(engine: Postgres, root: str, project: str, create: bool) -> None:
    """See that the schema is ours and of the present version; make or migrate it if not."""
    execute = engine.connection.execute
    engine.meta = _meta(engine)
    version = int(engine.meta.get("version", 0))
    if version == 0 and not create:
        raise NoLedger(
            f"{root}: project {project} has no queue in {engine.server.shown}",
            "hypervisor open QUEUE SOURCE",
        )
    if version > schema.VERSION:
        raise LedgerError(
            f"{engine.server.shown}: written by a later hypervisor (schema {version}, this one "
            f"knows {schema.VERSION})",
            "update hypervisor",
        )
    if version == schema.VERSION:
        return
    connection, name = engine.connection, engine.schema
    try:
        connection.begin()
        # Those who come first at once take turns; whoever is second finds it made.
        execute("select pg_advisory_xact_lock(hashtextextended(?, 0))", (name,))
        there = execute("select to_regclass(?)", (f"{dialect.quoted(name)}.meta",)).fetchone()[0]
        version = int(_meta(engine)["version"]) if there is not None else 0
        if version == 0:
            execute(f"create schema if not exists {dialect.quoted(name)}")
        steps = schema.MIGRATIONS[version:] if version else schema.fresh()
        for one in dialect.script(";".join(steps)):
            execute(one)
        if version == 0:
            execute("create sequence claim_no owned by claim.no")
            execute(f"create sequence place increment {_BLOCK} start 1")
        if version < 5:
            # Its first number counts as given: so `last_value` is never one that is still to come.
            execute("create sequence end_no")
            execute(_NUMBER_ENDS)
            execute("insert into counter values ('clock', 0)")
        if version == 0:
            connection.executemany(
                "insert into meta (key, value) values (?, ?)",
                [("ledger", os.urandom(4).hex()), ("project", project), ("version", "0")],
            )
        execute("update meta set value = ? where key = 'version'", (str(schema.VERSION),))
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    engine.meta = _meta(engine)


def _meta(engine: Postgres) -> dict[str, str]:
    """Return what the project's tables say of themselves, nothing where there are none."""
    table = f"{dialect.quoted(engine.schema)}.meta"
    try:
        found = engine.connection.execute(f"select key, value from {table}")
        return {str(key): str(value) for key, value in found}
    except LedgerError as error:
        if isinstance(error.__cause__, Error) and error.__cause__.state in _MISSING:
            return {}
        raise


def _named(root: str) -> str | None:
    """Return the project's name as hypervisor.toml tells it."""
    from hypervisor.config.toml import read_toml

    try:
        name = read_toml(os.path.join(root, SETTINGS)).get("project")
    except UsageError:
        return None
    return name if isinstance(name, str) and name else None
