"""What a project's settings may say against the user's: they make things stricter, and no more.

A project may come from anywhere, and its file is there before anybody has read it. So what raises
spending or reach counts in the user's own configuration only. A raise in the project's file is no
error: the user's value holds, and `open` says so.
"""

from __future__ import annotations

import os

from hypervisor.config.roots import is_outside, user_file
from hypervisor.system.quick_json import dumps
from hypervisor.system.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from hypervisor.config.defaults import Table

    Added = Literal["humans", "human_tags", "human_types", "human_complexities"]

# Lock folders that tools of all projects share, and that any project may name.
SHARED_LOCKS = ("/tmp/hypervisor/locks", "/tmp/batch/locks")
# Who is held for a person: a project adds to the user's words.
_ADDED: tuple[Added, ...] = ("humans", "human_tags", "human_types", "human_complexities")


def narrowed(
    base: Table,
    told: Table,
    root: str,
    size: Callable[[str, object], float | None],
) -> tuple[Table, tuple[str, ...]]:
    """Return a project's settings laid over the user's, and a line for each raise left out.

    `base` are the user's settings in the shape of the defaults, `told` the same with the project's
    file laid over. `size` returns the number behind a limit's value, None for none.
    """
    result = told.copy()
    left: list[str] = []

    def leave(key: str, value: object, holds: str) -> None:
        left.append(_line(root, key, value, holds))

    limits = result["limits"] = dict(told["limits"])
    for name, value in told["limits"].items():
        mine, theirs = size(name, base["limits"][name]), size(name, value)
        if mine is not None and theirs is not None and theirs > mine:
            limits[name] = base["limits"][name]
            leave(f"limits.{name}", value, f"{_shown(base['limits'][name])} holds")
    preflight = result["preflight"] = told["preflight"].copy()
    for name in _ADDED:
        preflight[name] = _union(base["preflight"][name], told["preflight"][name])
    tools = preflight["tools"] = dict(told["preflight"]["tools"])
    for name, patterns in base["preflight"]["tools"].items():
        if patterns and not tools[name]:
            leave(f"preflight.tools.{name}", [], "the tool is still one that workers lack")
        tools[name] = _union(patterns, tools[name])
    preflight["lock_folders"] = list(base["preflight"]["lock_folders"])
    for folder in told["preflight"]["lock_folders"]:
        if folder in preflight["lock_folders"]:
            continue
        if folder in SHARED_LOCKS or not is_outside(root, os.path.join(root, folder)):
            preflight["lock_folders"].append(folder)
        else:
            leave("preflight.lock_folders", [folder], "it is outside of the project and left out")
    if told["tools"]["available"] != base["tools"]["available"]:
        leave("tools.available", told["tools"]["available"], "only the user can say that")
    result["tools"] = base["tools"]
    if told["permissions"] != base["permissions"]:
        leave("permissions.by_hooks", told["permissions"]["by_hooks"], "only the user can say that")
    result["permissions"] = base["permissions"]
    callers = result["callers"] = dict(told["callers"])
    for name, caller in base["callers"].items():
        allowed = [word.lower() for word in caller["complexity"]]
        wanted = told["callers"][name]["complexity"]
        narrow = [word for word in wanted if word.lower() in allowed]
        if allowed and (not wanted or len(narrow) < len(wanted)):
            leave(f"callers.{name}.complexity", wanted, f"{_shown(caller['complexity'])} holds")
            callers[name] = {"complexity": narrow or caller["complexity"]}
    return result, tuple(left)


def lock_folders(root: str, folders: list[str]) -> tuple[str, ...]:
    """Return the lock folders that stand where their names say.

    A relative name is one in the project, and a link there leads nobody out of it; what lies below
    /tmp is anybody's to make a link of.
    """
    temporary = os.path.realpath("/tmp")
    kept = []
    for folder in folders:
        if folder in SHARED_LOCKS:
            if os.path.realpath(folder) == temporary + folder.removeprefix("/tmp"):
                kept.append(folder)
        elif os.path.isabs(folder) or not is_outside(root, os.path.join(root, folder)):
            kept.append(folder)
    return tuple(kept)


def _union(mine: list[str], theirs: list[str]) -> list[str]:
    return list(dict.fromkeys([*mine, *theirs]))


def _shown(value: object) -> str:
    return one_line(dumps(value, ensure_ascii=False), 80)


def _line(root: str, key: str, value: object, holds: str) -> str:
    table = f"project.{dumps(root, ensure_ascii=False)}"
    return (
        f"hypervisor.toml: {one_line(key, 80)} = {_shown(value)}: {holds}, since a project's file "
        f"can't raise it; if you want it, write at the top of {one_line(user_file())}: "
        f"{one_line(table, 300)}.{one_line(_quoted(key), 80)} = {_shown(value)}"
    )


def _quoted(key: str) -> str:
    """Return a dotted key as TOML takes it."""
    parts = key.split(".", 2)
    bare = all(
        part.isascii() and part.replace("_", "").replace("-", "").isalnum() for part in parts
    )
    return key if bare else ".".join(dumps(part, ensure_ascii=False) for part in parts)
