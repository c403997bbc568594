"""What a verb prints as the next command, or as the mend of an error."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from hypervisor.ledger import Ledger, budget
from mends.queues import (
    SOURCE,
    Told,
    after,
    becomes,
    conflicting,
    ended,
    hands_out,
    holds,
    is_fine,
    lone_task,
    over_budget,
    pending,
    prints,
    said,
    thrown_away,
    unmerged,
)
from mends.typed import A, Case, Shop, refused, words_of
from worker.support import write_task

SESSION: dict[str, str | None] = {"CLAUDE_CODE_SESSION_ID": "11111111-2222-3333-4444-555555555555"}


def in_session(*verbs: str, options: tuple[str, ...] = ()) -> Callable[[Shop], str]:
    """As `after`, with the last command line in the session of a client."""

    def told(shop: Shop) -> str:
        shop.opens(A, extra=options)
        said(shop, *verbs[:-1])
        shop.env = SESSION
        said_there = said(shop, verbs[-1])
        shop.env = {}
        return said_there

    return told


def asks_for(*words: str) -> Callable[[Shop], str]:
    """A session opens a queue with what is the user's to decide, and is told how to ask."""

    def told(shop: Shop) -> str:
        write_task(shop.root, A)
        shop.env = SESSION
        refused = shop.run("open", "q", "tasks", *words)
        assert refused.returncode == 2, refused
        shop.run("open", "q", "tasks")
        shop.env = {}
        return refused.stderr

    return told


def copied(shop: Shop) -> str:
    """The project was copied, ledger and all."""
    shop.opens(A)
    other = shop.root.with_name("a copy")
    shutil.copytree(shop.root, other, symlinks=True)
    shop.at = shop.root = other
    return shop.says("next", "q")


def adopts(shop: Shop, told: Told) -> bool:
    """Nobody can be asked here, so the other command is printed, which takes it over."""
    taken = shop.types(words_of("cli/adopt.py: hypervisor adopt --yes", told.stderr))
    return taken.returncode == 0 and hands_out(shop, told)


def strangers(shop: Shop) -> str:
    """The user's own folder knows nothing of the state here."""
    shop.opens(A)
    other = shop.root.parent / "state"
    other.mkdir()
    shop.env["HYPERVISOR_STATE"] = str(other)
    return shop.says("next", "q")


def replaced(shop: Shop) -> str:
    """The ledger was put back from a copy of it."""
    shop.opens(A)
    path = shop.root / ".hypervisor/ledger.db"
    shutil.copy(path, path.with_name("kept"))
    path.with_name("kept").rename(path)
    return shop.says("next", "q")


def restored(shop: Shop) -> str:
    """The bytes of an earlier ledger were put back."""
    shop.opens(A, "b")
    before = {path: path.read_bytes() for path in (shop.root / ".hypervisor").glob("ledger.db*")}
    shop.run("next", "q")
    shop.ends("done", A)
    for path, raw in before.items():
        path.write_bytes(raw)
    return shop.says("next", "q")


def other_store(verb: str) -> Callable[[Shop], str]:
    def told(shop: Shop) -> str:
        shop.opens(A)
        shop.env["HYPERVISOR_STORE"] = "postgresql://nobody@localhost:1/nothing"
        return said(shop, verb)

    return told


def closed(shop: Shop) -> str:
    shop.opens("b")
    write_task(shop.root, A, body="# T\n\n## Closed\n\nIt is done.\n")
    return shop.says("show", A)


def blocked_before(shop: Shop) -> str:
    """An item was blocked in an earlier generation of a queue."""
    ended("blocked")(shop)
    write_task(shop.root, "b")
    shop.run("open", "q", "b", "--again")
    return shop.says("preflight", A)


def over_budget_in_session(shop: Shop) -> str:
    over_budget()(shop)
    shop.env = SESSION
    told = shop.says("next", "q")
    shop.env = {}
    return told


def unknown_price(shop: Shop) -> str:
    shop.opens(A, extra=("--budget", "1usd"))
    return refused(lambda: budget.check_price("q", None, "claude"))


def canary_fails(shop: Shop) -> str:
    shop.opens(A, "b", extra=("--canary", "1"))
    return shop.says("work", "q", "--", "false")


def asked_over_mcp(shop: Shop) -> str:
    """A client asks for a task that another tool locks."""
    from hypervisor.agents.mcp.claims import Dispatch

    shop.opens(A)
    with Ledger.open(str(shop.root)) as ledger:
        return Dispatch._whose(None, ledger, A)  # type: ignore[arg-type]


def needing_a_tool(shop: Shop) -> str:
    """One task needs a tool that workers lack."""
    write_task(shop.root, "b", extra="tools: [zotero]\n")
    shop.opens(A)
    return shop.says("preflight", "tasks")


def allowed_a_tool(shop: Shop) -> str:
    needing_a_tool(shop)
    return shop.says("allow", "q", "--tools", "zotero")


def locked(shop: Shop) -> str:
    """An item is claimed, and somebody wants to end its lock."""
    shop.opens("t1")
    shop.takes()
    return shop.says("unlock", "t1")


def suggested(*verbs: str) -> Callable[[Shop], str]:
    """A worker suggests another item."""

    def told(shop: Shop) -> str:
        shop.opens(A)
        claim = shop.takes()
        shop.run("suggest", claim.token, "--title", "It's more")
        return said(shop, *verbs)

    return told


def one_reviewed(*verbs: str) -> Callable[[Shop], str]:
    """Two items are done; the first report has its verdict."""

    def told(shop: Shop) -> str:
        shop.opens(A, "b")
        shop.ends("done")
        shop.ends("done", "b")
        text = shop.says("review", "q", A, "--accept")
        return said(shop, *verbs) if verbs else text

    return told


def rejected_for_good(shop: Shop) -> str:
    """A report is rejected, and no attempt is left."""
    shop.opens(A, extra=("--max-attempts", "1"))
    shop.ends("done")
    return shop.says("review", "q", A, "--reject", "--note", "no")


def judged_by_others(around: dict[str, str | None]) -> Callable[[Shop], str]:
    """A report is looked at by an agent, which has its user judge it."""

    def told(shop: Shop) -> str:
        shop.opens(A)
        shop.ends("done")
        shop.env = around
        seen = shop.says("review", "q")
        shop.env = {}
        return seen

    return told


def named(word: str, outcome: str, *more: str) -> Callable[[Shop], str]:
    """An item has ended so, and a verb names it."""

    def told(shop: Shop) -> str:
        ended(outcome)(shop)
        return shop.says(word, "q", A, *more)

    return told


def has_tools(shop: Shop) -> str:
    shop.opens(A)
    shop.run("allow", "q", "--tools", "zotero")
    return shop.says("plan", "q", "--branch")


def only_known(shop: Shop) -> str:
    """A task is in no queue, and its queue is another's."""
    shop.opens("b")
    write_task(shop.root, A)
    return shop.says("show", A)


def reopened(*verbs: str) -> Callable[[Shop], str]:
    """Everything was done before, and is opened again."""

    def told(shop: Shop) -> str:
        ended("done")(shop)
        return said(shop, *verbs)

    return told


def with_answers(shop: Shop) -> None:
    (shop.root / "answer.json").write_text('{"type": "object", "properties": {"n": {}}}')
    shop.opens(A, "b", extra=("--answer", "answer.json"))


def handed_out(shop: Shop) -> str:
    shop.opens(A, "b")
    return shop.says("next", "q")


def second_with_answer(shop: Shop) -> str:
    with_answers(shop)
    token = shop.says("next", "q").split()[1]
    return shop.says("done", token, "--answer", "{}", "--next")


def wrong_answer(shop: Shop) -> str:
    with_answers(shop)
    token = shop.says("next", "q").split()[1]
    return shop.says("done", token, "--summary", "x")


def lost(shop: Shop) -> str:
    """A worker reports on a claim that was given back."""
    shop.opens(A)
    claim = shop.takes()
    with Ledger.open(str(shop.root)) as ledger:
        ledger.ends.release(claim.token)
    return shop.says("done", claim.token, "--summary", "x")


def waits(shop: Shop) -> str:
    """Somebody waits for a worker, which ends its item a little later."""
    shop.opens(A)
    claim = shop.takes()
    told = shop.says("wait", "q", "--timeout", "0")
    shop.run("done", claim.token, "--summary", "x")
    return told


def triaged(shop: Shop) -> str:
    write_task(shop.root, "t1", body="# T\n\n## Closed\n\nIt is done.\n")
    before = (shop.root / "tasks/t1.md").read_text()
    told = shop.says("triage", "tasks")
    assert (shop.root / "tasks/t1.md").read_text() != before
    return told


def opens_otherwise(shop: Shop) -> str:
    """A queue that is at work is opened with other instructions."""
    shop.opens(A)
    shop.takes()
    (shop.root / "say.md").write_text("Do it.")
    return shop.says("open", "q", "tasks", "--verify", "true", "--scope", "named")


def opens_at_last(shop: Shop, told: Told) -> bool:
    return shop.run("open", "q", "tasks", "--verify", "true", "--scope", "named").returncode == 0


def is_merged(shop: Shop, told: Told) -> bool:
    return (shop.root / "new.py").exists() and shop.run("retry", "q", "t1").returncode == 1


def batch_worked_off(shop: Shop) -> str:
    """A batch directory is triaged from a folder elsewhere, and looked at once more."""
    path = write_task(shop.root, "t1", extra="close_reason: fixed\n")
    folder = shop.root / "a batch"
    folder.mkdir()
    (folder / "queue.txt").write_text(f"{path}\n")
    before = path.read_text()
    shop.at = shop.root.parent
    shop.run("_batch-worker", "--dir", folder)
    assert path.read_text() != before
    return shop.says("_batch-worker", "--dir", folder)


def rows(shop: Shop) -> str:
    """Rows are named, and nothing says what is to be done with them."""
    (shop.root / "rows.csv").write_text("name\na\nb\n")
    return shop.says("preflight", "rows.csv")


def is_there(word: str) -> Callable[[Shop, Told], bool]:
    """The item is in the queue."""
    return lambda shop, told: told.returncode == 0 and shop.state(word) is not None


CASES = [
    Case(
        "intake/preflight/result.py: hypervisor work SOURCE -- COMMAND {}",
        rows,
        prints("2 done"),
        {"SOURCE": "rows.csv", "COMMAND": "true", "{COLUMN}": "{name}"},
    ),
    Case("system/state.py: hypervisor adopt", copied, adopts, code=2),
    Case("system/state.py: hypervisor adopt", strangers, adopts, code=2),
    Case("ledger/embedded.py: hypervisor adopt", replaced, adopts, code=2),
    Case("ledger/embedded.py: hypervisor adopt", restored, adopts, code=2),
    Case("ledger/foreign.py: unset {}", other_store("adopt --yes"), hands_out),
    Case("config/store.py: unset {}", other_store("next q"), hands_out),
    Case("intake/preflight/rules.py: hypervisor triage {}", closed, holds("status: done")),
    Case(
        "intake/preflight/check.py: hypervisor retry {} {}",
        ended("blocked", "preflight tasks"),
        becomes("ready"),
    ),
    Case(
        "intake/preflight/check.py: hypervisor undo {} {}",
        blocked_before,
        lambda s, told: "1 ready" in s.says("preflight", A),
    ),
    Case(
        "intake/preflight/check.py: hypervisor summary {} --write",
        thrown_away("open q tasks"),
        holds("status: done"),
    ),
    Case("ledger/budget.py: hypervisor allow {} --budget {}", over_budget_in_session, hands_out),
    Case("ledger/budget.py: hypervisor resume {} --budget 0usd", unknown_price, is_fine),
    Case(
        "cli/integrate.py: hypervisor show {}",
        lambda s: conflicting(s).partition("next: ")[2],
        prints("conflict"),
    ),
    Case("cli/integrate.py: hypervisor summary {}", unmerged("integrate q"), prints("1 done")),
    Case(
        "ledger/reviews.py: hypervisor {} {}",
        lambda s: (unmerged()(s), s.says("review", "q", "t1", "--reject", "--note", "x"))[1],
        is_merged,
    ),
    Case("cli/handout.py: hypervisor heartbeat {}", in_session("next q"), is_fine),
    Case(
        "cli/work.py: hypervisor status {}", after("work q --where a=1 -- true"), prints("q: open")
    ),
    Case("cli/work.py: hypervisor status {}", in_session("next q", "work q -- true"), is_fine),
    Case("cli/work.py: hypervisor retry {}", canary_fails, becomes("ready", "b")),
    Case("cli/work.py: hypervisor plan {} --go-on", canary_fails, prints("Start ")),
    Case(
        "cli/work.py: hypervisor summary {} --json",
        in_session("work q -- true"),
        prints('"success": 1'),
    ),
    Case("agents/mcp/claims.py: hypervisor show {}", asked_over_mcp, prints("it is ready")),
    Case(
        "cli/adopt.py: hypervisor adopt --yes", lambda s: (copied(s), s.says("adopt"))[1], hands_out
    ),
    Case(
        "intake/preflight/rules.py: hypervisor allow QUEUE --tools {}",
        needing_a_tool,
        prints("zotero"),
        SOURCE,
    ),
    Case("cli/allow.py: hypervisor open {} SOURCE", allowed_a_tool, is_there("b"), SOURCE),
    Case("cli/cancel.py: hypervisor status", after("cancel"), prints("q: open")),
    Case("cli/cancel.py: hypervisor status", after("cancel --all"), prints("q: cancelled")),
    Case("cli/cancel.py: hypervisor summary {}", after("cancel q"), prints("1 not attempted")),
    Case(
        "cli/cancel.py: hypervisor summary {}",
        lambda s: (
            s.opens(A),
            (s.root / f"tasks/{A}.md").unlink(),
            s.says("cancel", "q", "--missing"),
        )[2],
        prints("1 not attempted"),
    ),
    Case("cli/handout.py: hypervisor heartbeat {}", handed_out, is_fine),
    Case("cli/handout.py: hypervisor done {} --next --{} -", handed_out, becomes("done", "b")),
    Case(
        "cli/handout.py: hypervisor block {} --next --reason -", handed_out, becomes("blocked", "b")
    ),
    Case("cli/handout.py: hypervisor next {} --schema", second_with_answer, prints('"object"')),
    Case("worker/answers.py: hypervisor next {} --schema", wrong_answer, prints('"object"')),
    Case("cli/open.py: hypervisor next {}", in_session("open q tasks"), becomes("claimed")),
    Case(
        "cli/open.py: hypervisor check {} 'CMD'",
        lone_task("open q tasks"),
        prints("true"),
        {"CMD": "true"},
    ),
    Case("cli/open.py: hypervisor results {}", reopened("open q tasks"), prints("success")),
    Case(
        "cli/open.py: hypervisor undo {}",
        reopened("open q tasks"),
        lambda s, told: s.run("open", "q", "tasks").returncode == 0 and s.state() == "ready",
    ),
    Case(
        "cli/open_again.py: hypervisor open {} --where {}",
        after("open q --where priority>1"),
        becomes("ready"),
    ),
    Case(
        "cli/open_again.py: hypervisor open {} --where all",
        after("open q --where priority=1"),
        becomes("ready"),
    ),
    Case(
        "cli/status.py: hypervisor open {} --where all",
        after("open q --where priority=1", "status q"),
        becomes("ready"),
    ),
    Case(
        "cli/open_for_agents.py: hypervisor check {} {…}",
        asks_for("--verify", "test -d 'a b'"),
        prints("test -d 'a b'"),
    ),
    Case(
        "cli/open_for_agents.py: hypervisor allow {} {…}",
        asks_for("--allow-command", "make it"),
        prints("make it"),
    ),
    Case(
        "cli/open_for_agents.py: hypervisor allow {} --tools {}",
        asks_for("--tools", "zotero"),
        prints("zotero"),
    ),
    Case(
        "cli/open_for_agents.py: hypervisor allow {} --budget {}",
        in_session("open q tasks --budget 7usd", options=("--budget", "1usd")),
        prints("$7"),
    ),
    Case(
        "cli/options.py: hypervisor work {} -- COMMAND",
        lone_task("open q tasks"),
        becomes("done"),
        {"COMMAND": "true"},
    ),
    Case("ledger/budget.py: hypervisor resume {} --budget {}", over_budget("pause q"), hands_out),
    Case("ledger/budget.py: hypervisor resume {}", after("pause q"), hands_out),
    Case("ledger/budget.py: hypervisor resume {}", after("pause q", "allow q make"), hands_out),
    Case(
        "cli/place.py: hypervisor {} {}",
        lambda s: (
            s.opens(A),
            write_task(s.root, "r"),
            s.run("open", "r", "tasks"),
            s.says("summary"),
        )[3],
        is_fine,
        SOURCE,
    ),
    Case("cli/plan.py: hypervisor plan {}", has_tools, prints("Start one worker")),
    Case(
        "cli/prune.py: hypervisor prune --days {}",
        after("prune --days 0.5 --dry-run"),
        prints("removed"),
    ),
    Case(
        "cli/pull.py: hypervisor status",
        lambda s: (s.opens(A), s.takes(), s.says("pull", A))[2],
        prints("1 at work"),
    ),
    Case(
        "cli/retry.py: hypervisor plan {}",
        lambda s: (ended("failed")(s), s.env.update(SESSION), s.says("retry", "q"))[2],
        prints("Start"),
    ),
    Case("cli/review.py: hypervisor review {}", one_reviewed(), prints("1 accepted")),
    Case("cli/review.py: hypervisor results {}", one_reviewed(), prints("success")),
    Case("cli/review.py: hypervisor retry {} {}", rejected_for_good, becomes("ready")),
    Case("cli/review.py: hypervisor review {} --sample 5%", reopened("review q"), prints("1 of 1")),
    Case(
        "cli/review.py: hypervisor review {} {}",
        lambda s: reopened("review q")(s).partition("in full:")[2],
        prints("did it"),
    ),
    Case("cli/review.py: hypervisor review {} --accept", reopened("review q"), prints("accepted")),
    Case(
        "cli/review.py: hypervisor review {} --accept",
        judged_by_others(SESSION),
        prints("accepted"),
    ),
    Case(
        "cli/review.py: hypervisor review {} --accept",
        judged_by_others({"AI_AGENT": "1"}),
        prints("accepted"),
    ),
    Case(
        "cli/review.py: hypervisor review {} --reject --note 'what is wrong'",
        judged_by_others(SESSION),
        becomes("ready"),
    ),
    Case(
        "cli/review.py: hypervisor review {} --reject --note 'what is wrong'",
        lambda s: (s.opens(A), s.ends("done"), s.says("review", "q"))[2],
        becomes("ready"),
    ),
    Case(
        "cli/review.py: hypervisor review {} --suggested",
        suggested("review q"),
        prints("It's more"),
    ),
    Case(
        "cli/review.py: hypervisor review {} --accept",
        suggested("review q --suggested"),
        prints("an item of queue q"),
    ),
    Case(
        "cli/review.py: hypervisor review {} --reject",
        suggested("review q --suggested"),
        prints("no longer suggested"),
    ),
    Case(
        "cli/review.py: hypervisor review {} ID --accept",
        reopened("review q --accept"),
        prints("accepted"),
        {"ID": A},
    ),
    Case("cli/review.py: hypervisor review {}", named("review", "done", "nobody"), is_fine),
    Case("cli/review.py: hypervisor show {}", named("review", "failed"), prints("failed")),
    Case("ledger/reviews.py: hypervisor review {}", named("review", "done", "--accept"), is_fine),
    Case(
        "worker/review.py: hypervisor status {}", after("review q --sample 5%"), prints("q: open")
    ),
    Case("cli/show.py: hypervisor open QUEUE {}", only_known, becomes("ready"), SOURCE),
    Case("cli/triage.py: hypervisor summary {} --json", triaged, prints('"success": 1')),
    Case(
        "cli/batch_worker.py: cd {} && hypervisor undo {}",
        batch_worked_off,
        holds("status: active", "tasks/t1.md"),
    ),
    Case("cli/triage.py: hypervisor undo {}", triaged, holds("status: active", "tasks/t1.md")),
    Case("cli/undo.py: hypervisor status {}", reopened("undo q"), prints("q: drained")),
    Case("cli/open.py: hypervisor open QUEUE {}", after("open tasks"), is_fine, {"QUEUE": "q"}),
    Case("cli/undo.py: hypervisor undo {}", reopened("undo q nowhere"), prints("1 file restored")),
    Case("tasks/undo.py: hypervisor status", after("undo q"), prints("q: open")),
    Case("worker/retry.py: hypervisor status {}", after("retry q nowhere"), prints("q: open")),
    Case("ledger/reviews.py: hypervisor show {}", named("review", "blocked", "--accept"), is_fine),
    Case("cli/unlock.py: hypervisor status", after("unlock nothing"), prints("q: open")),
    Case("cli/unlock.py: hypervisor release {}", locked, becomes("ready", "t1")),
    Case("cli/wait.py: hypervisor wait {}", waits, prints("1 of 1 item ended")),
    Case("cli/work.py: hypervisor {} {}", reopened("work q -- true"), prints("success")),
    Case("ledger/ends.py: hypervisor next {}{}", lost, becomes("claimed")),
    Case(
        "ledger/queues.py: hypervisor open QUEUE SOURCE",
        lambda s: (after()(s), shutil.rmtree(s.root / ".hypervisor"), s.says("next", "other"))[2],
        becomes("ready"),
        SOURCE,
    ),
    Case(
        "ledger/store.py: hypervisor open QUEUE SOURCE",
        lone_task("next q"),
        becomes("ready"),
        SOURCE,
    ),
    Case("ledger/generations.py: hypervisor cancel {}", opens_otherwise, opens_at_last),
    Case("ledger/retries.py: hypervisor integrate {}", unmerged("retry q t1"), is_merged),
    Case("ledger/retries.py: hypervisor summary {}", pending("retry q"), holds("status: blocked")),
]
