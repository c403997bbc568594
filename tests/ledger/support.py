"""Real processes for the tests of the ledger, and ways to end them at a chosen step."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import shutil
import signal
import sqlite3
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hypervisor.config.store import VARIABLE
from hypervisor.ledger import Ledger, NewItem, clock, driver
from hypervisor.ledger.findings import Result
from hypervisor.ledger.schema import LEASED
from hypervisor.system import machine
from hypervisor.system.notes import VARIABLE as STATE_VARIABLE
from hypervisor.system.notes import home

OWN = ("done", "blocked", "failed", "skipped")


class Child:
    """A forked process that runs `work(*args)`; what it returns comes back as JSON."""

    def __init__(self, work: Callable[..., Any], *args: Any) -> None:
        read, write = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.close(read)
                told = json.dumps(work(*args)).encode()
                while told:
                    told = told[os.write(write, told) :]
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        os.close(write)
        self._read = read
        self.status: int | None = None

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Return the exit code; minus the signal's number for a killed process."""
        if self.status is None:
            with open(self._read, "rb") as pipe:
                self._told = pipe.read()
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status

    def result(self) -> Any:
        assert self.wait() == 0, f"the child ended with {self.status}"
        return json.loads(self._told)


def items(count: int, start: int = 0) -> list[NewItem]:
    return [NewItem(f"task-{number:05}") for number in range(start, start + count)]


def counts(ledger: Ledger, queue: str = "q") -> dict[str, int]:
    """The states that have items, and how many."""
    return {state: count for state, count in ledger.queues.stats(queue).items() if count}


def result(ledger: Ledger, item_id: str, queue: str = "q") -> Result:
    return next(row for row in ledger.queries.results(queue) if row.id == item_id)


def content(ledger: Ledger) -> list[tuple[Any, ...]]:
    """All that the ledger says about items, claims and queues."""
    return [
        tuple(row)
        for table in ("item", "claim", "queue", "dependency")
        for row in ledger.store.rows(f"select * from {table} order by 1, 2, 3")
    ]


def embedded_identity(database: str) -> list[tuple[str, str]]:
    """Return what the first release notes of the file that it makes at `database`."""
    return [("machine", machine.machine_id()), ("inode", str(os.stat(database).st_ino))]


@contextlib.contextmanager
def owned_by_nobody(root: Path) -> Iterator[None]:
    """Have a project, and what is noted of it, belong to another user for a while, if we may."""
    if os.geteuid():
        yield
        return
    name = (root / ".hypervisor/id").read_text().strip()
    notes = root.parent / f"{root.name}-notes"
    shutil.copytree(Path(home()) / "projects" / name, notes / "projects" / name, symlinks=True)
    for folder in (*root.parents, root):
        mode = os.stat(folder).st_mode
        if not mode & 0o001:
            os.chmod(folder, mode | 0o011)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(STATE_VARIABLE, str(notes))
        _give((root, notes), 65534)
        try:
            yield
        finally:
            _give((root, notes), 0)


def _give(places: tuple[Path, ...], user: int) -> None:
    for place in places:
        for folder, folders, files in os.walk(place):
            for name in (".", *folders, *files):
                os.chown(os.path.join(folder, name), user, user, follow_symlinks=False)


def first_release(root: str) -> str:
    """Lay out a ledger that the first release wrote at `root`; return the token of its live claim.

    Of the queue `q`, `a` is done and `b` is claimed; `c`, `d` and `e` are ready.
    """
    os.mkdir(os.path.join(root, ".hypervisor"), mode=0o700)
    database = os.path.join(root, ".hypervisor", "ledger.db")
    with sqlite3.connect(database) as connection:
        connection.execute("pragma page_size = 2048")
        connection.execute("pragma journal_mode = wal")
        connection.executescript(Path(__file__).with_name("first_release.sql").read_text("utf-8"))
        for key, value in embedded_identity(database):
            connection.execute("update meta set value = ? where key = ?", (value, key))
        connection.execute("update boot set id = ?", (machine.boot_id(),))
        years = LEASED + 10**15  # in the ledger's own clock
        connection.execute("update item set turn = ? where turn < 0", (years,))
        [token] = connection.execute("select token from claim where outcome is null").fetchone()
    connection.close()
    return str(token)


def verbs_of_workers(ledger: Ledger) -> None:
    """Call what workers call all the time, on a queue `q` of ten items and more."""
    first, second, third, fourth, fifth = ledger.claims.claim("q", "w", 5)
    ledger.claims.heartbeat([first.token])
    ledger.claims.store_plans({first.token: "p"})
    ledger.ends.holding(first.token)
    ledger.ends.finish(first.token, "done", {}, pending=True)
    ledger.ends.finish(first.token, "done", {})
    ledger.ends.said(first.token)
    ledger.ends.lost(first.token)
    ledger.outbox.written(first.token)
    ledger.outbox.unwritten(first.token, "why")
    ledger.ends.finish(second.token, "failed", {})
    ledger.ends.release(third.token)
    ledger.ends.end(fourth.token, "died")
    ledger.claims.finish_and_claim([(fifth.token, "done", {})], "q", "w", 2)
    ledger.claims.claim("q", "w", only="task-00009")
    ledger.queues.drained("q")
    ledger.claims.place_of(first.token)


def is_intact(ledger: Ledger) -> bool:
    return ledger.store.engine.shared or ledger.store.row("pragma integrity_check")[0] == "ok"


def locks_of(root: str) -> list[str]:
    return sorted(os.listdir(os.path.join(root, ".hypervisor", "locks")))


def set_clock(monkeypatch: pytest.MonkeyPatch, engine: str, ahead: list[int]) -> None:
    """Let the clock of leases be `ahead[0]` microseconds ahead of the real one."""
    if engine == "sqlite":
        real = clock.monotonic_us
        monkeypatch.setattr(clock, "monotonic_us", lambda: real() + ahead[0])
    else:
        from hypervisor.ledger import dialect

        server = dialect.clock()
        monkeypatch.setattr(dialect, "clock", lambda: f"({server} + {ahead[0]})")


def await_the_dead(engine: str) -> None:
    """Wait until the server has noticed that killed clients are gone."""
    if engine == "sqlite":
        return
    import psycopg

    busy = "select count(*) from pg_stat_activity where datname = current_database() "
    busy += "and pid <> pg_backend_pid() and state <> 'idle'"
    with psycopg.connect(os.environ[VARIABLE], autocommit=True) as connection:
        for _ in range(500):
            if connection.execute(busy).fetchone() == (0,):
                return
            time.sleep(0.01)
    raise AssertionError("somebody is still at work")


def let_expire(ledger: Ledger) -> None:
    """Wait until every lease that is short has run out."""
    time.sleep(0.03)
    ledger.ends.expire()


class Steps:
    """Counts the calls by which a process changes anything that others see, one step before and
    one after each; kills the process at step `last`."""

    def __init__(self, last: int | None) -> None:
        self.last = last
        self.count = 0
        self.names: list[str] = []

    def step(self, name: str) -> None:
        self.count += 1
        self.names.append(name)
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **options: Any) -> Any:
            self.step(f"before {name}")
            made = call(*args, **options)
            self.step(f"after {name}")
            return made

        return counted

    def install(self) -> None:
        """Patch this process, which must be a child."""
        steps = self

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
                return steps.around(sql, super().execute)(sql, *args)

            def executemany(self, sql: str, *args: Any) -> sqlite3.Cursor:
                return steps.around(sql, super().executemany)(sql, *args)

        connect = sqlite3.connect
        driver.connect = lambda *args, **options: connect(*args, factory=Connection, **options)
        if "hypervisor.ledger.server" in sys.modules:
            server = sys.modules["hypervisor.ledger.server"].Connection
            for name in ("begin", "execute", "executemany", "commit"):
                setattr(server, name, _by_statement(self, getattr(server, name)))
        for module, names in (
            (os, ("symlink", "unlink", "mkdir", "makedirs", "chmod", "rename", "fsync")),
            (fcntl, ("flock",)),
        ):
            for name in names:
                setattr(module, name, self.around(name, getattr(module, name)))


def _by_statement(steps: Steps, call: Callable[..., Any]) -> Callable[..., Any]:
    def counted(connection: Any, *args: Any) -> Any:
        return steps.around(args[0] if args else call.__name__, call)(connection, *args)

    return counted


def killed_at_every_step(
    engine: str,
    work: Callable[[int], Any],
    prepare: Callable[[], None] = lambda: None,
    stride: int = 1,
) -> Iterator[tuple[int, str]]:
    """Run `work(k)` in one child after the other, killed at its k-th step, until one survives.

    Yields k and the step's name after each death. `prepare` runs before each child starts. With
    a `stride` only every so many steps are looked at.
    """

    def run(last: int | None) -> list[str]:
        steps = Steps(last)
        steps.install()
        work(last or 0)
        return steps.names

    for k in range(1, 1000, stride):
        prepare()
        child = Child(run, k)
        if child.wait() == 0:
            names = child.result()
            assert k - stride <= len(names) < k, "it ended at fewer steps than it has"
            return
        assert child.status == -signal.SIGKILL
        await_the_dead(engine)
        yield k, str(k)
    raise AssertionError("it never ends")


@contextlib.contextmanager
def opened(root: str) -> Iterator[Ledger]:
    with Ledger.open(root) as ledger:
        yield ledger


def in_terminal(words: list[str], folder: str, typed: str) -> tuple[int, str]:
    """Run a program on a terminal of its own, type into it, and return its exit code and output."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execv(words[0], words)
    os.write(terminal, typed.encode())
    shown = b""
    while True:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()
