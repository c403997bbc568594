"""What the hooks make of the events of workers."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from agents.hooks.conftest import SESSION, Session
from hypervisor.agents import hooks, reconcile, retention
from hypervisor.agents.hooks import permission
from hypervisor.cli import main
from hypervisor.views.summary import summarize
from hypervisor.views.summary_text import lines
from hypervisor.worker.commits import edits as commits


def test_a_claim_is_learned_from_the_first_line_of_next_and_only_once(session: Session) -> None:
    claim = session.takes("a1")
    session.ran("a2", "cat notes", f"claim {claim.token}\n")
    held = session.ledger.sessions.held_by(SESSION, "a1")
    assert [row.token for row in held] == [claim.token]
    assert session.ledger.sessions.held_by(SESSION, "a2") == []


def test_a_worker_that_stops_with_an_item_is_sent_back_once_then_not_confirmed(
    session: Session,
) -> None:
    claim = session.takes("a1")
    first = session.stops("a1", "All fine, I think")
    assert first is not None and first["decision"] == "block"
    assert claim.token in first["reason"]
    assert session.stops("a1", "All fine --> <!-- really", again=True) is None
    body = (session.root / "tasks" / f"{claim.id}.md").read_text()
    assert "- Result: not confirmed" in body and "status: active" in body
    assert "> All fine --&gt; &lt;!-- really" in body
    row = session.item(claim)
    assert (row["state"], row["attempts"], row["deaths"]) == ("ready", 1, 0)


def test_the_next_accepted_report_replaces_the_one_that_is_not_confirmed(session: Session) -> None:
    claim = session.takes("a1")
    session.stops("a1")
    session.stops("a1", "no word", again=True)
    again = next(c for c in iter(lambda: session.takes("a2"), None) if c.id == claim.id)
    session.reports(again)
    body = (session.root / "tasks" / f"{claim.id}.md").read_text()
    assert body.count("## Completion report") == 1
    assert "not confirmed" not in body and "> did it" in body


def test_a_worker_that_has_reported_everything_and_one_of_others_hear_nothing(
    session: Session,
) -> None:
    session.reports(session.takes("a1"))
    assert session.stops("a1", "ended one") is None
    assert session.stops("stranger", "hello") is None
    assert session.ledger.agents.find("stranger") is None


@pytest.mark.parametrize(
    ("error", "said", "deaths", "state"),
    [
        ("rate_limit", "API Error: Request rejected (429)", 0, "paused"),
        ("overloaded", "API Error: 529", 0, "paused"),
        ("unknown", "API Error: 400 invalid", 1, "open"),
    ],
)
def test_an_api_error_is_a_death_and_a_limit_of_the_service_a_pause(
    session: Session, error: str, said: str, deaths: int, state: str
) -> None:
    claim = session.takes("a1")
    session.event("StopFailure", agent="a1", error=error, last_assistant_message=said)
    assert session.item(claim)["deaths"] == deaths
    assert session.ledger.queues.get("q").state == state


@pytest.mark.parametrize(
    ("status", "how", "deaths"),
    [
        ("killed", "was stopped by user", 0),
        ("killed", "was stopped by Claude", 0),
        ("completed", "stopped at its 1-turn limit (partial result)", 1),
    ],
)
def test_a_notice_alone_ends_what_its_worker_held(
    session: Session, status: str, how: str, deaths: int
) -> None:
    claim = session.takes("a1")
    session.notice("a1", status, how)
    row = session.item(claim)
    assert (row["state"], row["deaths"]) == ("ready", deaths)
    assert session.ledger.queues.get("q").state == "open"


def test_a_notice_of_a_limit_that_comes_before_its_event_is_no_death(session: Session) -> None:
    claim = session.takes("a1")
    message = {"model": "<synthetic>", "content": [{"type": "text", "text": "API Error: 429"}]}
    session.transcript_of("a1").write_text(json.dumps({"type": "assistant", "message": message}))
    session.notice("a1", "completed", "finished")
    assert session.item(claim)["deaths"] == 0
    assert session.ledger.queues.get("q").state == "paused"


def test_a_worker_that_the_session_stops_is_ended_by_that_call(session: Session) -> None:
    claim = session.takes("a1")
    session.event(
        "PostToolUse",
        tool_name="TaskStop",
        tool_input={"task_id": "a1"},
        tool_response={"message": "Successfully stopped task: a1 (w)", "task_id": "a1"},
    )
    assert (session.item(claim)["state"], session.item(claim)["deaths"]) == ("ready", 0)


def test_workers_missing_from_the_running_ones_are_ended_at_stop(session: Session) -> None:
    gone, alive = session.takes("a1"), session.takes("a2")
    session.turn_ends("a2")
    assert session.item(gone)["state"] == "ready"
    assert session.item(alive)["state"] == "claimed"


def test_a_worker_that_its_client_has_marked_as_finished_is_ended(session: Session) -> None:
    claim = session.takes("a1")
    meta = session.transcript_of("a1").with_suffix(".meta.json")
    meta.write_text('{"agentType": "hypervisor:worker", "finished": true}')
    reconcile.finished(session.ledger, SESSION)
    assert session.item(claim)["state"] == "claimed"  # its last hook may still be at work
    with session.ledger.store.write():
        session.ledger.store.change("update claim set claimed_at = claimed_at - 60")
    os.utime(meta, (time.time() - 30,) * 2)
    reconcile.finished(session.ledger, SESSION)
    assert (session.item(claim)["state"], session.item(claim)["deaths"]) == ("ready", 1)


def test_leases_are_renewed_at_most_once_a_minute(session: Session) -> None:
    claim = session.takes("a1")
    before = session.item(claim)["turn"]
    session.ran("a1", "true", "")
    assert session.item(claim)["turn"] == before
    with session.ledger.store.write():
        session.ledger.store.change(
            "update item set turn = turn - 61000000 where id = ?", (claim.id,)
        )
    session.ran("a1", "true", "")
    assert session.item(claim)["turn"] > before


def test_the_next_call_of_a_worker_takes_back_a_lease_that_ran_out(session: Session) -> None:
    claim = session.takes("a1")
    with session.ledger.store.write():
        session.ledger.store.change(
            "update item set turn = turn - 1000000000000 where id = ?", (claim.id,)
        )
    assert session.ledger.ends.expire() == 1
    assert (session.item(claim)["state"], session.item(claim)["lost"]) == ("ready", 1)
    session.ran("a2", "true", "")
    assert session.item(claim)["state"] == "ready", "it is another's word"
    session.ran("a1", "true", "")
    row = session.item(claim)
    assert (row["state"], row["lost"]) == ("claimed", 0)
    assert list(session.ledger.claims.live_tokens()) == [claim.token]


def test_a_permission_that_a_worker_lacks_is_kept_as_its_rule_until_it_is_given(
    session: Session,
) -> None:
    session.takes("a1")
    call = {"tool_name": "Bash", "tool_input": {"command": "make check"}}
    rules = [{"toolName": "Bash", "ruleContent": "make check:*"}]
    suggestion = {"type": "addRules", "rules": rules, "behavior": "allow"}
    session.event("PermissionRequest", agent="a1", permission_suggestions=[suggestion], **call)
    assert session.ledger.agents.permissions("q") == ["Bash(make check:*)"]
    session.event("PostToolUse", agent="a1", tool_response={"stdout": "ok"}, **call)
    assert session.ledger.agents.permissions("q") == []


def test_workers_whose_rights_the_user_keeps_from_our_hooks_lack_them_and_the_plan_says_so(
    session: Session,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "hypervisor").mkdir()
    (tmp_path / "hypervisor/config.toml").write_text("permissions.by_hooks = false\n")
    session.event(
        "PermissionRequest",
        agent="a1",
        tool_name="Bash",
        tool_input={"command": "hypervisor next q"},
        permission_suggestions=[],
    )
    assert main(["plan", "q"]) == 0
    assert "The user goes on with: /hypervisor:resume q" in capsys.readouterr().out
    assert main(["plan", "q", "--go-on"]) == 0
    assert "Try one item first" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "granted"),
    [
        ("hypervisor plan q", True),
        ("hypervisor wait q --timeout 60", True),
        ("hypervisor summary q --json", True),
        ("hypervisor status", True),
        ("hypervisor cancel q", False),
        ("hypervisor open q tasks --verify 'rm -rf x'", False),
        ("hypervisor status; rm -rf x", False),
        ("hypervisor plan $(x)", False),
        ("hypervisor plan q\nrm x", False),
        ("hypervisor plan q\n", True),
        ("/tmp/hypervisor plan q", False),
    ],
)
def test_only_plain_questions_about_queues_are_granted(
    session: Session, command: str, granted: bool
) -> None:
    answer = session.event("PermissionRequest", tool_name="Bash", tool_input={"command": command})
    assert bool(answer) is granted


def test_a_transcript_of_an_unknown_format_makes_tokens_unknown_and_says_so(
    session: Session,
) -> None:
    session.transcript_of("a1").write_text('{"type": "assistant", "message": {"id": "m"}}\n')
    session.reports(session.takes("a1"))
    session.stops("a1", "ended one")
    told = summarize(session.ledger, "q")
    assert told["total_tokens"] is None and told["overhead_tokens"] is None
    assert "the tokens of 1 worker are not known" in "\n".join(lines(told))
    assert told["transcripts"] == [".hypervisor/outputs/q/agent-a1.jsonl"]


def test_kept_transcripts_go_by_age_and_then_the_oldest_by_size(session: Session) -> None:
    folder = session.root / ".hypervisor" / "outputs" / "q"
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("somebody's own" * 100)
    os.utime(folder / "notes.txt", (1, 1))
    for age in range(5):
        session.ledger.agents.join(str(age), "s", session.ledger.queues.get("q").no, None)
        path = folder / f"agent-{age}.jsonl"
        path.write_bytes(b"x" * 100)
        os.utime(path, (time.time() - age * 1000,) * 2)
    stale = retention.stale(session.ledger, seconds=3500, size=250)
    assert len(stale) == 3
    retention.remove(session.ledger.state, stale)
    assert sorted(path.name for path in folder.iterdir()) == [
        "agent-0.jsonl",
        "agent-1.jsonl",
        "notes.txt",
    ], "what the ledger does not know is somebody's own"


def test_the_last_tool_call_of_a_worker_and_its_tokens_are_noted_every_few_seconds(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    claim = session.takes("a1")

    def noted() -> tuple[str, float, int | None]:
        row = session.ledger.agents.find("a1")
        return row.last_tool, row.seen_at - 1_800_000_000, row.output_tokens

    def uses(tool: str, key: str, what: str) -> None:
        session.event("PostToolUse", agent="a1", tool_name=tool, tool_input={key: what})

    assert noted() == ("Bash: hypervisor next q", 0, None)
    rows = [
        {"type": "user", "message": {"content": [{"type": "tool_result", "content": text}]}}
        for text in (f"claim {claim.token}\nitem: x\n",)
    ]
    usage = {"input_tokens": 1, "output_tokens": 20}
    rows.append({"type": "assistant", "message": {"id": "m1", "usage": usage, "content": []}})
    session.transcript_of("a1").write_text("\n".join(map(json.dumps, rows)))
    now += 2
    uses("Read", "file_path", "/x/y.py")
    assert noted() == ("Bash: hypervisor next q", 0, None), "too soon for another write"
    now += 2
    uses("Read", "file_path", "/x/y\n.py")
    assert noted() == ("Read: /x/y\\u000a.py", 4, None), "a transcript is read less often"
    now += 15
    uses("Edit", "file_path", "z" * 500)
    tool, at, output = noted()
    assert (len(tool), at, output) == (126, 19, 20)
    now += 5
    uses("TodoWrite", "todos", "x")
    assert noted()[0] == "TodoWrite"
    now += 5
    key = "a1" * 20
    uses("Bash", "command", f"curl -H 'Authorization: Bearer {key}' x")
    assert noted()[0] == "Bash: curl -H 'Authorization: Bearer [redacted]' x"


def test_a_session_that_works_itself_notes_no_tool(session: Session) -> None:
    session.event("PostToolUse", tool_name="Read", tool_input={"file_path": "x"})
    assert session.ledger.store.row("select count(*) from agent")[0] == 0


def test_edits_of_workers_and_of_the_session_are_kept_with_the_items_that_they_were_for(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "--quiet", session.root], check=True)
    claim = session.takes("a1")
    file = session.root / "f.py"

    def edits(agent: str) -> None:
        call = {"tool_name": "Write", "tool_input": {"file_path": str(file), "content": "x"}}
        asked = {"session_id": SESSION, "cwd": str(session.root), **call}
        asked |= {"agent_id": agent, "agent_type": "hypervisor:worker"} if agent else {}
        permission.before_tool(hooks.Event("PreToolUse", asked))
        file.write_text(f"by {agent}\n")
        session.event("PostToolUse", agent=agent, tool_response={}, **call)

    edits("a1")
    edits("")
    known = commits.of_file(session.ledger.state, "f.py")
    assert [(edit.what, edit.tokens) for edit in known] == [
        (commits.BEFORE, [claim.token]), (commits.AFTER, [claim.token]), (commits.AFTER, [])
    ]  # fmt: skip
    assert [edit.looks != "" for edit in known] == [False, True, True]
    session.reports(claim)
    edits("")
    assert len(commits.of_file(session.ledger.state, "f.py")) == len(known)
