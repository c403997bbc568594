"""Events of a session: its start and end, its prompts, and the ends of its turns."""

from __future__ import annotations

import time

from hypervisor.agents import reconcile, use
from hypervisor.agents.hooks import Event, context, meet
from hypervisor.ledger import markers
from hypervisor.system.late import late
from hypervisor.system.reading import objects
from hypervisor.system.spans import until
from hypervisor.system.text import count
from hypervisor.views import news

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.agents.notice import Notice
    from hypervisor.ledger import Ledger

# Its time is when outputs were last pruned.
_PRUNED, _PRUNE_SECONDS = "pruned", 3600
# A cleared or resumed session goes on with its workers.
_GOES_ON = ("clear", "resume", "compact")
_GOES_ON_WITH = late(r"/hypervisor:resume(?:\s+(\S+))?")


def started(ledger: Ledger, event: Event) -> dict[str, object] | None:
    """A session began: free what killed sessions held, and tell of the queues that are open."""
    reconcile.settle(ledger)
    ledger.pauses.reopen()
    if event.text("source") == "clear":
        meet(ledger, event)
        ledger.sessions.inherit(event.session)
    if event.text("source") == "compact":
        return None
    text = "\n".join(filter(None, (_left_open(ledger), event.client.started())))
    return context("SessionStart", text) if text else None


def _left_open(ledger: Ledger) -> str | None:
    """Return a line on the queues that have something left, or None."""
    lines = []
    for queue in ledger.queues.all():
        counts = ledger.queues.counts(queue.no)
        left = counts["ready"] + counts["claimed"]
        if queue.state in ("open", "paused") and left and queue.purpose == "work":
            line = f"queue {queue.name}: {left} of {count(sum(counts.values()), 'item')} left"
            if queue.state == "paused" and queue.resume_at is not None:
                line += f", paused until {until(queue.resume_at)}"
            lines.append(line)
    if not lines:
        return None
    return f"hypervisor: {'; '.join(lines[:10])}. To go on: /hypervisor:resume QUEUE"


def prompted(ledger: Ledger, event: Event) -> dict[str, object] | None:
    """A prompt or a notice came: whatever it is, it carries the news."""
    prompt = event.text("prompt")
    by = "prompt"
    if event.client.all_stopped(prompt):
        reconcile.missing(ledger, event.session, None)
    if (notice := event.client.notice(prompt)) is not None:
        by = "monitor" if notice.event else "notice"
        _noticed(ledger, event, notice)
    elif event.client.is_typed(prompt):
        _user_said(ledger, event, prompt)
    _settle_agents(ledger, event)
    reconcile.settle(ledger)
    text = news.take(ledger, event.session, by=by)
    if not event.client.hears_at_start and ledger.sessions.find(event.session) is None:
        meet(ledger, event)
        text = "\n".join(filter(None, (_left_open(ledger), text)))
    markers.clear(ledger)
    return context("UserPromptSubmit", text) if text else None


def _user_said(ledger: Ledger, event: Event, prompt: str) -> None:
    """Whatever the user says answers what was asked, but for a command; the one that goes on with a
    queue is a yes by itself."""
    typed = prompt.lstrip()
    if typed.startswith("/") and (goes_on := _GOES_ON_WITH.match(typed)):
        meet(ledger, event)
        ledger.sessions.note_goes_on(event.session, goes_on[1] or "*")
    elif not typed.startswith("/"):
        ledger.followers.note_answer(event.session)


def turn_ended(ledger: Ledger, event: Event) -> dict[str, object] | None:
    """The session's turn ended: look at who still runs, and tell what has come to rest."""
    tasks = event.payload.get("background_tasks")
    running = None
    read_notices(ledger, event)
    if isinstance(tasks, list):
        running = {str(task.get("id")) for task in objects(tasks) if task.get("type") == "subagent"}
        reconcile.missing(ledger, event.session, running)
    _settle_agents(ledger, event)
    reconcile.settle(ledger)
    outputs_pruned(ledger)
    if event.payload.get("stop_hook_active"):
        return None
    workers = None if running is None else len(running)
    if workers:
        news.expect(ledger, event.session, None, work=True)
    if headless(ledger, event.session):
        # The client leaves with this turn, or soon after: the turn is where it must hear the rest.
        text = _wait_instead(ledger, event.session, workers)
        if text:
            return context("Stop", text)
    text = news.take(ledger, event.session, by="stop", workers=workers, at_rest=True)
    markers.clear(ledger)
    return context("Stop", text) if text else None


def ended(ledger: Ledger, event: Event) -> None:
    """The session is over: what its workers held is free for the next one."""
    if event.text("reason") in _GOES_ON:
        return
    read_notices(ledger, event)
    _settle_agents(ledger, event)
    reconcile.session_ended(ledger, event.session)
    ledger.state.folder.remove(markers.watch_lock(event.session))
    reconcile.settle(ledger)
    markers.clear(ledger)


def outputs_pruned(ledger: Ledger) -> None:
    """Prune the kept transcripts to the limits of the project, if that is an hour ago: reading the
    settings takes longer than all else that the end of a turn does."""
    last = ledger.state.folder.look(_PRUNED)
    if last is not None and 0 <= time.time() - last.st_mtime < _PRUNE_SECONDS:
        return
    from hypervisor.agents import retention
    from hypervisor.config.settings import load

    ledger.state.folder.write(_PRUNED, b"")
    limits = load(ledger.root).limits
    seconds, size = limits.outputs_seconds, limits.outputs_bytes
    retention.remove(ledger.state, retention.stale(ledger, seconds=seconds, size=size))


def headless(ledger: Ledger, session: str) -> bool:
    """True if the session is known to run without a person (`claude -p`)."""
    known = ledger.sessions.find(session)
    return bool(known is not None and known.headless)


def _wait_instead(ledger: Ledger, session: str, workers: int | None) -> str | None:
    for queue in ledger.followers.followed(session):
        counts = ledger.queues.counts(queue.no)
        if queue.state == "open" and (counts["claimed"] or (workers and counts["ready"])):
            return (
                f"hypervisor: queue {queue.name} is at work and this run ends with your turn. "
                f"Wait for it in the foreground, again and again until it is at rest: "
                f"hypervisor wait {queue.name}"
            )
    return None


def read_notices(ledger: Ledger, event: Event) -> None:
    """Take from the session's transcript the notices for which no hook was called.

    A notice that joins a turn in its middle may reach the model without any event.
    """
    if not ledger.agents.unnoticed(event.session):
        return
    for notice in event.client.notices(event.text("transcript_path")):
        _noticed(ledger, event, notice)


def _noticed(ledger: Ledger, event: Event, notice: Notice) -> None:
    """The client tells of ended agents: note that it did, and end what they still hold."""
    for agent in notice.agents:
        path = event.transcript_of(agent)
        how = notice.words if notice.how and notice.how != "killed" else None
        by = "notice" if notice.delivered else None
        if not ledger.agents.note(agent, event.session, transcript=path, how=how, noticed_by=by):
            continue
        if notice.how == "killed":
            # By the user, or by the session because of what the user said.
            reconcile.person_stopped(ledger, event.session, agent, transcript=path)
        elif notice.how == "failed":
            reconcile.failed(ledger, event.session, agent, notice.cause, code="", transcript=path)
        elif notice.how:
            reconcile.died(ledger, event.session, agent, notice.words)


def _settle_agents(ledger: Ledger, event: Event) -> None:
    for agent in ledger.agents.unsettled(event.session):
        use.collect(ledger, agent)
