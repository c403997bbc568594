"""Tools that a task needs and a queue's workers lack.

A task says it with the key `tools`, or by a tool's whole name, `mcp__SERVER__TOOL`, in its text. A
word in a title or a text holds nothing by itself: it may be what the task is about. Patterns in the
settings are somebody's own word that in this project it does.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

from hypervisor.config import tools
from hypervisor.tasks import markdown
from hypervisor.tasks.read import Document

KEYS = ("tools", "requires_tools")
# Elsewhere this key names tasks, people or parts, too: there only what is surely a tool counts.
_MIXED = "needs"
_NAMED = re.compile(r"\bmcp__[A-Za-z0-9-]+(?:_[A-Za-z0-9-]+)*__[A-Za-z0-9_-]+")
# Letters that a pattern finds for another letter in any case, beyond what casefold brings together.
_ALIKE = str.maketrans({"ı": "i", "\u0307": None})

Literals = frozenset[str] | None


class ToolRules:
    """What workers with `grants` lack, by the patterns of the settings.

    The patterns are made quick: one that must hold a word is tried only on texts that hold it,
    which costs a search instead of a match at every letter.
    """

    def __init__(
        self, patterns: dict[str, tuple[re.Pattern[str], ...]], grants: tuple[str, ...] = ()
    ) -> None:
        self._grants = grants
        self._names = frozenset(tool.casefold() for tool in patterns)
        self._patterns = [
            (tool, pattern, literals_of(pattern))
            for tool, several in patterns.items()
            for pattern in several
        ]

    def needed(self, document: Document, title: str) -> str | None:
        """Return the name of a tool that workers lack and this task needs, or None."""
        for need in self._told(document):
            if not tools.serves(self._grants, need):
                return need
        whole = f"{title}\n{document.body}"
        folded = fold(whole)
        likely = [
            (tool, pattern)
            for tool, pattern, literals in self._patterns
            if literals is None or any(literal in folded for literal in literals)
        ]
        if tools.PREFIX not in whole and not likely:
            return None
        prose = f"{title}\n{markdown.prose(document.body)}"
        for name in _NAMED.findall(prose):
            if not tools.serves(self._grants, name):
                return str(name)
        return next(
            (
                tool
                for tool, pattern in likely
                if not tools.serves(self._grants, tool) and pattern.search(prose)
            ),
            None,
        )

    def _told(self, document: Document) -> list[str]:
        """Return what the front matter names, as it is written there."""
        told = [word for key in KEYS for word in _words(document, key)]
        for word in _words(document, _MIXED):
            if word.startswith(tools.PREFIX) or word.casefold() in self._names:
                told.append(word)
        return told


def _words(document: Document, key: str) -> list[str]:
    value = (document.meta or {}).get(key)
    if value is None:
        return []
    word = document.raw_text(key)
    if word is not None:
        told = word.split(",")
    elif isinstance(value, dict):
        told = [str(name) for name in value]
    else:
        told = document.raw_list(key) or []
    return [word.strip() for word in told if word.strip()]


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
