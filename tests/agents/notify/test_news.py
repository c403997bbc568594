"""News of a queue is noted once, sent until it has got through, and kept from nobody's way."""

from __future__ import annotations

import http.server
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hypervisor.agents import notify, reconcile
from hypervisor.agents.notify import desktop
from hypervisor.cli import main
from hypervisor.ledger import Ledger, NewItem, Options
from hypervisor.views import status


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """`entry(text)`: the user's configuration has `[notify.me]` with this text."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def write(text: str) -> None:
        path = tmp_path / "config/hypervisor/config.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"[notify.me]\n{text}\n")

    return write


@pytest.fixture
def got(tmp_path: Path, entry: Callable[[str], None]) -> Callable[[], list[dict[str, Any]]]:
    """`got()`: the news that the command of `[notify.me]` was given since it was asked last."""
    path = tmp_path / "news"
    entry(f'command = "cat >>{path}"')

    def read() -> list[dict[str, Any]]:
        text = path.read_text() if path.exists() else ""
        path.unlink(missing_ok=True)
        return [json.loads(line) for line in text.splitlines()]

    return read


@pytest.fixture
def ledger(project: Path) -> Iterator[Ledger]:
    """A queue of five items whose news goes to `me`."""
    with Ledger.open(str(project), create=True) as ledger:
        items = [NewItem(f"i{number}", title=f"Title {number}") for number in range(5)]
        ledger.generations.open("q", items, Options(max_attempts=1))
        ledger.notifications.subscribe("q", "me")
        yield ledger


def end(ledger: Ledger, outcome: str, number: int = 1, **report: str) -> None:
    claims = ledger.claims.claim("q", "w", number)
    assert len(claims) == number
    for claim in claims:
        ledger.ends.finish(claim.token, outcome, report)


def trouble(ledger: Ledger) -> list[str]:
    told = status.standing(ledger, ledger.queues.get("q"))
    return [one["text"] for one in told["problems"] if one["kind"] == "notify"]


Got = Callable[[], list[dict[str, Any]]]


def test_each_thing_is_told_once_and_its_titles_with_details_only(
    ledger: Ledger, got: Got, project: Path
) -> None:
    notify.tell(ledger)
    assert got() == []
    end(ledger, "blocked", reason="no key")
    end(ledger, "failed", reason="broken")
    notify.tell(ledger)
    notify.tell(ledger)
    blocked, failed = got()
    assert (blocked["event"], failed["event"]) == ("blocked", "failed")
    assert blocked.keys() == {"id", "event", "project", "queue", "counts", "until"}
    assert (blocked["project"], blocked["queue"]) == (project.name, "q")
    assert (blocked["counts"]["blocked"], blocked["counts"]["ready"]) == (1, 3)
    ledger.pauses.limit("q", "rate limit: usage", time.time() + 3600)
    notify.tell(ledger)
    [paused] = got()
    assert paused["event"] == "paused" and 3500 < paused["until"] - time.time() < 3601
    ledger.pauses.resume("q")
    end(ledger, "failed")
    end(ledger, "done", 2, summary="x")
    notify.tell(ledger)
    assert [news["event"] for news in got()] == ["drained"]
    assert trouble(ledger) == []


def test_with_details_an_entry_gets_titles_and_reasons(
    ledger: Ledger, got: Got, entry: Callable[[str], None], tmp_path: Path
) -> None:
    entry(f'command = "cat >>{tmp_path}/news"\ndetails = true')
    end(ledger, "blocked", 2, reason="no key")
    notify.tell(ledger)
    [news] = got()
    item = {"title": "Title 0", "reason": "no key"}
    assert news["items"][0] == {"id": "i0", **item} and len(news["items"]) == 2


def test_blocked_items_that_follow_one_another_are_told_together(ledger: Ledger, got: Got) -> None:
    end(ledger, "blocked")
    notify.tell(ledger)
    end(ledger, "blocked")
    end(ledger, "blocked")
    notify.tell(ledger)
    assert len(got()) == 1
    # Once nothing more is coming, nobody is left waiting for the rest.
    end(ledger, "done", 2, summary="x")
    notify.tell(ledger)
    assert [news["event"] for news in got()] == ["blocked", "drained"]


def test_a_budget_that_is_used_up_and_a_pause_by_a_person_are_two_things(
    ledger: Ledger, got: Got
) -> None:
    ledger.pauses.pause("q", "lunch")
    notify.tell(ledger)
    ledger.pauses.resume("q")
    ledger.terms.set_budget("q", {"tokens": 1})
    number = ledger.queues.get("q").no
    ledger.agents.started("a", "pool-1", number, 1, "1")
    ledger.agents.set_usage("a", (1, 1, 0, 0), {}, complete=True, kept=None)
    ledger.pauses.pause("q", "its budget of 1 tokens is used up: 2")
    notify.tell(ledger)
    assert [(news["event"], news["until"]) for news in got()] == [
        ("paused", None),
        ("budget", None),
    ]


def test_a_queue_with_items_left_and_nobody_at_work_has_stalled(
    ledger: Ledger, got: Got, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(ledger, "done", summary="x")
    notify.tell(ledger)
    assert got() == []
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 200)
    notify.tell(ledger)
    notify.tell(ledger)
    assert [news["event"] for news in got()] == ["stalled"]
    # Its pool knows that sooner.
    end(ledger, "done", summary="x")
    notify.note(ledger, ledger.queues.get("q"), idle=True)
    notify.tell(ledger)
    assert [news["event"] for news in got()] == ["stalled"]


def test_who_is_killed_before_it_is_noted_sends_it_again_with_its_id(
    ledger: Ledger, got: Got, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(ledger, "blocked", reason="no key")

    def killed(no: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(ledger.notifications, "sent", killed)
        notify.tell(ledger)
    # Somebody may still be sending it.
    notify.tell(ledger)
    assert len(first := got()) == 1
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 30)
    notify.tell(ledger)
    assert got() == first


def test_what_does_not_get_through_shows_in_status_and_is_tried_again_in_order(
    ledger: Ledger, got: Got, entry: Callable[[str], None], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    entry('command = "exit 7"')
    end(ledger, "blocked")
    end(ledger, "failed")
    notify.tell(ledger)
    [text] = trouble(ledger)
    assert "news to me can't be delivered: the command ended with exit code 7; 2 waiting" in text
    entry(f'command = "cat >>{tmp_path}/news"')
    notify.tell(ledger)
    assert got() == []
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 11)
    notify.tell(ledger)
    assert [news["event"] for news in got()] == ["blocked", "failed"]
    assert trouble(ledger) == []


def test_hooks_and_agents_of_a_pool_send_nothing(
    ledger: Ledger, got: Got, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(ledger, "blocked")
    reconcile.settle(ledger)
    with monkeypatch.context() as patched:
        patched.setenv("HYPERVISOR_POOL", "pool-1")
        reconcile.settle(ledger, tell=True)
    assert got() == []
    reconcile.settle(ledger, tell=True)
    assert len(got()) == 1


def test_a_new_generation_of_a_queue_keeps_who_is_told(ledger: Ledger, got: Got) -> None:
    end(ledger, "done", 5, summary="x")
    ledger.generations.open("q", [NewItem("new")])
    end(ledger, "done", summary="x")
    notify.tell(ledger)
    [news] = got()
    assert (news["event"], news["counts"]["done"]) == ("drained", 1)


# -- webhooks --


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    """A server that answers with `status`, and keeps the requests in `asked`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.asked.append((self.path, self.headers, body))  # type: ignore[attr-defined]
            self.send_response(self.server.status)  # type: ignore[attr-defined]
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *told: Any) -> None:
            return

    made: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.asked, made.status = [], 204
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def test_a_webhook_gets_json_past_any_proxy_where_it_is_this_machine(
    ledger: Ledger, entry: Callable[[str], None], server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://me:hunter2@127.0.0.1:9")
    entry(f'webhook = "http://127.0.0.1:{server.server_port}/hook?key=hunter2"')
    end(ledger, "blocked", reason="no key")
    notify.tell(ledger)
    [(path, headers, body)] = server.asked
    assert path == "/hook?key=hunter2" and headers["Content-Type"] == "application/json"
    assert json.loads(body)["event"] == "blocked" and b"no key" not in body


@pytest.mark.parametrize("code", [307, 500])
def test_a_webhook_that_fails_or_leads_elsewhere_is_told_without_its_address(
    ledger: Ledger, entry: Callable[[str], None], server: Any, code: int
) -> None:
    server.status = code
    entry(f'webhook = "http://127.0.0.1:{server.server_port}/hook?key=hunter2"')
    end(ledger, "blocked")
    notify.tell(ledger)
    [text] = trouble(ledger)
    assert f"HTTP {code}" in text and "hunter2" not in text and "127.0.0.1" not in text
    assert len(server.asked) == 1


def test_a_receiver_that_hangs_is_given_up(
    ledger: Ledger, entry: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "SECONDS", 0.1)
    entry('command = "exec sleep 60"')
    end(ledger, "blocked")
    begun = time.monotonic()
    notify.tell(ledger)
    assert time.monotonic() - begun < 8
    assert "it ran longer than" in trouble(ledger)[0]


# -- the desktop --


def test_a_notice_says_in_a_few_words_what_is_new_where_there_is_a_desktop(
    ledger: Ledger, entry: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry("desktop = true")
    shown = tmp_path / "shown"
    program = tmp_path / "bin/notify-send"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s|" "$DBUS_SESSION_BUS_ADDRESS" "$@" >>{shown}\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.setattr(desktop, "_bus", lambda: None)
    end(ledger, "blocked")
    notify.tell(ledger)
    assert not shown.exists() and trouble(ledger) == []
    monkeypatch.setattr(desktop, "_bus", lambda: "unix:path=/bus")
    end(ledger, "done", 4, summary="x")
    notify.tell(ledger)
    assert shown.read_text() == "unix:path=/bus|--|hypervisor: q|done: 5 items ended|"


# -- verbs --


def test_open_and_work_take_only_entries_that_are_there(
    project: Path, got: Got, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    (project / "rows.csv").write_text("k\na\n")
    words = ["open", "q", "rows.csv", "--instructions", "-", "--notify"]
    assert main([*words, "nobody"]) == 2
    assert "no [notify.nobody]" in capsys.readouterr().err
    assert main(["work", "q", "--agent", "command", "--notify", "nobody", "--", "true"]) == 2
    assert "no [notify.nobody]" in capsys.readouterr().err


def test_a_pool_sends_what_is_new_before_it_ends(
    ledger: Ledger, got: Got, run_forked: Callable[..., Any]
) -> None:
    ledger.notifications.subscribe("q", None)
    words = ["--agent", "command", "--workers", "4", "--notify", "me", "--", "sh", "-c"]
    fails = '[ "$HYPERVISOR_ID" != i0 ]'
    assert run_forked("work", "q", *words, fails).returncode == 1
    assert [news["event"] for news in got()] == ["failed", "drained"]
