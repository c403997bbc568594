"""Every verb of the ledger is one SQL text: each is carried out once on each engine."""

from __future__ import annotations

import inspect
import time

from hypervisor.ledger import Ledger, NewItem
from hypervisor.ledger.store import Store
from ledger.support import items


def test_every_verb_is_understood_by_the_engine(ledger: Ledger) -> None:
    called: set[str] = set()

    class Noting:
        def __getattr__(self, name: str) -> object:
            called.add(name)
            return getattr(ledger, name)

    each = Noting()
    use(each)  # type: ignore[arg-type]
    verbs = {
        name
        for name, _ in inspect.getmembers(type(ledger), inspect.isfunction)
        if not name.startswith("_") and name not in vars(Store)
    }
    assert verbs - called == set(), "add the verb below"


def use(ledger: Ledger) -> None:
    ledger.open_queue("q", [*items(8), NewItem("f", files=["a/b"]), NewItem("w", after=["f"])])
    ledger.open_queue("other", [NewItem("z", files=["a"])], budget_tokens=5, budget_ms=6)
    ledger.set_bounds("q", item_calls=1, item_ms=3_600_000, canary=2)
    ledger.set_trial("q", begun=True)
    number = ledger.queue_row("q")["no"]
    ledger.meet("s", pid=1, pid_start="1", headless=True, heard=True)
    ledger.meet("s2", pid=1, pid_start="1")
    ledger.inherit("s2")
    ledger.session("s")
    ledger.follow("s", "q", all=True)
    claims = ledger.claim("q", "w", 6, session="s")
    one, two, three, four, five, six = (claim.token for claim in claims)
    ledger.assign("s", "a", [one])
    ledger.assign("s", "b", [two], unknown=True)
    ledger.held_by("s"), ledger.held_by("s", "a"), ledger.renew("s", "a")
    ledger.send_back([one])
    ledger.next_look(ledger.held_by("s")), ledger.add_calls("s", "a", 0)
    ledger.callers(), ledger.lacks_permissions("a")
    assert ledger.count_call("s", "a") == []
    assert [row["token"] for row in ledger.count_call("s", "a")] == [one]
    ledger.sessions_at_work(), ledger.has_worked("s", number)
    ledger.join("a", "s", number, "t")
    ledger.note_agent("a", "s", transcript="t", how="done", noticed_by="n")
    ledger.agents_alive("s"), ledger.agents_alive("s", number), ledger.unnoticed_agents("s")
    ledger.agent("a"), ledger.saw_tool("a", "Read"), ledger.unsettled_agents("s")
    ledger.set_unseen("a", ""), ledger.unaccounted(number), ledger.claim_of(one)
    ledger.set_usage("a", (1, 2, 3, 4), {one: (1, 2, 3, 4)}, complete=True, kept="k")
    ledger.note_commit(one, "c0ffee"), ledger.commit_of(one)
    ledger.heartbeat([one]), ledger.keep(one), ledger.store_plans({one: "p"}), ledger.holding(one)
    ledger.note_branch(six, "hypervisor/x", "tree", "base")
    ledger.branch_row(six), ledger.branch_rows([six])
    ledger.finish(one, "done", {"summary": "s"}, pending=True)
    ledger.finish_many([(two, "blocked", {"reason": "r"}), (six, "done", {})])
    ledger.finish_and_claim([(three, "failed", {})], "q", "w")
    ledger.release(four), ledger.end(five, "died"), ledger.end_worker("w", "freed")
    ledger.said(one), ledger.lost(one), ledger.expire()
    ledger.pending(), ledger.awaits_writing(one), ledger.unwritten(one, "w"), ledger.written(one)
    ledger.unmerged("q"), ledger.set_aside(six, "why"), ledger.set_aside_rows("q")
    ledger.merged(six, "c0ffee"), ledger.lead_merges("me", 5), ledger.end_merges("me")
    ledger.place_of(one), ledger.live_tokens(), ledger.task_paths("q"), ledger.state_of("q", "f")
    ledger.stats("q"), ledger.counts(number), ledger.drained("q"), ledger.open_items()
    ledger.queue_name(number), ledger.queues(), ledger.is_settled("q")
    list(ledger.results("q")), list(ledger.results("q", since=1))
    ledger.tried_before(number), ledger.ended_since(number, 0)
    ledger.costs(number), ledger.cost_of_ended("q")
    [queue] = ledger.followed("s")
    ledger.lock_folder(queue), ledger.locks_at(ledger.lock_folder(queue))
    ledger.queue_names(), ledger.folders("q"), ledger.ends_are_noted()
    ledger.agent_names(), ledger.agent_names_of("s")
    assert ledger.tell("s", number, queue["told_no"], 5, "drained", "wake")
    ledger.told_of(number), ledger.unfollow("s")
    ledger.note_permission(number, "a", "call", "rule"), ledger.permission_given("a", "call")
    ledger.permissions("q"), ledger.forget_permissions("q"), ledger.sweep_locks("q")
    ledger.agent_started("p", "pool-1", number, 1, "1"), ledger.agent_writes("p", "t", "")
    ledger.held_since(0.0), ledger.ready(number, 5), ledger.pools()
    ledger.in_this_tree(0.0), ledger.tokens_over(), ledger.note_commits(number)
    ledger.named_ahead(number, 10), ledger.set_branches("q", True)
    ledger.open_place("f"), ledger.item("q", "f"), ledger.ready_items("q")
    ledger.meets_work(ledger.item("q", "f"))
    ledger.waiting_for_files(number), ledger.set_budget("q", 1, 2)
    ledger.set_check("q", "true", ["A"], ["b"]), ledger.allow_commands("q", ["npm test"])
    ledger.allow_tools("q", ["zotero"]), ledger.tools("q")
    ledger.tokens_used(number), ledger.started_at(ledger.queue_row("q"))
    ledger.workers(number), ledger.agents_of(number), ledger.last_ends(number, 3)
    assert ledger.tried(ledger.queue_row("q")) == 7
    ledger.set_trial("q", begun=False), ledger.not_done(number, 3), ledger.workers_seen(number)
    ledger.note_stop(number), ledger.forget_stop("q")
    ledger.at_work_since(number), ledger.troubled(number, "blocked", 3), ledger.pending_of(number)
    ledger.generations("q"), ledger.items_called("f"), ledger.id_of(one), ledger.id_of("path")
    (
        list(ledger.columns("q")),
        ledger.ids_like("task", None, 3),
        ledger.claims_on(1),
        ledger.waits_for(10),
    )
    ledger.waiting_for("f"), ledger.events_after([number], 0), ledger.claims_after([number], 0)
    ledger.claim_now(1), ledger.ended_items("q", ["blocked", "failed"])
    ledger.pause("q", "r", resume_at=1.0), ledger.resume("q")
    ledger.limit("q", "rate limit: x", 1.0, once=True), ledger.reopen(), ledger.reset_at(number)
    ledger.overloads(number), ledger.is_attended(number)
    ledger.agree("q"), ledger.has_agreed(number)
    ledger.note_asked("s", number), ledger.note_answer("s"), ledger.note_goes_on("s", "q")
    ledger.has_answered("s", ledger.queue_row("q")), ledger.note_grant([number], "Bash")
    ledger.claims_of("s", "")
    ledger.narrow("q", ["task-00007"], "x=1"), ledger.narrow("q", [], "all"), ledger.open_rows("q")
    ledger.aside(number), ledger.condition(number), ledger.waits_in(number)
    ledger.retry("q", ["task-00001"]), ledger.cancel("other", "r")
    (
        ledger.agent_claims("p"),
        ledger.all_generations(),
        ledger.prunable(time.time() + 5),
        ledger.forget(time.time() + 5),
    )
