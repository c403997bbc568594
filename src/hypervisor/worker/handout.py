"""Taking items: a claim on what really wants work, and what it is kept with."""

from __future__ import annotations

import os

from hypervisor.config import caller
from hypervisor.config.caller import in_pool
from hypervisor.ledger import Ledger, budget
from hypervisor.system.checkout import head
from hypervisor.system.errors import (
    BrokenFile,
    HypervisorError,
    NotAllowed,
    NotOwner,
    OtherItem,
    SetupError,
)
from hypervisor.system.keys import key
from hypervisor.system.spans import span
from hypervisor.system.text import one_line
from hypervisor.worker import handed, off_limits, outbox
from hypervisor.worker.presence import Presence, changed_task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypedDict

    from hypervisor.config.caller import PoolAgent
    from hypervisor.ledger import Claim, Ledger
    from hypervisor.ledger.rows import Holding

    class Marks(TypedDict, total=False):
        """What is kept with a claim; see `Claims.claim`."""

        session: str
        agent: str
        process: str | None
        base_commit: str | None
        lease_seconds: float | None
        model: str | None


def same_queue(agent: PoolAgent | None, queue: str) -> None:
    """Raise NotAllowed if `agent` is held to another queue."""
    if agent is not None and agent.queue not in (None, queue):
        raise NotAllowed(
            f"queue {one_line(queue, 60)} is not the one of this worker",
            f"hypervisor next {agent.queue}",
        )


def own_claim(token: str, row: Holding, agent: PoolAgent | None = None) -> None:
    """Raise NotAllowed if this process is a pool's agent, or works for `agent`, and the claim in
    `row` is another's."""
    agent = agent or in_pool()
    if agent is not None and (row.session, row.agent) != (agent.session, agent.name):
        raise NotAllowed(
            f"claim {one_line(token, 60)} is not this worker's", "end the item that it was handed"
        )


def carried(ledger: Ledger, queue: str, n: int) -> tuple[int, str]:
    """Return how many items, of `n` that a worker asks for, a lease of `queue` can carry by the
    pace at which its items end; and, where that is less, so in words."""
    if n < 2:
        return n, ""
    row = ledger.queues.get(queue)
    pace = ledger.sessions.pace(row.no)
    lease = terms(ledger, queue, caller.in_pool())["lease_seconds"] or row.lease_ms / 1000
    most = n if not pace else max(1, min(n, int(lease / pace)))
    if most == n or pace is None:
        return n, ""
    told = f"at {span(pace)} for an item, a lease of {span(lease)} carries no more than {most}"
    return most, f"{told} of the {n} that were asked for (hypervisor open --lease)"


def goes_alone(ledger: Ledger, queue: str, session: str) -> bool:
    """True while a pool may claim nothing more of `queue`: what a pool went down with once is in
    its hands, or comes next while it holds others, which that may take along."""
    held = ledger.sessions.held_by(session)
    first = ledger.items.ready(queue, 1) if held else []
    return any(row.abrupt for row in held) or any(row.abrupt for row in first)


def share_left(ledger: Ledger, agent: PoolAgent, queue: str) -> int:
    """Return how many more items of `queue` an agent of a pool may claim: 0 once its pool
    drains."""
    if ledger.state.folder.look(drain_mark(agent.session)) is not None:
        return 0
    if goes_alone(ledger, queue, agent.session):
        return 0
    if agent.items is None:
        return 1 << 30
    return max(0, agent.items - len(ledger.agents.claims_of(agent.name)))


def drain_mark(session: str) -> str:
    """Return the file of the state whose presence keeps the agents of a pool from claiming more."""
    return f"drain-{key(session)}"


UNHEARD_SECONDS = 3600


def take(
    ledger: Ledger,
    queue: str,
    worker: str,
    n: int = 1,
    only: str | None = None,
    *,
    claimed: list[Claim] | None = None,
    agent: caller.PoolAgent | None = None,
    branch: bool = False,
    here: str | None = None,
    model: str | None = None,
) -> list[Claim]:
    """Claim up to `n` items that really want work, and return them; `claimed` are the first.

    An item's file is looked at again only if it changed since `open`: a task that somebody has
    completed meanwhile is closed as skipped, a broken one as blocked, and the next one is claimed
    instead. A task that is no longer at its path is looked for by its id; what is missing is passed
    over. What nobody works on any more is freed before nothing is returned.
    `agent` is the agent of a pool that asks, if this process is not its
    own: it gets no more than its share, and of its own queue only (else NotAllowed). `model` is the
    worker's own, where it is known. With
    `branch`, each claim gets a branch and a working tree of its own; with `here`, the linked
    worktree around that folder is put on the branch. Should any of that fail, nothing stays
    claimed. A queue is paused, and hands out nothing, when its budget is used up, and when somebody
    changed what steers the next run and it can't be told who.
    """
    if claimed is None:
        # Else the end that was accepted in the same call has just done it.
        outbox.flush(ledger)
    if not claimed and budget.stop(ledger, queue):
        return []
    agent = agent or caller.in_pool()
    same_queue(agent, queue)
    taken: list[Claim] = []
    claims = claimed or []
    there = Presence(ledger)
    if agent is not None:
        n = min(n, share_left(ledger, agent, queue) + len(claims))
    try:
        while len(taken) < n:
            if not claimed:
                marks = terms(ledger, queue, agent, model)
                claims = ledger.claims.claim(
                    queue, worker, n - len(taken), only=only, there=there, **marks
                )
                note_renewed(claims, marks)
            claimed = None
            if not claims and there.follow(ledger):
                continue
            if not claims and not taken:
                from hypervisor.worker.settle import settle

                if settle(ledger)[0]:
                    # What nobody works on any more is not waited for.
                    claims = ledger.claims.claim(queue, worker, n, only=only, there=there, **marks)
            if not claims:
                break
            wanted = []
            for claim in claims:
                try:
                    closed = _no_longer_wanted(ledger, claim)
                except (BrokenFile, OtherItem, FileNotFoundError):
                    give_back(ledger, [claim.token])
                    there.leave_out(claim.id, claim.number, claim.path or "")
                    continue
                if closed is None:
                    wanted.append(claim)
                else:
                    _close(ledger, claim, *closed)
            shared = _shared(ledger, wanted)
            for claim in wanted:
                if claim.path in shared:
                    give_back(ledger, [claim.token])
                    there.leave_out(claim.id, claim.number, claim.path)
                else:
                    taken.append(claim)
        row = ledger.queues.get(queue)
        if taken and row.scope:
            _keep_scope(ledger, taken)
        if taken and row.commits and not (branch or here):
            from hypervisor.system import uncommitted

            uncommitted.note(ledger.state, *[claim.token for claim in taken])
        if taken and (branch or here):
            if not row.branches:
                ledger.terms.set_branches(queue, True)
            _branch_off(ledger, taken, here)
        elif not taken and row.branches:
            from hypervisor.worker.branches import claim_tree

            claim_tree.clear_merged(ledger)
        handed.note(ledger, taken)
        if taken and not off_limits.begin(ledger, taken):
            give_back(ledger, [claim.token for claim in taken])
            return []
    except BaseException as error:
        give_back(ledger, {claim.token: claim for claim in [*taken, *claims]})
        from hypervisor.system.git import GitError

        if isinstance(error, GitError | SetupError):
            from hypervisor.worker.setup import stop_pool

            stop_pool(ledger, queue, None, error)
        raise
    return taken


def _shared(ledger: Ledger, claims: Iterable[Claim]) -> set[str]:
    """Return the files of `claims` that somebody has in hand for another item too: its id was
    changed after that was handed out, and there is one worker on a file."""
    paths = {
        claim.path for claim in claims if claim.path and claim.fingerprint and claim.format is None
    }
    ids: dict[str, set[str]] = {}
    for path, item_id in ledger.items.in_hand(sorted(paths)):
        ids.setdefault(path, set()).add(item_id)
    return {path for path, known in ids.items() if len(known) > 1}


def give_back(ledger: Ledger, tokens: Iterable[str]) -> None:
    """Free claims that no worker has heard of; it costs their items nothing."""
    for token in tokens:
        try:
            ledger.ends.release(token, free=True)
        except NotOwner:
            continue


def terms(
    ledger: Ledger, queue: str, agent: caller.PoolAgent | None, model: str | None = None
) -> Marks:
    """Return what is kept with a claim: the client's session around this process and the agent in
    it, its `model` (a pool knows that of its agents), the commit at which the tasks stand, and a
    lease, where the queue's won't do.

    Hooks renew leases, and so does a pool. Where no hook has been heard of in a session, a claim
    has to last for as long as an item may take.
    """
    marks: Marks = {"base_commit": head(ledger.root), "lease_seconds": None, "model": model}
    if agent is not None:
        model = agent.model or model
        return marks | {"session": agent.session, "agent": agent.name, "model": model}
    session = caller.session()
    if session is None:
        return marks | {"process": caller.process()}
    ledger.followers.follow(session, queue)
    known = ledger.sessions.find(session)
    if known is None:
        # Where no hook has been heard, nobody has told its process: that it has ended is known by
        # that alone.
        ledger.sessions.meet_caller()
    if known is not None and known.heard_at is not None:
        return marks | {"session": session}
    lease = max(UNHEARD_SECONDS, ledger.queues.get(queue).lease_ms / 1000)
    return marks | {"session": session, "lease_seconds": lease}


def note_renewed(claims: Iterable[Claim], marks: Marks) -> None:
    """Note with claims that were made on the terms `marks` whether somebody renews their leases."""
    for claim in claims:
        claim.renewed = marks["lease_seconds"] is None


def _keep_scope(ledger: Ledger, claims: list[Claim]) -> None:
    from hypervisor.worker import scope

    for claim in claims:
        scope.begin(ledger.state, claim.token)


def _branch_off(ledger: Ledger, claims: list[Claim], here: str | None) -> None:
    from hypervisor.worker.branches import claim_tree

    claim_tree.clear_merged(ledger)
    for claim in claims:
        claim_tree.begin(ledger, claim, here)
    tokens = [claim.token for claim in claims]
    if ledger.claims.heartbeat(tokens) != tokens:
        raise HypervisorError(
            "the lease ran out while the working tree was made", "open the queue with a longer one"
        )


def _close(ledger: Ledger, claim: Claim, outcome: str, report: dict[str, str]) -> None:
    try:
        ledger.ends.finish(claim.token, outcome, report)
    except NotOwner:
        # Looking took longer than the lease: whoever gets it next closes it.
        return


def _no_longer_wanted(ledger: Ledger, claim: Claim) -> tuple[str, dict[str, str]] | None:
    """Return the outcome and report for an item that needs no worker any more, or None.

    Raises FileNotFoundError, and OtherItem where another task stands at its path.
    """
    if claim.format is not None and outbox.holds_many(claim.format):
        return _ended_in_its_file(ledger, claim, claim.format)
    root = ledger.root
    if claim.path is None or claim.payload is not None:
        return None
    try:
        task = changed_task(root, claim.id, claim.path, claim.fingerprint, claim.format)
    except NotADirectoryError:
        raise FileNotFoundError(claim.path) from None
    except FileNotFoundError:
        raise
    except BrokenFile as error:
        return "blocked", {"reason": str(error).replace(os.path.join(root, ""), "")}
    except OSError as error:
        return "blocked", {"reason": f"{claim.path} can't be read: {error.strerror or error}"}
    if task is False:
        return None
    if task is None:
        # What waits for it must not go on as if it were done.
        return "blocked", {"reason": f"{claim.path} is no longer a task"}
    return _set_by_someone(ledger, claim, task.state, task.status)


def _set_by_someone(
    ledger: Ledger, claim: Claim, state: str, word: str | None
) -> tuple[str, dict[str, str]] | None:
    """Do as `_no_longer_wanted` for an item whose source says `state`, in the `word` there."""
    if state not in ("done", "cancelled"):
        return None
    told = f"someone set it to {word}"
    waiting = (each for _, _, each in ledger.queries.waiting_for(claim.id))
    if state == "cancelled" and "waiting" in waiting:
        # Who waits for it must not go on as if it were done.
        return "blocked", {"reason": f"{told}, and others wait for it"}
    return "skipped", {"reason": f"already complete: {told}"}


def _ended_in_its_file(
    ledger: Ledger, claim: Claim, format: str
) -> tuple[str, dict[str, str]] | None:
    """Do as `_no_longer_wanted` for one of the many items of a file, whose text is told as it
    stands there now.

    Raises FileNotFoundError, and BrokenFile where the file can't be read now or the item is not in
    it: that is no fault of all its items.
    """
    from hypervisor.tasks import formats
    from hypervisor.tasks.formats import mark

    assert claim.path is not None, "an item of a file has its path"
    own_id = mark.local_id(claim.id, claim.path)
    path = os.path.join(ledger.root, claim.path)
    item = mark.read(path, formats.get(format), own_id, claim.title)
    if (ended := _set_by_someone(ledger, claim, item.state, item.word)) is not None:
        return ended
    if item.title != claim.title:
        # It is told apart by that when it ends.
        ledger.items.retitled(claim.number, item.title)
        claim.title = item.title
    kept = claim.payload if isinstance(claim.payload, dict) else {}
    claim.payload = {**kept, "text": item.text, "line": item.line}
    return None
