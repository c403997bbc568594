"""Front matter that can be read without YAML: most of it, and what `done` has to change in it.

A header is plain where each line is `key: value` or an entry of a list, and YAML reads it as it
stands beyond doubt. All else is left to `header`; what both read, they read alike.
"""

from __future__ import annotations

from hypervisor.system.records import NamedTuple
from hypervisor.tasks.entries import Entries, Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Set

_LONGEST = 20_000
_LONGEST_KEY = 100
# A longer value is text to the reader of YAML, whatever it looks like.
_LONGEST_ODD = 200
# Words that are values of another kind to some reader of YAML.
WORDS = frozenset(("y", "n", "yes", "no", "true", "false", "on", "off", "null"))
_DIGITS = frozenset("0123456789.")
_NAMES = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_STARTS = frozenset("_/(.")
# What ends a word in a list in brackets, or is more than a word there.
_IN_FLOW = frozenset(",[]{}:#?")


class Word:
    """One value: its `text`, its quote character or None, and whether it `is_odd`: it may be a
    number, a date or a truth value, as YAML says."""

    __slots__ = ("_value", "is_odd", "style", "text")

    def __init__(self, text: str, style: str | None, is_odd: bool) -> None:
        self.text = text
        self.style = style
        self.is_odd = is_odd
        self._value: object = None if is_odd else text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Word) and (
            (self.text, self.style, self.is_odd) == (other.text, other.style, other.is_odd)
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def value(self) -> object:
        """What YAML makes of it."""
        if self._value is None:
            from hypervisor.tasks.header import constructed

            self._value = constructed(self.text)
        return self._value


class _Line(NamedTuple):
    """What a line with a key says. `start` and `end` of the value count from that of the line."""

    key: str
    value: Word | list[Word] | None
    flow: bool
    start: int
    end: int


class PlainHeader:
    """A header that was read without YAML; as `header.Header`. Its words are not its own: what
    files have in common is kept once."""

    __slots__ = ("_lines", "_meta", "words")

    def __init__(self) -> None:
        self.words: dict[str, Word | list[Word] | None] = {}
        self._lines: list[tuple[int, _Line]] = []
        self._meta: dict[str, object] | None = None

    @property
    def keys(self) -> Set[str]:
        """The top-level keys."""
        return self.words.keys()

    @property
    def places(self) -> dict[str, int]:
        """Where each key stands."""
        return {line.key: at for at, line in self._lines}

    @property
    def meta(self) -> dict[str, object]:
        """The values by key."""
        if self._meta is None:
            self._meta = {key: self.value(key) for key in self.words}
        return self._meta

    def value(self, key: str) -> object:
        word = self.words.get(key)
        if word is None:
            return None
        return [one.value for one in word] if isinstance(word, list) else word.value

    def holds(self, key: str) -> bool:
        return self.words.get(key) is not None

    def raw_text(self, key: str) -> str | None:
        """Return a scalar as it is written; see `Document.raw_text`."""
        word = self.words.get(key)
        return word.text if isinstance(word, Word) else None

    def raw_list(self, key: str) -> list[str] | None:
        """Return a list's entries as they are written; see `Document.raw_list`."""
        words = self.words.get(key)
        return [word.text for word in words] if isinstance(words, list) else None

    def entries(self) -> Entries:
        """Return where the keys stand."""
        return Entries([_entry(at, line) for at, line in self._lines], False, 0)

    def add(self, at: int, line: _Line) -> None:
        """Note what the next line with a key says, and where it stands."""
        self.words[line.key] = line.value
        self._lines.append((at, line))


def _entry(at: int, line: _Line) -> Entry:
    value = line.value
    style = value.style if isinstance(value, Word) else None
    kind = "list" if isinstance(value, list) else "scalar"
    return Entry(line.key, kind, style, line.flow, at, at + line.start, at + line.end)


def read(text: str) -> PlainHeader | None:
    """Return what the text of a header says, None if it is not plain."""
    lines = text.split("\n")
    if len(text) > _LONGEST or lines.pop() or not "".join(lines).isprintable():
        return None
    header = PlainHeader()
    at, place = 0, 0
    while place < len(lines):
        line = lines[place]
        told = _known.get(line) or _line(line)
        if told is None or told.key in header.words:
            return None
        start, place = at, place + 1
        at += len(line) + 1
        if told.value is None and place < len(lines) and _indent(lines[place]) is not None:
            listed = _block_list(lines, place, at)
            if listed is None:
                return None
            words, first, end = listed
            told = _Line(told.key, words, False, first - start, end - start)
            for line in lines[place : place + len(words)]:
                at += len(line) + 1
            place += len(words)
        header.add(start, told)
    return header


# Files of one tool have most of their lines in common.
_known: dict[str, _Line] = {}
_MOST_KNOWN, _LONGEST_KNOWN = 2000, 100


def _line(line: str) -> _Line | None:
    """Return what a line with a key says, None if it is not plain."""
    key, colon, told = line.partition(":")
    if not colon or not _is_key(key) or told[:1] not in ("", " "):
        return None
    shown, behind = told.strip(" "), len(key) + 1
    value: Word | list[Word] | None = None
    if shown:
        value = _flow_list(shown) if shown[0] == "[" else _scalar(shown)
        if value is None:
            return None
        behind += len(told) - len(told.lstrip(" "))
    found = _Line(key, value, shown[:1] == "[", behind, behind + len(shown))
    if len(line) <= _LONGEST_KNOWN:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[line] = found
    return found


def _is_key(key: str) -> bool:
    return _NAMES.issuperset(key) and key[:1].isalpha() and len(key) <= _LONGEST_KEY


def _scalar(told: str) -> Word | None:
    """Return the one word that `told` is, None if it is none, or more than that."""
    first = told[0]
    if first in "\"'":
        inner = told[1:-1]
        whole = len(told) > 1 and told[-1] == first and first not in inner
        return Word(inner, first, False) if whole and "\\" not in inner else None
    if not (first.isalnum() or first in _STARTS) or ": " in told or " #" in told:
        return None
    if told[-1] == ":" or told.lower() == "null":
        return None
    is_odd = (first in _DIGITS and len(told) <= _LONGEST_ODD) or told.lower() in WORDS
    return Word(told, None, is_odd)


def _flow_list(told: str) -> list[Word] | None:
    if len(told) < 2 or told[0] != "[" or told[-1] != "]":
        return None
    inner = told[1:-1].strip(" ")
    words = []
    while inner:
        if inner[0] in "\"'":
            end = inner.find(inner[0], 1) + 1
        else:
            end = inner.find(",") if "," in inner else len(inner)
        part, rest = inner[:end].rstrip(" "), inner[end:].lstrip(" ")
        word = _scalar(part) if part else None
        if word is None or (word.style is None and not _IN_FLOW.isdisjoint(part)):
            return None
        if rest and (rest[0] != "," or not rest[1:].strip(" ")):
            return None
        words.append(word)
        inner = rest[1:].lstrip(" ")
    return words


def _indent(line: str) -> int | None:
    """Return how far an entry of a list is indented, None if the line is none."""
    entry = line.lstrip(" ")
    return len(line) - len(entry) if entry.startswith("- ") else None


def _block_list(lines: list[str], place: int, at: int) -> tuple[list[Word], int, int] | None:
    """Return the words of the list that starts with the line at `place`, `at` characters from the
    start, one in each line, and where it begins and ends; None if it is not plain."""
    indent = _indent(lines[place])
    assert indent is not None
    words, first, end = [], at + indent, at
    for line in lines[place:]:
        if _indent(line) != indent:
            break
        told = line[indent + 2 :].strip(" ")
        word = _scalar(told) if told else None
        if word is None:
            return None
        words.append(word)
        end = at + len(line.rstrip(" "))
        at += len(line) + 1
    return words, first, end
