"""Lines broken to a terminal's width, but never within what somebody may copy from them: a command,
a path, a setting, data. The terminal breaks those itself, which does not show in a copy."""

from __future__ import annotations

import os
import re
from unicodedata import combining, east_asian_width

from hypervisor.system.text import Shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

_PROGRAMS = "hypervisor|git|chmod|mkdir|mv|rm|cd|export|unset|df|apt(?:-get)?|npm|uv|pipx?|python3?"
# What stands alone behind these is a path, a command or data.
_LABELS = (
    r"file|page|data|answer|commit|transcript|the\ user's\ answer|right|not\ right"
    r"|before\ an\ item\ of\ \S+\ is\ done(?:\ \([^)]*\))?"
)
# Rather too much than too little: prose that is kept whole is only not as pretty.
_WHOLE = re.compile(
    rf"""(?<![^\s(])(?:(?:{_PROGRAMS})\ |[A-Z_]+=|["'$~.]*/)
         (?:'[^']*'|"[^"]*"|(?!\ or\ hypervisor\ )[^'";,:()]|[;,:](?!\s))*
       |^error:\ [^:]*[./][^:]*(?=:)
       |^\ +(?:[^:“”]*/[^:“”]*|[^:“”]*\.\w{{1,5}})(?=:[\s\d])
       |(?<=\bprompt:\ ).*
       |\d{{4}}-\d\d-\d\d\ \d\d:\d\d
       |^\s*(?:{_LABELS}):\ .*
       |[\[{{]".*
       |(?<![^\s(])'[^']*'|"[^"]*"
       |\S+\ =\ \S+""",
    re.VERBOSE,
)
_BLANK = "\0"
# Below this nothing is easier to read for being broken.
_NARROWEST = 20


class Wrapped(Shown):
    """A terminal that gets no line longer than it is wide. What continues one is indented, so that
    it can't pass for a line of ours."""

    def __init__(self, terminal: Shown) -> None:
        super().__init__(terminal.unguarded)
        self.exact = terminal
        self._begun = False

    def write(self, text: str) -> int:
        """Write `text`, its lines broken; the end of a line that was begun before stays whole."""
        if text:
            width = columns(self.unguarded)
            first, *more = text.split("\n")
            lines = [first] if self._begun else _broken(first, width)
            lines += [part for line in more for part in _broken(line, width)]
            self.exact.write("\n".join(lines))
            self._begun = not text.endswith("\n")
        return len(text)


def _broken(line: str, width: int) -> list[str]:
    if _cells(line) <= width:
        return [line]
    kept = _WHOLE.sub(_kept_together, line)
    indent = kept[: len(kept) - len(kept.lstrip(" " + _BLANK))]
    parts = [indent]
    for word in re.findall(r" *[^ ]+", kept[len(indent) :]):
        if parts[-1].strip(" " + _BLANK) and _cells(parts[-1]) + _cells(word) > width:
            parts.append(f"{indent}  {word.lstrip()}")
        else:
            parts[-1] += word
    return [part.replace(_BLANK, " ") for part in parts]


def _kept_together(found: re.Match[str]) -> str:
    text = found[0].rstrip(" ")
    return text.replace(" ", _BLANK) + found[0][len(text) :]


def _cells(text: str) -> int:
    """Return how many columns of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    return sum(1 + (east_asian_width(sign) in "WF") for sign in text if not combining(sign))


def columns(stream: TextIO | None = None) -> int:
    """Return how wide a terminal is: that of `stream`, or of the process's standard output."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return max(_NARROWEST, int(told))
    try:
        number = 1 if stream is None else stream.fileno()
        return max(_NARROWEST, os.get_terminal_size(number).columns or 80)
    except OSError:
        return 80
