"""The way to a PostgreSQL server: connected, waited for, and its errors told."""

from __future__ import annotations

import os
import time

from hypervisor.config import store
from hypervisor.ledger import dialect, libpq
from hypervisor.ledger.link import Link
from hypervisor.ledger.store import Collision, Gone, LedgerError
from hypervisor.system import waiting
from hypervisor.system.errors import HypervisorError
from hypervisor.system.spans import span
from hypervisor.system.waiting import PATIENCE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

# From this version of libpq on ways to log in can be refused.
_CAN_REFUSE_PASSWORD = 160000
# From so many rows on, one COPY is faster than a statement per row.
_COPY_FROM = 500
# A host that was cut off in the midst of a transaction lets go of its rows after a while.
_SESSION = {
    "client_min_messages": "error",
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "4",
}
_CLIENT = {
    "connect_timeout": "10",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "40000",
    "application_name": "hypervisor",
}
# SQLSTATEs: what two writers in each other's way are told, and what the server's owner mends.
_COLLISIONS = ("40001", "40P01")
_OWNERS = ("53100", "42501")
_RAISED = "P0001"
# What is said while a server starts, stops, or is not there; anything else needs a person.
_PASSING = (
    "refused", "starting up", "shutting down", "recovery", "timeout", "timed out",
    "closed the connection", "No such file or directory", "too many", "remaining connection slots",
    "unreachable", "No route", "not accepting", "Connection reset", "Broken pipe", "terminating",
)  # fmt: skip


class Found:
    """What a statement has found: waited for when it is looked at, and errors come then."""

    def __init__(self, result: libpq.Result, connection: Connection) -> None:
        self._result = result
        self._connection = connection

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        return self._seen().fetchone()

    def fetchall(self) -> list[dialect.Row]:
        """Return all rows that are left."""
        return list(self._seen())

    def __iter__(self) -> Iterator[dialect.Row]:
        return iter(self._seen())

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""
        return self._seen().changed

    def _seen(self) -> libpq.Result:
        try:
            self._connection.raw.receive(self._result)
        except libpq.Error as error:
            raise self._connection.told(error) from error
        return self._result


class Connection:
    """The connection as the ledger uses it: the verbs of `sqlite3.Connection`, in our SQL.

    In a transaction statements are sent without waiting for the answers of those before: what
    counts on a network, and beside other work, is how often one waits.
    """

    def __init__(self, raw: Link, server: Server) -> None:
        self.raw = raw
        self._server = server
        self._within = False

    def begin(self, *statements: str) -> Found:
        """Begin a transaction with `statements` and return what the last of them finds."""
        try:
            self._within = True
            for statement in ("begin", *statements):
                result = self.raw.send(statement.encode())
        except libpq.Error as error:
            raise self.told(error) from error
        return Found(result, self)

    def commit(self) -> None:
        """End the transaction. Raises what went wrong in it and was not seen before."""
        self._within = False
        try:
            self.raw.send(b"commit")
            self.raw.sync()
        except libpq.Error as error:
            raise self.told(error) from error

    def rollback(self) -> None:
        """Undo what is left of a transaction, if anything is."""
        self._within = False
        self._try()
        if self.raw.in_transaction:
            self._try(b"rollback")
        try:
            self.raw.forget()
        except libpq.Error:
            return

    def _try(self, *statements: bytes) -> None:
        try:
            for statement in statements:
                self.raw.send(statement)
            self.raw.sync()
        except libpq.Error:
            return

    def execute(self, sql: str, values: Sequence[object] = ()) -> Found:
        """Carry out one statement of the ledger and return what it finds."""
        try:
            result = self.raw.send(dialect.statement(sql), values)
            self._settle()
        except libpq.Error as error:
            raise self.told(error) from error
        return Found(result, self)

    def executemany(self, sql: str, values: Iterable[Sequence[object]]) -> None:
        """Carry out one statement for each of `values`."""
        rows = list(values)
        copy = dialect.copied(sql) if len(rows) >= _COPY_FROM else None
        try:
            if copy is not None:
                self.raw.copy(copy, rows)
                # Until the server counts again by itself, it would take the table for empty.
                self.raw.send(b"analyze " + copy.split(b" ")[1])
            else:
                statement = dialect.statement(sql)
                for row in rows:
                    self.raw.send(statement, row)
            self._settle()
        except libpq.Error as error:
            raise self.told(error) from error

    def _settle(self) -> None:
        """Outside of a transaction, wait for the answers to what was sent."""
        if not self._within:
            self.raw.sync()

    def told(self, error: libpq.Error) -> HypervisorError:
        """Return what an error of the server means to the ledger and its user."""
        text = f"{self._server.shown}: {_first_line(error)}"
        if not self.raw.is_open or _is_passing(error):
            # The server's last word may come before the end of the connection does.
            self.raw.close()
            return Gone(text, "check the server, then run the command again")
        if error.state in _COLLISIONS:
            return Collision(text, "run the command again")
        if error.state == _RAISED and " was moved to " in text:
            return LedgerError(_first_line(error), f"name its new store in {store.VARIABLE}")
        if error.state in _OWNERS:
            return LedgerError(text, "fix it on the server, then run the command again")
        return LedgerError(text, "see docs/postgresql.md")


class Server:
    """Where the store is, as this shell reaches it, and how long to wait for it (seconds)."""

    def __init__(self, told: str, patience: float | None = None) -> None:
        self.patience = _patience() if patience is None else patience
        self._told = told
        self._raw: Link | None = None

    @property
    def shown(self) -> str:
        """The address without its password."""
        return store.shown(self._told)

    def connected(self, schema: str, until: float) -> Link:
        """Return a new connection that works in `schema`.

        A server that isn't there is waited for until then (monotonic); the wait is told on
        standard error. Raises LedgerError.
        """
        begun, pause, said = time.monotonic(), 0.05, False
        while True:
            try:
                raw = self._connect(schema)
            except libpq.Error as error:
                text, left = f"{self.shown}: {_first_line(error)}", until - time.monotonic()
                if not _is_passing(error):
                    raise LedgerError(text, _mend(text)) from None
                if left <= 0:
                    raise LedgerError(
                        f"{text} (waited {span(time.monotonic() - begun)})",
                        f"start the server, or wait longer: {PATIENCE}=SECONDS",
                    ) from None
                if not said:
                    waiting.say(f"{text}; waiting for up to {span(max(1, round(left)))}")
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
        raw = self._raw
        if raw is not None and not raw.has_tls and is_elsewhere(raw.host, raw.address):
            waiting.say(
                f"{self.shown}: without TLS, so that others on the way can read and change what "
                "travels; add sslmode=verify-full to the address (docs/postgresql.md)"
            )

    def _connect(self, schema: str) -> Link:
        try:
            given = libpq.parse(self._told)
        except libpq.Error as error:
            raise LedgerError(
                f"{self.shown}: {_first_line(error)}", f"check {store.VARIABLE}"
            ) from None
        options = {"dbname": self._told, "client_encoding": "UTF8", **_guards(given)}
        raw = Link(options | {key: _CLIENT[key] for key in _CLIENT.keys() - given.keys()})
        session = _SESSION | {"search_path": dialect.quoted(schema)}
        settings = ", ".join(f"set_config('{name}', ?, false)" for name in session)
        # What goes wrong with them shows at the first statement that is waited for.
        raw.send(dialect.statement(f"select {settings}"), list(session.values()))
        raw.mark()
        return raw


def _guards(given: Mapping[str, str]) -> dict[str, str]:
    """Return what keeps a connection to another machine from being read, beyond what the user says.

    libpq would take a connection without TLS where the server offers none, and would hand a
    password over in the clear to whoever answers and asks for it.
    """
    known = _defaults(given.get("service"))
    said = {key: given.get(key) or known.get(key, "") for key in ("host", "hostaddr", "sslmode")}
    if not is_elsewhere(said["host"], said["hostaddr"]):
        return {}
    options = {}
    # libpq's own default is no word of the user's.
    is_said = given.get("sslmode") or os.environ.get("PGSSLMODE")
    if not is_said and said["sslmode"] in ("", "prefer"):
        options["sslmode"] = "require"
    has_tls = (options.get("sslmode") or said["sslmode"]) in ("require", "verify-ca", "verify-full")
    is_said = given.get("require_auth") or known.get("require_auth")
    if not has_tls and not is_said and libpq.version() >= _CAN_REFUSE_PASSWORD:
        options["require_auth"] = "!password"
    return options


def _defaults(service: str | None) -> dict[str, str]:
    """Return what the environment and a service's file say of a connection."""
    before = os.environ.get("PGSERVICE")
    if service:
        os.environ["PGSERVICE"] = service
    try:
        return libpq.defaults()
    finally:
        if service:
            os.environ.pop("PGSERVICE")
            if before is not None:
                os.environ["PGSERVICE"] = before


def is_elsewhere(hosts: str, addresses: str) -> bool:
    """True if any of these hosts may be another machine; none at all is a socket of this one."""
    named = [one.strip() for one in (addresses or hosts).split(",")]
    return not all(one == "" or one.startswith(("/", "@")) or _is_loopback(one) for one in named)


def _is_loopback(host: str) -> bool:
    if host in ("127.0.0.1", "::1"):
        return True
    import ipaddress

    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        # A name that begins so is no address: `127.0.0.1.example.org` is anybody's.
        return host.lower().rstrip(".") == "localhost"


def _patience() -> float:
    try:
        return waiting.patience()
    except ValueError:
        told = os.environ[PATIENCE]
        raise LedgerError(f"{PATIENCE}='{told[:20]}' is not a number", "give seconds") from None


def _is_passing(error: libpq.Error) -> bool:
    state = error.state
    if state:
        # Class 57 is the server's stop; a cancelled statement was somebody's wish.
        return state in ("25P03", "53300") or (state[:2] == "57" and state != "57014")
    return any(word in str(error) for word in _PASSING)


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
