"""Tool calls that have ended: who holds what by them, and what they cost.

Most of them change nothing and never come here: `hooks/guard` lets them pass.
"""

from __future__ import annotations

import os

from hypervisor.agents import printed, use
from hypervisor.agents.hooks import Event, context, meet
from hypervisor.ledger import calls
from hypervisor.system import signs
from hypervisor.system.late import late
from hypervisor.system.reading import at
from hypervisor.system.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger import Ledger
    from hypervisor.ledger.rows import Held

# What of a tool's input tells most; so much of it is kept.
_TELLING = ("command", "file_path", "notebook_path", "pattern", "url", "query", "description")
_TOLD = 120
# So much of a call is searched for keys before it is cut.
_LOOKED_AT = 4000
# What `hypervisor open` prints.
_OPENED = late(
    r"(?m)^queue ([A-Za-z0-9_-][A-Za-z0-9_.-]*): [0-9]+ items? added"
    r'|^\{"queue": "([A-Za-z0-9_-][A-Za-z0-9_.-]*)", "generation"'
)
_HANDS_OUT = late(r"\bhypervisor[\"']? (?:next|done|pull)\b")
_NO = late(r"no\b")
_IN_NAMES = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
# In how many seconds a worker's call, and any other, is looked at again, leases apart.
WORKER_SECONDS, OTHERS_SECONDS = 15.0, 60.0


def tool_used(ledger: Ledger, event: Event) -> dict[str, object] | None:
    """A tool call ended: learn from it who holds what, and renew the worker's leases. One that
    takes too much for an item loses it, and is told."""
    earlier = calls.taken(ledger.state, event.agent or event.session)
    meet(ledger, event)
    if event.agent and earlier:
        ledger.sessions.add_calls(event.session, event.agent, earlier)
    _learn(ledger, event)
    note_unseen(ledger, event)
    ledger.sessions.renew(event.session, event.agent)
    words = _worked(ledger, event) if event.agent else None
    _rest(ledger, event)
    return context(event.name, words) if words else None


def _learn(ledger: Ledger, event: Event) -> None:
    tool = event.text("tool_name")
    if not event.agent and tool == "AskUserQuestion":
        _answered(ledger, event)
    if not event.agent and "hypervisor wait" in event.asked("command"):
        from hypervisor.agents.hooks import session

        # Turns that wait are long, and notices that come in their middle fire no hook everywhere.
        session.read_notices(ledger, event)
    if event.agent and event.name == "PostToolUse" and ledger.agents.lacks_permissions(event.agent):
        ledger.agents.permission_given(event.agent, call_of(event.payload))
    if not event.client.tells_session:
        _seen(ledger, event)
    elif tool == "Bash":
        tokens = printed.handed_out(_output(event))
        if tokens and not ledger.sessions.assign(event.session, event.agent, tokens):
            # A worker's own processes may still go by the name of a cleared session.
            ledger.sessions.inherit(event.session)
            ledger.sessions.assign(event.session, event.agent, tokens)
        if event.agent:
            join(ledger, event)
    elif tool == "Agent":
        _started(ledger, event)
    elif tool == "TaskStop":
        _task_stopped(ledger, event)
    elif event.asked("file_path"):
        from hypervisor.agents.hooks import edits

        edits.after(ledger, event)


def _worked(ledger: Ledger, event: Event) -> str | None:
    """Note what a worker does and what it has used; return what tells it that this was too much."""
    if ledger.agents.saw_tool(event.agent, _told(event)):
        use.note(ledger, event.agent)
    past = ledger.sessions.count_call(event.session, event.agent)
    if not past:
        return None
    from hypervisor.agents import reconcile
    from hypervisor.worker import off_limits

    words = reconcile.overrun(ledger, past)
    off_limits.look_after(ledger)
    return words


def _rest(ledger: Ledger, event: Event) -> None:
    """Have the guard let pass what changes nothing from now on."""
    state = ledger.state
    held: dict[str | None, list[Held]] = {}
    for row in ledger.sessions.held_by(event.session):
        held.setdefault(row.agent, []).append(row)
    ours = event.text("agent_type").startswith("hypervisor:")
    if event.agent and (ours or event.agent in held or calls.is_known(state, event.agent)):
        if ledger.agents.lacks_permissions(event.agent):
            # Each of its calls may be the one that it was given after all.
            calls.wake(state, event.agent)
        else:
            seconds, left = ledger.sessions.next_look(held.get(event.agent, ()))
            calls.rest(state, event.agent, _sooner(WORKER_SECONDS, seconds), left)
        return
    # Who holds nothing goes by its session; so nobody may hold anything without a folder.
    for agent in held:
        if agent and not calls.is_known(state, agent):
            calls.wake(state, agent)
    calls.taken(state, event.session)
    seconds, _ = ledger.sessions.next_look(held.get("", ()))
    calls.rest(state, event.session, _sooner(OTHERS_SECONDS, seconds), None)


def _sooner(one: float, other: float | None) -> float:
    return one if other is None else min(one, other)


def join(ledger: Ledger, event: Event) -> None:
    """Note for which queue a worker works: it may never be handed anything."""
    _, called, rest = event.asked("command").partition("hypervisor next ")
    if called:
        _join_named(ledger, event, event.agent, rest)


def _seen(ledger: Ledger, event: Event) -> None:
    """Learn from what a shell call printed what its session holds and follows: our verbs were not
    told which session that is."""
    if event.text("tool_name") != "Bash":
        return
    output = _output(event)
    if _HANDS_OUT.search(event.asked("command")):
        ledger.sessions.assign(event.session, "", printed.handed_out(output), unknown=True)
    for plain, quoted in _OPENED.findall(output):
        if any(queue.name == (plain or quoted) for queue in ledger.queues.all()):
            ledger.followers.follow(event.session, plain or quoted)


def _started(ledger: Ledger, event: Event) -> None:
    """The session has started a worker: note for which queue, from the prompt that it got."""
    agent = at(event.payload, "tool_response", "agentId")
    prompt = event.asked("prompt").lstrip()
    if isinstance(agent, str) and prompt.startswith("queue "):
        _join_named(ledger, event, agent, prompt.removeprefix("queue "))


def _join_named(ledger: Ledger, event: Event, agent: str, words: str) -> None:
    """Note that an agent works for the queue whose name `words` begin with."""
    end = next((at for at, char in enumerate(words) if char not in _IN_NAMES), len(words))
    name = words[:end].rstrip(".")
    for queue in ledger.followers.followed(event.session) if name else ():
        if queue.name == name:
            ledger.agents.join(agent, event.session, queue.no, event.transcript_of(agent))


def note_unseen(ledger: Ledger, event: Event) -> None:
    """Note what the client asks the service for this worker that no transcript tells."""
    mode = event.text("permission_mode")
    if event.agent and mode:
        use.note_unseen(ledger, event.agent, event.client.unseen(mode, os.environ))


def _answered(ledger: Ledger, event: Event) -> None:
    """The session has asked its user, who chose an answer: it is a verdict on a report; or all but
    a no let it go on."""
    from hypervisor.ledger.reviews import QUESTION

    answers = at(event.payload, "tool_response", "answers")
    chosen = answers.items() if isinstance(answers, dict) else ()
    told = {str(asked).replace("`", "").strip(): str(one) for asked, one in chosen}
    verdicts = [asked for asked in told if asked.startswith(QUESTION)]
    for asked in verdicts:
        ledger.reviews.clicked(event.session, asked, told.pop(asked))
    if verdicts and not told:
        # What is said of reports is no answer to what the work costs.
        return
    if not any(_NO.match(str(one).strip().lower()) for one in told.values()):
        ledger.followers.note_answer(event.session)


def _told(event: Event) -> str:
    """Return a tool call in a few words, for people who look at the worker."""
    words = (event.asked(key) for key in _TELLING)
    what = next((word for word in words if word), "")
    what = what[:_LOOKED_AT]
    if signs.may_hold_key(what, os.environ):
        from hypervisor.system.redact import Redactor

        what = Redactor().text(what)
    tool = one_line(event.text("tool_name"), 60)
    return f"{tool}: {one_line(what, _TOLD)}" if what else tool


def _task_stopped(ledger: Ledger, event: Event) -> None:
    """The session has ended a worker, of which no other event tells: a person has it do that."""
    agent = at(event.payload, "tool_response", "task_id")
    if isinstance(agent, str):
        from hypervisor.agents import reconcile

        path = event.transcript_of(agent)
        reconcile.person_stopped(ledger, event.session, agent, transcript=path)


def _output(event: Event) -> str:
    response = event.payload.get("tool_response")
    if isinstance(response, dict):
        return str(response.get("stdout") or "")
    return str(response or event.payload.get("error") or "")


def call_of(payload: dict[str, object]) -> str:
    """Return what tells this tool call from others of its worker."""
    import json

    return json.dumps([payload.get("tool_name"), payload.get("tool_input")], sort_keys=True)[:2000]
