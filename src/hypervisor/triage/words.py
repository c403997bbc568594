"""What the rules of triage may read of a task: its own words, not what it quotes or shows."""

from __future__ import annotations

import re
from typing import NamedTuple

from hypervisor.tasks import markdown

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


class Words(NamedTuple):
    """The text of one task.

    `text` is prose and title together, without code, comments, quotes and the sections that we
    wrote. `sections` are the titles of the level-two headings, `checklist` says whether there is
    any check box, `open_box` is the text of the first unchecked one, `acceptance` the title of
    the heading that starts so, and `links` the folded targets of the wikilinks that stand.
    """

    title: str
    text: str
    sections: tuple[str, ...]
    checklist: bool
    open_box: str | None
    acceptance: str | None
    links: frozenset[str]


def read(body: str, title: str) -> Words:
    """Return the words of a task with this `body` and `title`."""
    body = markdown.without_own_section(body)
    structure = markdown.scan(body)
    prose = markdown.prose(body)
    links = targets(prose) if "[[" in prose else frozenset()
    if "[[" in body and len(prose) < len(body):
        links |= targets(_quoted(body, structure.hidden))
    headings = structure.headings
    return Words(
        title=title,
        text=f"{without_project_line(prose)}\n{title}",
        sections=tuple(heading.title for heading in headings if heading.level == 2),
        checklist=bool(structure.boxes),
        open_box=next((box.text for box in structure.boxes if not box.checked), None),
        acceptance=next(
            (
                heading.title
                for heading in headings
                if heading.level > 1 and heading.title.lower().startswith("acceptance")
            ),
            None,
        ),
        links=links,
    )


def _quoted(body: str, hidden: tuple[tuple[int, int], ...]) -> str:
    """Return the quoted lines: a link in a quote is a link, one in code or a comment is not."""
    lines = [line for start, end in hidden for line in body[start:end].splitlines()]
    return "\n".join(line for line in lines if line.lstrip(" ").startswith(">"))
