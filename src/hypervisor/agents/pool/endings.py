"""What the end of an agent means for the items in its hands, and for the queue."""

from __future__ import annotations

from dataclasses import replace

from hypervisor import worker
from hypervisor.agents import reconcile
from hypervisor.agents.client import End
from hypervisor.config.caller import PoolAgent
from hypervisor.ledger import Claim, Ledger, LedgerError
from hypervisor.system.errors import HypervisorError, NotOwner, SetupError
from hypervisor.system.text import one_line
from hypervisor.worker import CheckFailed, Refused
from hypervisor.worker.setup import lacking


def agent_ended(ledger: Ledger, queue: str, session: str, agent: str, end: End) -> str:
    """Deal with what an agent still holds, now that its process is gone.

    Returns "", or what this machine lacks: what it held is free then, at no cost.
    """
    lacks = "" if end.how == "finished" else lacking(ledger)
    if lacks:
        reconcile.freed(ledger, session, agent, lacks)
    elif end.how == "finished":
        reconcile.stopped(ledger, session, agent, last_message=end.last, again=True)
    elif end.how == "rate_limited":
        # The service refuses work for now: until it wants to be asked again, if it says when.
        reconcile.freed(ledger, session, agent, "rate limit")
        if end.limit is not None:
            told = replace(end.limit, text=end.cause or end.limit.text)
            reconcile.pause_for(ledger, queue, told)
    elif end.how == "over":
        for row in ledger.sessions.held_by(session, agent):
            ledger.ends.end(row.token, "unreported", end.cause)
    elif end.how in ("refused", "stopped"):
        reconcile.freed(ledger, session, agent, one_line(end.cause, 200))
    else:
        reconcile.died(ledger, session, agent, one_line(end.cause, 200))
    worker.off_limits.look_after(ledger)
    reconcile.settle(ledger)
    return lacks


def command_ended(ledger: Ledger, claim: Claim, end: End, *, agent: PoolAgent, force: bool) -> str:
    """Deal with the item of a command, now that its process is gone.

    Returns "", or what this machine lacks: the item is free then, at no cost.
    """
    if end.how == "finished":
        return _done(ledger, claim, end, agent, force)
    found = worker.off_limits.changes(ledger, claim.token)
    if found.own or found.inside:
        names = worker.off_limits.listed([*found.own, *found.inside])
        blocked(ledger, claim, f"the command changed what steers the next run: {names}")
    elif found.shared:
        _unsure(ledger, claim, found.shared)
    elif end.how == "failed":
        if lacks := lacking(ledger):
            worker.give_back(ledger, [claim.token])
            return lacks
        _finish(ledger, claim, "failed", _told(end))
    else:
        return agent_ended(ledger, claim.queue, agent.session, agent.name, end)
    return ""


def blocked(ledger: Ledger, claim: Claim, reason: str) -> None:
    """A command can't, or may not, do its item: a person has to look at it."""
    _finish(ledger, claim, "blocked", reason)


def _done(ledger: Ledger, claim: Claim, end: End, agent: PoolAgent, force: bool) -> str:
    """A command ended well: its item is done, if nothing speaks against that."""
    said = end.last.strip() or "the command ended with exit code 0 and printed nothing"
    wants_answer = claim.answer is not None
    report = {"output": end.output or ""} if wants_answer else {"summary": said}
    try:
        worker.finish(ledger, claim.token, "done", report, force=force, agent=agent)
    except CheckFailed as failed:
        # Another run of the same command may do better.
        _finish(ledger, claim, "failed", failed.cause)
    except Refused as refused:
        # No second run would mend that.
        blocked(ledger, claim, refused.cause)
    except NotOwner:
        # It has reported by itself, or the item is another's now.
        return ""
    except SetupError as error:
        worker.give_back(ledger, [claim.token])
        return str(error)
    except LedgerError:
        # It may be back in a moment, and says nothing of the item.
        raise
    except HypervisorError as error:
        # What it has left can't be committed.
        blocked(ledger, claim, str(error))
    return ""


def _unsure(ledger: Ledger, claim: Claim, paths: list[str]) -> None:
    """It, or one beside it, changed what steers the next run: nobody is charged, none is done."""
    try:
        ledger.ends.release(claim.token, free=True, reason=worker.off_limits.why(paths))
    except NotOwner:
        return
    worker.off_limits.look_after(ledger)


def _told(end: End) -> str:
    """Return why a command failed, with the last lines that it printed."""
    before, _, last = end.last.rpartition("\n")
    return f"{end.cause.removesuffix(f': {last[:200]}')}:\n{end.last}" if before else end.cause


def _finish(ledger: Ledger, claim: Claim, outcome: str, reason: str) -> None:
    try:
        worker.finish(ledger, claim.token, outcome, {"reason": reason})
    except NotOwner:
        return
