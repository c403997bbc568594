"""What a task's text names and says, beyond what the rules read: it holds nothing, and is told."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from typing import NamedTuple

from hypervisor.system.state import STATE
from hypervisor.system.text import one_line
from hypervisor.tasks import markdown
from hypervisor.tasks.read import Document

# So much of a text is looked at, and so many names in it.
_LONGEST = 200_000
_MOST_NAMES = 200
_MOST_KNOWN = 50_000

_WORD = re.compile(r"[\w@./+-]+")
# What is in the name of a file: with one letter to begin with, a pattern is found fastest.
_SIGNS = re.compile("/"), re.compile(r"\.\S")
_FILE = re.compile(r"\.[A-Za-z]\w{0,9}\Z")
# A file that is yet to be made, or gone by then, or an example, need not be there.
_NOT_YET = re.compile(
    r"\b(?:add|build|creat|delet|e\.g|exampl|extract|generat|introduc|mov|new|output|produc|remov"
    r"|renam|split|writ)",
    re.IGNORECASE,
)
_WHOM = r"(?:an? |the )?(?:AI |LLM |coding )?(?:agents?|assistants?|language models?|LLMs?|bots?)"
# Each measured on real tasks of a project that is about agents: bench/hints.py.
_ORDERS = (
    r"(?:ignore|disregard|forget|override)\s+(?:(?:all|any|the|of|your|my)\s+){0,3}"
    r"(?:previous|prior|earlier|above|preceding|system|your)\s+"
    r"(?:instructions?|prompts?|orders|rules|guidelines)\b",
    rf"you are (?:now )?{_WHOM}\b",
    rf"(?:notes?|messages?|instructions?|orders?|reminders?) (?:to|for) (?:all |any )?{_WHOM}\s*:",
    r"(?:do not|don't|never) (?:tell|inform|notify|alert|ask|mention (?:this|it) to) "
    r"(?:the |your |any )?(?:users?|humans?|persons?|people|anyone|anybody)\b",
    r"hypervisor (?:next|done|block|fail|release|commit|cancel|open|resume|allow|check|undo)\b",
    r"<\|(?:im_start|system)\|>|\[INST\]|<system[-_ ]?(?:prompt|reminder)>",
)
# Words of which one is in whatever these match: to search for words costs little.
_LIKELY = (
    "ignore", "disregard", "forget", "override", "you are ", "agent", "assistant", "model", "llm",
    "bot", "don't", "never", "do not", "hypervisor ", "<|", "[inst]", "<system",
)  # fmt: skip
_ORDER = re.compile(rf"(?<![\w-])(?:{'|'.join(_ORDERS)})", re.IGNORECASE)
# Keys that say what to do where the body does not.
_SAYING = ("description", "details", "summary", "acceptance_criteria", "notes", "content", "text")
_SHORT = 400
_SHOWN = 3


class Hint(NamedTuple):
    """Something about a task that a person may want to look at: its kind, and a sentence."""

    kind: str
    reason: str


class Mentioned(NamedTuple):
    """The files that a text names and that are there, from the root; and the hints."""

    files: tuple[str, ...]
    hints: list[Hint]


class Mentions:
    """Looks for files below `root`, each once."""

    def __init__(self, root: str, *, instructions: bool) -> None:
        self._root = root
        self._instructions = instructions
        self._modes: dict[str, int] = {}

    def of(self, document: Document, path: str) -> Mentioned:
        """Return what the text of the task at `path` (from the root) names and says."""
        body = markdown.without_own_section(document.body[:_LONGEST])
        named, missing = self._files(body, path)
        hints = []
        if missing:
            hints += self._missing(body, missing)
        if not self._instructions and _says_nothing(document, body):
            hints.append(Hint("nothing_to_do", "has a title and no text that says what to do"))
        order = _order(body)
        if order:
            told = f"gives orders to agents (“{one_line(order, 80)}”), which workers don't follow"
            hints.append(Hint("orders", told))
        return Mentioned(tuple(sorted(named)), hints)

    def _files(self, body: str, path: str) -> tuple[set[str], set[str]]:
        """Return the files that are named and there, and the words for those that are not."""
        named, missing = set(), set()
        for word in dict.fromkeys(_words(" ".join(_likely(body)))):
            if not word or word[0] in "/-" or not ("/" in word or _FILE.search(word)):
                continue
            found = self._place(word, path)
            if found is not None and found != path:
                named.add(found)
            elif found is None and _FILE.search(word) and self._could_be(word):
                missing.add(word)
            if len(named) + len(missing) >= _MOST_NAMES:
                break
        return named, missing

    def _place(self, word: str, path: str) -> str | None:
        """Return where the file lies that a word names, from the root or from the task's folder."""
        places = [os.path.normpath(os.path.join(os.path.dirname(path), word))]
        if not word.startswith(("./", "../")):
            places.insert(0, os.path.normpath(word))
        for place in places:
            if place.split("/", 1)[0] not in ("..", STATE) and stat.S_ISREG(self._mode(place)):
                return place
        return None

    def _mode(self, place: str) -> int:
        """Return the mode of what stands at a place, 0 for nothing."""
        mode = self._modes.get(place)
        if mode is None:
            if len(self._modes) > _MOST_KNOWN:
                self._modes.clear()
            try:
                mode = os.stat(os.path.join(self._root, place)).st_mode
            except (OSError, ValueError):
                mode = 0
            self._modes[place] = mode
        return mode

    def _could_be(self, word: str) -> bool:
        """True for a path of which a part leads into the project: no address, no other project."""
        top, slash, rest = word.removeprefix("./").partition("/")
        if not slash or not rest or top in ("", "..", STATE):
            return False
        return stat.S_ISDIR(self._mode(top))

    def _missing(self, body: str, missing: set[str]) -> list[Hint]:
        found: dict[str, None] = {}
        for line in markdown.prose(body).split("\n"):
            words = missing.intersection(_words(line))
            if words and not _NOT_YET.search(line):
                found.update(dict.fromkeys(sorted(words)))
        if not found:
            return []
        shown = ", ".join(one_line(word, 100) for word in list(found)[:_SHOWN])
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        be = "is" if len(found) == 1 else "are"
        return [Hint("missing_file", f"names {shown}{more}, which {be} not there")]


def _likely(body: str) -> Iterator[str]:
    """Yield the parts between blanks in which a word may name a file."""
    end = 0
    for at in sorted({found.start() for sign in _SIGNS for found in sign.finditer(body)}):
        if at >= end:
            start, end = max(end, body.rfind(" ", end, at) + 1), body.find(" ", at)
            end = len(body) if end < 0 else end
            yield body[start:end]


def _words(text: str) -> list[str]:
    """Return the words of a text that may name files."""
    # A pattern that asked for the dot or slash would look for it again from each letter.
    found = (word for word in _WORD.findall(text) if "/" in word or "." in word)
    return [word.rstrip(".") for word in found]


def _says_nothing(document: Document, body: str) -> bool:
    lines, length = [], 0
    for line in body.split("\n"):
        if line.strip() and not line.startswith("#"):
            lines.append(line)
            length += len(line)
            if length > _SHORT:
                return False
    if any(map(document.value, _SAYING)):
        return False
    # What a template leaves behind: comments, and headings without a word below them.
    text = markdown.prose("\n".join(lines))
    return not any(character.isalnum() for character in text) and "```" not in body


def _order(body: str) -> str | None:
    folded = body.casefold()
    if not any(map(folded.__contains__, _LIKELY)):
        return None
    found = _ORDER.search(body)
    return found[0] if found else None
