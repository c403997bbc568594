"""The link to a task's project: whether it stands already, and the line that adds it."""

from __future__ import annotations

import re

# `[[target]]`, `[[target|alias]]`, `[[target#heading]]`, `[[target#^block]]`, on one line.
_LINK = re.compile(r"\[\[([^\[\]|#^\r\n]*)[^\[\]\r\n]*\]\]")
# What a link's target can't hold: such a project would write something other than a link.
_UNFIT = re.compile(r"[\[\]|#^`<>\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LINE = re.compile(r"(?m)^Project: \[\[[^\[\]\r\n]*\]\][ \t]*\r?$")


def targets(text: str) -> frozenset[str]:
    """Return the folded targets of all wikilinks in `text`."""
    return frozenset(_fold(found) for found in _LINK.findall(text))


def without_project_line(text: str) -> str:
    """Return `text` without the lines that triage itself adds, which no rule may read."""
    return _LINE.sub("", text)


def line_for(project: str, links: dict[str, str], present: frozenset[str]) -> str | None:
    """Return the line that links `project`, or None where its link stands or can't be made.

    `links` maps projects to the targets of their links, `present` holds the folded targets of
    the links that stand. Raises ValueError for a project that is no target of a link.
    """
    target = links.get(project, project)
    # Only the settings may give a link another text; in a project's name the bar is a mistake.
    name, _, shown = target.partition("|") if project in links else (target, "", "")
    if _fold(name) in present or _fold(project) in present:
        return None
    if not name.strip() or _UNFIT.search(name) or _UNFIT.search(shown) or len(target) > 200:
        raise ValueError(project)
    return f"Project: [[{target}]]"


def _fold(target: str) -> str:
    return " ".join(target.split()).casefold()
