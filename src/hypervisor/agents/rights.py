"""Who may run which verb, by the table in `verbs`."""

from __future__ import annotations

import os

from hypervisor.agents.verbs import (
    ASK,
    COMMAND,
    LATER,
    LOOK,
    LOOKS,
    MORE,
    OWN,
    PERSON,
    VERBS,
    WORKER,
    WORKER_VERBS,
)
from hypervisor.config import caller
from hypervisor.system import clients
from hypervisor.system.late import late

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hypervisor.agents.shell_calls import Call

# The client's own tools for files; those that change one, and those that only read.
CHANGING_TOOLS = frozenset(("Edit", "Write"))
READING_TOOLS = frozenset(("Read", "Glob", "Grep"))
# What makes a person, or somebody else, of the agent that calls: its client's variables are set or
# unset, or those that name the user's own folders.
_TELLING = "|".join((
    *caller.OF_POOLS, *clients.AGENT_AROUND, "HYPERVISOR_HOME", "HYPERVISOR_STATE",
    "HYPERVISOR_STORE", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "HOME",
))  # fmt: skip
_DISGUISES = late(
    rf"\b(?:{_TELLING})\+?=|(?:-u *|unset[= ][^;&|\n]{{0,200}})\b(?:{_TELLING})\b"
    r"|\benv +(?:\S{1,200} +){0,20}?(?:-\w*i\w*|-|--ignore-environment) |\bexec +-\w*c"
)
_QUOTES = late(r"[\\'\"]")
# What stands in the files that these name is shown to whoever calls. The user is not asked again
# about one that was named in the session's own prompts.
_READS = frozenset(("open", "preflight"))
# A pool's client starts these itself.
_OF_CLIENTS = frozenset(("serve",))


class Verdict:
    """What becomes of a command line: `decision` is "ask" or "deny", and `reason` tells why."""

    __slots__ = ("decision", "reason")

    def __init__(self, decision: str, reason: str) -> None:
        self.decision = decision
        self.reason = reason


def rule(verb: str) -> str:
    """Return Claude Code's permission rule for a verb."""
    return f"Bash(hypervisor {verb}:*)"


def rules(verbs: Iterable[str]) -> list[str]:
    """Return Claude Code's permission rules for `verbs`."""
    return [rule(verb) for verb in verbs]


def judge(
    line: str,
    *,
    worker: bool,
    root: str,
    cwd: str,
    planning: bool = False,
    typed: Callable[[str], bool] = lambda path: False,
) -> Verdict | None:
    """Return what a client is to do with a shell's command line, None where it decides itself.

    `worker` says that an agent runs it, not the session; `root` and `cwd` are where it runs;
    `planning` that the user has asked for a plan only; `typed` tells whether the user has named a
    path in this session.
    """
    from hypervisor.agents.shell_calls import calls, only_calls

    verdict, found = None, calls(line, VERBS)
    for call in found:
        told = _judge(call, worker, root, cwd, planning, typed)
        if told is not None and told.decision == "deny":
            return told
        verdict = verdict or told
    acting = any(VERBS.get(call.verb) != LOOK or _more(call.verb, call.words) for call in found)
    if acting and only_calls(line) is None and _DISGUISES.search(_QUOTES.sub("", line)):
        reason = "hypervisor: the line changes what tells who calls, or whose configuration counts"
        return Verdict("deny" if worker else "ask", reason)
    return verdict


def granted(line: str, *, worker: bool, root: str, cwd: str) -> list[Call] | None:
    """Return the calls of a command line that does nothing but what its caller may do at any time:
    a worker its own verbs, either of them those that look, a session those that a batch needs
    behind the turn in which it began. None for any other line.

    Whose claims and queues they name is for the caller to compare.
    """
    from hypervisor.agents.shell_calls import only_calls

    calls = only_calls(line)
    if calls is None:
        return None
    verbs = WORKER_VERBS if worker else LATER
    for call in calls:
        if call.verb not in (*verbs, *LOOKS) or _more(call.verb, call.words):
            return None
        if call.verb == "preflight" and _leaves(call, root, cwd):
            return None
    return calls


def refused(verb: str, words: Iterable[str], around: str) -> str | None:
    """Return why the program refuses a verb with these words, None where it carries it out.

    `around` is "pool" in a pool's agent and "session" in a client's session. Most of what a session
    may not do it is not granted, or the client asks the user: the program can't know the answer.
    """
    kind = VERBS.get(verb, LOOK)
    if kind == PERSON and around:
        return f"hypervisor {verb} is for a person, in a terminal of their own"
    if around != "pool" or verb in _OF_CLIENTS or kind == OWN:
        return None
    if kind in (WORKER, LOOK) and not _more(verb, words):
        return None
    return f"hypervisor {verb} is not for a worker"


def _judge(
    call: Call, worker: bool, root: str, cwd: str, planning: bool, typed: Callable[[str], bool]
) -> Verdict | None:
    verb, kind = call.verb, VERBS.get(call.verb, LOOK)
    more = verb in MORE and (not call.known or _more(verb, call.words))
    if verb == "results" and not worker and not planning and call.known:
        # The session's own file, as its tools write them; the program looks where it leads.
        more = _leaves(call, root, cwd)
    if not verb:
        if worker:
            return Verdict("deny", "hypervisor: write its commands plainly, as they were printed")
        return Verdict("ask", "hypervisor: it can't be read which command this is")
    if kind == OWN:
        return Verdict("deny", f"hypervisor {verb} is for our own processes only")
    if worker and (kind not in (WORKER, LOOK) or more):
        return Verdict(
            "deny", f"hypervisor {verb} is not for a worker: end the item with the printed commands"
        )
    if kind == PERSON:
        return Verdict("deny", f"hypervisor {verb} is for the user, in a terminal of their own")
    if planning and (kind != LOOK or more) and not (verb == "plan" and not call.words[1:]):
        return Verdict("deny", f"plan mode: hypervisor {verb} would change something")
    # The program itself looks for the user's own click on a verdict.
    if kind == ASK or (more and verb != "review"):
        return Verdict("ask", f"hypervisor {verb} is for the user to decide")
    if kind == COMMAND and (not call.known or _leaves(call, root, cwd)):
        return Verdict("ask", f"hypervisor {verb} names something outside of {root}")
    if verb in _READS and not all(map(typed, outsiders(call, root, cwd))):
        return Verdict("deny" if worker else "ask", f"hypervisor {verb} reads outside of {root}")
    return None


def _more(verb: str, words: Iterable[str]) -> bool:
    """True if an option makes more of a verb than what is granted."""
    options = MORE.get(verb, ())
    return any(word.partition("=")[0] in options for word in words)


def _leaves(call: Call, root: str, cwd: str) -> bool:
    return call.verb != "cancel" and bool(outsiders(call, root, cwd))


def outsiders(call: Call, root: str, cwd: str) -> list[str]:
    """Return the paths outside of `root` that a call names."""
    return [path for path in map(_path, call.words) if _outside(path, root, cwd)]


def _path(word: str) -> str:
    """Return the path that a word names, if it names one."""
    named = word.partition("=")[2] if word.startswith("--") and "=" in word else word
    return named.removeprefix("@")


def _outside(named: str, root: str, cwd: str) -> bool:
    """True for a path that leads outside of `root`."""
    if named.startswith("~") or "{" in named:
        return True
    place = os.path.realpath(os.path.join(cwd, named))
    top = os.path.realpath(root)
    return place != top and not place.startswith(top.rstrip("/") + "/")
