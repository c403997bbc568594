"""Every verb of the ledger is one SQL text: each is carried out once on each engine."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import Any

from hypervisor.ledger import Ledger, NewItem, Options
from hypervisor.ledger.claim_ids import number_of
from hypervisor.ledger.findings import Sample
from ledger.support import items


def test_every_verb_is_understood_by_the_engine(ledger: Ledger) -> None:
    called: set[str] = set()

    def noting(name: str, verb: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            called.add(name)
            return verb(*args, **options)

        return call

    verbs = set()
    for part in Ledger.__annotations__:
        made = getattr(ledger, part)
        for verb, _ in inspect.getmembers(type(made), inspect.isfunction):
            if not verb.startswith("_"):
                verbs.add(f"{part}.{verb}")
                setattr(made, verb, noting(f"{part}.{verb}", getattr(made, verb)))
    use(ledger)
    assert len(verbs) > 120
    # These remove files alone.
    assert verbs - called <= {"claim_locks.drop_all", "claim_locks.unlock"}, "add the verb below"


def use(ledger: Ledger) -> None:
    ledger.generations.open("again", [NewItem("x"), NewItem("y", after=["x"])])
    [x] = ledger.claims.claim("again", "w")
    assert ledger.refusals.note(x.token, "lint", "it failed", "the tail") == 1
    again = ledger.queues.get("again").no
    [[refusal]] = ledger.refusals.of_claims([number_of(x.token)]).values()
    assert ledger.refusals.called([refusal.no]) == [refusal]
    (
        ledger.terms.set_check("again", "true", name="lint"),
        ledger.terms.set_check("again", None, name="named"),
    )
    assert ledger.terms.remove_check("again", "lint") and ledger.terms.remove_check(
        "again", "named"
    )
    ledger.queries.proofs(again), list(ledger.outputs.kept_by_checks([again]))
    ledger.ends.finish(x.token, "done", {})
    ledger.generations.open("again", [NewItem("y")], Options(source="another"))
    ledger.generations.open(
        "q", [*items(8), NewItem("f", files=["a/b"]), NewItem("w", after=["f"])]
    )
    ledger.generations.open(
        "other", [NewItem("z", files=["a"])], Options(budget={"tokens": 5, "ms": 6})
    )
    ledger.notifications.subscribe("q", "phone")
    ledger.terms.set_bounds("q", item_calls=1, item_ms=3_600_000, canary=2)
    ledger.terms.set_trial("q", begun=True)
    number = ledger.queues.get("q").no
    ledger.sessions.meet("s", pid=1, pid_start="1", headless=True, heard=True)
    ledger.sessions.meet("s2", pid=1, pid_start="1")
    ledger.sessions.meet_caller()
    ledger.sessions.inherit("s2")
    ledger.sessions.find("s")
    ledger.followers.follow("s", "q", all=True)
    claims = ledger.claims.claim("q", "w", 6, session="s")
    one, two, three, four, five, six = (claim.token for claim in claims)
    ledger.sessions.assign("s", "a", [one])
    ledger.sessions.assign("s", "b", [two], unknown=True)
    ledger.sessions.held_by("s"), ledger.sessions.held_by("s", "a"), ledger.sessions.renew("s", "a")
    ledger.sessions.heard("s", "a"), ledger.sessions.lost_by("s", "a")
    ledger.sessions.send_back([one])
    ledger.sessions.next_look(ledger.sessions.held_by("s")), ledger.sessions.add_calls("s", "a", 0)
    ledger.sessions.callers(), ledger.agents.lacks_permissions("a")
    assert ledger.sessions.count_call("s", "a") == []
    assert [row.token for row, _ in ledger.sessions.count_call("s", "a")] == [one]
    ledger.sessions.at_work(), ledger.sessions.has_worked("s", number)
    ledger.agents.join("a", "s", number, "t")
    ledger.agents.note("a", "s", transcript="t", how="done", noticed_by="n")
    ledger.agents.alive("s"), ledger.agents.alive("s", number), ledger.agents.unnoticed("s")
    ledger.agents.find("a"), ledger.agents.saw_tool("a", "Read"), ledger.agents.unsettled("s")
    (
        ledger.agents.set_unseen("a", ""),
        ledger.agents.unaccounted(number),
        ledger.queries.claim_of(one),
    )
    ledger.agents.set_usage("a", (1, 2, 3, 4), {one: (1, 2, 3, 4)}, complete=True, kept="k")
    ledger.sessions.note_commit(one, "c0ffee"), ledger.sessions.commit_of(one)
    (
        ledger.claims.heartbeat([one]),
        ledger.claims.keep(one),
        ledger.claims.store_plans({one: "p"}),
        ledger.ends.holding(one),
    )
    ledger.branches.note(six, "hypervisor/x", "tree", "base")
    ledger.branches.find(six), ledger.branches.find_all([six]), ledger.branches.are_merged([six])
    ledger.ends.finish(one, "done", {"summary": "s"}, pending=True)
    ledger.ends.finish_many([(two, "blocked", {"reason": "r"}), (six, "done", {})])
    ledger.claims.finish_and_claim([(three, "failed", {})], "q", "w")
    ledger.ends.release(four), ledger.ends.end(five, "died"), ledger.ends.end_worker("w", "freed")
    ledger.ends.said(one), ledger.ends.lost(one), ledger.ends.expire()
    with ledger.store.write():
        assert not ledger.ends.come_back(one)
    (
        ledger.outbox.pending(),
        ledger.outbox.awaits_writing(one),
        ledger.outbox.unwritten(one, "w"),
        ledger.outbox.written(one, "f", "d"),
        ledger.outbox.write_again([1]),
        ledger.accepted.of_queue("q"),
        ledger.accepted.of_tasks(["task-00000"]),
        ledger.accepted.blocked(["task-00000"]),
        ledger.accepted.marked(["task-00000"]),
        ledger.accepted.tasks_in(number),
        ledger.accepted.marks_in(number),
        ledger.accepted.note(1, "d"),
        ledger.accepted.forget("q", ["task-00000"]),
        ledger.items.open_ids(number),
    )
    (
        ledger.branches.unmerged("q"),
        ledger.branches.set_aside(six, "why"),
        ledger.branches.set_aside_rows("q"),
    )
    (
        ledger.branches.merged({six: "c0ffee"}),
        ledger.branches.lead_merges("me", 5),
        ledger.branches.end_merges("me"),
    )
    (
        ledger.claims.place_of(one),
        ledger.claims.live_tokens(),
        ledger.items.paths("q"),
        ledger.items.has_below("q", "."),
        ledger.items.state_of("q", "f"),
    )
    (
        ledger.queues.stats("q"),
        ledger.queues.counts(number),
        ledger.queues.drained("q"),
        ledger.items.all_open(),
        ledger.items.is_open("q", "a"),
        ledger.items.open_files(),
        ledger.items.in_hand(["f"]),
    )
    ledger.queues.name_of(number), ledger.queues.all(), ledger.followers.is_settled("q")
    list(ledger.queries.results("q")), list(ledger.queries.results("q", since=1))
    list(ledger.queries.results_of([1]))
    list(map(list, ledger.queries.story([number], (0, 0, 0), [1])))
    ledger.outputs.newest([number]), list(ledger.outputs.payloads([number]))
    ledger.claims.follows(one), ledger.items.ids("q"), ledger.items.next_rows("q", 2)
    list(ledger.outputs.accepted_answers([number]))
    with ledger.store.write():
        ledger.terms.check_answer(ledger.queues.get("q"), "{}")
        ledger.terms.put_sequence(number, ["a"])
    ledger.outputs.used([number]), list(ledger.outputs.answers([1, number]))
    list(ledger.queries.spans(number)), ledger.agents.used_by_items(number)
    ledger.queries.events_called([1]), ledger.queries.claims_called([1])
    (
        ledger.queries.tried_before(number),
        ledger.queries.again(number),
        ledger.followers.ended_since(number, 0),
    )
    list(ledger.agents.shares(number)), ledger.sessions.costs_of_ended("q")
    [queue] = ledger.followers.followed("s")
    (
        ledger.claim_locks.folder_of(queue),
        ledger.claim_locks.folder_at(ledger.claim_locks.folder_of(queue)),
    )
    ledger.terms.paused_seconds(number, 0.0)
    ledger.queues.names(), ledger.terms.folders("q"), ledger.store.engine.ends_are_noted()
    ledger.agents.names(), ledger.agents.names_of("s")
    assert ledger.followers.tell(
        "s", number, ledger.followers.told("s")[number].no, 5, "drained", "wake"
    )
    ledger.followers.told_of(number), ledger.followers.unfollow("s")
    (
        ledger.agents.note_permission(number, "a", "call", "rule"),
        ledger.agents.permission_given("a", "call"),
    )
    (
        ledger.agents.permissions("q"),
        ledger.agents.forget_permissions("q"),
        ledger.claim_locks.sweep_queue("q"),
    )
    ledger.agents.started("p", "pool-1", number, 1, "1"), ledger.agents.writes("p", "t", "")
    ledger.queries.held_since(0.0), ledger.queues.ready(number, 5), ledger.sessions.pools()
    (
        ledger.queries.in_this_tree(0.0),
        ledger.queries.tokens_over(),
        ledger.sessions.note_commits(number),
    )
    ledger.queries.named_ahead(number, 10), ledger.terms.set_branches("q", True)
    (
        ledger.items.retitled(1, "T"),
        ledger.items.moved(1, "x.md"),
        ledger.items.open_place("f"),
        ledger.items.find("q", "f"),
        ledger.items.ready("q"),
    )
    ledger.claims.meets_work('["a/b"]'), ledger.claims.may_come_back(one)
    ledger.sessions.is_gone(ledger.sessions.meet("s3", pid=1) or ledger.sessions.find("s3"))
    ledger.sessions.pace(number)
    ledger.claims.waiting_for_files(number), ledger.terms.set_budget("q", {"usd": 1})
    ledger.terms.set_instructions("q", "x"), ledger.terms.instructions(number, 1)
    ledger.items.ready_by_failed(number)
    (
        ledger.terms.set_check("q", "true", ["A"], ["b"]),
        ledger.terms.allow_commands("q", ["npm test"]),
    )
    ledger.terms.allow_tools("q", ["zotero"]), ledger.terms.tools("q")
    ledger.terms.allow_paths("q", ["CLAUDE.md"])
    ledger.terms.tokens_used(number), ledger.terms.usd_used(number)
    ledger.terms.started_at(ledger.queues.get("q"))
    (
        ledger.queries.workers(number),
        ledger.agents.of_queue(number),
        ledger.queries.last_ends(number, 3),
    )
    assert ledger.queries.tried(ledger.queues.get("q")) == 7
    ledger.pauses.pause("q")
    ledger.notifications.note(ledger.notifications.subscribed()[0], "project")
    ledger.pauses.resume("q")
    ledger.notifications.note(ledger.notifications.subscribed()[0], "project", idle=True)
    [blocked, paused, *_] = ledger.notifications.unsent()
    assert ledger.notifications.take(blocked.no) and not ledger.notifications.take(blocked.no)
    ledger.notifications.sent(blocked.no), ledger.notifications.failed(paused.no, "why")
    assert ledger.notifications.trouble(number).error == "why"
    (
        ledger.terms.set_trial("q", begun=False),
        ledger.queries.not_done(number, 3),
        ledger.agents.count(number),
    )
    ledger.pauses.note_stop(number), ledger.pauses.forget_stop("q")
    (
        ledger.queries.at_work_since(number),
        ledger.queries.troubled(number, "blocked", 3),
        ledger.queries.pending_of(number),
    )
    (
        ledger.queues.generations_of("q"),
        ledger.queries.items_called("f"),
        ledger.queries.id_of(one),
        ledger.queries.id_of("path"),
    )
    (
        list(ledger.queries.columns("q")),
        ledger.queries.ids_like("task", None, 3),
        ledger.queries.claims_on(1),
        ledger.queries.waits_for(10),
    )
    (
        ledger.queries.waiting_for("f"),
        ledger.queries.events_after([number], 0),
        ledger.queries.asked(number),
        ledger.queries.ids_at("a.md"),
    )
    ledger.queries.claim_now(1), ledger.items.ended("q", ["blocked", "failed"])
    ledger.pauses.pause("q", "r", resume_at=1.0), ledger.pauses.resume("q")
    (
        ledger.pauses.limit("q", "rate limit: x", 1.0, once=True),
        ledger.pauses.reopen(),
        ledger.pauses.reset_at(number),
    )
    ledger.pauses.overloads(number), ledger.followers.is_attended(number)
    ledger.terms.agree("q"), ledger.terms.has_agreed(number)
    (
        ledger.followers.note_asked("s", number),
        ledger.followers.note_answer("s"),
        ledger.sessions.note_goes_on("s", "q"),
    )
    (
        ledger.followers.has_answered("s", ledger.queues.get("q")),
        ledger.sessions.note_grant([number], "Bash"),
    )
    ledger.sessions.claims_of("s", "")
    (
        ledger.narrowing.narrow("q", ["task-00007"], "x=1"),
        ledger.narrowing.narrow("q", [], "all"),
        ledger.items.open_rows("q"),
    )
    (
        ledger.narrowing.aside(number),
        ledger.narrowing.condition(number),
        ledger.queries.waits_in(number),
    )
    review(ledger)
    over = ledger.items.over("q")
    with ledger.store.write():
        ledger.retries.again(ledger.queues.get("q"), ["task-00001"], over)
    ledger.retries.retry("q", ["task-00001"]), ledger.generations.cancel("other", "r")
    (
        ledger.agents.claims_of("p"),
        ledger.queues.generations(),
        ledger.forgetting.prunable(time.time() + 5),
        ledger.forgetting.old_claims(time.time() + 5),
        ledger.forgetting.forget(time.time() + 5),
        ledger.accepted.keep(number),
        ledger.generations.dependants("q"),
        ledger.generations.cancel_missing("q", ["w"]),
    )


def review(ledger: Ledger) -> None:
    ledger.generations.open("seen", [NewItem("m"), NewItem("n", after=["m"]), NewItem("o")])
    for _ in range(3):
        [claim] = ledger.claims.claim("seen", "w")
        assert ledger.suggestions.suggest(claim.token, "T", None) == f"{claim.id}-s1"
        ledger.ends.finish(claim.token, "done", {"summary": "s"})
    seen = ledger.queues.get("seen").no
    drawn = [(report.claim, "g", False) for report in ledger.reviews.reports(seen)]
    ledger.reviews.keep(Sample(seen, 1, 1.0, "3", "7", None, 3), drawn)
    sample = ledger.reviews.sample(seen)
    assert sample is not None and len(ledger.reviews.sampled(sample)) == 3
    ledger.reviews.accept("seen", "o", "me")
    state, ran = ledger.reviews.reject("seen", "m", "me", "no", lambda item: item.path)
    assert state == "ready" and ran == [("n", "seen", "done")]
    assert ledger.reviews.verdicts(seen) == {"accepted": 1, "rejected": 1}
    ledger.reviews.judge(drawn[1][0], {"pass": True}, passes=True)
    ledger.reviews.clicked("s", "q?", "yes"), ledger.reviews.clicked("s", "q?", "no")
    assert ledger.reviews.clicks("s") == {"q?": "no"}
    ledger.reviews.spend_click("s", "q?")
    ledger.suggestions.accept("seen", "m-s1", "me"), ledger.suggestions.reject("seen", "o-s1", "me")
    assert ledger.suggestions.find(seen, "n-s1") in ledger.suggestions.of_queue(seen)
