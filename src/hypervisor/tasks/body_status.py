"""The status of a file that says it in its body: `## Status` and a line below, or `**Status:** …`
between the title and the first section."""

from __future__ import annotations

from hypervisor.system.late import late

_SECTION = late(r"(?mi)^## +status[ \t#]*\r?\n(?:[ \t]*\r?\n)*[ \t]*([^\s#].*?)[ \t]*\r?$")
_LINE = late(r"(?mi)^\*\*status(?::\*\*|\*\*:)[ \t]*(\S.*?)[ \t]*\r?$")
_FIRST = late(r"(?m)^##? .*$")


def status_in(body: str) -> str | None:
    """Return the word that a body without front matter gives as its status, None for none."""
    if "tatus" not in body:
        return None
    found = _SECTION.search(body)
    if found is None:
        heads = [head for head in _FIRST.finditer(body) if head[0].startswith("## ")]
        found = _LINE.search(body, 0, heads[0].start() if heads else len(body))
    return found[1].strip("*_` ") if found is not None else None
