"""Reads command lines that are just as they should be.

argparse alone takes longer to import than a claim takes. It reads every line that isn't plain, and
so it also words every complaint and every help.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Parsed:
    """The arguments of a verb, each as an attribute."""

    def __init__(self, values: dict[str, object]) -> None:
        self.__dict__.update(values)


class PlainParser:
    """Declares arguments as an ArgumentParser does, as far as the verbs of workers need it."""

    def __init__(self) -> None:
        self._words: list[tuple[str, str | None]] = []
        self._options: dict[str, tuple[str, str | None, Callable[[str], object] | None]] = {}
        self._defaults: dict[str, object] = {}
        self._required: set[str] = set()

    def add_argument(
        self,
        *names: str,
        action: str | None = None,
        type: Callable[[str], object] | None = None,
        nargs: str | None = None,
        default: object = None,
        required: bool = False,
        metavar: str | None = None,
        help: str | None = None,
    ) -> None:
        """Declare an argument; see argparse. `action` may be store_true or append."""
        if not names[0].startswith("-"):
            self._words.append((names[0], nargs))
            return
        long = [name for name in names if name.startswith("--")]
        dest = (long or names)[0].lstrip("-").replace("-", "_")
        for name in names:
            self._options[name] = (dest, action, type)
        self._defaults[dest] = False if action == "store_true" else default
        if required:
            self._required.add(dest)

    def parse(self, line: Sequence[str]) -> Parsed | None:
        """Return the arguments, or None for a line that argparse has to look at."""
        values = dict(self._defaults)
        words: list[str] = []
        missing = set(self._required)
        rest = iter(line)
        for word in rest:
            if not word.startswith("-") or word == "-":
                words.append(word)
                continue
            if word not in self._options:
                return None
            dest, action, type = self._options[word]
            if action == "store_true":
                values[dest] = True
                continue
            value = next(rest, None)
            if value is None or (value.startswith("-") and value != "-"):
                return None
            if type is int and not (value.isascii() and value.isdigit() and len(value) < 10):
                return None
            told = value if type is None else type(value)
            before = values[dest]
            values[dest] = [*before, told] if isinstance(before, list) else told
            missing.discard(dest)
        if missing or not self._place(words, values):
            return None
        return Parsed(values)

    def _place(self, words: list[str], values: dict[str, object]) -> bool:
        for name, nargs in self._words:
            if nargs == "+":
                values[name], words = words, []
                if not values[name]:
                    return False
            elif words:
                values[name], words = words[0], words[1:]
            elif nargs == "?":
                values[name] = None
            else:
                return False
        return not words
