"""Untrusted text made fit for one line of a terminal or a prompt."""

from __future__ import annotations

_escapes: dict[int, str] = {}


def one_line(value: object, limit: int = 200) -> str:
    """Return `value` as one printable line of at most `limit` characters.

    Control characters, line separators, bidirectional marks and lone surrogates are escaped, so
    that a title can neither start a line of its own nor change how the rest of it is shown.
    """
    shown = str(value)
    if not shown.isprintable():
        shown = shown[: limit + 1].translate(_escapes or _make_escapes())
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _make_escapes() -> dict[int, str]:
    # C0, DEL, C1, the line and paragraph separators, the marks that reorder what a terminal shows.
    # Made at the first need: thousands of entries that a plain title does without.
    _escapes.update(
        {code: f"\\x{code:02x}" for code in [*range(0x20), *range(0x7F, 0xA0)]}
        | {code: f"\\u{code:04x}" for code in [0x061C, 0x2028, 0x2029, 0xFEFF]}
        | {code: f"\\u{code:04x}" for code in [*range(0x200B, 0x2010), *range(0x202A, 0x202F)]}
        | {code: f"\\u{code:04x}" for code in [*range(0x2060, 0x2070), *range(0xD800, 0xE000)]}
        | {9: "\\t", 10: "\\n", 13: "\\r"}
    )
    return _escapes
