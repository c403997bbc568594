"""What workers are said to have used: over all their transcripts, and if that is all of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from agents.hooks.conftest import SESSION, Session
from hypervisor.agents import next_step, reconcile, use
from hypervisor.agents.claude import failure, transcript
from hypervisor.cli import main
from hypervisor.config.settings import load
from hypervisor.ledger import Claim, usage
from hypervisor.views import summary, summary_text

Row = dict[str, Any]


class Rows:
    """A worker's transcript in the making; its n-th response takes 10 to the n-th tokens."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._said = 0

    def calls(self, tool: str, result: str, *, failed: bool = False) -> None:
        """A response that calls a tool, and the tool's result."""
        call = f"toolu_{self._said}"
        self._response({"type": "tool_use", "id": call, "name": tool, "input": {}}, "tool_use")
        block = {"type": "tool_result", "tool_use_id": call, "content": result, "is_error": failed}
        self._row("user", {"role": "user", "content": [block]})

    def ends(self) -> None:
        self._response({"type": "text", "text": "ended my items"}, "end_turn")

    def _response(self, block: Row, why: str) -> None:
        used = {"input_tokens": 0, "output_tokens": 10**self._said}
        message = {"id": f"msg_{self._said}", "model": "claude-haiku-5-5", "usage": used}
        self._row("assistant", message | {"stop_reason": why, "content": [block]})
        self._said += 1

    def _row(self, kind: str, message: Row) -> None:
        at = f"2026-11-29T10:00:{len(self.rows):02}.000Z"
        self.rows.append({"type": kind, "timestamp": at, "message": message, "isSidechain": True})


def write(path: Path, rows: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def work(session: Session, claims: list[Claim]) -> Rows:
    """Return the rows of a worker that has done these items, and reported each as JSON."""
    rows = Rows()
    rows.calls("Bash", f"claim {claims[0].token}\nitem: {claims[0].id}")
    for claim, following in zip(claims, [*claims[1:], None], strict=True):
        rows.calls("Edit", "edited")
        given = [{"id": following.id, "token": following.token}] if following else []
        ended = {"claim": claim.token, "id": claim.id, "state": "done", "tokens": None}
        rows.calls("Bash", json.dumps({"claims": given, "ended": ended}))
    rows.ends()
    return rows


def hears(session: Session, agent: str, mode: str) -> None:
    """The hook of a worker's tool call is told the session's permission mode."""
    session.event(
        "PostToolUse",
        agent=agent,
        tool_name="Edit",
        tool_input={"file_path": "x"},
        tool_response={},
        permission_mode=mode,
    )


def told(session: Session) -> dict[str, Any]:
    return summary.summarize(session.ledger, "q")


@pytest.fixture
def exact(headless: Session) -> Session:
    """A run of `claude -p` whose worker a1 has two items in hand, in bypass mode."""
    return headless


def test_the_plan_knows_the_cost_of_an_item_whose_worker_has_only_just_ended_it(
    exact: Session,
) -> None:
    claim = exact.takes("a1")
    write(exact.transcript_of("a1"), work(exact, [claim]).rows[:-1])
    # The hooks of its last calls, and of its end, are still to come.
    exact.reports(claim)
    found = next_step.plan(exact.ledger, "q", load(str(exact.root)))
    assert (found["step"], found["left"], found["tokens"]) == ("workers", 5, None)
    assert found["first"] is not None and found["first"]["tokens"] == 110


def test_a_worker_that_goes_on_after_a_clear_is_counted_over_both_transcripts(
    exact: Session,
) -> None:
    claims = [exact.takes("a1"), exact.takes("a1")]
    hears(exact, "a1", "bypassPermissions")
    rows = work(exact, claims).rows
    first = exact.transcript_of("a1")
    second = first.parents[2] / "0000-second" / "subagents" / first.name
    write(first, rows[:5])
    # The second one repeats the last two rows of the first, as one that is resumed does.
    write(second, rows[3:])
    write(second.with_name("agent-a2.jsonl"), rows)
    for claim in claims:
        exact.reports(claim)
    exact.stops("a1")
    found = told(exact)
    assert found["total_tokens"] == 111111 and found["tokens_exact"] is True
    shares = {one["task_id"]: one["tokens"]["output"] for one in found["workers"] if one["tokens"]}
    assert shares == {claims[0].id: 110, claims[1].id: 11000}
    assert found["overhead_tokens"] == 100001
    [kept] = found["transcripts"]
    assert (exact.root / kept).read_text() == first.read_text() + second.read_text()
    assert "tokens: 111,111" in "\n".join(summary_text.lines(found))


def test_each_item_has_its_model_and_its_dollars_by_list_prices(exact: Session) -> None:
    claims = [exact.takes("a1"), exact.takes("a1")]
    rows = work(exact, claims).rows
    for row in rows:
        if row["type"] == "assistant":
            row["message"] |= {"model": "claude-sonnet-5-5-20260901"}
    write(exact.transcript_of("a1"), rows)
    for claim in claims:
        exact.reports(claim)
    exact.stops("a1")
    found = told(exact)
    dollars = {one["task_id"]: one["usd"] for one in found["workers"] if one["model"]}
    assert dollars == {claims[0].id: 110 * 10 / 1e6, claims[1].id: 11000 * 10 / 1e6}
    assert (found["total_usd"], found["overhead_usd"]) == (1.11111, 1.00001)
    tokens = {"input": 0, "output": 111111, "cache_read": 0, "cache_write": 0}
    [model] = found["models"]
    assert model == {
        "model": "claude-sonnet-5-5-20260901", "items": 2, "done": 2, "tokens": tokens,
        "usd": 1.11111,
    }  # fmt: skip
    shown = "\n".join(summary_text.lines(found))
    assert "tokens: at least 111,111 (111,111 output)" in shown
    assert "cost: at least $1.11 at list prices (a subscription covers it)" in shown


def test_what_a_client_says_that_it_cost_counts_and_stays_though_transcripts_are_read_again(
    exact: Session,
) -> None:
    claim = exact.takes("a1")
    write(exact.transcript_of("a1"), work(exact, [claim]).rows)
    exact.reports(claim)
    tokens = {"input": 1, "output": 2, "cache_read": 3, "cache_write": 4}
    use.collect(exact.ledger, "a1", bill=(2.0, {"m": {"tokens": tokens, "usd": 2.0}}))
    exact.stops("a1")
    found = told(exact)
    assert found["total_usd"] == 2.0 and [one["model"] for one in found["models"]][1:] == ["m"]
    [own] = [one["usd"] for one in found["workers"] if one["usd"] is not None]
    assert own == pytest.approx(2.0 * 110 / 1111)


def test_dollars_of_a_model_without_a_price_are_not_known_and_a_line_tells_it(
    exact: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = exact.takes("a1")
    rows = work(exact, [claim]).rows
    for row in rows:
        row["message"] |= {"model": "new-model"} if row["type"] == "assistant" else {}
    write(exact.transcript_of("a1"), rows)
    exact.reports(claim)
    exact.stops("a1")
    found = told(exact)
    assert found["total_usd"] is None and found["models"][0]["usd"] is None
    [line] = [line for line in summary_text.lines(found) if line.startswith("cost")]
    assert "without a price of new-model; add to" in line
    # The line that it tells is one that works.
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    mine = tmp_path / "config" / "hypervisor" / "config.toml"
    mine.parent.mkdir(parents=True)
    mine.write_text(f"[prices]\n{line.partition('[prices]: ')[2]}\n")
    use.collect_all(exact.ledger, "q")
    assert told(exact)["total_usd"] == pytest.approx(1111 * 5 / 1e6)


def test_the_end_of_a_worker_is_looked_for_in_its_last_transcript(exact: Session) -> None:
    claim = exact.takes("a1")
    rows = work(exact, [claim]).rows
    write(exact.transcript_of("a1"), rows[:3])
    error = {"model": "<synthetic>", "content": [{"type": "text", "text": "API Error: 529"}]}
    last = {"type": "assistant", "timestamp": "2026-11-29T11:00:00Z", "message": error}
    other = exact.transcript.parent / "0000-second" / "subagents" / "agent-a1.jsonl"
    write(other, [last])
    error_told = failure.last_error(str(exact.transcript_of("a1")))
    assert error_told is not None and error_told.text == "API Error: 529"
    reconcile.died(exact.ledger, SESSION, "a1", "its worker ended")
    assert exact.item(claim)["deaths"] == 0


@pytest.mark.parametrize(
    ("mode", "entrypoint", "summaries", "unseen"),
    [
        ("bypassPermissions", "sdk-cli", True, []),
        ("default", "sdk-cli", True, []),
        ("auto", "sdk-cli", True, [usage.REVIEWS]),
        ("default", "cli", True, [usage.SUMMARIES]),
        ("default", "cli", False, []),
        ("default", "sdk-ts", True, [usage.SUMMARIES]),
        ("auto", "cli", True, [usage.REVIEWS, usage.SUMMARIES]),
        ("auto", "cli", False, [usage.REVIEWS]),
        (None, "sdk-cli", True, [usage.UNHEARD]),
    ],
)
def test_tokens_are_exact_only_where_the_client_asks_for_nothing_that_no_transcript_has(
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
    mode: str | None,
    entrypoint: str,
    summaries: bool,
    unseen: list[str],
) -> None:
    monkeypatch.setenv("CLAUDE_CODE_ENTRYPOINT", entrypoint)
    if not summaries:
        monkeypatch.setenv("CLAUDE_CODE_DISABLE_AGENT_PROGRESS_SUMMARIES", "1")
    claim = session.takes("a1")
    if mode:
        hears(session, "a1", mode)
    write(session.transcript_of("a1"), work(session, [claim]).rows)
    session.reports(claim)
    session.stops("a1")
    found = told(session)
    assert (found["tokens_exact"], found["tokens_unseen"]) == (not unseen, unseen)
    text = "\n".join(summary_text.lines(found))
    assert ("tokens: at least 1,111" in text) == bool(unseen)
    assert all(kind in text for kind in unseen)


def test_auto_mode_for_a_while_makes_a_lower_bound_for_good(exact: Session) -> None:
    claim = exact.takes("a1")
    for mode in ("default", "auto", "default"):
        hears(exact, "a1", mode)
    write(exact.transcript_of("a1"), work(exact, [claim]).rows)
    exact.reports(claim)
    exact.stops("a1")
    assert usage.REVIEWS in told(exact)["tokens_unseen"]


def test_what_is_under_way_cut_off_or_summed_up_is_a_lower_bound(exact: Session) -> None:
    claim = exact.takes("a1")
    hears(exact, "a1", "default")
    path, rows = exact.transcript_of("a1"), work(exact, [claim]).rows
    write(path, rows[:-1])
    use.note(exact.ledger, "a1")
    assert told(exact)["tokens_unseen"] == [usage.AT_WORK]
    exact.reports(claim)
    exact.stops("a1")
    assert told(exact)["tokens_unseen"] == [usage.CUT_OFF]
    write(path, rows)
    use.collect_all(exact.ledger, "q")
    assert told(exact)["tokens_unseen"] == []
    boundary = {"type": "system", "subtype": "compact_boundary", "compactMetadata": {}}
    write(path, [*rows[:-1], boundary, rows[-1]])
    use.collect(exact.ledger, "a1")
    assert told(exact)["tokens_unseen"] == [usage.COMPACTION]


def test_an_answer_whose_end_the_client_never_wrote_makes_a_lower_bound(exact: Session) -> None:
    claim = exact.takes("a1")
    hears(exact, "a1", "default")
    rows = work(exact, [claim]).rows
    rows[0]["message"]["stop_reason"] = None
    write(exact.transcript_of("a1"), rows)
    exact.reports(claim)
    exact.stops("a1")
    assert told(exact)["tokens_unseen"] == [usage.PARTIAL]


def test_an_item_that_the_session_did_itself_is_not_counted_and_told_so(exact: Session) -> None:
    claim = exact.takes("a1")
    hears(exact, "a1", "default")
    write(exact.transcript_of("a1"), work(exact, [claim]).rows)
    exact.reports(claim)
    exact.stops("a1")
    assert told(exact)["tokens_exact"] is True
    exact.reports(exact.takes(""))
    assert told(exact)["tokens_unseen"] == [usage.UNHEARD]


@pytest.mark.parametrize("failed", [False, True])
def test_a_hand_back_is_the_end_of_a_transcript_unless_it_was_refused(failed: bool) -> None:
    rows = Rows()
    rows.calls("SubagentHandback", '{"success":true}', failed=failed)
    assert transcript.sum_up(map(json.dumps, rows.rows)).complete is not failed


def test_a_report_in_json_tells_what_its_item_has_used_until_now(
    exact: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    claims = [exact.takes("a1"), exact.takes("a1")]
    write(exact.transcript_of("a1"), work(exact, claims).rows[:9])
    for claim, output in zip(claims, (110, 11000), strict=True):
        assert main(["done", claim.token, "--summary", "did it", "--json"]) == 0
        ended = json.loads(capsys.readouterr().out)["ended"]
        assert (ended["claim"], ended["id"], ended["state"]) == (claim.token, claim.id, "done")
        assert ended["tokens"]["output"] == output
    shutil.rmtree(exact.transcript_of("a1").parent)
    other = exact.takes("a2")
    assert main(["block", other.token, "--reason", "no", "--next", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["ended"]["state"], answer["ended"]["tokens"]) == ("blocked", None)
    assert len(answer["claims"]) == 1
