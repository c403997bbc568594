"""libpq as the ledger speaks to it: values there and back, errors, and what takes long."""

from __future__ import annotations

import ctypes
import math
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hypervisor.config.store import VARIABLE
from hypervisor.ledger import Ledger, LedgerError, libpq
from hypervisor.ledger.link import Link
from hypervisor.ledger.store import Collision, Gone
from ledger.support import counts, items

pytestmark = pytest.mark.shared


@pytest.fixture
def link(engine: str) -> Iterator[Link]:
    link = connected()
    yield link
    link.close()


def connected(told: str = "") -> Link:
    return Link({"dbname": told or os.environ[VARIABLE], "client_encoding": "UTF8"})


def ask(link: Link, sql: str, *values: object) -> list[tuple[object, ...]]:
    found = link.send(sql.encode(), values)
    link.sync()
    return [tuple(row) for row in found]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("ä€😀\t\\.\n'\"", "text"), ("", "text"), (None, "text"), (0, "smallint"),
        (-(2**15), "smallint"), (2**15, "integer"), (2**31, "bigint"),
        (-(2**63), "bigint"), (2**63, "numeric"),
        (10**40, "numeric"), (1.5, "double precision"), (-1e300, "double precision"),
        (math.inf, "double precision"), (True, "boolean"), (False, "boolean"), (b"", "bytea"),
        (bytes(range(256)), "bytea"),
    ],
)  # fmt: skip
def test_a_value_comes_back_as_it_was_given(link: Link, value: object, kind: str) -> None:
    cast = "::text" if kind == "text" else ""
    [(back, known)] = ask(link, f"select $1{cast}, pg_typeof($1{cast})::text", value)
    assert (back, type(back), known) == (value, type(value), kind)


def test_sums_and_means_are_numbers(link: Link) -> None:
    sql = "select sum(n), avg(n), 'NaN'::numeric from (values ($1::bigint), (2)) as t (n)"
    whole, mean, none = ask(link, sql, 1)[0]
    assert (whole, mean) == (3, 1.5) and isinstance(whole, int) and math.isnan(float(str(none)))


def test_what_no_text_of_the_server_can_hold_is_refused_and_not_cut(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="NUL"):
        ledger.store.row("select ?::text", ["a\0b"])
    with pytest.raises(UnicodeEncodeError):
        ledger.store.row("select ?::text", ["\udcff"])
    assert ledger.store.row("select ?::text", ["ab"])[0] == "ab"


def test_rows_that_are_copied_arrive_as_they_were(link: Link) -> None:
    odd = ["\\N", "\\.", "a\tb\r\nc\\d", "", None, "€" * 50_000]
    rows = [(number, odd[number % len(odd)]) for number in range(5000)]
    ask(link, "create temp table kept (no bigint, text text)")
    link.copy(b"copy kept (no, text) from stdin", rows)
    assert ask(link, "select no, text from kept order by no") == rows


def test_a_copy_that_the_server_refuses_leaves_the_connection_usable(link: Link) -> None:
    ask(link, "create temp table kept (no bigint)")
    for table, row in (("kept", "x"), ("nowhere", 1)):
        with pytest.raises(libpq.Error):
            link.copy(f"copy {table} (no) from stdin".encode(), [(1,), (row,)])
        assert ask(link, "select count(*) from kept") == [(0,)]


def test_a_large_copy_that_is_refused_in_its_midst_says_why(link: Link) -> None:
    ask(link, "create temp table kept (no bigint unique, text text)")
    rows = [(number if number != 200 else 7, "x" * 5000) for number in range(20_000)]
    with pytest.raises(libpq.Error, match="duplicate key") as error:
        link.copy(b"copy kept (no, text) from stdin", rows)
    assert error.value.state == "23505" and link.is_open
    assert ask(link, "select count(*) from kept") == [(0,)]


def test_of_what_was_sent_together_the_first_error_is_told(link: Link) -> None:
    link.send(b"begin")
    first, second = link.send(b"select 1 / 0"), link.send(b"select 2")
    for result in (second, first):
        with pytest.raises(libpq.Error, match="division by zero") as error:
            link.receive(result)
        assert error.value.state == "22012"
    link.send(b"commit")
    with pytest.raises(libpq.Error, match="division by zero"):
        link.sync()
    assert link.in_transaction, "nothing was committed"
    ask(link, "rollback")
    assert not link.in_transaction and ask(link, "select 3") == [(3,)]


def test_an_error_behind_a_mark_undoes_nothing_before_it(link: Link) -> None:
    link.send(b"select set_config('application_name', 'kept', false)")
    link.mark()
    link.send(b"select 1 / 0")
    with pytest.raises(libpq.Error, match="division by zero"):
        link.sync()
    assert ask(link, "select current_setting('application_name')") == [("kept",)]


def test_much_that_is_sent_and_found_at_once_keeps_neither_end_waiting(link: Link) -> None:
    found = [link.send(b"select repeat($1::text, 2)", ["x" * 200_000]) for _ in range(100)]
    link.sync()
    assert [len(str(row[0])) for result in found for row in result] == [400_000] * 100


def test_a_statement_that_comes_often_is_prepared_and_forgotten_after_an_error(
    ledger: Ledger,
) -> None:
    known = "select count(*) from pg_prepared_statements"
    for number in range(20):
        assert ledger.store.row("select ? + 1", [number])[0] == number + 1
    assert ledger.store.row(known)[0] == 1
    with pytest.raises(LedgerError), ledger.store.write():
        for number in range(20):
            ledger.store.row("select 7 / ?", [10 - number])
    assert ledger.store.row(known)[0] == 0
    for number in range(1, 20):
        assert ledger.store.row("select 7 / ?", [number])[0] == 7 // number


class Stopped(Exception):
    """What a signal raises."""


@pytest.fixture
def after() -> Iterator[Callable[[float], None]]:
    """`after(seconds)`: have a signal raise Stopped then."""

    def stop(*_: object) -> None:
        raise Stopped

    before = signal.signal(signal.SIGALRM, stop)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


# Where it comes in a `__del__`, Python tells it instead of raising it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_at_any_moment_mixes_up_no_answers(
    engine: str, after: Callable[[float], None]
) -> None:
    link, stopped, number = connected(), 0, 0
    until = time.monotonic() + 30
    # How many of the signals come too late depends on the machine.
    while stopped < 60 and time.monotonic() < until:
        number += 1
        try:
            after(random.uniform(0.0001, 0.004))
            for step in range(10):
                assert ask(link, "select $1", number * 10 + step) == [(number * 10 + step,)]
            after(0)
        except (Stopped, libpq.Error):
            stopped += 1
        if not link.is_open:
            link = connected()
        assert ask(link, "select 'whole'") == [("whole",)]
    assert stopped > 20
    link.close()


def test_a_signal_ends_the_wait_and_what_the_server_does_for_it(
    ledger: Ledger, after: Callable[[float], None]
) -> None:
    ledger.generations.open("q", items(1))
    pid = ledger.store.connection.raw.pid
    after(0.3)
    with pytest.raises(Stopped), ledger.store.write():
        ledger.store.row("select pg_sleep(60)")
    assert counts(ledger) == {"ready": 1}, "it connects again"
    until = time.monotonic() + 10
    while ledger.store.row("select 1 from pg_stat_activity where pid = ?", [pid]):
        assert time.monotonic() < until, "the server is still at it"


def test_a_signal_ends_the_wait_for_a_server_that_does_not_answer(
    after: Callable[[float], None],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        begun = time.monotonic()
        after(0.3)
        with pytest.raises(Stopped):
            connected(f"postgresql://x@127.0.0.1:{deaf.getsockname()[1]}/x?connect_timeout=20")
        assert time.monotonic() - begun < 10


def test_of_several_hosts_one_that_does_not_answer_is_passed_over(engine: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        near = libpq.parse(os.environ[VARIABLE])
        hosts, ports = f"127.0.0.1,{near['host']}", f"{deaf.getsockname()[1]},{near['port']}"
        link = connected(
            f"postgresql://{near['user']}@/{near['dbname']}?host={hosts}&port={ports}"
            "&connect_timeout=2"
        )
    assert link.host == near["host"] and ask(link, "select 1") == [(1,)]
    link.close()


@pytest.mark.parametrize(
    ("sql", "state", "kind"),
    [
        ("select pg_cancel_backend(pg_backend_pid())", "57014", LedgerError),
        ("select pg_terminate_backend(pg_backend_pid())", "57P01", Gone),
        ("select pg_sleep(60)", "57014", LedgerError),
        ("do $$ begin raise serialization_failure; end $$", "40001", Collision),
        ("do $$ begin raise deadlock_detected; end $$", "40P01", Collision),
        ("do $$ begin raise disk_full; end $$", "53100", LedgerError),
        ("do $$ begin raise too_many_connections; end $$", "53300", Gone),
    ],
)
def test_an_error_is_told_by_its_state(
    ledger: Ledger, sql: str, state: str, kind: type[LedgerError]
) -> None:
    ledger.store.row("select set_config('statement_timeout', '200', false)")
    with pytest.raises(LedgerError) as told:
        ledger.store.rows(sql).fetchall()
    assert type(told.value) is kind and told.value.fix
    assert isinstance(told.value.__cause__, libpq.Error) and told.value.__cause__.state == state


@pytest.mark.parametrize(
    "told",
    [
        "postgresql://u:sec%ret@h/d",
        "postgresql://h/d?password:secret",
        "postgresql://u:se cret@h/%",
    ],
)
def test_an_address_that_is_none_is_refused_without_its_password(
    root: str, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    monkeypatch.setenv(VARIABLE, told)
    with pytest.raises(LedgerError, match=VARIABLE) as error:
        Ledger.open(root, create=True)
    assert "cret" not in str(error.value)


def test_the_library_is_the_one_that_the_pinned_wheel_brings() -> None:
    assert Path(libpq._path()).parent.name in ("psycopg_binary.libs", ".dylibs")
    assert libpq.version() >= 180000


def test_without_the_library_the_command_that_installs_it_is_told(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda path: (_ for _ in ()).throw(OSError(path)))
    for name in ("libpq", "link", "server", "postgres"):
        monkeypatch.delitem(sys.modules, f"hypervisor.ledger.{name}", raising=False)
        monkeypatch.delattr(f"hypervisor.ledger.{name}", raising=False)
    with pytest.raises(LedgerError, match="libpq is not installed here") as error:
        Ledger.open(root, create=True)
    assert f"{VARIABLE}=" in error.value.fix and error.value.fix.endswith("bin/hypervisor status")
