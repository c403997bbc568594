"""What a client's hooks allow without a dialog: bound to a session, an agent, its claims and the
files under its root. `rights` says which verbs; here is compared whose.

A grant of the client's own ends with the turn that gave it, while workers go on. This one lasts as
long as the work does, and each use of it is noted in the queue's log.
"""

from __future__ import annotations

import os

from hypervisor.agents import rights, verbs
from hypervisor.system import protected
from hypervisor.system.late import late
from hypervisor.system.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from hypervisor.agents.shell_calls import Call
    from hypervisor.ledger import Ledger

# The agents of this plugin, by the client's name for them.
OURS = "hypervisor:"
_TOLD = 200
# Of a pattern that may match outside of the folder that it is for.
_LEADS_OUT = late(r"(?:^|[{,(|\s])[/~]|\.\.")


class Grant:
    """What is allowed: the `queues` (numbers) that it is noted with, and `what` in a few words."""

    __slots__ = ("queues", "what")

    def __init__(self, queues: set[int], what: str) -> None:
        self.queues = queues
        self.what = what


def for_call(
    ledger: Ledger,
    *,
    session: str,
    agent: str,
    kind: str,
    tool: str,
    asked: Mapping[str, object],
    cwd: str,
) -> Grant | None:
    """Return what a call of `tool` with the input `asked` may do by itself, None where the client
    has to decide. `agent` is "" for the session itself, `kind` the type of the agent."""
    if agent and not kind.startswith(OURS):
        return None
    followed = {row.name: row.no for row in ledger.followers.followed(session)}
    if not followed:
        return None
    if tool == "Bash":
        line = asked.get("command")
        if not isinstance(line, str):
            return None
        calls = rights.granted(line, worker=bool(agent), root=ledger.root, cwd=cwd)
        return _verbs(ledger, session, agent, followed, calls) if calls else None
    if agent and tool in rights.CHANGING_TOOLS | rights.READING_TOOLS:
        return _file(ledger, session, agent, tool, asked, cwd)
    return None


def _verbs(
    ledger: Ledger, session: str, agent: str, followed: dict[str, int], calls: list[Call]
) -> Grant | None:
    held = ledger.sessions.claims_of(session, agent) if agent else {}
    queues: set[int] = set()
    for call in calls:
        kind = verbs.VERBS[call.verb]
        if kind == verbs.LOOK:
            # It shows what is known here, and changes nothing.
            queues.update(followed[word] for word in call.words if word in followed)
        elif call.verb in ("next", "plan", "integrate"):
            queue = _named(call)
            if queue not in followed:
                return None
            queues.add(followed[queue])
        else:
            tokens = call.words if call.verb == "heartbeat" else call.words[:1]
            if not tokens or not held.keys() >= set(tokens):
                return None
            queues.update(held[token] for token in tokens)
    told = "; ".join(f"{call.verb} {_named(call)}".rstrip() for call in calls)
    # A question without a queue is noted with the newest that the session follows.
    return Grant(queues or {max(followed.values())}, one_line(told, _TOLD))


def _named(call: Call) -> str:
    """Return the queue, or whatever a call names first; "" where that may be an option's value."""
    words = call.words
    if words and not words[0].startswith("-"):
        return words[0]
    pairs = zip(("", *words), words, strict=False)
    names = [word for last, word in pairs if word[:1] != "-" and last != "-n"]
    return names[0] if len(names) == 1 else ""


def _file(
    ledger: Ledger, session: str, agent: str, tool: str, asked: Mapping[str, object], cwd: str
) -> Grant | None:
    held = ledger.sessions.heard(session, agent)
    if not held:
        return None
    trees = [os.path.join(ledger.root, row.worktree) for row in held if row.worktree]
    named = asked.get("path", "") if tool in ("Glob", "Grep") else asked.get("file_path")
    if not isinstance(named, str) or (not named and tool not in ("Glob", "Grep")):
        return None
    pattern = asked.get("pattern") if tool == "Glob" else ""
    if not isinstance(pattern, str) or _LEADS_OUT.search(pattern):
        return None
    # The client takes blanks off, and knows the home folder by its sign.
    if named.startswith("~") or named.strip().strip("\ufeff") != named:
        return None
    # Who has a tree of its own changes nothing beside it.
    tops = trees if trees and tool in rights.CHANGING_TOOLS else [*trees, ledger.root]
    path = os.path.join(cwd, named)
    if not _within(path, tops, ledger.root):
        return None
    shown = os.path.relpath(os.path.realpath(path), os.path.realpath(ledger.root))
    return Grant({row.queue for row in held}, one_line(f"{tool} {shown}", _TOLD))


def _within(path: str, tops: list[str], root: str) -> bool:
    """True for what lies below one of `tops`, links resolved, and steers nothing there, neither by
    the name that was given nor by that of what it leads to."""
    given, led = os.path.normpath(path), os.path.realpath(path)
    for top in tops:
        real = os.path.realpath(top)
        inside = _below(led, real)
        if inside is None:
            continue
        named = _below(given, os.path.normpath(top))
        names = [name for name in (inside, named) if name]
        if top == root and any(_is_tree(name) for name in names):
            return False
        return not any(protected.steers(name) for name in names)
    return False


def _below(path: str, top: str) -> str | None:
    """Return `path` from `top`, "" for that itself, None for what lies elsewhere."""
    if path == top:
        return ""
    above = top.rstrip("/") + "/"
    return path[len(above) :] if path.startswith(above) else None


def _is_tree(name: str) -> bool:
    """True for the checkouts that are other workers' own."""
    folded = name.casefold()
    return folded == protected.TREES or folded.startswith(f"{protected.TREES}/")
