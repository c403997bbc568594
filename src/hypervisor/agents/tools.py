"""What a worker may call that was given tools of MCP servers.

Its agent has no list of tools, since nobody knows beforehand what a user's servers are called. So
all that it calls is looked at here: its queue's tools are allowed, what other workers have is left
to the client, and nothing else is let through.
"""

from __future__ import annotations

from hypervisor.agents import rights, verbs
from hypervisor.config import tools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

AGENT = "hypervisor:worker-tools"
# What other workers have too, and what such an agent needs to find a tool and to end.
COMMON = frozenset(
    ("Read", "Edit", "Write", "Glob", "Grep", "ToolSearch", "TodoWrite", "SubagentHandback")
)
_VERBS = frozenset(verbs.WORKER_VERBS)


def judge(tool: str, line: str, grants: Iterable[str]) -> rights.Verdict | None:
    """Return what becomes of a call of `tool` ("allow" or "deny"), None where the client decides.

    `line` is the command line of a shell's call; `grants` are the tools of the queues whose items
    the agent holds.
    """
    if tool in COMMON:
        return None
    if tool == "Bash":
        if _is_ours(line):
            return None
        return rights.Verdict(
            "deny", "this worker's shell is for the printed hypervisor commands, one at a time"
        )
    if tools.allows(grants, tool):
        return rights.Verdict("allow", "the user gave it to the workers of this queue")
    if tool.startswith(tools.PREFIX):
        told = ", ".join(grants) or "none, until it holds an item (hypervisor next QUEUE)"
        return rights.Verdict("deny", f"not one of this worker's tools: {told}")
    return rights.Verdict("deny", f"{tool} is not for workers; block the item if it needs that")


def _is_ours(line: str) -> bool:
    """True for one call of a worker's verb and nothing else."""
    from hypervisor.agents.shell_calls import only_calls

    calls = only_calls(line) or []
    return [call.verb in _VERBS for call in calls] == [True]
