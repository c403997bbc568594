"""The store on PostgreSQL: whose it is, who is let in, and what happens when it goes away."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hypervisor.config import store
from hypervisor.config.store import VARIABLE
from hypervisor.ledger import Ledger, LedgerError, NewItem, NoLedger, Options, adopt, libpq
from hypervisor.ledger.reports import prepared
from hypervisor.ledger.server import Connection, Server, _guards
from hypervisor.system import machine, waiting
from hypervisor.system.errors import HypervisorError, NotOwner
from hypervisor.system.waiting import PATIENCE
from ledger.support import Child, counts, items, opened, result

pytestmark = pytest.mark.shared


@pytest.fixture
def second(tmp_path: Path) -> str:
    folder = os.path.realpath(tmp_path / "second")
    os.mkdir(folder)
    return folder


# -- whose it is --


def test_projects_that_share_a_database_do_not_meet(ledger: Ledger, second: str) -> None:
    ledger.generations.open("q", items(3))
    [claim] = ledger.claims.claim("q", "w", lease_seconds=0.001)
    with Ledger.open(second, create=True) as other:
        assert other.project != ledger.project
        assert other.queues.all() == [] and other.items.all_open() == {}
        assert other.generations.open("q", items(3)).added == 3
        [theirs] = other.claims.claim("q", "w")
        assert theirs.id == claim.id
        time.sleep(0.01)
        assert other.ends.expire() == 0
        with pytest.raises(NotOwner):
            other.ends.finish(claim.token, "done", {})
        other.generations.cancel("q")
    assert ledger.ends.expire() == 1
    assert counts(ledger) == {"ready": 3}


def test_a_clone_on_another_machine_joins_by_the_name_in_its_settings(
    root: str, second: str
) -> None:
    for folder in (root, second):
        Path(folder, "hypervisor.toml").write_text('project = "shop"\n')
    with Ledger.open(root, create=True, project="shop") as ledger:
        ledger.generations.open("q", items(2))
        ledger.claims.claim("q", "here")
        with opened(second) as other:
            assert other.claims.claim("q", "there")[0].id == "task-00001"
    assert os.path.isdir(os.path.join(second, ".hypervisor"))


def test_a_clone_that_does_not_say_which_project_it_is_is_told_so(
    ledger: Ledger, second: str
) -> None:
    with pytest.raises(NoLedger, match="project = "):
        Ledger.open(second)
    assert os.listdir(second) == []


@pytest.mark.parametrize(
    "project", ["Müller & Söhne", "a" * 90, 'x"; drop schema public; --', ".", "A", "a"]
)
def test_any_name_is_a_project_of_its_own(root: str, second: str, project: str) -> None:
    with Ledger.open(root, create=True, project=project) as one:
        one.generations.open("q", items(1))
        with Ledger.open(second, create=True, project=project + "x") as two:
            assert two.queues.all() == []
        assert one.project == project
    with opened(root) as again:
        assert counts(again) == {"ready": 1}


def test_the_first_use_is_noted_without_the_password(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = os.environ[VARIABLE].replace("owner@", "owner:secret@") + "&password=secret"
    monkeypatch.setenv(VARIABLE, told)
    with Ledger.open(root, create=True) as ledger:
        project = ledger.project
    note = Path(root, ".hypervisor", "store").read_text()
    assert "secret" not in note and note.splitlines()[1] == project
    assert note.startswith("postgresql://owner@/")


def test_a_shell_that_names_another_store_is_refused_with_the_mend(
    root: str, ledger: Ledger, postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.generations.open("q", items(1))
    mine = os.environ[VARIABLE]
    for other in (None, postgres.address("postgres"), "postgresql://elsewhere/x"):
        if other is None:
            monkeypatch.delenv(VARIABLE)
        else:
            monkeypatch.setenv(VARIABLE, other)
        for create in (False, True):
            with pytest.raises(HypervisorError, match="its queues are in") as error:
                Ledger.open(root, create=create)
            assert f"export {VARIABLE}='{mine}'" in str(error.value)
    monkeypatch.setenv(VARIABLE, mine + "&application_name=me")
    with opened(root) as again:
        assert counts(again) == {"ready": 1}


def test_a_shell_that_names_a_server_is_refused_where_the_ledger_is_a_file(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = os.environ[VARIABLE]
    monkeypatch.delenv(VARIABLE)
    with Ledger.open(root, create=True) as ledger:
        ledger.generations.open("q", items(1))
    monkeypatch.setenv(VARIABLE, told)
    with pytest.raises(HypervisorError, match="hypervisor move sqlite"):
        Ledger.open(root, create=True)


def test_the_users_own_configuration_names_a_store_and_no_file_of_the_project_does(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = os.environ[VARIABLE]
    monkeypatch.delenv(VARIABLE)
    Path(root, "hypervisor.toml").write_text(f'store = "{told}"\n')
    assert store.address() is None
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    own = tmp_path / "config" / "hypervisor" / "config.toml"
    own.parent.mkdir(parents=True)
    own.write_text(f'# mine\nstore = "{told}"\n')
    assert store.address() == told
    monkeypatch.setenv(VARIABLE, "sqlite")
    assert store.address() is None
    monkeypatch.delenv(VARIABLE)
    own.write_text("store = [")
    with pytest.raises(HypervisorError, match=r"config\.toml"):
        store.address()


def test_a_shared_store_is_not_adopted(ledger: Ledger, root: str) -> None:
    with pytest.raises(LedgerError, match="needs no adopting"):
        adopt(root)


def test_a_lock_of_another_tool_in_this_clone_is_passed_over_and_none_is_made(
    root: str, ledger: Ledger
) -> None:
    ledger.generations.open("q", items(2))
    os.mkdir(os.path.join(root, ".hypervisor", "locks", "task-00000"))
    [claim] = ledger.claims.claim("q", "w", 2)
    assert claim.id == "task-00001"
    assert os.listdir(os.path.join(root, ".hypervisor", "locks")) == ["task-00000"]
    os.rmdir(os.path.join(root, ".hypervisor", "locks", "task-00000"))
    assert [claim.id for claim in ledger.claims.claim("q", "w", 2)] == ["task-00000"]


def test_sessions_of_other_machines_are_left_to_them(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:

    ledger.generations.open("q", items(1))
    ledger.sessions.meet("s", pid=1, pid_start="1")
    ledger.followers.follow("s", "q")
    [session] = ledger.sessions.at_work()
    assert ledger.sessions.is_gone(session)
    monkeypatch.setattr(machine, "machine_id", lambda: "elsewhere")
    assert not ledger.sessions.is_gone(session)


# -- several writers --


def test_an_end_that_commits_late_is_told_all_the_same(root: str, ledger: Ledger) -> None:
    ledger.generations.open("q", items(2))
    early, late = ledger.claims.claim("q", "w", 2)
    started, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        with opened(root) as other, other.store.write():
            other.ends.finish_all(prepared([(early.token, "done", {})]), False)
            started.set()
            go_on.wait(30)

    thread = threading.Thread(target=slow)
    thread.start()
    assert started.wait(30)
    ledger.ends.finish(late.token, "done", {})
    queue = ledger.queues.get("q").no
    assert ledger.followers.ended_since(queue, 0) == [], "what began earlier may still end"
    go_on.set()
    thread.join()
    assert [row.id for row in ledger.followers.ended_since(queue, 0)] == [early.id, late.id]


def test_whoever_begins_to_wait_while_the_other_item_ends_is_not_forgotten(root: str) -> None:
    with Ledger.open(root, create=True) as ledger:
        ledger.generations.open("q", items(60))
        claims = {claim.id: claim.token for claim in ledger.claims.claim("q", "w", 60)}

    def finish_all() -> int:
        with opened(root) as mine:
            for token in claims.values():
                mine.ends.finish(token, "done", {})
        return 0

    child = Child(finish_all)
    with opened(root) as ledger:
        for number, item in enumerate(claims):
            ledger.generations.open("q", [NewItem(f"after-{number}", after=[item])])
        child.result()
        assert counts(ledger) == {"done": 60, "ready": 60}


def test_a_cancel_while_others_claim_leaves_nothing_open(root: str) -> None:
    with Ledger.open(root, create=True) as ledger:
        ledger.generations.open("q", items(2000))

    def claim() -> int:
        with opened(root) as mine:
            while mine.claims.claim("q", "w", 3):
                pass
        return 0

    children = [Child(claim) for _ in range(3)]
    time.sleep(0.2)
    with opened(root) as ledger:
        ledger.generations.cancel("q")
        assert counts(ledger) == {"cancelled": 2000}
        for child in children:
            child.result()
        assert ledger.store.row("select count(*) from claim where outcome is null")[0] == 0
        assert ledger.claims.live_tokens() == {}


@pytest.mark.parametrize("step", [-(10**9), 10**9])
def test_a_worker_whose_clocks_are_off_neither_ends_nor_prolongs_a_lease(
    root: str, ledger: Ledger, step: int
) -> None:
    ledger.generations.open("q", items(2), Options(lease_seconds=3600))
    [long] = ledger.claims.claim("q", "w")

    def work() -> list[Any]:
        for name in ("time", "time_ns", "monotonic", "monotonic_ns"):
            unit = 10**9 if name.endswith("_ns") else 1
            real = getattr(time, name)
            setattr(time, name, lambda real=real, unit=unit: real() + step * unit)
        with opened(root) as mine:
            ended = mine.ends.expire()
            [short] = mine.claims.claim("q", "off", lease_seconds=1)
            return [ended, mine.claims.heartbeat([short.token]) == [short.token]]

    assert Child(work).result() == [0, True]
    assert ledger.ends.expire() == 0
    time.sleep(1.1)
    assert ledger.ends.expire() == 1
    assert ledger.claims.heartbeat([long.token]) == [long.token]


# -- who is let in --


def _certificates(folder: Path) -> None:
    """A certificate authority, and the server's certificate for the name `localhost`."""
    folder.mkdir()
    (folder / "names").write_text("subjectAltName=DNS:localhost\n")
    for line in (
        "req -x509 -newkey rsa:2048 -nodes -subj /CN=ours -keyout ca.key -out ca.crt",
        "req -x509 -newkey rsa:2048 -nodes -subj /CN=theirs -keyout other.key -out other.crt",
        "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 "
        "-extfile names -out server.crt",
    ):
        subprocess.run(["openssl", *line.split()], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def guarded() -> Iterator[Any]:
    """A server that takes TLS with a password only."""
    import server

    folder = Path(tempfile.mkdtemp(prefix="hv-pg-"))
    made = server.Server(
        folder / "s",
        {"ssl": "on", "ssl_cert_file": "'server.crt'", "ssl_key_file": "'server.key'"},
        ("hostssl all worker 127.0.0.1/32 scram-sha-256", "host all plain 127.0.0.1/32 trust"),
    )
    try:
        _certificates(folder / "tls")
        for name in ("server.crt", "server.key"):
            shutil.copy(folder / "tls" / name, made.data / name)
            os.chmod(made.data / name, 0o600)
            shutil.chown(made.data / name, os.stat(made.data).st_uid, os.stat(made.data).st_gid)
        made.start()
        made.sql(
            "create role worker login password 'secret'", "create role plain login",
            "create database work owner worker",
        )  # fmt: skip
        made.ca = folder / "tls" / "ca.crt"  # type: ignore[attr-defined]
        made.other_ca = folder / "tls" / "other.crt"  # type: ignore[attr-defined]
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)


def _verified(guarded: Any, host: str, ca: Path) -> str:
    told = guarded.tcp("work", host, "worker")
    return f"{told}?sslmode=verify-full&sslrootcert={ca}"


def test_tls_with_a_verified_server_and_a_password_out_of_the_command(
    guarded: Any, root: str, monkeypatch: pytest.MonkeyPatch, capfd: Any, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, _verified(guarded, "localhost", guarded.ca))
    with pytest.raises(LedgerError, match="password") as error:
        Ledger.open(root, create=True)
    assert "PGPASSWORD" in error.value.fix
    monkeypatch.setenv("PGPASSWORD", "wrong")
    with pytest.raises(LedgerError, match="authentication failed"):
        Ledger.open(root, create=True)
    monkeypatch.delenv("PGPASSWORD")
    passfile = tmp_path / "pass"
    passfile.write_text(f"localhost:{guarded.port}:work:worker:secret\n")
    passfile.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passfile))
    with Ledger.open(root, create=True) as ledger:
        ledger.generations.open("q", items(2))
        [claim] = ledger.claims.claim("q", "w")
        assert ledger.ends.finish(claim.token, "done", {}) == "done"
        assert ledger.store.connection.raw.has_tls
    assert "without TLS" not in capfd.readouterr().err


@pytest.mark.parametrize("wrong", ["name", "authority", "plain"])
def test_a_server_that_is_not_the_one_it_should_be_is_refused_at_once(
    guarded: Any, root: str, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv("PGPASSWORD", "secret")
    told = {
        "name": _verified(guarded, "127.0.0.1", guarded.ca),
        "authority": _verified(guarded, "localhost", guarded.other_ca),
        "plain": guarded.tcp("work", "localhost", "worker") + "?sslmode=disable",
    }[wrong]
    monkeypatch.setenv(VARIABLE, told)
    begun = time.monotonic()
    with pytest.raises(LedgerError, match=r"certificate|SSL|encryption"):
        Ledger.open(root, create=True)
    assert time.monotonic() - begun < 30, "nobody waits for what will not change"


class _Plain:
    """What a connection through TCP without TLS says of itself."""

    has_tls = False
    host = "db.example"
    address = "192.0.2.7"


@pytest.mark.parametrize(
    ("host", "hostaddr", "warned"),
    [
        ("db.example", "192.0.2.7", True),
        ("db.example", "2001:db8::1", True),
        ("localhost", "127.0.0.1", False),
        ("::1", "::1", False),
        ("/run/postgresql", "", False),
    ],
)
def test_tcp_without_tls_beyond_this_machine_is_warned_about(
    monkeypatch: pytest.MonkeyPatch, host: str, hostaddr: str, warned: bool
) -> None:
    said: list[str] = []
    monkeypatch.setattr(waiting, "say", said.append)
    server = Server("postgresql://db.example/x")
    monkeypatch.setattr(_Plain, "host", host)
    monkeypatch.setattr(_Plain, "address", hostaddr)
    server._raw = _Plain  # type: ignore[assignment]
    server.warn_of_plain()
    assert ("without TLS" in "".join(said)) is warned


def test_a_role_that_may_not_make_the_tables_is_told_so(
    guarded: Any, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, guarded.tcp("work", "127.0.0.1", "plain"))
    with pytest.raises(LedgerError, match="permission denied"):
        Ledger.open(root, create=True)


# -- what happens when it goes away --


@pytest.fixture(scope="module")
def _mortal() -> Iterator[Any]:
    import server

    folder = Path(tempfile.mkdtemp(prefix="hv-pg-"))
    made = server.Server(folder / "s")
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)


@pytest.fixture
def fragile(_mortal: Any) -> Iterator[Any]:
    """A server apart from the others, to be killed; what it has acknowledged it keeps."""
    if _mortal.process is None:
        _mortal.start()
    _mortal.sql("drop database if exists work with (force)", "create database work")
    yield _mortal


def _work(root: str, name: str) -> list[str]:
    done = []
    with opened(root) as ledger:
        while claims := ledger.claims.claim("q", name, 2):
            for claim in claims:
                assert ledger.ends.finish(claim.token, "done", {"by": name}) == "done"
                done.append(claim.id)
                time.sleep(0.005)
    return done


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_workers_wait_for_a_server_that_went_away_and_lose_and_repeat_nothing(
    fragile: Any, root: str, monkeypatch: pytest.MonkeyPatch, capfd: Any, how: int
) -> None:
    # Processes of their own tell it.
    monkeypatch.setattr(waiting, "say", lambda text: print(text, file=sys.stderr, flush=True))
    monkeypatch.setenv(VARIABLE, fragile.address("work"))
    with Ledger.open(root, create=True) as ledger:
        ledger.generations.open("q", items(600))
    workers = [Child(_work, root, f"w{number}") for number in range(4)]
    for _ in range(3):
        time.sleep(0.6)
        fragile.stop(how)
        time.sleep(0.3)
        fragile.start()
    done = [item for worker in workers for item in worker.result()]
    with opened(root) as ledger:
        told = {row.id: row.report["by"] for row in ledger.queries.results("q")}
        assert counts(ledger) == {"done": 600}
        assert sorted(done) == sorted(told)
        assert ledger.store.row("select count(*) from claim")[0] == 600, (
            "no claim was lost to anybody"
        )
    said = capfd.readouterr().err
    assert "waiting for up to" in said and "answers again after" in said


@pytest.mark.parametrize("carried_out", [True, False])
def test_a_commit_whose_answer_was_lost_is_looked_up(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, carried_out: bool
) -> None:
    ledger.generations.open("q", items(5))
    raw = ledger.store.connection.raw
    real, cut = Connection.commit, []

    def commit(connection: Connection) -> None:
        if cut:
            real(connection)
            return
        cut.append(connection)
        if carried_out:
            real(connection)
        connection.raw.close()
        raise connection.told(libpq.Error("server closed the connection"))

    monkeypatch.setattr(Connection, "commit", commit)
    claims = ledger.claims.claim("q", "w", 2)
    assert cut and ledger.store.connection.raw is not raw
    assert [claim.id for claim in claims] == ["task-00000", "task-00001"]
    assert ledger.store.row("select count(*) from claim")[0] == 2, "none is held by nobody"
    for end in (
        lambda: ledger.ends.finish(claims[0].token, "done", {}) == "done",
        lambda: ledger.ends.release(claims[1].token) == "ready",
    ):
        cut.clear()
        assert end() and cut
    assert result(ledger, "task-00001").releases == 1


class LastWord:
    """A way to `port` on which a commit, once it is armed, is answered by a server's last word; the
    end of the connection comes later than that."""

    FATAL = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"

    def __init__(self, port: int) -> None:
        self.armed, self.cut, self._to = False, 0, port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                far = socket.create_connection(("127.0.0.1", self._to))
                threading.Thread(target=self._forward, args=(far, near), daemon=True).start()
                threading.Thread(target=self._send, args=(near, far), daemon=True).start()

    @staticmethod
    def _forward(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)

    def _send(self, near: socket.socket, far: socket.socket) -> None:
        with near, far, contextlib.suppress(OSError):
            while data := near.recv(65536):
                if self.armed and b"commit" in data:
                    self.armed, self.cut = False, self.cut + 1
                    near.sendall(b"E" + (len(self.FATAL) + 4).to_bytes(4, "big") + self.FATAL)
                    far.shutdown(socket.SHUT_RDWR)
                    time.sleep(0.5)
                    return
                far.sendall(data)


def test_a_server_that_goes_away_between_its_last_word_and_the_connections_end_is_waited_for(
    postgres: Any, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = postgres.database()
    way = LastWord(postgres.port)
    monkeypatch.setenv(VARIABLE, f"postgresql://owner@127.0.0.1:{way.port}/{name}")
    with Ledger.open(root, create=True) as ledger:
        ledger.generations.open("q", items(4))
        for _ in range(4):
            way.armed = True
            [claim] = ledger.claims.claim("q", "w")
            way.armed = True
            assert ledger.ends.finish(claim.token, "done", {}) == "done"
        assert way.cut == 8 and counts(ledger) == {"done": 4}
        assert ledger.store.row("select count(*) from claim")[0] == 4, "none is held by nobody"
    way.close()
    postgres.drop(name)


def test_the_wait_is_bounded_and_can_be_set(
    fragile: Any, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, fragile.address("work"))
    with Ledger.open(root, create=True) as ledger:
        ledger.generations.open("q", items(1))
    fragile.stop()
    for seconds in ("0", "1.5"):
        monkeypatch.setenv(PATIENCE, seconds)
        begun = time.monotonic()
        with pytest.raises(LedgerError, match="waited") as error:
            Ledger.open(root)
        assert time.monotonic() - begun >= float(seconds)
        assert PATIENCE in error.value.fix and "\n" not in str(error.value)
    monkeypatch.setenv(PATIENCE, "soon")
    with pytest.raises(LedgerError, match="not a number"):
        Ledger.open(root)


def test_a_hook_is_not_held_up_by_a_server_that_went_away(
    fragile: Any, project: Path, run_hypervisor: Any
) -> None:
    told = fragile.address("work")
    env = {VARIABLE: told}
    Path(project, "a.md").write_text("---\nid: A\ntitle: T\nstatus: todo\n---\n")
    opened = run_hypervisor("open", "q", "a.md", env=env)
    assert opened.returncode == 0, opened.stderr
    fragile.stop()
    begun = time.monotonic()
    hook = run_hypervisor("_hook", "Stop", input='{"session_id": "s"}', env=env)
    assert hook.returncode == 0 and time.monotonic() - begun < 60


def test_every_verb_works_on_a_shared_store(
    postgres: Any, project: Path, run_hypervisor: Any
) -> None:
    name = postgres.database()
    env = {VARIABLE: postgres.address(name)}
    for letter in "abc":
        Path(project, f"{letter}.md").write_text(
            f"---\nid: {letter}\ntitle: T\nstatus: todo\n---\nText\n"
        )

    def run(*args: str, code: int = 0) -> str:
        ran = run_hypervisor(*args, env=env)
        assert ran.returncode == code, (args, ran.stdout, ran.stderr)
        return str(ran.stdout)

    run("open", "q", ".")
    token = run("next", "q").split("claim ")[1].split()[0]
    run("heartbeat", token)
    run("done", token, "--summary", "It is done.")
    assert "It is done." in Path(project, "a.md").read_text()
    second = run("next", "q").split("claim ")[1].split()[0]
    run("release", second)
    run("pause", "q")
    run("resume", "q")
    run("expire")
    assert "q" in run("status")
    assert "1 done, 1 to be tried again, 1 not attempted" in run("summary", "q")
    run("cancel", "q")
    assert not Path(project, ".hypervisor", "ledger.db").exists()
    postgres.drop(name)


ELSEWHERE = "db.example.org"


def _said(told: str) -> dict[str, str]:
    """What is added to an address, as libpq reads it."""
    return _guards(libpq.parse(told))


@pytest.mark.parametrize(
    ("told", "mode"),
    [
        (f"postgresql://{ELSEWHERE}/x", "require"),
        ("postgresql://192.0.2.7/x", "require"),
        ("postgresql://[2001:db8::1]/x", "require"),
        ("postgresql://127.0.0.1.example.org/x", "require"),
        (f"postgresql://localhost,{ELSEWHERE}/x", "require"),
        (f"postgresql:///x?host={ELSEWHERE}", "require"),
        ("postgresql://localhost/x?hostaddr=192.0.2.7", "require"),
        (f"postgresql://{ELSEWHERE}/x?sslmode=verify-full", None),
        (f"postgresql://{ELSEWHERE}/x?sslmode=disable", None),
        (f"postgresql://{ELSEWHERE}/x?hostaddr=127.0.0.1", None),
        ("postgresql://localhost/x", None),
        ("postgresql://127.0.0.5/x", None),
        ("postgresql://[::1]/x", None),
        ("postgresql:///x", None),
        ("postgresql:///x?host=/run/postgresql", None),
    ],
)
def test_tls_is_required_for_another_machine_unless_the_user_says_otherwise(
    told: str, mode: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGSSLMODE", "PGHOST", "PGHOSTADDR", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)
    assert _said(told).get("sslmode") == mode
    monkeypatch.setenv("PGSSLMODE", "prefer")
    assert "sslmode" not in _said(told)


def test_what_the_environment_or_a_service_says_of_the_host_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("PGSSLMODE", "PGHOST", "PGHOSTADDR", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)
    services = tmp_path / "services"
    services.write_text(f"[a]\nhost={ELSEWHERE}\n[b]\nhost={ELSEWHERE}\nsslmode=verify-full\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    assert _said("postgresql:///x?service=a")["sslmode"] == "require"
    assert "sslmode" not in _said("postgresql:///x?service=b")
    monkeypatch.setenv("PGHOST", ELSEWHERE)
    assert _said("postgresql:///x")["sslmode"] == "require"


@pytest.fixture(scope="module")
def careless() -> Iterator[Any]:
    """A server without TLS that asks for a password in the clear."""
    import server

    folder = Path(tempfile.mkdtemp(prefix="hv-pg-"))
    made = server.Server(folder / "s", {}, ("host all worker 127.0.0.1/32 password",))
    try:
        made.start()
        made.sql("create role worker login password 'secret'", "create database work owner worker")
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)


def test_a_server_elsewhere_without_tls_gets_no_connection_and_no_password(
    careless: Any, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Loopback stands for the other machine: the server is a real one, the name alone is not.
    monkeypatch.setattr("hypervisor.ledger.server._is_loopback", lambda host: False)
    monkeypatch.setenv("PGPASSWORD", "secret")
    told = careless.tcp("work", "127.0.0.1", "worker")
    monkeypatch.setenv(VARIABLE, told)
    with pytest.raises(LedgerError, match="does not support SSL") as plain:
        Ledger.open(root, create=True)
    assert "sslmode=disable" in plain.value.fix
    monkeypatch.setenv(VARIABLE, f"{told}?sslmode=disable")
    with pytest.raises(LedgerError, match="cleartext") as asked:
        Ledger.open(root, create=True)
    assert "not sent in clear" in asked.value.fix
    monkeypatch.undo()


def test_on_this_machine_a_server_without_tls_is_used_as_it_is(
    careless: Any, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "secret")
    monkeypatch.setenv(VARIABLE, careless.tcp("work", "127.0.0.1", "worker"))
    with Ledger.open(root, create=True) as ledger:
        ledger.generations.open("q", items(1))
