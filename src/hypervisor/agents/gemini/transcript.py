"""Tokens out of a Gemini CLI transcript, per item.

One response stands in it once or several times under one id. The client tells thinking apart from
output; the service bills both as output.
"""

from __future__ import annotations

from hypervisor.agents.usage import Usage, add
from hypervisor.system.late import late
from hypervisor.system.reading import at, json_rows, json_value, objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from hypervisor.ledger.usage import Tokens

_CLAIM, _ENDS = "claim_next_task", ("complete_task", "block_task", "release_task")
_TASK_ID = late(r'"task"\s*:\s*\{\s*"id"\s*:\s*("(?:[^"\\]|\\.)*")')


def sum_up(rows: Iterable[str]) -> Usage:
    """Return the usage told by the JSON lines of a worker's transcript, which never tell a claim:
    an item that was claimed twice stands twice. A torn last line is passed over.

    What is used between a claim and the call that ends the item, with that call, is the item's.
    """
    usage = Usage()
    messages: dict[str, tuple[Tokens, str, list[dict[str, object]]]] = {}
    for row in json_rows(rows):
        if row is None:
            usage.known = False
        if not isinstance(row, dict) or row.get("type") != "gemini":
            continue
        told = figures(row.get("tokens"))
        name = row.get("id")
        if told is None or not isinstance(name, str):
            usage.known = False
            continue
        messages[name] = told, str(row.get("model") or ""), objects(row.get("toolCalls"))
    items = usage.by_id
    current = False
    for used, model, calls in messages.values():
        usage.total = add(usage.total, used)
        usage.requests.append((len(items) - 1 if current else None, model, used, 0))
        if current:
            items[-1] = items[-1][0], add(items[-1][1], used)
        for call in calls:
            tool = str(call.get("name", "")).rpartition("task_manager_")[2]
            if tool in _ENDS and call.get("status") == "success":
                current = False
            elif tool == _CLAIM:
                claimed = _TASK_ID.search(_text(call.get("result")))
                try:
                    item = json_value(claimed[1]) if claimed else None
                except ValueError:
                    item = None
                if isinstance(item, str):
                    items.append((item, (0, 0, 0, 0)))
                    current = True
    usage.complete = usage.known
    return usage


def figures(told: object, given: str = "input", all_of_it: str = "total") -> Tokens | None:
    """Return the tokens that the client tells, None for an unknown shape; the last two are its
    names for those of the prompt and for their sum."""
    kinds = [at(told, kind) for kind in (given, "cached", all_of_it)]
    if not all(isinstance(figure, int) for figure in kinds):
        return None
    prompt, cached, total = (int(str(figure)) for figure in kinds)
    return prompt - cached, total - prompt, cached, 0


def _text(result: object) -> str:
    """Return all texts of a tool's result, however deep they are wrapped."""
    found: list[str] = []
    rest = [result]
    while rest:
        one = rest.pop()
        if isinstance(one, str):
            found.append(one)
        elif isinstance(one, dict):
            rest += reversed(one.values())
        elif isinstance(one, list):
            rest += reversed(one)
    return "\n".join(found)
