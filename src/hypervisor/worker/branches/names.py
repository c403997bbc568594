"""The names of branches: `hypervisor/<id>/<token>`."""

from __future__ import annotations

from hypervisor.system.keys import key

PREFIX = "hypervisor"


def branch_name(item_id: str, token: str) -> str:
    """Return the branch of a claim. What git allows in no name is percent-encoded."""
    name = key(item_id).replace("~", "%7E").replace("..", ".%2E")
    if name.endswith((".", ".lock")):
        head, _, tail = name.rpartition(".")
        name = f"{head}%2E{tail}"
    return f"{PREFIX}/{name}/{token}"


def token_of(branch: str) -> str | None:
    """Return the token in a branch's name, or None for a branch that is none of ours."""
    words = branch.split("/")
    return words[2] if len(words) == 3 and words[0] == PREFIX else None
