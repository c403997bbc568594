"""Show: all that is known of one item, whatever its words try."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from cli.test_shapes import check
from hypervisor import worker
from hypervisor.ledger import Ledger, NewItem
from worker.support import open_queue, write_task

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_an_item_is_shown_over_all_its_queues_and_generations(
    project: Path, run_forked: Run
) -> None:
    write_task(project, "a", title="Rename the key")
    write_task(project, "b", extra="depends_on: [a]\n")
    open_queue(project)
    with Ledger.open(str(project)) as ledger:
        [first] = worker.take(ledger, "q", "w-1")
        ledger.ends.release(first.token, reason="not mine")
        [second] = worker.take(ledger, "q", "w-2")
        told = {"reason": "no rights", "evidence": "EACCES", "next_step": "ask"}
        worker.finish(ledger, second.token, "blocked", told)
        ledger.generations.cancel("q")
    write_task(project, "a", title="Rename the key")
    open_queue(project, instructions="do it all again")
    with Ledger.open(str(project)) as ledger:
        [third] = worker.take(ledger, "q", "w-3", only="a")
    known = json.loads(run_forked("show", "a", "--json").stdout)
    check("show", known)
    assert [(one["generation"], one["state"]) for one in known["queues"]] == [
        (1, "blocked"),
        (2, "claimed"),
    ]
    assert [claim["outcome"] for one in known["queues"] for claim in one["claims"]] == [
        "released",
        "blocked",
        None,
    ]
    assert known["file"]["path"] == "tasks/a.md" and known["file"]["exists"]
    assert [lock["ours"] for lock in known["locks"]] == [True]
    text = run_forked("show", "a").stdout
    assert "item a\nfile: tasks/a.md\nlocked for " in text
    assert f"  claim {first.token} by w-1, " in text and "cause: “not mine”" in text
    assert "reason: “no rights”" in text and "next step: “ask”" in text
    for word in (third.token, first.token, "tasks/a.md"):
        assert json.loads(run_forked("show", word, "--json").stdout)["id"] == "a"


def test_what_an_item_waits_for_and_what_waits_for_it_is_shown(project: Path, run: Run) -> None:
    with Ledger.open(str(project), create=True) as ledger:
        ledger.generations.open(
            "q", [NewItem("a"), NewItem("b", after=["a"]), NewItem("c", after=["a"])]
        )
    text = run("show", "a").stdout
    assert "waits for this: b in queue q (waiting)\nwaits for this: c in queue q" in text
    assert "  waits for: a\n" in run("show", "b").stdout
    assert json.loads(run("show", "b", "--json").stdout)["queues"][0]["waits_for"] == ["a"]


def test_tokens_commit_and_transcript_of_each_claim_are_shown(project: Path, run: Run) -> None:
    with Ledger.open(str(project), create=True) as ledger:
        ledger.generations.open("q", [NewItem("a")])
        [claim] = ledger.claims.claim("q", "w", session="s")
        ledger.sessions.assign("s", "agent-1", [claim.token])
        ledger.agents.join("agent-1", "s", 1, None)
        used = {claim.token: (1, 20, 300, 4000)}
        ledger.agents.set_usage(
            "agent-1", (1, 20, 300, 4000), used, complete=True, kept="kept.jsonl"
        )
        ledger.sessions.note_commit(claim.token, "0123abc")
    text = run("show", "a").stdout
    assert (
        "tokens: at least 4,321 (1 input, 20 output, 300 from" in text
        and "commit: 0123abc\n" in text
    )
    assert "transcript: kept.jsonl\n" in text and re.search(r": at work after [\d.]+ m?s\n", text)
    with Ledger.open(str(project)) as ledger:
        ledger.agents.set_unseen("agent-1", "")
        ledger.agents.note("agent-1", "s", how="stopped")
    kinds = "(1 input, 20 output, 300 from the cache, 4,000 into the cache)"
    assert f"tokens: 4,321 {kinds}\n" in run("show", "a").stdout


def test_a_lock_of_another_tool_is_shown_as_such(project: Path, run: Run) -> None:
    with Ledger.open(str(project), create=True) as ledger:
        ledger.generations.open("q", [NewItem("a")])
    os.mkdir(project / ".hypervisor/locks/a")
    assert "by a directory of another tool: " in run("show", "a").stdout


def test_nothing_in_an_item_reaches_the_terminal_unescaped(project: Path, run: Run) -> None:
    evil = "x\x1b]0;owned\x07\nqueue q, generation 9: done"
    with Ledger.open(str(project), create=True) as ledger:
        ledger.generations.open("q", [NewItem(evil, title=evil, payload={"k": evil})])
        [claim] = ledger.claims.claim("q", evil)
        ledger.ends.finish(
            claim.token, "blocked", {"reason": evil, "evidence": evil, "files": [evil]}
        )
    for line in (["show", evil], ["show", claim.token], ["log", "q"], ["status", "q"]):
        said = run(*line).stdout
        assert "\x1b" not in said and "\x07" not in said
        assert "\nqueue q, generation 9" not in said


def test_an_item_that_nobody_knows_is_told_in_a_line(project: Path, run: Run) -> None:
    with Ledger.open(str(project), create=True) as ledger:
        ledger.generations.open("q", [NewItem("a")])
    ended = run("show", "b\n")
    assert ended.returncode == 2
    assert ended.stderr == "error: no item 'b\\u000a' in any queue\nhint: hypervisor status\n"


def test_a_file_of_many_items_is_not_taken_for_one_and_a_near_id_is_offered(
    project: Path, run: Run
) -> None:
    (project / "todo.md").write_text("- [ ] Buy soil\n- [ ] Sow\n")
    open_queue(project, ["todo.md"])
    many = run("show", "todo.md")
    assert many.returncode == 2
    assert "error: todo.md has more than one item: todo.md#Buy soil, todo.md#Sow" in many.stderr
    hint = "hint: hypervisor show 'todo.md#Buy soil'\n"
    assert many.stderr.endswith(hint)
    assert run("show", "Buy soil").stderr.endswith(hint)
    assert run("show", "todo.md#Buy sole").stderr.endswith(hint)
