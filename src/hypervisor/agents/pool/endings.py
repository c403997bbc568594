"""What the end of an agent means for the items in its hands, and for the queue."""

from __future__ import annotations

from dataclasses import replace

from hypervisor import worker
from hypervisor.agents import reconcile
from hypervisor.agents.clients import End
from hypervisor.ledger import Claim, Ledger
from hypervisor.system.errors import HypervisorError, NotOwner, SetupError
from hypervisor.system.redact import Redactor
from hypervisor.system.text import one_line
from hypervisor.worker import Refused, outbox

_SUMMARY = 4000


def settle(ledger: Ledger, queue: str, session: str, agent: str, end: End) -> None:
    """Deal with what an agent still holds, now that its process is gone."""
    if end.how == "finished":
        reconcile.stopped(ledger, session, agent, last_message=end.last, again=True)
    elif end.how == "rate_limited":
        limited(ledger, queue, session, agent, end)
    elif end.how in ("refused", "stopped"):
        reconcile.freed(ledger, session, agent, one_line(end.cause, 200))
    else:
        reconcile.died(ledger, session, agent, one_line(end.cause, 200))
    worker.off_limits.settle(ledger)
    outbox.flush(ledger)


def limited(ledger: Ledger, queue: str, session: str, agent: str, end: End) -> None:
    """The service refuses work for now: free the agent's items, and pause the queue until the
    service wants to be asked again, if it says when."""
    reconcile.freed(ledger, session, agent, "rate limit")
    if end.limit is not None:
        reconcile.pause_for(ledger, queue, replace(end.limit, text=end.cause or end.limit.text))


def command_done(ledger: Ledger, claim: Claim, end: End, redactor: Redactor, *, force: bool) -> str:
    """A command ended well: its item is done, if nothing speaks against that.

    Returns "", or what this machine lacks: the item is free then, at no cost.
    """
    said = redactor.text(end.last)[-_SUMMARY:].strip()
    report = {"summary": said or "the command ended with exit code 0 and printed nothing"}
    try:
        worker.done(ledger, claim.token, report, force=force)
    except Refused as refused:
        # No second run of the same command would mend that.
        _finish(ledger, claim, "blocked", f"{refused.message}", redactor)
    except NotOwner:
        # It has reported by itself, or the item is another's now.
        return ""
    except SetupError as error:
        worker.give_back(ledger, [claim.token])
        return str(error)
    except HypervisorError as error:
        # What it has left can't be committed.
        _finish(ledger, claim, "blocked", str(error), redactor)
    return ""


def command_failed(ledger: Ledger, claim: Claim, cause: str, redactor: Redactor) -> None:
    """A command, or the check of its work, failed: that is an attempt."""
    _finish(ledger, claim, "failed", cause, redactor)


def command_blocked(ledger: Ledger, claim: Claim, cause: str, redactor: Redactor) -> None:
    """A command did what no command may do."""
    _finish(ledger, claim, "blocked", cause, redactor)


def command_unsure(ledger: Ledger, claim: Claim, paths: list[str]) -> None:
    """It, or one beside it, changed what steers the next run: nobody is charged, none is done."""
    try:
        ledger.ends.release(claim.token, free=True, reason=worker.off_limits.why(paths))
    except NotOwner:
        return
    worker.off_limits.settle(ledger)


def told(end: End) -> str:
    """Return why a command failed, with the last lines that it printed."""
    return f"{end.cause}\n{end.last}" if "\n" in end.last else end.cause


def _finish(ledger: Ledger, claim: Claim, outcome: str, reason: str, redactor: Redactor) -> None:
    try:
        worker.finish(ledger, claim.token, outcome, {"reason": redactor.text(reason)[:_SUMMARY]})
    except NotOwner:
        return
