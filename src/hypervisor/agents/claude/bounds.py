"""What a `claude -p` worker may use: a list of tools and rules, and everything else is denied."""

from __future__ import annotations

from hypervisor.agents import rights, verbs
from hypervisor.agents.client import Place
from hypervisor.system import protected

TOOLS = ("Bash", "Read", "Edit", "Write", "Glob", "Grep")
_READING = ("Read", "Glob", "Grep")


def allowed(place: Place) -> list[str]:
    """Return the rules for what a worker needs: our verbs for workers, what its queue grants, the
    project's files."""
    rules = rights.rules(verbs.WORKER_VERBS)
    rules += [f"Bash({command}:*)" for command in place.commands]
    # Where git does not hold an item's file, it stands at the root, outside of the tree.
    reading = dict.fromkeys(("./**", f"/{place.root}/**"))
    rules += [f"{tool}({where})" for tool in _READING for where in reading]
    return [*rules, "Edit(./**)"]


def denied() -> list[str]:
    """Return the rules that keep a worker from what steers the next run. A rule for Edit holds
    for every tool that writes files, and for redirections of commands."""
    rules = []
    for folder in protected.FOLDERS:
        rules += [f"Edit(./{folder}/**)", f"Edit(./**/{folder}/**)"]
    for name in protected.FILES:
        rules += [f"Edit(./{name})", f"Edit(./**/{name})"]
    return rules
