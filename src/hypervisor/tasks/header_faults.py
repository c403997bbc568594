"""What is wrong with a header: the line to blame, and how that line is mended."""

from __future__ import annotations

import re
from typing import Any

import yaml

# libyaml refuses them, but says only at which byte.
_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
# Nobody reads a longer line in a hint, and the parser is slow at telling whether it would do.
_LONGEST_MENDED = 1000
_BRACKET_CLOSED = re.compile(r"[\]}]")
# The problem is seen on a later line than the one to mend.
_NO_BLANK = re.compile(r"[\w-]+:(?![\s:]|//)\S*\s*$")
_STARTS_EARLIER = ("while scanning a quoted", "while parsing a flow", "while scanning a simple key")


class HeaderError(Exception):
    """What is wrong in a header, at which character of it, and how to mend it."""

    def __init__(self, index: int, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.index = index
        self.what = what
        self.fix = fix


def place(mark: Any) -> int:
    """Return the character at which a mark of the parser stands."""
    return int(mark.index)


def explained(error: yaml.YAMLError, text: str) -> HeaderError:
    """Return what the parser says of the header `text`, at the line that a person has to mend."""
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or "the YAML can't be read"
    context = getattr(error, "context", None) or ""
    context_mark = getattr(error, "context_mark", None)
    if mark is None:
        odd = _FORBIDDEN.search(text)
        index = odd.start() if odd else 0
        shown = f" U+{ord(text[index]):04X}" if odd else ""
        return HeaderError(index, f"YAML forbids the character{shown}", "remove this character")
    if context_mark is not None and context.startswith(_STARTS_EARLIER):
        mark = context_mark
    index = min(place(mark), len(text))
    if index == len(text):
        index = max(0, len(text.rstrip()) - 1)
    start = text.rfind("\n", 0, index) + 1
    before = text.rfind("\n", 0, max(0, start - 1)) + 1
    if what.startswith("mapping values") and _NO_BLANK.match(text, before, start):
        # `status:done` is text that the next line continues, up to that line's colon.
        index = start = before
    end = text.find("\n", index)
    line = text[start : end if end >= 0 else len(text)].rstrip()
    return HeaderError(index, f"not YAML: {what}", _mend(line))


def _mend(line: str) -> str:
    """Return how to write `line` so that YAML reads it, as one line."""
    if len(line) > _LONGEST_MENDED:
        return "fix the YAML of this line"
    found = re.fullmatch(r"((?:- )?[\w.-]+)[ \t]*:([ \t]+|(?=[^\s:]))(.+)", line)
    if line.lstrip(" ").startswith("\t") or "\t" in line[: len(line) - len(line.lstrip())]:
        return "indent this line with blanks, not with a tab"
    if found:
        key, value = found[1], found[3].strip()
        if value[0] in "\"'" and value.count(value[0]) == 1:
            return f"close the quote: {key}: {value}{value[0]}"
        if value[0] in "[{" and not _BRACKET_CLOSED.search(value):
            return f"close the bracket: {key}: {value}{']' if value[0] == '[' else '}'}"
        if len(value) > 1 and value[0] in "\"'" and value[-1] == value[0]:
            value = value[1:-1]
        written = f"{key}: '" + value.replace("'", "''") + "'"
        try:
            yaml.safe_load(written)
        except yaml.YAMLError:
            return "fix the YAML of this line"
        return f"quote the value of this line: {written}"
    if line.lstrip().startswith("- "):
        return "quote the text of this list entry"
    return "fix the YAML of this line"
