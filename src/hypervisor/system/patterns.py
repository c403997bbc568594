"""Patterns that come from settings: found in any case, and within a limit of time.

A pattern may take for ever on a text, and both may come from anywhere. `regex` gives up when its
time is over, which the standard library can't. Most texts never meet it: a text that lacks the
words that every match holds is told by looking for these.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import regex

LONGEST = 1000
# Seconds: what all patterns of a run have to begin with, what each text adds, what one search may
# take, and what the others get when a pattern has used up all there was.
_START, _A_TEXT, _A_CHARACTER = 2.0, 0.001, 5e-8
_ONE_SEARCH, _AFTERWARDS = 0.25, 0.1
# So many times a limit may pass on the wall before a search is given up all the same.
_BUSY = 60
# Letters that a pattern finds for another letter in any case, beyond what casefold brings together.
_DOTS = str.maketrans("ıİ", "iI")
_ALIKE = str.maketrans({"ı": "i", "\u0307": None})

Literals = frozenset[str] | None
# Pattern -> what it was compiled to, and the words that its matches have, None for none known.
_COMPILED: dict[str, regex.Pattern[str]] = {}
_LITERALS: dict[str, Literals] = {}


class TooSlow(Exception):
    """A pattern took too long on a text, or on others before: whether it matches is not known."""


class Patience:
    """The time that the patterns of one run share."""

    def __init__(self) -> None:
        self._left = _START
        self._spent: dict[str, float] = {}
        self._given_up: set[str] = set()

    def add(self, characters: int) -> None:
        """Add the time for one more text of so many characters."""
        self._left = min(_START, self._left + _A_TEXT + characters * _A_CHARACTER)

    def search(self, pattern: str, text: str) -> regex.Match[str] | None:
        """Return the match of `pattern` in `text`, or None. Raises TooSlow."""
        if pattern in self._given_up:
            raise TooSlow
        # By the processor: on a busy machine the clock on the wall runs while others work.
        began = time.thread_time()
        limit = wall = min(_ONE_SEARCH, self._left)
        # For `re` these are an i in any case.
        text = text if text.isascii() else text.translate(_DOTS)
        try:
            while True:
                try:
                    return _compiled(pattern).search(text, timeout=wall)
                except TimeoutError:
                    if time.thread_time() - began >= limit or wall > limit * _BUSY:
                        raise TooSlow from None
                    wall *= 4
        finally:
            took = time.thread_time() - began
            self._left -= took
            self._spent[pattern] = self._spent.get(pattern, 0) + took
            if self._left <= 0:
                worst = max(self._spent, key=self._spent.__getitem__)
                self._given_up.add(worst)
                del self._spent[worst]
                self._left = _AFTERWARDS


class Pattern:
    """One pattern, which `check` has seen; `patience` is what it shares with others."""

    __slots__ = ("_patience", "text")

    def __init__(self, text: str, patience: Patience) -> None:
        self.text = text
        self._patience = patience

    @property
    def literals(self) -> Literals:
        """Words of which every match holds one, folded; None if none are known."""
        return _literals(self.text)

    def may_match(self, folded: str) -> bool:
        """Say whether a text may hold a match, by its `fold`ed form; a wrong yes costs time."""
        literals = self.literals
        return literals is None or any(word in folded for word in literals)

    def search(self, text: str) -> regex.Match[str] | None:
        """Return the match in `text`, or None. Raises TooSlow."""
        return self._patience.search(self.text, text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


def fold(text: str) -> str:
    """Return `text` so that what a pattern finds in any case is found as a plain word."""
    return text.lower() if text.isascii() else text.casefold().translate(_ALIKE)


def check(pattern: str) -> None:
    """Raise ValueError, with what is wrong, for a pattern that can't be searched for."""
    import regex

    _literals(pattern)
    try:
        _compiled(pattern)
    except (regex.error, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _compiled(pattern: str) -> regex.Pattern[str]:
    if pattern not in _COMPILED:
        import regex

        _COMPILED[pattern] = regex.compile(pattern, regex.IGNORECASE)
    return _COMPILED[pattern]


def _literals(pattern: str) -> Literals:
    """Return words of which every match of `pattern` holds one, folded; None if none are known.

    Raises ValueError for what is not a pattern.
    """
    if pattern not in _LITERALS:
        _LITERALS[pattern] = _found_in(pattern)
    return _LITERALS[pattern]


def _found_in(pattern: str) -> Literals:
    import re
    from importlib import import_module

    if len(pattern) > LONGEST:
        raise ValueError(f"longer than {LONGEST} characters")
    try:
        re.compile(pattern, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(str(error) or type(error).__name__) from None
    try:
        # The parser of `re` has no public name. Without it each pattern is tried on each text.
        return _of_sequence(import_module("re._parser").parse(pattern, re.IGNORECASE))
    except Exception:
        return None


def _of_sequence(parsed: Any) -> Literals:
    found: list[frozenset[str]] = []
    run = ""
    for operation, argument in [*parsed, (None, None)]:
        name = str(operation)
        if name == "LITERAL":
            run += chr(argument)
            continue
        if run:
            found.append(frozenset({fold(run)}))
            run = ""
        inner: Literals = None
        if name == "SUBPATTERN":
            inner = _of_sequence(argument[-1])
        elif name == "ATOMIC_GROUP":
            inner = _of_sequence(argument)
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT") and argument[0] > 0:
            inner = _of_sequence(argument[2])
        elif name == "BRANCH":
            branches = [_of_sequence(branch) for branch in argument[1]]
            if all(branch is not None for branch in branches):
                inner = frozenset().union(*(branch for branch in branches if branch is not None))
        if inner:
            found.append(inner)
    # The rarest is likely the one whose shortest word is longest.
    return max(found, key=lambda words: min(map(len, words)), default=None)
