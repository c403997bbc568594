"""Events of a session: its start and end, its prompts, and the ends of its turns."""

from __future__ import annotations

import json
import re

from hypervisor import digest, live, outbox, reconcile
from hypervisor.agents import said
from hypervisor.hooks import Event, agents, context
from hypervisor.system.reading import NotReadable, read_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from hypervisor.ledger import Ledger

# So much of a transcript's end is looked at.
_TAIL = 4 << 20
# A cleared or resumed session goes on with its workers.
_GOES_ON = ("clear", "resume", "compact")
_GOES_ON_WITH = re.compile(r"\s*/hypervisor:resume(?:\s+(\S+))?")
_DESCRIBED = re.compile(r'^Agent ".*?" ')
_TAG = re.compile(r"<(task-id|status|summary)>(.*?)</\1>", re.DOTALL)


def started(ledger: Ledger, event: Event) -> dict[str, Any] | None:
    """A session began: free what killed sessions held, and tell of the queues that are open."""
    reconcile.gone_sessions(ledger)
    if event.text("source") == "clear":
        agents.meet(ledger, event)
        ledger.inherit(event.session)
    outbox.flush(ledger)
    text = _left_open(ledger)
    if not text or event.text("source") == "compact":
        return None
    return context("SessionStart", text)


def _left_open(ledger: Ledger) -> str | None:
    """Return a line on the queues that have something left, or None."""
    lines = []
    for queue in ledger.queues():
        counts = ledger.counts(queue["no"])
        left = counts["ready"] + counts["claimed"]
        if queue["state"] in ("open", "paused") and left and queue["purpose"] == "work":
            lines.append(f"queue {queue['name']}: {left} of {sum(counts.values())} items left")
    if not lines:
        return None
    return f"hypervisor: {'; '.join(lines[:10])}. To go on: /hypervisor:resume QUEUE"


def prompted(ledger: Ledger, event: Event) -> dict[str, Any] | None:
    """A prompt or a notice came: whatever it is, it carries the news."""
    prompt = event.text("prompt")
    by = "prompt"
    if prompt.startswith("<task-notification"):
        by = "monitor" if "<event>" in prompt else "notice"
        _noticed(ledger, event, prompt)
    elif said.is_typed(prompt):
        _user_said(ledger, event, prompt)
    _settle_agents(ledger, event)
    outbox.flush(ledger)
    text = digest.take(ledger, event.session, by=by)
    if event.from_gemini and ledger.session(event.session) is None:
        # This client has no room for it at the session's start.
        agents.meet(ledger, event)
        text = "\n".join(filter(None, (_left_open(ledger), text)))
    live.settle(ledger)
    return context("UserPromptSubmit", text) if text else None


def _user_said(ledger: Ledger, event: Event, prompt: str) -> None:
    """Whatever the user says answers what was asked, but for a command; the one that goes on with a
    queue is a yes by itself."""
    if goes_on := _GOES_ON_WITH.match(prompt):
        agents.meet(ledger, event)
        ledger.note_goes_on(event.session, goes_on[1] or "*")
    elif not prompt.lstrip().startswith("/"):
        ledger.note_answer(event.session)


def turn_ended(ledger: Ledger, event: Event) -> dict[str, Any] | None:
    """The session's turn ended: look at who still runs, and tell what has come to rest."""
    tasks = event.payload.get("background_tasks")
    running = None
    read_notices(ledger, event)
    if isinstance(tasks, list):
        running = {
            str(task.get("id"))
            for task in tasks
            if isinstance(task, dict) and task.get("type") == "subagent"
        }
        reconcile.missing(ledger, event.session, running)
    _settle_agents(ledger, event)
    outbox.flush(ledger)
    outputs_pruned(ledger)
    if event.payload.get("stop_hook_active"):
        return None
    workers = None if running is None else len(running)
    if workers:
        digest.expect(ledger, event.session, None, work=True)
    if headless(ledger, event.session):
        # The client leaves with this turn, or soon after: the turn is where it must hear the rest.
        text = _wait_instead(ledger, event.session, workers)
        if text:
            return context("Stop", text)
    text = digest.take(ledger, event.session, by="stop", workers=workers, at_rest=True)
    live.settle(ledger)
    return context("Stop", text) if text else None


def ended(ledger: Ledger, event: Event) -> None:
    """The session is over: what its workers held is free for the next one."""
    if event.text("reason") in _GOES_ON:
        return
    read_notices(ledger, event)
    _settle_agents(ledger, event)
    reconcile.session_ended(ledger, event.session)
    ledger.state.folder.remove(live.watch_lock(event.session))
    outbox.flush(ledger)
    live.settle(ledger)


def outputs_pruned(ledger: Ledger) -> None:
    """Prune the kept transcripts to the limits of the project."""
    from hypervisor import outputs
    from hypervisor.config.settings import load

    limits = load(ledger.root).limits
    outputs.prune(ledger, seconds=limits.outputs_seconds, size=limits.outputs_bytes)


def headless(ledger: Ledger, session: str) -> bool:
    """True if the session is known to run without a person (`claude -p`)."""
    known = ledger.session(session)
    return bool(known is not None and known["headless"])


def _wait_instead(ledger: Ledger, session: str, workers: int | None) -> str | None:
    for queue in ledger.followed(session):
        counts = ledger.counts(queue["no"])
        if queue["state"] == "open" and (counts["claimed"] or (workers and counts["ready"])):
            return (
                f"hypervisor: queue {queue['name']} is at work and this run ends with your turn. "
                f"Wait for it in the foreground, again and again until it is at rest: "
                f"hypervisor wait {queue['name']}"
            )
    return None


def read_notices(ledger: Ledger, event: Event) -> None:
    """Take from the session's transcript the notices for which no hook was called.

    A notice that joins a turn in its middle may reach the model without any event.
    """
    if not ledger.unnoticed_agents(event.session):
        return
    try:
        raw = read_end(event.text("transcript_path"), _TAIL)
    except (OSError, NotReadable):
        return
    rows = raw.decode("utf-8", "replace").splitlines()
    for text in rows:
        if "<task-notification>" not in text:
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if not isinstance(row, dict):
            continue
        attached = row.get("attachment")
        told = attached.get("prompt") if isinstance(attached, dict) else row.get("content")
        if isinstance(told, str) and row.get("type") in ("attachment", "queue-operation"):
            _noticed(ledger, event, told, delivered=row["type"] == "attachment")


def _noticed(ledger: Ledger, event: Event, prompt: str, *, delivered: bool = True) -> None:
    """The client tells of ended agents: note that it did, and end what they still hold."""
    told = _TAG.findall(prompt)
    status = next((text for name, text in told if name == "status"), "")
    words = next((text for name, text in told if name == "summary"), "")
    for name, agent in told:
        if name != "task-id":
            continue
        path = agents.transcript_of(event, agent)
        how = words if status else None
        by = "notice" if delivered else None
        if not ledger.note_agent(agent, event.session, transcript=path, how=how, noticed_by=by):
            continue
        if status == "killed" and "by user" in words:
            reconcile.freed(ledger, event.session, agent, "a person stopped the worker")
        elif status == "failed" and reconcile.is_rate_limit(_DESCRIBED.sub("", words)):
            reconcile.rate_limited(ledger, event.session, agent, words)
        elif status:
            reconcile.died(ledger, event.session, agent, words)


def _settle_agents(ledger: Ledger, event: Event) -> None:
    for agent in ledger.unsettled_agents(event.session):
        reconcile.collect(ledger, agent)
