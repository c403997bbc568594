"""Tools that workers lack and a task needs: said in its front matter, or read from its text."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

from hypervisor.tasks import markdown
from hypervisor.tasks.read import Document

KEYS = ("tools", "needs", "requires_tools")
_MCP = "mcp__"
# Letters that a pattern finds for another letter in any case, beyond what casefold brings together.
_ALIKE = str.maketrans({"ı": "i", "\u0307": None})

Literals = frozenset[str] | None


class ToolRules:
    """The patterns of the settings, made quick: a pattern that must hold a word is tried only on
    texts that hold it, which costs a search instead of a match at every letter."""

    def __init__(
        self,
        tools: dict[str, tuple[re.Pattern[str], ...]],
        available: frozenset[str] = frozenset(),
    ) -> None:
        self._available = available
        self._names = {tool.casefold(): tool for tool in tools}
        self._patterns = [
            (tool, pattern, literals_of(pattern))
            for tool, patterns in tools.items()
            for pattern in patterns
        ]

    def needed(self, document: Document, title: str) -> str | None:
        """Return the name of a tool that workers lack and this task needs, or None."""
        told = self._told(document)
        if told is not None:
            return told
        whole = f"{title}\n{document.body}"
        folded = fold(whole)
        likely = [
            (tool, pattern)
            for tool, pattern, literals in self._patterns
            if literals is None or any(literal in folded for literal in literals)
        ]
        likely = [(tool, pattern) for tool, pattern in likely if pattern.search(whole)]
        if not likely:
            return None
        prose = f"{title}\n{markdown.prose(document.body)}"
        return next((tool for tool, pattern in likely if pattern.search(prose)), None)

    def _told(self, document: Document) -> str | None:
        meta = document.meta or {}
        for key in KEYS:
            if key not in meta:
                continue
            word = document.raw_text(key)
            for entry in [word] if word is not None else document.raw_list(key) or []:
                if entry.casefold() in self._available:
                    continue
                if entry.casefold().startswith(_MCP):
                    return entry
                if entry.casefold() in self._names:
                    return self._names[entry.casefold()]
        return None


def fold(text: str) -> str:
    """Return `text` so that what a pattern finds in any case is found as a plain word."""
    return text.lower() if text.isascii() else text.casefold().translate(_ALIKE)


def literals_of(pattern: re.Pattern[str]) -> Literals:
    """Return words of which every match of `pattern` holds one, folded; None if none are known."""
    if not pattern.flags & re.IGNORECASE:
        return None
    try:
        # The parser of `re` has no public name. Without it each pattern is tried on each text.
        parsed = import_module("re._parser").parse(pattern.pattern, pattern.flags)
        return _of_sequence(parsed)
    except Exception:
        return None


def _of_sequence(parsed: Any) -> Literals:
    found: list[frozenset[str]] = []
    run = ""
    for operation, argument in [*parsed, (None, None)]:
        name = str(operation)
        if name == "LITERAL":
            run += chr(argument)
            continue
        if run:
            found.append(frozenset({fold(run)}))
            run = ""
        inner: Literals = None
        if name == "SUBPATTERN":
            inner = _of_sequence(argument[-1])
        elif name == "ATOMIC_GROUP":
            inner = _of_sequence(argument)
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT") and argument[0] > 0:
            inner = _of_sequence(argument[2])
        elif name == "BRANCH":
            branches = [_of_sequence(branch) for branch in argument[1]]
            if all(branch is not None for branch in branches):
                inner = frozenset().union(*(branch for branch in branches if branch is not None))
        if inner:
            found.append(inner)
    # The rarest is likely the one whose shortest word is longest.
    return max(found, key=lambda words: min(map(len, words)), default=None)
