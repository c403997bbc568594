"""Front matter that can be read without YAML: most of it, and what `done` has to change in it.

A header is plain where each line is `key: value` or an entry of a list, and YAML reads it as it
stands beyond doubt. All else is left to `header`; what both read, they read alike.
"""

from __future__ import annotations

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

    __slots__ = ("is_odd", "style", "text")

    def __init__(self, text: str, style: str | None, is_odd: bool) -> None:
        self.text = text
        self.style = style
        self.is_odd = is_odd

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Word) and (
            (self.text, self.style, self.is_odd) == (other.text, other.style, other.is_odd)
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def value(self) -> object:
        """What YAML makes of it."""
        if not self.is_odd:
            return self.text
        from hypervisor.tasks.header import constructed

        return constructed(self.text)


class PlainHeader:
    """A header that was read without YAML; as `header.Header`."""

    def __init__(self) -> None:
        self.words: dict[str, Word | list[Word] | None] = {}
        self.places: dict[str, int] = {}
        self._spans: list[tuple[str, str, str | None, bool, int, int, int]] = []
        self._meta: dict[str, object] | None = None

    @property
    def keys(self) -> Set[str]:
        """The top-level keys."""
        return self.words.keys()

    @property
    def meta(self) -> dict[str, object]:
        """The values by key."""
        if self._meta is None:
            self._meta = {key: self.value(key) for key in self.words}
        return self._meta

    def value(self, key: str) -> object:
        word = self.words.get(key)
        if isinstance(word, list):
            return [one.value for one in word]
        return None if word is None else word.value

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
        return Entries([Entry(*span) for span in self._spans], False, 0)

    def add(
        self,
        key: str,
        value: Word | list[Word] | None,
        flow: bool,
        place: int,
        start: int,
        end: int,
    ) -> None:
        """Note what the next key holds, and where; see `entries.Entry`."""
        self.words[key] = value
        self.places[key] = place
        style = value.style if isinstance(value, Word) else None
        kind = "list" if isinstance(value, list) else "scalar"
        self._spans.append((key, kind, style, flow, place, start, end))


def read(text: str) -> PlainHeader | None:
    """Return what the text of a header says, None if it is not plain."""
    lines = text.split("\n")
    if len(text) > _LONGEST or lines.pop() or not all(map(str.isprintable, lines)):
        return None
    header = PlainHeader()
    value: Word | list[Word] | None
    at, place = 0, 0
    while place < len(lines):
        line = lines[place]
        key, colon, told = line.partition(":")
        if not colon or not _is_key(key) or key in header.words or told[:1] not in ("", " "):
            return None
        start, behind, place = at, at + len(key) + 1, place + 1
        at += len(line) + 1
        shown = told.strip(" ")
        if shown:
            value = _flow_list(shown) if shown[0] == "[" else _scalar(shown)
            if value is None:
                return None
            first = behind + len(told) - len(told.lstrip(" "))
            header.add(key, value, shown[0] == "[", start, first, first + len(shown))
        elif place < len(lines) and _indent(lines[place]) is not None:
            listed = _block_list(lines, place, at)
            if listed is None:
                return None
            value, first, end, count = listed
            header.add(key, value, False, start, first, end)
            at += sum(len(line) + 1 for line in lines[place : place + count])
            place += count
        else:
            header.add(key, None, False, start, behind, behind)
    return header


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


def _block_list(lines: list[str], place: int, at: int) -> tuple[list[Word], int, int, int] | None:
    """Return the words of the list that starts with the line at `place`, `at` characters from the
    start, where it begins and ends, and its number of lines; None if it is not plain."""
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
    return words, first, end, len(words)
