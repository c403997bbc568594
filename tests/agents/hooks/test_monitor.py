"""The watch beside an interactive session, and the wait in the foreground of one without a user."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.hooks.conftest import SESSION, Session, text_of
from agents.hooks.test_session import do_all
from hypervisor.cli import main
from repository import REPO

SOURCE = str(REPO / "src")
WATCH = [sys.executable, "-m", "hypervisor", "_monitor"]


class Watch:
    """A monitor as a client starts it: through a shell, with the session in the environment."""

    def __init__(self, root: Path) -> None:
        self.out = root.parent / f"watch-{time.monotonic_ns()}"
        environment = {**os.environ, "PYTHONPATH": SOURCE}
        with self.out.open("w") as out:
            self.process = subprocess.Popen(
                ["sh", "-c", '"$@" & echo $! >&2; wait', "sh", *WATCH],
                cwd=root,
                env=environment,
                stdout=out,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        assert self.process.stderr is not None
        self.pid = int(self.process.stderr.readline())

    def lines(self, seconds: float) -> list[str]:
        """Return what it has printed, once it prints something or after so long."""
        end = time.monotonic() + seconds
        while not self.out.read_text() and time.monotonic() < end:
            time.sleep(0.05)
        return self.out.read_text().splitlines()

    def alive(self) -> bool:
        try:
            with open(f"/proc/{self.pid}/stat") as source:
                return source.read().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def watches(session: Session) -> Iterator[list[Watch]]:
    started = [Watch(session.root) for _ in range(2)]
    yield started
    for watch in started:
        watch.kill()


def test_of_two_watches_one_prints_one_line_when_the_queue_has_drained(
    session: Session, watches: list[Watch]
) -> None:
    do_all(session)
    watches[0].lines(1)
    first = next(watch for watch in watches * 100 if watch.lines(0.2))
    time.sleep(2)
    told = [line for watch in watches for line in watch.lines(0)]
    assert told == ["hypervisor: queue q has drained; 6 done: 6 only claimed"]
    heard = text_of(
        session.event(
            "UserPromptSubmit",
            prompt=f"<task-notification>\n<event>{first.lines(0)[0]}</event></task-notification>",
        )
    )
    assert "6 of 6 items ended" in heard


def test_a_watch_says_nothing_of_what_the_session_has_heard(
    session: Session, watches: list[Watch]
) -> None:
    do_all(session)
    assert "has drained" in text_of(session.turn_ends())
    assert [line for watch in watches for line in watch.lines(3)] == []


def test_a_watch_ends_with_its_client(session: Session, watches: list[Watch]) -> None:
    time.sleep(2)  # until they have seen who their parent is
    assert all(watch.alive() for watch in watches)
    for watch in watches:
        watch.process.kill()
        watch.process.wait()
    end = time.monotonic() + 10
    while any(watch.alive() for watch in watches) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(watch.alive() for watch in watches)


def test_wait_ends_when_the_one_worker_has_ended_and_says_what_has(
    headless: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    headless.event(
        "PostToolUse",
        tool_name="Agent",
        tool_input={"prompt": "queue q, one item only"},
        tool_response={"agentId": "a1", "status": "async_launched"},
    )
    headless.reports(headless.takes("a1"))
    assert main(["wait", "q", "--timeout", "0"]) == 1
    assert "1 of 6 items ended" in capsys.readouterr().out
    headless.stops("a1", "ended one")
    assert main(["wait", "q", "--timeout", "30"]) == 5
    told = capsys.readouterr().out
    assert "q has stalled: 5 left" in told and "hypervisor plan q" in told
    assert main(["wait", "q", "--timeout", "30"]) == 5
    assert "items ended" not in capsys.readouterr().out


def test_a_worker_that_was_handed_nothing_counts_to_the_tokens(session: Session) -> None:
    session.reports(session.takes("a1"))
    session.ran("a2", "hypervisor next q --worker x", "nothing ready now; a is with w\n")
    session.stops("a2", "nothing for me")
    assert session.ledger.agents.find("a2").session == SESSION
    session.ran("a3", "ls", "")
    assert session.ledger.agents.find("a3") is None
