"""A value as YAML that reads back as the same string, in a given style of quotes."""

from __future__ import annotations

import re

from hypervisor.tasks.header import STR, plain_tag

_PLAIN = re.compile(r"[^\W\d_](?:[\w .'/@+&()-]*[\w.'/@+&()-])?")
# Printable in every style of YAML; the rest is only told as an escape between double quotes.
_ONE_LINE = re.compile(
    "[\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]*"
)
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def written(value: str, style: str | None = None) -> str:
    """Return `value` as YAML, for block and flow context alike.

    `style` is the quote character to use, if the value can be written so; None asks for no quotes
    where none are needed.
    """
    if not _ONE_LINE.fullmatch(value):
        style = '"'
    if style is None:
        # `y` and `n` are booleans to some readers.
        if _PLAIN.fullmatch(value) and plain_tag(value) == STR and value.lower() not in ("y", "n"):
            return value
        style = "'"
    if style == "'":
        return "'" + value.replace("'", "''") + "'"
    return '"' + "".join(_ESCAPES.get(char) or _escaped(char) for char in value) + '"'


def _escaped(char: str) -> str:
    if _ONE_LINE.fullmatch(char):
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
