"""The status of a file that says it in its body: `## Status` and a line below, `## Status: …`, or
`**Status:** …` between the title and the first section, however these are decorated."""

from __future__ import annotations

from hypervisor.system.late import late

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re

_SECTION = late(
    r"(?mi)^##[ \t]+[^a-z\n]*status[*_ \t#]*(?::[*_ \t]*|[ \t][-\u2013\u2014][ \t]+|\r?\n"
    r"(?:[ \t]*(?:<!--[^\n]*-->)?[ \t]*\r?\n)*[ \t]*)([^\s#][^\r\n]*?)[ \t]*\r?$"
)
_LINE = late(
    r"(?mi)(?:^|\|)[ \t>]*(?:[-*+][ \t]+)?(?:\*\*|__|[*_])?status(?:\*\*|__|[*_])?[ \t]*[:|]"
    r"[*_]{0,2}[ \t]*(\S[^|\r\n]*)"
)
# A sign, marks or a ticked box may stand before the word, a date, a sign or a remark behind it.
_WORD = late(r"[^\w\[~\n]*(?:\[[xX]\][^\w\[~\n]*)?((?:(?! [-\u2013\u2014] )[\w' -])+)")
_FIRST = late(r"(?m)^##? .*$")


def section(body: str) -> re.Match[str] | None:
    """Return where the section that says the status is; its group is the line that says it."""
    return _SECTION.search(body)


def word_in(line: str) -> str | None:
    """Return the word in a line that says a status, None for none."""
    found = _WORD.match(line)
    return found[1].strip() or None if found is not None else None


def status_in(body: str) -> str | None:
    """Return the word that a body without front matter gives as its status, None for none."""
    if "tatus" not in body and "TATUS" not in body:
        return None
    if "```" in body or "~~~" in body:
        # What code shows is an example.
        from hypervisor.tasks import markdown

        body = markdown.prose(body)
    found = section(body)
    if found is None:
        heads = [head for head in _FIRST.finditer(body) if head[0].startswith("## ")]
        found = _LINE.search(body, 0, heads[0].start() if heads else len(body))
    return word_in(found[1]) if found is not None else None
