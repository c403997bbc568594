"""How the pages of docs/ are written, so that a test can do what they say.

    ```sh                 typed into a shell, in one folder and one shell per page
    ```text               right after it: what the terminal shows then, all of it
    ```sh exit=3          typed; the last command that fails ends so (otherwise none may fail)
    ```sh not tried: WHY  shown only, since it needs what no test has
    ```toml PATH          saved as this file, as its reader is told to

Fences without a language are not tried. A typed block without a `text` block shows nothing.

In a `text` block a line `…` stands for any lines. These differ from run to run, and any value is
accepted for them: claim tokens (a token that is typed later is the one that was shown), times,
durations and paces, the name of the program's environment, names of a machine with a number
(`laptop-4711`), and names of pools and agents (`pool-1a2b3c4d`, `command-1a2b3c4d-1`). The reader's
home is `/home/you`, and the plugin is in `/path/to/hypervisor`. Left out are progress bars, empty
lines at the end and, but for the tutorial, what is said while the program is set up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^( *)(`{3,})(.*)$")
# What differs from run to run -> what it is compared as.
_TOKEN = re.compile(r"\b(\d+)-([a-z0-9]{4})\b")
_VOLATILE = (
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:?\d\d)?"), "TIME"),
    (re.compile(r"\b\d+(\.\d+)? (ms|s|min|h|d)( \d+ (s|min|h))?\b"), "DURATION"),
    (re.compile(r"\b\d+(\.\d+)? items a minute\b"), "PACE"),
    (re.compile(r"\b\d+\.\d+\.\d+-[0-9a-f]{12}\b"), "ENVIRONMENT"),
    (re.compile(r"\b(command|gemini|claude)-[0-9a-f]{8}-\d+\b"), "AGENT"),
    (re.compile(r"\bpool-[0-9a-f]{8}\b"), "POOL"),
    (re.compile(r"\bEND_[a-z0-9]{4}\b"), "END"),
    (_TOKEN, r"\1-TOKEN"),
)


@dataclass
class Block:
    """A fenced block: `language` and `rest` of its first line, and its `lines`; `line` is where
    the first of them stands in the page, from 1."""

    language: str
    rest: str
    lines: list[str]
    line: int
    indent: str = ""


def blocks(path: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    found: list[Block] = []
    inside: tuple[Block, str] | None = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if inside is None and fence is not None:
            language, _, rest = fence[3].strip().partition(" ")
            block = Block(language, rest.strip(), [], number + 1, fence[1])
            found.append(block)
            inside = block, fence[2]
        elif inside is not None and line.strip() == inside[1]:
            inside = None
        elif inside is not None:
            inside[0].lines.append(line.removeprefix(inside[0].indent))
    assert inside is None, f"{path}:{found[-1].line}: the block is never closed"
    return found


def masked(line: str) -> str:
    """Return a line as it is compared: what differs from run to run is replaced by a word."""
    line = line.rstrip()
    for pattern, word in _VOLATILE:
        line = pattern.sub(word, line)
    return line


def agree(shown: list[str], seen: list[str]) -> bool:
    """Whether a terminal shows what a page says."""
    while shown and not shown[-1]:
        shown = shown[:-1]
    if not shown:
        return not seen
    if shown[0] == "…":
        return any(agree(shown[1:], seen[skipped:]) for skipped in range(len(seen) + 1))
    return bool(seen) and masked(shown[0]) == masked(seen[0]) and agree(shown[1:], seen[1:])


def tokens(text: str) -> dict[str, str]:
    """Return the four characters of each claim token by its number."""
    return dict(_TOKEN.findall(text))


def swap(text: str, known: dict[str, str]) -> str:
    """Give each claim token the four characters that `known` has for its number."""
    return _TOKEN.sub(lambda found: f"{found[1]}-{known.get(found[1], found[2])}", text)
