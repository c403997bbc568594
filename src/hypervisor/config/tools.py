"""Tools of MCP servers: what a task calls them, and which of them a queue's workers were given.

A tool's whole name is `mcp__SERVER__TOOL`. A *grant* is such a name, `mcp__SERVER` for all tools
of that server, or words of the server's name: `zotero` stands for the servers `zotero`, `my-zotero`
and `plugin_library_zotero`, whatever their tools are called.
"""

from __future__ import annotations

from hypervisor.system.errors import UsageError
from hypervisor.system.late import late
from hypervisor.system.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX = "mcp__"
# What every worker has, in the words that tasks use for it.
OWN = frozenset(("bash", "edit", "git", "glob", "grep", "read", "write"))
_BETWEEN = late("[_-]+")
_NAME = late(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,98}[A-Za-z0-9])?")


def check_grants(names: Iterable[str]) -> list[str]:
    """Return the grants as they are kept, each once. Raises UsageError for what is not a name.

    A list with commas is taken too.
    """
    kept: dict[str, None] = {}
    for name in (part.strip() for told in names for part in told.split(",")):
        if not is_name(name) or name.casefold() in OWN or name.casefold() == "mcp":
            raise UsageError(
                f"{one_line(name, 60) or 'nothing'} is not a tool that workers can be given",
                "name an MCP server, like zotero, or one tool of it, like mcp__zotero__search",
            )
        kept[name] = None
    return list(kept)


def is_name(word: str) -> bool:
    """True for what may stand in a command line as it is."""
    return _NAME.fullmatch(word) is not None


def allows(grants: Iterable[str], tool: str) -> bool:
    """True if one of `grants` covers the tool `mcp__SERVER__TOOL`, in any case."""
    if not tool.startswith(PREFIX):
        return False
    return any(_covers(grant.casefold(), tool.casefold()) for grant in grants)


def serves(grants: Iterable[str], need: str) -> bool:
    """True if workers with `grants` have what a task says it needs: a word, a server or a tool."""
    word = need.casefold()
    if word in OWN:
        return True
    if word.startswith(PREFIX):
        return allows(grants, word if "__" in word[len(PREFIX) :] else f"{word}__")
    return any(
        grant.casefold() == word or _has(_server(grant.casefold()), word) for grant in grants
    )


def _covers(grant: str, tool: str) -> bool:
    if grant.startswith(PREFIX):
        return tool == grant or tool.startswith(f"{grant}__")
    return _has(_server(tool), grant)


def _server(name: str) -> str:
    return name.removeprefix(PREFIX).partition("__")[0] if name.startswith(PREFIX) else ""


def _has(server: str, words: str) -> bool:
    """True if `words` stand in a server's name as whole words, side by side."""
    parts = [f"-{'-'.join(_BETWEEN.split(name))}-" for name in (server, words)]
    return parts[1] in parts[0]
