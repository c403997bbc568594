"""The status of a file that says it in its body: `## Status` and a line below, or `**Status:** …`
between the title and the first section."""

from __future__ import annotations

from hypervisor.system.late import late

_SECTION = late(r"(?mi)^## +status[ \t#]*\r?\n(?:[ \t]*\r?\n)*[ \t]*([^\s#].*?)[ \t]*\r?$")
_LINE = late(r"(?mi)^\*\*status(?::\*\*|\*\*:)[ \t]*(\S.*?)[ \t]*\r?$")
# A date, a sign or a remark may follow the word.
_WORD = late(r"[*_`> \t]*((?:(?! [-\u2013\u2014] )[\w' -])+)")
_FIRST = late(r"(?m)^##? .*$")


def status_in(body: str) -> str | None:
    """Return the word that a body without front matter gives as its status, None for none."""
    if "tatus" not in body and "TATUS" not in body:
        return None
    if "```" in body or "~~~" in body:
        # What code shows is an example.
        from hypervisor.tasks import markdown

        body = markdown.prose(body)
    found = _SECTION.search(body)
    if found is None:
        heads = [head for head in _FIRST.finditer(body) if head[0].startswith("## ")]
        found = _LINE.search(body, 0, heads[0].start() if heads else len(body))
    word = _WORD.match(found[1]) if found is not None else None
    return word[1].strip() if word is not None else None
