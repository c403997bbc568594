"""Tools that workers lack and a task needs: said in its front matter, or read from its text."""

from __future__ import annotations

from hypervisor.config.settings import Settings
from hypervisor.system.patterns import Pattern, TooSlow, fold
from hypervisor.tasks import markdown
from hypervisor.tasks.read import Document

KEYS = ("tools", "needs", "requires_tools")
_MCP = "mcp__"


class ToolRules:
    """The patterns of the settings, each tried only on texts that hold a word it needs: to search
    for a word costs little, to try a pattern at every letter much."""

    def __init__(self, settings: Settings) -> None:
        self._available = settings.available_tools
        self._names = {tool.casefold(): tool for tool in settings.tools}
        self._patience = settings.patience
        self._patterns = [
            (tool, pattern) for tool, patterns in settings.tools.items() for pattern in patterns
        ]

    def needed(self, document: Document, title: str) -> str | None:
        """Return the name of a tool that workers lack and this task needs, or None.

        Raises TooSlow, with the tool and its pattern, where that can't be told in time.
        """
        told = self._told(document)
        if told is not None:
            return told
        whole = f"{title}\n{document.body}"
        folded = fold(whole)
        likely = [(tool, pattern) for tool, pattern in self._patterns if pattern.may_match(folded)]
        if not likely:
            return None
        self._patience.add(len(whole))
        likely = [(tool, pattern) for tool, pattern in likely if _search(tool, pattern, whole)]
        if not likely:
            return None
        prose = f"{title}\n{markdown.prose(document.body)}"
        return next((tool for tool, pattern in likely if _search(tool, pattern, prose)), None)

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


def _search(tool: str, pattern: Pattern, text: str) -> bool:
    try:
        return pattern.search(text) is not None
    except TooSlow:
        raise TooSlow(tool, pattern.text) from None
