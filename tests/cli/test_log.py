"""The log: what happened in a queue, in order, as it happens."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from cli.test_shapes import check
from conftest import REPO
from hypervisor.ledger import Ledger, NewItem, Options
from hypervisor.views import history

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def events(said: str) -> list[tuple[str, str | None]]:
    told = [json.loads(line) for line in said.splitlines()]
    for one in told:
        check("log", one)
    assert [one["at"] for one in told] == sorted(one["at"] for one in told)
    return [(one["event"], one["id"]) for one in told]


def test_a_clock_that_was_set_back_meanwhile_changes_no_order(project: Path, run: Run) -> None:
    with Ledger.open(str(project), create=True) as ledger:
        ledger.generations.open("q", [NewItem(name) for name in "abc"])
        for _ in "abc":
            [claim] = ledger.claims.claim("q", "w")
            ledger.ends.finish(claim.token, "done", {"summary": "x"})
        with ledger.store.write():
            # An hour before the end of b, and of what came then.
            ledger.store.change("update claim set claimed_at = claimed_at - 3600 where no > 2", ())
            ledger.store.change("update claim set ended_at = ended_at - 3600 where no > 1", ())
    told = [json.loads(line) for line in run("log", "q", "--json").stdout.splitlines()]
    assert [(one["event"], one["id"]) for one in told[2:]] == [
        (event, name) for name in "abc" for event in ("claimed", "done")
    ]


def test_news_stand_in_the_order_of_what_happened_however_the_clock_was_set(tmp_path: Path) -> None:
    ledger = Ledger.open(str(tmp_path), create=True)
    ledger.generations.open("q", [NewItem(name) for name in "abc"])
    log = history.Log(ledger, "q")
    [claim] = ledger.claims.claim("q", "w")
    assert len(list(log.news())) == 3
    ledger.ends.finish(claim.token, "done", {"summary": "x"})
    for _ in "bc":
        [claim] = ledger.claims.claim("q", "w")
        ledger.refusals.note(claim.token, "lint", "no", "")
        ledger.ends.finish(claim.token, "done", {"summary": "x"})
    with ledger.store.write():
        # Set back by an hour before each claim, and by half of one while it is held.
        for table, at in (("claim", "claimed_at"), ("claim", "ended_at"), ("refusal", "at")):
            of = "claim" if table == "refusal" else "no"
            ledger.store.change(f"update {table} set {at} = {at} - 3600 * {of}", ())
        ledger.store.change("update claim set ended_at = ended_at - 1800", ())
        ledger.store.change("update refusal set at = at - 1800", ())
    told = [(one["event"], one["id"]) for one in log.news()]
    assert [name for event, name in told if event == "done"] == ["a", "b", "c"]
    for name in "bc":
        of_item = [event for event, about in told if about == name]
        assert of_item == ["claimed", "refused", "done"]
    assert not list(log.news())
    ledger.close()


def test_what_got_a_lower_number_and_came_later_is_told_once(tmp_path: Path) -> None:
    with Ledger.open(str(tmp_path), create=True) as ledger:
        ledger.generations.open("q", [NewItem("a")])
        with ledger.store.write():
            ledger.store.change("update event set no = no + 50", ())
        log = history.Log(ledger, "q")
        assert [one["event"] for one in log.news()] == ["opened", "added"]
        ledger.pauses.pause("q", "lunch")
        with ledger.store.write():
            ledger.store.change("update event set no = 7 where kind = 'paused'", ())
        assert [one["event"] for one in log.news()] == ["paused"]
        assert not list(log.news())


def test_every_event_stands_in_order_over_all_generations(project: Path, run: Run) -> None:
    with Ledger.open(str(project), create=True) as ledger:
        ledger.generations.open("q", [NewItem("a"), NewItem("b")], Options(max_attempts=1))
        [a] = ledger.claims.claim("q", "w")
        ledger.ends.finish(a.token, "failed", {"reason": "no"})
        [b] = ledger.claims.claim("q", "w", lease_seconds=0)
        time.sleep(0.01)
        ledger.ends.expire()
        [b] = ledger.claims.claim("q", "w")
        ledger.ends.release(b.token, reason="not mine")
        ledger.pauses.pause("q", "lunch")
        ledger.pauses.resume("q")
        ledger.retries.retry("q", ["a"])
        [b] = ledger.claims.claim("q", "w", only="b")
        ledger.ends.end(b.token, "died", "crash")
        ledger.generations.cancel("q", "enough")
        ledger.generations.open("q", [NewItem("c")])
        ledger.generations.open("other", [NewItem("z")])
    assert events(run("log", "q", "--json").stdout) == [
        ("opened", None), ("added", None),
        ("claimed", "a"), ("failed", "a"), ("claimed", "b"), ("expired", "b"),
        ("claimed", "b"), ("given back", "b"), ("paused", None), ("resumed", None),
        ("retried", "a"), ("claimed", "b"), ("worker died", "b"), ("cancelled", None),
        ("opened", None), ("added", None),
    ]  # fmt: skip
    text = run("log", "q", "-n", "9").stdout
    assert len(text.splitlines()) == 9
    assert "given back   b  " in text and "“not mine”" in text and "“lunch”" in text
    assert run("log", "q", "-n", "0").stdout == ""
    assert run("log", "nowhere").returncode == 2
    assert run("log", "q", "-n", "-1").returncode == 2


def test_follow_tells_what_happens_in_other_processes_as_it_happens(
    project: Path, run_forked: Run
) -> None:
    (project / "rows.jsonl").write_text('{"id": "r1"}\n{"id": "r2"}\n')
    how = project / "how.md"
    how.write_text("do it\n")
    assert run_forked("open", "q", "rows.jsonl", "--instructions", how).returncode == 0
    line = [REPO / "bin/hypervisor", "log", "q", "--follow", "--json"]
    log = subprocess.Popen(line, cwd=project, stdout=subprocess.PIPE, text=True)
    try:

        def following() -> str:
            assert log.stdout is not None
            return str(json.loads(log.stdout.readline())["event"])

        assert [following(), following(), following()] == ["opened", "asked", "added"]
        token = run_forked("next", "q").stdout.split()[1]
        assert following() == "claimed"
        run_forked("done", token, "--summary", "x")
        assert following() == "done"
        run_forked("pause", "q")
        assert following() == "paused"
        log.send_signal(signal.SIGINT)
        assert log.wait(timeout=20) == 130
    finally:
        log.kill()
        log.communicate()


def test_a_reader_that_leaves_ends_the_log_quietly(project: Path, run_forked: Run) -> None:
    with Ledger.open(str(project), create=True) as ledger:
        ledger.generations.open("q", [NewItem(f"i{number}") for number in range(3000)])
        claims = ledger.claims.claim("q", "w", 3000)
        ledger.ends.finish_many([(claim.token, "done", {"summary": "x" * 100}) for claim in claims])
    script = f"{shlex.quote(str(REPO / 'bin/hypervisor'))} log q | head -1"
    ran = subprocess.run(
        ["bash", "-c", script], cwd=project, capture_output=True, text=True, env=os.environ
    )
    assert "opened" in ran.stdout and ran.stderr == ""
