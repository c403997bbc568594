"""Text of others made fit for a terminal, a prompt, a page or a shell: the one rule for all.

What can act on a terminal, break a line or reorder what is shown is written out as `\\u001b`: the
control characters C0 and C1, the line and paragraph separators, the marks that embed, override or
isolate a direction, what is invisible without joining anything, and lone surrogates. Letters, marks
of letters and of directions, joiners and emoji stay. Since JSON knows the same escapes, JSON that
goes through here still carries the text itself.
"""

from __future__ import annotations

from hypervisor.system.late import late

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TextIO


class _Escapes(dict[int, str]):
    """Filled as characters are met: a table of all of them would cost every start of a verb."""

    def __missing__(self, code: int) -> str:
        acts = (
            code < 0x20
            or 0x7F <= code < 0xA0
            or code in (0x2028, 0x2029)
            or 0x202A <= code <= 0x202E
            or 0x2066 <= code <= 0x2069
            or 0xD800 <= code < 0xE000
            # Seen by nobody, and no part of any word: what two names may differ in.
            or code in (0x200B, 0xFEFF)
            or 0x2061 <= code <= 0x2064
            or 0x206A <= code <= 0x206F
            or 0xFFF9 <= code <= 0xFFFB
            # Letters that only models can read, but for those of a flag.
            or 0xE0000 <= code <= 0xE007F
        )
        shown = chr(code)
        if acts:
            units = shown.encode("utf-16-be", "surrogatepass").hex()
            shown = "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
        self[code] = shown
        return shown


_escapes = _Escapes()
LONGEST_TEXT = 64 * 1024
# What means nothing to a shell.
_PLAIN = frozenset("%+,-./0123456789:=@ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")
# Ours are the lines of what we print, and the columns.
_escapes_in_blocks = _Escapes({0x09: "\t", 0x0A: "\n"})


_FLAG = late("(\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f)")


def _translated(text: str, escapes: dict[int, str]) -> str:
    if "\U0001f3f4" not in text:
        return text.translate(escapes)
    parts = _FLAG.split(text)
    parts[::2] = [part.translate(escapes) for part in parts[::2]]
    return "".join(parts)


def escaped(value: object) -> str:
    """Return `value` as one line in which nothing acts on whatever shows it."""
    text = str(value)
    return text if text.isprintable() else _translated(text, _escapes)


def one_line(value: object, limit: int = 200) -> str:
    """Return `value` escaped, as one line of at most `limit` characters."""
    text = str(value)
    shown = text if text.isprintable() else _translated(text[: limit + 1], _escapes)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def prose(value: object, limit: int = 200) -> str:
    """Return what somebody said as one line, as `one_line` does; its own lines stand apart by ` / `
    in it, unless one leads to the next with a colon."""
    lines = filter(None, map(str.strip, str(value).splitlines()))
    return one_line(" / ".join(lines).replace(": / ", ": "), limit)


def listed(values: Sequence[object], most: int, limit: int = 120, apart: str = ", ") -> str:
    """Return the first values, each as one line, and how many more there are: `a, b and 3 more`."""
    shown = apart.join(one_line(value, limit) for value in values[:most])
    return f"{shown} and {len(values) - most} more" if len(values) > most else shown


def shortened(lines: list[str], most: int, more: str = "more (--json lists all)") -> list[str]:
    """Return the first lines, and one on how many there are besides; `more` is what it says of
    those."""
    left = len(lines) - most
    return [*lines[:most], f"… and {left} {more}"] if left > 0 else lines


def count(number: float, noun: str) -> str:
    """Return a counted noun: `1 item`, `3 items`, `2 branches`."""
    shown = f"{number:g}" if isinstance(number, float) else str(number)
    if number == 1:
        return f"{shown} {noun}"
    return f"{shown} {noun}{'es' if noun.endswith(('ch', 's', 'x')) else 's'}"


def either(number: float, one: str, more: str) -> str:
    """Return the word that goes with a number: `one` with 1, else `more`."""
    return one if number == 1 else more


def whole(text: str) -> str:
    """Return `text` with a `�` for each half of a character: it was cut in its middle, or came as
    bytes that are no UTF-8, and neither a ledger nor a file takes it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def bounded(text: str) -> str:
    """Return `text`, cut if it is longer than what anybody may say at once; it says so then."""
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}\n… (cut here)"


def lines_kept(value: object) -> str:
    """Return `value` escaped except for its newlines and tabs."""
    text = str(value)
    return text if text.isprintable() else _translated(text, _escapes_in_blocks)


def indented(value: object, by: str = "  ") -> str:
    """Return a block of text with its newlines, escaped, each of its lines indented, so that none
    of them can pass for a line of ours."""
    return "\n".join(by + line for line in lines_kept(value).split("\n"))


def shell(words: str | Iterable[str]) -> str:
    """Return a word, or words, as a person can paste them into any POSIX shell, on one line.

    The shell gets the same bytes. A word with a character that is not to be shown is written as
    `"$(printf '…')"` with that character in octal, since `$'…'` is not known to every shell. A
    substitution drops newlines at the end, so only a word that ends in one is written as `$'…'`.
    """
    return " ".join(map(_word, [words] if isinstance(words, str) else words))


def _word(word: str) -> str:
    if word and _PLAIN.issuperset(word):
        return word
    if escaped(word) == word:
        return "'" + word.replace("'", "'\"'\"'") + "'"
    shown = []
    for char in word:
        if char in "'\\" or escaped(char) != char:
            shown += [f"\\{byte:03o}" for byte in char.encode("utf-8", "surrogateescape")]
        else:
            shown.append(char)
    text = "".join(shown)
    if word.endswith("\n"):
        return f"$'{text}'"
    return f"\"$(printf '{text.replace('%', '%%')}')\""


class Shown:
    """A text stream that lets nothing through that acts on a terminal, whoever wrote it: the last
    line of defence behind the escapes of each field. What draws with control sequences of its own
    writes to the stream that it wraps."""

    def __init__(self, stream: TextIO) -> None:
        self.unguarded = stream

    def write(self, text: str) -> int:
        """Write `text` with its lines, escaped."""
        self.unguarded.write(lines_kept(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of `lines`, escaped."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> object:
        return getattr(self.unguarded, name)
