"""The way to a PostgreSQL server: connected through psycopg 3, waited for, and its errors told."""

from __future__ import annotations

import contextlib
import os
import time

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from hypervisor.config import store
from hypervisor.ledger import dialect
from hypervisor.ledger.store import Collision, Gone, LedgerError
from hypervisor.system import waiting
from hypervisor.system.errors import HypervisorError
from hypervisor.system.spans import span
from hypervisor.system.waiting import PATIENCE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from psycopg.abc import Buffer

    from hypervisor.ledger.dialect import Row

# From this version of libpq on ways to log in can be refused.
_CAN_REFUSE_PASSWORD = 160000
# From so many rows on, one COPY is faster than a statement per row.
_COPY_FROM = 500
# A host that was cut off in the midst of a transaction lets go of its rows after a while.
_SESSION = (
    "set client_min_messages to warning; set idle_in_transaction_session_timeout to '60s'; "
    "set tcp_keepalives_idle to 15; set tcp_keepalives_interval to 5; "
    "set tcp_keepalives_count to 4; set search_path to "
)
_CLIENT = {
    "connect_timeout": "10",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "40000",
    "application_name": "hypervisor",
}
# What is said while a server starts, stops, or is not there; anything else needs a person.
_PASSING = (
    "refused", "starting up", "shutting down", "recovery", "timeout", "timed out",
    "closed the connection", "No such file or directory", "too many", "remaining connection slots",
    "unreachable", "No route", "not accepting", "Connection reset", "Broken pipe", "terminating",
)  # fmt: skip


class Found:
    """What a statement has found: the cursor of a pipeline, whose errors come with its rows."""

    def __init__(self, cursor: psycopg.Cursor[Row], connection: Connection) -> None:
        self._cursor = cursor
        self._connection = connection

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        try:
            return self._cursor.fetchone()
        except psycopg.Error as error:
            raise self._connection.told(error) from error

    def fetchall(self) -> list[Row]:
        """Return all rows that are left."""
        try:
            return self._cursor.fetchall()
        except psycopg.Error as error:
            raise self._connection.told(error) from error

    def __iter__(self) -> Iterator[Row]:
        return iter(self.fetchall())

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""
        self._connection.catch_up()
        return self._cursor.rowcount


class Connection:
    """The connection as the ledger uses it: the verbs of `sqlite3.Connection`, in our SQL.

    In a transaction statements are sent without waiting for the answers of those before: what
    counts on a network, and beside other work, is how often one waits.
    """

    def __init__(self, raw: psycopg.Connection[Row], shown: str) -> None:
        self.raw = raw
        self._shown = shown
        self._pipeline: contextlib.ExitStack | None = None
        self._sync: Callable[[], None] = lambda: None

    def begin(self, *statements: str) -> Found:
        """Begin a transaction with `statements` and return what the last of them finds."""
        try:
            self._enter()
            for statement in ("begin", *statements):
                cursor = self.raw.execute(statement.encode())
        except psycopg.Error as error:
            raise self.told(error) from error
        return Found(cursor, self)

    def commit(self) -> None:
        """End the transaction. Raises what went wrong in it and was not seen before."""
        try:
            self.raw.execute(b"commit")
            self._leave()
        except psycopg.Error as error:
            raise self.told(error) from error

    def rollback(self) -> None:
        """Undo what is left of a transaction, if anything is."""
        with contextlib.suppress(psycopg.Error):
            self._leave()
        if not self.raw.closed and self.raw.info.transaction_status:
            with contextlib.suppress(psycopg.Error):
                self.raw.execute(b"rollback")

    def execute(self, sql: str, values: Sequence[object] = ()) -> Found:
        """Carry out one statement of the ledger and return what it finds."""
        try:
            return Found(self.raw.execute(dialect.statement(sql), values), self)
        except psycopg.Error as error:
            raise self.told(error) from error

    def executemany(self, sql: str, values: Iterable[Sequence[object]]) -> None:
        """Carry out one statement for each of `values`."""
        rows = list(values)
        copy = dialect.copied(sql) if len(rows) >= _COPY_FROM else None
        try:
            if copy is not None:
                self._copy(copy, rows)
            elif len(rows) == 1:
                self.raw.execute(dialect.statement(sql), rows[0])
            elif rows:
                self.raw.cursor().executemany(dialect.statement(sql), rows)
        except psycopg.Error as error:
            raise self.told(error) from error

    def catch_up(self) -> None:
        """Wait for the answers to all that was sent."""
        try:
            self._sync()
        except psycopg.Error as error:
            raise self.told(error) from error

    def _enter(self) -> None:
        self._pipeline = contextlib.ExitStack()
        self._sync = self._pipeline.enter_context(self.raw.pipeline()).sync

    def _leave(self) -> None:
        pipeline, self._pipeline = self._pipeline, None
        self._sync = lambda: None
        if pipeline is not None:
            pipeline.close()

    def _copy(self, copy: bytes, rows: list[Sequence[object]]) -> None:
        within = self._pipeline is not None
        self._leave()
        with self.raw.cursor() as cursor, cursor.copy(copy) as into:
            for row in rows:
                into.write_row(row)
        # Until the server counts again by itself, it would take the table for an empty one.
        self.raw.execute(b"analyze " + copy.split(b" ")[1])
        if within:
            self._enter()

    def told(self, error: psycopg.Error) -> HypervisorError:
        """Return what an error of the driver means to the ledger and its user."""
        text = f"{self._shown}: {_first_line(error)}"
        if self.raw.broken or self.raw.closed or _is_passing(error):
            # The server's last word may come before the end of the connection does.
            with contextlib.suppress(psycopg.Error):
                self.raw.close()
            return Gone(text, "look after the server, then run the command again")
        if isinstance(error, errors.DeadlockDetected | errors.SerializationFailure):
            return Collision(text, "run the command again")
        if isinstance(error, errors.RaiseException) and " was moved to " in text:
            return LedgerError(_first_line(error), f"name its new store in {store.VARIABLE}")
        if isinstance(error, errors.DiskFull | errors.InsufficientPrivilege):
            return LedgerError(text, "mend it on the server, then run the command again")
        return LedgerError(text, "see docs/postgresql.md")


class Server:
    """Where the store is, as this shell reaches it, and how long to wait for it (seconds)."""

    def __init__(self, told: str, patience: float | None = None) -> None:
        self.shown = store.shown(told)
        self.patience = _patience() if patience is None else patience
        self._told = told
        self._raw: psycopg.Connection[Row] | None = None

    def connected(self, schema: str, until: float) -> psycopg.Connection[Row]:
        """Return a new connection that works in `schema`.

        A server that isn't there is waited for until then (monotonic); the wait is told on
        standard error. Raises LedgerError.
        """
        begun, pause, said = time.monotonic(), 0.05, False
        while True:
            try:
                raw = self._connect()
                raw.execute((_SESSION + dialect.quoted(schema)).encode())
            except psycopg.Error as error:
                text, left = f"{self.shown}: {_first_line(error)}", until - time.monotonic()
                if not _is_passing(error):
                    raise LedgerError(text, _mend(text)) from None
                if left <= 0:
                    raise LedgerError(
                        f"{text} (waited {span(time.monotonic() - begun)})",
                        f"start the server, or wait longer: {PATIENCE}=SECONDS",
                    ) from None
                if not said:
                    waiting.say(f"{text}; waiting for up to {span(left)}")
                    said = True
                time.sleep(min(pause, left))
                pause = min(pause * 2, 2.0)
            else:
                if said:
                    waiting.say(
                        f"{self.shown}: answers again after {span(time.monotonic() - begun)}"
                    )
                self._raw = raw
                return raw

    def warn_of_plain(self) -> None:
        """Say so where reports and ids travel unencrypted to another machine."""
        if self._raw is None or self._raw.pgconn.ssl_in_use:
            return
        info = self._raw.info
        if _is_elsewhere(info.host, info.hostaddr):
            waiting.say(
                f"{self.shown}: without TLS, so that others on the way can read and change what "
                "travels; add sslmode=verify-full to the address (docs/postgresql.md)"
            )

    def _connect(self) -> psycopg.Connection[Row]:
        try:
            told = conninfo_to_dict(self._told)
        except psycopg.Error as error:
            raise LedgerError(
                f"{self.shown}: {_first_line(error)}", f"check {store.VARIABLE}"
            ) from None
        given = {key: str(value) for key, value in told.items() if value is not None}
        address = make_conninfo(**_CLIENT | given | _guards(given))
        raw = psycopg.connect(address, autocommit=True, row_factory=dialect.row_maker)
        raw.adapters.register_loader("numeric", _Number)
        return raw


def _guards(given: Mapping[str, str]) -> dict[str, str]:
    """Return what keeps a connection to another machine from being read, beyond what the user says.

    libpq would take a connection without TLS where the server offers none, and would hand a
    password over in the clear to whoever answers and asks for it.
    """
    known = _defaults(given.get("service"))
    said = {key: given.get(key) or known.get(key, "") for key in ("host", "hostaddr", "sslmode")}
    if not _is_elsewhere(said["host"], said["hostaddr"]):
        return {}
    options = {}
    # libpq's own default is no word of the user's.
    is_said = given.get("sslmode") or os.environ.get("PGSSLMODE")
    if not is_said and said["sslmode"] in ("", "prefer"):
        options["sslmode"] = "require"
    has_tls = (options.get("sslmode") or said["sslmode"]) in ("require", "verify-ca", "verify-full")
    is_said = given.get("require_auth") or known.get("require_auth")
    if not has_tls and not is_said and psycopg.pq.version() >= _CAN_REFUSE_PASSWORD:
        options["require_auth"] = "!password"
    return options


def _defaults(service: str | None) -> dict[str, str]:
    """Return what the environment and a service's file say of a connection."""
    before = os.environ.get("PGSERVICE")
    if service:
        os.environ["PGSERVICE"] = service
    try:
        found = psycopg.pq.Conninfo.get_defaults()
    except psycopg.Error:
        # An unknown service: connecting says so.
        return {}
    finally:
        if service:
            os.environ.pop("PGSERVICE")
            if before is not None:
                os.environ["PGSERVICE"] = before
    return {
        option.keyword.decode(): option.val.decode("utf-8", "replace")
        for option in found
        if option.val is not None
    }


def _is_elsewhere(hosts: str, addresses: str) -> bool:
    """True if any of these hosts may be another machine; none at all is a socket of this one."""
    named = [one.strip() for one in (addresses or hosts).split(",")]
    return not all(one == "" or one.startswith(("/", "@")) or _is_loopback(one) for one in named)


def _is_loopback(host: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        # A name that begins so is no address: `127.0.0.1.example.org` is anybody's.
        return host.lower().rstrip(".") == "localhost"


class _Number(psycopg.adapt.Loader):
    """Sums and means, as SQLite tells them: whole numbers, else floats."""

    def load(self, data: Buffer) -> int | float:
        text = bytes(data)
        return float(text) if b"." in text else int(text)


def _patience() -> float:
    try:
        return waiting.patience()
    except ValueError:
        told = os.environ[PATIENCE]
        raise LedgerError(f"{PATIENCE}='{told[:20]}' is no number", "give seconds") from None


def _is_passing(error: psycopg.Error) -> bool:
    # The driver tells what went wrong at the end of a pipeline, and what before, one in the other.
    before = error.__context__
    if isinstance(before, psycopg.Error) and _is_passing(before):
        return True
    if error.sqlstate:
        # Class 57 is the server's stop; a cancelled statement was somebody's wish.
        state = error.sqlstate
        return state in ("25P03", "53300") or (state[:2] == "57" and state != "57014")
    return isinstance(error, psycopg.OperationalError) and any(
        word in str(error) for word in _PASSING
    )


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines)[:300].rstrip(".") or type(error).__name__


def _mend(text: str) -> str:
    if "method requirement" in text:
        return (
            "have the server ask for scram-sha-256, or offer TLS: a password is not sent in clear"
        )
    if "does not support SSL" in text:
        return "turn TLS on at the server; only where nobody is on the way: sslmode=disable"
    if "password" in text or "authentication" in text:
        return "put the password into ~/.pgpass or PGPASSWORD, never into a command"
    if "certificate" in text or "SSL" in text:
        return "see docs/postgresql.md on TLS"
    return f"check {store.VARIABLE} and the server's pg_hba.conf"
