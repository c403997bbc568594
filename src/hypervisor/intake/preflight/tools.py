"""Tools that a task needs and a queue's workers lack.

A task says it with the key `tools`, or by a tool's whole name, `mcp__SERVER__TOOL`, in its text. A
word in a title or a text holds nothing by itself: it may be what the task is about. Patterns in the
settings are somebody's own word that in this project it does.
"""

from __future__ import annotations

import re

from hypervisor.config import tools
from hypervisor.config.settings import Settings
from hypervisor.system.patterns import Pattern, TooSlow, fold
from hypervisor.tasks import markdown
from hypervisor.tasks.read import Document

KEYS = ("tools", "requires_tools")
# Elsewhere this key names tasks, people or parts, too: there only what is surely a tool counts.
_MIXED = "needs"
_NAMED = re.compile(r"\bmcp__[A-Za-z0-9-]+(?:_[A-Za-z0-9-]+)*__[A-Za-z0-9_-]+")


class ToolRules:
    """What workers lack that were given `grants`, besides what the settings say they have.

    The patterns of the settings are each tried only on texts that hold a word it needs: to search
    for a word costs little, to try a pattern at every letter much.
    """

    def __init__(self, settings: Settings, grants: tuple[str, ...] = ()) -> None:
        self._grants = (*settings.available_tools, *grants)
        self._names = frozenset(tool.casefold() for tool in settings.tools)
        self._patience = settings.patience
        self._patterns = [
            (tool, pattern)
            for tool, patterns in settings.tools.items()
            if not tools.serves(self._grants, tool)
            for pattern in patterns
        ]

    def needed(self, document: Document, title: str) -> str | None:
        """Return the name of a tool that workers lack and this task needs, or None.

        Raises TooSlow, with the tool and its pattern, where that can't be told in time.
        """
        for need in self._told(document):
            if not tools.serves(self._grants, need):
                return need
        whole = f"{title}\n{document.body}"
        likely = self._likely(whole)
        if tools.PREFIX not in whole and not likely:
            return None
        prose = f"{title}\n{markdown.prose(document.body)}"
        for name in _NAMED.findall(prose):
            if not tools.serves(self._grants, name):
                return str(name)
        return next((tool for tool, pattern in likely if _search(tool, pattern, prose)), None)

    def _likely(self, whole: str) -> list[tuple[str, Pattern]]:
        if not self._patterns:
            return []
        folded = fold(whole)
        likely = [(tool, pattern) for tool, pattern in self._patterns if pattern.may_match(folded)]
        if likely:
            self._patience.add(len(whole))
        return [(tool, pattern) for tool, pattern in likely if _search(tool, pattern, whole)]

    def _told(self, document: Document) -> list[str]:
        """Return what the front matter names, as it is written there."""
        told = [word for key in KEYS for word in _words(document, key)]
        for word in _words(document, _MIXED):
            if word.startswith(tools.PREFIX) or word.casefold() in self._names:
                told.append(word)
        return told


def _words(document: Document, key: str) -> list[str]:
    value = document.value(key)
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


def _search(tool: str, pattern: Pattern, text: str) -> bool:
    try:
        return pattern.search(text) is not None
    except TooSlow:
        raise TooSlow(tool, pattern.text) from None
