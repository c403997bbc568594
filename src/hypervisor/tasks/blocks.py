"""CommonMark's block starts, as patterns over one line from its first non-blank character."""

from __future__ import annotations

import re

ATX = re.compile(r"(#{1,6})(?: |$)")
FENCE = re.compile(r"(`{3,})[^`]*$|(~{3,})")
SETEXT = re.compile(r"(?:=+|-+) *$")
RULE = re.compile(r"(?:(?:\* *){3,}|(?:_ *){3,}|(?:- *){3,})$")
MARKER = re.compile(r"(?:[-+*]|(\d{1,9})[.)])(?= |$)")
# A link definition: label, target, title.
_LABEL = r" {0,3}\[(?:[^\[\]\\]|\\.)*[^\s\[\]\\](?:[^\[\]\\]|\\.)*\]:[ ]*\n?[ ]*"
_TARGET = r"(?:<[^<>\n]*>|(?!<)(?:[^\s()]|\([^\s()]*\))+)"
_TITLE = r"[ ]*(?:\n[ ]*|[ ])(?:\"[^\"]*\"|'[^']*'|\([^()]*\))"
DEFINITION = re.compile(rf"{_LABEL}{_TARGET}(?:{_TITLE})?[ ]*(?:\n|\Z)")
DEFINITION_ALONE = re.compile(rf"{_LABEL}{_TARGET}[ ]*(?:\n|\Z)")

_BLOCK_TAGS = (
    "address article aside base basefont blockquote body caption center col colgroup dd details"
    " dialog dir div dl dt fieldset figcaption figure footer form frame frameset h1 h2 h3 h4 h5 h6"
    " head header hr html iframe legend li link main menu menuitem nav noframes ol optgroup option"
    " p param search section summary table tbody td tfoot th thead title tr track ul"
)
_ATTRIBUTE = r"\s+[A-Za-z_:][\w:.-]*(?:\s*=\s*(?:[^\"'=<>`\s]+|'[^']*'|\"[^\"]*\"))?"
_BLANK = re.compile(r" *$")
COMMENT = re.compile(r"<!--")
COMMENT_END = re.compile(r"-->")

# How an HTML block starts, what its last line holds, and whether it may end a paragraph.
HTML = (
    (COMMENT, COMMENT_END, True),
    (
        re.compile(r"<(?:script|pre|style|textarea)(?=\s|>|$)", re.IGNORECASE),
        re.compile(r"</(?:script|pre|style|textarea)>", re.IGNORECASE),
        True,
    ),
    (re.compile(r"<\?"), re.compile(r"\?>"), True),
    (re.compile(r"<![A-Za-z]"), re.compile(r">"), True),
    (re.compile(r"<!\[CDATA\["), re.compile(r"\]\]>"), True),
    (
        re.compile(rf"</?(?:{_BLOCK_TAGS.replace(' ', '|')})(?=\s|/?>|$)", re.IGNORECASE),
        _BLANK,
        True,
    ),
    (
        re.compile(
            rf"(?:<[A-Za-z][A-Za-z0-9-]*(?:{_ATTRIBUTE})*\s*/?>|</[A-Za-z][A-Za-z0-9-]*\s*>)\s*$"
        ),
        _BLANK,
        False,
    ),
)


def ends_at_blank(end: re.Pattern[str]) -> bool:
    """Say whether an HTML block with this end is closed by a blank line."""
    return end is _BLANK
