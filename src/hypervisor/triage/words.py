"""What the rules of triage may read of a task: its own words, not what it quotes or shows."""

from __future__ import annotations

from typing import NamedTuple

from hypervisor.tasks import markdown
from hypervisor.triage import wikilink


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
    links = wikilink.targets(prose) if "[[" in prose else frozenset()
    if "[[" in body and len(prose) < len(body):
        links |= wikilink.targets(_quoted(body, structure.hidden))
    headings = structure.headings
    return Words(
        title=title,
        text=f"{wikilink.without_project_line(prose)}\n{title}",
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
