"""What hangs on permissions, notices and ends, in manual and auto mode, some of it in every way."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from e2e.answers import Answer, bash, error, slow, text, tool
from e2e.conversation import Conversation
from e2e.plugins import lost_notices
from e2e.queue_scripts import (
    QUEUE,
    REPOSITORY,
    SOURCE,
    ByPlan,
    by_the_book,
    claim_of,
    done,
    edits,
    ended,
    token_of,
)
from e2e.session import BYPASS
from e2e.ways import AUTO, MANUAL, Sitting, unended

pytestmark = pytest.mark.e2e

BOOK = by_the_book(QUEUE)


def is_canary(conversation: Conversation) -> bool:
    return "one item only" in conversation.first


@pytest.mark.often
@pytest.mark.every_way
@pytest.mark.oldest_too
@pytest.mark.screen_too
def test_a_batch_drains_with_no_dialog_and_the_session_sums_it_up(sitting: Sitting) -> None:
    sitting.lay_out(5)
    sitting.model.worker = edits()
    sitting.begin()
    sitting.until(sitting.summed_up)
    sitting.end()
    sitting.assert_each_is_done_once()
    sitting.assert_notices_are_counted()
    assert all("Renamed." in path.read_text() for path in sitting.tasks)
    assert "drained, 5 items: 5 done" in sitting.main.summary
    told, used = sitting.summary(), sum(map(sitting.tokens, sitting.model.agents))
    # What stands in no transcript is only asked for with a screen, or in auto mode.
    assert told["tokens_exact"] == (not sitting.way.screen and sitting.way.mode != AUTO), told
    total = told["total_tokens"]
    assert total == used if told["tokens_exact"] else 0 < total <= used
    # Where the mode itself allows all, the hooks add nothing.
    log = sitting.hypervisor("log", QUEUE).stdout
    assert (f"Edit {SOURCE}/demo-0005.md" in log) == (sitting.way.mode != BYPASS), log


@pytest.mark.every_way
def test_the_user_is_asked_once_for_the_cost_or_says_yes_beforehand(sitting: Sitting) -> None:
    sitting.lay_out(4, ask_above=2)
    sitting.model.worker = edits()
    if sitting.way.screen:
        sitting.begin()
        sitting.screen.wait_for("1. Yes")
        assert sitting.done() == 1
        sitting.screen.enter()
        sitting.until(sitting.summed_up)
        sitting.end()
        assert "what they will cost is not known yet" in sitting.main.asked
    else:
        # It takes the yes upon itself, once.
        tries, obeys = [bash(f"hypervisor plan {QUEUE} --go-on")], sitting.main
        sitting.model.main = lambda c: (
            tries.pop() if tries and "Nobody can be asked" in c.last else obeys(c)
        )
        sitting.begin()
        sitting.end()
        assert not tries and sitting.done() == 1 and len(sitting.model.agents) == 1
        assert sitting.heard().count("3 items left, for 1 worker: what they") == 2
        assert sitting.hypervisor("cancel", QUEUE).returncode == 0
        said = ByPlan(f"open {QUEUE} {SOURCE} --yes-up-to 4", f"plan {QUEUE}")
        sitting.main = sitting.model.main = said
        sitting.begin(f"/hypervisor {SOURCE} --yes-up-to 4")
        sitting.end()
        assert sitting.main.summary
    assert sitting.done() == 4
    assert all("Renamed." in path.read_text() for path in sitting.tasks)


def test_an_unrelated_prompt_in_mid_batch_takes_no_right_away(sitting: Sitting) -> None:
    sitting.lay_out(6)
    work = edits()
    sitting.model.worker = lambda c: slow(0.3, work(c))
    sitting.main = sitting.model.main = ByPlan(asides={"AND WHAT IS": "FOUR"})
    sitting.begin(talks=True)
    sitting.until(lambda: sitting.done() >= 1 and sitting.held())
    sitting.say("AND WHAT IS two and two?")
    sitting.until(lambda: "FOUR" in str([r.answer for r in sitting.model.of("")]))
    # With `-p` it waits until the turn asks for more.
    assert sitting.done() < 6 or not sitting.way.screen
    sitting.until(sitting.summed_up)
    sitting.end()
    sitting.assert_each_is_done_once()
    assert all("Renamed." in path.read_text() for path in sitting.tasks)


def test_a_first_item_that_is_blocked_stops_the_batch_with_its_reason(sitting: Sitting) -> None:
    sitting.lay_out(4)

    def worker(c: Conversation) -> Answer:
        if not claim_of(c):
            return BOOK(c)
        return bash(f"hypervisor block {token_of(c)} --reason - <<'END'\nwhich key?\nEND")

    sitting.model.worker = worker
    sitting.begin()
    sitting.until(lambda: "Stop: what was tried first is not done" in sitting.heard())
    sitting.end()
    assert "“which key?”" in sitting.heard()
    assert len(sitting.model.agents) == 1
    counts = sitting.summary()["counts"]
    assert (counts["blocked"], unended(counts)) == (1, 3)


def test_a_worker_that_ends_with_an_item_in_hand_is_sent_back_once(sitting: Sitting) -> None:
    sitting.lay_out(4)
    mute: list[str] = []

    def worker(c: Conversation) -> Answer:
        if not c.tool_uses or "status: done" in c.text:
            return BOOK(c)
        if is_canary(c) and "You still hold" not in c.text:
            return ended(c)
        if is_canary(c) and "hypervisor done" not in str(c.tool_uses):
            return done(token_of(c), "demo-0001", more=False)
        if is_canary(c):
            return BOOK(c) if "SubagentHandback" not in c.tools else again(c)
        mute[:] = mute or [c.agent]
        return again(c) if c.agent == mute[0] else BOOK(c)

    def again(c: Conversation) -> Answer:
        words = "I give up on it" if not is_canary(c) else "ended"
        if "SubagentHandback" in c.tools:
            return tool("SubagentHandback", {"message": words})
        return text(words)

    sitting.model.worker = worker
    sitting.begin()
    sitting.until(sitting.summed_up)
    sitting.end(denied=None)
    sitting.assert_each_is_done_once(costs=[(1, 0)])
    said = [r.conversation.last for r in sitting.model.requests if r.agent]
    assert sum("You still hold" in words for words in said) == 2
    # Its last words stood in the task until that was done by another.
    kept = (sitting.project / f".hypervisor/undo/{QUEUE}").rglob("*")
    undone = b"".join(path.read_bytes() for path in kept if path.is_file())
    assert b"not confirmed" in undone and b"I give up on it" in undone
    # A worker that ends by its text where it should hand back would be asked for it, at a price.
    assert not any("handback-send-enforce" in words for words in said)


def test_workers_that_a_person_stops_cost_nothing_and_none_are_started(sitting: Sitting) -> None:
    sitting.lay_out(5)

    def worker(c: Conversation) -> Answer:
        return slow(90, text("too late")) if claim_of(c) and not is_canary(c) else BOOK(c)

    sitting.model.worker = worker
    sitting.begin()
    sitting.until(lambda: sitting.held() == 2)
    time.sleep(0.5)
    if sitting.way.screen:
        for key in ("C-x", "C-k", "C-x", "C-k"):
            sitting.screen.key(key)
            time.sleep(0.4)
        sitting.until(lambda: "the user stopped its workers. Start no new" in sitting.heard(), 30)
        assert sitting.held() == 0
        assert "Start none" in sitting.hypervisor("plan", QUEUE).stdout
        sitting.end()
    else:
        sitting.kill(signal.SIGINT)
    told = sitting.summary()
    assert (told["counts"]["success"], unended(told["counts"])) == (1, 4), told
    assert sitting.held() == 0
    assert {(item["attempts"], item["deaths"]) for item in told["workers"]} == {(0, 0)}
    assert len(sitting.model.agents) == 3
    sitting.model.main = lambda c: text("heard")
    sitting.begin("what is left?")
    sitting.until(lambda: f"queue {QUEUE}: 4 of 5 items left" in sitting.heard())
    sitting.end()


@pytest.mark.often
@pytest.mark.every_way
def test_what_a_worker_may_not_is_told_and_no_more_are_started(sitting: Sitting) -> None:
    sitting.lay_out(4)
    if sitting.way.mode == BYPASS:
        # In this mode a rule of the user's alone refuses anything.
        sitting.workspace.settings({"permissions": {"deny": ["Bash(make:*)"]}})

    def worker(c: Conversation) -> Answer:
        if claim_of(c):
            return bash("make check")
        if "make check" in str(c.tool_uses[-1:]):
            return bash(f"hypervisor block {token_of(c)} --reason - <<'END'\nno make\nEND")
        return BOOK(c)

    sitting.model.worker = worker
    sitting.begin()
    asked = sitting.way.screen and sitting.way.mode == MANUAL
    if asked:
        sitting.refuse("make check")
    sitting.until(lambda: "Stop: " in sitting.heard())
    sitting.end(denied=None)
    assert len(sitting.model.agents) == 1 and sitting.done() == 0
    if sitting.way.mode == BYPASS:
        assert "“no make”" in sitting.heard()
    else:
        assert '{"permissions": {"allow": ["Bash(make check' in sitting.heard()


def test_a_worker_that_was_talked_into_it_gets_nothing_done(
    sitting: Sitting, tmp_path: Path
) -> None:
    sitting.lay_out(1)
    outside = tmp_path / "outside"
    outside.mkdir()
    # The user has allowed the program as a whole, and other shells: the plugin alone stands guard.
    sitting.workspace.settings({"permissions": {"allow": ["Bash(hypervisor:*)", "Bash"]}})
    wanted = [
        bash(f"hypervisor open evil {SOURCE} --verify 'touch ran-by-verify'"),
        bash(f"hypervisor check {QUEUE} 'touch ran-by-check'"),
        bash(f"hypervisor work {QUEUE} --agent command --workers 1 -- touch ran-by-work"),
        bash(f"cd . && hypervisor cancel {QUEUE}"),
        bash(f"bash -c 'hypervisor cancel {QUEUE}'"),
        bash("hypervisor adopt --yes"),
    ]
    if sitting.way.mode != BYPASS:
        place = str(outside / "written.txt")
        wanted.append(tool("Write", {"file_path": place, "content": "by a worker"}))
    told: list[str] = []

    def worker(c: Conversation) -> Answer:
        at = len(c.tool_uses)
        if at == 0:
            return BOOK(c)
        if at % 2 == 0 and len(told) < len(wanted) and at > 1:
            told.append(c.last_result)
        if "accepted" in c.text:
            return ended(c)
        if len(told) == len(wanted):
            return done(token_of(c), "demo-0001")
        # Three refusals in a row would end a session in auto mode.
        return wanted[len(told)] if at % 2 else tool("Read", {"file_path": "hypervisor.toml"})

    sitting.model.worker = worker
    sitting.begin()
    if sitting.way.screen and sitting.way.mode == MANUAL:
        sitting.refuse("written.txt")
    sitting.until(lambda: sitting.done() == 1)
    sitting.end(denied=None)
    refusal = re.compile(
        r"is not for a worker|plainly, as they were printed|in a terminal of their own"
        r"|denied|nobody asked for it|doesn't want to"
    )
    assert len(told) == len(wanted)
    for call, answer in zip(wanted, told, strict=True):
        assert refusal.search(answer), (call, answer)
    assert list(outside.iterdir()) == [] and list(sitting.project.glob("ran-by-*")) == []
    assert sitting.summary()["counts"]["success"] == 1


def test_the_session_is_told_of_all_though_every_notice_is_lost(
    sitting: Sitting, tmp_path: Path
) -> None:
    sitting.lay_out(5)
    sitting.begin(plugins=lost_notices(sitting.model, [REPOSITORY], tmp_path))
    sitting.until(sitting.summed_up)
    sitting.end()
    sitting.assert_each_is_done_once()
    assert not re.search("<summary>Agent |Subagent hand-back", sitting.heard())
    assert all(path.stem in sitting.heard() for path in sitting.tasks)


@pytest.mark.often
def test_what_a_killed_session_has_left_is_done_by_the_next(sitting: Sitting) -> None:
    sitting.lay_out(5)

    def stuck(c: Conversation) -> Answer:
        return slow(90, text("too late")) if claim_of(c) and not is_canary(c) else BOOK(c)

    sitting.model.worker = stuck
    sitting.begin()
    sitting.until(lambda: sitting.held() == 2)
    sitting.kill()
    sitting.workspace.send(signal.SIGKILL)
    sitting.model.worker = BOOK
    goes_on = ByPlan("status", f"resume {QUEUE}", f"plan {QUEUE} --go-on")
    sitting.main = sitting.model.main = goes_on
    sitting.begin(f"/hypervisor:resume {QUEUE}")
    sitting.until(sitting.summed_up)
    sitting.end()
    sitting.assert_each_is_done_once()
    assert f"hypervisor: queue {QUEUE}: 4 of 5 items left" in sitting.heard()
    assert sum(claimed.outcome in ("freed", "gone") for claimed in sitting.claims()) == 2


@pytest.mark.often
@pytest.mark.oldest_too
def test_a_limit_of_the_service_pauses_the_queue_at_no_cost(sitting: Sitting) -> None:
    sitting.lay_out(4)
    sitting.model.worker = lambda c: error(429) if c.tool_uses else BOOK(c)
    sitting.begin(env={"CLAUDE_CODE_MAX_RETRIES": "0"})
    sitting.until(lambda: f"queue {QUEUE} is paused" in sitting.heard())
    sitting.end()
    told = sitting.summary()
    assert told["state"] == "paused" and told["reason"].startswith("rate limit: ")
    assert unended(told["counts"]) == 4
    assert {(item["attempts"], item["deaths"]) for item in told["workers"]} == {(0, 0)}
    assert len(sitting.model.agents) == 1


def test_an_item_whose_worker_breaks_is_done_by_another(sitting: Sitting) -> None:
    sitting.lay_out(5)
    broken: list[str] = []

    def worker(c: Conversation) -> Answer:
        if claim_of(c) and not is_canary(c):
            broken[:] = broken or [c.agent]
            if c.agent == broken[0]:
                return error(400)
        return BOOK(c)

    sitting.model.worker = worker
    sitting.begin(env={"CLAUDE_CODE_MAX_RETRIES": "0"})
    sitting.until(sitting.summed_up)
    sitting.end()
    sitting.assert_each_is_done_once(costs=[(0, 1)])


def test_workers_in_worktrees_may_write_there_and_what_they_did_is_merged(sitting: Sitting) -> None:
    sitting.lay_out(4)
    in_git(sitting.project, "init", "--quiet", "-b", "main")
    in_git(sitting.project, "config", "user.name", "t")
    in_git(sitting.project, "config", "user.email", "t@example.org")
    in_git(sitting.project, "add", ".")
    in_git(sitting.project, "commit", "--quiet", "-m", "first")

    def worker(c: Conversation) -> Answer:
        if not c.tool_uses:
            return bash(f"hypervisor next {QUEUE} --here")
        if claim := claim_of(c):
            return tool("Write", {"file_path": f"{claim[1]}.txt", "content": f"for {claim[1]}\n"})
        if c.tool_uses[-1].name == "Write":
            item = Path(c.tool_uses[-1].input["file_path"]).stem
            return done(token_of(c), item, more=not is_canary(c))
        return ended(c)

    sitting.model.worker = worker
    sitting.main = sitting.model.main = ByPlan(branch=True)
    sitting.begin()
    sitting.until(sitting.summed_up)
    sitting.end()
    sitting.assert_each_is_done_once()
    for path in sitting.tasks:
        written = sitting.project / f"{path.stem}.txt"
        assert written.read_text() == f"for {path.stem}\n"
    assert len({claimed.agent for claimed in sitting.claims()}) >= 2
    assert not in_git(sitting.project, "for-each-ref", "refs/heads/hypervisor/")
    # The client found its worktrees as it had made them, and removed them.
    left = sitting.project / ".claude/worktrees"
    assert not left.exists() or not list(left.iterdir())


def in_git(project: Path, *words: str) -> str:
    """What git says in the project."""
    ran = subprocess.run(["git", *words], cwd=project, check=True, capture_output=True)
    return ran.stdout.decode()
