"""Messages broken to the width of a terminal, but never within what somebody may copy from it: a
command, a path, a setting. Those the terminal breaks itself, which does not show in a copy."""

from __future__ import annotations

import os
import re
import textwrap

_PROGRAMS = "hypervisor|git|chmod|mkdir|mv|rm|cd|export|unset|df|apt(?:-get)?|npm|uv|pipx?|python3?"
# Rather too much than too little: prose that is kept whole is only not as pretty.
_WHOLE = re.compile(
    rf"""(?<![^\s(])(?:(?:{_PROGRAMS})\ |[A-Z_]+=|["'$~.]*/)
         (?:'[^']*'|"[^"]*"|[^'";,:()]|[;,:](?!\s))*
       |^error:\ [^:]*[./][^:]*(?=:)
       |(?<![^\s(])'[^']*'|"[^"]*"
       |\S+\ =\ \S+""",
    re.VERBOSE,
)
_BLANK = "\0"


def fit(lines: list[str]) -> list[str]:
    """Return lines that fit the terminal of standard error; what continues one is indented, so that
    it can't pass for a line of ours."""
    width = _columns()
    return [part for line in lines for part in (_broken(line, width) or [line])]


def _broken(line: str, width: int) -> list[str]:
    if len(line) <= width:
        return [line]
    kept = _WHOLE.sub(lambda found: found[0].replace(" ", _BLANK), line)
    parts = textwrap.wrap(
        kept, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    return [part.replace(_BLANK, " ") for part in parts]


def _columns() -> int:
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return int(told)
    try:
        return os.get_terminal_size(2).columns or 80
    except OSError:
        return 80
