"""The ask rules in Claude Code's settings: what a user wants to be asked about, whoever answers.

The client applies them behind a hook that allows before a tool, but not behind one that answers its
dialog. That one has to read them itself.
"""

from __future__ import annotations

import json
import os
import sys

from hypervisor.system.reading import NotReadable, read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LARGEST = 1 << 20
_MANAGED = (
    "/Library/Application Support/ClaudeCode" if sys.platform == "darwin" else "/etc/claude-code"
)
# A rule for one of these holds for the others, too: the client reads it so, or may.
_CHANGES = frozenset(("Edit", "Write", "MultiEdit", "NotebookEdit"))
_READS = frozenset(("Read", "Glob", "Grep"))


def may_ask(tool: str, folders: Iterable[str]) -> bool:
    """True if a rule of the user's, the project's or the organisation's says that a call of `tool`
    is to be asked about, or may say so, or if it can't be told.

    `folders` are those whose projects may be the session's, besides the one that the client tells
    of; empty ones are passed over.
    """
    try:
        return any(_names(rule, tool) for path in _files(folders) for rule in _rules(path))
    except (OSError, ValueError, RecursionError):
        return True


def allowing(rules: Iterable[str]) -> str:
    """Return how a user allows what `rules` name, in a line: a file and what goes in."""
    listed = ", ".join(f'"{rule}"' for rule in rules)
    return f'.claude/settings.json: {{"permissions": {{"allow": [{listed}]}}}}'


def _files(folders: Iterable[str]) -> Iterator[str]:
    own = os.environ.get("CLAUDE_CONFIG_DIR") or os.path.expanduser("~/.claude")
    yield os.path.join(own, "settings.json")
    yield os.path.join(own, "settings.local.json")
    yield os.path.join(own, "remote-settings.json")
    yield os.path.join(_MANAGED, "managed-settings.json")
    more = os.path.join(_MANAGED, "managed-settings.d")
    for name in sorted(os.listdir(more)) if os.path.isdir(more) else ():
        if name.endswith(".json"):
            yield os.path.join(more, name)
    seen = set()
    for folder in (os.environ.get("CLAUDE_PROJECT_DIR", ""), *folders):
        # The session may have begun in any folder above.
        while folder and folder not in seen:
            seen.add(folder)
            yield os.path.join(folder, ".claude", "settings.json")
            yield os.path.join(folder, ".claude", "settings.local.json")
            folder = os.path.dirname(folder)


def _rules(path: str) -> list[object]:
    """Return the ask rules in a file of settings, none where there is no file.

    Raises OSError or ValueError for one that can't be read.
    """
    try:
        raw = read_file(path, _LARGEST)[0]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except NotReadable as error:
        raise ValueError(f"{path}: {error}") from None
    told = json.loads(raw) if raw.strip() else {}
    permissions = told.get("permissions", {}) if isinstance(told, dict) else None
    rules = permissions.get("ask", []) if isinstance(permissions, dict) else None
    if not isinstance(rules, list):
        raise ValueError(path)
    return rules


def _names(rule: object, tool: str) -> bool:
    """True for a rule that may be about `tool`."""
    if not isinstance(rule, str):
        return True
    named, bracket, content = rule.strip().partition("(")
    if "*" in named:
        return True
    if tool == "Bash":
        # What we allow begins with our own name, whatever follows.
        first = content.strip().split(" ")[0].split(":")[0].rstrip(")")
        return named == "Bash" and (not bracket or "*" in first or first in ("", "hypervisor"))
    kinds = next((kinds for kinds in (_CHANGES, _READS) if tool in kinds), frozenset((tool,)))
    return named in kinds
